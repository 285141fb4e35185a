//! CloudEvents over HTTP: structured, in batches, and binary.

use axum::http::Method;
use contracts::Reason;
use serde_json::{Value, json};

use crate::support::{Answer, Service, send};

const ID: &str = "01936a3e-0000-7000-8000-000000000003";

fn event() -> Value {
    json!({
        "specversion": "1.0", "type": "job.completed", "source": "/workers/é", "id": "1",
        "time": "2026-11-21T10:00:00Z",
        "data": { "id": ID, "type": "email.send", "queue": "mail" },
    })
}

async fn post(service: &Service, headers: &[(&str, &str)], body: &Value) -> Answer {
    send(service.router(), Method::POST, "/events", headers, body.to_string()).await
}

async fn structured(service: &Service, body: &Value) -> Answer {
    post(service, &[("content-type", "application/cloudevents+json; charset=UTF-8")], body).await
}

#[tokio::test]
async fn both_modes_and_a_batch_say_the_same() {
    let service = Service::start();
    let first = structured(&service, &event()).await.with(202);
    assert_eq!(first["jobId"], ID);
    let job = service.get(&format!("/api/v1/jobs/{ID}")).await.with(200);
    assert_eq!((&job["state"], &job["queue"]), (&json!("COMPLETED"), &json!("mail")));

    let batch = [("content-type", "application/cloudevents-batch+json")];
    let answer = post(&service, &batch, &json!([event(), { "specversion": "1.0" }])).await;
    let answer = answer.with(202);
    assert_eq!(answer["accepted"][0], first);
    assert_eq!(answer["rejected"][0]["pointer"], "/id");

    let binary = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-type", "job.completed"),
        ("ce-source", "/workers/%C3%A9"),
        ("ce-id", "1"),
        ("ce-time", "2026-11-21T10:00:00Z"),
    ];
    assert_eq!(post(&service, &binary, &event()["data"]).await.with(202), first);
    let events = service.get(&format!("/api/v1/jobs/{ID}/events")).await.with(200);
    assert!(events.to_string().contains("/workers/é"), "what was received is kept: {events}");
}

#[tokio::test]
async fn what_is_malformed_is_refused_with_its_place() {
    let service = Service::start();
    let mut old = event();
    old["specversion"] = "0.3".into();
    let answer = structured(&service, &old).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "schema"));
    let mut unknown = event();
    unknown["type"] = "org.example.unheard".into();
    assert_eq!(structured(&service, &unknown).await.code(), "unknown_type");
    // One event is no list, and a list no event.
    assert_eq!(structured(&service, &json!([event()])).await.code(), "schema");
    let text = [("content-type", "text/plain"), ("ce-id", "%FF")];
    assert_eq!(post(&service, &text, &json!({})).await.code(), "bad_utf8");
    let expected = [Reason::Schema, Reason::UnknownType, Reason::Schema, Reason::BadUtf8];
    assert_eq!(service.refused(), expected);
    let plain = [("content-type", "text/plain")];
    assert_eq!(post(&service, &plain, &event()).await.status, 415);
}
