//! The lives of Celery's workers: when each began anew, and when it last had nothing to do.
//!
//! ```text
//!   begun ──── fresh             lost, when the next life began
//!   begun ──── idle ──── fresh   ended unseen, before that
//!   begun ──── idle ──── idle    ended unseen, if the two are some time apart
//! ```
//!
//! A worker that is killed says nothing. When a process under its name says that it has begun nothing
//! yet, what was begun there before is of a process that is gone: it is lost, with it or with what it
//! had not told. But what that process had begun before it last said that it had nothing to do has
//! ended, and nobody has told how: a task that raises `Ignore` ends so, and one whose last event was
//! still with the worker when that was killed. Neither needs to know who the former process was, so it
//! holds after a restart of ours, and where each process has the same number, as in a container.
//!
//! # Invariants
//!
//! 1. What is known depends on the set of signs, as long as they come about in the order of their
//!    times, as those of one worker do; [`Signs`] brings others into it. Where several processes take
//!    in a backlog side by side, a life may begin before the last sign of the former is heard: what had
//!    ended unseen in that is taken for lost.
//! 2. The size is bounded: the latest [`KEPT`] lives of a worker, and workers that were heard of within
//!    [`FORGOTTEN`]. Who has collected all signs keeps all lives ([`Lives::of`]).

use std::collections::{BTreeMap, BTreeSet};

use contracts::Heartbeat;
use contracts::workers::Beat;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::name::Name;

/// Lives of a worker that are told apart: what an earlier one had begun is lost long since.
const KEPT: usize = 16;

/// Workers of which none is forgotten.
const MANY: usize = 1_024;

/// What a worker has not told within so many µs of having nothing to do, it does not tell any more:
/// it sends what it has to tell every second or so.
const SETTLED: i64 = 10_000_000;

/// Of many signs that a worker had nothing to do the last in so many µs is enough for who collects
/// them. The first heartbeat of a life comes an interval after it began, which is two seconds unless
/// somebody has made it shorter: so there are never two lives in a slot.
const SLOT: i64 = 2_000_000;

/// A worker that was not heard of for so many µs is forgotten, here and by stores; its jobs are not.
pub const FORGOTTEN: i64 = 7 * 24 * 3_600_000_000;

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

impl Sign {
    /// What a heartbeat says of it, if anything.
    pub fn of(heartbeat: &Heartbeat) -> Option<Sign> {
        let Heartbeat { worker, beat, at, active, processed, .. } = heartbeat;
        // A worker also comes online when it has been away from its broker, with what it has to do.
        let fresh = *beat == Beat::Online && *processed == Some(0);
        let sign = Sign { worker: Name::new(worker), at: at.0, fresh, to: 0 };
        (fresh || *active == Some(0) && *beat != Beat::Offline).then_some(sign)
    }
}

/// What was heard of one worker.
#[derive(Debug)]
struct Worker {
    /// When each life began, and when there was last nothing to do before; in their order.
    lives: Vec<(i64, i64)>,
    /// When there was last nothing to do.
    idle: i64,
    /// The same, of some time before a later sign.
    settled: i64,
    /// The one that is settled next.
    candidate: i64,
    /// The last sign.
    heard: i64,
}

/// What became of a job that its worker has begun and told nothing more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was lost when the worker began anew.
    Lost(i64),
    /// It has ended, nobody knows how.
    Unseen,
}

/// What was heard of workers.
#[derive(Debug)]
pub struct Lives {
    workers: HashMap<Name, Worker>,
    /// Lives of each that are kept.
    kept: usize,
}

impl Default for Lives {
    fn default() -> Lives {
        Lives { workers: HashMap::new(), kept: KEPT }
    }
}

impl Lives {
    /// What these signs come to, which are in their order: all of it.
    pub fn of(signs: &[Sign]) -> Lives {
        let mut lives = Lives { kept: usize::MAX, ..Lives::default() };
        for sign in signs {
            lives.hear(sign);
        }
        lives
    }

    /// Takes in a sign; whether what the worker has begun may have come to an end by it.
    pub fn hear(&mut self, sign: &Sign) -> bool {
        let nothing = || Worker {
            lives: Vec::new(),
            idle: i64::MIN,
            settled: i64::MIN,
            candidate: i64::MIN,
            heard: i64::MIN,
        };
        // Now and then, so that it costs nothing: names of workers may be new with each start.
        let known = self.workers.len();
        if known >= MANY && known.is_power_of_two() && !self.workers.contains_key(&sign.worker) {
            let forgotten = sign.at.saturating_sub(FORGOTTEN);
            self.workers.retain(|_, worker| worker.heard >= forgotten);
        }
        let worker = self.workers.entry(sign.worker).or_insert_with(nothing);
        worker.heard = worker.heard.max(sign.at);
        if !sign.fresh {
            worker.idle = worker.idle.max(sign.at);
            // One that comes after the life that followed.
            let next = worker.lives.partition_point(|(began, _)| *began <= sign.at);
            if let Some((_, idle)) = worker.lives.get_mut(next) {
                *idle = (*idle).max(sign.at);
            }
            if sign.at.saturating_sub(worker.candidate) < SETTLED {
                return false;
            }
            worker.settled = worker.candidate;
            worker.candidate = sign.at;
            return true;
        }
        let Err(place) = worker.lives.binary_search_by_key(&sign.at, |(began, _)| *began) else {
            return false;
        };
        // The last before it; others may have come since.
        let idles = [worker.idle, worker.candidate, worker.settled].into_iter();
        let idle = idles.filter(|idle| *idle < sign.at).max().unwrap_or(i64::MIN);
        worker.lives.insert(place, (sign.at, idle));
        let beyond = worker.lives.len().saturating_sub(self.kept);
        worker.lives.drain(..beyond);
        true
    }

    /// What became of what `worker` began at `at`, if nothing more is told of it.
    pub fn fate(&self, worker: Name, at: i64) -> Option<Fate> {
        let Worker { lives, settled, .. } = self.workers.get(&worker)?;
        match lives.get(lives.partition_point(|(began, _)| *began <= at)) {
            Some((began, idle)) if *idle < at => Some(Fate::Lost(*began)),
            Some(_) => Some(Fate::Unseen),
            None => (*settled > at).then_some(Fate::Unseen),
        }
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

    const LOST_10: Option<Fate> = Some(Fate::Lost(10_000_000));
    const LOST_30: Option<Fate> = Some(Fate::Lost(30_000_000));
    const UNSEEN: Option<Fate> = Some(Fate::Unseen);

    /// What became of what began at these seconds.
    fn fates(lives: &Lives, at: [i64; 6]) -> [Option<Fate>; 6] {
        at.map(|at| lives.fate(Name::new("w1@a"), at * 1_000_000))
    }

    fn of(signs: &[(i64, bool)]) -> Vec<Sign> {
        signs.iter().map(|(at, fresh)| sign(at * 1_000_000, *fresh)).collect()
    }

    #[test]
    fn what_was_begun_before_a_fresh_process_is_lost_unless_it_had_ended() {
        let at = [5, 19, 21, 29, 30, 40];
        let lives = Lives::of(&of(&[(10, true), (12, false), (20, false), (30, true)]));
        assert_eq!(fates(&lives, at), [LOST_10, UNSEEN, LOST_30, LOST_30, None, None]);
        // Nobody has to have been heard of before.
        let lives = Lives::of(&of(&[(30, true)]));
        assert_eq!(fates(&lives, at)[..4], [LOST_30; 4]);
        assert_eq!(fates(&Lives::default(), at), [None; 6]);
    }

    #[test]
    fn a_life_that_is_heard_of_after_the_first_sign_of_it_ends_the_former_all_the_same() {
        let lives = Lives::of(&of(&[(12, false), (17, false), (15, true)]));
        assert_eq!(
            fates(&lives, [10, 13, 16, 17, 18, 19])[..2],
            [UNSEEN, Some(Fate::Lost(15_000_000))]
        );
    }

    #[test]
    fn workers_that_come_and_go_are_forgotten_after_a_week() {
        let mut lives = Lives::default();
        for n in 0..3_000 {
            let worker = Name::new(&format!("pod-{n}"));
            lives.hear(&Sign { worker, at: n * 3_600_000_000, fresh: true, to: 0 });
        }
        assert!(lives.workers.len() <= 2 * MANY, "{}", lives.workers.len());
    }

    #[test]
    fn a_worker_that_has_long_had_nothing_to_do_has_ended_what_it_began() {
        let at = [1, 5, 6, 15, 16, 17];
        let lives = Lives::of(&of(&[(6, false), (15, false)]));
        assert_eq!(fates(&lives, at), [None; 6], "its word may be on its way");
        let lives = Lives::of(&of(&[(6, false), (16, false)]));
        assert_eq!(fates(&lives, at), [UNSEEN, UNSEEN, None, None, None, None]);
        let lives = Lives::of(&of(&[(6, false), (16, false), (18, false), (26, false)]));
        assert_eq!(fates(&lives, at), [UNSEEN, UNSEEN, UNSEEN, UNSEEN, None, None]);
    }

    #[test]
    fn signs_that_were_collected_come_to_the_same_in_any_order() {
        let at = [5, 20, 36, 59, 61, 91];
        let mut signs = of(&[(10, true), (12, false), (35, false), (60, true), (70, false)]);
        // In one slot of ten seconds there may be two lives.
        signs.extend(of(&[(81, false), (92, false), (95, true), (97, false)]));
        let lost = Some(Fate::Lost(60_000_000));
        let expected = [LOST_10, UNSEEN, lost, lost, UNSEEN, UNSEEN];
        assert_eq!(fates(&Lives::of(&signs), at), expected);
        for turned in 0..signs.len() {
            signs.rotate_left(1);
            let mut collected = Signs::default();
            signs.iter().chain(&signs).for_each(|sign| collected.add(sign));
            let lives = Lives::of(&collected.in_order());
            assert_eq!(fates(&lives, at), expected, "turned by {turned}");
        }
    }

    #[test]
    fn a_worker_that_begins_a_thousand_times_takes_no_more_room() {
        let mut lives = Lives::default();
        for life in 0..1_000 {
            assert!(lives.hear(&sign(life * 10, true)));
            assert!(!lives.hear(&sign(life * 10, true)), "told twice");
        }
        assert_eq!(lives.workers[&Name::new("w1@a")].lives.len(), KEPT);
        let fate = lives.fate(Name::new("w1@a"), 9_985);
        assert_eq!(fate, Some(Fate::Lost(9_990)));
    }
}
