//! CloudEvents 1.0 as events of our contract.
//!
//! ```text
//!   structured: {"specversion": "1.0", "type": …, "data": …} ─┐
//!   binary: attributes in headers, data as body ──────────────┴─▶ attributes + data
//!      ──mapping──▶ envelope {"eventType": "job.executed", …, "origin": {"format": "cloudevents", …}}
//! ```
//!
//! A type `job.*` is one of ours, and its data a job as our events carry it. For any other a
//! [`Mapping`] says which of ours it is, and where in the event what it needs stands.
//!
//! # Invariants
//!
//! 1. An event's id follows from (source, id), which the specification has be unique.
//! 2. An event that breaks a rule of the specification is rejected with the attribute's place; one
//!    whose type nobody has mapped is `unknown_type`.
//!
//! The binding to AMQP is written for AMQP 1.0; here its application properties are the headers of
//! AMQP 0-9-1, as RabbitMQ itself converts them.

mod mapping;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contracts::{JobId, Micros, Reason, Rejection};
use serde_json::{Map, Value, json};
use uuid::Uuid;

pub use mapping::{Mapping, MappingError};
use mapping::{Place, Rule};

use crate::names;

/// Names of CloudEvents, and of their jobs, become ids in this space.
const CLOUD_EVENTS: Uuid = Uuid::from_u128(0x8a5c_1c5e_6d0b_5a53_9c1e_43de_1e1f_0c02);

/// An event with its attributes and its data, as in structured mode.
type Event = Map<String, Value>;

/// Whether a content type says that the body is an event in structured mode.
#[must_use]
pub(crate) fn is_structured(content_type: &str) -> bool {
    let begins = content_type.get(..MEDIA_TYPE.len());
    begins.is_some_and(|begins| begins.eq_ignore_ascii_case(MEDIA_TYPE))
}

const MEDIA_TYPE: &str = "application/cloudevents";

/// Reads an event in structured mode; gives one of our contract, as JSON.
pub fn structured(body: &[u8], mapping: &Mapping) -> Result<Vec<u8>, Rejection> {
    let text = contracts::decode::object(body)?;
    // What has been checked is JSON.
    let mut event: Event = serde_json::from_str(text)
        .map_err(|_| Rejection::new(Reason::BadJson, "", "not a JSON object"))?;
    event.retain(|_, value| !value.is_null());
    check(&event)?;
    if let Some(encoded) = event.get("data_base64").and_then(Value::as_str) {
        let data = STANDARD.decode(encoded);
        let data = data.map_err(|_| schema("/data_base64", "must be Base64 (RFC 4648)"))?;
        if event.get("datacontenttype").and_then(Value::as_str).is_none_or(is_json) {
            event.insert("data".to_owned(), data_of(&data)?);
            event.remove("data_base64");
        }
    }
    made_of(event, mapping)
}

/// Reads an event in binary mode: its attributes by their names, and its data.
pub fn binary(
    attributes: impl IntoIterator<Item = (String, String)>,
    content_type: Option<&str>,
    data: &[u8],
    mapping: &Mapping,
) -> Result<Vec<u8>, Rejection> {
    if data.len() > contracts::decode::MAX_BODY_BYTES {
        let detail = "keep large data elsewhere and send a reference";
        return Err(Rejection::new(Reason::TooLarge, "", detail));
    }
    let mut event = Event::new();
    for (name, value) in attributes {
        let pointer = format!("/{name}");
        // Data and its content type are not among the attributes in this mode.
        if event.insert(name, value.into()).is_some() {
            return Err(schema(&pointer, "an attribute occurs twice: send it once"));
        }
    }
    if let Some(content_type) = content_type.filter(|content_type| !content_type.is_empty()) {
        event.insert("datacontenttype".to_owned(), content_type.into());
    }
    event.remove("data");
    event.remove("data_base64");
    check(&event)?;
    if !data.is_empty() {
        let json = content_type.is_none_or(is_json);
        let (name, data) = match (json, str::from_utf8(data)) {
            (true, _) => ("data", data_of(data)?),
            (false, Ok(text)) => ("data", text.into()),
            (false, Err(_)) => ("data_base64", STANDARD.encode(data).into()),
        };
        event.insert(name.to_owned(), data);
    }
    made_of(event, mapping)
}

/// Data in JSON, as strict as any event of ours.
fn data_of(data: &[u8]) -> Result<Value, Rejection> {
    let first = data.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'{') {
        contracts::decode::object(data).map_err(|rejection| Rejection {
            pointer: format!("/data{}", rejection.pointer),
            ..rejection
        })?;
    }
    serde_json::from_slice(data).map_err(|error| {
        Rejection::new(Reason::BadJson, "/data", format!("the data is no JSON: {error}"))
    })
}

/// Whether data of a media type is JSON.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let subtype = essence.split_once('/').map_or("", |(_, subtype)| subtype);
    subtype == "json" || subtype.ends_with("+json")
}

/// What the specification demands of attributes.
fn check(event: &Event) -> Result<(), Rejection> {
    for name in ["specversion", "id", "source", "type"] {
        match event.get(name) {
            Some(Value::String(text)) if !text.is_empty() => {}
            Some(_) => return Err(schema(&format!("/{name}"), "must be a text that is not empty")),
            None => return Err(schema(&format!("/{name}"), "is required and missing")),
        }
    }
    if event["specversion"] != "1.0" {
        return Err(schema("/specversion", "must be `1.0`: this reader knows CloudEvents 1.0"));
    }
    if event.contains_key("data") && event.contains_key("data_base64") {
        return Err(schema("/data_base64", "stands beside `data`: send one of them"));
    }
    for (name, value) in event {
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        if name == "data" || name == "data_base64" {
            continue;
        }
        let named = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !named {
            let detail = "the name of an attribute has lower-case letters and digits only";
            return Err(schema(&pointer, detail));
        }
        let of_text = ["datacontenttype", "dataschema", "subject", "time"].contains(&&**name);
        match value {
            Value::String(text) if !text.is_empty() || !of_text => {}
            Value::Bool(_) | Value::Number(_) if !of_text => {}
            _ => return Err(schema(&pointer, "is no value that this attribute can have")),
        }
    }
    if let Some(time) = event.get("time").and_then(Value::as_str) {
        Micros::parse(time)
            .map_err(|error| Rejection::new(Reason::BadTime, "/time", error.to_string()))?;
    }
    Ok(())
}

/// The event of our contract that a CloudEvent is.
fn made_of(event: Event, mapping: &Mapping) -> Result<Vec<u8>, Rejection> {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (event_type, source, id) = (text("type"), text("source"), text("id"));
    let whole = Value::Object(event);
    let Some(rule) = mapping.rule(&event_type) else {
        let detail = "no type that is known here: send `job.*`, or map it with --cloudevents FILE";
        return Err(Rejection::new(Reason::UnknownType, "/type", detail));
    };
    let rule: &Rule = &rule;
    let time = rule.time.text(&whole)?.ok_or_else(|| rule.time.missing("when it happened"))?;
    let job = match rule.id.text(&whole)? {
        Some(id) => id,
        None => match rule.or_subject.then(|| whole["subject"].as_str()).flatten() {
            Some(subject) => subject.to_owned(),
            None => return Err(rule.id.missing("which job it is about")),
        },
    };
    let job = job_id(&job);
    let job_type =
        rule.job_type.text(&whole)?.ok_or_else(|| rule.job_type.missing("the type of the job"))?;
    let optional = |place: &Option<Place>| match place {
        Some(place) => place.text(&whole),
        None => Ok(None),
    };
    let found = |place: &Option<Place>| {
        let value = place.as_ref().and_then(|place| place.value(&whole));
        value.filter(|value| !value.is_null()).cloned()
    };
    let mut payload = json!({
        "id": job,
        "type": job_type,
        "status": rule.event.state(),
        "createdAt": optional(&rule.created_at)?.unwrap_or_else(|| time.clone()),
        "queue": optional(&rule.queue)?,
        "worker": optional(&rule.worker)?,
        "error": found(&rule.error).map(|error| match error {
            Value::String(message) => json!({ "message": message }),
            other => other,
        }),
        "payload": found(&rule.payload),
        "metadata": found(&rule.metadata),
    });
    if let Some(attempt) = found(&rule.attempt) {
        // A header has numbers as texts.
        let number = attempt.as_str().and_then(|text| text.parse::<u16>().ok());
        payload["attempt"] = number.map_or(attempt, Value::from);
    }
    let envelope = json!({
        "contractVersion": contracts::event::CONTRACT_VERSION,
        "eventType": rule.event,
        "eventId": Uuid::new_v5(&CLOUD_EVENTS, format!("{source}\n{id}").as_bytes()),
        "occurredAt": time,
        "producer": { "service": "cloudevents", "instanceId": source, "version": "" },
        "correlationId": job,
        "idempotencyKey": id,
        "payload": payload,
        "origin": { "format": "cloudevents", "event": whole },
    });
    Ok(envelope.to_string().into_bytes())
}

fn job_id(name: &str) -> JobId {
    names::id(&CLOUD_EVENTS, name)
}

fn schema(pointer: &str, detail: &str) -> Rejection {
    Rejection::new(Reason::Schema, pointer, detail)
}
