//! What the processes of a cluster tell the one that writes, beside facts.
//!
//! Only one process writes to the store, and of an event that another has taken in it knows the
//! fact alone. What the store keeps beyond that goes with the tick of the event, and means nothing
//! to the dataflow.

use contracts::Reason;
use contracts::workers::KnownWorker;
use serde::{Deserialize, Serialize};

use crate::fact::Fact;

/// Something for the store that comes from another process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Aside {
    /// An event with texts, or one too old for the views.
    Event(Box<Heard>),
    /// When the newest event of a tick occurred, µs since the epoch.
    Newest(i64),
    /// What a worker has said of itself.
    Worker(Box<KnownWorker>),
    /// So many submissions or deliveries were refused.
    Rejected(Reason, u64),
}

/// An event that another process has taken in, and archives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    pub fact: Fact,
    /// The bytes as received.
    pub body: Vec<u8>,
    /// `payload.error` and `payload.metadata` as JSON.
    pub error: Option<String>,
    pub metadata: Option<String>,
    /// Too old for the views.
    pub late: bool,
}
