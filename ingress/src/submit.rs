//! Submissions: events handed in by a program, and the receipt that says they are durable.
//!
//! ```text
//!   HTTP handler ──submit──▶ queue ──▶ engine: tick, ledger, dataflow, store
//!        ▲                                      │
//!        └────────── Receipt::settle ◀──────────┘ once per event, after the commit
//! ```
//!
//! # Invariants
//!
//! 1. [`Submitter::submit`] answers `Ok` only when every one of its events is durable: in our store,
//!    or, where the pipeline is another process, in a queue of the broker.
//! 2. At most [`MAX_UNSETTLED`] events are on their way: who submits more waits, and is told to
//!    come back when the wait is too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use contracts::event::{ErrorInfo, Kind, UNTOLD};
use contracts::{Event, Heartbeat};
use pipeline::fact::Fact;
use pipeline::name::Name;
use tokio::sync::{Semaphore, oneshot};

use crate::amqp::publisher::{Message, PublishError, Publisher};
use crate::amqp::topology;
use crate::celery::Note;

/// Events that may be accepted and not durable. It bounds memory (at 256 KiB an event this is the
/// worst case of 1.3 GB; at the usual 1 KiB, 5 MB), and is several ticks at full speed.
pub const MAX_UNSETTLED: usize = 5_000;

/// How long a submission waits for room before its sender is told to come back.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// An event on its way in.
#[derive(Debug)]
pub struct Submitted {
    pub fact: Fact,
    /// The bytes as received.
    pub body: Vec<u8>,
    /// `payload.error` and `payload.metadata` as JSON: what a store keeps of them.
    pub error: Option<String>,
    pub metadata: Option<String>,
    /// The reference worker is to execute the job.
    pub execute: bool,
    /// It is archived, and nothing else: it decides nothing.
    pub note: bool,
    /// What a worker of Celery says of itself by it.
    pub heartbeat: Option<Box<Heartbeat>>,
}

impl Submitted {
    /// Copies what is kept of a decoded event.
    pub fn of(event: &Event<'_>, execute: bool) -> Submitted {
        Submitted {
            fact: Fact::of(event, 0),
            body: event.body.to_vec(),
            error: event.job.error.as_ref().map(|error| {
                // Two strings always serialise.
                serde_json::to_string(&ErrorInfo::from(error)).unwrap_or_default()
            }),
            metadata: event.job.metadata.map(str::to_owned),
            execute,
            note: false,
            heartbeat: None,
        }
    }

    /// Something that is archived with a job, and says nothing of its state.
    pub fn note(note: &Note) -> Submitted {
        let at = note.at.0;
        let fact = Fact {
            job: note.job,
            event: note.id,
            at,
            created_at: at,
            seq: 0,
            job_type: Name::NONE,
            queue: Name::NONE,
            worker: Name::NONE,
            attempt: UNTOLD,
            kind: Kind::Created,
            inferred: false,
            expires_after: 0,
        };
        let body = note.body.clone();
        let heartbeat = note.heartbeat.clone().map(Box::new);
        Submitted { fact, body, error: None, metadata: None, execute: false, note: true, heartbeat }
    }
}

/// An event that has been handed in, with the receipt to give for it.
#[derive(Debug)]
pub struct Delivery {
    pub event: Submitted,
    pub receipt: Receipt,
}

/// One event's share in what follows when a whole submission, or delivery, is durable; dropped
/// unsettled, that never follows.
pub struct Receipt(Arc<Answer>);

struct Answer {
    missing: AtomicUsize,
    /// Called when nothing is missing any more; dropped when something never will be settled.
    done: std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Receipt").field(&self.0.missing).finish()
    }
}

impl Receipt {
    /// Receipts for `n` events, at least one; when all of them are settled, `done` is called.
    pub fn several(n: usize, done: impl FnOnce() + Send + 'static) -> Vec<Receipt> {
        let done: Box<dyn FnOnce() + Send> = Box::new(done);
        let missing = AtomicUsize::new(n);
        let answer = Arc::new(Answer { missing, done: std::sync::Mutex::new(Some(done)) });
        (0..n).map(|_| Receipt(Arc::clone(&answer))).collect()
    }

    /// Says that the event is durable.
    pub fn settle(self) {
        if self.0.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            let done = self.0.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            if let Some(done) = done {
                done();
            }
        }
    }
}

/// Why a submission was not confirmed. It may have become durable all the same: submitting it
/// again, with the same event ids, is harmless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    #[error("the store is behind; come back in a few seconds")]
    Busy,
    #[error("shutting down; come back when the service has restarted")]
    Stopped,
    /// The broker did not confirm.
    #[error(transparent)]
    Broker(#[from] PublishError),
}

/// Hands events in.
#[derive(Clone)]
pub struct Submitter {
    to: To,
    room: Arc<Semaphore>,
}

/// Where events go.
#[derive(Clone)]
enum To {
    /// The engine of this process, which settles them when they are durable.
    Engine(Arc<dyn Fn(Delivery) -> Result<(), SubmitError> + Send + Sync>),
    /// The broker, for whichever process consumes them.
    Broker(Publisher),
}

impl Submitter {
    /// A submitter that hands events to `deliver`, which must not block.
    pub fn new(
        deliver: impl Fn(Delivery) -> Result<(), SubmitError> + Send + Sync + 'static,
    ) -> Submitter {
        Submitter {
            to: To::Engine(Arc::new(deliver)),
            room: Arc::new(Semaphore::new(MAX_UNSETTLED)),
        }
    }

    /// A submitter that publishes events; they are durable when the broker has confirmed them.
    pub fn to_broker(publisher: Publisher) -> Submitter {
        Submitter { to: To::Broker(publisher), room: Arc::new(Semaphore::new(MAX_UNSETTLED)) }
    }

    /// Hands `events` in and waits until all of them are durable.
    pub async fn submit(&self, events: Vec<Submitted>) -> Result<(), SubmitError> {
        if events.is_empty() {
            return Ok(());
        }
        // A body holds far fewer events than there is room for, or it waits for all of it.
        let permits = events.len().min(MAX_UNSETTLED) as u32;
        let permit = Arc::clone(&self.room).acquire_many_owned(permits);
        let permit = match tokio::time::timeout(MAX_WAIT, permit).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(SubmitError::Stopped),
            Err(_) => return Err(SubmitError::Busy),
        };
        let deliver = match &self.to {
            To::Engine(deliver) => deliver,
            To::Broker(publisher) => return publish(publisher, events).await,
        };
        let (done, settled) = oneshot::channel();
        let receipts = Receipt::several(events.len(), move || {
            drop(permit);
            // Who submitted may have gone away.
            done.send(()).unwrap_or(());
        });
        for (event, receipt) in events.into_iter().zip(receipts) {
            deliver(Delivery { event, receipt })?;
        }
        settled.await.map_err(|_| SubmitError::Stopped)
    }

    /// Refuses whatever is submitted from now on.
    pub fn close(&self) {
        self.room.close();
    }
}

/// Publishes `events`, all at once, and waits for every confirm.
async fn publish(publisher: &Publisher, events: Vec<Submitted>) -> Result<(), SubmitError> {
    let mut publishes = tokio::task::JoinSet::new();
    for event in events {
        let publisher = publisher.clone();
        publishes.spawn(async move { publisher.publish(message(event)).await });
    }
    let mut failed = None;
    while let Some(published) = publishes.join_next().await {
        // A panic has been reported; nothing is known of its event.
        let published = published.map_err(|_| SubmitError::Stopped)?;
        failed = failed.or(published.err());
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// The message that carries an event.
fn message(event: Submitted) -> Message {
    let Submitted { fact, body, .. } = event;
    Message {
        exchange: topology::JOBS.into(),
        routing_key: fact.kind.as_str().into(),
        body: body.into(),
        message_id: Some(fact.event.to_string()),
        ..Message::default()
    }
}
