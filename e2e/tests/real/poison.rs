//! Poison among good events: each put aside once, with its reason, and nothing is held up.

use std::collections::BTreeMap;

use contracts::{Micros, Reason};
use ingress::amqp::topology::JOBS;
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};

use super::program::World;
use super::support::crowd::Crowd;
use super::support::load::{Load, now};
use super::support::poison::fixtures;
use super::support::raw::Raw;
use super::support::{Amqp, dead_letters, runtime};

const HOUR: i64 = 3_600_000_000;

/// Good events for one that is not.
const GOOD: usize = 20;

/// Headers of a message: as many as fit into a frame, about.
const BOMB: usize = 3_000;

/// A good event, to be spoilt.
fn good(at: Micros) -> String {
    let mut crowd = Crowd::new(fastrand::u64(..));
    String::from_utf8(crowd.next(at).body).unwrap()
}

/// An event with a field of so many levels, itself at the second.
fn deep(levels: usize) -> Vec<u8> {
    let (open, close) = ("[".repeat(levels), "]".repeat(levels));
    let field = format!("\"extra\":{open}{close},\"eventType\"");
    good(now()).replacen("\"eventType\"", &field, 1).into_bytes()
}

/// What is no event, and why; beside the fixtures, what they cannot hold or say less plainly.
fn poison() -> Vec<(Reason, Vec<u8>)> {
    let good = good(now());
    let spoilt = |from: &str, to: &[u8]| {
        let at = good.find(from).unwrap();
        [&good.as_bytes()[..at], to, &good.as_bytes()[at + from.len()..]].concat()
    };
    let occurred = |at: &str| {
        let (before, after) = good.split_once("\"occurredAt\":\"").unwrap();
        let (_, after) = after.split_once('"').unwrap();
        format!("{before}\"occurredAt\":\"{at}\"{after}").into_bytes()
    };
    let ahead = Micros(now().0 + HOUR + HOUR / 60).to_string();
    let mut poison = fixtures();
    poison.extend([
        (Reason::BadJson, Vec::new()),
        (Reason::BadJson, b"\0".to_vec()),
        (Reason::BadJson, [b"\xEF\xBB\xBF", good.as_bytes()].concat()),
        (Reason::BadJson, spoilt("bakery", b"\0")),
        (Reason::BadJson, spoilt("bakery", br"\ud800")),
        (Reason::BadJson, good.as_bytes()[..good.len() / 2].to_vec()),
        (Reason::BadJson, spoilt("\"attempt\":1", b"\"attempt\":NaN")),
        (Reason::BadJson, spoilt("\"attempt\":1", b"\"attempt\":1e400")),
        (Reason::BadJson, spoilt("\"attempt\":1", b"\"attempt\":1,\"attempt\":1")),
        (Reason::BadUtf8, spoilt("bakery", b"\xFF\xFE")),
        (Reason::TooLarge, spoilt("bakery", &b"x".repeat(257 << 10))),
        (Reason::TooDeep, deep(64)),
        (Reason::TooDeep, deep(10_000)),
        (Reason::UnknownType, spoilt("job.created", b"job.exploded")),
        (Reason::Schema, spoilt("\"attempt\":1", b"\"attempt\":0")),
        (Reason::Schema, spoilt("\"eventId\"", b"\"event\"")),
        (Reason::Schema, b"[]".to_vec()),
        (Reason::BadTime, occurred("0000-01-01T00:00:00Z")),
        (Reason::BadTime, occurred("9999-12-31T23:59:59Z")),
        (Reason::BadTime, occurred("2016-12-31T23:59:60Z")),
        (Reason::BadTime, occurred(&ahead)),
    ]);
    poison
}

/// A message with more headers than anybody sends, and of a type that it is not.
fn bomb() -> BasicProperties {
    let mut headers = FieldTable::default();
    for n in 0..BOMB {
        headers.insert(format!("header-{n}").into(), AMQPValue::LongLongInt(n as i64));
    }
    BasicProperties::default().with_headers(headers).with_content_type("image/png".into())
}

#[test]
fn every_poison_is_put_aside_once_with_its_reason_while_good_events_flow() {
    let world = World::new("poison-roles");
    let (_pipeline, api) = (world.ready("pipeline"), world.ready("api"));
    let mut crowd = Crowd::new(fastrand::u64(..));
    let mut expected = Vec::new();
    runtime().block_on(async {
        let amqp = Amqp::connect(world.vhost.url()).await;
        let plain = BasicProperties::default();
        let mut poison = poison();
        fastrand::shuffle(&mut poison);
        for (n, (reason, body)) in poison.into_iter().enumerate() {
            // What a body is does not depend on what is said about it.
            let strange = if n.is_multiple_of(10) { bomb() } else { plain.clone() };
            send(&amqp, "job.created", &body, strange.clone()).await;
            for good in 0..GOOD - 1 {
                let event = crowd.next(now());
                let properties = if good == 0 { strange.clone() } else { plain.clone() };
                send(&amqp, event.key, &event.body, properties).await;
            }
            // And one in a batch, of which the rest is put aside alone.
            let event = crowd.next(now());
            let batch = [b"[7,", event.body.as_slice(), b"]"].concat();
            send(&amqp, "job.created", &batch, plain.clone()).await;
            expected.extend([(reason, body), (Reason::Schema, b"7".to_vec())]);
        }
    });
    let mut truth = crowd.into_truth();
    for (reason, _) in &expected {
        *truth.rejected.entry(reason.to_string()).or_default() += 1;
    }
    world.is_exactly(&api, &truth);

    let letters = runtime().block_on(dead_letters(world.vhost.url()));
    let mut found = BTreeMap::<_, usize>::new();
    for (reason, body, headers) in letters {
        assert_eq!(headers["x-reason"], reason);
        *found.entry((reason, body)).or_default() += 1;
    }
    let mut wanted = BTreeMap::<_, usize>::new();
    for (reason, body) in expected {
        *wanted.entry((reason.to_string(), body)).or_default() += 1;
    }
    assert!(found == wanted, "the dead letters are not those that were sent");
}

/// Publishes to the pipeline's exchange; returns when the broker has it.
async fn send(amqp: &Amqp, key: &str, body: &[u8], properties: BasicProperties) {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let sent = amqp.channel.basic_publish(JOBS.into(), key.into(), options, body, properties);
    let confirmation = sent.await.unwrap().await.unwrap();
    assert!(confirmation.is_ack(), "{confirmation:?}");
    assert!(confirmation.take_message().is_none(), "no queue wants `{key}`");
}

#[test]
fn a_message_that_the_client_library_cannot_read_is_judged_by_its_body_and_stops_nobody() {
    let world = World::new("unreadable");
    let (pipeline, api) = (world.ready("pipeline"), world.ready("api"));
    let load = Load::start(&world.vhost, 200);
    load.confirms(100);
    let mut raw = Raw::connect(&world.vhost);
    let mut crowd = Crowd::new(fastrand::u64(..));
    for (key, header) in
        [(&b"job.\xFF"[..], &b"a"[..]), (b"job.created", b"\xFE"), (b"job.a", b"a")]
    {
        raw.publish(key, header, &crowd.next(now()).body);
    }
    raw.publish(b"job.\xFF", b"\xFE", b"{");
    load.confirms(100);
    let mut truth = crowd.into_truth();
    truth.rejected.insert(Reason::BadJson.to_string(), 1);
    world.is_exactly(&api, &truth.and(load.stop()));
    assert!(pipeline.metric("observatory_broker_faults_total{kind=\"unreadable\"}") >= Some(1.0));

    let letters = runtime().block_on(dead_letters(world.vhost.url()));
    let (reason, body, headers) = &letters[0];
    assert_eq!((letters.len(), &**reason, &**body), (1, "bad_json", &b"{"[..]));
    assert_eq!(headers["x-routing-key"], "job.\u{FFFD}");
}
