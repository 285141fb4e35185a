//! Where a list goes on: opaque, and bound to the question that it was an answer to.
//!
//! ```text
//!   version · hash of the question · created at · id      33 bytes, in hexadecimal digits
//! ```

use contracts::{JobId, Micros};
use sinks::query::Place;
use xxhash_rust::xxh3::xxh3_64;

/// First byte: another layout gets another number.
const VERSION: u8 = 1;
const BYTES: usize = 1 + 8 + 8 + 16;

/// The cursor behind `place` in the list that answers `question`.
pub(crate) fn write(question: &str, place: Place) -> String {
    let mut bytes = Vec::with_capacity(BYTES);
    bytes.push(VERSION);
    bytes.extend(xxh3_64(question.as_bytes()).to_be_bytes());
    bytes.extend(place.created_at.0.to_be_bytes());
    bytes.extend(place.id.as_bytes());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The place that a cursor names; none if it is not one of ours, or of another question.
pub(crate) fn read(question: &str, cursor: &str) -> Option<Place> {
    // Only digits: a sign before one would be read as part of the number.
    if cursor.len() != 2 * BYTES || !cursor.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |n: usize| u8::from_str_radix(cursor.get(2 * n..2 * n + 2)?, 16).ok();
    let bytes: Vec<u8> = (0..BYTES).map(byte).collect::<Option<_>>()?;
    let hash = xxh3_64(question.as_bytes()).to_be_bytes();
    if bytes[0] != VERSION || bytes[1..9] != hash {
        return None;
    }
    Some(Place {
        created_at: Micros(i64::from_be_bytes(bytes[9..17].try_into().ok()?)),
        id: JobId::from_slice(&bytes[17..]).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { created_at: Micros(-5), id: JobId::from_u128(7) };

    #[test]
    fn a_cursor_names_its_place_to_its_own_question_only() {
        let cursor = write("state=FAILED", PLACE);
        assert_eq!(read("state=FAILED", &cursor), Some(PLACE));
        assert_eq!(read("state=PENDING", &cursor), None);
    }

    #[test]
    fn what_is_no_cursor_is_none() {
        let cursor = write("", PLACE);
        for other in ["", "0", "ü", &cursor[2..], &cursor.replacen("01", "02", 1), &"+1".repeat(33)]
        {
            assert_eq!(read("", other), None, "{other}");
        }
        assert_eq!(read("", &format!("{}ü", &cursor[2..])), None);
    }
}
