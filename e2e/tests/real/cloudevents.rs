//! CloudEvents through a real broker, in both modes, good and malformed.

use std::path::Path;

use e2e::{Servers, Vhost};
use ingress::amqp::topology::{DEAD_LETTERS, EVENTS, JOBS};
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use crate::program::{Ended, Role, observatory};
use crate::support::{Amqp, dead_letters, runtime, until};

fn service(folder: &Path, vhost: &Vhost) -> Role {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cloudevents-example.yaml");
    let mapping = example.to_str().unwrap();
    Role::alone(folder, &["--rabbitmq-url", vhost.url(), "--cloudevents", mapping])
}

/// A message of a type that is one of ours, or of one that is not.
fn structured(event: &Value) -> (BasicProperties, Vec<u8>) {
    let content_type = "application/cloudevents+json; charset=utf-8";
    (BasicProperties::default().with_content_type(content_type.into()), event.to_string().into())
}

fn binary(prefix: &str, attributes: &[(&str, &str)], data: &str) -> (BasicProperties, Vec<u8>) {
    let mut headers = FieldTable::default();
    for (name, value) in attributes {
        let value = AMQPValue::LongString((*value).into());
        headers.insert(format!("{prefix}{name}").into(), value);
    }
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_headers(headers);
    (properties, data.into())
}

async fn publish(amqp: &Amqp, (properties, body): &(BasicProperties, Vec<u8>)) {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let sent = amqp.channel.basic_publish(
        JOBS.into(),
        "job.cloudevent".into(),
        options,
        body,
        properties.clone(),
    );
    assert!(sent.await.unwrap().await.unwrap().take_message().is_none());
}

#[test]
fn both_modes_are_taken_in_and_what_is_malformed_is_put_aside_as_it_came() {
    let vhost = Servers::shared().vhost("cloudevents");
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path(), &vhost);
    let report = json!({
        "specversion": "1.0", "type": "com.example.report.started", "source": "/reports", "id": "1",
        "subject": "r-1", "time": "2026-11-21T10:00:00Z", "data": { "lane": "slow", "try": 2 },
    });
    let own = [
        ("specversion", "1.0"),
        ("type", "job.completed"),
        ("source", "/mail"),
        ("id", "1"),
        ("time", "2026-11-21T10:00:00Z"),
    ];
    let data = r#"{"id":"m-1","type":"email.send"}"#;
    let unknown = json!({
        "specversion": "1.0", "type": "org.example.unheard", "source": "/x", "id": "1",
    });
    let messages = [
        structured(&report),
        binary("cloudEvents_", &own, data),
        // The same once more, in the other spelling.
        binary("cloudEvents:", &own, data),
        structured(&json!({ "specversion": "0.3" })),
        structured(&unknown),
        binary("cloudEvents_", &own[..3], data),
    ];
    let amqp = runtime().block_on(Amqp::connect(vhost.url()));
    for message in &messages {
        runtime().block_on(publish(&amqp, message));
    }
    let states = until("both jobs are there", || {
        let jobs = service.get("/api/v1/jobs")?;
        let items = jobs["items"].as_array()?;
        let told = |job: &Value| format!("{} {} {}", job["type"], job["state"], job["attempt"]);
        (items.len() == 2).then(|| items.iter().map(told).collect::<Vec<_>>())
    });
    for state in [r#""report" "EXECUTING" 2"#, r#""email.send" "COMPLETED" 1"#] {
        assert!(states.iter().any(|found| found == state), "{states:?}");
    }
    let mut letters = Vec::new();
    until("the others are put aside", || {
        letters.extend(runtime().block_on(dead_letters(vhost.url())));
        (letters.len() == 3).then_some(())
    });
    let mut told: Vec<_> = letters
        .iter()
        .map(|(reason, body, headers)| {
            let place = headers["x-detail"].split(':').next().unwrap();
            (&**reason, place, str::from_utf8(body).unwrap())
        })
        .collect();
    told.sort_unstable();
    let bodies = messages.map(|(_, body)| String::from_utf8(body).unwrap());
    let expected = [
        ("schema", "/id", &*bodies[3]),
        ("schema", "/id", &*bodies[5]),
        ("unknown_type", "/type", &*bodies[4]),
    ];
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(told, expected);
}

#[test]
fn a_cloud_event_that_nobody_knew_goes_back_as_one_when_it_is_known() {
    let vhost = Servers::shared().vhost("cloudevents-back");
    let folder = tempfile::tempdir().unwrap();
    let without = Role::alone(folder.path(), &["--rabbitmq-url", vhost.url()]);
    let started = |id: &str| {
        let source = if id == "r-1" { "/structured" } else { "/binary" };
        json!({
            "specversion": "1.0", "type": "com.example.report.started", "source": source, "id": "1",
            "subject": id, "time": "2026-11-21T10:00:00Z", "data": { "lane": "slow", "try": 2 },
        })
    };
    let attributes = [
        ("specversion", "1.0"),
        ("type", "com.example.report.started"),
        ("source", "/binary"),
        ("id", "1"),
        ("subject", "r-2"),
        ("time", "2026-11-21T10:00:00Z"),
    ];
    let data = started("r-2")["data"].to_string();
    let messages = [structured(&started("r-1")), binary("cloudEvents_", &attributes, &data)];
    let amqp = runtime().block_on(Amqp::connect(vhost.url()));
    for message in &messages {
        runtime().block_on(publish(&amqp, message));
    }
    until("both are put aside", || (vhost.queue(DEAD_LETTERS)?.ready == 2).then_some(()));
    drop(without);

    let with = service(folder.path(), &vhost);
    let mut replay = observatory(&["dlq", "replay", "--output", "json"]);
    replay.env("RABBITMQ_URL", vhost.url());
    let replayed = Ended::of(replay);
    assert_eq!((replayed.code, &replayed.json()["replayed"]), (Some(0), &json!(2)), "{replayed:?}");
    until("both are jobs", || {
        (with.get("/api/v1/jobs?state=EXECUTING")?["total"] == 2).then_some(())
    });
    until("none is put aside again", || {
        let events = vhost.queue(EVENTS)?;
        (events.ready == 0 && events.unacked == 0).then_some(())
    });
    assert!(runtime().block_on(dead_letters(vhost.url())).is_empty());
}
