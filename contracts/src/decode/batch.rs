//! Bodies that may hold several events: over AMQP and HTTP an array is a batch.
//!
//! Only the grammar of the whole is judged here. Whatever is wrong within one element (a key twice,
//! nesting, a missing field) is found when that element is decoded, and concerns it alone.

use super::{MAX_BODY_BYTES, Reason, Rejection, bad_json, text_of};
use crate::json::{self, Keep, Span};

/// The elements of a body, each as its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Batch<'a> {
    /// The body is no array: one event, white space around it included.
    One(&'a [u8]),
    /// The elements of an array; at least one.
    Many(Vec<&'a [u8]>),
}

impl<'a> Batch<'a> {
    /// The elements in order.
    pub fn elements(&self) -> &[&'a [u8]] {
        match self {
            Batch::One(body) => std::slice::from_ref(body),
            Batch::Many(elements) => elements,
        }
    }
}

/// Takes a body apart into elements for [`decode`](super::decode).
pub fn elements(body: &[u8]) -> Result<Batch<'_>, Rejection> {
    let first = body.iter().find(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'));
    if first != Some(&b'[') && body.len() <= MAX_BODY_BYTES {
        return Ok(Batch::One(body));
    }
    let text = text_of(body)?;
    let mut elements = Elements::default();
    json::scan(text, &mut elements).map_err(bad_json)?;
    if elements.spans.is_empty() {
        let detail = "an empty batch: send at least one event";
        return Err(Rejection::new(Reason::Schema, "", detail));
    }
    let bytes = |span: &Span| &body[span.start as usize..span.end as usize];
    Ok(Batch::Many(elements.spans.iter().map(bytes).collect()))
}

/// Keeps the places of the elements of the root.
#[derive(Default)]
struct Elements {
    spans: Vec<Span>,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    Element,
}

impl Keep for Elements {
    type Slot = Place;
    const STRICT: bool = false;

    fn root(&self) -> Option<Place> {
        Some(Place::Root)
    }

    fn member(&self, _: Place, _: &[u8]) -> Option<Place> {
        None
    }

    fn element(&self, parent: Place) -> Option<Place> {
        (parent == Place::Root).then_some(Place::Element)
    }

    fn value(&mut self, place: Place, span: Span) {
        if place == Place::Element {
            self.spans.push(span.with_quotes());
        }
    }
}
