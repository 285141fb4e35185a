//! The lives of Celery's workers: when each began anew, and when it last had nothing to do.
//!
//! ```text
//!   begun ──── fresh             lost, when the next life began
//!   begun ──── idle ──── fresh   ended without a word, before that
//! ```
//!
//! A worker that is killed says nothing. When a process under its name says that it has begun nothing
//! yet, what was begun there before is of a process that is gone: it is lost, with it or with what it
//! had not told. But what that process had begun before it last said that it had nothing to do has
//! ended. Neither needs to know who the former process was, so it holds after a restart of ours, and
//! where each process has the same number, as in a container.
//!
//! # Invariants
//!
//! 1. What is known depends on the set of signs, as long as they come about in the order of their
//!    times, as those of one worker do; [`Signs`] brings others into it.
//! 2. The size is bounded: the latest [`KEPT`] lives of a worker.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::name::Name;

/// Lives of a worker that are told apart: what an earlier one had begun is lost long since.
const KEPT: usize = 16;

/// Of many signs that a worker had nothing to do the last in so many µs is enough for who collects
/// them: a life takes longer.
const SLOT: i64 = 10_000_000;

/// A sign of life of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sign {
    pub worker: Name,
    /// µs since the epoch.
    pub at: i64,
    /// It is of a process that has begun nothing yet; else of one that has nothing to do.
    pub fresh: bool,
    /// Which worker of the dataflow this is for: every one is told. Set by who feeds it.
    pub to: u64,
}

/// What was heard of one worker.
#[derive(Debug)]
struct Worker {
    /// When each life began, and when there was last nothing to do before; in their order.
    lives: Vec<(i64, i64)>,
    /// When there was last nothing to do.
    idle: i64,
}

/// What was heard of workers.
#[derive(Debug, Default)]
pub struct Lives(HashMap<Name, Worker>);

impl Lives {
    /// What these signs come to, which are in their order.
    pub fn of(signs: &[Sign]) -> Lives {
        let mut lives = Lives::default();
        for sign in signs {
            lives.hear(sign);
        }
        lives
    }

    /// Takes in a sign; whether a life began that was not known.
    pub fn hear(&mut self, sign: &Sign) -> bool {
        let nothing = || Worker { lives: Vec::new(), idle: i64::MIN };
        let worker = self.0.entry(sign.worker).or_insert_with(nothing);
        if !sign.fresh {
            worker.idle = worker.idle.max(sign.at);
            // One that comes after the life that followed.
            let next = worker.lives.partition_point(|(began, _)| *began <= sign.at);
            if let Some((_, idle)) = worker.lives.get_mut(next) {
                *idle = (*idle).max(sign.at);
            }
            return false;
        }
        let Err(place) = worker.lives.binary_search_by_key(&sign.at, |(began, _)| *began) else {
            return false;
        };
        let idle = if worker.idle < sign.at { worker.idle } else { i64::MIN };
        worker.lives.insert(place, (sign.at, idle));
        let beyond = worker.lives.len().saturating_sub(KEPT);
        worker.lives.drain(..beyond);
        true
    }

    /// When what `worker` began at `at` was lost, if it was.
    pub fn lost_at(&self, worker: Name, at: i64) -> Option<i64> {
        let lives = &self.0.get(&worker)?.lives;
        let (began, idle) = *lives.get(lives.partition_point(|(began, _)| *began <= at))?;
        (idle < at).then_some(began)
    }
}

/// Signs that are collected before they are told.
#[derive(Debug, Default)]
pub struct Signs {
    fresh: BTreeSet<(i64, Name)>,
    /// The last in each slot.
    idle: BTreeMap<(i64, Name), i64>,
}

impl Signs {
    pub fn add(&mut self, sign: &Sign) {
        let Sign { worker, at, fresh, .. } = *sign;
        if fresh {
            self.fresh.insert((at, worker));
        } else {
            let last = self.idle.entry((at.div_euclid(SLOT), worker)).or_insert(at);
            *last = at.max(*last);
        }
    }

    /// All of them, in the order of their times.
    pub fn in_order(&self) -> Vec<Sign> {
        let fresh = self.fresh.iter().map(|&(at, worker)| Sign { worker, at, fresh: true, to: 0 });
        let idle = self.idle.iter();
        let idle = idle.map(|(&(_, worker), &at)| Sign { worker, at, fresh: false, to: 0 });
        let mut signs: Vec<Sign> = fresh.chain(idle).collect();
        signs.sort_by_key(|sign| (sign.at, sign.fresh));
        signs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(at: i64, fresh: bool) -> Sign {
        Sign { worker: Name::new("w1@a"), at, fresh, to: 0 }
    }

    fn lost(signs: &[Sign]) -> [Option<i64>; 6] {
        let lives = Lives::of(signs);
        [5, 19, 21, 29, 30, 40].map(|at| lives.lost_at(Name::new("w1@a"), at))
    }

    #[test]
    fn what_was_begun_before_a_fresh_process_is_lost_unless_it_had_ended() {
        let signs = [sign(10, true), sign(12, false), sign(20, false), sign(30, true)];
        let expected = [Some(10), None, Some(30), Some(30), None, None];
        assert_eq!(lost(&signs), expected);
        // Nobody has to have been heard of before.
        assert_eq!(lost(&[sign(30, true)])[..4], [Some(30); 4]);
        assert_eq!(lost(&[]), [None; 6]);
    }

    #[test]
    fn signs_that_were_collected_come_to_the_same_in_any_order() {
        let (second, signs) = (1_000_000, [(10, true), (12, false), (35, false), (60, true)]);
        let mut signs = signs.map(|(at, fresh)| sign(at * second, fresh));
        let lost =
            |lives: &Lives| [5, 20, 36, 61].map(|at| lives.lost_at(Name::new("w1@a"), at * second));
        let expected = lost(&Lives::of(&signs));
        assert_eq!(expected, [Some(10), None, Some(60), None].map(|at| at.map(|at| at * second)));
        for turned in 0..signs.len() {
            signs.rotate_left(1);
            let mut collected = Signs::default();
            signs.iter().chain(&signs).for_each(|sign| collected.add(sign));
            assert_eq!(lost(&Lives::of(&collected.in_order())), expected, "turned by {turned}");
        }
    }

    #[test]
    fn a_worker_that_begins_a_thousand_times_takes_no_more_room() {
        let mut lives = Lives::default();
        for life in 0..1_000 {
            assert!(lives.hear(&sign(life * 10, true)));
            assert!(!lives.hear(&sign(life * 10, true)), "told twice");
        }
        assert_eq!(lives.0[&Name::new("w1@a")].lives.len(), KEPT);
        assert_eq!(lives.lost_at(Name::new("w1@a"), 9_985), Some(9_990));
    }
}
