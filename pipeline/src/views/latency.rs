//! How long jobs wait, run and take in all: quantiles per job type and window.
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
use serde::{Deserialize, Serialize};

use super::sliding::{Facet, Point, Steps, sliding};
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
) -> VecCollection<'s, Tick, Latency, Diff> {
    let samples = project(changes, "Samples", |row| {
        Sample::of(row).map_or([None, None], |sample| sample.in_both().map(|both| Some((both, 1))))
    });
    let retired = retired.flat_map(Sample::in_both);
    sliding(samples.concat(retired), "Latency", steps)
}

/// The distributions of one queue.
type PerMeasure = [Distribution; MEASURES.len()];

/// The distributions of one job type.
#[derive(Default)]
pub struct Measures {
    /// Never freed: a waiting share names its queue by its place here.
    queues: Vec<(Name, PerMeasure)>,
    /// Bit `measure * N_WINDOWS + window`: the row may have changed.
    changed: u32,
    shown: [[Option<Quantiles>; N_WINDOWS]; MEASURES.len()],
}

/// Queues of a type that are told apart; more are taken together, in the first place.
const MAX_QUEUES: usize = 1000;

impl Measures {
    fn queue(&mut self, name: Name) -> u16 {
        let known = self.queues.iter().position(|(queue, _)| *queue == name);
        let place = known.unwrap_or_else(|| {
            if self.queues.len() < MAX_QUEUES {
                self.queues.push((name, PerMeasure::default()));
                return self.queues.len() - 1;
            }
            0
        });
        place as u16
    }
}

impl Point for Sample {
    type Aggregate = Measures;
    type Share = (u16, [Bucket; MEASURES.len()]);
    type Row = Latency;

    fn at(&self) -> i64 {
        self.finished
    }

    fn share(&self, of: Facet, facet: &mut Measures) -> Self::Share {
        // All types together need no queues.
        let queue = if of.is_none() { Name::NONE } else { self.queue };
        (facet.queue(queue), self.buckets)
    }

    fn update(
        facet: &mut Measures,
        (queue, buckets): Self::Share,
        windows: Range<usize>,
        diff: i64,
    ) {
        let (_, measures) = &mut facet.queues[usize::from(queue)];
        let changed = (1 << windows.end) - (1 << windows.start);
        for (measure, bucket) in buckets.into_iter().enumerate() {
            if bucket != ABSENT {
                measures[measure].update(bucket, windows.clone(), diff);
                facet.changed |= changed << (measure * N_WINDOWS);
            }
        }
    }

    fn rows(job_type: Facet, facet: &mut Measures, mut give: impl FnMut(Latency, Diff)) {
        for (m, measure) in MEASURES.into_iter().enumerate() {
            if facet.changed & (ALL_WINDOWS << (m * N_WINDOWS)) == 0 {
                continue;
            }
            let parts: Vec<_> = facet.queues.iter().map(|(_, measures)| &measures[m]).collect();
            let sum = Sum::of(&parts);
            for (w, window) in WINDOWS.into_iter().enumerate() {
                if facet.changed & (1 << (m * N_WINDOWS + w)) == 0 {
                    continue;
                }
                let now = sum.quantiles(w);
                let row = |quantiles| Latency { job_type, measure, window, quantiles };
                if now != facet.shown[m][w] {
                    if let Some(quantiles) = facet.shown[m][w] {
                        give(row(quantiles), -1);
                    }
                    if let Some(quantiles) = now {
                        give(row(quantiles), 1);
                    }
                    facet.shown[m][w] = now;
                }
            }
        }
        facet.changed = 0;
    }
}

/// The bits of a measure's windows.
const ALL_WINDOWS: u32 = (1 << N_WINDOWS) - 1;

const _: () = assert!(MEASURES.len() * N_WINDOWS <= 32);
