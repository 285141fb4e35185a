//! The words of JSON: white space, strings, numbers, literals.

use super::{Shape, Span};

/// The text is not JSON; the lexer's `what` says why.
pub(super) struct Failed;

/// Small, so that it travels in registers.
pub(super) type Step<T> = Result<T, Failed>;

/// A place in the text, and what is read there.
pub(super) struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    pub(super) at: usize,
    /// Whether to refuse values that are JSON and yet cannot be stored.
    strict: bool,
    /// Why reading failed.
    pub(super) what: &'static str,
}

impl<'a> Lexer<'a> {
    pub(super) fn of(text: &'a str, strict: bool) -> Lexer<'a> {
        Lexer { text, bytes: text.as_bytes(), at: 0, strict, what: "" }
    }

    #[cold]
    pub(super) fn fail<T>(&mut self, what: &'static str) -> Step<T> {
        self.what = what;
        Err(Failed)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte that is not white space, to which it moves.
    pub(super) fn next_byte(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                next => return next,
            }
        }
    }

    /// Reads a string, number or literal, which begins with the byte `first`.
    pub(super) fn scalar(&mut self, first: Option<u8>) -> Step<Span> {
        match first {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true", Shape::Bool),
            Some(b'f') => self.literal(b"false", Shape::Bool),
            Some(b'n') => self.literal(b"null", Shape::Null),
            Some(_) => self.fail("expected a value"),
            None => self.fail("the text ends where a value is expected"),
        }
    }

    fn span(&self, shape: Shape, start: usize, end: usize) -> Span {
        Span { shape, start: start as u32, end: end as u32 }
    }

    fn literal(&mut self, word: &[u8], shape: Shape) -> Step<Span> {
        let start = self.at;
        if !self.bytes[start..].starts_with(word) {
            return self.fail("expected a value");
        }
        self.at += word.len();
        Ok(self.span(shape, start, self.at))
    }

    /// Reads a string from its opening quote to behind its closing one.
    #[inline]
    pub(super) fn string(&mut self) -> Step<Span> {
        let start = self.at + 1;
        self.at = after_plain(self.bytes, start);
        if self.peek() != Some(b'"') {
            return self.rest_of_string(start);
        }
        self.at += 1;
        Ok(self.span(Shape::Text, start, self.at - 1))
    }

    /// Goes on at the first byte of a string that is not plain.
    #[inline(never)]
    fn rest_of_string(&mut self, start: usize) -> Step<Span> {
        let mut shape = Shape::Text;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(self.span(shape, start, self.at - 1));
                }
                Some(b'\\') => {
                    shape = Shape::Escaped;
                    self.escape()?;
                }
                Some(_) => return self.fail("a control character in a string must be escaped"),
                None => return self.fail("the text ends inside a string"),
            }
            self.at = after_plain(self.bytes, self.at);
        }
    }

    fn escape(&mut self) -> Step<()> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let Some(unit) = self.code_unit() else {
                    return self.fail("expected four hex digits after `\\u`");
                };
                self.at += 6;
                match unit {
                    0xD800..=0xDBFF if self.strict => match self.code_unit() {
                        Some(0xDC00..=0xDFFF) => {
                            self.at += 6;
                            Ok(())
                        }
                        _ => self.fail("a surrogate escape stands alone"),
                    },
                    0xDC00..=0xDFFF if self.strict => self.fail("a surrogate escape stands alone"),
                    _ => Ok(()),
                }
            }
            _ => self.fail("no such escape in a string"),
        }
    }

    /// The code unit of the escape `\uXXXX` at the current place.
    fn code_unit(&self) -> Option<u32> {
        code_unit(self.bytes.get(self.at..self.at + 6)?)
    }

    fn number(&mut self) -> Step<Span> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits("expected a digit")?,
        }
        let mut small = self.at - start < 300;
        if let Some(b'0'..=b'9') = self.peek() {
            return self.fail("a number must not begin with a zero");
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("expected a digit after the decimal point")?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits("expected a digit in the exponent")?;
            small = false;
        }
        let span = self.span(Shape::Number, start, self.at);
        // An f64 reaches to about 1.8e308: fewer digits without an exponent cannot overflow.
        if self.strict && !small && span.of(self.text).parse().is_ok_and(f64::is_infinite) {
            return self.fail("a number is beyond the range of a double");
        }
        Ok(span)
    }

    fn digits(&mut self, missing: &'static str) -> Step<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { self.fail(missing) } else { Ok(()) }
    }
}

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// The place of the first quote, backslash or control character from `at` on.
///
/// Eight bytes at a time. Flipping bit 1 moves the quote to 0x20 and leaves the control characters
/// below, so that one comparison finds both. The lowest mark is exact: a borrow reaches only the
/// bytes above a byte that is marked rightly.
fn after_plain(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*word);
        let control_or_quote = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
        let backslash = (word ^ (ONES * 0x5C)).wrapping_sub(ONES);
        let stops = (control_or_quote | backslash) & !word & HIGHS;
        if stops != 0 {
            return at + (stops.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    after_plain_at_end(bytes, at)
}

#[inline(never)]
fn after_plain_at_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\').count()
}

/// The code unit of an escape `\uXXXX`.
fn code_unit(escape: &[u8]) -> Option<u32> {
    let [b'\\', b'u', hex @ ..] = escape else { return None };
    hex.iter().try_fold(0, |unit, &byte| Some(unit * 16 + char::from(byte).to_digit(16)?))
}

/// The text of a string that was scanned as [`Shape::Escaped`].
pub(crate) fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        text.push_str(plain);
        let mut len = 2;
        let short = escape.as_bytes().get(1).copied().unwrap_or(b'\\');
        text.push(match short {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = |from: usize| code_unit(escape.as_bytes().get(from..from + 6)?);
                let (high, low) = (unit(0).unwrap_or(0xFFFD), unit(6).unwrap_or(0));
                len = 6;
                if (0xD800..0xDC00).contains(&high) && (0xDC00..0xE000).contains(&low) {
                    len = 12;
                    let point = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                    char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER)
                } else {
                    // Half a pair is kept only by a scan that is not strict.
                    char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER)
                }
            }
            other => char::from(other),
        });
        rest = escape.get(len..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}
