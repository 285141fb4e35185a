//! How many jobs were created, finished and failed lately, per job type and window.

use std::ops::Range;

use contracts::State;
use contracts::snapshot::Window;
use differential_dataflow::{AsCollection, VecCollection};
use serde::{Deserialize, Serialize};

use super::latency::WINDOWS;
use super::sliding::{ALL, Facet, Point, SECOND, Steps, Wanted, sliding};
use crate::row::{Changes, Row, tally};
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

/// Jobs that were created or have finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Moment {
    /// The end of its second, µs since the epoch.
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
    wanted: Wanted,
) -> VecCollection<'s, Tick, Throughput, Diff> {
    sliding(tally(changes, "Moments", moments).as_collection(), "Throughput", steps, wanted)
}

/// The creation of a job and its end, each for its type and for all types together.
fn moments(row: &Row) -> [Option<((Facet, Moment), Diff)>; 4] {
    let moment = |at, what| Moment { at: next_second(at), what };
    let created = moment(row.created, What::Created);
    let what = if row.state == State::Failed { What::Failed } else { What::Finished };
    let finished = (row.finished != UNKNOWN).then(|| moment(row.finished, what));
    let of_type = Some(row.job_type);
    [
        Some(((of_type, created), 1)),
        Some(((None, created), 1)),
        finished.map(|finished| ((of_type, finished), 1)),
        finished.map(|finished| ((None, finished), 1)),
    ]
}

/// The second that ends at `at` or later: windows move in whole seconds, so a point leaves each of
/// them as one at this second does, and the points of a second are one.
fn next_second(at: i64) -> i64 {
    at.saturating_add(SECOND - 1).div_euclid(SECOND) * SECOND
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

    fn rows(
        job_type: Facet,
        facet: &mut Windows,
        wanted: Wanted,
        mut give: impl FnMut(Throughput, Diff),
    ) {
        for (i, window) in WINDOWS[..ALL].iter().enumerate() {
            let (old, new) = (facet.shown[i], facet.now[i]);
            if old == new || wanted.rates & (1 << i) == 0 {
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
