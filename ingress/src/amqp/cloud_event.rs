//! CloudEvents in messages of AMQP 0-9-1.
//!
//! | mode | content type | attributes |
//! |---|---|---|
//! | structured | `application/cloudevents…` | in the body |
//! | binary | that of the data | headers `cloudEvents_…`, or all of them `cloudEvents:…` |
//!
//! The binding of the specification is for AMQP 1.0, whose application properties RabbitMQ has as
//! headers in 0-9-1.

use contracts::{Micros, Reason, Rejection};
use lapin::types::{AMQPValue, FieldTable};

use super::consumer::Raw;
use crate::cloudevents::{Mapping, binary, is_structured, structured};

/// Before the name of an attribute. The first is preferred; the second is not allowed everywhere.
const PREFIXES: [&str; 2] = ["cloudEvents_", "cloudEvents:"];

/// The headers that are attributes, in the form in which the specification writes their values.
pub(super) fn headers(headers: &FieldTable) -> Vec<(String, String)> {
    let attributes = headers.into_iter().filter(|(name, _)| is_attribute(name.as_str()));
    attributes.map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// Whether a header of that name is an attribute of a CloudEvent.
#[must_use]
pub fn is_attribute(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn text(value: &AMQPValue) -> String {
    match value {
        AMQPValue::LongString(text) => text.to_string(),
        AMQPValue::ShortString(text) => text.to_string(),
        AMQPValue::Boolean(value) => value.to_string(),
        AMQPValue::ShortShortInt(n) => n.to_string(),
        AMQPValue::ShortShortUInt(n) => n.to_string(),
        AMQPValue::ShortInt(n) => n.to_string(),
        AMQPValue::ShortUInt(n) => n.to_string(),
        AMQPValue::LongInt(n) => n.to_string(),
        AMQPValue::LongUInt(n) => n.to_string(),
        AMQPValue::LongLongInt(n) => n.to_string(),
        // Whole seconds since the epoch.
        AMQPValue::Timestamp(seconds) => {
            let micros = i64::try_from(*seconds).ok().and_then(|s| s.checked_mul(1_000_000));
            micros.map_or_else(String::new, |micros| Micros(micros).to_string())
        }
        // What no attribute can be is refused as an empty one would be.
        _ => String::new(),
    }
}

/// What a message comes to that is a CloudEvent: an event of our contract as JSON, or why not.
pub(super) fn read(raw: &Raw, mapping: &Mapping) -> Option<Result<Vec<u8>, Rejection>> {
    let content_type = raw.content_type.as_deref();
    if let Some(content_type) = content_type.filter(|content_type| is_structured(content_type)) {
        if content_type.to_ascii_lowercase().contains("-batch") {
            let detail = "CloudEvents are not sent in batches over AMQP: send each by itself";
            return Some(Err(Rejection::new(Reason::Schema, "", detail)));
        }
        return Some(structured(&raw.body, mapping));
    }
    if raw.cloud_event.is_empty() {
        return None;
    }
    let of = |prefix: &str| -> Vec<(String, String)> {
        let named = raw.cloud_event.iter();
        let named = named.filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, value)));
        named.map(|(name, value)| (name.to_owned(), value.clone())).collect()
    };
    let [preferred, other] = PREFIXES.map(of);
    if !preferred.is_empty() && !other.is_empty() {
        let detail = "headers with `cloudEvents_` and with `cloudEvents:`: use one of them";
        return Some(Err(Rejection::new(Reason::Schema, "", detail)));
    }
    let attributes = if preferred.is_empty() { other } else { preferred };
    Some(binary(attributes, content_type, &raw.body, mapping))
}

#[cfg(test)]
mod tests {
    use contracts::{Kind, decode};

    use super::*;

    /// An event of our own, its attributes as headers.
    fn message(prefix: &str) -> Raw {
        let attributes = [
            ("specversion", "1.0"),
            ("type", "job.created"),
            ("source", "/shop"),
            ("id", "1"),
            ("time", "2026-11-21T10:00:00Z"),
        ];
        let headers = attributes.map(|(name, value)| (format!("{prefix}{name}"), value.to_owned()));
        Raw {
            content_type: Some("application/json; charset=utf-8".to_owned()),
            cloud_event: headers.to_vec(),
            body: br#"{"id":"order-17","type":"email.send"}"#.to_vec(),
            ..Raw::default()
        }
    }

    #[test]
    fn attributes_are_read_with_either_prefix_and_not_with_both() {
        for prefix in PREFIXES {
            let envelope = read(&message(prefix), &Mapping::default()).unwrap().unwrap();
            let event = decode(&envelope).unwrap();
            assert_eq!((event.kind, &*event.job.job_type), (Kind::Created, "email.send"));
        }
        let mut both = message(PREFIXES[0]);
        both.cloud_event.push(("cloudEvents:subject".to_owned(), "x".to_owned()));
        let rejection = read(&both, &Mapping::default()).unwrap().unwrap_err();
        assert_eq!(rejection.reason, Reason::Schema);
    }

    #[test]
    fn what_does_not_say_that_it_is_one_is_none() {
        let raw = Raw { cloud_event: Vec::new(), ..message(PREFIXES[0]) };
        assert!(read(&raw, &Mapping::default()).is_none());
    }

    #[test]
    fn a_batch_is_refused_as_the_specification_has_it() {
        let content_type = Some("application/cloudevents-batch+json".to_owned());
        let raw = Raw { content_type, body: b"[]".to_vec(), ..Raw::default() };
        assert!(read(&raw, &Mapping::default()).unwrap().is_err());
    }

    #[test]
    fn values_of_headers_are_the_texts_of_the_specification() {
        let mut table = FieldTable::default();
        table.insert("cloudEvents_time".into(), AMQPValue::Timestamp(1_795_255_200));
        table.insert("cloudEvents_urgent".into(), AMQPValue::Boolean(true));
        table.insert("cloudEvents_attempt".into(), AMQPValue::LongInt(-3));
        table.insert("cloudEvents_id".into(), AMQPValue::LongString("x".into()));
        table.insert("x-death".into(), AMQPValue::Void);
        let expected = [
            ("cloudEvents_attempt", "-3"),
            ("cloudEvents_id", "x"),
            ("cloudEvents_time", "2026-11-21T10:00:00.000000Z"),
            ("cloudEvents_urgent", "true"),
        ];
        let mut found = headers(&table);
        found.sort();
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
