//! A connection, and the ways in which it goes wrong.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::Stream;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::{Channel, ConnectionProperties, ErrorKind, Event};

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::{Url, topology};

/// How long it may take from the first packet to a declared topology, until we say that the broker
/// is away.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// When an attempt is given up for another: whoever is frozen for a minute may as well be gone.
const HOPELESS: Duration = Duration::from_secs(60);

/// How long a farewell may take; the broker notices without it.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

/// How things stand with the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Connected,
    /// The broker takes nothing from publishers: it lacks memory or disk space.
    Blocked,
    /// There is no connection, and why.
    Away(String),
}

/// What ended a session, or kept one from beginning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Fault {
    pub kind: FaultKind,
    text: String,
}

/// Faults by what they are, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// No connection could be made.
    Unreachable,
    /// The broker refused us: login, virtual host, or a declaration.
    Refused,
    /// The connection was lost, or closed by force.
    Lost,
    /// The broker closed our channel.
    Channel,
    /// The broker ended the consumer: its queue was deleted, or has moved.
    Cancelled,
    /// The broker sent what the client library cannot read.
    Unreadable,
}

impl FaultKind {
    pub const ALL: [FaultKind; 6] = [
        FaultKind::Unreachable,
        FaultKind::Refused,
        FaultKind::Lost,
        FaultKind::Channel,
        FaultKind::Cancelled,
        FaultKind::Unreadable,
    ];

    /// Its name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FaultKind::Unreachable => "unreachable",
            FaultKind::Refused => "refused",
            FaultKind::Lost => "lost",
            FaultKind::Channel => "channel",
            FaultKind::Cancelled => "cancelled",
            FaultKind::Unreadable => "unreadable",
        }
    }
}

/// How many faults there have been, by kind.
#[derive(Debug, Default)]
pub struct Faults([AtomicU64; FaultKind::ALL.len()]);

impl Faults {
    #[must_use]
    pub fn get(&self, kind: FaultKind) -> u64 {
        self.0[kind as usize].load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, kind: FaultKind) {
        self.0[kind as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl Fault {
    pub(super) fn new(kind: FaultKind, text: impl Into<String>) -> Fault {
        Fault { kind, text: text.into() }
    }

    /// An error while connecting.
    fn connecting(error: &lapin::Error, url: &Url) -> Fault {
        let (address, vhost) = (url.address(), url.vhost());
        let (kind, text) = match error.kind() {
            ErrorKind::ProtocolError(amqp) => match amqp.kind() {
                AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => (
                    FaultKind::Refused,
                    format!("{address} refused the login: check user and password"),
                ),
                AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => (
                    FaultKind::Refused,
                    format!("{address} refused virtual host `{vhost}`: create it, or let us in"),
                ),
                _ => (FaultKind::Unreachable, format!("{address} closed the connection")),
            },
            ErrorKind::ParsingError(_) => (
                FaultKind::Unreachable,
                format!("{address} does not speak AMQP: check host and port"),
            ),
            _ => (
                FaultKind::Unreachable,
                format!("cannot reach a broker at {address}: check host and port, and the broker"),
            ),
        };
        Fault::new(kind, format!("{text} ({error})"))
    }

    /// An error while declaring.
    fn declaring(error: &lapin::Error, url: &Url) -> Fault {
        match error.is_amqp_soft_error() {
            true => Fault::new(
                FaultKind::Refused,
                format!(
                    "{} refused a declaration: delete what is there in another form, or give us \
                     the permission ({error})",
                    url.address()
                ),
            ),
            false => Fault::during(error),
        }
    }

    /// An error in the course of a session.
    pub(super) fn during(error: &lapin::Error) -> Fault {
        match error.kind() {
            ErrorKind::ProtocolError(amqp) => match amqp.kind() {
                AMQPErrorKind::Soft(_) => Fault::new(
                    FaultKind::Channel,
                    format!("the broker closed the channel ({error})"),
                ),
                AMQPErrorKind::Hard(_) => Fault::new(
                    FaultKind::Lost,
                    format!("the broker closed the connection ({error})"),
                ),
            },
            ErrorKind::ParsingError(_) => Fault::new(
                FaultKind::Unreadable,
                format!(
                    "the broker sent what cannot be read, as a routing key or the name of a \
                     header that is not UTF-8: find its producer ({error})"
                ),
            ),
            _ => Fault::new(FaultKind::Lost, format!("the connection was lost ({error})")),
        }
    }

    /// The events of a connection have ended.
    pub(super) fn lost() -> Fault {
        Fault::new(FaultKind::Lost, "the connection was lost")
    }
}

/// A connection with one channel, on which the topology has been declared.
pub(super) struct Connection {
    inner: lapin::Connection,
    pub(super) channel: Channel,
    pub(super) events: Pin<Box<dyn Stream<Item = Event> + Send>>,
}

/// Makes connections, one at a time.
///
/// An attempt that the library is not allowed to finish leaves a thread and a socket behind. So one
/// that takes long goes on while we say that the broker is away, and the next waits for it.
pub(super) struct Dialer {
    url: Url,
    /// What the broker shows of us.
    name: String,
    attempt: Option<Attempt>,
}

struct Attempt {
    began: Instant,
    opening: JoinHandle<Result<Connection, Fault>>,
}

impl Dialer {
    pub(super) fn new(url: Url, name: String) -> Dialer {
        Dialer { url, name, attempt: None }
    }

    /// Connects and declares the topology.
    pub(super) async fn dial(&mut self) -> Result<Connection, Fault> {
        let attempt = self.attempt.take().filter(|attempt| attempt.began.elapsed() < HOPELESS);
        let mut attempt = attempt.unwrap_or_else(|| {
            let (url, name) = (self.url.clone(), self.name.clone());
            let opening = tokio::spawn(async move { Connection::open(&url, &name).await });
            Attempt { began: Instant::now(), opening }
        });
        let silent = || {
            let text = format!("{} does not answer: check the broker", self.url.address());
            Fault::new(FaultKind::Unreachable, text)
        };
        match timeout(PATIENCE, &mut attempt.opening).await {
            Ok(opened) => opened.unwrap_or_else(|_| Err(silent())),
            Err(_) => {
                let fault = silent();
                self.attempt = Some(attempt);
                Err(fault)
            }
        }
    }
}

impl Connection {
    async fn open(url: &Url, name: &str) -> Result<Connection, Fault> {
        let inner = connect(url, name).await?;
        let events = Box::pin(inner.events_listener());
        let declared = declare(&inner).await;
        let channel = declared.map_err(|error| Fault::declaring(&error, url))?;
        Ok(Connection { inner, channel, events })
    }

    /// Declares the topology once more, on a channel of its own.
    pub(super) async fn declare_again(&mut self) -> Result<(), Fault> {
        let declared = declare(&self.inner).await;
        let channel = declared.map_err(|error| Fault::during(&error))?;
        channel.close(OK, "done".into()).await.map_err(|error| Fault::during(&error))
    }

    /// Says goodbye, if the broker still listens.
    pub(super) async fn close(self) {
        // It may be gone already.
        drop(timeout(FAREWELL, self.inner.close(OK, "bye".into())).await);
    }
}

/// A connection on which nothing has been declared.
pub(super) async fn connect(url: &Url, name: &str) -> Result<lapin::Connection, Fault> {
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let connected = lapin::Connection::connect_uri(url.uri(), properties).await;
    connected.map_err(|error| Fault::connecting(&error, url))
}

/// A new channel, on which the topology has been declared.
async fn declare(connection: &lapin::Connection) -> lapin::Result<Channel> {
    let channel = connection.create_channel().await?;
    topology::declare(&channel).await?;
    Ok(channel)
}

/// The reply code of whoever closes without complaint.
pub(super) const OK: u16 = 200;
