//! How long jobs stay in memory.

use serde::{Deserialize, Serialize};

use crate::Tick;

const MINUTE: Tick = 60_000_000;
const HOUR: Tick = 60 * MINUTE;

/// How long jobs stay in memory, in µs of ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// From the last fact that changed a finished job until it is retired. Default 2 h.
    ///
    /// Never below [`Retention::MIN_RETIRE`]: the windows are restored from the jobs in memory.
    pub retire_after: Tick,
    /// From the last fact that changed an unfinished job until it is given up. Default 7 d.
    pub abandon_after: Tick,
    /// `createdAt` of the youngest job that the store had as retired when this run began, in µs
    /// since the epoch: [`NONE_RETIRED`](Retention::NONE_RETIRED) if it had none.
    pub youngest_retired: i64,
}

impl Retention {
    /// The longest window and ten minutes.
    pub const MIN_RETIRE: Tick = HOUR + 10 * MINUTE;

    /// Younger than any job.
    pub const NONE_RETIRED: i64 = i64::MIN;

    /// Facts of one job may disagree by so much on when it was created.
    const YOUNG_MARGIN: Tick = 10 * MINUTE;

    /// Whether a job created at `created_at` cannot have been retired by `tick`, given the youngest
    /// that has been.
    ///
    /// Its age alone is not a proof: a producer's clock may be ahead of ours, and an earlier run
    /// may have retired jobs sooner. That no job as young has been retired is one, as far as the
    /// facts of a job agree on when it was created.
    pub(crate) fn young(&self, created_at: i64, youngest_retired: i64, tick: Tick) -> bool {
        let oldest = tick.saturating_sub(self.retire_after - Self::YOUNG_MARGIN);
        let oldest = i64::try_from(oldest).unwrap_or(i64::MAX);
        created_at > oldest.max(youngest_retired)
    }
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            retire_after: 2 * HOUR,
            abandon_after: 7 * 24 * HOUR,
            youngest_retired: Retention::NONE_RETIRED,
        }
    }
}
