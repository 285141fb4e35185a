//! The envelope of a job event and the job inside it.
//!
//! ```text
//!   Event<'a>   what decode gives: borrows from the delivery, keeps the bytes as received
//!   Envelope    what we produce: owned, serde, the source of the generated schemas
//! ```
//!
//! The two differ in purpose. [`Event`] is the strict reading of foreign bytes and the only way in;
//! [`Envelope`] writes our own events, and reads back what it wrote.

mod envelope;

use std::borrow::Cow;

use uuid::Uuid;

use crate::time::Micros;
use crate::wire::wire_names;
pub use envelope::{Envelope, ErrorInfo, JobObject, ProducerInfo};

/// A job's identity, the same in every event about it.
pub type JobId = Uuid;
/// An event's identity, given by its producer.
pub type EventId = Uuid;
/// A JSON object that we carry and do not read.
pub type Object = serde_json::Map<String, serde_json::Value>;

/// The contract version that our own producers write.
pub const CONTRACT_VERSION: &str = "1.1.0";
/// Bytes of UTF-8 in a `type`, `queue` or `worker`. They become labels, keys and index entries.
pub const MAX_NAME_BYTES: usize = 200;

/// The attempt of an event of Celery, which does not tell it: 1 + the retries of the job before it.
pub const UNTOLD: u16 = 0;

/// What an event says happened, in the order in which it may decide a job's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    Created,
    Validated,
    Executed,
    Retried,
    Completed,
    Failed,
    Cancelled,
}

wire_names!(Kind, "event type", {
    Created => "job.created",
    Validated => "job.validated",
    Executed => "job.executed",
    Retried => "job.retried",
    Completed => "job.completed",
    Failed => "job.failed",
    Cancelled => "job.cancelled",
});

impl Kind {
    /// Precedence within one attempt; the three terminal kinds share the highest.
    pub fn rank(self) -> u8 {
        (self as u8).min(Kind::Completed as u8)
    }

    /// Whether the attempt ends with it, and the job too unless a higher attempt follows.
    pub fn terminal(self) -> bool {
        self >= Kind::Completed
    }

    /// The state of a job that this kind decides.
    pub fn state(self) -> State {
        match self {
            Kind::Created => State::Pending,
            Kind::Validated => State::Validated,
            Kind::Executed => State::Executing,
            Kind::Retried => State::Retrying,
            Kind::Completed => State::Completed,
            Kind::Failed => State::Failed,
            Kind::Cancelled => State::Cancelled,
        }
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum State {
    Pending,
    Validated,
    Executing,
    Retrying,
    Completed,
    Failed,
    Cancelled,
    /// Nobody has told how it ended: nothing was heard of it for longer than `abandon_after`, or its
    /// worker says that it has nothing to do. Any later fact ends this.
    Abandoned,
}

wire_names!(State, "job state", {
    Pending => "PENDING",
    Validated => "VALIDATED",
    Executing => "EXECUTING",
    Retrying => "RETRYING",
    Completed => "COMPLETED",
    Failed => "FAILED",
    Cancelled => "CANCELLED",
    Abandoned => "ABANDONED",
});

impl State {
    /// The state of a job that nobody has told the end of.
    pub const ABANDONED: State = State::Abandoned;

    /// Whether a job in it has finished. An abandoned job has not: nobody saw its end.
    pub fn terminal(self) -> bool {
        matches!(self, State::Completed | State::Failed | State::Cancelled)
    }
}

/// One event as it was received, checked and borrowed.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    pub contract_version: Cow<'a, str>,
    pub kind: Kind,
    pub event_id: EventId,
    pub occurred_at: Micros,
    pub producer: Producer<'a>,
    pub correlation_id: Uuid,
    pub idempotency_key: Cow<'a, str>,
    pub job: Job<'a>,
    /// What it was before it became an event of this contract, if it was something else.
    pub origin: Option<Origin<'a>>,
    /// The bytes as received, unknown fields and white space included.
    pub body: &'a [u8],
}

/// Who sent an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Producer<'a> {
    pub service: Cow<'a, str>,
    pub instance_id: Cow<'a, str>,
    pub version: Cow<'a, str>,
}

/// An event of another vocabulary, of which this one was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin<'a> {
    pub format: Format,
    /// When the job is no longer to be begun.
    pub expires: Option<Micros>,
    /// The raw JSON object that was received, as far as it is kept.
    pub event: Option<&'a str>,
}

/// Vocabularies that do not say what an event of this contract must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Celery's task events: they do not tell the attempt, and only some tell type and queue.
    Celery,
}

/// The job as one event describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Job<'a> {
    pub id: JobId,
    /// Empty only where the event is of Celery, and does not tell it.
    pub job_type: Cow<'a, str>,
    /// What the producer believed; decides nothing.
    pub status: Cow<'a, str>,
    pub created_at: Micros,
    pub queue: Option<Cow<'a, str>>,
    pub worker: Option<Cow<'a, str>>,
    /// From 1; [`UNTOLD`] where all events of the job together tell it.
    pub attempt: u16,
    pub error: Option<Fault<'a>>,
    /// The raw JSON object.
    pub payload: Option<&'a str>,
    /// The raw JSON object.
    pub metadata: Option<&'a str>,
}

/// Why an attempt failed, as its producer says.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault<'a> {
    pub kind: Cow<'a, str>,
    pub message: Cow<'a, str>,
    /// The raw JSON object, with whatever else the producer put there.
    pub raw: &'a str,
}

#[cfg(test)]
mod tests {
    use super::{Kind, State};

    #[test]
    fn every_name_is_read_back_as_what_it_names() {
        for kind in Kind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert_eq!(serde_json::from_value::<State>(state.as_str().into()).unwrap(), state);
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_that_says_what_was_looked_for() {
        let unknown = "job.exploded".parse::<Kind>().unwrap_err();
        assert_eq!(unknown.to_string(), "not a known event type");
        assert!("pending".parse::<State>().is_err());
    }

    #[test]
    fn a_terminal_kind_gives_a_terminal_state() {
        for kind in Kind::ALL {
            assert_eq!(kind.terminal(), kind.state().terminal(), "{kind}");
            assert_eq!(kind.terminal(), kind.rank() == 4, "{kind}");
        }
        assert!(!State::ABANDONED.terminal());
    }
}
