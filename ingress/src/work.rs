//! Work for the reference worker: simulated jobs, and how each is to go.

use contracts::Micros;
use contracts::event::JobId;
use serde::Deserialize;
use uuid::Uuid;

/// A job to execute.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    pub job: JobId,
    pub job_type: String,
    pub queue: Option<String>,
    pub created_at: Micros,
    pub correlation_id: Uuid,
    /// The attempt to make, from 1.
    pub attempt: u16,
    pub simulate: Simulate,
}

/// `payload.simulate`: overrides of how a simulated job goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Simulate {
    /// How long it runs; 50 to 500 ms by default.
    pub delay_ms: Option<u64>,
    /// Every attempt fails.
    pub fail: bool,
    /// So many attempts fail, and the next succeeds.
    pub fail_times: u16,
    /// It begins and never ends.
    pub hang: bool,
}
