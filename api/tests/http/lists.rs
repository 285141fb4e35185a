//! Lists of jobs, what they are asked for, and a job with all that is known of it.

use serde_json::{Value, json};

use crate::reads::{job, six_jobs};
use crate::support::Service;

async fn list(service: &Service, query: &str) -> Value {
    service.get(&format!("/api/v1/jobs?{query}")).await.with(200)
}

#[tokio::test]
async fn a_question_is_answered_with_what_matches_and_how_much_there_is() {
    let service = Service::start();
    six_jobs(&service).await;
    for (query, total) in [
        ("", 6),
        ("q=", 6),
        ("state=PENDING&queue=slow", 2),
        ("q=state:pending+queue:slow", 2),
        ("q=state:completed,failed", 3),
        ("q=state:failed+type:a", 0),
        ("q=type:a+type:b", 6),
        ("state=COMPLETED&q=type:b*", 1),
        ("q=worker:%22%22", 6),
        ("worker=w", 0),
        ("q=SLOW", 2),
        ("q=%22b%22", 3),
        ("finishedAfter=2026-11-21T10:00:00Z", 3),
        ("finishedAfter=2026-11-21T10:00:01Z", 0),
        ("finishedBefore=2026-11-21T10:00:01.000001Z&state=FAILED", 1),
        ("createdAfter=2026-11-21T10:00:00Z", 0),
        ("q=age:%3C1s", 6),
        ("q=age:%3E1s", 0),
        ("retired=true", 0),
        ("retired=any", 6),
        ("retired=any&state=FAILED", 1),
    ] {
        let found = list(&service, query).await;
        let items = found["items"].as_array().unwrap().len();
        assert_eq!((&found["total"], items), (&json!(total), total), "{query}");
        assert_eq!(found["asOf"], "2026-11-21T10:00:00.000009Z", "{query}");
    }
}

#[tokio::test]
async fn pages_follow_one_another_without_a_gap_and_their_cursors_are_for_one_question() {
    let service = Service::start();
    six_jobs(&service).await;
    let all = list(&service, "").await["items"].clone();
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = list(&service, &format!("limit=4&cursor={cursor}")).await;
        assert_eq!(page["total"], 6);
        paged.extend(page["items"].as_array().unwrap().clone());
        match &page["nextCursor"] {
            Value::String(next) => cursor.clone_from(next),
            _ => break,
        }
    }
    assert_eq!(json!(paged), all);

    for question in ["state=PENDING", "q=a", "retired=any"] {
        let answer = service.get(&format!("/api/v1/jobs?{question}&cursor={cursor}")).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "bad_cursor"));
    }
}

#[tokio::test]
async fn a_page_that_is_just_full_is_the_last_one() {
    let service = Service::start();
    six_jobs(&service).await;
    assert_eq!(list(&service, "limit=6").await["nextCursor"], Value::Null);
    assert_ne!(list(&service, "limit=5").await["nextCursor"], Value::Null);
}

#[tokio::test]
async fn a_job_says_why_it_is_in_its_state() {
    let service = Service::start();
    let id = job(&service, json!({ "type": "a" }), "job.failed").await;
    let job = service.get(&format!("/api/v1/jobs/{id}")).await.with(200);
    let why = &job["why"];
    assert_eq!((&why["decidedBy"], &why["eventType"]), (&json!("eventType"), &json!("job.failed")));
    assert_eq!((&why["eventId"], &why["attempt"]), (&json!(id), &json!(1)));
    assert_eq!(why["beat"]["eventType"], "job.created");
    assert_eq!(job.get("incomplete"), None);
}

#[tokio::test]
async fn the_events_of_a_job_are_shown_as_they_came() {
    let service = Service::start();
    let id = job(&service, json!({ "type": "a" }), "job.created").await;
    let event = format!(
        r#"{{"contractVersion":"1.1.0","eventType":"job.completed","eventId":"{id}",
        "occurredAt":"2026-11-21T10:00:01Z","correlationId":"{id}","idempotencyKey":"k",
        "producer":{{"service":"s","instanceId":"i","version":"1"}}, "extra": 9007199254740993.0,
        "payload":{{"id":"{id}","type":"a","status":"?","createdAt":"2026-11-21T10:00:00Z"}}}}"#
    );
    service.post("/events", &event).await.with(202);
    let answer = service.get(&format!("/api/v1/jobs/{id}/events")).await;
    let events = answer.with(200);
    assert_eq!(
        (&events["total"], &events["asOf"]),
        (&json!(2), &json!("2026-11-21T10:00:00.000002Z"))
    );
    assert_eq!(events["items"][1]["acceptedAt"], "2026-11-21T10:00:00.000002Z");
    assert_eq!(events["items"][1]["late"], false);
    assert!(answer.text.contains(&event), "not digit for digit: {}", answer.text);
}
