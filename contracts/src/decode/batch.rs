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

#[cfg(test)]
mod tests {
    use super::{Batch, MAX_BODY_BYTES, Reason, elements};
    use crate::decode::decode;

    #[test]
    fn a_body_that_is_no_array_is_one_element() {
        for body in [&b" {\"a\":1} "[..], b"5", b"", b"\xFF"] {
            assert_eq!(elements(body), Ok(Batch::One(body)));
        }
    }

    #[test]
    fn an_array_is_taken_apart_without_judging_its_elements() {
        let body = br#" [ {"a":1,"a":2} ,"x\"]", 1e400 , "\ud800",[[]], null ] "#;
        let batch = elements(body).unwrap();
        let expected: Vec<&[u8]> =
            vec![br#"{"a":1,"a":2}"#, br#""x\"]""#, b"1e400", br#""\ud800""#, b"[[]]", b"null"];
        assert_eq!(batch.elements(), expected);
    }

    #[test]
    fn depth_counts_from_the_element_and_not_from_the_batch() {
        let element = [b"[".repeat(64), b"]".repeat(64)].concat();
        let body = [b"[", &element[..], b"]"].concat();
        let batch = elements(&body).unwrap();
        assert_eq!(batch.elements(), [&element[..]]);
        assert_eq!(decode(batch.elements()[0]).unwrap_err().reason, Reason::Schema);
    }

    #[test]
    fn a_batch_is_refused_as_a_whole_when_its_grammar_is_broken() {
        for (body, reason, pointer) in [
            (&b"[]"[..], Reason::Schema, ""),
            (b"[{},]", Reason::BadJson, "/1"),
            (b"[{\"a\":NaN}]", Reason::BadJson, "/0/a"),
            (b"[{}", Reason::BadJson, "/0"),
            (b"[{}] x", Reason::BadJson, ""),
            (b"[\"\xFF\"]", Reason::BadUtf8, ""),
        ] {
            let rejection = elements(body).unwrap_err();
            assert_eq!((rejection.reason, &*rejection.pointer), (reason, pointer));
        }
        let large = [b"[".to_vec(), b" ".repeat(MAX_BODY_BYTES), b"]".to_vec()].concat();
        assert_eq!(elements(&large).unwrap_err().reason, Reason::TooLarge);
    }
}
