//! The terms of `q`.
//!
//! ```text
//!   q     = term *( space term )
//!   term  = key ":" value *( "," value ) / text
//!   key   = "state" / "type" / "queue" / "worker" / "age"
//!   value = word / quoted, with a "*" at its end for whatever begins so; of age: "<" or ">", 5m
//!   text  = word / quoted
//! ```
//!
//! Keys and states may be in any case. A quoted value is taken as it is, and may be empty, which is
//! how to ask for jobs without a queue or worker: `queue:""`. In quotes a backslash makes the next
//! character itself.

use contracts::{State, nearest};
use sinks::query::{Facet, Pattern};

use crate::params::listed;

/// Bytes of `q`, and its terms: what somebody types, and no more than a store should be asked.
const MAX_BYTES: usize = 1_000;
const MAX_VALUES: usize = 50;

const KEYS: [&str; 5] = ["state", "type", "queue", "worker", "age"];

/// One condition, and where it stands if not everyone can answer it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Term {
    Facet(Facet, Vec<Pattern>),
    Age { at: usize, older: bool, micros: i64 },
    Text { at: usize, text: String },
}

/// What is wrong, and where, in characters from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) detail: String,
}

impl Fault {
    fn at<T>(at: usize, detail: impl Into<String>) -> Result<T, Fault> {
        Err(Fault { at, detail: detail.into() })
    }
}

/// A word or a quoted text.
struct Word {
    at: usize,
    text: String,
    quoted: bool,
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    values: usize,
}

pub(super) fn parse(q: &str) -> Result<Vec<Term>, Fault> {
    if q.len() > MAX_BYTES {
        return Fault::at(0, format!("it is longer than {MAX_BYTES} bytes: ask for less at once"));
    }
    let mut reader = Reader { chars: q.chars().collect(), at: 0, values: 0 };
    if let Some(at) = reader.chars.iter().position(|c| c.is_control()) {
        return Fault::at(at, "there is a control character, as no job has: take it out");
    }
    let mut terms = Vec::new();
    loop {
        reader.skip(char::is_whitespace);
        if reader.peek().is_none() {
            return Ok(terms);
        }
        terms.push(reader.term()?);
    }
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn skip(&mut self, what: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&what) {
            self.at += 1;
        }
    }

    fn takes(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn term(&mut self) -> Result<Term, Fault> {
        let begin = self.at;
        self.skip(|c| c.is_alphanumeric() || c == '_' || c == '-');
        let key: String = self.chars[begin..self.at].iter().collect();
        if key.is_empty() || !self.takes(':') {
            self.at = begin;
            let word = self.word(&[])?;
            if word.text.is_empty() {
                return Fault::at(word.at, "there is no text between the quotes");
            }
            return Ok(Term::Text { at: word.at, text: word.text });
        }
        match key.to_ascii_lowercase().as_str() {
            "state" => self.facet(Facet::State),
            "type" => self.facet(Facet::Type),
            "queue" => self.facet(Facet::Queue),
            "worker" => self.facet(Facet::Worker),
            "age" => self.age(),
            _ => {
                let meant = match nearest(&key, &KEYS) {
                    Some(meant) => format!("did you mean `{meant}:`?"),
                    None => format!("there are {}.", listed(&KEYS)),
                };
                let detail =
                    format!("there is no `{key}:`; {meant} A text with a colon goes in quotes");
                Fault::at(begin, detail)
            }
        }
    }

    fn facet(&mut self, facet: Facet) -> Result<Term, Fault> {
        let mut patterns = Vec::new();
        loop {
            let word = self.word(&[','])?;
            if word.text.is_empty() && !word.quoted {
                let name = facet.as_str();
                let detail =
                    format!("a value is missing after `{name}:`; `{name}:\"\"` finds jobs without");
                return Fault::at(word.at, detail);
            }
            patterns.push(match facet {
                Facet::State => Pattern::Is(state(&word)?.as_str().to_owned()),
                _ => pattern(word),
            });
            if !self.takes(',') {
                return Ok(Term::Facet(facet, patterns));
            }
        }
    }

    fn age(&mut self) -> Result<Term, Fault> {
        let at = self.at;
        let word = self.word(&[])?;
        let (older, length) = match word.text.split_at_checked(1) {
            Some((">", length)) => (true, length),
            Some(("<", length)) => (false, length),
            _ => return Fault::at(word.at, "say older or younger: `age:>5m`, `age:<1h`"),
        };
        let micros = pipeline::rules::duration(length).and_then(|n| i64::try_from(n).ok());
        match micros {
            Some(micros) => Ok(Term::Age { at, older, micros }),
            None => Fault::at(word.at + 1, "this is not a duration: write 30s, 5m, 1h30m, 7d"),
        }
    }

    /// A word up to a space or one of `ends`, or a text in quotes.
    fn word(&mut self, ends: &[char]) -> Result<Word, Fault> {
        self.values += 1;
        let at = self.at;
        if self.values > MAX_VALUES {
            return Fault::at(at, format!("there are more than {MAX_VALUES} values: ask for less"));
        }
        if !self.takes('"') {
            self.skip(|c| !c.is_whitespace() && !ends.contains(&c));
            let text = self.chars[at..self.at].iter().collect();
            return Ok(Word { at, text, quoted: false });
        }
        let mut text = String::new();
        loop {
            match self.peek() {
                Some('"') => break,
                Some('\\') if self.at + 1 < self.chars.len() => {
                    text.push(self.chars[self.at + 1]);
                    self.at += 2;
                }
                Some(c) => {
                    text.push(c);
                    self.at += 1;
                }
                None => return Fault::at(at, "this quote has no end: add a `\"`"),
            }
        }
        self.at += 1;
        if self.peek().is_some_and(|c| !c.is_whitespace() && !ends.contains(&c)) {
            return Fault::at(self.at, "after a quote there must be a space");
        }
        Ok(Word { at, text, quoted: true })
    }
}

fn state(word: &Word) -> Result<State, Fault> {
    let names = State::ALL.map(State::as_str);
    word.text.to_ascii_uppercase().parse().or_else(|_| {
        let detail = match nearest(&word.text, &names) {
            Some(meant) => format!("there is no state `{}`; did you mean `{meant}`?", word.text),
            None => format!("there is no state `{}`: there are {}", word.text, listed(&names)),
        };
        Fault::at(word.at, detail)
    })
}

fn pattern(word: Word) -> Pattern {
    match word.text.strip_suffix('*') {
        Some(begin) if !word.quoted => Pattern::Begins(begin.to_owned()),
        _ => Pattern::Is(word.text),
    }
}

#[cfg(test)]
mod tests;
