//! How long to wait before the next attempt.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// Delays that double from 200 ms to 5 s, each shortened at random by up to a half: clients that
/// lost the same broker come back one after the other.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { next: FIRST }
    }
}

impl Backoff {
    /// The delay before the next attempt.
    pub(super) fn delay(&mut self) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(LONGEST);
        delay.mul_f64(1.0 - fastrand::f64() / 2.0)
    }

    /// The same, after something that worked for `lasted`: what worked for long begins anew.
    pub(super) fn delay_after(&mut self, lasted: Duration) -> Duration {
        if lasted > LONGEST {
            *self = Backoff::default();
        }
        self.delay()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_within_their_bounds() {
        let mut backoff = Backoff::default();
        let delays: Vec<_> = (0..8).map(|_| backoff.delay()).collect();
        for (delay, longest) in delays.iter().zip([200, 400, 800, 1600, 3200, 5000, 5000, 5000]) {
            let longest = Duration::from_millis(longest);
            assert!(*delay <= longest && *delay >= longest / 2, "{delays:?}");
        }
    }

    #[test]
    fn what_worked_for_long_begins_anew() {
        let mut backoff = Backoff::default();
        while backoff.next < LONGEST {
            backoff.delay();
        }
        assert!(backoff.delay_after(Duration::from_secs(1)) > FIRST);
        assert!(backoff.delay_after(Duration::from_secs(60)) <= FIRST);
    }
}
