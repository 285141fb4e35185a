//! Events at a steady pace, published until the broker has confirmed each of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use contracts::Micros;
use e2e::Vhost;
use ingress::amqp::topology::JOBS;
use ingress::amqp::{Message, Publisher, State, publisher};
use tokio::task::JoinSet;

use super::crowd::{Crowd, Event, Truth};
use super::{runtime, soon, until};

/// Between two looks at what is due.
const STEP: Duration = Duration::from_millis(10);

/// Between two attempts at an event that the broker does not take, but for want of a connection.
const AGAIN: Duration = Duration::from_millis(100);

/// Now, as events say it.
pub(crate) fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Micros(i64::try_from(since.as_micros()).unwrap())
}

/// A load that goes on whatever happens to the broker, until it is stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    confirmed: Arc<AtomicUsize>,
    thread: JoinHandle<Truth>,
}

impl Load {
    /// Starts to publish so many events a second.
    pub(crate) fn start(vhost: &Vhost, per_second: u32) -> Load {
        let (stop, confirmed) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (until, url) = (Arc::clone(&stop), vhost.url().to_owned());
        let counted = Arc::clone(&confirmed);
        let seed = fastrand::u64(..);
        let thread = std::thread::spawn(move || {
            runtime().block_on(publish(url, Crowd::new(seed), per_second, until, counted))
        });
        Load { stop, confirmed, thread }
    }

    /// Waits until so many more have been confirmed.
    #[track_caller]
    pub(crate) fn confirms(&self, n: usize) {
        let before = self.confirmed.load(Ordering::Relaxed);
        until("events are confirmed", || {
            (self.confirmed.load(Ordering::Relaxed) >= before + n).then_some(())
        });
    }

    /// Makes no more, and waits until all of them have been confirmed.
    pub(crate) fn stop(self) -> Truth {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

async fn publish(
    url: String,
    mut crowd: Crowd,
    per_second: u32,
    stop: Arc<AtomicBool>,
    confirmed: Arc<AtomicUsize>,
) -> Truth {
    let publisher = Publisher::start(publisher::Config::new(url.parse().unwrap(), "load"));
    let mut publishing = JoinSet::new();
    let (began, mut made) = (Instant::now(), 0);
    while !stop.load(Ordering::Relaxed) {
        let due = began.elapsed().as_secs_f64() * f64::from(per_second);
        while f64::from(made) < due {
            made += 1;
            let (event, publisher) = (crowd.next(now()), publisher.clone());
            let confirmed = Arc::clone(&confirmed);
            publishing.spawn(async move {
                insist(&publisher, event).await;
                confirmed.fetch_add(1, Ordering::Relaxed);
            });
        }
        while publishing.try_join_next().is_some() {}
        tokio::time::sleep(STEP).await;
    }
    soon("all events are confirmed", publishing.join_all()).await;
    crowd.into_truth()
}

/// Publishes an event until the broker has it.
pub(crate) async fn insist(publisher: &Publisher, event: Event) {
    let message = Message {
        exchange: JOBS.into(),
        routing_key: event.key.into(),
        body: event.body.into(),
        ..Message::default()
    };
    while publisher.publish(message.clone()).await.is_err() {
        tokio::time::sleep(AGAIN).await;
        let mut state = publisher.state();
        // It goes only with its runtime.
        state.wait_for(|state| *state == State::Connected).await.unwrap();
    }
}
