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

/// A socket that listens; within a runtime.
pub(crate) fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    api::listen(listen)
        .with_context(|| format!("cannot listen on {listen}; choose another address with --listen"))
}

/// A server that answers.
pub(crate) struct Server {
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(listener: TcpListener, router: Router) -> Server {
        let (stop, stopping) = watch::channel(false);
        let serving = tokio::spawn(api::serve(listener, router, stopping));
        Server { stop, serving }
    }

    /// Waits until it fails by itself.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        // It has panicked, and said so.
        drop((&mut self.serving).await);
        anyhow!("the server has stopped")
    }

    /// Takes no more requests, and waits for the answers that are under way.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        // Whoever is still reading then has had an answer's time.
        drop(tokio::time::timeout(LAST_ANSWERS, self.serving).await);
    }
}
