use contracts::event::{Format, State, UNTOLD};
use contracts::{Event, decode};

use super::*;

/// Deliveries as Celery 5.7.0 publishes them, a body each.
const BODIES: &str = include_str!("../../fixtures/celery-bodies.jsonl");

fn told(event: Value) -> Result<Told, Rejection> {
    read(event.to_string().as_bytes(), &Application::default())
}

fn envelope(event: Value) -> Vec<u8> {
    match told(event) {
        Ok(Told::Job(envelope)) => envelope,
        other => panic!("an event of a job, not {other:?}"),
    }
}

const UUID: &str = "d9ff4cfb-f1f7-49a2-8568-b1ecf3b60276";

fn event(name: &str) -> Value {
    json!({
        "type": name, "uuid": UUID, "hostname": "w1@hostA", "pid": 1644, "clock": 213,
        "utcoffset": -5.5, "timestamp": 1_795_255_257.875_845_4,
    })
}

fn with(mut event: Value, fields: Value) -> Value {
    let (Value::Object(event), Value::Object(fields)) = (&mut event, fields) else { panic!() };
    event.extend(fields);
    Value::Object(event.clone())
}

/// One line that says how an event was read.
fn reading(event: &Event<'_>) -> String {
    let Event { kind, occurred_at, job, origin, .. } = event;
    let error = job.error.as_ref().map(|error| format!("{}: {}", error.kind, error.message));
    let expires = origin.as_ref().and_then(|origin| origin.expires);
    format!(
        "{kind} {} at {occurred_at} {:?} queue {:?} worker {:?} error {error:?} expires {}",
        &job.id.to_string()[..8],
        job.job_type,
        job.queue.as_deref().unwrap_or_default(),
        job.worker.as_deref().unwrap_or_default(),
        expires.map_or("never".to_owned(), |at| at.to_string()),
    )
}

/// How the bodies of a line are read, a line each.
fn readings(body: &str) -> String {
    let mut lines = String::new();
    for element in contracts::elements(body.as_bytes()).unwrap().elements() {
        let line = match read(element, &Application::default()) {
            Ok(Told::Job(envelope)) => reading(&decode(&envelope).unwrap()),
            Ok(Told::Note(Note { at, heartbeat: None, .. })) => format!("note at {at}"),
            Ok(Told::Note(Note { heartbeat: Some(heartbeat), .. })) => {
                format!("note, {heartbeat:?}")
            }
            Ok(Told::Pulse(heartbeat)) => format!("{heartbeat:?}"),
            Err(rejection) => rejection.to_string(),
        };
        lines += &(line + "\n");
    }
    lines
}

#[test]
fn recorded_deliveries_are_read_as_they_were() {
    let read: String = BODIES.lines().map(readings).collect();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/celery-bodies.read");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden, &read).unwrap();
    }
    assert_eq!(read, std::fs::read_to_string(golden).unwrap_or_default());
}

#[test]
fn every_event_of_a_task_says_where_it_stands() {
    let requeued = with(event("task-rejected"), json!({ "requeue": true }));
    for (event, state) in [
        (event("task-sent"), State::Pending),
        (event("task-received"), State::Validated),
        (event("task-started"), State::Executing),
        (event("task-retried"), State::Retrying),
        (event("task-succeeded"), State::Completed),
        (event("task-failed"), State::Failed),
        (event("task-rejected"), State::Failed),
        (event("task-revoked"), State::Cancelled),
        (requeued, State::Pending),
    ] {
        let envelope = envelope(event);
        let read = decode(&envelope).unwrap();
        assert_eq!(read.kind.state(), state);
        assert_eq!(read.job.id.to_string(), UUID);
        assert_eq!(read.job.attempt, UNTOLD);
        assert_eq!(read.origin.unwrap().format, Format::Celery);
    }
}

#[test]
fn the_time_is_utc_whatever_the_offset() {
    let envelope = envelope(event("task-started"));
    assert_eq!(decode(&envelope).unwrap().occurred_at.to_string(), "2026-11-21T10:00:57.875845Z");
}

#[test]
fn who_sends_a_task_is_not_who_works_on_it() {
    let sent = envelope(event("task-sent"));
    assert_eq!(decode(&sent).unwrap().job.worker, None);
    let received = envelope(event("task-received"));
    assert_eq!(decode(&received).unwrap().job.worker.as_deref(), Some("w1@hostA"));
}

#[test]
fn an_event_is_known_by_who_counted_it() {
    let id = |event: Value| decode(&envelope(event)).unwrap().event_id;
    let first = id(event("task-started"));
    assert_eq!(id(with(event("task-started"), json!({ "utcoffset": 0, "x": 1 }))), first);
    for change in [
        json!({ "hostname": "w2@hostB" }),
        json!({ "pid": 1 }),
        json!({ "clock": 214 }),
        json!({ "uuid": "d9ff4cfb-f1f7-49a2-8568-b1ecf3b60277" }),
    ] {
        assert_ne!(id(with(event("task-started"), change)), first);
    }
    assert_ne!(id(event("task-received")), first);
}

#[test]
fn a_task_id_that_is_no_uuid_gets_one_and_stays() {
    let envelope = envelope(with(event("task-started"), json!({ "uuid": "nightly-report" })));
    let read = decode(&envelope).unwrap();
    assert_eq!(read.job.id, Uuid::new_v5(&CELERY, b"nightly-report"));
    assert!(read.origin.unwrap().event.unwrap().contains("\"nightly-report\""));
}

#[test]
fn what_nobody_knows_is_kept_and_says_nothing() {
    let Ok(Told::Note(note)) = told(with(event("task-progress"), json!({ "i": 2 }))) else {
        panic!("a note");
    };
    assert_eq!(note.job.to_string(), UUID);
    let body: Value = serde_json::from_slice(&note.body).unwrap();
    assert_eq!(body["eventType"], "celery.task-progress");
    assert_eq!(body["origin"]["event"]["i"], 2);
    assert_eq!(decode(&note.body).unwrap_err().reason, Reason::UnknownType);

    let known = envelope(with(event("task-started"), json!({ "colour": "red" })));
    let known: Value = serde_json::from_slice(&known).unwrap();
    assert_eq!(known["origin"]["event"]["colour"], "red");
}

#[test]
fn what_is_no_event_of_celery_is_refused_with_its_place() {
    let long = "é".repeat(101);
    for (event, reason, pointer) in [
        (json!({ "uuid": UUID }), Reason::Schema, "/type"),
        (with(event("task-started"), json!({ "uuid": null })), Reason::Schema, "/uuid"),
        (with(event("task-started"), json!({ "hostname": 7 })), Reason::Schema, "/hostname"),
        (with(event("task-started"), json!({ "timestamp": "now" })), Reason::Schema, "/timestamp"),
        (with(event("task-started"), json!({ "timestamp": 1e18 })), Reason::BadTime, "/timestamp"),
        (with(event("task-sent"), json!({ "name": ["a"] })), Reason::Schema, "/name"),
    ] {
        let rejection = told(event).unwrap_err();
        assert_eq!((rejection.reason, &*rejection.pointer), (reason, pointer));
    }
    // What only the contract bounds is found when the envelope is decoded.
    let envelope = envelope(with(event("task-sent"), json!({ "name": long })));
    assert_eq!(decode(&envelope).unwrap_err().pointer, "/payload/type");
    for (body, reason) in [
        (&b"{"[..], Reason::BadJson),
        (b"\xFF", Reason::BadUtf8),
        (b"[]", Reason::Schema),
        (br#"{"type":"task-started","type":"task-sent"}"#, Reason::BadJson),
        (br#"{"runtime":NaN}"#, Reason::BadJson),
    ] {
        assert_eq!(read(body, &Application::default()).unwrap_err().reason, reason);
    }
}

#[test]
fn what_is_called_alike_in_two_applications_is_told_apart() {
    let sent = with(event("task-sent"), json!({ "queue": "mail", "name": "add" }));
    let named = with(event("task-started"), json!({ "uuid": "nightly" }));
    let online = with(event("worker-online"), json!({ "uuid": null, "processed": 0 }));
    let of = |source: &str| Application { source: source.to_owned(), ..Application::default() };
    let read = |event: &Value, source: &str| {
        let Ok(Told::Job(envelope)) = read(event.to_string().as_bytes(), &of(source)) else {
            panic!("an event of a job");
        };
        envelope
    };
    let (eu, us) = (read(&sent, "eu"), read(&sent, "us"));
    let (eu, us) = (decode(&eu).unwrap(), decode(&us).unwrap());
    assert_eq!(eu.job.queue.as_deref(), Some("eu/mail"));
    // Its id is a UUID, and so the same task wherever it is told of.
    assert_eq!((eu.job.id, eu.job.job_type), (us.job.id, us.job.job_type));
    assert_ne!(eu.event_id, us.event_id);
    let (eu, us) = (read(&named, "eu"), read(&named, "us"));
    let (eu, us) = (decode(&eu).unwrap(), decode(&us).unwrap());
    assert_ne!(eu.job.id, us.job.id);
    assert_eq!(us.job.worker.as_deref(), Some("us/w1@hostA"));
    let heard = super::read(online.to_string().as_bytes(), &of("eu"));
    let Ok(Told::Note(Note { heartbeat: Some(heartbeat), .. })) = heard else {
        panic!("a worker: {heard:?}");
    };
    assert_eq!((&*heartbeat.worker, heartbeat.beat), ("eu/w1@hostA", Beat::Online));
}

#[test]
fn arguments_and_results_stay_outside_unless_asked_for() {
    let secret =
        with(event("task-succeeded"), json!({ "result": "'secret'", "args": "('secret',)" }));
    let text = String::from_utf8(envelope(secret.clone())).unwrap();
    assert!(!text.contains("secret"), "{text}");
    let keep = Keep::new(&["result".to_owned()], &[]).unwrap();
    let of = Application { keep, ..Application::default() };
    let Ok(Told::Job(text)) = read(secret.to_string().as_bytes(), &of) else {
        panic!("an event of a job");
    };
    let text: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(text["origin"]["event"]["result"], "'secret'");
    assert!(text["origin"]["event"].get("args").is_none());
}

#[test]
fn a_recorded_line_is_a_delivery_an_event_or_a_list() {
    let one = event("task-started").to_string();
    let lines = [
        json!({ "recv": 1.0, "routing_key": "task.multi", "body": format!("[{one},{one}]") }),
        json!({ "body": event("task-started") }),
        event("task-started"),
        json!([event("task-started"), event("task-failed"), 7]),
        with(event("task-progress"), json!({ "body": "[]" })),
    ];
    let counts = lines.map(|line| {
        let (mut good, mut bad) = (0, 0);
        recorded(line.to_string().as_bytes(), |event| {
            let read = event.and_then(|event| read(event, &Application::default()));
            *(if read.is_ok() { &mut good } else { &mut bad }) += 1;
        });
        (good, bad)
    });
    assert_eq!(counts, [(2, 0), (1, 0), (1, 0), (2, 1), (1, 0)]);
    let mut bad = 0;
    for line in [&b"{"[..], br#"{"body":"[]"}"#, b"[1,"] {
        recorded(line, |event| {
            bad +=
                usize::from(event.and_then(|event| read(event, &Application::default())).is_err());
        });
    }
    assert_eq!(bad, 3);
}
