//! Connections: how many, how long they may say nothing, and how they end.
//!
//! ```text
//!   listener ──at most MAX_CONNECTIONS──▶ hyper, on a socket that gives up ──▶ Router
//! ```
//!
//! # Invariants
//!
//! 1. Whoever sends no complete head, or does not read what was written, within a bound, is cut, and
//!    takes nobody else's place for longer.
//! 2. When it is told to stop, no request is taken any more, and those under way are answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

mod socket;

use socket::Socket;

/// Connections at once; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 512;

/// How long the head of a request may take, and how long a connection may rest before one.
const HEAD: Duration = Duration::from_secs(10);

/// Bytes of a head that are looked at; the limits that are told to clients are below it.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// How long a client may take nothing of what is written to it.
const STALLED: Duration = Duration::from_secs(20);

/// What the kernel holds of what a client has not read, about; with a stalled client this is what it
/// costs, and what it is behind.
const SEND_BYTES: u32 = 128 << 10;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1024;

/// After this an accept that failed, as it does for want of file descriptors, is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// A socket that listens, as [`serve`] needs it.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    // Connections inherit it.
    socket.set_send_buffer_size(SEND_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop` is true, and then until the last answer is given.
pub async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // Whoever could tell us to stop may be gone, and then so is the process.
        let stopping = async { drop(stop.clone().wait_for(|stop| *stop).await) };
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stopping => break,
            next = next => next,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
                    connection(stream, peer, router, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
    stop.mark_unchanged();
    while connections.join_next().await.is_some() {}
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    // An event must not wait for the next one to fill a packet; where it can not be set it is slower.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(Socket::new(stream, STALLED)), service);
    tokio::pin!(connection);
    let stopping = async { drop(stop.wait_for(|stop| *stop).await) };
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stopping => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection has ended");
    }
}
