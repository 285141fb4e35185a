//! What happened in each minute, by job type: the history that charts are drawn from.
//!
//! ```text
//!   changes ──tally──▶ ((minute, type), tick, what is added to it)
//! ```
//!
//! # Invariants
//!
//! 1. Added up over all ticks, a minute holds every job created and finished in it, retired or
//!    not; late facts correct it.
//!
//! # Cost
//!
//! None in memory: a minute stays in the store, and what leaves here is the difference to add.
//! Holding every minute that a late fact may still correct would make memory follow the history.

use std::ops::{AddAssign, Neg};

use contracts::State;
use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;

use crate::Tick;
use crate::name::Name;
use crate::row::{Changes, Row, tally};
use crate::summary::UNKNOWN;

/// µs of a minute.
pub const MINUTE: i64 = 60_000_000;

/// A minute of a job type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Minute {
    /// Its start, µs since the epoch.
    pub start: i64,
    pub job_type: Name,
}

/// Jobs of a minute; as a difference, its numbers may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinuteStats {
    pub created: i64,
    pub finished: i64,
    pub failed: i64,
    pub cancelled: i64,
    /// Jobs that finished in the minute with a known wait, and its sum in µs; a negative wait
    /// counts as zero. Likewise for run.
    pub waits: i64,
    pub wait_micros: i64,
    pub runs: i64,
    pub run_micros: i64,
}

impl MinuteStats {
    fn fields(&mut self) -> [&mut i64; 8] {
        [
            &mut self.created,
            &mut self.finished,
            &mut self.failed,
            &mut self.cancelled,
            &mut self.waits,
            &mut self.wait_micros,
            &mut self.runs,
            &mut self.run_micros,
        ]
    }
}

impl AddAssign for MinuteStats {
    fn add_assign(&mut self, mut other: MinuteStats) {
        for (mine, other) in self.fields().into_iter().zip(other.fields()) {
            *mine = mine.saturating_add(*other);
        }
    }
}

impl Neg for MinuteStats {
    type Output = MinuteStats;

    fn neg(mut self) -> MinuteStats {
        for field in self.fields() {
            *field = -*field;
        }
        self
    }
}

/// Gives out what each tick adds to the minutes.
pub fn minutes(changes: Changes<'_>) -> StreamVec<'_, Tick, (Minute, Tick, MinuteStats)> {
    tally(changes, "Minutes", shares)
}

/// What a job adds to the minute of its creation, and to that of its end.
fn shares(row: &Row) -> [Option<(Minute, MinuteStats)>; 2] {
    let minute = |at: i64| Minute { start: at.div_euclid(MINUTE) * MINUTE, job_type: row.job_type };
    let created = MinuteStats { created: 1, ..MinuteStats::default() };
    let finished = MinuteStats {
        created: 0,
        finished: 1,
        failed: i64::from(row.state == State::Failed),
        cancelled: i64::from(row.state == State::Cancelled),
        waits: i64::from(row.wait().is_some()),
        wait_micros: row.wait().unwrap_or(0).max(0),
        runs: i64::from(row.run().is_some()),
        run_micros: row.run().unwrap_or(0).max(0),
    };
    let finished = (row.finished != UNKNOWN).then(|| (minute(row.finished), finished));
    [Some((minute(row.created), created)), finished]
}
