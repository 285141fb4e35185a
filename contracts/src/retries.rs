//! Attempts that no event tells: they follow from the retries among all events of a job.
//!
//! ```text
//!   started  retried  started  retried  started  succeeded
//!   ── 1 ────── 1 ─┤── 2 ────── 2 ─┤── 3 ──────── 3 ──
//! ```
//!
//! Celery says of few events which attempt they are about. The attempt of an event is 1 + the number
//! of distinct retries of its job that occurred before it, which depends on the set of events only.
//!
//! # Invariants
//!
//! 1. [`Retries::join`] is associative, commutative and idempotent.
//! 2. The size is bounded: the latest [`MAX_RETRIES`] are kept, and whether there were more.

use serde::{Deserialize, Serialize};

use crate::event::{EventId, Kind};

/// Retries of a job that are told apart; the attempts of one with more count from there. Celery
/// gives up after 3 by default.
pub const MAX_RETRIES: usize = 64;

/// The retries of a job: when each occurred, µs since the epoch, and the event that told it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    /// In their order.
    latest: Vec<(i64, EventId)>,
    more: bool,
}

impl Retries {
    /// One retry.
    pub fn of(at: i64, event: EventId) -> Retries {
        Retries { latest: vec![(at, event)], more: false }
    }

    /// The latest of `retries`, in any order.
    pub fn latest_of(mut retries: Vec<(i64, EventId)>, more: bool) -> Retries {
        retries.sort_unstable();
        retries.dedup();
        let beyond = retries.len().saturating_sub(MAX_RETRIES);
        retries.drain(..beyond);
        Retries { latest: retries, more: more || beyond > 0 }
    }

    /// Takes in what `other` knows; says whether this one learned anything.
    pub fn join(&mut self, other: &Retries) -> bool {
        if other.latest.is_empty() || *self == *other {
            return false;
        }
        let both = [&self.latest[..], &other.latest].concat();
        let joined = Retries::latest_of(both, self.more | other.more);
        let changed = joined != *self;
        *self = joined;
        changed
    }

    /// The attempt of an event that occurred at `at`; of a retry, the one that failed.
    pub fn attempt(&self, at: i64) -> u16 {
        // At most 64.
        1 + self.before(at).len() as u16
    }

    /// When the attempt of an event that occurred at `at` became possible.
    pub fn since(&self, at: i64) -> Option<i64> {
        self.before(at).last().map(|(at, _)| *at)
    }

    fn before(&self, at: i64) -> &[(i64, EventId)] {
        &self.latest[..self.latest.partition_point(|(retried, _)| *retried < at)]
    }

    /// Those that are told apart.
    pub fn told_apart(&self) -> &[(i64, EventId)] {
        &self.latest
    }

    /// Whether there were more than are told apart.
    pub fn more(&self) -> bool {
        self.more
    }

    /// How much an event counts for beside others of its attempt: a terminal that a retry of the
    /// same attempt follows ended nothing.
    pub fn rank(&self, kind: Kind, at: i64) -> u8 {
        let next = self.latest.get(self.before(at).len());
        let retried = kind.terminal() && next.is_some_and(|(retried, _)| *retried > at);
        if retried { Kind::Executed.rank() } else { kind.rank() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: u128) -> EventId {
        EventId::from_u128(n)
    }

    fn retries(at: impl IntoIterator<Item = i64>) -> Retries {
        let mut all = Retries::default();
        for at in at {
            all.join(&Retries::of(at, event(at as u128)));
        }
        all
    }

    #[test]
    fn an_attempt_is_one_more_than_the_retries_before_it() {
        let retries = retries([20, 10]);
        let attempts = [5, 10, 11, 20, 21].map(|at| retries.attempt(at));
        assert_eq!(attempts, [1, 1, 2, 2, 3]);
        assert_eq!(
            [10, 11, 20, 21].map(|at| retries.since(at)),
            [None, Some(10), Some(10), Some(20)]
        );
    }

    #[test]
    fn one_retry_told_twice_is_one_and_two_at_one_time_are_two() {
        let mut one = Retries::of(10, event(1));
        assert!(!one.join(&Retries::of(10, event(1))));
        assert!(one.join(&Retries::of(10, event(2))));
        assert_eq!(one.attempt(11), 3);
    }

    #[test]
    fn a_terminal_that_a_retry_follows_ended_nothing() {
        let retries = retries([10, 20]);
        let ranks = [5, 10, 15, 25].map(|at| retries.rank(Kind::Failed, at));
        let (ended, not) = (Kind::Failed.rank(), Kind::Executed.rank());
        assert_eq!(ranks, [not, ended, not, ended]);
        assert_eq!(retries.rank(Kind::Executed, 5), Kind::Executed.rank());
    }

    #[test]
    fn the_latest_are_kept_in_any_order_and_that_there_were_more() {
        let many = 2 * MAX_RETRIES as i64;
        let up = retries(0..many);
        assert_eq!(up, retries((0..many).rev()));
        assert_eq!(up.told_apart().len(), MAX_RETRIES);
        assert!(up.more() && !retries(0..MAX_RETRIES as i64).more());
        assert_eq!(up.attempt(many), 1 + MAX_RETRIES as u16);
        let [mut low, high] = [retries(0..70), retries(60..many)];
        low.join(&high);
        assert_eq!(low, up);
    }
}
