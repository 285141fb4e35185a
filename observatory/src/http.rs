//! The HTTP server of a role.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long open answers may take when the service stops.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// A socket that listens.
pub(crate) async fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; choose another address with --listen"))
}

/// A server that answers.
pub(crate) struct Server {
    stop: watch::Sender<bool>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub(crate) fn start(listener: TcpListener, router: Router) -> Server {
        let (stop, mut stopping) = watch::channel(false);
        let serving = tokio::spawn(
            axum::serve(listener, router)
                .with_graceful_shutdown(async move { drop(stopping.wait_for(|stop| *stop).await) })
                .into_future(),
        );
        Server { stop, serving }
    }

    /// Waits until it fails by itself.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        match (&mut self.serving).await {
            Ok(Err(error)) => anyhow::Error::from(error).context("the server has stopped"),
            _ => anyhow!("the server has stopped"),
        }
    }

    /// Takes no more requests, and waits for the answers that are under way.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        // Whoever is still reading then has had an answer's time.
        drop(tokio::time::timeout(LAST_ANSWERS, self.serving).await);
    }
}
