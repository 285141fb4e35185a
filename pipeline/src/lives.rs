//! The lives of Celery's workers: which process each was, and when the next began.
//!
//! A worker that is killed says nothing. When another process is heard of under its name, what the
//! former had begun and not ended is lost: with it, or with what it had not told yet. What it had begun
//! before it last said that it had nothing to do is not: that has ended, without a word.
//!
//! # Invariants
//!
//! 1. What is known depends on the set of what was heard.
//! 2. The size is bounded: the latest [`KEPT`] processes of a worker.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::fact::Lost;
use crate::name::Name;

/// Processes of a worker that are told apart: what an earlier one had begun is lost long since.
const KEPT: usize = 16;

/// A sign of life of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    pub worker: Name,
    /// Of its process: a worker that begins anew has another.
    pub pid: i64,
    /// µs since the epoch.
    pub at: i64,
    /// It had nothing to do.
    pub idle: bool,
}

/// A process, from when it was first heard of to when it last had nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Life {
    first: i64,
    pid: i64,
    idle: i64,
}

/// What was heard of workers.
#[derive(Debug, Default)]
pub struct Lives(HashMap<Name, Vec<Life>>);

impl Lives {
    /// Takes in a sign of life; gives what is lost if it is the first of a process after another.
    pub fn hear(&mut self, heard: &Heard) -> Option<Lost> {
        let Heard { worker, pid, at, idle } = *heard;
        let lives = self.0.entry(worker).or_default();
        let idle = if idle { at } else { i64::MIN };
        if let Some(life) = lives.iter_mut().find(|life| life.pid == pid) {
            life.first = life.first.min(at);
            life.idle = life.idle.max(idle);
            lives.sort_unstable();
            return None;
        }
        lives.push(Life { first: at, pid, idle });
        lives.sort_unstable();
        let beyond = lives.len().saturating_sub(KEPT);
        lives.drain(..beyond);
        self.lost_of(worker).into_iter().find(|lost| lost.began == at)
    }

    /// What is lost with workers, as far as is known of them.
    pub fn lost(&self) -> Vec<Lost> {
        self.0.keys().flat_map(|worker| self.lost_of(*worker)).collect()
    }

    fn lost_of(&self, worker: Name) -> Vec<Lost> {
        let lives = self.0.get(&worker).map_or(&[][..], Vec::as_slice);
        // Of the first of them nobody knows whether there was another before.
        let pairs = lives.windows(2).map(|pair| (pair[0].idle, pair[1].first));
        pairs.map(|(idle, began)| Lost { worker, idle, began, to: 0 }).collect()
    }

    /// When what `worker` began at `at` was lost, if it was.
    pub fn lost_at(&self, worker: Name, at: i64) -> Option<i64> {
        let next = self.lost_of(worker).into_iter().find(|lost| lost.began > at)?;
        (next.idle < at).then_some(next.began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(pid: i64, at: i64, idle: bool) -> Heard {
        Heard { worker: Name::new("w1@a"), pid, at, idle }
    }

    #[test]
    fn another_process_under_the_same_name_is_a_new_life_whenever_it_is_told() {
        let worker = Name::new("w1@a");
        let signs = [
            heard(1, 10, true),
            heard(1, 12, false),
            heard(2, 30, true),
            heard(1, 20, true),
            heard(2, 31, false),
        ];
        for turned in 0..signs.len() {
            let mut lives = Lives::default();
            let mut turn = signs;
            turn.rotate_left(turned);
            for sign in &turn {
                lives.hear(sign);
            }
            let lost = [5, 19, 21, 29, 30, 40].map(|at| lives.lost_at(worker, at));
            assert_eq!(lost, [None, None, Some(30), Some(30), None, None]);
            assert_eq!(lives.lost(), [Lost { worker, idle: 20, began: 30, to: 0 }]);
        }
        assert_eq!(Lives::default().lost_at(worker, 0), None);
    }

    #[test]
    fn a_new_life_is_news_once_and_the_first_is_none() {
        let mut lives = Lives::default();
        assert_eq!(lives.hear(&heard(1, 10, false)), None);
        let lost = lives.hear(&heard(2, 20, false)).unwrap();
        assert_eq!((lost.idle, lost.began), (i64::MIN, 20));
        assert_eq!(lives.hear(&heard(2, 22, false)), None);
        assert_eq!(lives.hear(&heard(1, 9, false)), None);
    }

    #[test]
    fn a_worker_that_begins_a_thousand_times_takes_no_more_room() {
        let mut lives = Lives::default();
        for pid in 0..1_000 {
            assert_eq!(lives.hear(&heard(pid, pid * 10, false)).is_some(), pid > 0);
        }
        assert_eq!(lives.0[&Name::new("w1@a")].len(), KEPT);
        assert_eq!(lives.lost_at(Name::new("w1@a"), 9_985), Some(9_990));
    }
}
