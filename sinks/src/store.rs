//! What the pipeline and the readers need of a store, whichever it is.
//!
//! ```text
//!   start ──recover──▶ dataflow ──Commit──▶ Store ──durable──▶ settle, show
//!                         └──lookup──▶ Store           Reader ──▶ lists, jobs
//! ```
//!
//! # Invariants
//!
//! 1. Every write begins by moving the frontier of its generation; if another writer has taken a
//!    newer one, nothing is written ([`Error::Fenced`]).
//! 2. A commit is wholly, or not at all; when it has returned, what it wrote survives a crash.
//!
//! The calls block: a store is driven from a thread of its own, readers from blocking threads.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use contracts::notes::{Note, ReceivedAlert};
use contracts::snapshot::AlertRow;
use contracts::workers::KnownWorker;
use contracts::{EventId, JobId, JobView, Micros, Reason};
use pipeline::Tick;
use pipeline::dataflow::Kept;
use pipeline::fact::{Input, Record};
use pipeline::reading::jobs_behind;
use pipeline::summary::DecodeError;
use pipeline::views::minutes::MinuteStats;
use uuid::Uuid;

use crate::commit::Commit;
use crate::query::Query;

/// The writing end; there is one for all stores together.
pub trait Store: Send {
    /// What a restart begins with; the jobs themselves come from [`Store::recover_jobs`].
    fn recover(&mut self) -> Result<Recovery, Error>;

    /// Hands over the jobs that were in memory, some at a time; says how many.
    fn recover_jobs(&mut self, take: &mut dyn FnMut(Vec<Input>)) -> Result<u64, Error>;

    /// Makes `commit` durable.
    fn commit(&mut self, commit: &Commit) -> Result<Archived, Error>;

    /// What the store has of some jobs, retired or not, in their order.
    fn lookup(&mut self, jobs: &[JobId]) -> Result<Vec<Option<Record>>, Error>;

    /// Does some of what can wait; called about once a second.
    fn tend(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// How the servers behind it are doing, if there are any.
    fn sinks(&self) -> Vec<Sink> {
        Vec::new()
    }
}

/// How a server behind a store is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sink {
    pub name: &'static str,
    /// It did not answer when it was last asked.
    pub away: bool,
    /// How long its part of the last commit took; none if it had none.
    pub took: Option<Duration>,
}

/// A reading end.
pub trait Reader: Send {
    /// The newest jobs that match.
    fn jobs(&mut self, query: &Query) -> Result<Listed, Error>;

    /// A job, retired or not, with its events.
    fn job(&mut self, job: JobId) -> Result<Option<Told>, Error>;

    /// The body of the event that was archived first under this id.
    fn event(&mut self, event: EventId) -> Result<Option<Vec<u8>>, Error>;

    /// When the newest event occurred, and how many late ones there are.
    fn archive_stats(&mut self) -> Result<(Option<Micros>, u64), Error>;

    /// Refused submissions by reason.
    fn rejections(&mut self) -> Result<Vec<(Reason, u64)>, Error>;

    /// What happened, minutes gathered into steps.
    fn history(&mut self, span: &Span) -> Result<Happened, Error>;

    /// What is known of workers, in the order of their names.
    fn workers(&mut self) -> Result<Vec<KnownWorker>, Error>;

    /// The alerts that were resolved last, newest first.
    fn resolved(&mut self, limit: usize) -> Result<(Tick, Vec<AlertRow>), Error>;

    /// The rules that are kept.
    fn rules(&mut self) -> Result<(Tick, Option<KeptRules>), Error>;

    /// The rules that were given, newest first.
    fn rules_history(&mut self, limit: usize) -> Result<Vec<KeptRules>, Error>;

    /// Puts rules in force, unless they are those already. This and what follows is written here,
    /// as it is people who write it, wherever they are answered.
    fn apply_rules(&mut self, rules: &KeptRules) -> Result<(), Error>;

    /// Notes, newest first.
    fn notes(&mut self, which: WhichNotes) -> Result<Vec<Note>, Error>;

    fn add_note(&mut self, note: &Note) -> Result<(), Error>;

    /// Ends a note at `at`; false if there is none that could be ended.
    fn end_note(&mut self, id: Uuid, at: Micros, by: &str) -> Result<bool, Error>;

    /// Hands over the archived events that occurred from `from` up to `to`, in no order; stops with
    /// false when there are more than `limit`.
    fn archived(
        &mut self,
        from: Micros,
        to: Micros,
        limit: usize,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, Error>;

    /// Alerts of others, the last that we were told of first.
    fn received(&mut self, limit: usize) -> Result<Vec<ReceivedAlert>, Error>;

    /// Keeps alerts of others in the place of what was known of them, and forgets those that nobody
    /// has told us of since `forget`, and of more than [`MOST_RECEIVED`] the oldest.
    fn receive(&mut self, alerts: &[ReceivedAlert], forget: Micros) -> Result<(), Error>;

    /// What somebody who is told of each episode once has been told of those that began last.
    fn notified(&mut self, limit: usize) -> Result<Vec<(Episode, Notified)>, Error>;

    /// Keeps that he has been told.
    fn notify(&mut self, told: &[(Episode, Notified)]) -> Result<(), Error>;
}

/// Alerts of others that are kept.
pub const MOST_RECEIVED: usize = 1_000;

/// Which notes are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichNotes {
    /// Those that are not over at `now`; of acknowledgements, those made since `since`: one is never
    /// older than its episode.
    Standing { now: Micros, since: Micros },
    /// So many.
    Newest(usize),
}

/// What tells an episode of an alert apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Episode {
    pub alert: String,
    pub labels: BTreeMap<String, String>,
    pub active_at: Micros,
}

impl Episode {
    pub fn of(row: &AlertRow) -> Episode {
        let AlertRow { alert, labels, active_at, .. } = row;
        Episode { alert: alert.clone(), labels: labels.clone(), active_at: *active_at }
    }

    /// Its labels as the stores have them.
    pub(crate) fn labels(&self) -> String {
        serde_json::to_string(&self.labels).unwrap_or_default()
    }
}

/// The last that somebody was told of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notified {
    Firing,
    Resolved,
}

impl Notified {
    pub fn as_str(self) -> &'static str {
        match self {
            Notified::Firing => "firing",
            Notified::Resolved => "resolved",
        }
    }

    pub(crate) fn of(text: &str) -> Notified {
        if text == Notified::Firing.as_str() { Notified::Firing } else { Notified::Resolved }
    }
}

/// What a restart begins with.
#[derive(Debug)]
pub struct Recovery {
    /// Number of times the store has been taken for writing.
    pub generation: i64,
    /// Everything before is durable.
    pub frontier: Tick,
    /// The retired share of totals and latencies, and the alerts.
    pub kept: Vec<Kept>,
    /// Jobs in memory when the store was last written.
    pub jobs: u64,
    /// `createdAt` of the youngest job that has been retired, µs since the epoch.
    pub youngest_retired: Option<i64>,
    /// Rules in force, as YAML.
    pub rules: Option<String>,
}

/// What a commit found out about the events in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    pub new: u64,
    /// The same bytes under the same id.
    pub repeated: u64,
    /// Other bytes under an id that was there.
    pub conflicting: u64,
}

/// Jobs in the order of their creation, newest first, as of `frontier`.
#[derive(Debug)]
pub struct Listed {
    /// The first tick that was not durable when the list was read.
    pub frontier: Tick,
    /// Jobs that match, on all pages; of the same transaction.
    pub total: u64,
    pub jobs: Vec<JobView>,
    /// There are more behind them.
    pub more: bool,
}

/// A job, as of `frontier`, and what its events said.
#[derive(Debug)]
pub struct Told {
    /// The first tick that was not durable when the job was read.
    pub frontier: Tick,
    /// Without what only its events say.
    pub view: JobView,
    /// Its events, in the order of arrival.
    pub events: Vec<ArchivedEvent>,
    /// The archive does not answer: events may be missing.
    pub incomplete: bool,
}

/// An archived event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedEvent {
    /// The event's id, or `id:hash` for a further content under it.
    pub key: String,
    pub tick: Tick,
    /// Too old for the views.
    pub late: bool,
    /// The bytes as received.
    pub body: Vec<u8>,
}

/// A part of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// A multiple of `step`.
    pub from: Micros,
    /// Not in it; a multiple of `step`.
    pub to: Micros,
    /// Minutes, in µs.
    pub step: i64,
    /// Of this type only.
    pub job_type: Option<String>,
    /// Types apart, not together.
    pub by_type: bool,
}

/// What happened in a span, as of `frontier`.
#[derive(Debug)]
pub struct Happened {
    /// The first tick that was not durable when it was read.
    pub frontier: Tick,
    /// In the order of type and time; steps in which nothing happened may be absent.
    pub steps: Vec<StepStats>,
}

/// What happened in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepStats {
    /// None for all types together.
    pub job_type: Option<String>,
    /// Where the step begins.
    pub at: Micros,
    pub stats: MinuteStats,
}

/// Rules that were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRules {
    pub applied_at: Micros,
    /// Who gave them: the name of a token, an address, or a file.
    pub applied_by: String,
    pub yaml: String,
}

/// An alert of the history, with how to ask for the jobs that it was about.
pub(crate) fn with_jobs(row: AlertRow) -> AlertRow {
    let since = row.fired_at.unwrap_or(row.active_at);
    AlertRow { jobs: jobs_behind(&row.expr, &row.labels, since), ..row }
}

/// Why a store could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another pipeline writes to the same store. This one must stop at once.
    #[error("another observatory has taken over the store (generation {theirs}, ours is {ours})")]
    Fenced { ours: i64, theirs: i64 },
    /// The store was written by a newer program, or by something else.
    #[error(
        "cannot use {} as a store: {source}; move it away, or name another folder with --data-dir",
        path.display()
    )]
    Migration { path: PathBuf, source: Box<refinery::Error> },
    #[error("the store has a damaged summary of job {job}: {source}")]
    Summary { job: JobId, source: DecodeError },
    #[error("the store has a value that it should not have: {0}")]
    Value(String),
    /// The disk refused; it may not the next time.
    #[error("the store failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// Not a database, or not ours to open.
    #[error(
        "cannot open the store {}: {source}; move it away, or name another folder with --data-dir",
        path.display()
    )]
    Open { path: PathBuf, source: rusqlite::Error },
    /// A server does not answer, or asks us to come back. It may be the next time.
    #[error("{server} is not to be had: {source}; see that it runs, and that it can be reached")]
    Away { server: String, source: Failure },
    /// A server does not let us in.
    #[error("{server} does not let us in: {source}; check the user, the password and the database")]
    Shut { server: String, source: Failure },
    /// A server understood and refused. It would again.
    #[error(
        "{server} refused what it was sent: {source}; this is a fault of ours, please report it"
    )]
    Refused { server: String, source: Failure },
    /// The address of a server is none.
    #[error("the address of {server} {fault}; it is to be like {form}")]
    Address { server: &'static str, fault: String, form: &'static str },
    /// The tables of a server were made by a newer program.
    #[error(
        "{server} was set up by a newer program: its tables are of version {theirs}, and this \
         program knows them up to {ours}; upgrade this program"
    )]
    Newer { server: String, theirs: i32, ours: i32 },
    /// The tables of a server were made by something else.
    #[error("cannot set up tables in {server}: {source}; give us a database of our own")]
    Tables { server: String, source: Failure },
    #[error("the archive: {0}")]
    Archive(#[from] crate::mongo::Error),
    /// The store has gone back behind what it had confirmed, or was written by somebody else.
    #[error(
        "the store is at tick {found}, but we left it at {left}: it has been restored from a copy, \
         or a server that was behind has taken its place; restart, to go on from what it has"
    )]
    Moved { left: Tick, found: Tick },
}

/// What a client library says.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Error {
    /// Whether the same call may succeed later: whoever must not lose anything waits and repeats.
    pub fn passes(&self) -> bool {
        match self {
            Error::Sqlite(_) | Error::Away { .. } => true,
            Error::Archive(error) => error.passes(),
            _ => false,
        }
    }
}
