//! How many jobs were created, finished and failed lately, per job type and window.

use std::ops::Range;

use contracts::State;
use contracts::snapshot::Window;
use differential_dataflow::{AsCollection, VecCollection};
use serde::{Deserialize, Serialize};
use timely::dataflow::operators::vec::Map;

use super::latency::WINDOWS;
use super::sliding::{ALL, Facet, Point, Steps, sliding};
use crate::name::Name;
use crate::row::{Changes, Row};
use crate::summary::UNKNOWN;
use crate::{Diff, Tick};

/// What happened at a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum What {
    Created,
    Finished,
    /// Finished, too.
    Failed,
}

/// A job that was created or has finished.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Moment {
    job_type: Name,
    at: i64,
    what: What,
}

/// One row of the view; it exists while one of its numbers is not zero.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Throughput {
    pub job_type: Facet,
    pub window: Window,
    pub rates: Rates,
}

/// Jobs created in a window, finished in it, and those of the latter that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rates {
    pub created: u64,
    pub finished: u64,
    pub failed: u64,
}

/// Maintains the throughput; `changes` are to come on a coarse grid.
pub fn throughput<'s>(
    changes: Changes<'s>,
    steps: Steps,
) -> VecCollection<'s, Tick, Throughput, Diff> {
    let moments = changes.flat_map(|(change, tick)| {
        let of = |row: &Option<Row>| row.as_ref().map_or([None, None], moments);
        let (old, new) = (of(&change.old), of(&change.new));
        let moved = old.into_iter().zip(new).filter(|(old, new)| old != new);
        moved.flat_map(|(old, new)| [(old, -1), (new, 1)]).flat_map(move |(moment, diff)| {
            moment.into_iter().flat_map(move |moment| {
                let of_type = (Some(moment.job_type), moment.clone());
                [(of_type, tick, diff), ((None, moment), tick, diff)]
            })
        })
    });
    sliding(moments.as_collection(), "Throughput", steps)
}

/// The creation of a job, and its end.
fn moments(row: &Row) -> [Option<Moment>; 2] {
    let created = Moment { job_type: row.job_type, at: row.created, what: What::Created };
    let what = if row.state == State::Failed { What::Failed } else { What::Finished };
    let finished = Moment { job_type: row.job_type, at: row.finished, what };
    [Some(created), (row.finished != UNKNOWN).then_some(finished)]
}

/// The numbers of one job type, per window.
#[derive(Default)]
struct Windows {
    now: [Rates; ALL],
    shown: [Rates; ALL],
}

impl Point for Moment {
    type Aggregate = Windows;
    type Share = What;
    type Row = Throughput;

    fn at(&self) -> i64 {
        self.at
    }

    fn share(&self, _: Facet, _: &mut Windows) -> What {
        self.what
    }

    fn update(facet: &mut Windows, what: What, windows: Range<usize>, diff: i64) {
        // All jobs ever is what the totals say.
        for rates in &mut facet.now[windows.start.min(ALL)..windows.end.min(ALL)] {
            let counts: &mut [&mut u64] = match what {
                What::Created => &mut [&mut rates.created],
                What::Finished => &mut [&mut rates.finished],
                What::Failed => &mut [&mut rates.finished, &mut rates.failed],
            };
            for count in counts {
                **count = count.wrapping_add_signed(diff);
            }
        }
    }

    fn rows(job_type: Facet, facet: &mut Windows, mut give: impl FnMut(Throughput, Diff)) {
        for (i, window) in WINDOWS[..ALL].iter().enumerate() {
            let (old, new) = (facet.shown[i], facet.now[i]);
            if old == new {
                continue;
            }
            for (rates, diff) in [(old, -1), (new, 1)] {
                if rates != Rates::default() {
                    give(Throughput { job_type, window: *window, rates }, diff);
                }
            }
            facet.shown[i] = new;
        }
    }
}
