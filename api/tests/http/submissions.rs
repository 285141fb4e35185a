//! What is submitted: when it is confirmed, what is refused, and what a repeat does.

use std::time::Duration;

use crate::support::{Deliveries, Service, send};
use axum::http::{Method, StatusCode};
use contracts::Reason;
use ingress::submit::SubmitError;
use serde_json::{Value, json};
use uuid::Uuid;

const JOB: &str = r#"{"type":"email.send"}"#;

fn event(id: u128, occurred_at: &str) -> Value {
    json!({
        "contractVersion": "1.1.0", "eventType": "job.completed", "eventId": Uuid::from_u128(id),
        "occurredAt": occurred_at,
        "producer": { "service": "s", "instanceId": "i", "version": "1" },
        "correlationId": Uuid::from_u128(2), "idempotencyKey": "k",
        "payload": {
            "id": Uuid::from_u128(id), "type": "a", "status": "COMPLETED",
            "createdAt": "2026-11-21T09:59:00Z",
        },
    })
}

#[tokio::test]
async fn a_job_that_was_accepted_can_be_read_and_is_executed() {
    let mut service = Service::start();
    let answer =
        service.post("/jobs", r#"{"type":"a","payload":{"simulate":{"delayMs":5}}}"#).await;
    let accepted = answer.with(202);
    let id = accepted["jobId"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("/api/v1/jobs/{id}"));

    let job = service.get(&format!("/api/v1/jobs/{id}")).await.with(200);
    assert_eq!((&job["state"], &job["type"]), (&json!("PENDING"), &json!("a")));
    assert_eq!(job["timeline"][0]["eventId"], accepted["eventId"]);

    let work = service.work();
    assert_eq!(work.len(), 1);
    assert_eq!((work[0].job.to_string().as_str(), work[0].simulate.delay_ms), (id, Some(5)));
}

#[tokio::test]
async fn nothing_is_confirmed_that_was_not_settled() {
    let mut service = Service::start();
    service.deliveries(Deliveries::Lost);
    for (path, body) in
        [("/jobs", JOB.to_owned()), ("/events", event(1, "2026-11-21T10:00:00Z").to_string())]
    {
        for body in [body.clone(), format!("[{body}]")] {
            let answer = service.post(path, &body).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "draining"));
            assert_eq!(answer.header("retry-after"), "5");
        }
    }
    assert_eq!(service.work(), []);
}

#[tokio::test]
async fn the_answer_waits_until_the_job_is_durable() {
    let mut service = Service::start();
    service.deliveries(Deliveries::Kept);
    let router = service.router();
    let json = [("content-type", "application/json")];
    let answer = tokio::spawn(async move { send(router, Method::POST, "/jobs", &json, JOB).await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!answer.is_finished());
    assert_eq!(service.work(), []);

    assert_eq!(service.settle(), 1);
    assert_eq!(answer.await.unwrap().status, StatusCode::ACCEPTED);
    assert_eq!(service.work().len(), 1);
}

#[tokio::test]
async fn a_job_is_executed_also_when_its_sender_has_gone() {
    let mut service = Service::start();
    service.deliveries(Deliveries::Kept);
    let router = service.router();
    let json = [("content-type", "application/json")];
    let request = send(router, Method::POST, "/jobs", &json, JOB);
    assert!(tokio::time::timeout(Duration::from_millis(50), request).await.is_err());

    assert_eq!(service.settle(), 1);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(service.work().len(), 1);
}

#[tokio::test]
async fn a_store_that_is_behind_asks_to_come_back() {
    let service = Service::start();
    for (error, code) in [(SubmitError::Busy, "busy"), (SubmitError::Stopped, "draining")] {
        service.deliveries(Deliveries::Refused(error));
        let answer = service.post("/jobs", JOB).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, code));
        assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
    }
}

#[tokio::test]
async fn a_fault_of_ours_is_an_error_like_others() {
    let service = Service::start();
    service.deliveries(Deliveries::Faulty);
    let answer = service.post("/jobs", JOB).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "internal"));
    assert!(!answer.text.contains("secret"));
}

#[tokio::test]
async fn an_array_is_answered_element_by_element() {
    let mut service = Service::start();
    let answer =
        service.post("/jobs", r#"[{"type":"a"},{"type":""},{"type":"b"},7]"#).await.with(202);
    assert_eq!(answer["accepted"].as_array().unwrap().len(), 2);
    let rejected = answer["rejected"].as_array().unwrap();
    let refusal = |n: usize| {
        let element = &rejected[n];
        (element["index"].clone(), element["reason"].clone(), element["pointer"].clone())
    };
    assert_eq!(rejected.len(), 2);
    assert_eq!(refusal(0), (json!(1), json!("schema"), json!("/type")));
    assert_eq!(refusal(1), (json!(3), json!("schema"), json!("")));
    assert_eq!(service.refused(), [Reason::Schema, Reason::Schema]);
    assert_eq!(service.work().len(), 2);
}

#[tokio::test]
async fn an_array_of_which_nothing_is_accepted_is_an_error_that_lists_all() {
    let service = Service::start();
    let answer = service.post("/jobs", r#"[{"type":""},{"type":"a","attempt":0}]"#).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "all_rejected"));
    let problem = answer.json();
    assert_eq!(problem["errors"][0]["pointer"], "/0/type");
    assert_eq!(problem["errors"][1]["pointer"], "/1/attempt");
    assert_eq!(problem["rejected"][1]["index"], 1);
    assert_eq!(problem["accepted"], json!([]));
}

#[tokio::test]
async fn events_are_taken_as_they_are_and_not_executed() {
    let mut service = Service::start();
    let sent = event(1, "2026-11-21T10:00:00Z");
    let accepted = service.post("/events", &sent.to_string()).await.with(202);
    assert_eq!(accepted, json!({ "jobId": Uuid::from_u128(1), "eventId": Uuid::from_u128(1) }));
    assert_eq!(service.work(), []);

    let batch = json!([event(2, "2026-11-21T10:00:00Z"), {}, event(3, "2026-11-21T10:00:00Z")]);
    let answer = service.post("/events", &batch.to_string()).await.with(202);
    assert_eq!(answer["accepted"].as_array().unwrap().len(), 2);
    assert_eq!(answer["rejected"][0]["index"], 1);
    let total = service.get("/api/v1/jobs?state=COMPLETED").await.with(200)["total"].clone();
    assert_eq!(total, 3);
}

#[tokio::test]
async fn an_event_from_more_than_an_hour_ahead_is_refused() {
    let service = Service::start();
    service.post("/events", &event(1, "2026-11-21T11:00:00Z").to_string()).await.with(202);
    let answer =
        service.post("/events", &event(2, "2026-11-21T11:00:00.000001Z").to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "bad_time"));
    assert_eq!(answer.json()["errors"][0]["pointer"], "/occurredAt");
    assert_eq!(service.refused(), [Reason::BadTime]);
}

#[tokio::test]
async fn a_repeat_under_an_idempotency_key_is_the_same_job() {
    let mut service = Service::start();
    let key = [("idempotency-key", "order-7")];
    let first = service.post_with("/jobs", &key, JOB).await.with(202);
    let second = service.post_with("/jobs", &key, JOB).await.with(202);
    assert_eq!(first, second);
    let other = service.post_with("/jobs", &[("idempotency-key", "order-8")], JOB).await.with(202);
    assert_ne!(first["jobId"], other["jobId"]);

    assert_eq!(service.work().len(), 2);
    assert_eq!(service.get("/api/v1/jobs").await.with(200)["total"], 2);
}

#[tokio::test]
async fn a_batch_is_repeated_element_by_element() {
    let mut service = Service::start();
    let key = [("idempotency-key", "order-7")];
    let first = service.post_with("/jobs", &key, r#"[{"type":"a"},{"type":""}]"#).await.with(202);
    let second = service.post_with("/jobs", &key, r#"[{"type":"a"},{"type":"b"}]"#).await.with(202);
    assert_eq!(first["accepted"][0], second["accepted"][0]);
    assert_eq!(second["accepted"].as_array().unwrap().len(), 2);
    assert_eq!(service.work().len(), 2);
}

#[tokio::test]
async fn another_job_under_a_used_key_is_refused_rather_than_lost() {
    let service = Service::start();
    let key = [("idempotency-key", "order-7")];
    service.post_with("/jobs", &key, JOB).await.with(202);
    let answer = service.post_with("/jobs", &key, r#"{"type":"other"}"#).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "idempotency_key_reused"));
}

#[tokio::test]
async fn a_key_under_way_is_not_taken_twice() {
    let mut service = Service::start();
    service.deliveries(Deliveries::Kept);
    let headers = [("content-type", "application/json"), ("idempotency-key", "order-7")];
    let router = service.router();
    let first =
        tokio::spawn(async move { send(router, Method::POST, "/jobs", &headers, JOB).await });
    while service.kept() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let second = service.post_with("/jobs", &[("idempotency-key", "order-7")], JOB).await;
    assert_eq!(second.status, StatusCode::CONFLICT);
    assert_eq!(second.code(), "idempotency_key_in_use");
    service.settle();
    service.deliveries(Deliveries::Durable);
    let first = first.await.unwrap().with(202);
    let again = service.post_with("/jobs", &[("idempotency-key", "order-7")], JOB).await.with(202);
    assert_eq!(first, again);
    assert_eq!(service.work().len(), 1);
}

#[tokio::test]
async fn a_correlation_id_goes_with_the_request_the_job_and_the_answer() {
    let mut service = Service::start();
    let id = "0193aaaa-0000-7000-8000-00000000000c";
    let answer = service.post_with("/jobs", &[("x-correlation-id", id)], JOB).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-correlation-id")), (202, id));
    assert_eq!(service.work()[0].correlation_id.to_string(), id);

    let answer = service.post_with("/jobs", &[("x-correlation-id", "mine")], JOB).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "bad_correlation_id"));
    assert!(Uuid::try_parse(answer.header("x-correlation-id")).is_ok());
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_not_read() {
    let service = Service::start();
    let headers = [("content-type", "application/json"), ("content-length", "262145")];
    // There is none to read, which would be bad JSON.
    let answer = send(service.router(), Method::POST, "/jobs", &headers, "").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (413, "too_large"));
    assert_eq!(service.refused(), [Reason::TooLarge]);
}

#[tokio::test]
async fn a_body_is_read_as_far_as_it_is_allowed_to_go() {
    let service = Service::start();
    let event = r#"{"eventType":"none"}"#;
    let padded = |bytes: usize| format!("{event}{}", " ".repeat(bytes - event.len()));
    let answer = service.post("/events", &padded(262_144)).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "unknown_type"));
    let answer = service.post("/events", &padded(262_145)).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (413, "too_large"));
}

#[tokio::test]
async fn a_job_must_fit_with_its_envelope() {
    let service = Service::start();
    let job = format!(r#"{{"type":"a","text":"{}"}}"#, "x".repeat(262_000));
    let answer = service.post("/jobs", &job).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (413, "too_large"));
    assert!(answer.json()["detail"].as_str().unwrap().starts_with("with its envelope, "));
}

#[tokio::test]
async fn submissions_are_counted_by_type_when_they_are_valid() {
    let service = Service::start();
    service
        .post("/jobs", r#"[{"type":"a"},{"type":"a"},{"type":"b"},{"type":""}]"#)
        .await
        .with(202);
    let metrics = service.get("/metrics").await.text;
    for line in [
        r#"gateway_jobs_submitted_total{type="a"} 2"#,
        r#"gateway_jobs_submitted_total{type="b"} 1"#,
        "gateway_jobs_accepted_total 3",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn the_types_that_are_counted_apart_are_bounded() {
    let service = Service::start();
    let jobs: Vec<_> = (0..203).map(|n| json!({ "type": format!("type-{n}") })).collect();
    service.post("/jobs", &Value::from(jobs).to_string()).await.with(202);
    let metrics = service.get("/metrics").await.text;
    assert_eq!(metrics.matches("\ngateway_jobs_submitted_total{").count(), 201);
    assert!(metrics.contains(r#"gateway_jobs_submitted_total{type="other"} 3"#));
}
