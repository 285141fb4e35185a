//! The servers themselves: each answers, is alone, survives a kill with its data, and freezes.

use e2e::{Broker, Mongo, Postgres, Queue, Redis, Servers};
use mongodb::bson::doc;
use mongodb::options::{InsertOneOptions, WriteConcern};
use redis::AsyncCommands;

use crate::support::{
    Amqp, collection, count, number, postgres, redis, silent, soon, until, value,
};

fn majority() -> InsertOneOptions {
    InsertOneOptions::builder().write_concern(WriteConcern::majority()).build()
}

#[tokio::test]
async fn a_vhost_takes_a_message_and_gives_it_back() {
    let vhost = Servers::shared().vhost("one");
    let amqp = Amqp::connect(vhost.url()).await;
    amqp.declare("jobs").await;
    amqp.publish("jobs", "hello").await;
    assert_eq!(amqp.take("jobs").await.as_deref(), Some("hello"));
    assert_eq!(amqp.take("jobs").await, None);
}

#[tokio::test]
async fn a_vhost_knows_nothing_of_another() {
    let (mine, yours) = (Servers::shared().vhost("same"), Servers::shared().vhost("same"));
    let (me, you) = (Amqp::connect(mine.url()).await, Amqp::connect(yours.url()).await);
    me.declare("jobs").await;
    you.declare("jobs").await;
    me.publish("jobs", "for me").await;
    assert_eq!(you.take("jobs").await, None);
    assert_eq!(me.take("jobs").await.as_deref(), Some("for me"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_depth_of_a_queue_is_known_and_a_queue_can_be_deleted_under_its_users() {
    let vhost = Servers::shared().vhost("depth");
    assert_eq!(vhost.queue("jobs"), None);

    let amqp = Amqp::connect(vhost.url()).await;
    amqp.declare("jobs").await;
    for body in ["a", "b", "c"] {
        amqp.publish("jobs", body).await;
    }
    let unsettled = lapin::options::BasicGetOptions { no_ack: false };
    amqp.channel.basic_get("jobs".into(), unsettled).await.unwrap().unwrap();
    until("two are ready and one is unacknowledged", || {
        let expected = Queue { ready: 2, unacked: 1, consumers: 0 };
        (vhost.queue("jobs") == Some(expected)).then_some(())
    });

    assert!(vhost.delete_queue("jobs"));
    until("the queue is gone", || vhost.queue("jobs").is_none().then_some(()));
    assert!(!vhost.delete_queue("jobs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_closed_by_force_and_only_those_of_the_vhost() {
    let (mine, yours) = (Servers::shared().vhost("cut"), Servers::shared().vhost("cut"));
    let (me, you) = (Amqp::connect(mine.url()).await, Amqp::connect(yours.url()).await);
    you.declare("jobs").await;
    until("the connection is listed", || (mine.connections().len() == 1).then_some(()));

    assert_eq!(mine.close_all(), 1);
    until("the client has noticed", || (!me.channel.status().connected()).then_some(()));
    you.publish("jobs", "still here").await;
}

#[tokio::test]
async fn a_deleted_vhost_takes_nobody() {
    let vhost = Servers::shared().vhost("short");
    let url = vhost.url().to_owned();
    drop(Amqp::connect(&url).await);
    vhost.delete();
    let refused = lapin::Connection::connect(&url, lapin::ConnectionProperties::default()).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_database_is_new_for_each_who_asks() {
    let (mine, yours) = (Servers::shared().database(), Servers::shared().database());
    let (me, you) = (postgres(&mine).await, postgres(&yours).await);
    for client in [&me, &you] {
        client.batch_execute("CREATE TABLE rows (id int)").await.unwrap();
    }
    me.batch_execute("INSERT INTO rows VALUES (1)").await.unwrap();
    assert_eq!(number(&me, "SELECT count(*) FROM rows").await, 1);
    assert_eq!(number(&you, "SELECT count(*) FROM rows").await, 0);
}

#[tokio::test]
async fn a_database_of_mongo_is_new_for_each_who_asks() {
    let (mine, yours) = (Servers::shared().mongo_database(), Servers::shared().mongo_database());
    let (me, you) = (collection(&mine).await, collection(&yours).await);
    me.insert_one(doc! { "_id": 1 }).with_options(majority()).await.unwrap();
    assert_eq!((count(&me).await, count(&you).await), (1, 0));
}

#[tokio::test]
async fn mongo_takes_transactions() {
    let client = mongodb::Client::with_uri_str(Servers::shared().mongo_database()).await.unwrap();
    let rows = client.default_database().unwrap().collection("rows");
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    rows.insert_one(doc! { "_id": 1 }).session(&mut session).await.unwrap();
    rows.insert_one(doc! { "_id": 2 }).session(&mut session).await.unwrap();
    assert_eq!(count(&rows).await, 0);
    session.commit_transaction().await.unwrap();
    assert_eq!(count(&rows).await, 2);
}

#[tokio::test]
async fn a_redis_is_new_for_each_who_asks() {
    let (mine, yours) = (Servers::shared().redis(), Servers::shared().redis());
    let (mut me, mut you) = (redis(&mine.url()).await, redis(&yours.url()).await);
    let _: () = me.set("key", "mine").await.unwrap();
    assert_eq!(value(&mut me, "key").await.as_deref(), Some("mine"));
    assert_eq!(value(&mut you, "key").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_freezes_and_survives_a_kill_with_what_it_has_confirmed() {
    let mut broker = Broker::start();
    let vhost = broker.vhost("mine");
    let amqp = Amqp::connect(vhost.url()).await;
    amqp.declare("jobs").await;

    broker.stop();
    silent(Amqp::connect(vhost.url())).await;
    broker.cont();
    soon("it goes on", amqp.publish("jobs", "kept")).await;

    broker.kill();
    until("the client has noticed", || (!amqp.channel.status().connected()).then_some(()));
    let url = broker.url();
    broker.restart();
    assert_eq!(broker.url(), url);
    let amqp = Amqp::connect(vhost.url()).await;
    assert_eq!(amqp.take("jobs").await.as_deref(), Some("kept"));
    assert_eq!(amqp.take("jobs").await, None);
}

#[tokio::test]
async fn a_postgres_freezes_and_survives_a_kill_with_what_it_has_committed() {
    let mut server = Postgres::start();
    let url = server.database();
    let client = postgres(&url).await;
    client.batch_execute("CREATE TABLE rows (id int)").await.unwrap();

    server.stop();
    // Also who is connected already: not only the process that takes connections stands still.
    silent(client.query_one("SELECT 1", &[])).await;
    server.cont();
    soon("it goes on", client.batch_execute("INSERT INTO rows VALUES (1)")).await.unwrap();

    server.kill();
    assert!(client.query_one("SELECT 1", &[]).await.is_err());
    server.restart();
    assert_eq!(number(&postgres(&url).await, "SELECT count(*) FROM rows").await, 1);
}

#[tokio::test]
async fn a_mongo_freezes_and_survives_a_kill_with_what_the_majority_has() {
    let mut server = Mongo::start();
    let rows = collection(&server.database()).await;
    rows.insert_one(doc! { "_id": 1 }).with_options(majority()).await.unwrap();

    server.stop();
    silent(count(&rows)).await;
    server.cont();
    assert_eq!(soon("it goes on", count(&rows)).await, 1);

    server.kill();
    server.restart();
    // The driver finds it again by itself.
    assert_eq!(soon("it is back", count(&rows)).await, 1);
    rows.insert_one(doc! { "_id": 2 }).with_options(majority()).await.unwrap();
}

#[tokio::test]
async fn a_redis_freezes_and_has_forgotten_everything_after_a_kill() {
    let mut server = Redis::start();
    let mut connection = redis(&server.url()).await;
    let _: () = connection.set("key", "value").await.unwrap();

    server.stop();
    silent(value(&mut connection, "key")).await;
    server.cont();
    assert_eq!(soon("it goes on", value(&mut connection, "key")).await.as_deref(), Some("value"));

    server.kill();
    server.restart();
    assert_eq!(value(&mut redis(&server.url()).await, "key").await, None);
}
