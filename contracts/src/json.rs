//! A strict JSON scanner: checks a whole text and hands out where the wanted values are.
//!
//! ```text
//!   {"eventType":"job.created","payload":{"id":…}} ──scan──▶ Keep::value(EventType, 13..24)
//!                                                            Keep::value(JobId, …)
//! ```
//!
//! Why not a library: the reason of a rejection must be the first that applies, and no parser at
//! hand separates *this is not JSON* from *this is JSON that nests too deeply* at any depth, or
//! finds duplicate keys below the fields that it reads. Both fall out of one pass that keeps its
//! own stack.
//!
//! # Invariants
//!
//! 1. What is accepted is JSON by RFC 8259. A [`Keep`] that is strict also refuses what our stores
//!    could not hold: a key twice in one object (compared after unescaping), an escape that is half
//!    of a surrogate pair, a number beyond the range of an f64.
//! 2. Nesting costs memory on the heap, never the call stack, and is reported only for a text that
//!    is otherwise in order.
//! 3. Every span lies on character boundaries of the text.
//!
//! # Cost
//!
//! Linear in the text, and n log n in the keys of one object. Nothing is allocated unless an object
//! is large, the nesting deep (32 bytes for each open container) or a key escaped.

use std::mem;

use smallvec::SmallVec;

mod keys;
mod lexis;
#[cfg(test)]
mod tests;

use keys::{Keys, Own};
pub(crate) use lexis::unescape;
use lexis::{Failed, Lexer, Step};

/// Containers that may be open at once; the root is the first.
pub(crate) const MAX_DEPTH: usize = 64;
/// Bytes of a pointer. A longer one is cut to the nearest ancestor that fits.
const MAX_POINTER_BYTES: usize = 256;

/// What a value looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shape {
    #[default]
    Absent,
    Null,
    Bool,
    Number,
    /// A string without escapes: its span is its text.
    Text,
    /// A string with escapes: its span must go through [`unescape`].
    Escaped,
    Object,
    Array,
}

/// Where a value is; the quotes of a string are outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) shape: Shape,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The same value, with the quotes of a string.
    pub(crate) fn with_quotes(self) -> Span {
        let quote = u32::from(matches!(self.shape, Shape::Text | Shape::Escaped));
        Span { start: self.start - quote, end: self.end + quote, ..self }
    }
}

/// Which values are wanted.
pub(crate) trait Keep {
    /// The name of a place whose value is wanted.
    type Slot: Copy;
    /// Whether to refuse what is JSON and yet cannot be stored.
    const STRICT: bool;

    fn root(&self) -> Option<Self::Slot>;
    fn member(&self, parent: Self::Slot, key: &[u8]) -> Option<Self::Slot>;
    fn element(&self, parent: Self::Slot) -> Option<Self::Slot>;
    fn value(&mut self, slot: Self::Slot, span: Span);
}

/// Why a text is not JSON, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) pointer: String,
    pub(crate) what: &'static str,
}

/// The place of the first container beyond [`MAX_DEPTH`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooDeep {
    pub(crate) pointer: String,
}

/// Checks `text` and gives `keep` the values it wants.
pub(crate) fn scan<K: Keep>(text: &str, keep: &mut K) -> Result<Option<TooDeep>, Fault> {
    let keys = Keys::of(text);
    let mut scanner = Scanner {
        words: Lexer::of(text, K::STRICT),
        frame: Frame { within: Within::Text, slot: None, start: 0, index: 0, keys: keys.enter() },
        outer: SmallVec::new(),
        keys,
        too_deep: None,
    };
    match scanner.run(keep) {
        Ok(()) => Ok(scanner.too_deep),
        Err(Failed) => {
            let Lexer { at, what, .. } = scanner.words;
            Err(Fault { at, pointer: scanner.pointer(), what })
        }
    }
}

/// What a value is directly in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Text,
    Object,
    Array,
}

/// An open container; the text itself is the outermost.
struct Frame<S> {
    within: Within,
    slot: Option<S>,
    start: u32,
    /// Of the current element.
    index: u32,
    keys: Own,
}

struct Scanner<'a, S> {
    words: Lexer<'a>,
    /// The innermost open container.
    frame: Frame<S>,
    outer: SmallVec<[Frame<S>; 16]>,
    /// The keys of all open objects.
    keys: Keys<'a>,
    too_deep: Option<TooDeep>,
}

impl<S: Copy> Scanner<'_, S> {
    fn run<K: Keep<Slot = S>>(&mut self, keep: &mut K) -> Step<()> {
        let mut slot = keep.root();
        'value: loop {
            match self.words.next_byte() {
                Some(b'{') => {
                    self.open(slot, Within::Object);
                    if self.words.next_byte() != Some(b'}') {
                        slot = self.key(keep)?;
                        continue 'value;
                    }
                    self.close(keep, Shape::Object)?;
                }
                Some(b'[') => {
                    self.open(slot, Within::Array);
                    if self.words.next_byte() != Some(b']') {
                        slot = slot.and_then(|parent| keep.element(parent));
                        continue 'value;
                    }
                    self.close(keep, Shape::Array)?;
                }
                first => {
                    let span = self.words.scalar(first)?;
                    if let Some(slot) = slot {
                        keep.value(slot, span);
                    }
                }
            }
            // A value has ended: go on in its container, or end that too.
            loop {
                match (self.words.next_byte(), self.frame.within) {
                    (Some(b','), Within::Object) => {
                        self.words.at += 1;
                        slot = self.key(keep)?;
                        continue 'value;
                    }
                    (Some(b','), Within::Array) => {
                        self.words.at += 1;
                        self.frame.index += 1;
                        slot = self.frame.slot.and_then(|parent| keep.element(parent));
                        continue 'value;
                    }
                    (Some(b'}'), Within::Object) => self.close(keep, Shape::Object)?,
                    (Some(b']'), Within::Array) => self.close(keep, Shape::Array)?,
                    (None, Within::Text) => return Ok(()),
                    (_, Within::Text) => return self.words.fail("more text after the value"),
                    (None, _) => return self.words.fail("the text ends inside an object or array"),
                    (_, Within::Object) => return self.words.fail("expected `,` or `}`"),
                    (_, Within::Array) => return self.words.fail("expected `,` or `]`"),
                }
            }
        }
    }

    fn open(&mut self, slot: Option<S>, within: Within) {
        if self.outer.len() == MAX_DEPTH && self.too_deep.is_none() {
            self.too_deep = Some(TooDeep { pointer: self.pointer() });
        }
        let (start, keys) = (self.words.at as u32, self.keys.enter());
        let frame = Frame { within, slot, start, index: 0, keys };
        self.outer.push(mem::replace(&mut self.frame, frame));
        self.words.at += 1;
    }

    fn close<K: Keep<Slot = S>>(&mut self, keep: &mut K, shape: Shape) -> Step<()> {
        if !self.keys.leave(&self.frame.keys) && K::STRICT {
            return self.words.fail(TWICE);
        }
        self.words.at += 1;
        if let Some(slot) = self.frame.slot {
            keep.value(slot, Span { shape, start: self.frame.start, end: self.words.at as u32 });
        }
        if let Some(frame) = self.outer.pop() {
            self.frame = frame;
        }
        Ok(())
    }

    /// Reads a key and its colon; gives the slot of the value that follows.
    fn key<K: Keep<Slot = S>>(&mut self, keep: &K) -> Step<Option<S>> {
        if self.words.next_byte() != Some(b'"') {
            return self.words.fail("expected a key in double quotes");
        }
        let span = self.words.string()?;
        let (key, new) = self.keys.push(&mut self.frame.keys, span);
        if !new && K::STRICT {
            return self.words.fail(TWICE);
        }
        let slot = self.frame.slot.and_then(|parent| keep.member(parent, key));
        if self.words.next_byte() != Some(b':') {
            return self.words.fail("expected `:` after a key");
        }
        self.words.at += 1;
        Ok(slot)
    }

    /// The JSON pointer of the value that is being read.
    fn pointer(&self) -> String {
        let mut pointer = String::new();
        let frames = || self.outer.iter().chain([&self.frame]);
        let inner = frames().skip(1).map(|frame| Some(&frame.keys)).chain([None]);
        for (frame, inner) in frames().zip(inner) {
            let token = match frame.within {
                Within::Text => continue,
                Within::Object => self.keys.token(&frame.keys, inner),
                Within::Array => Some(frame.index.to_string().into()),
            };
            match token {
                Some(token) if pointer.len() + 1 + token.len() <= MAX_POINTER_BYTES => {
                    pointer.push('/');
                    pointer.push_str(&token);
                }
                _ => break,
            }
        }
        pointer
    }
}

const TWICE: &str = "a key occurs twice in one object";
