//! The words of an expression, one after another, each with its place.

use super::Number;
use super::parse::Fault;

/// A text that is being read.
pub(super) struct Scan<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(source: &'a str) -> Scan<'a> {
        Scan { source, at: 0 }
    }

    /// What is left, behind white space.
    pub(super) fn rest(&self) -> &'a str {
        &self.source[self.start()..]
    }

    /// A number as in Rust and in Prometheus, without `inf` and `nan`.
    pub(super) fn number(&mut self) -> Result<Number, Fault> {
        let start = self.start();
        let rest = &self.source[start..];
        // A sign belongs to the number at its beginning, and behind its `e`.
        let mut before = 'e';
        let end = rest.find(|c: char| {
            let signed = matches!(before, 'e' | 'E') && matches!(c, '+' | '-');
            before = c;
            !(signed || c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E'))
        });
        let end = end.unwrap_or(rest.len());
        let value: Option<f64> = rest[..end].parse().ok();
        self.at = start + end;
        let follows = self.source[self.at..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let number = value.filter(|_| !follows).and_then(Number::new);
        number.ok_or_else(|| (start, "expected a number, such as 0.05".to_owned()))
    }

    pub(super) fn string(&mut self) -> Result<String, Fault> {
        let start = self.start();
        let rest = &self.source[start..];
        let quote = rest.chars().next().filter(|c| "\"'".contains(*c));
        let Some(quote) = quote else {
            return Err((start, "expected a value in quotes".to_owned()));
        };
        let mut value = String::new();
        let mut chars = rest.char_indices().skip(1);
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, c)) if "\\\"'".contains(c) => value.push(c),
                    // `\.` and its like are of the pattern.
                    Some((_, c)) => value.extend(['\\', c]),
                    None => break,
                },
                c if c == quote => {
                    self.at = start + i + c.len_utf8();
                    return Ok(value);
                }
                c => value.push(c),
            }
        }
        Err((start, "this quote is not closed".to_owned()))
    }

    pub(super) fn word(&mut self) -> Result<&'a str, Fault> {
        let start = self.start();
        let rest = &self.source[start..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end == 0 {
            return Err((start, "expected a name".to_owned()));
        }
        self.at = start + end;
        Ok(&rest[..end])
    }

    pub(super) fn expect(&mut self, text: &str) -> Result<(), Fault> {
        match self.accept(text) {
            true => Ok(()),
            false => Err((self.start(), format!("expected `{text}`"))),
        }
    }

    pub(super) fn accept(&mut self, text: &str) -> bool {
        let start = self.start();
        let rest = &self.source[start..];
        // `by` is not the beginning of `bytes`.
        let whole_word = |rest: &str| {
            !text.ends_with(|c: char| c.is_alphabetic())
                || !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        };
        let accepted = rest.strip_prefix(text).is_some_and(whole_word);
        if accepted {
            self.at = start + text.len();
        }
        accepted
    }

    /// Where the next thing starts, behind white space.
    pub(super) fn start(&self) -> usize {
        let rest = &self.source[self.at..];
        self.at + rest.len() - rest.trim_start().len()
    }
}
