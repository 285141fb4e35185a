//! How many jobs there are: the cube of those in memory, the totals of those retired.
//!
//! ```text
//!   changes ──tally──▶ (cell, tick, ±n) ──▶ count_total ──▶ ((cell, n), tick, ±1)
//! ```
//!
//! Every count by state, type, queue and worker is a sum over cells at one tick. One arrangement
//! serves the cube, the totals and the number of skewed jobs, because each is a count of rows by
//! some key.
//!
//! # Invariants
//!
//! 1. A cell exists exactly while a job is in it: the cube is never truncated.
//! 2. The sum over the cube is the number of jobs in memory; with the totals, of all jobs ever.
//!
//! # Cost
//!
//! One arrangement of the cells; an update does work in proportion to the cells that change.

use std::hash::{Hash, Hasher};

use contracts::State;
use differential_dataflow::operators::CountTotal;
use differential_dataflow::{AsCollection, VecCollection};
use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::row::{Changes, Row, tally};
use crate::{Diff, Tick};

/// What jobs are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cell {
    /// Of the cube: jobs in memory.
    Live { state: State, job_type: Name, queue: Name, worker: Name },
    /// Of the totals: jobs retired.
    Retired { state: State, job_type: Name },
    /// Jobs in memory with a negative latency.
    Skewed,
}

impl Cell {
    /// The cell of the cube or of the totals in which a row is.
    pub fn of(row: &Row) -> Cell {
        let Row { state, job_type, queue, worker, .. } = *row;
        match row.retired {
            false => Cell::Live { state, job_type, queue, worker },
            true => Cell::Retired { state, job_type },
        }
    }

    /// A hash that is the same in every process.
    fn route(&self) -> u64 {
        let (state, names) = match *self {
            Cell::Live { state, job_type, queue, worker } => {
                (state as u64, [job_type, queue, worker])
            }
            Cell::Retired { state, job_type } => {
                (8 + state as u64, [job_type, Name::NONE, Name::NONE])
            }
            Cell::Skewed => (16, [Name::NONE; 3]),
        };
        names.into_iter().fold(state, |hash, name| {
            (hash ^ name.route()).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
        })
    }
}

impl Hash for Cell {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.route());
    }
}

/// Maintains the number of jobs in each cell.
///
/// `retired` is what a store kept of the jobs that have left memory.
pub fn counts<'s>(
    changes: Changes<'s>,
    retired: VecCollection<'s, Tick, Cell, Diff>,
) -> VecCollection<'s, Tick, (Cell, Diff), Diff> {
    let cells = tally(changes, "Cells", |row| {
        [Some((Cell::of(row), 1)), (!row.retired && row.skewed()).then_some((Cell::Skewed, 1))]
    });
    cells.as_collection().concat(retired).count_total()
}
