//! A job's row: what the views see of its summary, and how a row changes.

use contracts::event::{JobId, State};
use differential_dataflow::{AsCollection, Data, VecCollection};
use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::operators::vec::Map;

use crate::name::Name;
use crate::summary::{Summary, UNKNOWN};
use crate::{Diff, Tick};

/// One job as the views see it; a function of its summary and of whether it was given up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Row {
    pub job: JobId,
    pub state: State,
    /// The deciding fact was concluded by us.
    pub inferred: bool,
    /// Out of memory: counted in the totals, no longer in the cube.
    pub retired: bool,
    pub job_type: Name,
    pub queue: Name,
    pub worker: Name,
    /// µs since the epoch, as all times here.
    pub created: i64,
    /// First start, or [`UNKNOWN`].
    pub started: i64,
    /// Start of the winning attempt, or [`UNKNOWN`].
    pub run_started: i64,
    /// Time of the winning terminal fact, or [`UNKNOWN`].
    pub finished: i64,
    /// Time of the fact that decides the state.
    pub decided: i64,
}

impl Row {
    /// The row of a job in memory.
    pub fn of(job: JobId, summary: &Summary, abandoned: bool) -> Row {
        Row {
            job,
            state: if abandoned { State::Abandoned } else { summary.state() },
            inferred: abandoned || summary.top.inferred(),
            retired: false,
            job_type: summary.job_type(),
            queue: summary.queue(),
            worker: summary.worker(),
            created: summary.created(),
            started: summary.started,
            run_started: summary.run_started,
            finished: summary.finished(),
            decided: summary.top.at,
        }
    }

    /// Created to first start, in µs; negative when clocks disagree.
    pub fn wait(&self) -> Option<i64> {
        between(self.created, self.started)
    }

    /// Start of the winning attempt to finish, in µs.
    pub fn run(&self) -> Option<i64> {
        between(self.run_started, self.finished)
    }

    /// Created to finish, in µs.
    pub fn total(&self) -> Option<i64> {
        between(self.created, self.finished)
    }

    /// Whether a latency is negative: the producers' clocks disagree.
    pub fn skewed(&self) -> bool {
        [self.wait(), self.run(), self.total()].into_iter().flatten().any(|micros| micros < 0)
    }
}

fn between(start: i64, end: i64) -> Option<i64> {
    (start != UNKNOWN && end != UNKNOWN).then(|| end - start)
}

/// What happened to one job at one tick. At least one side is present, and they differ.
///
/// A job has one row and it never goes away, but for one case: a record read back may find that a
/// young fact has already made the job anew. Then the row that the store had counted leaves by a
/// change of its own, with no new side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub old: Option<Row>,
    pub new: Option<Row>,
}

impl Change {
    /// The job that changed.
    pub fn job(&self) -> JobId {
        // At least one side is present.
        self.new.as_ref().or(self.old.as_ref()).map_or(JobId::nil(), |row| row.job)
    }
}

/// The stream of changes: at most one with a new side for a job and a tick, a job's in order.
///
/// Keeping the two sides together lets each view see at once that a change does not concern it.
pub type Changes<'s> = StreamVec<'s, Tick, (Change, Tick)>;

/// The collection of `record(row)` over all rows; named, so that diagnostics read like the source.
pub fn project<'s, D: Data>(
    changes: Changes<'s>,
    record: impl Fn(&Row) -> Option<D> + 'static,
) -> VecCollection<'s, Tick, D, Diff> {
    changes
        .flat_map(move |(change, tick)| {
            let old = change.old.as_ref().and_then(&record);
            let new = change.new.as_ref().and_then(&record);
            let moved = old != new;
            let retraction = old.filter(|_| moved).map(|record| (record, tick, -1));
            let addition = new.filter(|_| moved).map(|record| (record, tick, 1));
            retraction.into_iter().chain(addition)
        })
        .as_collection()
}
