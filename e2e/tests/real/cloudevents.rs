//! CloudEvents through a real broker, in both modes, good and malformed.

use std::path::Path;

use e2e::{Servers, Vhost};
use ingress::amqp::topology::JOBS;
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use crate::program::Role;
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
