use contracts::Reason;
use serde_json::{Value, json};

use super::*;

const NOW: Micros = Micros(1_795_255_200_000_000);
const CORRELATION: Uuid = Uuid::from_u128(0xc0);

fn request(key: Option<&str>) -> Request<'_> {
    Request { now: NOW, correlation_id: CORRELATION, idempotency_key: key, instance_id: "g-1" }
}

/// Ids that are given out in order: 1, 2, …
fn counter() -> impl FnMut() -> Uuid {
    let mut last = 0;
    move || {
        last += 1;
        Uuid::from_u128(last)
    }
}

fn made(job: &str) -> Vec<u8> {
    job_created(job.as_bytes(), None, &request(None), counter()).unwrap()
}

fn keyed(job: &str, key: &str, index: Option<usize>) -> (JobId, EventId) {
    let event = job_created(job.as_bytes(), index, &request(Some(key)), counter()).unwrap();
    let event = decode(&event).unwrap();
    (event.job.id, event.event_id)
}

#[track_caller]
fn refused(job: impl AsRef<[u8]>, reason: Reason, pointer: &str) {
    let rejection = job_created(job.as_ref(), None, &request(None), counter()).unwrap_err();
    assert_eq!((rejection.reason, rejection.pointer.as_str()), (reason, pointer), "{rejection}");
}

#[test]
fn a_type_is_enough_for_a_job() {
    let event = made(r#"{"type":"email.send"}"#);
    assert_eq!(
        serde_json::from_slice::<Value>(&event).unwrap(),
        json!({
            "contractVersion": "1.1.0",
            "eventType": "job.created",
            "eventId": "00000000-0000-0000-0000-000000000002",
            "occurredAt": "2026-11-21T10:00:00.000000Z",
            "producer": {
                "service": "observatory", "instanceId": "g-1", "version": env!("CARGO_PKG_VERSION")
            },
            "correlationId": "00000000-0000-0000-0000-0000000000c0",
            "idempotencyKey": "00000000-0000-0000-0000-000000000001",
            "payload": {
                "id": "00000000-0000-0000-0000-000000000001",
                "type": "email.send",
                "status": "PENDING",
                "createdAt": "2026-11-21T10:00:00.000000Z",
            },
        })
    );
}

#[test]
fn what_the_client_sent_stays_as_it_was_written() {
    let job = r#"{ "type": "a", "n": 1.50e1, "metadata": {"z":1,"a":2}, "text":"\u0041" }"#;
    let event = String::from_utf8(made(job)).unwrap();
    assert!(event.contains(job.strip_prefix('{').unwrap()), "{event}");
}

#[test]
fn what_the_client_gave_is_not_filled_in() {
    let event = made(
        r#"{"id":"0193AAAA-0000-7000-8000-000000000001","type":"a","status":"x","createdAt":"2026-01-02T03:04:05+01:00"}"#,
    );
    let event = decode(&event).unwrap();
    assert_eq!(event.job.id, uuid!("0193aaaa-0000-7000-8000-000000000001"));
    assert_eq!(event.job.status, "x");
    assert_eq!(event.job.created_at.to_string(), "2026-01-02T02:04:05.000000Z");
    assert_eq!(event.occurred_at, NOW);
    assert_eq!(event.idempotency_key, "0193aaaa-0000-7000-8000-000000000001");
}

#[test]
fn the_other_name_of_the_id_is_as_good() {
    let event = made(r#"{"jobId":"0193aaaa-0000-7000-8000-000000000001","type":"a"}"#);
    let event = decode(&event).unwrap();
    assert_eq!(event.job.id, uuid!("0193aaaa-0000-7000-8000-000000000001"));
    assert_eq!(event.idempotency_key, "0193aaaa-0000-7000-8000-000000000001");
}

#[test]
fn a_null_or_empty_id_is_none() {
    for job in
        [r#"{"id":null,"type":"a"}"#, r#"{"id":"","type":"a"}"#, r#"{"jobId":"","type":"a"}"#]
    {
        assert_eq!(decode(&made(job)).unwrap().job.id, Uuid::from_u128(1), "{job}");
    }
}

#[test]
fn white_space_around_a_job_is_nothing_to_object_to() {
    assert_eq!(made(" \n{ \"type\":\"a\"}\t"), made("{ \"type\":\"a\"}"));
}

#[test]
fn a_repeat_under_one_key_has_the_same_ids() {
    let job = r#"{"type":"a"}"#;
    assert_eq!(keyed(job, "key", None), keyed(job, "key", None));
    assert_ne!(keyed(job, "key", None), keyed(job, "other", None));
}

#[test]
fn ids_from_keys_are_those_that_earlier_versions_gave() {
    // A repeat may come after an upgrade: this must never change.
    let (job, event) = keyed(r#"{"type":"a"}"#, "key", None);
    assert_eq!(job, uuid!("fd8ae7f7-7f6f-5eb4-b654-bcbe32b13fb8"));
    assert_eq!(event, uuid!("e043e0d3-b0a5-5975-a24b-f10f5a70e02d"));
}

#[test]
fn the_elements_of_a_batch_under_one_key_differ() {
    let job = r#"{"type":"a"}"#;
    let ids = [None, Some(0), Some(1)].map(|index| keyed(job, "key", index));
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
}

#[test]
fn under_a_key_an_id_of_the_client_stays() {
    let (job, event) =
        keyed(r#"{"id":"0193aaaa-0000-7000-8000-000000000001","type":"a"}"#, "key", None);
    assert_eq!(job, uuid!("0193aaaa-0000-7000-8000-000000000001"));
    assert_eq!(event, request(Some("key")).event_id(None).unwrap());
}

#[test]
fn a_key_with_quotes_is_kept_as_it_is() {
    let key = r#""a\b""#;
    let event = job_created(br#"{"type":"a"}"#, None, &request(Some(key)), counter()).unwrap();
    assert_eq!(decode(&event).unwrap().idempotency_key, key);
}

#[test]
fn a_rejection_points_into_the_job_that_was_sent() {
    refused(r#"{}"#, Reason::Schema, "/type");
    refused(r#"{"type":""}"#, Reason::Schema, "/type");
    refused(r#"{"type":7}"#, Reason::Schema, "/type");
    refused(r#"{"type":"a","attempt":0}"#, Reason::Schema, "/attempt");
    refused(r#"{"type":"a","error":{"kind":1}}"#, Reason::Schema, "/error/kind");
    refused(r#"{"type":"a","status":null}"#, Reason::Schema, "/status");
    refused(r#"{"type":"a","id":"nonsense"}"#, Reason::Schema, "/id");
    refused(r#"{"type":"a","id":null,"jobId":null}"#, Reason::Schema, "/id");
    refused(r#"{"type":"a","createdAt":"yesterday"}"#, Reason::BadTime, "/createdAt");
}

#[test]
fn what_is_no_job_at_all_is_refused_as_a_whole() {
    for job in ["null", "7", r#""job""#, "[]", r#"[{"type":"a"}]"#] {
        refused(job, Reason::Schema, "");
    }
    refused("", Reason::BadJson, "");
    refused(b"\xff", Reason::BadUtf8, "");
    refused(vec![b' '; contracts::decode::MAX_BODY_BYTES + 1], Reason::TooLarge, "");
}

#[test]
fn a_key_twice_is_refused_wherever_it_is() {
    refused(r#"{"type":"a","type":"b"}"#, Reason::BadJson, "/type");
    refused(r#"{"type":"a","metadata":{"k":1,"k":2}}"#, Reason::BadJson, "/metadata/k");
    refused(r#"{"type":"a","i\u0064":"x","id":"y"}"#, Reason::BadJson, "/id");
}

#[test]
fn a_job_can_not_write_members_of_the_envelope() {
    refused(r#"{"type":"a"},"eventType":"job.failed","x":{"y":1}"#, Reason::BadJson, "");
    refused(r#"{"type":"a"}} {"#, Reason::BadJson, "");
    refused(r#"{"type":"a""#, Reason::BadJson, "/type");
}

#[test]
fn nesting_is_bounded_as_in_every_event() {
    let nested = |levels: usize| {
        format!(r#"{{"type":"a","metadata":{{"k":{}{}}}}}"#, "[".repeat(levels), "]".repeat(levels))
    };
    // The envelope, the job and its metadata take three of 64.
    made(&nested(61));
    let rejection =
        job_created(nested(62).as_bytes(), None, &request(None), counter()).unwrap_err();
    assert_eq!(rejection.reason, Reason::TooDeep);
    assert!(rejection.pointer.starts_with("/metadata/k/0"), "{}", rejection.pointer);
}

#[test]
fn work_is_what_the_job_says() {
    let event = made(
        r#"{"type":"a","queue":"slow","attempt":3,"payload":{"to":"x","simulate":{"delayMs":20,"fail":true}}}"#,
    );
    assert_eq!(
        work(&decode(&event).unwrap()),
        Work {
            job: Uuid::from_u128(1),
            job_type: "a".to_owned(),
            queue: Some("slow".to_owned()),
            created_at: NOW,
            correlation_id: CORRELATION,
            attempt: 3,
            simulate: Simulate { delay_ms: Some(20), fail: true, ..Simulate::default() },
        }
    );
}

#[test]
fn a_simulation_that_makes_no_sense_is_none() {
    for simulate in
        ["7", "null", "[]", r#"{"delayMs":"long"}"#, r#"{"delayMs":-1}"#, r#"{"fail":1}"#]
    {
        let job = format!(r#"{{"type":"a","payload":{{"simulate":{simulate}}}}}"#);
        assert_eq!(work(&decode(&made(&job)).unwrap()).simulate, Simulate::default(), "{job}");
    }
}

#[test]
fn an_archived_event_is_known_to_be_made_of_its_job() {
    let job = r#"{"type":"a","metadata":{"k":[1,2]},"n":1}"#;
    let event = made(job);
    let event = decode(&event).unwrap();
    assert!(made_of(&event, job.as_bytes()));
    assert!(made_of(&event, br#" {"n":1, "metadata":{"k":[1,2]}, "type":"a"}"#));
    for other in [
        r#"{"type":"b","metadata":{"k":[1,2]},"n":1}"#,
        r#"{"type":"a","metadata":{"k":[2,1]},"n":1}"#,
        r#"{"type":"a","n":1}"#,
        r#"{"type":"a","metadata":{"k":[1,2]},"n":1,"queue":"q"}"#,
        "[]",
    ] {
        assert!(!made_of(&event, other.as_bytes()), "{other}");
    }
}
