//! Consuming: deliveries are handed out, and acknowledged in bulk when they have been settled.
//!
//! ```text
//!   queue ──▶ session: deliver ──▶ handler(Raw, Settle) ──▶ …   settled in any order, anywhere
//!     ▲          │                                     │
//!     └── ack ───┴── low-water mark ◀── settle/requeue ┘
//!       (multiple)
//! ```
//!
//! One task owns the connection. When a session ends, whatever the reason, what was not
//! acknowledged comes again in the next one. That the stream of deliveries *ends* is one of the
//! reasons: so it goes when the queue is deleted, without any error.
//!
//! # Invariants
//!
//! 1. The broker is told "all up to here" for the last delivery up to which all are settled, through
//!    that delivery's own acker, which is dead with its session.
//! 2. A [`Settle`] of an older session does nothing, and one dropped unsettled keeps the mark where
//!    it is until the session ends.
//! 3. At most `prefetch` deliveries are in the hands of the handler, those of older sessions
//!    included; at most as many again wait behind them.
//!
//! # Cost
//!
//! A message through a channel per delivery; an ack per 250 deliveries or 10 ms.

use std::borrow::Cow;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, exponential_buckets};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::connection::{Dialer, Fault, FaultKind, Faults, State};
use super::{Url, topology};

mod backlog;
mod low_water;
mod session;
mod unreadable;
mod wire;

/// Deliveries that may be unacknowledged: several ticks at full speed plus the lag of a store. The
/// broker is as fast with 1,000.
const PREFETCH: NonZeroU16 = match NonZeroU16::new(2_000) {
    Some(prefetch) => prefetch,
    None => NonZeroU16::MIN,
};

/// How a consumer works.
#[derive(Clone, Debug)]
pub struct Config {
    pub url: Url,
    /// What the broker shows of the connection.
    pub name: String,
    pub queue: Cow<'static, str>,
    /// Deliveries that may be unacknowledged at once: an upper bound on memory, and a lower one on
    /// speed.
    pub prefetch: NonZeroU16,
}

impl Config {
    /// Consumes [`topology::EVENTS`].
    #[must_use]
    pub fn new(url: Url, name: impl Into<String>) -> Config {
        Config { url, name: name.into(), queue: topology::EVENTS.into(), prefetch: PREFETCH }
    }

    /// Consumes [`topology::CELERY`], which is declared with every session.
    #[must_use]
    pub fn celery(url: Url, name: impl Into<String>) -> Config {
        Config { queue: topology::CELERY.name.into(), ..Config::new(url, name) }
    }
}

/// A delivery as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw {
    pub exchange: String,
    pub routing_key: String,
    pub message_id: Option<String>,
    pub content_type: Option<String>,
    /// The headers of a CloudEvent in binary mode, as texts.
    pub cloud_event: Vec<(String, String)>,
    /// It was delivered before, to us or to others.
    pub redelivered: bool,
    pub body: Vec<u8>,
}

/// What is to become of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Settled,
    Requeued,
}

/// A delivery's number in its session.
type Tag = u64;

/// The right to settle a delivery, once, from any thread.
#[derive(Debug)]
pub struct Settle {
    tag: Tag,
    verdicts: mpsc::UnboundedSender<(Tag, Verdict)>,
    _room: OwnedSemaphorePermit,
}

impl Settle {
    /// Says that the broker may forget the delivery.
    pub fn settle(self) {
        self.say(Verdict::Settled);
    }

    /// Gives the delivery back to the queue, for whoever is next.
    pub fn requeue(self) {
        self.say(Verdict::Requeued);
    }

    /// The session that this delivery belongs to.
    #[must_use]
    pub fn session(&self) -> Session {
        Session(self.verdicts.clone())
    }

    fn say(self, verdict: Verdict) {
        // Without its session, the delivery comes again.
        self.verdicts.send((self.tag, verdict)).unwrap_or_default();
    }
}

/// A session, for those who want to know whether it is over.
#[derive(Clone, Debug)]
pub struct Session(mpsc::UnboundedSender<(Tag, Verdict)>);

impl Session {
    /// Whether its deliveries will come again, unless they were acknowledged.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_closed()
    }

    /// Waits until it is over.
    pub async fn over(&self) {
        self.0.closed().await;
    }
}

/// How a consumer is doing.
#[derive(Debug)]
pub struct Status {
    /// Deliveries of this session that are not acknowledged.
    pub unacked: AtomicU64,
    /// What was in the queue when this session began.
    pub backlog: AtomicU64,
    pub deliveries: AtomicU64,
    pub redelivered: AtomicU64,
    pub acked: AtomicU64,
    pub requeued: AtomicU64,
    /// Connections made.
    pub sessions: AtomicU64,
    pub faults: Faults,
    /// From a delivery to its ack.
    pub ack_seconds: Histogram,
}

impl Status {
    fn new() -> Status {
        // From 1 ms to half a minute.
        let buckets = exponential_buckets(0.001, 1.5, 26).unwrap_or_default();
        let opts = HistogramOpts::new(
            "observatory_delivery_ack_seconds",
            "From a delivery to its acknowledgement.",
        );
        #[expect(clippy::expect_used, reason = "name and buckets are constants")]
        let ack_seconds = Histogram::with_opts(opts.buckets(buckets)).expect("a histogram");
        Status {
            unacked: AtomicU64::new(0),
            backlog: AtomicU64::new(0),
            deliveries: AtomicU64::new(0),
            redelivered: AtomicU64::new(0),
            acked: AtomicU64::new(0),
            requeued: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
            faults: Faults::default(),
            ack_seconds,
        }
    }
}

/// Consumes a queue until it is stopped; dropped, it stops at once.
#[derive(Debug)]
pub struct Consumer {
    /// With the grace period.
    stop: Option<oneshot::Sender<Duration>>,
    task: JoinHandle<()>,
    state: watch::Receiver<State>,
    current: watch::Receiver<bool>,
    status: Arc<Status>,
}

impl Consumer {
    /// Starts to connect, and hands deliveries to `handler`, which must not block; must be called
    /// within a tokio runtime.
    #[must_use]
    pub fn start(config: Config, handler: impl FnMut(Raw, Settle) + Send + 'static) -> Consumer {
        let (stop, stopped) = oneshot::channel();
        let (told, state) = watch::channel(State::Away("connecting".to_owned()));
        let (current, is_current) = watch::channel(false);
        let status = Arc::new(Status::new());
        let room = Arc::new(Semaphore::new(config.prefetch.get().into()));
        let supervisor =
            Supervisor { config, handler, room, state: told, current, status: Arc::clone(&status) };
        let task = tokio::spawn(supervisor.run(stopped));
        Consumer { stop: Some(stop), task, state, current: is_current, status }
    }

    /// How things stand with the broker.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Whether there is a connection, and what was in the queue when it was made has been handed
    /// out, to us or to others.
    #[must_use]
    pub fn current(&self) -> watch::Receiver<bool> {
        self.current.clone()
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Takes no more deliveries, acknowledges what is settled within `grace`, and closes. What is
    /// not settled by then comes again, to whoever consumes next.
    pub async fn stop(mut self, grace: Duration) {
        if let Some(stop) = self.stop.take() {
            stop.send(grace).unwrap_or_default();
        }
        // Its panic would have been reported.
        drop((&mut self.task).await);
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task that owns the connection.
struct Supervisor<H> {
    config: Config,
    handler: H,
    /// For deliveries in the hands of the handler, over all sessions.
    room: Arc<Semaphore>,
    state: watch::Sender<State>,
    current: watch::Sender<bool>,
    status: Arc<Status>,
}

impl<H: FnMut(Raw, Settle) + Send> Supervisor<H> {
    async fn run(mut self, mut stop: oneshot::Receiver<Duration>) {
        let Config { url, name, .. } = self.config.clone();
        let mut dialer = Dialer::new(url, name);
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            let opened = tokio::select! {
                opened = dialer.dial() => opened,
                _ = &mut stop => return,
            };
            let ended = match opened {
                Ok(connection) => self.session(connection, &mut stop).await,
                Err(fault) => Err(fault),
            };
            let Err(fault) = ended else { return };
            let delay = backoff.delay_after(began.elapsed());
            self.away(&fault, delay);
            let pause = async {
                tokio::time::sleep(delay).await;
                if fault.kind == FaultKind::Unreadable {
                    self.get_beyond().await;
                }
            };
            tokio::select! {
                () = pause => {}
                _ = &mut stop => return,
            }
        }
    }

    /// Takes what the library cannot read out of its way.
    async fn get_beyond(&mut self) {
        let Config { url, queue, .. } = self.config.clone();
        match self.hand_out_unreadable().await {
            Ok(n) => tracing::warn!(broker = %url, %queue, n, "took messages by another road"),
            Err(error) => {
                tracing::warn!(broker = %url, %queue, %error, "a message stays in the way for now");
            }
        }
    }

    fn away(&self, fault: &Fault, retry_in: Duration) {
        let Config { url, queue, .. } = &self.config;
        self.status.faults.count(fault.kind);
        self.status.unacked.store(0, Ordering::Relaxed);
        self.current.send_replace(false);
        self.state.send_replace(State::Away(fault.to_string()));
        tracing::warn!(broker = %url, %queue, fault = fault.kind.as_str(), ?retry_in, "consumer: {fault}");
    }
}
