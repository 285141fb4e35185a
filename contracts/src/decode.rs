//! From received bytes to an [`Event`], or to the one reason why not.
//!
//! ```text
//!   bytes ──size──▶ ──UTF-8──▶ ──scan──▶ spans ──eventType──▶ ──fields──▶ ──times──▶ Event
//!            │          │        │ │               │              │           │
//!       too_large  bad_utf8  bad_json too_deep  unknown_type    schema    bad_time
//! ```
//!
//! # Invariants
//!
//! 1. Total: every sequence of bytes gives an event or a rejection, and nothing panics or recurses.
//! 2. The reason is the first that applies in the order of [`Reason`]: a text that nests too deeply
//!    *and* ends early is `bad_json`, an unknown `eventType` wins over a missing field.
//! 3. A rejection says where and what, and never repeats what was sent, which may be secret.
//!
//! # Cost
//!
//! One pass over the bytes, and no allocation for an event without escaped strings.

mod batch;
mod fields;
mod schema;
#[cfg(test)]
mod tests;

use std::fmt::Write;

pub use batch::{Batch, elements};

use crate::event::{Event, Kind};
use crate::json::{self, Shape};
use crate::wire::wire_names;
use fields::{Field, Fields};

/// Bytes of one body, a batch as a whole included. It bounds what a delivery costs in memory.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// Objects and arrays that may be open at once, the root included.
pub const MAX_DEPTH: usize = json::MAX_DEPTH;
/// Bytes of [`Rejection::detail`]: it travels in a message header.
pub const MAX_DETAIL_BYTES: usize = 512;

/// Why bytes are not an event. Where several apply, the first in this order is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Reason {
    TooLarge,
    BadUtf8,
    BadJson,
    TooDeep,
    UnknownType,
    Schema,
    BadTime,
}

wire_names!(Reason, "reason of rejection", {
    TooLarge => "too_large",
    BadUtf8 => "bad_utf8",
    BadJson => "bad_json",
    TooDeep => "too_deep",
    UnknownType => "unknown_type",
    Schema => "schema",
    BadTime => "bad_time",
});

/// Why bytes are not an event, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at {:?}: {detail}", if pointer.is_empty() { "/" } else { pointer.as_str() })]
pub struct Rejection {
    pub reason: Reason,
    /// A JSON pointer to the place; empty for the whole.
    pub pointer: String,
    /// What happened and how to fix it; nothing of what was sent.
    pub detail: String,
}

impl Rejection {
    /// A rejection; `detail` is at most [`MAX_DETAIL_BYTES`] long.
    pub fn new(reason: Reason, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let (pointer, detail) = (pointer.into(), detail.into());
        debug_assert!(detail.len() <= MAX_DETAIL_BYTES, "{} bytes of detail", detail.len());
        Rejection { reason, pointer, detail }
    }
}

/// Reads one event.
pub fn decode(body: &[u8]) -> Result<Event<'_>, Rejection> {
    let fields = fields(body)?;
    let kind = kind(&fields)?;
    let undated = schema::check(&fields)?;
    undated.dated(kind, body)
}

/// A JSON object of another vocabulary, as strict as [`decode`] is before it looks at the type.
pub fn object(body: &[u8]) -> Result<&str, Rejection> {
    let fields = fields(body)?;
    fields.object(Field::Root)?;
    Ok(fields.raw(Field::Root))
}

/// The fields of a body that is JSON as we accept it.
fn fields(body: &[u8]) -> Result<Fields<'_>, Rejection> {
    let text = text_of(body)?;
    let mut fields = Fields::of(text);
    let too_deep = json::scan(text, &mut fields).map_err(bad_json)?;
    if let Some(json::TooDeep { pointer }) = too_deep {
        let detail =
            format!("nests deeper than {MAX_DEPTH} levels: flatten it, or send it as text");
        return Err(Rejection::new(Reason::TooDeep, pointer, detail));
    }
    Ok(fields)
}

/// The body as text, if it is not too large for us.
fn text_of(body: &[u8]) -> Result<&str, Rejection> {
    if body.len() > MAX_BODY_BYTES {
        let detail = format!(
            "{} bytes are more than {MAX_BODY_BYTES}: keep large data elsewhere and send a reference",
            body.len()
        );
        return Err(Rejection::new(Reason::TooLarge, "", detail));
    }
    str::from_utf8(body).map_err(|error| {
        let detail = format!("byte {} is not UTF-8: encode the text as UTF-8", error.valid_up_to());
        Rejection::new(Reason::BadUtf8, "", detail)
    })
}

#[cold]
fn bad_json(fault: json::Fault) -> Rejection {
    Rejection::new(Reason::BadJson, fault.pointer, format!("byte {}: {}", fault.at, fault.what))
}

fn kind(fields: &Fields<'_>) -> Result<Kind, Rejection> {
    match fields.shape(Field::Root) {
        Shape::Object => {}
        Shape::Array => {
            let detail = "expected one event, found an array: a batch is accepted over AMQP and HTTP only, and not inside another";
            return Err(Rejection::new(Reason::Schema, "", detail));
        }
        _ => return Err(fields.wrong(Field::Root, "an object")),
    }
    let name = fields.text(Field::EventType)?;
    name.parse().map_err(|_| {
        let mut detail = String::from("not an event type of contract 1.x: use one of");
        for (n, kind) in Kind::ALL.iter().enumerate() {
            // Writing to a string cannot fail.
            _ = write!(detail, "{} `{kind}`", if n == 0 { "" } else { "," });
        }
        Rejection::new(Reason::UnknownType, Field::EventType.pointer(), detail)
    })
}
