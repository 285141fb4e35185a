use mongodb::bson::{Document, doc};
use uuid::Uuid;

use super::{of, ours, renamed};
use crate::commit::SpillRow;
use crate::mongo::insert::Row;

fn document(body: &str) -> Document {
    let row = SpillRow {
        key: Uuid::from_u128(0xE).to_string(),
        job: Uuid::from_u128(0xA),
        occurred_at: 1_795_255_200_000_000,
        tick: 7,
        late: false,
        body: body.as_bytes().to_vec(),
    };
    let document = of(&Row::spilled(&row), &row.key);
    assert_eq!(ours(&document), Some((7, body.as_bytes())));
    let mut document = Document::try_from(document).unwrap();
    assert_eq!(document.remove("_id").unwrap().as_str(), Some(&*row.key));
    document.remove("_observatory");
    document
}

const EVENT: &str = "00000000-0000-0000-0000-00000000000e";
const JOB: &str = "00000000-0000-0000-0000-00000000000a";
const AT: &str = "2026-11-21T10:00:00.000000Z";

#[test]
fn what_an_event_is_looked_for_by_is_canonical_and_the_rest_as_it_was() {
    let found = document(
        r#"{"eventType": "job.created", "eventId": "0E", "payload": {"a": 1, "id": "0A"},
            "occurredAt": "soon", "n": [0.5, -1, 2147483648, 1e3, true, null]}"#,
    );
    let n = vec![0.5.into(), (-1).into(), 2_147_483_648_i64.into(), 1e3.into(), true.into()];
    let n = [n, vec![mongodb::bson::Bson::Null]].concat();
    let expected = doc! {
        "eventType": "job.created", "eventId": EVENT, "payload": { "a": 1, "id": JOB },
        "occurredAt": AT, "n": n,
    };
    assert_eq!(found, expected);
    let names: Vec<_> = found.keys().map(String::as_str).collect();
    assert_eq!(names, ["eventType", "eventId", "payload", "occurredAt", "n"]);
}

#[test]
fn what_an_event_is_looked_for_by_is_there_whatever_its_body_is() {
    let missing = doc! { "eventId": EVENT, "occurredAt": AT, "payload": { "id": JOB } };
    for body in ["", "[]", "7", "{\"a\":", "{\"a\": 1} {}", "\u{1}"] {
        assert_eq!(document(body), missing, "{body:?}");
    }
    let found = document(r#"{"payload": "text", "eventId": 1}"#);
    let payload = doc! { "id": JOB, "value": "text" };
    assert_eq!(found, doc! { "payload": payload, "eventId": EVENT, "occurredAt": AT });
    assert_eq!(
        document(r#"{"payload": {}}"#).get_document("payload").unwrap(),
        &doc! { "id": JOB }
    );
}

#[test]
fn names_that_mongodb_does_not_take_have_look_alikes() {
    let found = document(r#"{"$set": {"a.b": 1}, "nul\u0000": 2, "_id": 3, "_observatory": 4}"#);
    assert_eq!(found.get_document("＄set").unwrap(), &doc! { "a．b": 1 });
    assert_eq!(found.get_i32("nul␀").unwrap(), 2);
    assert_eq!(found.get_i32("＿id").unwrap(), 3);
    assert_eq!(found.get_i32("＿observatory").unwrap(), 4);
}

#[test]
fn a_renamed_document_differs_in_its_key_only() {
    let row = SpillRow {
        key: EVENT.to_owned(),
        job: Uuid::nil(),
        occurred_at: 0,
        tick: 1,
        late: true,
        body: b"{\"a\": {\"b\": [1]}}".to_vec(),
    };
    let first = of(&Row::spilled(&row), EVENT);
    let second = renamed(&first, "other");
    assert_eq!(renamed(&second, EVENT), first);
    assert_eq!(second.get_str("_id").unwrap(), "other");
}
