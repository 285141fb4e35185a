//! What the API answers beside snapshots, lists and jobs: views filtered, the history, dead letters,
//! rules, and a job's events as they came.
//!
//! Each says at which moment it was so.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode::Reason;
use crate::event::{EventId, JobId, Object};
use crate::snapshot::{AlertRow, LatencyRow, ThroughputRow};
use crate::time::Micros;

/// Sums over the cube.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    pub as_of: Option<Micros>,
    /// Jobs that the filter matches: the sum over `counts`.
    pub jobs: u64,
    pub counts: Vec<CountBy>,
}

/// The attributes that were asked for, and the jobs that share them. An absent attribute is `""`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CountBy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub job_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    pub jobs: u64,
}

/// Latencies of the snapshot, those that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Latencies {
    pub as_of: Option<Micros>,
    pub latency: Vec<LatencyRow>,
}

/// Throughput of the snapshot, that which was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Throughputs {
    pub as_of: Option<Micros>,
    pub throughput: Vec<ThroughputRow>,
}

/// Alerts: those that are pending or fire, or those that were resolved, newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alerts {
    pub as_of: Option<Micros>,
    pub alerts: Vec<AlertRow>,
}

/// What happened from `from` up to `to`, in steps that begin at multiples of `step` since the epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct History {
    pub as_of: Option<Micros>,
    pub from: Micros,
    pub to: Micros,
    /// Seconds.
    pub step: u64,
    /// The one over all types comes first; the others, if asked for, by how much happened.
    pub series: Vec<Series>,
    /// Types that have no series here, as there are too many.
    pub other_types: u64,
}

/// The steps of one job type, without a gap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Series {
    /// Null over all types.
    #[serde(rename = "type")]
    pub job_type: Option<String>,
    pub points: Vec<Point>,
}

/// What happened in one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// Where the step begins.
    pub at: Micros,
    pub created: u64,
    pub finished: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// Jobs that finished with a known wait, and its mean in seconds; likewise for the run.
    pub waits: u64,
    pub wait_mean: Option<f64>,
    pub runs: u64,
    pub run_mean: Option<f64>,
}

/// What was not accepted, by reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetters {
    pub as_of: Option<Micros>,
    /// The sum over `reasons`.
    pub total: u64,
    pub reasons: Vec<DeadLettersOf>,
}

/// Dead letters of one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLettersOf {
    pub reason: Reason,
    pub letters: u64,
}

/// Dead letters that wait in their queue, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Letters {
    /// How many wait there; null without a broker, where what is refused stays with its sender.
    pub in_queue: Option<u64>,
    pub letters: Vec<LetterView>,
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LetterView {
    pub reason: String,
    /// What was wrong, and where.
    pub detail: String,
    /// Where it came from.
    pub exchange: String,
    pub routing_key: String,
    pub bytes: usize,
    /// Its first bytes; what is not ASCII is escaped.
    pub start: String,
}

/// When rules would have fired over what has happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RulesTest {
    pub from: Micros,
    pub to: Micros,
    /// Events that the rules were tried on, with those of the hour before.
    pub events: usize,
    /// Of the rules that were sent.
    pub episodes: Vec<EpisodeView>,
    /// Of those in force.
    pub in_force: Vec<EpisodeView>,
}

/// The rules that are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rules {
    pub as_of: Option<Micros>,
    /// Since when they are in force; null for those that the program brings along.
    pub applied_at: Option<Micros>,
    pub rules: Vec<RuleView>,
    /// The file, as it was given.
    pub yaml: String,
}

/// An alert of a back-test, from when it was pending or fired until it was gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EpisodeView {
    pub alert: String,
    pub labels: BTreeMap<String, String>,
    pub active_at: Micros,
    /// When it began to fire; null if it never did.
    pub fired_at: Option<Micros>,
    /// When it was gone; null if it was there at the end.
    pub ended_at: Option<Micros>,
    /// When it began to fire, or the last.
    pub value: f64,
    pub annotations: BTreeMap<String, String>,
    /// The jobs behind it when it began to fire; null if it is about something else, or if there are
    /// too many episodes to look.
    pub jobs: Option<EpisodeJobs>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EpisodeJobs {
    pub n: usize,
    /// Up to ten of them.
    pub ids: Vec<JobId>,
}

/// The rules that were given, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RulesHistory {
    pub items: Vec<RulesVersion>,
}

/// A rules file that was given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RulesVersion {
    pub applied_at: Micros,
    /// The name of a token, an address, or a file.
    pub applied_by: String,
    /// The file, as it was given.
    pub yaml: String,
}

/// An alert rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleView {
    pub alert: String,
    pub expr: String,
    /// Seconds that the condition must hold before the alert fires.
    #[serde(rename = "for")]
    pub hold: f64,
    /// Seconds that it keeps firing after the condition has ceased.
    pub keep_firing_for: f64,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// The events of a job in the order of arrival.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobEvents {
    pub as_of: Option<Micros>,
    pub total: u64,
    pub items: Vec<ArchivedEvent>,
    /// The archive does not answer: there may be more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

/// An event as it was received.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArchivedEvent {
    pub event_id: EventId,
    /// The tick at which it was accepted.
    pub accepted_at: Micros,
    /// It came later than rows are kept for, and is outside all views.
    pub late: bool,
    /// Byte for byte, so that numbers keep their digits.
    #[schemars(with = "Object")]
    pub event: Box<serde_json::value::RawValue>,
}

/// The dataflow, as it works.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dataflow {
    pub as_of: Option<Micros>,
    /// From `asOf`, the last durable tick, to now.
    pub lag_seconds: f64,
    pub workers: u64,
    pub operators: Vec<OperatorView>,
    pub edges: Vec<EdgeView>,
}

/// An operator, on all workers together. One with others in it is a scope.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperatorView {
    /// Its address: the indices of the scopes that it is in, and its own.
    pub id: String,
    /// The id of the scope that it is in; null for the dataflow itself.
    pub scope: Option<String>,
    pub name: String,
    /// Times that it was given a turn, and the seconds that this took, with all that is in it.
    pub activations: u64,
    pub busy_seconds: f64,
    /// Records that it holds in an index.
    pub records: u64,
    /// Records that wait for their time to be complete, and the bytes that they take.
    pub pending_records: u64,
    pub pending_bytes: u64,
}

/// A way from one operator to another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeView {
    /// An operator, or the scope that both are in, for what comes into it.
    pub from: String,
    pub from_port: u64,
    pub to: String,
    pub to_port: u64,
    pub messages: u64,
    /// Records that have gone this way.
    pub records: u64,
}
