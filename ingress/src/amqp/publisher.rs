//! Publishing with confirms: a message is out when the broker has it in a queue, and not before.
//!
//! ```text
//!   publish ──▶ room in the window ──▶ session: basic.publish ──▶ broker
//!      ▲                                  │  return, ack, nack ◀────┘
//!      └──── Ok, or why not ◀──── confirms (which return belongs to which message)
//! ```
//!
//! One task owns the connection. It connects, declares the topology, publishes what it is handed
//! and answers when the broker has; when the connection is lost it begins anew, with growing
//! delays.
//!
//! # Invariants
//!
//! 1. `Ok` means: persistent, routed to at least one queue, and confirmed.
//! 2. An error means that nothing is known about the message, unless it is
//!    [`PublishError::Unroutable`] or [`PublishError::Refused`]. Publishing it again is safe, since
//!    a duplicate changes nothing.
//! 3. Every call ends within its deadline; while there is no connection, or the broker blocks
//!    publishers, it ends at once.
//!
//! # Cost
//!
//! The bodies of the messages in the window, twice: ours, and the client library's until they are
//! written to the socket.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::connection::{Dialer, Fault, Faults, State};
use super::{Url, backoff::Backoff};

mod confirms;
mod session;

/// Publishes that may be unconfirmed at once: more gains nothing, as measured, and bodies of the
/// usual 1 KiB are then 1 MB.
const WINDOW: usize = 1_000;

/// How long a publish may take until it has been confirmed.
const DEADLINE: Duration = Duration::from_secs(5);

/// Bytes of a name on the wire: exchange, routing key, message id, name of a header.
const MAX_NAME_BYTES: usize = 255;

/// How a publisher works.
#[derive(Clone, Debug)]
pub struct Config {
    pub url: Url,
    /// What the broker shows of the connection.
    pub name: String,
    /// Publishes that may be unconfirmed at once.
    pub window: usize,
    /// How long a publish may take until it has been confirmed.
    pub deadline: Duration,
}

impl Config {
    #[must_use]
    pub fn new(url: Url, name: impl Into<String>) -> Config {
        Config { url, name: name.into(), window: WINDOW, deadline: DEADLINE }
    }
}

/// What is published. A clone shares the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub exchange: Cow<'static, str>,
    pub routing_key: Cow<'static, str>,
    pub body: Arc<[u8]>,
    pub message_id: Option<String>,
    pub content_type: Option<String>,
    pub headers: Vec<(Cow<'static, str>, String)>,
}

impl Message {
    /// The first name that does not fit on the wire.
    fn too_long(&self) -> Option<&str> {
        let names = [&*self.exchange, &*self.routing_key].into_iter();
        let names = names.chain(self.message_id.as_deref()).chain(self.content_type.as_deref());
        let mut names = names.chain(self.headers.iter().map(|(name, _)| &**name));
        names.find(|name| name.len() > MAX_NAME_BYTES)
    }
}

/// Why a message was not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no connection.
    #[error("the broker is away ({0}): publish again when it is back")]
    Away(String),
    /// The broker takes nothing from publishers.
    #[error(
        "the broker is blocking publishers, as it lacks memory or disk space: \
         free some there, and publish again"
    )]
    Blocked,
    /// No queue wanted it.
    #[error("no queue is bound for `{routing_key}` on exchange `{exchange}`: bind one")]
    Unroutable { exchange: String, routing_key: String },
    /// A queue refused it, or nobody could take it.
    #[error("refused: {0}")]
    Refused(String),
    /// It was not confirmed in time.
    #[error("not confirmed within {0:?}: the broker is slow; publish again, and more slowly")]
    TimedOut(Duration),
}

/// What a publisher has done so far.
#[derive(Debug, Default)]
pub struct Counters {
    pub confirmed: AtomicU64,
    pub away: AtomicU64,
    pub blocked: AtomicU64,
    pub unroutable: AtomicU64,
    pub refused: AtomicU64,
    pub timed_out: AtomicU64,
    /// Connections made.
    pub sessions: AtomicU64,
    pub faults: Faults,
}

impl Counters {
    fn count(&self, result: &Result<(), PublishError>) {
        let counter = match result {
            Ok(()) => &self.confirmed,
            Err(PublishError::Away(_)) => &self.away,
            Err(PublishError::Blocked) => &self.blocked,
            Err(PublishError::Unroutable { .. }) => &self.unroutable,
            Err(PublishError::Refused(_)) => &self.refused,
            Err(PublishError::TimedOut(_)) => &self.timed_out,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Publishes; clones share the connection, which is closed when the last one is dropped.
#[derive(Clone)]
pub struct Publisher {
    requests: mpsc::UnboundedSender<Request>,
    /// It bounds the requests as well.
    window: Arc<Semaphore>,
    state: watch::Receiver<State>,
    counters: Arc<Counters>,
    deadline: Duration,
}

/// A message on its way, and who waits for it.
struct Request {
    message: Message,
    answer: oneshot::Sender<Result<(), PublishError>>,
    room: OwnedSemaphorePermit,
}

impl Publisher {
    /// Starts to connect; must be called within a tokio runtime.
    #[must_use]
    pub fn start(config: Config) -> Publisher {
        let (requests, received) = mpsc::unbounded_channel();
        let (told, state) = watch::channel(State::Away("connecting".to_owned()));
        let counters = Arc::new(Counters::default());
        let window = Arc::new(Semaphore::new(config.window));
        let deadline = config.deadline;
        let supervisor =
            Supervisor { config, requests: received, state: told, counters: Arc::clone(&counters) };
        tokio::spawn(supervisor.run());
        Publisher { requests, window, state, counters, deadline }
    }

    /// Publishes, and waits until the broker has the message in a queue.
    pub async fn publish(&self, message: Message) -> Result<(), PublishError> {
        let result = self.try_publish(message).await;
        self.counters.count(&result);
        result
    }

    /// How things stand with the broker.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// What has been done so far.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    async fn try_publish(&self, message: Message) -> Result<(), PublishError> {
        let deadline = Instant::now() + self.deadline;
        let late = |_| PublishError::TimedOut(self.deadline);
        if let Some(name) = message.too_long() {
            let text = format!(
                "a name of {} bytes is longer than the {MAX_NAME_BYTES} of AMQP: shorten it",
                name.len()
            );
            return Err(PublishError::Refused(text));
        }
        unless_unable(&self.state.borrow())?;
        let room = match Arc::clone(&self.window).try_acquire_owned() {
            Ok(room) => room,
            Err(_) => timeout_at(deadline, self.room()).await.map_err(late)??,
        };
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request { message, answer, room }).map_err(|_| stopped())?;
        timeout_at(deadline, answered).await.map_err(late)?.map_err(|_| stopped())?
    }

    /// Waits for room in the window, as long as that makes sense.
    async fn room(&self) -> Result<OwnedSemaphorePermit, PublishError> {
        let mut state = self.state.clone();
        tokio::select! {
            room = Arc::clone(&self.window).acquire_owned() => room.map_err(|_| stopped()),
            state = state.wait_for(|state| *state != State::Connected) => {
                let state = state.map_err(|_| stopped())?;
                unless_unable(&state).and(Err(stopped()))
            }
        }
    }
}

fn unless_unable(state: &State) -> Result<(), PublishError> {
    match state {
        State::Connected => Ok(()),
        State::Blocked => Err(PublishError::Blocked),
        State::Away(reason) => Err(PublishError::Away(reason.clone())),
    }
}

/// The task has gone, which it does only with its runtime.
fn stopped() -> PublishError {
    PublishError::Away("shutting down".to_owned())
}

/// The task that owns the connection.
struct Supervisor {
    config: Config,
    requests: mpsc::UnboundedReceiver<Request>,
    state: watch::Sender<State>,
    counters: Arc<Counters>,
}

impl Supervisor {
    async fn run(mut self) {
        let Config { url, name, .. } = self.config.clone();
        let mut dialer = Dialer::new(url.clone(), name);
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            let fault = match self.meanwhile(dialer.dial()).await {
                None => return,
                Some(Err(fault)) => fault,
                Some(Ok(connection)) => {
                    self.counters.sessions.fetch_add(1, Ordering::Relaxed);
                    self.state.send_replace(State::Connected);
                    tracing::info!(broker = %url, "publisher connected");
                    match session::run(connection, &mut self.requests, &self.state).await {
                        None => return,
                        Some(fault) => fault,
                    }
                }
            };
            self.away(&fault);
            let delay = backoff.delay_after(began.elapsed());
            tracing::warn!(broker = %url, fault = fault.kind.as_str(), retry_in = ?delay, "publisher: {fault}");
            if self.meanwhile(tokio::time::sleep(delay)).await.is_none() {
                return;
            }
        }
    }

    fn away(&mut self, fault: &Fault) {
        self.counters.faults.count(fault.kind);
        self.state.send_replace(State::Away(fault.to_string()));
    }

    /// Waits for something without a connection, and says so to whoever publishes meanwhile; none
    /// if nobody ever will again.
    async fn meanwhile<T>(&mut self, something: impl Future<Output = T>) -> Option<T> {
        let mut something = std::pin::pin!(something);
        loop {
            tokio::select! {
                result = &mut something => return Some(result),
                request = self.requests.recv() => {
                    let result = unless_unable(&self.state.borrow());
                    // Who waited may have gone.
                    drop(request?.answer.send(result.and(Err(stopped()))));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_does_not_fit_is_found() {
        let long = "x".repeat(256);
        let message = Message::default();
        assert_eq!(message.too_long(), None);
        let headers = vec![(long.clone().into(), String::new())];
        for message in [
            Message { exchange: long.clone().into(), ..Message::default() },
            Message { routing_key: long.clone().into(), ..Message::default() },
            Message { message_id: Some(long.clone()), ..Message::default() },
            Message { headers, ..Message::default() },
        ] {
            assert_eq!(message.too_long(), Some(&*long));
        }
    }
}
