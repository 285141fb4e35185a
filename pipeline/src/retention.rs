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
}

impl Retention {
    /// The longest window and ten minutes.
    pub const MIN_RETIRE: Tick = HOUR + 10 * MINUTE;

    /// A job whose `createdAt` is this much younger than `retire_after` cannot have been retired.
    ///
    /// It covers producers whose clocks are ahead of ours.
    pub(crate) const YOUNG_MARGIN: Tick = 10 * MINUTE;

    /// Whether a job created at `created_at` cannot have been retired by `tick`.
    pub(crate) fn young(&self, created_at: i64, tick: Tick) -> bool {
        let oldest = tick.saturating_sub(self.retire_after - Self::YOUNG_MARGIN);
        i64::try_from(oldest).is_ok_and(|oldest| created_at > oldest)
    }
}

impl Default for Retention {
    fn default() -> Retention {
        Retention { retire_after: 2 * HOUR, abandon_after: 7 * 24 * HOUR }
    }
}
