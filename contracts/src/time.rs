//! Instants as they cross the wire: RFC 3339 in, UTC with six digits out.
//!
//! ```text
//!   2026-11-21T10:00:00.1234567+01:00 ──parse──▶ Micros ──Display──▶ 2026-11-21T09:00:00.123456Z
//! ```
//!
//! # Invariants
//!
//! 1. What `parse` accepts lies in 2000-01-01 .. 2100-01-01 (UTC), on a date of the calendar.
//! 2. Digits beyond microseconds are cut, never rounded, so parsing is monotonic.
//! 3. `parse(display(t)) == t` for every accepted `t`.
//!
//! # Cost
//!
//! Two per event on the hot path: no allocation, one walk over the text.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub i64);

/// Why a text is not an instant that we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    #[error("not an RFC 3339 time with date, `T`, seconds and zone, like 2026-11-21T10:00:00Z")]
    Malformed,
    #[error("no such date or time of day")]
    NotInCalendar,
    #[error("a leap second has no place on our clock: send the second before or after it")]
    LeapSecond,
    #[error("outside 2000-01-01 .. 2100-01-01 UTC")]
    OutOfRange,
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400;

impl Micros {
    /// The first accepted instant, 2000-01-01T00:00:00Z.
    pub const EARLIEST: Micros = Micros(946_684_800 * SECOND);
    /// The first instant that is no longer accepted, 2100-01-01T00:00:00Z.
    pub const TOO_LATE: Micros = Micros(4_102_444_800 * SECOND);

    /// Reads an RFC 3339 time; see the module for what is accepted.
    pub fn parse(text: &str) -> Result<Micros, TimeError> {
        let bytes = text.as_bytes();
        let Some((head, rest)) = bytes.split_first_chunk::<19>() else {
            return Err(TimeError::Malformed);
        };
        let separators = [head[4], head[7], head[10] & !0x20, head[13], head[16]];
        if separators != *b"--T::" {
            return Err(TimeError::Malformed);
        }
        let year = two_digits(head[0], head[1])? * 100 + two_digits(head[2], head[3])?;
        let month = two_digits(head[5], head[6])?;
        let day = two_digits(head[8], head[9])?;
        let hour = two_digits(head[11], head[12])?;
        let minute = two_digits(head[14], head[15])?;
        let second = two_digits(head[17], head[18])?;
        let (fraction, zone) = fraction(rest)?;
        let offset = offset_seconds(zone)?;

        if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
            return Err(TimeError::NotInCalendar);
        }
        if second == 60 {
            return Err(TimeError::LeapSecond);
        }
        if hour > 23 || minute > 59 || second > 60 {
            return Err(TimeError::NotInCalendar);
        }
        let of_day = hour * 3600 + minute * 60 + second;
        let seconds = days_from_civil(year, month, day) * DAY + of_day - offset;
        let at = Micros(seconds * SECOND + fraction);
        if at < Micros::EARLIEST || at >= Micros::TOO_LATE {
            return Err(TimeError::OutOfRange);
        }
        Ok(at)
    }
}

fn digit(byte: u8) -> Result<i64, TimeError> {
    let value = byte.wrapping_sub(b'0');
    if value < 10 { Ok(i64::from(value)) } else { Err(TimeError::Malformed) }
}

fn two_digits(tens: u8, units: u8) -> Result<i64, TimeError> {
    Ok(digit(tens)? * 10 + digit(units)?)
}

/// The microseconds after the seconds, and what follows them.
fn fraction(text: &[u8]) -> Result<(i64, &[u8]), TimeError> {
    let Some((b'.', digits)) = text.split_first() else { return Ok((0, text)) };
    let n = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if n == 0 {
        return Err(TimeError::Malformed);
    }
    let (digits, rest) = digits.split_at(n);
    let kept = digits.iter().chain([b'0'; 6].iter()).take(6);
    Ok((kept.fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0')), rest))
}

fn offset_seconds(zone: &[u8]) -> Result<i64, TimeError> {
    match *zone {
        [b'Z' | b'z'] => Ok(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (two_digits(h1, h2)?, two_digits(m1, m2)?);
            if hours > 23 || minutes > 59 {
                return Err(TimeError::NotInCalendar);
            }
            let seconds = hours * 3600 + minutes * 60;
            Ok(if sign == b'-' { -seconds } else { seconds })
        }
        _ => Err(TimeError::Malformed),
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the epoch of a proleptic Gregorian date. The year is taken to begin in March, so
/// that the leap day is its last (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.0.div_euclid(SECOND), self.0.rem_euclid(SECOND));
        let (days, of_day) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

impl std::str::FromStr for Micros {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Micros, TimeError> {
        Micros::parse(text)
    }
}

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Micros, D::Error> {
        struct Rfc3339;
        impl de::Visitor<'_> for Rfc3339 {
            type Value = Micros;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Micros, E> {
                Micros::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Rfc3339)
    }
}

impl schemars::JsonSchema for Micros {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Micros".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests;
