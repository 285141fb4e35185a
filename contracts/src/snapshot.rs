//! The snapshot: every live view at one moment, and the deltas that keep a copy of it current.
//!
//! ```text
//!   Snapshot ──┐
//!   Delta ─────┴─▶ a client's copy: each row replaces the row with the same key,
//!                  a row of zero jobs or zero samples removes it
//! ```
//!
//! # Invariants
//!
//! 1. The sum of `jobs` over `counts` is the snapshot's `jobs`.
//! 2. Rows carry absolute values, so applying a delta twice changes nothing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode::Reason;
use crate::event::{JobId, State};
use crate::time::Micros;
use crate::wire::wire_names;

/// A latency that is measured of each finished job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Measure {
    /// From its creation to the start of its first attempt.
    Wait,
    /// From the start of the deciding attempt to its end.
    Run,
    /// From its creation to its end.
    Total,
}

wire_names!(Measure, "measure", { Wait => "wait", Run => "run", Total => "total" });

/// How far back a view looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Window {
    M1,
    M5,
    M15,
    H1,
    /// Everything that was ever seen.
    All,
}

wire_names!(Window, "window", { M1 => "1m", M5 => "5m", M15 => "15m", H1 => "1h", All => "all" });

/// Windows slide in steps of this part of their length.
const STEPS: i64 = 60;

impl Window {
    /// Its length in microseconds; none for [`Window::All`].
    pub fn length_micros(self) -> Option<i64> {
        let minutes = match self {
            Window::M1 => 1,
            Window::M5 => 5,
            Window::M15 => 15,
            Window::H1 => 60,
            Window::All => return None,
        };
        Some(minutes * 60_000_000)
    }

    /// The step in which it slides, in microseconds; none for [`Window::All`].
    pub fn step_micros(self) -> Option<i64> {
        self.length_micros().map(|length| length / STEPS)
    }

    /// What happened until then has left the window at `as_of`, both in µs since the epoch; none for
    /// [`Window::All`].
    pub fn edge(self, as_of: i64) -> Option<i64> {
        let (length, step) = (self.length_micros()?, self.step_micros()?);
        Some((as_of.div_euclid(step) * step).saturating_sub(length))
    }
}

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum AlertState {
    /// Its condition holds, not yet for long enough.
    Pending,
    Firing,
    Resolved,
}

wire_names!(AlertState, "alert state", {
    Pending => "pending",
    Firing => "firing",
    Resolved => "resolved",
});

/// Every live view at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The moment; null when nothing was ever accepted.
    pub as_of: Option<Micros>,
    /// Jobs that are not retired.
    pub jobs: u64,
    pub counts: Vec<CountRow>,
    pub latency: Vec<LatencyRow>,
    pub throughput: Vec<ThroughputRow>,
    pub alerts: Vec<AlertRow>,
    /// Retired jobs.
    pub totals: Vec<TotalRow>,
    /// Deliveries or lines that were not accepted, by reason.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub rejected: BTreeMap<Reason, u64>,
    /// Events older than the retention of rows.
    pub late: u64,
    /// Jobs with a latency that came out negative, and counts as zero.
    pub skewed: u64,
}

impl Snapshot {
    /// As it is told: without the latencies of single queues.
    pub fn over_queues(mut self) -> Snapshot {
        self.latency.retain(|row| row.queue.is_none());
        self
    }
}

/// What changed since the last snapshot or delta, as absolute values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delta {
    pub as_of: Option<Micros>,
    pub jobs: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<CountRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub latency: Vec<LatencyRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub throughput: Vec<ThroughputRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<AlertRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub totals: Vec<TotalRow>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, u64>")]
    pub rejected: BTreeMap<Reason, u64>,
    pub late: u64,
    pub skewed: u64,
    /// Jobs whose row changed, up to 200.
    #[serde(default)]
    pub changed_jobs: Vec<JobId>,
    /// More jobs changed than are listed: lists on the screen must be read again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

impl Delta {
    /// Ids in a delta. It bounds what one tick sends to every client; a list shows fewer rows.
    pub const MAX_CHANGED_JOBS: usize = 200;

    /// As it is told: without the latencies of single queues.
    pub fn over_queues(mut self) -> Delta {
        self.latency.retain(|row| row.queue.is_none());
        self
    }
}

/// A cell of the cube: the jobs that share these four. An absent attribute is `""`.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct CountRow {
    pub state: State,
    #[serde(rename = "type")]
    pub job_type: String,
    pub queue: String,
    pub worker: String,
    pub jobs: u64,
}

/// A latency distribution, in seconds. Quantiles and `max` are within 0.1 %, `samples` is exact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LatencyRow {
    pub measure: Measure,
    /// Null over all types.
    #[serde(rename = "type")]
    pub job_type: Option<String>,
    /// The jobs of this queue only; left out over all queues. Rows with it are asked for, and are
    /// neither in a snapshot nor in a delta of the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    pub window: Window,
    pub samples: u64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// What was created and what finished within a window.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct ThroughputRow {
    /// Null over all types.
    #[serde(rename = "type")]
    pub job_type: Option<String>,
    pub window: Window,
    pub created: u64,
    pub finished: u64,
    /// Those of the finished that failed.
    pub failed: u64,
}

/// A rule that holds for a subject, or did until lately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertRow {
    /// The rule's name.
    pub alert: String,
    pub state: AlertState,
    pub labels: BTreeMap<String, String>,
    /// Since when its condition holds.
    pub active_at: Micros,
    /// Since when it fires; null while pending.
    pub fired_at: Option<Micros>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Micros>,
    /// The measured value at the last evaluation.
    pub value: f64,
    /// The expression of its rule.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub expr: String,
    /// The texts of its rule, filled in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The parameters with which the list shows the jobs that it was about when it began to fire, or
    /// became pending, and those that came since; absent if it is about something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<String>,
}

/// Jobs that were retired.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct TotalRow {
    pub state: State,
    #[serde(rename = "type")]
    pub job_type: String,
    pub jobs: u64,
}

#[cfg(test)]
mod tests {
    use super::{Snapshot, Window};
    use crate::decode::Reason;

    #[test]
    fn a_window_slides_in_sixtieths() {
        let steps = Window::ALL.map(|window| window.step_micros());
        let second = 1_000_000;
        assert_eq!(
            steps,
            [Some(second), Some(5 * second), Some(15 * second), Some(60 * second), None]
        );
    }

    #[test]
    fn rejections_are_keyed_by_the_name_of_their_reason() {
        let snapshot = Snapshot { rejected: [(Reason::BadJson, 1)].into(), ..Snapshot::default() };
        let json = serde_json::to_value(&snapshot).unwrap();
        assert_eq!(json["rejected"], serde_json::json!({ "bad_json": 1 }));
        assert_eq!(json["asOf"], serde_json::Value::Null);
        assert_eq!(serde_json::from_value::<Snapshot>(json).unwrap(), snapshot);
    }
}
