//! A short visit at the broker, for tools: it looks, takes messages, and declares nothing.
//!
//! Unlike a [`Publisher`](super::Publisher) or a [`Consumer`](super::Consumer), a visit that fails
//! is over: whoever asked is told why, by the kind of the [`Fault`].

use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Acker, Channel, ErrorKind};
use std::time::Duration;

use tokio::time::timeout;

use super::Url;
use super::connection::{FAREWELL, Fault, FaultKind, OK, PATIENCE, connect};
use super::topology::{self, Queue};

/// A connection to a broker.
pub struct Visit {
    connection: lapin::Connection,
}

impl Visit {
    /// Connects; `name` is what the broker shows of us.
    pub async fn begin(url: &Url, name: &str) -> Result<Visit, Fault> {
        Visit::begin_within(PATIENCE, url, name).await
    }

    /// The same, for whoever waits no longer than this.
    pub async fn begin_within(limit: Duration, url: &Url, name: &str) -> Result<Visit, Fault> {
        let silent = || {
            let text = format!("{} does not answer: check the broker", url.address());
            Fault::new(FaultKind::Unreachable, text)
        };
        let connected = timeout(limit, connect(url, name)).await;
        Ok(Visit { connection: connected.unwrap_or_else(|_| Err(silent()))? })
    }

    /// Messages in a queue that nobody has been given; none if there is no such queue.
    pub async fn depth(&self, queue: &str) -> Result<Option<u64>, Fault> {
        // The broker closes the channel of whoever asks for a queue that is not there.
        let channel = self.channel().await?;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found = channel.queue_declare(name(queue), options, FieldTable::default()).await;
        match found {
            Ok(found) => {
                let count = found.message_count().into();
                let closed = channel.close(OK, "done".into()).await;
                closed.map(|()| Some(count)).map_err(|error| Fault::during(&error))
            }
            Err(error) if soft(&error, &AMQPSoftError::NOTFOUND) => Ok(None),
            Err(error) => Err(Fault::during(&error)),
        }
    }

    /// Whether a queue is there in the form in which we declare it.
    ///
    /// A broker tells nobody the arguments of a queue, but it refuses to declare it with others. So
    /// a queue that is there is declared once more, which changes nothing.
    pub async fn queue(&self, queue: Queue) -> Result<Form, Fault> {
        if self.depth(queue.name).await?.is_none() {
            return Ok(Form::Absent);
        }
        let channel = self.channel().await?;
        form(&channel, topology::declare_queue(&channel, queue).await).await
    }

    /// Whether an exchange is there in the form in which we declare it.
    pub async fn exchange(&self, name: &str) -> Result<Form, Fault> {
        let channel = self.channel().await?;
        match topology::declare_exchange(&channel, name, true).await {
            Err(error) if soft(&error, &AMQPSoftError::NOTFOUND) => return Ok(Form::Absent),
            Err(error) => return Err(Fault::during(&error)),
            Ok(()) => {}
        }
        form(&channel, topology::declare_exchange(&channel, name, false).await).await
    }

    /// The messages of a queue, to be taken one after another.
    pub async fn letters(&self, queue: &str) -> Result<Letters, Fault> {
        Ok(Letters { channel: self.channel().await?, queue: name(queue) })
    }

    /// Says goodbye; whatever was taken and not acknowledged goes back into its queue.
    pub async fn end(self) {
        // The broker may be gone already.
        drop(timeout(FAREWELL, self.connection.close(OK, "bye".into())).await);
    }

    async fn channel(&self) -> Result<Channel, Fault> {
        self.connection.create_channel().await.map_err(|error| Fault::during(&error))
    }
}

/// How something in the broker is, compared with how we declare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    Absent,
    AsNeeded,
    /// Otherwise, and how the broker says so.
    Other(String),
}

/// What there is to take of a queue.
pub struct Letters {
    channel: Channel,
    queue: ShortString,
}

/// A message that was taken: it is ours until it is acknowledged, or the visit ends.
#[derive(Debug)]
pub struct Letter {
    pub routing_key: String,
    pub message_id: Option<String>,
    pub content_type: Option<String>,
    /// Those that are text.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    acker: Acker,
}

impl Letters {
    /// The next message; none if nothing is ready.
    pub async fn next(&self) -> Result<Option<Letter>, Fault> {
        let options = BasicGetOptions { no_ack: false };
        let taken = self.channel.basic_get(self.queue.clone(), options).await;
        let taken = taken.map_err(|error| Fault::during(&error))?;
        Ok(taken.map(|message| Letter::of(message.delivery)))
    }
}

impl Letter {
    fn of(delivery: Delivery) -> Letter {
        let Delivery { routing_key, properties, data, acker, .. } = delivery;
        let text = |value: &AMQPValue| match value {
            AMQPValue::LongString(text) => Some(text.to_string()),
            AMQPValue::ShortString(text) => Some(text.to_string()),
            _ => None,
        };
        let headers = properties.headers().iter().flat_map(|table| table.inner());
        let headers = headers.filter_map(|(name, value)| Some((name.to_string(), text(value)?)));
        Letter {
            routing_key: routing_key.into(),
            message_id: properties.message_id().clone().map(String::from),
            content_type: properties.content_type().clone().map(String::from),
            headers: headers.collect(),
            body: data,
            acker,
        }
    }

    /// The text of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(header, _)| header == name);
        named.next().map(|(_, text)| &**text)
    }

    /// Says that the broker may forget it.
    pub async fn ack(self) -> Result<(), Fault> {
        match self.acker.ack(BasicAckOptions::default()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Fault::lost()),
            Err(error) => Err(Fault::during(&error)),
        }
    }
}

/// Whether the broker closed a channel for this.
fn soft(error: &lapin::Error, expected: &AMQPSoftError) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(error) => {
            matches!(error.kind(), AMQPErrorKind::Soft(soft) if soft == expected)
        }
        _ => false,
    }
}

/// What a declaration of something that is there says of its form.
async fn form(channel: &Channel, declared: lapin::Result<()>) -> Result<Form, Fault> {
    match declared {
        Ok(()) => {
            let closed = channel.close(OK, "done".into()).await;
            closed.map(|()| Form::AsNeeded).map_err(|error| Fault::during(&error))
        }
        Err(error) if soft(&error, &AMQPSoftError::PRECONDITIONFAILED) => {
            Ok(Form::Other(error.to_string()))
        }
        Err(error) => Err(Fault::during(&error)),
    }
}

/// A name on the wire; one that is too long names nothing that could be there.
fn name(queue: &str) -> ShortString {
    ShortString::try_new(queue).unwrap_or_default()
}
