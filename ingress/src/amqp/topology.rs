//! What we expect to find in RabbitMQ, declared in one place.
//!
//! ```text
//!   jobs (topic) ──job.#───────▶ observatory.events       the pipeline's
//!                ──job.created──▶ jobs.created            the workers'
//!   jobs.dlx (topic) ──#───────▶ jobs.failed.validation   what was rejected, key = reason
//!   celeryev (topic) ──#───────▶ observatory.celery       the pipeline's, with --celery
//! ```
//!
//! The exchange of Celery's events is Celery's, in the form in which it declares it; who comes first
//! makes it. Its own monitors have queues that forget what is five seconds old; ours does not.
//!
//! Everything is durable and every queue a quorum queue. A queue's arguments cannot be changed
//! once it is there: whoever declares it otherwise is refused, and so are we.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

/// Events are published here, with their type as the routing key.
pub const JOBS: &str = "jobs";
/// What was rejected is published here, with the reason as the routing key.
pub const DEAD_LETTER_EXCHANGE: &str = "jobs.dlx";

/// All events, for the pipeline.
pub const EVENTS: &str = "observatory.events";
/// The jobs that are to be executed, for the workers.
pub const CREATED: &str = "jobs.created";
/// What was rejected.
pub const DEAD_LETTERS: &str = "jobs.failed.validation";

/// The exchanges. All are durable topic exchanges.
pub const EXCHANGES: [&str; 2] = [JOBS, DEAD_LETTER_EXCHANGE];

/// The queues.
pub const QUEUES: [Queue; 3] = [
    Queue { name: EVENTS, exchange: JOBS, binding: "job.#" },
    Queue { name: CREATED, exchange: JOBS, binding: "job.created" },
    Queue { name: DEAD_LETTERS, exchange: DEAD_LETTER_EXCHANGE, binding: "#" },
];

/// Everything that a Celery application tells of its tasks and workers, for the pipeline; declared
/// only where that is asked for.
pub const CELERY: Queue = Queue { name: "observatory.celery", exchange: "celeryev", binding: "#" };

/// The arguments of every queue.
pub const ARGUMENTS: [(&str, Argument); 2] = [
    ("x-queue-type", Argument::Text("quorum")),
    // What is poison is decided by us, and by nothing else: with the usual limit of 20, a process
    // that cannot start would in the end throw away messages that nothing is wrong with.
    ("x-delivery-limit", Argument::Number(1_000_000)),
];

/// A queue, and which messages come into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    pub name: &'static str,
    pub exchange: &'static str,
    /// The pattern of routing keys.
    pub binding: &'static str,
}

/// The value of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    Text(&'static str),
    Number(i64),
}

/// Declares all of it; what is there already in this form stays as it is.
pub async fn declare(channel: &Channel) -> lapin::Result<()> {
    for exchange in EXCHANGES {
        declare_exchange(channel, exchange, false).await?;
    }
    for queue in QUEUES {
        declare_bound(channel, queue).await?;
    }
    Ok(())
}

/// Declares a queue and its binding.
async fn declare_bound(channel: &Channel, queue: Queue) -> lapin::Result<()> {
    let Queue { name, exchange, binding } = queue;
    declare_queue(channel, queue).await?;
    let options = QueueBindOptions::default();
    let (exchange, binding) = (exchange.into(), binding.into());
    channel.queue_bind(name.into(), exchange, binding, options, FieldTable::default()).await
}

/// Declares what is consumed of Celery.
pub(super) async fn declare_celery(channel: &Channel) -> lapin::Result<()> {
    declare_exchange(channel, CELERY.exchange, false).await?;
    declare_bound(channel, CELERY).await
}

/// Declares an exchange, or, if `passive`, only looks whether there is one of that name.
pub(super) async fn declare_exchange(
    channel: &Channel,
    exchange: &str,
    passive: bool,
) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions { durable: true, passive, ..Default::default() };
    let kind = ExchangeKind::Topic;
    channel.exchange_declare(exchange.into(), kind, options, FieldTable::default()).await
}

pub(super) async fn declare_queue(channel: &Channel, queue: Queue) -> lapin::Result<()> {
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(queue.name.into(), options, arguments()).await.map(drop)
}

/// The arguments of every queue, in the form in which RabbitMQ's management API shows them.
#[must_use]
pub fn expected_arguments() -> serde_json::Map<String, serde_json::Value> {
    let value = |argument| match argument {
        Argument::Text(text) => text.into(),
        Argument::Number(number) => number.into(),
    };
    ARGUMENTS.map(|(name, argument)| (name.to_owned(), value(argument))).into_iter().collect()
}

fn arguments() -> FieldTable {
    let mut table = FieldTable::default();
    for (name, argument) in ARGUMENTS {
        let value = match argument {
            Argument::Text(text) => AMQPValue::LongString(text.into()),
            Argument::Number(number) => AMQPValue::LongLongInt(number),
        };
        table.insert(name.into(), value);
    }
    table
}
