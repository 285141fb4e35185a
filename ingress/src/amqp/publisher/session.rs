//! One connection of a publisher, from the first publish to the fault that ends it.

use std::pin::Pin;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Event, PublisherConfirm};
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, Instant};

use super::confirms::{Confirms, Id};
use super::{Message, PublishError, Request};
use crate::amqp::connection::{Connection, Fault, State};

/// Written so that it survives a restart of the broker.
const PERSISTENT: u8 = 2;

/// From a message that no queue wanted to the declaration because of it. RabbitMQ 3.10 forgets to
/// tell the consumer of a deleted queue if it is declared again at once, and the consumer, which
/// would declare it itself, waits for ever.
const REDECLARE: Duration = Duration::from_secs(1);

/// Messages that may be on their way to the socket at once; each on its own would cost a change of
/// threads, twice.
const WRITING: usize = 64;

/// A message that is being written to the socket.
type Writing = Pin<Box<dyn Future<Output = (Id, lapin::Result<PublisherConfirm>)> + Send>>;

/// Publishes until something goes wrong; none if nobody is there to publish any more.
pub(super) async fn run(
    mut connection: Connection,
    requests: &mut mpsc::UnboundedReceiver<Request>,
    state: &watch::Sender<State>,
) -> Option<Fault> {
    let options = ConfirmSelectOptions::default();
    if let Err(error) = connection.channel.confirm_select(options).await {
        return Some(Fault::during(&error));
    }
    let mut session = Session {
        confirms: Confirms::new(connection.channel.clone()),
        writing: FuturesUnordered::new(),
        redeclare: None,
    };
    let ended = session.publish(&mut connection, requests, state).await;
    if let Err(fault) = &ended {
        // First the state, so that nobody hands in anything that would not be answered.
        state.send_replace(State::Away(fault.to_string()));
        session.confirms.give_up(&PublishError::Away(fault.to_string()));
        refuse(requests, &PublishError::Away(fault.to_string()));
    }
    connection.close().await;
    ended.err()
}

struct Session {
    confirms: Confirms,
    /// All by this task: the library numbers a message and hands it to the socket in two steps, and
    /// between them another task could change the order.
    writing: FuturesUnordered<Writing>,
    /// When to declare the topology once more.
    redeclare: Option<Instant>,
}

impl Session {
    async fn publish(
        &mut self,
        connection: &mut Connection,
        requests: &mut mpsc::UnboundedReceiver<Request>,
        state: &watch::Sender<State>,
    ) -> Result<(), Fault> {
        loop {
            tokio::select! {
                event = connection.events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!(reason, "the broker blocks publishers");
                        state.send_replace(State::Blocked);
                        self.confirms.give_up(&PublishError::Blocked);
                        refuse(requests, &PublishError::Blocked);
                    }
                    Some(Event::ConnectionUnblocked) => {
                        tracing::info!("the broker takes messages again");
                        state.send_replace(State::Connected);
                    }
                    Some(Event::Error(error)) => return Err(Fault::during(&error)),
                    Some(_) => {}
                    None => return Err(Fault::lost()),
                },
                Some((id, written)) = self.writing.next() => {
                    self.confirms.wait_for(id, written.map_err(|error| Fault::during(&error))?);
                }
                unroutable = self.confirms.next() => {
                    if unroutable? {
                        // A queue of ours may have been deleted.
                        self.redeclare.get_or_insert_with(|| Instant::now() + REDECLARE);
                    }
                }
                () = due(self.redeclare) => {
                    self.redeclare = None;
                    connection.declare_again().await?;
                }
                request = requests.recv(), if self.writing.len() < WRITING => {
                    let Some(request) = request else { return Ok(()) };
                    match *state.borrow() {
                        State::Blocked => drop(request.answer.send(Err(PublishError::Blocked))),
                        // Whoever waited has gone already.
                        _ if request.answer.is_closed() => {}
                        _ => self.write(request, &connection.channel),
                    }
                }
            }
        }
    }

    fn write(&mut self, request: Request, channel: &Channel) {
        let Request { message, answer, room } = request;
        let id = self.confirms.register(&message, answer, room);
        let channel = channel.clone();
        self.writing.push(Box::pin(async move { (id, basic_publish(&channel, message).await) }));
    }
}

/// Waits until a moment, if there is one.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn basic_publish(channel: &Channel, message: Message) -> lapin::Result<PublisherConfirm> {
    let Message { exchange, routing_key, body, message_id, content_type, headers } = message;
    let mut properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
    if let Some(id) = message_id {
        properties = properties.with_message_id(short(id));
    }
    if let Some(content_type) = content_type {
        properties = properties.with_content_type(short(content_type));
    }
    if !headers.is_empty() {
        let mut table = FieldTable::default();
        for (name, value) in headers {
            table.insert(short(name), AMQPValue::LongString(value.into()));
        }
        properties = properties.with_headers(table);
    }
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    channel.basic_publish(short(exchange), short(routing_key), options, &body, properties).await
}

/// A name on the wire; those that are too long have been refused.
fn short(name: impl Into<String>) -> ShortString {
    ShortString::try_new(name).unwrap_or_default()
}

/// Answers those who have not had their turn.
fn refuse(requests: &mut mpsc::UnboundedReceiver<Request>, error: &PublishError) {
    while let Ok(request) = requests.try_recv() {
        drop(request.answer.send(Err(error.clone())));
    }
}
