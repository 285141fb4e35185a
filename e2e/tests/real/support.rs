//! Clients, and waiting.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use ingress::amqp::topology::DEAD_LETTERS;
use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use mongodb::bson::{Document, doc};
use redis::AsyncCommands;
use tokio::runtime::{Handle, Runtime};
use tokio_postgres::NoTls;

#[path = "support/browser.rs"]
pub(crate) mod browser;
#[path = "support/celery.rs"]
pub(crate) mod celery;
#[path = "support/crowd.rs"]
pub(crate) mod crowd;
#[path = "support/exact.rs"]
mod exact;
#[path = "support/kitchen.rs"]
pub(crate) mod kitchen;
#[path = "support/load.rs"]
pub(crate) mod load;
#[path = "support/onlooker.rs"]
pub(crate) mod onlooker;
#[path = "support/poison.rs"]
pub(crate) mod poison;
#[path = "support/raw.rs"]
pub(crate) mod raw;

/// How long anything may take on a busy machine; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the tests are to run at the figures that the documents quote.
pub(crate) fn full() -> bool {
    std::env::var_os("OBSERVATORY_TEST_FULL").is_some()
}

/// For tests that are not asynchronous themselves.
pub(crate) fn runtime() -> Handle {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    RUNTIME.handle().clone()
}

/// Waits for `condition` to give something.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The answer, which must come in time.
pub(crate) async fn soon<T>(what: &str, answer: impl Future<Output = T>) -> T {
    let answered = tokio::time::timeout(PATIENCE, answer).await;
    answered.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// That no answer comes while the other side is frozen: for as long as would do many times over.
pub(crate) async fn silent<T>(answer: impl Future<Output = T>) {
    let answered = tokio::time::timeout(Duration::from_millis(500), answer).await;
    assert!(answered.is_err(), "it has answered");
}

/// A connection to RabbitMQ, with confirms on its only channel.
pub(crate) struct Amqp {
    pub(crate) channel: Channel,
    _connection: Connection,
}

impl Amqp {
    pub(crate) async fn connect(url: &str) -> Amqp {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Amqp { channel, _connection: connection }
    }

    pub(crate) async fn declare(&self, queue: &str) {
        let options = lapin::options::QueueDeclareOptions { durable: true, ..Default::default() };
        self.channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap();
    }

    /// Publishes a message that outlives the broker; returns when the broker has confirmed it.
    pub(crate) async fn publish(&self, queue: &str, body: &str) {
        let persistent = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let sent = self.channel.basic_publish(
            "".into(),
            queue.into(),
            options,
            body.as_bytes(),
            persistent,
        );
        let confirmation = sent.await.unwrap().await.unwrap();
        // An acknowledgement that carries the message says that there is no such queue.
        assert!(confirmation.is_ack(), "{confirmation:?}");
        assert!(confirmation.take_message().is_none(), "there is no queue {queue}");
    }

    /// Takes the next message; none if the queue is empty.
    pub(crate) async fn take(&self, queue: &str) -> Option<String> {
        let options = BasicGetOptions { no_ack: true };
        let message = self.channel.basic_get(queue.into(), options).await.unwrap();
        message.map(|message| String::from_utf8(message.delivery.data).unwrap())
    }
}

/// Takes all messages of the dead-letter queue: reason, body and headers.
pub(crate) async fn dead_letters(url: &str) -> Vec<(String, Vec<u8>, BTreeMap<String, String>)> {
    let amqp = Amqp::connect(url).await;
    let mut letters = Vec::new();
    let options = BasicGetOptions { no_ack: true };
    while let Some(got) = amqp.channel.basic_get(DEAD_LETTERS.into(), options).await.unwrap() {
        let delivery = got.delivery;
        let headers = delivery.properties.headers().clone().unwrap_or_default();
        // The broker adds some that are no text.
        let headers = headers.into_iter().filter_map(|(name, value)| {
            Some((name.to_string(), value.as_long_string()?.to_string()))
        });
        letters.push((delivery.routing_key.to_string(), delivery.data, headers.collect()));
    }
    letters
}

/// A connection to PostgreSQL.
pub(crate) async fn postgres(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    // Its error is the client's as well.
    tokio::spawn(async { drop(connection.await) });
    client
}

/// The only number that a query gives.
pub(crate) async fn number(client: &tokio_postgres::Client, query: &str) -> i64 {
    client.query_one(query, &[]).await.unwrap().get(0)
}

/// A connection to Redis.
pub(crate) async fn redis(url: &str) -> redis::aio::MultiplexedConnection {
    // By default it waits half a second for an answer, which a busy machine may take.
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let client = redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

/// A value in Redis.
pub(crate) async fn value(
    connection: &mut redis::aio::MultiplexedConnection,
    key: &str,
) -> Option<String> {
    connection.get(key).await.unwrap()
}

/// A collection in the database that the URL names; writes wait for the majority.
pub(crate) async fn collection(url: &str) -> mongodb::Collection<Document> {
    let client = mongodb::Client::with_uri_str(url).await.unwrap();
    client.default_database().unwrap().collection("rows")
}

/// How many rows a collection has.
pub(crate) async fn count(rows: &mongodb::Collection<Document>) -> u64 {
    rows.count_documents(doc! {}).await.unwrap()
}
