//! What enters the dataflow: facts about jobs, and what a store remembers of them.

use contracts::event::{EventId, JobId, Kind};
use serde::{Deserialize, Serialize};

use crate::Tick;
use crate::lives::Sign;
use crate::name::Name;
use crate::summary::Summary;

/// One accepted event, reduced to what decides a job's row.
///
/// Error texts, payloads and metadata stay outside: they live in the archive and in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    pub job: JobId,
    pub event: EventId,
    /// `occurredAt`, µs since the epoch.
    pub at: i64,
    /// The job's `createdAt` as this event gives it, µs since the epoch. Of an inference about a job
    /// whose attempts are untold, when that occurred which it overrules.
    pub created_at: i64,
    /// The ledger's number of the delivery it came in.
    pub seq: u64,
    pub job_type: Name,
    pub queue: Name,
    pub worker: Name,
    /// [`contracts::event::UNTOLD`] where the attempt follows from all facts of the job.
    pub attempt: u16,
    pub kind: Kind,
    /// Concluded by us, not reported; ranks below every reported fact of its attempt.
    pub inferred: bool,
    /// The job is not to be begun later than so many ms after `at`, rounded up; 0 for any time, and
    /// where it is more than 49 days.
    pub expires_after: u32,
}

impl Fact {
    /// The fact that a decoded event states; `seq` is the ledger's number of its delivery.
    pub fn of(event: &contracts::Event<'_>, seq: u64) -> Fact {
        let job = &event.job;
        let name = |text: &Option<std::borrow::Cow<'_, str>>| {
            text.as_deref().map_or(Name::NONE, Name::new)
        };
        let expires = event.origin.as_ref().and_then(|origin| origin.expires);
        Fact {
            job: job.id,
            event: event.event_id,
            at: event.occurred_at.0,
            created_at: job.created_at.0,
            seq,
            job_type: Name::new(&job.job_type),
            queue: name(&job.queue),
            worker: name(&job.worker),
            attempt: job.attempt,
            kind: event.kind,
            inferred: false,
            expires_after: expires.map_or(0, |expires| {
                let after = (expires.0 - event.occurred_at.0).max(1);
                u32::try_from(after.unsigned_abs().div_ceil(MILLI as u64)).unwrap_or(0)
            }),
        }
    }

    /// When the job is no longer to be begun, µs since the epoch.
    pub fn expires(&self) -> Option<i64> {
        (self.expires_after > 0).then(|| self.at + i64::from(self.expires_after) * MILLI)
    }
}

/// µs.
const MILLI: i64 = 1_000;

/// The id of the inference that a job has come to `kind`, because nothing was heard of it after the
/// event `over`: who concludes the same again says the same.
pub fn inference_id(over: EventId, kind: Kind) -> EventId {
    EventId::new_v5(&over, kind.as_str().as_bytes())
}

/// A job as a store keeps it: one more fact about it when it is read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub job: JobId,
    pub summary: Summary,
    /// Tick of the last fact that changed the summary.
    pub tick: Tick,
    /// Tick at which it was given up; ended by any later fact.
    pub abandoned_at: Option<Tick>,
    /// Tick at which it left memory.
    pub retired_at: Option<Tick>,
}

/// A fact that was looked up, and what the store said of its job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub fact: Fact,
    pub record: Option<Record>,
    /// The first tick that was not durable when the store was asked.
    pub read_at: Tick,
}

/// What the job-state operator is fed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Input {
    Fact(Fact),
    /// Read back from a store at a restart.
    ///
    /// They come at a tick of their own, and what that tick seals is not written: it is what the
    /// store has.
    Stored(Box<Record>),
    /// A fact of a job that was not in memory, again.
    Answer(Box<Answer>),
    /// A worker of Celery was heard of.
    Sign(Sign),
}

impl Input {
    /// The job that this is about; none that there is, where it is about none.
    pub fn job(&self) -> JobId {
        match self {
            Input::Fact(fact) => fact.job,
            Input::Stored(record) => record.job,
            Input::Answer(answer) => answer.fact.job,
            Input::Sign(_) => JobId::nil(),
        }
    }
}
