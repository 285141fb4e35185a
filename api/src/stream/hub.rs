//! The one that follows the views, for all clients together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sinks::feed::News;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::ring::Ring;
use super::{Pace, event};
use crate::Views;

pub(super) struct Hub {
    ring: Mutex<Ring>,
    /// Counts what was said.
    said: watch::Sender<u64>,
}

impl Hub {
    /// Begins to follow, as long as the process lives.
    pub(super) fn start(views: &Views, pace: Pace) -> Arc<Hub> {
        let ring = Mutex::new(Ring::new(pace.kept));
        let hub = Arc::new(Hub { ring, said: watch::Sender::new(0) });
        tokio::spawn(run(Arc::clone(&hub), views.clone(), pace));
        hub
    }

    pub(super) fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn listen(&self) -> watch::Receiver<u64> {
        self.said.subscribe()
    }
}

async fn run(hub: Arc<Hub>, views: Views, pace: Pace) {
    let mut feed = views.feed();
    let mut next = Instant::now();
    loop {
        match feed.next().await {
            News::Anew(base) => hub.ring().begin(base),
            News::Delta(at, delta) => {
                let delta = event::delta(at, &delta.over_queues());
                hub.ring().push(at, delta);
                hub.said.send_modify(|n| *n += 1);
                // At once after a silence; else what comes meanwhile is gathered.
                sleep_until(next).await;
                next = Instant::now() + pace.pause;
            }
        }
    }
}
