//! The archive.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use e2e::{Mongo, Servers};
use ingress::submit::Submitted;
use mongodb::bson::{Bson, Document, doc};
use mongodb::{Client, Collection};
use serde_json::{Value, json};
use sinks::commit::{Accepted, SpillRow};
use sinks::mongo::{Archive, Error};
use sinks::store::Archived;
use uuid::Uuid;

/// More than any call takes.
const LONG: Duration = Duration::from_secs(60);

fn envelope(n: u128, text: &str) -> Value {
    json!({
        "contractVersion": "1.1.0", "eventType": "job.created",
        "eventId": Uuid::from_u128(0xE << 120 | n), "occurredAt": "2026-11-21T10:00:00.123456Z",
        "producer": { "service": "worker", "instanceId": "w-1", "version": "0.1.0" },
        "correlationId": Uuid::nil(), "idempotencyKey": "key",
        "payload": { "id": Uuid::from_u128(n / 4), "type": "email.send", "status": "PENDING",
                     "createdAt": "2026-11-21T09:59:58.000000Z", "payload": { "text": text } },
    })
}

fn accepted(tick: u64, body: &[u8]) -> Accepted {
    let event = contracts::decode(body).unwrap();
    Accepted { tick, event: Submitted::of(&event, false), late: false }
}

fn events(tick: u64, n: std::ops::Range<u128>) -> Vec<Accepted> {
    n.map(|n| accepted(tick, envelope(n, "hello").to_string().as_bytes())).collect()
}

fn row(accepted: &Accepted) -> SpillRow {
    SpillRow {
        key: accepted.event.fact.event.to_string(),
        job: accepted.event.fact.job,
        occurred_at: accepted.event.fact.at,
        tick: accepted.tick,
        late: accepted.late,
        body: accepted.event.body.clone(),
    }
}

fn archived(new: u64, repeated: u64, conflicting: u64) -> Archived {
    Archived { new, repeated, conflicting }
}

async fn collection(url: &str) -> Collection<Document> {
    let client = Client::with_uri_str(url).await.unwrap();
    client.default_database().unwrap().collection("job_events")
}

async fn one(url: &str, id: impl Into<Bson>) -> Document {
    collection(url).await.find_one(doc! { "_id": id.into() }).await.unwrap().unwrap()
}

/// The bodies of a job's events.
async fn bodies_of(archive: &Archive, job: Uuid) -> Vec<Vec<u8>> {
    let events = archive.events(job).await.unwrap();
    events.into_iter().map(|event| event.body).collect()
}

/// The bodies by their keys, as `verify` reads them.
async fn all(archive: &Archive) -> BTreeMap<String, Vec<u8>> {
    let mut bodies = archive.all().await.unwrap();
    let mut all = BTreeMap::new();
    while let Some(body) = bodies.next().await.unwrap() {
        assert!(all.insert(body.key, body.body).is_none());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn repeats_and_conflicts_are_told_apart() {
    let url = &Servers::shared().mongo_database();
    let archive = Archive::connect(url).await.unwrap();
    archive.prepare(LONG).await.unwrap();
    assert_eq!(archive.insert(&[], LONG).await.unwrap(), archived(0, 0, 0));
    assert_eq!(archive.insert(&events(1, 0..2_500), LONG).await.unwrap(), archived(2_500, 0, 0));
    // At a later tick: a redelivery.
    let found = archive.insert(&events(2, 2_000..3_000), LONG).await.unwrap();
    assert_eq!(found, archived(500, 500, 0));

    let other = |tick| accepted(tick, envelope(7, "other").to_string().as_bytes());
    assert_eq!(archive.insert(&[other(3)], LONG).await.unwrap(), archived(0, 0, 1));
    assert_eq!(archive.insert(&[other(4)], LONG).await.unwrap(), archived(0, 1, 0));
    // Within one call.
    let mut both = events(5, 5_000..5_001);
    both.extend(events(5, 5_000..5_001));
    both.push(accepted(5, envelope(5_000, "other").to_string().as_bytes()));
    both.push(accepted(5, envelope(5_000, "other").to_string().as_bytes()));
    assert_eq!(archive.insert(&both, LONG).await.unwrap(), archived(1, 2, 1));

    let bodies = all(&archive).await;
    assert_eq!(bodies.len(), 3_003);
    assert_eq!(archive.count().await.unwrap(), 3_003);
    let id = both[0].event.fact.event;
    assert_eq!(archive.event(id).await.unwrap().unwrap(), both[0].event.body);
    let key = format!("{id}:{:016x}", xxhash_rust::xxh3::xxh3_64(&both[2].event.body));
    assert_eq!(bodies[&key], both[2].event.body);
    assert_eq!(archive.event(Uuid::nil()).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_answer_was_lost_counts_as_new() {
    let url = &Servers::shared().mongo_database();
    let archive = Archive::connect(url).await.unwrap();
    let mut some = events(1, 0..1_500);
    some.push(accepted(1, envelope(3, "other").to_string().as_bytes()));
    let first = archive.insert(&some, LONG).await.unwrap();
    assert_eq!(first, archived(1_500, 0, 1));
    assert_eq!(archive.insert(&some, LONG).await.unwrap(), first);
    assert_eq!(all(&archive).await.len(), 1_501);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_aside_is_archived_once() {
    let url = &Servers::shared().mongo_database();
    let archive = Archive::connect(url).await.unwrap();
    let some = events(1, 0..10);
    let rows: Vec<_> = some.iter().map(row).collect();
    // The live path missed its deadline, and half of it had arrived.
    archive.insert(&some[..5], LONG).await.unwrap();
    assert_eq!(archive.insert_rows(&rows, LONG).await.unwrap(), archived(10, 0, 0));

    // Two contents had been put aside, and the second came in as the first.
    let a = accepted(2, envelope(50, "a").to_string().as_bytes());
    let b = accepted(2, envelope(50, "b").to_string().as_bytes());
    archive.insert(&[accepted(2, &b.event.body)], LONG).await.unwrap();
    let mut second = row(&b);
    second.key += &format!(":{:016x}", xxhash_rust::xxh3::xxh3_64(&b.event.body));
    let found = archive.insert_rows(&[row(&a), second], LONG).await.unwrap();
    assert_eq!(found, archived(0, 1, 1));
    let bodies: BTreeSet<_> = all(&archive).await.into_values().collect();
    assert_eq!(bodies.len(), 12);
    assert_eq!(all(&archive).await.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_can_be_queried_like_its_event() {
    let url = &Servers::shared().mongo_database();
    let archive = Archive::connect(url).await.unwrap();
    let mut event = envelope(1, "hello");
    // As a producer may write them.
    event["eventId"] = json!("0E000000-0000-0000-0000-00000000ABCD");
    event["payload"]["id"] = json!("0A000000-0000-0000-0000-00000000ABCD");
    event["occurredAt"] = json!("2026-11-21T11:00:00.5+01:00");
    event["extra"] = json!({ "n": 1, "big": 1u64 << 40, "x": 0.5, "list": [1, "two", null] });
    let body = serde_json::to_vec_pretty(&event).unwrap();
    archive.insert(&[accepted(7, &body)], LONG).await.unwrap();

    let found = one(url, "0e000000-0000-0000-0000-00000000abcd").await;
    assert_eq!(found.get_str("eventId").unwrap(), "0e000000-0000-0000-0000-00000000abcd");
    assert_eq!(found.get_str("occurredAt").unwrap(), "2026-11-21T10:00:00.500000Z");
    let payload = found.get_document("payload").unwrap();
    assert_eq!(payload.get_str("id").unwrap(), "0a000000-0000-0000-0000-00000000abcd");
    assert_eq!(payload.get_str("type").unwrap(), "email.send");
    assert_eq!(found.get_document("producer").unwrap().get_str("instanceId").unwrap(), "w-1");
    let extra = found.get_document("extra").unwrap();
    let list = vec![Bson::Int32(1), "two".into(), Bson::Null];
    assert_eq!(extra, &doc! { "big": 1i64 << 40, "list": list, "n": 1, "x": 0.5 });
    let ours = found.get_document("_observatory").unwrap();
    assert_eq!(ours.get_i64("tick").unwrap(), 7);
    assert_eq!(ours.get_binary_generic("body").unwrap(), &body);

    let mut indexes = collection(url).await.list_indexes().await.unwrap();
    let mut keys = Vec::new();
    while indexes.advance().await.unwrap() {
        keys.push(indexes.deserialize_current().unwrap().keys);
    }
    assert!(keys.contains(&doc! { "payload.id": 1, "occurredAt": 1 }), "{keys:?}");
    assert!(keys.contains(&doc! { "occurredAt": 1 }), "{keys:?}");
    let newest = archive.newest().await.unwrap().unwrap();
    assert_eq!(newest.to_string(), "2026-11-21T10:00:00.500000Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_names_and_numbers_lose_nothing() {
    let url = &Servers::shared().mongo_database();
    let archive = Archive::connect(url).await.unwrap();
    let mut event = envelope(1, "hello");
    event["_id"] = json!("mine");
    event["_observatory"] = json!({ "body": "mine" });
    event["payload"]["metadata"] = json!({ "$set": { "a.b": 1, "": 2 }, "nul\0": u64::MAX });
    event["payload"].as_object_mut().unwrap().remove("id");
    event["payload"]["jobId"] = json!(Uuid::from_u128(9));
    let body = event.to_string().into_bytes();
    let found = archive.insert(&[accepted(1, &body)], LONG).await.unwrap();
    assert_eq!(found, archived(1, 0, 0));
    assert_eq!(archive.insert(&[accepted(2, &body)], LONG).await.unwrap(), archived(0, 1, 0));
    assert_eq!(bodies_of(&archive, Uuid::from_u128(9)).await, [body]);
    let document = one(url, event["eventId"].as_str().unwrap()).await;
    assert_eq!(document.get_str("＿id").unwrap(), "mine");
    let metadata = document.get_document("payload").unwrap().get_document("metadata").unwrap();
    assert_eq!(metadata.get_document("＄set").unwrap(), &doc! { "": 2, "a．b": 1 });
    assert_eq!(metadata.get_f64("nul␀").unwrap(), u64::MAX as f64);

    // As deep as is accepted, and as large.
    let deep = (0..61).fold(json!(1), |inner, _| json!([inner]));
    let mut event = envelope(2, &"x".repeat(200_000));
    event["deep"] = deep;
    // An event of another program, which decode has been taught to read.
    let mut foreign = events(1, 3..5);
    foreign[0].event.body = br#"{"uuid": "x", "payload": [1], "eventId": {"a": 1}}"#.to_vec();
    foreign[1].event.body = b"not JSON \xff".to_vec();
    let bodies = [event.to_string().into_bytes(), foreign[1].event.body.clone()];
    foreign.push(accepted(1, &bodies[0]));
    assert_eq!(archive.insert(&foreign, LONG).await.unwrap(), archived(3, 0, 0));
    let of_job = bodies_of(&archive, foreign[1].event.fact.job).await;
    assert_eq!(of_job, [bodies[1].clone()]);
    assert_eq!(bodies_of(&archive, foreign[0].event.fact.job).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_has_its_events_in_the_order_of_arrival() {
    let url = &Servers::shared().mongo_database();
    let archive = Archive::connect(url).await.unwrap();
    let mut bodies = Vec::new();
    for (n, (tick, second)) in [(3, 1), (1, 9), (1, 5), (2, 0)].into_iter().enumerate() {
        let mut event = envelope(n as u128, "hello");
        event["occurredAt"] = json!(format!("2026-11-21T10:00:0{second}.000000Z"));
        let body = event.to_string().into_bytes();
        archive.insert(&[accepted(tick, &body)], LONG).await.unwrap();
        bodies.push((tick, second, body));
    }
    bodies.sort();
    let bodies: Vec<_> = bodies.into_iter().map(|(.., body)| body).collect();
    assert_eq!(bodies_of(&archive, Uuid::from_u128(0)).await, bodies);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_conflicts_are_each_archived_once() {
    let url = &Servers::shared().mongo_database();
    let archive = Archive::connect(url).await.unwrap();
    archive.insert(&events(1, 0..3_000), LONG).await.unwrap();
    let others = |tick| -> Vec<_> {
        let body = |n| envelope(n, "other").to_string();
        (0..3_000).map(|n| accepted(tick, body(n).as_bytes())).collect()
    };
    let others = [others(2), others(3)];
    assert_eq!(archive.insert(&others[0], LONG).await.unwrap(), archived(0, 0, 3_000));
    assert_eq!(archive.insert(&others[1], LONG).await.unwrap(), archived(0, 3_000, 0));
    assert_eq!(all(&archive).await.len(), 6_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_refuses_is_not_tried_again() {
    let url = &Servers::shared().mongo_database();
    let archive = Archive::connect(url).await.unwrap();
    archive.insert(&events(1, 0..1), LONG).await.unwrap();
    let events_of = collection(url).await;
    let client = events_of.client().database(&events_of.namespace().db);
    let never = doc! { "collMod": "job_events", "validator": { "never": true } };
    client.run_command(never).await.unwrap();
    let error = archive.insert(&events(1, 1..2), LONG).await.unwrap_err();
    assert!(!error.passes(), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_costs_one_deadline_and_loses_nothing() {
    let mut server = Mongo::start();
    let url = server.database();
    let archive = Archive::connect(&url).await.unwrap();
    archive.insert(&events(1, 0..10), LONG).await.unwrap();
    server.stop();
    let second = Duration::from_secs(1);
    let some = events(2, 10..3_010);
    let started = Instant::now();
    let error = archive.insert(&some, second).await.unwrap_err();
    let took = started.elapsed();
    assert!(matches!(error, Error::Late(_)) && error.passes(), "{error}");
    assert!(took >= second && took < 2 * second, "{took:?}");
    // The next do not wait: there is nothing to hope for.
    let started = Instant::now();
    assert!(matches!(archive.insert(&some, second).await, Err(Error::Busy)));
    assert!(started.elapsed() < second / 2);
    server.cont();
    let found = retried(&archive, &some).await;
    assert_eq!(found, archived(3_000, 0, 0));
    assert_eq!(all(&archive).await.len(), 3_010);

    // What is on the way to a server that stays silent is given up.
    server.stop();
    archive.insert(&some, second).await.unwrap_err();
    let started = Instant::now();
    while matches!(archive.insert(&some, second).await, Err(Error::Busy)) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(started.elapsed() < Duration::from_secs(20));
    }
    println!("given up after {:?}", started.elapsed());
    server.cont();
    retried(&archive, &some).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_within_an_insert_has_each_event_once_after_a_retry() {
    let mut server = Mongo::start();
    let url = server.database();
    let archive = Archive::connect(&url).await.unwrap();
    archive.prepare(LONG).await.unwrap();
    let mut total = 0;
    for (round, millis) in [5u64, 30, 60, 120, 250].into_iter().enumerate() {
        let n = total as u128..total as u128 + 20_000;
        let some = events(1 + round as u64, n);
        let call = tokio::spawn({
            let (archive, some) = (archive.clone(), some.iter().map(row).collect::<Vec<_>>());
            async move { archive.insert_rows(&some, Duration::from_secs(1)).await }
        });
        tokio::time::sleep(Duration::from_millis(millis)).await;
        server.kill();
        let first = call.await.unwrap();
        server.restart();
        let found = retried(&archive, &some).await;
        println!("killed after {millis} ms: {first:?}, then {found:?}");
        assert_eq!(found, archived(20_000, 0, 0));
        total += 20_000;
        assert_eq!(all(&archive).await.len(), total);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_at_the_start_is_waited_for_by_nobody() {
    let mut server = Mongo::start();
    let url = server.database();
    server.kill();
    let archive = Archive::connect(&url).await.unwrap();
    let started = Instant::now();
    let error = archive.insert(&events(1, 0..1), Duration::from_secs(1)).await.unwrap_err();
    assert!(error.passes() && started.elapsed() < Duration::from_secs(2), "{error}");
    server.restart();
    assert_eq!(retried(&archive, &events(1, 0..1)).await, archived(1, 0, 0));
}

/// Tries again until it is done, as who drains does.
async fn retried(archive: &Archive, events: &[Accepted]) -> Archived {
    let started = Instant::now();
    loop {
        match archive.insert(events, Duration::from_secs(5)).await {
            Ok(archived) => return archived,
            Err(error) => assert!(error.passes(), "{error:?}"),
        }
        assert!(started.elapsed() < Duration::from_secs(40));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn an_error_about_a_url_does_not_have_its_password() {
    for url in [
        "mongodb://user:secret@host:x/",
        "mongodb://user:se@cret@host/",
        "mongo://user:secret@host/",
        "mongodb://user:secret@host/db?w=x&secret",
        "user:secret",
    ] {
        let Err(error) = Archive::connect(url).await else { continue };
        assert!(!format!("{error} {error:?}").contains("cret"), "{error}");
    }
    let archive = Archive::connect("mongodb://user:secret@127.0.0.1:1/db").await.unwrap();
    assert!(!format!("{archive:?}").contains("secret"));
    let error = archive.insert(&events(1, 0..1), Duration::from_secs(9)).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}
