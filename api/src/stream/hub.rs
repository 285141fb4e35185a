//! The one that follows the views, for all clients together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sinks::feed::News;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::event;
use super::ring::Ring;
use crate::Views;

/// Between two deltas: at most ten a second reach a client.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Hub {
    ring: Mutex<Ring>,
    /// Counts what was said.
    said: watch::Sender<u64>,
}

impl Hub {
    /// Begins to follow, as long as the process lives.
    pub(super) fn start(views: &Views) -> Arc<Hub> {
        let hub = Arc::new(Hub { ring: Mutex::default(), said: watch::Sender::new(0) });
        tokio::spawn(run(Arc::clone(&hub), views.clone()));
        hub
    }

    pub(super) fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn listen(&self) -> watch::Receiver<u64> {
        self.said.subscribe()
    }
}

async fn run(hub: Arc<Hub>, views: Views) {
    let mut feed = views.feed();
    let mut next = Instant::now();
    loop {
        match feed.next().await {
            News::Anew(base) => hub.ring().begin(base),
            News::Delta(at, delta) => {
                let delta = event::delta(at, &delta);
                hub.ring().push(at, delta);
                hub.said.send_modify(|n| *n += 1);
                // At once after a silence; else what comes meanwhile is gathered.
                sleep_until(next).await;
                next = Instant::now() + PAUSE;
            }
        }
    }
}
