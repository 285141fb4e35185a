use serde_json::{Value, json};

use super::{MAX_BODY_BYTES, Reason, decode};
use crate::event::{Envelope, Kind};
use crate::time::Micros;

const EVENT_ID: &str = "0193d5a8-1111-7aaa-8bbb-000000000001";
const JOB_ID: &str = "0193d5a8-2222-7aaa-8bbb-000000000002";

fn event() -> Value {
    json!({
        "contractVersion": "1.1.0",
        "eventType": "job.failed",
        "eventId": EVENT_ID,
        "occurredAt": "2026-11-21T10:00:00.123456Z",
        "producer": { "service": "worker", "instanceId": "w-1", "version": "0.1.0" },
        "correlationId": "0193d5a8-3333-7aaa-8bbb-000000000003",
        "idempotencyKey": "key",
        "payload": {
            "id": JOB_ID, "type": "email.send", "status": "FAILED",
            "createdAt": "2026-11-21T09:59:58Z",
            "queue": "default", "worker": "w-1", "attempt": 2,
            "error": { "kind": "Timeout", "message": "took \"too\" long", "code": 7 },
            "payload": { "to": "x" }, "metadata": {}
        }
    })
}

/// The event with the value at a pointer replaced; `null` given as `None` removes it.
fn with(pointer: &str, value: Option<Value>) -> Vec<u8> {
    let mut event = event();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => parent.insert(key.to_owned(), value),
        None => parent.remove(key),
    };
    serde_json::to_vec(&event).unwrap()
}

fn verdict(body: &[u8]) -> Result<(), (Reason, String)> {
    decode(body).map(|_| ()).map_err(|rejection| (rejection.reason, rejection.pointer))
}

fn rejected(reason: Reason, pointer: &str) -> Result<(), (Reason, String)> {
    Err((reason, pointer.to_owned()))
}

#[test]
fn every_field_of_an_event_is_read() {
    let body = serde_json::to_vec(&event()).unwrap();
    let event = decode(&body).unwrap();
    assert_eq!(event.kind, Kind::Failed);
    assert_eq!(event.event_id.to_string(), EVENT_ID);
    assert_eq!(event.occurred_at.to_string(), "2026-11-21T10:00:00.123456Z");
    assert_eq!(event.producer.instance_id, "w-1");
    assert_eq!(event.idempotency_key, "key");
    assert_eq!(event.body, body);
    let job = event.job;
    assert_eq!(job.id.to_string(), JOB_ID);
    assert_eq!(job.job_type, "email.send");
    assert_eq!(Ok(job.created_at), Micros::parse("2026-11-21T09:59:58Z"));
    assert_eq!((job.queue.as_deref(), job.worker.as_deref()), (Some("default"), Some("w-1")));
    assert_eq!(job.attempt, 2);
    let error = job.error.unwrap();
    assert_eq!((&*error.kind, &*error.message), ("Timeout", "took \"too\" long"));
    assert_eq!(
        serde_json::from_str::<Value>(error.raw).unwrap()["code"],
        7,
        "what else the producer put there is kept"
    );
    assert_eq!((job.payload, job.metadata), (Some(r#"{"to":"x"}"#), Some("{}")));
}

#[test]
fn our_own_envelope_is_read_back_as_it_was_written() {
    let envelope: Envelope = serde_json::from_value(event()).unwrap();
    let body = serde_json::to_vec(&envelope).unwrap();
    let event = decode(&body).unwrap();
    assert_eq!(event.kind, envelope.event_type);
    assert_eq!(event.job.id, envelope.payload.id);
    assert_eq!(event.occurred_at, envelope.occurred_at);
}

#[test]
fn an_optional_field_may_be_absent_or_null() {
    for field in ["queue", "worker", "error", "payload", "metadata", "updatedAt"] {
        let pointer = format!("/payload/{field}");
        assert_eq!(verdict(&with(&pointer, None)), Ok(()), "{field}");
        assert_eq!(verdict(&with(&pointer, Some(Value::Null))), Ok(()), "{field}");
        assert_eq!(
            verdict(&with(&pointer, Some(json!(5)))),
            rejected(Reason::Schema, &pointer),
            "{field}"
        );
    }
}

#[test]
fn an_attempt_is_one_by_default_and_never_null() {
    let attempt =
        |value| decode(&with("/payload/attempt", value)).map(|event| event.job.attempt).ok();
    assert_eq!(attempt(None), Some(1));
    assert_eq!(attempt(Some(json!(65_535))), Some(65_535));
    for bad in [json!(null), json!(0), json!(-1), json!(65_536), json!(1.0), json!("1"), json!(1e2)]
    {
        assert_eq!(attempt(Some(bad.clone())), None, "{bad}");
    }
}

#[test]
fn a_required_field_that_is_missing_or_of_another_type_is_a_schema_fault_there() {
    for pointer in [
        "/contractVersion",
        "/eventType",
        "/eventId",
        "/occurredAt",
        "/producer",
        "/producer/service",
        "/producer/instanceId",
        "/producer/version",
        "/correlationId",
        "/idempotencyKey",
        "/payload",
        "/payload/id",
        "/payload/type",
        "/payload/status",
        "/payload/createdAt",
    ] {
        for value in [None, Some(json!(null)), Some(json!(true)), Some(json!(["x"]))] {
            let body = with(pointer, value.clone());
            assert_eq!(verdict(&body), rejected(Reason::Schema, pointer), "{value:?}");
        }
    }
}

#[test]
fn the_job_id_may_be_spelled_as_in_the_first_contract() {
    let job_id = |id: Option<Value>, job_id: Value| {
        let mut event = event();
        let job = event["payload"].as_object_mut().unwrap();
        job.remove("id");
        job.extend(id.map(|id| ("id".to_owned(), id)));
        job.insert("jobId".to_owned(), job_id);
        decode(&serde_json::to_vec(&event).unwrap()).map(|event| event.job.id.to_string())
    };
    assert_eq!(job_id(None, json!(JOB_ID)).unwrap(), JOB_ID);
    assert_eq!(job_id(Some(json!(null)), json!(JOB_ID)).unwrap(), JOB_ID);
    assert_eq!(job_id(Some(json!("")), json!(JOB_ID)).unwrap(), JOB_ID);
    assert_eq!(job_id(Some(json!(JOB_ID)), json!({ "ignored": 1 })).unwrap(), JOB_ID);
    assert_eq!(job_id(Some(json!(7)), json!(JOB_ID)).unwrap_err().pointer, "/payload/id");
    assert_eq!(job_id(None, json!("")).unwrap_err().pointer, "/payload/id");
    assert_eq!(job_id(None, json!("x")).unwrap_err().pointer, "/payload/jobId");
}

#[test]
fn an_id_is_a_uuid_with_hyphens_in_any_case() {
    let id = |text: &str| {
        decode(&with("/eventId", Some(json!(text)))).map(|event| event.event_id.to_string()).ok()
    };
    assert_eq!(id(&EVENT_ID.to_uppercase()).as_deref(), Some(EVENT_ID));
    assert_eq!(
        id("00000000-0000-0000-0000-000000000000").as_deref(),
        Some("00000000-0000-0000-0000-000000000000")
    );
    assert_eq!(id(&EVENT_ID.replace('-', "")), None);
    assert_eq!(id(&format!("urn:uuid:{EVENT_ID}")), None);
    assert_eq!(id(&format!("{{{EVENT_ID}}}")), None);
    assert_eq!(id("0193d5a8-1111-7aaa-8bbb-00000000000g"), None);
    assert_eq!(id("0193d5a81111-7aaa-8bbb-000-000000001"), None);
}

#[test]
fn a_name_has_1_to_200_bytes_and_no_control_character() {
    let name = |pointer: &str, name: &str| verdict(&with(pointer, Some(json!(name)))).is_ok();
    for pointer in ["/payload/type", "/payload/queue", "/payload/worker"] {
        assert!(name(pointer, &"x".repeat(200)));
        assert!(!name(pointer, &"x".repeat(201)));
        assert!(name(pointer, &"ü".repeat(100)));
        assert!(!name(pointer, &"ü".repeat(101)), "bytes count, not characters");
        for control in ["a\nb", "\0", "\u{7f}", "\u{85}"] {
            assert!(!name(pointer, control), "{control:?}");
        }
    }
    assert!(!name("/payload/type", ""));
    assert!(decode(&with("/payload/queue", Some(json!("")))).unwrap().job.queue.is_none());
}

#[test]
fn only_the_first_major_version_is_read() {
    for (version, accepted) in [
        ("1.0.0", true),
        ("1.1.0", true),
        ("1.99.123", true),
        ("2.0.0", false),
        ("10.0.0", false),
        ("1.0", false),
        ("1.0.0.0", false),
        ("1..0", false),
        ("1.0.0-rc1", false),
        ("v1.0.0", false),
        ("", false),
    ] {
        let body = with("/contractVersion", Some(json!(version)));
        assert_eq!(decode(&body).is_ok(), accepted, "{version}");
    }
}

#[test]
fn a_text_that_is_no_time_is_a_bad_time_only_when_nothing_else_is_wrong() {
    for pointer in ["/occurredAt", "/payload/createdAt"] {
        let body = with(pointer, Some(json!("yesterday")));
        assert_eq!(verdict(&body), rejected(Reason::BadTime, pointer));
    }
    let mut event = event();
    event["occurredAt"] = json!("yesterday");
    event["payload"]["metadata"] = json!([]);
    let body = serde_json::to_vec(&event).unwrap();
    assert_eq!(verdict(&body), rejected(Reason::Schema, "/payload/metadata"));
}

#[test]
fn the_first_reason_that_applies_is_given() {
    let deep = |open: usize, close: usize| [b"[".repeat(open), b"]".repeat(close)].concat();
    let reason = |body: &[u8]| decode(body).unwrap_err().reason;

    assert_eq!(reason(&vec![0xFF; MAX_BODY_BYTES + 1]), Reason::TooLarge);
    assert_eq!(reason(b"{\"a\":\xFF"), Reason::BadUtf8);
    assert_eq!(reason(&deep(100_000, 0)), Reason::BadJson, "unclosed, whatever its depth");
    assert_eq!(reason(&deep(200, 200)), Reason::TooDeep);
    assert_eq!(reason(&deep(130_000, 130_000)), Reason::TooDeep);
    assert_eq!(reason(&deep(64, 64)), Reason::Schema, "as deep as allowed, and no event");
    assert_eq!(reason(&deep(65, 65)), Reason::TooDeep);
    assert_eq!(reason(br#"{"eventType":"job.exploded"}"#), Reason::UnknownType);
    assert_eq!(reason(br#"{"eventType":"job.created"}"#), Reason::Schema);
    assert_eq!(reason(br#"{"eventType":5}"#), Reason::Schema);
    assert_eq!(reason(b""), Reason::BadJson);
    assert_eq!(reason(b"null"), Reason::Schema);
}

#[test]
fn an_event_type_may_be_spelled_with_escapes() {
    let body = String::from_utf8(serde_json::to_vec(&event()).unwrap()).unwrap();
    let body =
        body.replace("job.failed", r"job\u002efailed").replace("eventType", r"event\u0054ype");
    assert_eq!(decode(body.as_bytes()).unwrap().kind, Kind::Failed);
}

#[test]
fn a_detail_says_how_to_fix_it_and_repeats_nothing_that_was_sent() {
    for body in [
        with("/eventType", Some(json!("sEcReT"))),
        with("/payload/createdAt", Some(json!("sEcReT"))),
        with("/payload/attempt", Some(json!("sEcReT"))),
        with("/payload/type", Some(json!("sEcReT\n"))),
        with("/eventId", Some(json!("sEcReT"))),
        b"{\"a\":sEcReT}".to_vec(),
    ] {
        let rejection = decode(&body).unwrap_err();
        assert!(!rejection.detail.contains("sEcReT"), "{rejection}");
        assert!(rejection.detail.len() > 10, "{rejection}");
    }
}
