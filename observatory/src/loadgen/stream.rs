//! The events of many made-up jobs, in the order in which they are sent.
//!
//! Jobs begin at even distances, such that the events of all of them together come at the rate that
//! is wanted; while the first ones run, there are fewer.
//!
//! # Invariants
//!
//! 1. Everything but the moment of the beginning is a function of seed, shape and rate; jobs are one
//!    of seed and shape alone.
//! 2. What is sent is not from the future, but for clocks that are off: an event is sent when it
//!    occurs, or later.
//!
//! # Cost
//!
//! The jobs that have begun and have not ended, half a kilobyte each.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use contracts::Kind;

use super::Shape;
use super::job::{Clocks, Job, mean_events};

/// Without a rate, events are sent as fast as they are confirmed, and occur at this one: more than
/// a broker confirms, so that none is from the future.
const FASTEST: f64 = 100_000.0;

/// An event to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// When, in µs since the beginning.
    pub(super) at: u64,
    pub(super) kind: Kind,
    pub(super) body: Vec<u8>,
    /// It has been sent before.
    pub(super) repeat: bool,
}

/// When no more jobs begin.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// After so many.
    Jobs(u64),
    /// After so many µs.
    Micros(u64),
    Never,
}

pub(super) struct Stream {
    shape: Shape,
    seed: u64,
    clocks: Clocks,
    end: End,
    /// When it began, µs since the epoch.
    began: i64,
    /// µs between two jobs.
    distance: f64,
    next_job: u64,
    pending: BinaryHeap<Reverse<Pending>>,
}

/// In the order in which they are sent; the job's number and the step make it a total one.
struct Pending {
    at: u64,
    step: usize,
    repeat: bool,
    began: u64,
    job: Rc<Job>,
}

impl Pending {
    fn key(&self) -> (u64, u64, usize, bool) {
        (self.at, self.job.number, self.step, self.repeat)
    }
}

impl PartialEq for Pending {
    fn eq(&self, other: &Pending) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Pending {}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Pending) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pending {
    fn cmp(&self, other: &Pending) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Stream {
    /// A stream that begins at `began`, with `rate` events a second, or 0 for no pace at all.
    pub(super) fn new(shape: Shape, seed: u64, rate: f64, end: End, began: i64) -> Stream {
        let rate = if rate > 0.0 { rate } else { FASTEST };
        let distance = 1e6 * mean_events(&shape) / rate;
        let clocks = Clocks::new(&shape, seed);
        let pending = BinaryHeap::new();
        Stream { shape, seed, clocks, end, began, distance, next_job: 0, pending }
    }

    /// Jobs that have begun.
    pub(super) fn n_jobs(&self) -> u64 {
        self.next_job
    }

    /// When the next event is to be sent; none if there is none any more.
    pub(super) fn next_at(&mut self) -> Option<u64> {
        self.begin_jobs();
        self.pending.peek().map(|Reverse(pending)| pending.at)
    }

    /// Begins the jobs that may have something to send before all others.
    fn begin_jobs(&mut self) {
        loop {
            let began = (self.next_job as f64 * self.distance) as u64;
            let ended = match self.end {
                End::Jobs(jobs) => self.next_job >= jobs,
                End::Micros(micros) => began >= micros,
                End::Never => false,
            };
            let first = self.pending.peek().map(|Reverse(pending)| pending.at);
            if ended || first.is_some_and(|first| first < began) {
                return;
            }
            let job = Rc::new(Job::new(&self.shape, self.seed, self.next_job));
            for (i, step) in job.steps.iter().enumerate() {
                let sends = [(Some(step.sent), false), (step.again, true)];
                for (sent, repeat) in sends {
                    let Some(sent) = sent else { continue };
                    let (at, job) = (began + sent, Rc::clone(&job));
                    self.pending.push(Reverse(Pending { at, step: i, repeat, began, job }));
                }
            }
            self.next_job += 1;
        }
    }
}

impl Iterator for Stream {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        self.begin_jobs();
        let Reverse(Pending { at, step, repeat, began, job }) = self.pending.pop()?;
        let step = &job.steps[step];
        let body = job.event(step, self.began + began as i64, &self.clocks);
        Some(Due { at, kind: step.kind, body, repeat })
    }
}

#[cfg(test)]
#[path = "stream/tests.rs"]
mod tests;
