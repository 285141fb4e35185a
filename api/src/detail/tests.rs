use contracts::event::State;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

/// An event of attempt `attempt`, `second` seconds into the day; `extra` goes into the job.
fn event(id: u128, kind: Kind, attempt: u16, second: u32, extra: Value) -> Vec<u8> {
    let time = format!("2026-11-21T00:00:{second:02}Z");
    let mut job = json!({
        "id": Uuid::from_u128(1), "type": "a", "status": "?", "createdAt": "2026-11-21T00:00:00Z",
        "attempt": attempt,
    });
    for (name, value) in extra.as_object().unwrap() {
        job[name] = value.clone();
    }
    let event = json!({
        "contractVersion": "1.1.0", "eventType": kind, "eventId": Uuid::from_u128(id),
        "occurredAt": time,
        "producer": { "service": "s", "instanceId": "i", "version": "1" },
        "correlationId": Uuid::from_u128(2), "idempotencyKey": "k", "payload": job,
    });
    event.to_string().into_bytes()
}

fn told(events: &[Vec<u8>]) -> JobView {
    let mut job = JobView {
        id: Uuid::from_u128(1),
        job_type: "a".to_owned(),
        status: State::Pending,
        state: State::Pending,
        inferred: false,
        created_at: Micros(0),
        validated_at: None,
        started_at: None,
        finished_at: None,
        queue: None,
        worker: None,
        attempt: 1,
        runtime: None,
        error: None,
        payload: None,
        metadata: None,
        retired: false,
        attempts: Vec::new(),
        timeline: Vec::new(),
        why: None,
        incomplete: false,
    };
    tell(&mut job, events);
    job
}

fn kinds(job: &JobView) -> Vec<Kind> {
    job.timeline.iter().map(|entry| entry.event_type).collect()
}

fn second(second: u32) -> Micros {
    Micros::parse(&format!("2026-11-21T00:00:{second:02}Z")).unwrap()
}

/// A job whose first attempt fails and whose second succeeds.
fn retried() -> Vec<Vec<u8>> {
    let fault = json!({ "error": { "kind": "Timeout", "message": "too slow" } });
    vec![
        event(10, Kind::Created, 1, 1, json!({ "payload": { "to": "x" } })),
        event(11, Kind::Executed, 1, 2, json!({ "worker": "w-1" })),
        event(12, Kind::Retried, 1, 3, fault),
        event(13, Kind::Executed, 2, 4, json!({ "worker": "w-2" })),
        event(14, Kind::Completed, 2, 5, json!({})),
    ]
}

#[test]
fn each_attempt_says_how_it_went() {
    let timeout = ErrorInfo { kind: "Timeout".to_owned(), message: "too slow".to_owned() };
    assert_eq!(
        told(&retried()).attempts,
        [
            AttemptView {
                attempt: 1,
                state: State::Retrying,
                worker: Some("w-1".to_owned()),
                started_at: Some(second(2)),
                finished_at: Some(second(3)),
                error: Some(timeout),
            },
            AttemptView {
                attempt: 2,
                state: State::Completed,
                worker: Some("w-2".to_owned()),
                started_at: Some(second(4)),
                finished_at: Some(second(5)),
                error: None,
            },
        ]
    );
}

#[test]
fn the_timeline_is_in_the_order_of_occurrence() {
    use Kind::{Completed, Created, Executed, Retried};
    assert_eq!(kinds(&told(&retried())), [Created, Executed, Retried, Executed, Completed]);
}

#[test]
fn the_timeline_shows_it_when_clocks_disagree() {
    let events =
        [event(10, Kind::Created, 1, 3, json!({})), event(11, Kind::Executed, 1, 2, json!({}))];
    assert_eq!(kinds(&told(&events)), [Kind::Executed, Kind::Created]);
}

#[test]
fn the_order_of_arrival_changes_nothing() {
    let mut events = retried();
    let job = told(&events);
    for _ in 0..events.len() {
        events.rotate_left(1);
        assert_eq!(told(&events), job);
    }
    events.reverse();
    assert_eq!(told(&events), job);
}

#[test]
fn what_happened_at_one_time_is_in_the_order_of_rank() {
    let events = [
        event(10, Kind::Completed, 1, 1, json!({})),
        event(11, Kind::Created, 1, 1, json!({})),
        event(12, Kind::Executed, 1, 1, json!({})),
    ];
    assert_eq!(kinds(&told(&events)), [Kind::Created, Kind::Executed, Kind::Completed]);
}

#[test]
fn the_same_event_in_other_words_is_told_once() {
    let events = [
        event(10, Kind::Created, 1, 1, json!({})),
        event(10, Kind::Created, 1, 1, json!({ "metadata": { "k": 1 } })),
        event(11, Kind::Created, 1, 1, json!({})),
    ];
    assert_eq!(told(&events).timeline.len(), 2);
}

#[test]
fn an_attempt_under_way_has_no_end() {
    let events = [event(10, Kind::Executed, 1, 2, json!({}))];
    let attempts = told(&events).attempts;
    assert_eq!((attempts[0].state, attempts[0].finished_at), (State::Executing, None));
}

#[test]
fn an_attempt_that_starts_twice_started_at_the_first() {
    let events =
        [event(10, Kind::Executed, 1, 5, json!({})), event(11, Kind::Executed, 1, 2, json!({}))];
    assert_eq!(told(&events).attempts[0].started_at, Some(second(2)));
}

#[test]
fn of_two_ends_of_an_attempt_the_later_one_holds() {
    let events =
        [event(10, Kind::Failed, 1, 6, json!({})), event(11, Kind::Completed, 1, 5, json!({}))];
    assert_eq!(told(&events).attempts[0].state, State::Failed);
}

#[test]
fn the_payload_is_that_of_the_deciding_event_that_has_one() {
    let payload = |to: &str| json!({ "payload": { "to": to } });
    let events = [
        event(10, Kind::Executed, 2, 4, payload("second")),
        event(11, Kind::Created, 1, 1, payload("first")),
        event(12, Kind::Completed, 2, 5, json!({})),
    ];
    assert_eq!(told(&events).payload.unwrap()["to"], "second");
    assert_eq!(told(&events[2..]).payload, None);
}

fn decided(events: &[Vec<u8>]) -> (DecidedBy, u128, Option<u128>) {
    let why = told(events).why.unwrap();
    let id = |event: &EventRef| event.event_id.as_u128();
    (why.decided_by, id(&why.event), why.beat.as_ref().map(id))
}

#[test]
fn a_job_says_which_event_decided_its_state_and_over_which() {
    use Kind::{Completed, Created, Executed, Failed};
    let of = |id, kind, attempt, second| event(id, kind, attempt, second, json!({}));
    for (events, why) in [
        (vec![of(10, Created, 1, 1)], (DecidedBy::Alone, 10, None)),
        (vec![of(10, Created, 1, 1), of(10, Created, 1, 1)], (DecidedBy::Alone, 10, None)),
        (vec![of(10, Completed, 1, 9), of(11, Executed, 2, 1)], (DecidedBy::Attempt, 11, Some(10))),
        (vec![of(10, Completed, 1, 1), of(11, Executed, 1, 9)], (DecidedBy::Kind, 10, Some(11))),
        (vec![of(10, Completed, 1, 1), of(11, Failed, 1, 2)], (DecidedBy::Time, 11, Some(10))),
        (vec![of(10, Completed, 1, 1), of(11, Failed, 1, 1)], (DecidedBy::Id, 11, Some(10))),
        (vec![of(10, Completed, 1, 1), of(10, Failed, 1, 1)], (DecidedBy::Content, 10, Some(10))),
    ] {
        assert_eq!(decided(&events), why);
    }
    assert_eq!(told(&[]).why, None);
}
