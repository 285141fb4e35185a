//! What a server is like, for whoever wonders why something does not work with it.
//!
//! A probe asks and changes nothing: it sets up no tables and makes no indexes.

use std::time::{SystemTime, UNIX_EPOCH};

/// How a server's clock goes, compared with ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// µs that it is ahead.
    pub ahead: i64,
    /// µs that this may be off, as the answer was so long on its way.
    pub within: i64,
}

impl Clock {
    /// Compares what a server said it was, when asked `before` and answering `after`.
    pub(crate) fn of(theirs: i64, before: i64, after: i64) -> Clock {
        let within = (after - before).max(0) / 2;
        Clock { ahead: theirs - (before + within), within }
    }

    /// µs that the two clocks are apart at least.
    #[must_use]
    pub fn apart(self) -> i64 {
        (self.ahead.abs() - self.within).max(0)
    }
}

/// Now, in µs since the epoch.
pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn a_slow_answer_is_no_wrong_clock() {
        let clock = Clock::of(1_500, 0, 2_000);
        assert_eq!((clock, clock.apart()), (Clock { ahead: 500, within: 1_000 }, 0));
        assert_eq!(Clock::of(-9_000, 0, 2_000).apart(), 9_000);
    }
}
