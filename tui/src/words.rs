//! What things are called, and how numbers and times are written: as on the page.
//!
//! Times of day are UTC: a terminal is often on another machine than who looks at it.

use contracts::event::{ErrorInfo, State};
use contracts::view::DecidedBy;
use contracts::{Micros, Reason};

use crate::look::Tone;

/// A state is told by its sign and its word; the colour only repeats it.
pub(crate) struct StateWords {
    pub(crate) sign: &'static str,
    pub(crate) word: &'static str,
    pub(crate) tone: Tone,
    pub(crate) means: &'static str,
}

pub(crate) fn of_state(state: State) -> StateWords {
    let (sign, word, tone, means) = match state {
        State::Pending => ("○", "Pending", Tone::Calm, "accepted, and nobody has looked at it yet"),
        State::Validated => {
            ("◔", "Validated", Tone::Calm, "found to be well formed, and waits for a worker")
        }
        State::Executing => ("▶", "Executing", Tone::Busy, "a worker is at it"),
        State::Retrying => {
            ("↻", "Retrying", Tone::Warn, "an attempt failed, and another one follows")
        }
        State::Completed => ("✓", "Completed", Tone::Good, "done"),
        State::Failed => ("✗", "Failed", Tone::Bad, "given up after its last attempt"),
        State::Cancelled => ("⊘", "Cancelled", Tone::Mute, "stopped by somebody"),
        State::Abandoned => ("?", "Abandoned", Tone::Warn, "nobody has told how it ended"),
    };
    StateWords { sign, word, tone, means }
}

/// What a reason of a dead letter means.
pub(crate) fn of_reason(reason: Reason) -> &'static str {
    match reason {
        Reason::TooLarge => "The body is larger than a delivery may be.",
        Reason::BadUtf8 => "The body is not UTF-8.",
        Reason::BadJson => {
            "The body is not JSON, has a key twice, or a number that no double holds."
        }
        Reason::TooDeep => "The JSON is nested too deep.",
        Reason::UnknownType => "There is no such event type.",
        Reason::Schema => "A field is missing, or is not what the contract says.",
        Reason::BadTime => "A time is not RFC 3339, or is too far from now.",
    }
}

/// Why an event decides, against the strongest of the others.
pub(crate) fn of_decision(by: DecidedBy, beat: &str) -> String {
    match by {
        DecidedBy::Alone => "It is the only event that has arrived.".to_owned(),
        DecidedBy::Attempt => {
            format!("Its attempt is the higher one: the strongest other event is {beat}.")
        }
        DecidedBy::Kind => {
            format!("It comes later in a job's life than the strongest other event, {beat}.")
        }
        DecidedBy::Time => format!("It happened later than the strongest other event, {beat}."),
        DecidedBy::Id => format!("It ties with {beat}, and the greater event id decides."),
        DecidedBy::Content => format!(
            "It came twice under one event id with two contents, and the greater one counts: {beat} is the other."
        ),
        DecidedBy::Silence => {
            "Nothing was heard after it, and the state is concluded from that silence.".to_owned()
        }
    }
}

/// `Timeout: it took too long`.
pub(crate) fn of_error(error: &ErrorInfo) -> String {
    match error.kind.as_str() {
        "" => error.message.clone(),
        kind => format!("{kind}: {}", error.message),
    }
}

/// A number with its thousands apart.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 job`, `2 jobs`.
pub(crate) fn many(n: u64, one: &str) -> String {
    format!("{} {one}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A measured value, to four digits.
pub(crate) fn rounded(n: f64) -> String {
    if n == 0.0 || !n.is_finite() {
        return format!("{n}");
    }
    let decimals = (3 - n.abs().log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{n:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A length of time.
pub(crate) fn seconds(s: Option<f64>) -> String {
    let Some(s) = s.filter(|s| s.is_finite()) else { return "–".to_owned() };
    match s {
        s if s.fract() == 0.0 && s.abs() < 120.0 => format!("{s:.0} s"),
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{} ms", trimmed(s * 1_000.0)),
        s if s < 120.0 => format!("{} s", trimmed(s)),
        s if s < 7_200.0 => format!("{} min {} s", (s / 60.0) as u64, (s % 60.0) as u64),
        s if s < 172_800.0 => {
            format!("{} h {} min", (s / 3_600.0) as u64, (s / 60.0 % 60.0) as u64)
        }
        s => format!("{} d {} h", (s / 86_400.0) as u64, (s / 3_600.0 % 24.0) as u64),
    }
}

/// Three digits.
fn trimmed(n: f64) -> String {
    match n {
        n if n >= 100.0 => format!("{n:.0}"),
        n if n >= 10.0 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    }
}

/// The seconds from one moment to another, if both are known.
pub(crate) fn between(from: Option<Micros>, to: Option<Micros>) -> Option<f64> {
    Some((to?.0 - from?.0) as f64 / 1e6)
}

/// The time of day, after the day if that is not `now`'s.
pub(crate) fn clock(at: Micros, now: Micros) -> String {
    timed(at, now, 19)
}

/// The same with milliseconds: of one job they tell something.
pub(crate) fn fine_clock(at: Option<Micros>, now: Micros) -> String {
    at.map_or_else(|| "–".to_owned(), |at| timed(at, now, 23))
}

fn timed(at: Micros, now: Micros, end: usize) -> String {
    let (text, today) = (at.to_string(), now.to_string());
    match text.get(..10) == today.get(..10) {
        true => text.get(11..end).unwrap_or(&text).to_owned(),
        false => text.get(..end).unwrap_or(&text).replace('T', " "),
    }
}

/// How long ago a moment was.
pub(crate) fn ago(at: Micros, now: Micros) -> String {
    match (now.0 - at.0) as f64 / 1e6 {
        s if s < 0.0 => "just now".to_owned(),
        s if s < 10.0 => "a moment ago".to_owned(),
        s => format!("{} ago", seconds(Some(s.floor()))),
    }
}

/// How old what is shown is: tenths matter as long as it is young.
pub(crate) fn age(micros: i64) -> String {
    match micros as f64 / 1e6 {
        s if s < 9.95 => format!("{s:.1} s ago"),
        s => format!("{} ago", seconds(Some(s.round()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart() {
        let written = [0, 7, 999, 1_000, 12_345, 1_234_567].map(count);
        assert_eq!(written, ["0", "7", "999", "1,000", "12,345", "1,234,567"]);
        assert_eq!([many(1, "job"), many(1_000, "job")], ["1 job", "1,000 jobs"]);
    }

    #[test]
    fn a_length_of_time_has_three_digits_or_two_units() {
        let written = [0.0, 2.0, 0.000_004, 0.0412, 0.5, 1.234, 61.25, 125.5, 7_325.0, 200_000.0];
        assert_eq!(
            written.map(|s| seconds(Some(s))),
            [
                "0 s",
                "2 s",
                "4 µs",
                "41.2 ms",
                "500 ms",
                "1.23 s",
                "61.2 s",
                "2 min 5 s",
                "2 h 2 min",
                "2 d 7 h"
            ]
        );
        assert_eq!(seconds(None), "–");
    }

    #[test]
    fn a_measured_value_has_four_digits() {
        assert_eq!(
            [0.0, 0.1234567, 12.0, 1234.56, 99999.4].map(rounded),
            ["0", "0.1235", "12", "1235", "99999"]
        );
    }

    #[test]
    fn the_day_is_told_if_it_is_another() {
        let at = |text: &str| Micros::parse(text).unwrap();
        let now = at("2026-11-21T10:00:00Z");
        assert_eq!(clock(at("2026-11-21T09:00:00.5Z"), now), "09:00:00");
        assert_eq!(clock(at("2026-11-20T09:00:00Z"), now), "2026-11-20 09:00:00");
        assert_eq!(fine_clock(Some(at("2026-11-21T09:00:00.5Z")), now), "09:00:00.500");
        assert_eq!(ago(at("2026-11-21T09:58:00Z"), now), "2 min 0 s ago");
    }
}
