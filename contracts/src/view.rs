//! The shapes that the API and the files of `replay --jobs` have.
//!
//! A key that is always there is null when nothing is known; a key that only some answers have is
//! left out. Readers accept both.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::decode::{Reason, Rejection};
use crate::event::{ErrorInfo, EventId, JobId, Kind, Object, State};
use crate::time::Micros;
use crate::wire::wire_names;

/// A job, as its facts so far describe it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    pub id: JobId,
    #[serde(rename = "type")]
    pub job_type: String,
    /// The same as `state`, under the name that readers of 1.0.0 know.
    pub status: State,
    pub state: State,
    /// The state was concluded from silence or from a lost worker, not reported.
    pub inferred: bool,
    pub created_at: Micros,
    pub validated_at: Option<Micros>,
    pub started_at: Option<Micros>,
    pub finished_at: Option<Micros>,
    pub queue: Option<String>,
    pub worker: Option<String>,
    pub attempt: u16,
    /// Seconds that the last attempt ran; only of tasks of Celery that have ended, told by
    /// themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<f64>,
    pub error: Option<ErrorInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Object>,
    pub metadata: Option<Object>,
    /// It is in the totals and no longer in the live counts.
    pub retired: bool,
    #[serde(default)]
    pub attempts: Vec<AttemptView>,
    #[serde(default)]
    pub timeline: Vec<TimelineEntry>,
    /// Why it is in its state; only where a job is told by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// The archive does not answer: attempts and timeline may lack events.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

/// The event that decides a job's state, and what it prevailed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    pub decided_by: DecidedBy,
    #[serde(flatten)]
    pub event: EventRef,
    /// The strongest of the others; null if there is none.
    pub beat: Option<EventRef>,
}

/// An event, by what it claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventRef {
    pub event_id: EventId,
    pub event_type: Kind,
    pub attempt: u16,
    pub occurred_at: Micros,
}

/// What decides between two events of a job: the first of these in which they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecidedBy {
    /// There is only one.
    Alone,
    /// The higher attempt.
    Attempt,
    /// The later kind in a job's life.
    Kind,
    /// The later `occurredAt`.
    Time,
    /// The greater event id, which decides nothing but a tie.
    Id,
    /// The greater content, of two under one event id.
    Content,
    /// Nothing was heard after it, and the state is concluded from that.
    Silence,
}

wire_names!(DecidedBy, "reason of a decision", {
    Alone => "alone",
    Attempt => "attempt",
    Kind => "eventType",
    Time => "occurredAt",
    Id => "eventId",
    Content => "content",
    Silence => "silence",
});

/// One attempt at a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptView {
    pub attempt: u16,
    pub state: State,
    pub worker: Option<String>,
    pub started_at: Option<Micros>,
    pub finished_at: Option<Micros>,
    pub error: Option<ErrorInfo>,
}

/// One event in the life of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    pub event_type: Kind,
    pub occurred_at: Micros,
    pub attempt: u16,
    pub worker: Option<String>,
    pub event_id: EventId,
    pub error: Option<ErrorInfo>,
}

/// A page of a list. `total` and `items` were read in one transaction at `asOf`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    pub as_of: Option<Micros>,
    /// Items that the query matches, on all pages.
    pub total: u64,
    pub items: Vec<T>,
    /// Opaque; null on the last page.
    pub next_cursor: Option<String>,
}

/// A submission that the broker has confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobAccepted {
    pub job_id: JobId,
    pub event_id: EventId,
}

/// What became of each element of a submitted array.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchAccepted {
    pub accepted: Vec<JobAccepted>,
    pub rejected: Vec<RejectedElement>,
}

/// An element of a submitted array that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectedElement {
    /// Its place in the array, from 0.
    pub index: usize,
    pub reason: Reason,
    /// A JSON pointer into the element; empty for the element itself.
    pub pointer: String,
    pub detail: String,
}

impl RejectedElement {
    /// Names the element that was rejected.
    pub fn new(index: usize, rejection: Rejection) -> RejectedElement {
        let Rejection { reason, pointer, detail } = rejection;
        RejectedElement { index, reason, pointer, detail }
    }
}

/// All-time counters, as `/stats` always gave them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    pub total_jobs: u64,
    pub completed_jobs: u64,
    pub failed_jobs: u64,
    /// The latest `occurredAt`; empty before the first event, as readers of 1.0.0 expect a string.
    #[serde(serialize_with = "time_or_empty", deserialize_with = "empty_or_time")]
    #[schemars(schema_with = "time_or_empty_schema")]
    pub last_event_time: Option<Micros>,
}

fn time_or_empty<S: Serializer>(at: &Option<Micros>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => at.serialize(serializer),
        None => serializer.serialize_str(""),
    }
}

fn empty_or_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Micros>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    Micros::parse(&text).map(Some).map_err(serde::de::Error::custom)
}

fn time_or_empty_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "anyOf": [{ "type": "string", "format": "date-time" }, { "type": "string", "const": "" }]
    })
}

/// A row of `/jobs/recent`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecentJob {
    pub id: JobId,
    #[serde(rename = "type")]
    pub job_type: String,
    pub status: State,
    pub created_at: Micros,
}

/// An error answer (RFC 9457, `application/problem+json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    pub problem_type: String,
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    pub detail: String,
    /// Stable; what programs decide by.
    pub code: String,
    /// What the problem is about: a path or an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The faults in what was sent, each with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemError>,
}

/// One fault in what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemError {
    /// A JSON pointer into the request body.
    pub pointer: String,
    pub detail: String,
    /// The query parameter at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// Where in the parameter's value, in characters from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
}

/// The answer of `/health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `ok`, or `degraded` while something is away that others read from.
    pub status: String,
    /// What is away: `views` (the pipeline, or Redis), `store` (PostgreSQL), `archive` (MongoDB).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub away: Vec<String>,
    pub version: String,
}
