//! What holds for every sequence of bytes; checked by the fuzz target and, over its corpus, by an
//! ordinary test.

use contracts::decode::{MAX_BODY_BYTES, MAX_DETAIL_BYTES};
use contracts::event::MAX_NAME_BYTES;
use contracts::{Batch, Event, Micros, Reason, Rejection, decode, elements};
use serde_json::{Map, Value};

/// Panics when decoding or splitting `body` breaks a promise.
pub(crate) fn hold(body: &[u8]) {
    let decoded = decode(body);
    match &decoded {
        Ok(event) => accepted(body, event),
        Err(rejection) => rejected(body, rejection),
    }
    match elements(body) {
        Ok(Batch::One(whole)) => assert_eq!(whole, body),
        Ok(Batch::Many(parts)) => {
            assert!(decoded.is_err(), "an array is no event");
            split(&parts);
        }
        Err(rejection) => {
            explained(&rejection);
            assert!(decoded.is_err());
        }
    }
}

fn accepted(body: &[u8], event: &Event<'_>) {
    assert_eq!(event.body, body);
    let value: Value = serde_json::from_slice(body).expect("an event is JSON");
    assert_eq!(value["eventType"], event.kind.as_str());
    assert_eq!(value["idempotencyKey"], *event.idempotency_key);
    assert_eq!(value["producer"]["instanceId"], *event.producer.instance_id);
    assert_eq!(value["payload"]["type"], *event.job.job_type);
    assert_eq!(value["payload"]["status"], *event.job.status);
    for at in [event.occurred_at, event.job.created_at] {
        assert!((Micros::EARLIEST..Micros::TOO_LATE).contains(&at));
        assert_eq!(Micros::parse(&at.to_string()), Ok(at));
    }
    let job = &event.job;
    assert!(job.attempt >= 1);
    for name in [Some(&job.job_type), job.queue.as_ref(), job.worker.as_ref()].into_iter().flatten()
    {
        assert!((1..=MAX_NAME_BYTES).contains(&name.len()) && !name.contains(char::is_control));
    }
    for raw in [job.payload, job.metadata, job.error.as_ref().map(|error| error.raw)] {
        let object = raw.map(serde_json::from_str::<Map<String, Value>>);
        assert!(!matches!(object, Some(Err(_))), "a raw object is an object");
    }

    // As the only element of a batch it is the same event.
    let batch = [b"[", body, b"]"].concat();
    if batch.len() <= MAX_BODY_BYTES {
        let batch = elements(&batch).expect("a batch of an event");
        let [element] = batch.elements() else { panic!("one element") };
        let again = decode(element).expect("the same event");
        assert_eq!(Event { body, ..again }, *event);
    }
}

fn rejected(body: &[u8], rejection: &Rejection) {
    explained(rejection);
    let reason = rejection.reason;
    assert_eq!(reason == Reason::TooLarge, body.len() > MAX_BODY_BYTES);
    if reason > Reason::TooLarge {
        assert_eq!(reason == Reason::BadUtf8, str::from_utf8(body).is_err());
    }
    // It nests to 127 levels only.
    let reference = serde_json::from_slice::<Value>(body);
    match reason {
        Reason::UnknownType | Reason::Schema | Reason::BadTime => assert!(reference.is_ok()),
        Reason::TooLarge | Reason::BadUtf8 | Reason::BadJson | Reason::TooDeep => {}
    }
}

fn explained(Rejection { pointer, detail, .. }: &Rejection) {
    assert!(pointer.is_empty() || pointer.starts_with('/'));
    assert!((1..=MAX_DETAIL_BYTES).contains(&detail.len()));
}

fn split(parts: &[&[u8]]) {
    assert!(!parts.is_empty());
    for part in parts {
        let decoded = decode(part);
        let whole = |why: Rejection| matches!(why.reason, Reason::TooLarge | Reason::BadUtf8);
        assert!(!decoded.is_err_and(whole), "judged of the batch as a whole");
    }
    let joined = [b"[", &parts.join(&b","[..])[..], b"]"].concat();
    if joined.len() <= MAX_BODY_BYTES {
        let again = elements(&joined).expect("the elements, joined");
        assert_eq!(again.elements(), parts);
    }
}
