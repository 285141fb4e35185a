//! What reaches the screen, and what it orders: the only ways between it and the other threads.

use contracts::answers::{Alerts, Dataflow, History, JobEvents, Rules};
use contracts::notes::{Notes, ReceivedAlerts};
use contracts::registry::UiRegistry;
use contracts::view::{JobAccepted, Page};
use contracts::workers::Workers;
use contracts::{JobId, JobView, Micros};
use crossterm::event::Event;
use uuid::Uuid;

use crate::hands::{Check, Task};
use crate::http::Trouble;
use crate::stream::News;

/// Something has happened.
#[derive(Debug)]
pub(crate) enum Msg {
    Input(Event),
    /// The terminal is gone.
    Hangup,
    Signal(i32),
    News(News),
    Got(Got),
    Hand(Hand),
}

/// Something is to be done, by another thread.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Order {
    Ask(Ask),
    /// Connect again, now.
    Wake,
    /// Go to another server.
    Move {
        url: String,
        token: Option<String>,
    },
    /// Run a program; what it says is told.
    Run(Task, Vec<String>),
    Stop(Task),
    Copy(String),
    Open(String),
    Suspend,
}

/// A question to the API.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    /// A page of the list: the turn of the list that asks, the number of the page, and its path.
    Jobs {
        turn: u64,
        page: usize,
        path: String,
    },
    Job(JobId),
    Resolved,
    Rules,
    /// Silences and acknowledgements that stand, and alerts of others.
    Notes,
    /// Somebody says something of alerts.
    Note {
        body: String,
    },
    /// And takes it back.
    EndNote(Uuid),
    Workers,
    Dataflow,
    History {
        from: Micros,
    },
    Registry,
    /// Whether the jobs of this server are made up.
    Demo,
    Submit {
        key: String,
        body: String,
    },
}

/// What the API answered.
#[derive(Debug)]
pub(crate) enum Got {
    Jobs {
        turn: u64,
        page: usize,
        found: Result<Page<JobView>, Trouble>,
    },
    Job {
        id: JobId,
        found: Result<Box<Told>, Trouble>,
    },
    Resolved(Result<Alerts, Trouble>),
    Rules(Result<Rules, Trouble>),
    Notes(Result<(Notes, ReceivedAlerts), Trouble>),
    /// It was said, or taken back.
    Noted(Result<(), Trouble>),
    Workers(Result<Workers, Trouble>),
    Dataflow {
        found: Result<Dataflow, Trouble>,
        at: Micros,
    },
    History(Result<History, Trouble>),
    Registry(Result<UiRegistry, Trouble>),
    Demo(bool),
    Submitted(Result<JobAccepted, Trouble>),
}

/// A job by itself.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) as_of: Option<Micros>,
    pub(crate) job: JobView,
    /// As it came, so that numbers keep their digits.
    pub(crate) payload: Option<String>,
    pub(crate) events: JobEvents,
}

/// What became of something that was run, opened or copied.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Hand {
    Line(Task, String),
    Ended(Task, Result<i32, String>),
    Checked(Result<Vec<Check>, String>),
    Said(String),
    /// It could not be opened here.
    Unopened {
        url: String,
        why: String,
    },
}
