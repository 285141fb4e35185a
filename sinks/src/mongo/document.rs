//! An event as a document: the envelope's fields, then what is ours.

use std::fmt;

use contracts::Micros;
use mongodb::bson::RawBinaryRef;
use mongodb::bson::raw::{CStr, CString, RawArrayBuf, RawBson, RawDocument};
use mongodb::bson::raw::{RawDocumentBuf, cstr};
use mongodb::bson::spec::BinarySubtype;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::insert::Row;

/// The field of what is ours.
const OURS: &CStr = cstr!("_observatory");

/// The document of an event under the key `id`.
pub(super) fn of(row: &Row<'_>, id: &str) -> RawDocumentBuf {
    let whole = made(row, id, Some(row.body));
    // What decode accepts is JSON; if it is another program's, it is in the body all the same.
    whole.or_else(|| made(row, id, None)).unwrap_or_default()
}

/// The document with the fields of `envelope`; none if that is not a JSON object.
fn made(row: &Row<'_>, id: &str, envelope: Option<&[u8]>) -> Option<RawDocumentBuf> {
    let known = Known {
        event: row.event().to_owned(),
        job: row.job.to_string(),
        at: Micros(row.occurred_at).to_string(),
    };
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("_id"), id);
    match envelope {
        Some(envelope) => {
            let mut json = serde_json::Deserializer::from_slice(envelope);
            let seed = Envelope { known: &known, into: &mut document };
            seed.deserialize(&mut json).ok()?;
            json.end().ok()?;
        }
        None => known.missing(&mut document, Seen::default()),
    }
    let mut ours = RawDocumentBuf::new();
    ours.append(cstr!("tick"), i64::try_from(row.tick).unwrap_or(i64::MAX));
    ours.append(cstr!("late"), row.late);
    ours.append(cstr!("body"), RawBinaryRef { subtype: BinarySubtype::Generic, bytes: row.body });
    document.append(OURS, ours);
    Some(document)
}

/// The same document under another key.
pub(super) fn renamed(document: &RawDocument, id: &str) -> RawDocumentBuf {
    let mut renamed = RawDocumentBuf::new();
    renamed.append(cstr!("_id"), id);
    for (name, value) in document.iter().flatten().skip(1) {
        renamed.append(name, value);
    }
    renamed
}

/// The tick and the body of a document; none if it is not one of ours.
pub(super) fn ours(document: &RawDocument) -> Option<(u64, &[u8])> {
    let ours = document.get_document(OURS).ok()?;
    let tick = ours.get_i64("tick").ok()?;
    let body = ours.get_binary("body").ok()?;
    Some((tick.try_into().ok()?, body.bytes))
}

/// What an event is looked for by.
struct Known {
    event: String,
    job: String,
    at: String,
}

/// Which of it the envelope has.
#[derive(Clone, Copy, Default)]
struct Seen {
    event: bool,
    job: bool,
    at: bool,
}

impl Known {
    fn missing(&self, document: &mut RawDocumentBuf, seen: Seen) {
        if !seen.event {
            document.append(cstr!("eventId"), self.event.as_str());
        }
        if !seen.at {
            document.append(cstr!("occurredAt"), self.at.as_str());
        }
        if !seen.job {
            let mut payload = RawDocumentBuf::new();
            payload.append(cstr!("id"), self.job.as_str());
            document.append(cstr!("payload"), payload);
        }
    }
}

/// Copies the fields of an envelope.
struct Envelope<'a> {
    known: &'a Known,
    into: &'a mut RawDocumentBuf,
}

impl<'de> DeserializeSeed<'de> for Envelope<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Envelope<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = Seen::default();
        while let Some(name) = map.next_key_seed(Name)? {
            match name.as_str() {
                "eventId" if !seen.event => {
                    map.next_value::<serde::de::IgnoredAny>()?;
                    self.into.append(name, self.known.event.as_str());
                    seen.event = true;
                }
                "occurredAt" if !seen.at => {
                    map.next_value::<serde::de::IgnoredAny>()?;
                    self.into.append(name, self.known.at.as_str());
                    seen.at = true;
                }
                "payload" if !seen.job => {
                    let payload = match map.next_value_seed(Value)? {
                        RawBson::Document(payload) => with_id(&payload, &self.known.job),
                        // Of another kind of event, whose payload has no fields.
                        other => {
                            let mut payload = RawDocumentBuf::new();
                            payload.append(cstr!("id"), self.known.job.as_str());
                            payload.append(cstr!("value"), other);
                            payload
                        }
                    };
                    self.into.append(name, payload);
                    seen.job = true;
                }
                "_id" | "_observatory" => {
                    let value = map.next_value_seed(Value)?;
                    // Not an empty text, and without NUL.
                    let ours = CString::try_from(format!("＿{}", &name.as_str()[1..]));
                    self.into.append(ours.unwrap_or(name), value);
                }
                _ => {
                    let value = map.next_value_seed(Value)?;
                    self.into.append(name, value);
                }
            }
        }
        self.known.missing(self.into, seen);
        Ok(())
    }
}

/// The payload with the canonical id of the job, in its place if it has one.
fn with_id(payload: &RawDocument, job: &str) -> RawDocumentBuf {
    let mut with_id = RawDocumentBuf::new();
    let mut seen = false;
    for (name, value) in payload.iter().flatten() {
        if name.as_str() == "id" {
            seen = true;
            with_id.append(name, job);
        } else {
            with_id.append(name, value);
        }
    }
    if !seen {
        with_id.append(cstr!("id"), job);
    }
    with_id
}

/// A name that MongoDB takes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = CString;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<CString, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = CString;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<CString, E> {
        if !name.contains(['$', '.', '\0']) {
            return CString::try_from(name).map_err(E::custom);
        }
        // The first two have a meaning in queries, the last ends a name in BSON.
        let name: String = name
            .chars()
            .map(|c| match c {
                '$' => '＄',
                '.' => '．',
                '\0' => '␀',
                c => c,
            })
            .collect();
        CString::try_from(name).map_err(E::custom)
    }
}

/// A JSON value as BSON.
struct Value;

impl<'de> DeserializeSeed<'de> for Value {
    type Value = RawBson;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawBson, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = RawBson;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<RawBson, E> {
        Ok(RawBson::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawBson, E> {
        Ok(RawBson::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawBson, E> {
        Ok(i32::try_from(value).map_or(RawBson::Int64(value), RawBson::Int32))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<RawBson, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            // The body has all its digits.
            Err(_) => Ok(RawBson::Double(value as f64)),
        }
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawBson, E> {
        Ok(RawBson::Double(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawBson, E> {
        Ok(RawBson::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<RawBson, E> {
        Ok(RawBson::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawBson, A::Error> {
        let mut array = RawArrayBuf::new();
        while let Some(value) = seq.next_element_seed(Value)? {
            array.push(value);
        }
        Ok(RawBson::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawBson, A::Error> {
        let mut document = RawDocumentBuf::new();
        while let Some(name) = map.next_key_seed(Name)? {
            document.append(name, map.next_value_seed(Value)?);
        }
        Ok(RawBson::Document(document))
    }
}

#[cfg(test)]
#[path = "document/tests.rs"]
mod tests;
