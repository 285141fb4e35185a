//! The keys of the objects that are open, and whether one occurs twice.
//!
//! ```text
//!   {"a":1,"b":{"c":2,"d":       stack:  a b │ c d
//!                                            └ the inner object's keys, dropped when it closes
//! ```
//!
//! A small object compares a key with its others only when their signatures collide; a large one
//! sorts its keys when it closes. So no object costs more than n log n, whoever chose the keys.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::lexis::unescape;
use super::{Shape, Span};

/// Keys up to which an object is small. Beyond, signatures collide too often to help.
const FEW: usize = 16;

/// The keys of all open objects, the innermost last.
pub(super) struct Keys<'a> {
    text: &'a str,
    stack: SmallVec<[Key; 64]>,
    /// The keys that had escapes, one after the other.
    unescaped: String,
}

/// The keys of one open object: those from `from` up to the next object's.
pub(super) struct Own {
    from: u32,
    /// The signatures of its keys, as bits.
    seen: u64,
}

/// A range of the text, or of `unescaped`.
#[derive(Clone, Copy)]
struct Key {
    start: u32,
    end: u32,
    escaped: bool,
}

impl<'a> Keys<'a> {
    pub(super) fn of(text: &'a str) -> Keys<'a> {
        Keys { text, stack: SmallVec::new(), unescaped: String::new() }
    }

    /// An object opens.
    pub(super) fn enter(&self) -> Own {
        Own { from: self.stack.len() as u32, seen: 0 }
    }

    /// Takes the next key of the innermost object. Gives its text, and whether it is new; of a
    /// large object, that is found out when it closes.
    pub(super) fn push(&mut self, own: &mut Own, span: Span) -> (&[u8], bool) {
        let key = match span.shape {
            Shape::Escaped => self.unescape(span),
            _ => Key { start: span.start, end: span.end, escaped: false },
        };
        let signature = signature(self.bytes(key));
        let new = own.seen & signature == 0 || !self.repeats(own, key);
        own.seen |= signature;
        self.stack.push(key);
        (self.bytes(key), new)
    }

    #[cold]
    fn unescape(&mut self, span: Span) -> Key {
        let start = self.unescaped.len() as u32;
        self.unescaped.push_str(&unescape(span.of(self.text)));
        Key { start, end: self.unescaped.len() as u32, escaped: true }
    }

    #[cold]
    fn repeats(&self, own: &Own, key: Key) -> bool {
        let others = &self.stack[own.from as usize..];
        others.len() < FEW && others.iter().any(|&other| self.bytes(other) == self.bytes(key))
    }

    /// The innermost object closes; false if it is large and has a key twice, which is then the
    /// newest.
    pub(super) fn leave(&mut self, own: &Own) -> bool {
        let from = own.from as usize;
        if self.stack.len() - from > FEW {
            let mut keys: Vec<Key> = self.stack.drain(from..).collect();
            keys.sort_unstable_by_key(|&key| self.bytes(key));
            let twice = keys.array_windows().find(|[a, b]| self.bytes(*a) == self.bytes(*b));
            if let Some(&[key, _]) = twice {
                self.stack.push(key);
                return false;
            }
        }
        self.stack.truncate(from);
        true
    }

    /// The newest key of an object, given the object inside it, as a token of a JSON pointer.
    pub(super) fn token(&self, own: &Own, inner: Option<&Own>) -> Option<Cow<'_, str>> {
        let to = inner.map_or(self.stack.len(), |inner| inner.from as usize);
        let key = self.text(*self.stack[own.from as usize..to].last()?);
        if key.contains(['~', '/']) {
            // RFC 6901, section 3.
            return Some(key.replace('~', "~0").replace('/', "~1").into());
        }
        Some(key.into())
    }

    fn text(&self, key: Key) -> &str {
        let source = if key.escaped { &self.unescaped } else { self.text };
        source.get(key.start as usize..key.end as usize).unwrap_or_default()
    }

    fn bytes(&self, key: Key) -> &[u8] {
        let source = if key.escaped { &self.unescaped } else { self.text };
        &source.as_bytes()[key.start as usize..key.end as usize]
    }
}

/// One bit of 64, by the length and the ends of a key: enough to tell most keys of an object apart.
fn signature(key: &[u8]) -> u64 {
    let (first, last) = match *key {
        [] => (0, 0),
        [only] => (only, only),
        [first, .., last] => (first, last),
    };
    let ends = u32::from(first) | u32::from(last) << 8 | (key.len() as u32) << 16;
    // The multiplier is 2^32 / the golden ratio, which spreads neighbouring values.
    1 << (ends.wrapping_mul(0x9E37_79B9) >> 26)
}
