use proptest::prelude::{prop_assert_eq, proptest};

use super::{Micros, TimeError};

#[test]
fn a_time_is_written_in_utc_with_six_digits() {
    assert_eq!(Micros(1_795_255_200_000_000).to_string(), "2026-11-21T10:00:00.000000Z");
    assert_eq!(Micros(0).to_string(), "1970-01-01T00:00:00.000000Z");
    assert_eq!(Micros(-1).to_string(), "1969-12-31T23:59:59.999999Z");
}

#[test]
fn the_same_instant_may_be_spelled_in_many_ways() {
    for text in [
        "2026-11-21T10:00:00Z",
        "2026-11-21t10:00:00z",
        "2026-11-21T10:00:00.0Z",
        "2026-11-21T10:00:00.000000000000Z",
        "2026-11-21T11:30:00+01:30",
        "2026-11-20T10:01:00-23:59",
        "2026-11-21T10:00:00-00:00",
    ] {
        assert_eq!(Micros::parse(text), Ok(Micros(1_795_255_200_000_000)), "{text}");
    }
}

#[test]
fn digits_beyond_microseconds_are_cut() {
    let at = Micros::parse("2026-11-21T10:00:00.1234569Z").unwrap();
    assert_eq!(at.to_string(), "2026-11-21T10:00:00.123456Z");
    let at = Micros::parse("2026-11-21T10:00:00.5Z").unwrap();
    assert_eq!(at.to_string(), "2026-11-21T10:00:00.500000Z");
}

#[test]
fn what_is_not_rfc_3339_is_malformed() {
    for text in [
        "",
        "2026-11-21",
        "2026-11-21T10:00Z",
        "2026-11-21T10:00:00",
        "2026-11-21 10:00:00Z",
        "2026-11-21T10:00:00.Z",
        "2026-11-21T10:00:00,5Z",
        "2026-11-21T10:00:00 Z",
        "2026-11-21T10:00:00+0100",
        "2026-11-21T10:00:00+01",
        "2026-11-21T10:00:00Zz",
        "+2026-11-21T10:00:00Z",
        "-001-11-21T10:00:00Z",
        "20x6-11-21T10:00:00Z",
        "2026-11-21T10:00:00.１Z",
        "1795255200",
    ] {
        assert_eq!(Micros::parse(text), Err(TimeError::Malformed), "{text:?}");
    }
}

#[test]
fn only_dates_of_the_calendar_are_accepted() {
    for text in [
        "2026-02-29T10:00:00Z",
        "2026-00-21T10:00:00Z",
        "2026-13-21T10:00:00Z",
        "2026-11-31T10:00:00Z",
        "2026-11-00T10:00:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T10:60:00Z",
        "2026-11-21T10:00:61Z",
        "2026-11-21T10:00:00+24:00",
        "2026-11-21T10:00:00+10:60",
    ] {
        assert_eq!(Micros::parse(text), Err(TimeError::NotInCalendar), "{text:?}");
    }
    assert!(Micros::parse("2028-02-29T10:00:00Z").is_ok());
    assert!(Micros::parse("2000-02-29T10:00:00Z").is_ok());
}

#[test]
fn a_leap_second_is_refused() {
    assert_eq!(Micros::parse("2016-12-31T23:59:60Z"), Err(TimeError::LeapSecond));
}

#[test]
fn the_accepted_century_is_measured_in_utc() {
    assert_eq!(Micros::parse("2000-01-01T00:00:00Z"), Ok(Micros::EARLIEST));
    assert_eq!(Micros::parse("1999-12-31T23:00:00-01:00"), Ok(Micros::EARLIEST));
    assert_eq!(
        Micros::parse("2100-01-01T00:59:59.999999+01:00").unwrap().0 + 1,
        4_102_444_800_000_000
    );
    for text in [
        "1999-12-31T23:59:59.999999Z",
        "2000-01-01T00:00:00+00:01",
        "2100-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ] {
        assert_eq!(Micros::parse(text), Err(TimeError::OutOfRange), "{text:?}");
    }
}

proptest! {
    #[test]
    fn every_accepted_instant_survives_its_text(at in Micros::EARLIEST.0..Micros::TOO_LATE.0) {
        prop_assert_eq!(Micros::parse(&Micros(at).to_string()), Ok(Micros(at)));
    }

    #[test]
    fn any_instant_can_be_displayed(at in proptest::num::i64::ANY) {
        Micros(at).to_string();
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[0-9TtZz:.+\\-]{0,40}|.*") {
        prop_assert_eq!(Micros::parse(&text), text.parse());
    }
}
