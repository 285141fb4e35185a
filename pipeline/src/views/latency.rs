//! How long jobs wait, run and take in all: quantiles per job type, queue and window.
//!
//! ```text
//!   changes on the grid ──finished rows──▶ samples, twice: for the type, and for all types
//!                       ──▶ sliding windows of distributions, per type and queue ──▶ rows
//! ```
//!
//! A job counts when it finishes, with whichever of its three latencies are known. It keeps
//! counting in the window `all` when it is retired: a retired row is projected to the same sample.
//!
//! # Cost
//!
//! At 1,000 facets and a million finished jobs, tens of megabytes: see [`crate::distribution`].

use std::ops::Range;

use contracts::snapshot::{Measure, Window};
use differential_dataflow::VecCollection;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::sliding::{Facet, Point, Steps, Wanted, sliding};
use crate::distribution::{self, Bucket, Distribution, N_WINDOWS, Quantiles, Sum};
use crate::name::Name;
use crate::row::{Changes, Row, project};
use crate::summary::UNKNOWN;
use crate::{Diff, Tick};

/// The measures, in the order of [`Sample::buckets`].
pub const MEASURES: [Measure; 3] = [Measure::Wait, Measure::Run, Measure::Total];
/// The windows, in the order of the sliding windows.
pub const WINDOWS: [Window; N_WINDOWS] =
    [Window::M1, Window::M5, Window::M15, Window::H1, Window::All];

/// The bucket of a latency that is not known.
pub const ABSENT: Bucket = Bucket::MAX;

/// What a finished job adds to the distributions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sample {
    pub job_type: Name,
    pub queue: Name,
    /// µs since the epoch.
    pub finished: i64,
    /// Per measure, or [`ABSENT`].
    pub buckets: [Bucket; MEASURES.len()],
}

impl Sample {
    /// The sample of a finished job.
    pub fn of(row: &Row) -> Option<Sample> {
        let bucket = |micros: Option<i64>| micros.map_or(ABSENT, distribution::bucket);
        (row.finished != UNKNOWN).then(|| Sample {
            job_type: row.job_type,
            queue: row.queue,
            finished: row.finished,
            buckets: [row.wait(), row.run(), row.total()].map(bucket),
        })
    }

    /// The sample for its type, and for all types together.
    fn in_both(self) -> [(Facet, Sample); 2] {
        [(Some(self.job_type), self.clone()), (None, self)]
    }
}

/// One row of the view.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Latency {
    pub job_type: Facet,
    /// Jobs of this queue only; none for those of all queues.
    pub queue: Facet,
    pub measure: Measure,
    pub window: Window,
    pub quantiles: Quantiles,
}

/// Maintains the quantiles of the finished jobs.
///
/// `changes` are to come on a coarse grid; `retired` is what a store kept of jobs that have left
/// memory, which counts in the window `all` only.
pub fn latency<'s>(
    changes: Changes<'s>,
    retired: VecCollection<'s, Tick, Sample, Diff>,
    steps: Steps,
    wanted: Wanted,
) -> VecCollection<'s, Tick, Latency, Diff> {
    let samples = project(changes, "Samples", |row| {
        Sample::of(row).map_or([None, None], |sample| sample.in_both().map(|both| Some((both, 1))))
    });
    let retired = retired.flat_map(Sample::in_both);
    sliding(samples.concat(retired), "Latency", steps, wanted)
}

/// What is shown of one queue, or of all of them.
type Shown = [[Option<Quantiles>; N_WINDOWS]; MEASURES.len()];

/// The distributions of one queue.
struct Queue {
    /// None for the queues that are not told apart.
    name: Facet,
    measures: [Distribution; MEASURES.len()],
    /// Bit `measure * N_WINDOWS + window`: the row may have changed.
    changed: u32,
    shown: Shown,
}

/// The distributions of one job type.
#[derive(Default)]
pub struct Measures {
    /// Never freed: a waiting share names its queue by its place here.
    queues: Vec<Queue>,
    places: HashMap<Facet, u16>,
    shown: Shown,
}

/// Queues of a type that have rows of their own; more are taken together, and shown only with all.
pub const MAX_QUEUES: usize = 1000;

impl Measures {
    fn queue(&mut self, name: Name) -> u16 {
        let name = Some(name);
        if let Some(place) = self.places.get(&name) {
            return *place;
        }
        let name = name.filter(|_| self.places.len() < MAX_QUEUES);
        *self.places.entry(name).or_insert_with(|| {
            let measures = Default::default();
            self.queues.push(Queue { name, measures, changed: 0, shown: Shown::default() });
            self.queues.len() as u16 - 1
        })
    }
}

impl Point for Sample {
    type Aggregate = Measures;
    type Share = (u16, [Bucket; MEASURES.len()]);
    type Row = Latency;

    fn at(&self) -> i64 {
        self.finished
    }

    fn share(&self, _: Facet, facet: &mut Measures) -> Self::Share {
        (facet.queue(self.queue), self.buckets)
    }

    fn update(
        facet: &mut Measures,
        (queue, buckets): Self::Share,
        windows: Range<usize>,
        diff: i64,
    ) {
        let queue = &mut facet.queues[usize::from(queue)];
        let changed = (1 << windows.end) - (1 << windows.start);
        for (measure, bucket) in buckets.into_iter().enumerate() {
            if bucket != ABSENT {
                queue.measures[measure].update(bucket, windows.clone(), diff);
                queue.changed |= changed << (measure * N_WINDOWS);
            }
        }
    }

    fn rows(
        job_type: Facet,
        facet: &mut Measures,
        wanted: Wanted,
        mut give: impl FnMut(Latency, Diff),
    ) {
        let changed = facet.queues.iter().fold(0, |changed, queue| changed | queue.changed);
        let changed = changed & wanted.quantiles;
        for (m, measure) in MEASURES.into_iter().enumerate() {
            let of = changed >> (m * N_WINDOWS) & ALL_WINDOWS;
            if of == 0 {
                continue;
            }
            let mut show = |queue, changed, sum: &Sum, shown: &mut Shown| {
                for (w, window) in WINDOWS.into_iter().enumerate() {
                    if changed & (1 << w) == 0 {
                        continue;
                    }
                    let now = sum.quantiles(w);
                    let row = |quantiles| Latency { job_type, queue, measure, window, quantiles };
                    if now != shown[m][w] {
                        shown[m][w].into_iter().for_each(|old| give(row(old), -1));
                        now.into_iter().for_each(|new| give(row(new), 1));
                        shown[m][w] = now;
                    }
                }
            };
            let parts: Vec<_> = facet.queues.iter().map(|queue| &queue.measures[m]).collect();
            show(None, of, &Sum::of(&parts), &mut facet.shown);
            let named = facet.queues.iter_mut().filter(|queue| queue.name.is_some());
            for queue in named.filter(|_| wanted.queues) {
                let of = (queue.changed & wanted.quantiles) >> (m * N_WINDOWS) & ALL_WINDOWS;
                if of != 0 {
                    let parts = [&queue.measures[m]];
                    show(queue.name, of, &Sum::of(&parts), &mut queue.shown);
                }
            }
        }
        facet.queues.iter_mut().for_each(|queue| queue.changed = 0);
    }
}

/// The bits of a measure's windows.
const ALL_WINDOWS: u32 = (1 << N_WINDOWS) - 1;

const _: () = assert!(MEASURES.len() * N_WINDOWS <= 32);
