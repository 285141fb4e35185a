//! The envelope of a job event and the job inside it, as producers send them.

/// A job's identity, the same in every event about it.
pub type JobId = uuid::Uuid;
/// An event's identity, given by its producer.
pub type EventId = uuid::Uuid;

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

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Kind; 7] = [
        Kind::Created,
        Kind::Validated,
        Kind::Executed,
        Kind::Retried,
        Kind::Completed,
        Kind::Failed,
        Kind::Cancelled,
    ];

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
    /// Nothing was heard of it for longer than `abandon_after`; any later fact ends this.
    Abandoned,
}
