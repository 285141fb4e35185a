//! A job's row: what the views see of its summary, and how a row changes.

use std::hash::Hash;
use std::ops::{AddAssign, Neg};
use std::rc::Rc;

use contracts::event::{JobId, State};
use differential_dataflow::{AsCollection, Data, VecCollection};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;
use timely::dataflow::{Stream, StreamVec};

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
/// Each list is of one tick, that of its message, and shared by the views, which read it. Keeping
/// the two sides of a change together lets each view see at once that it is not concerned.
pub type Changes<'s> = Stream<'s, Tick, Rc<Vec<Change>>>;

/// What rows add to a view, up to `N` keys each; [`project`] and [`tally`] give out the sum of it.
type Shares<K, R, const N: usize> = [Option<(K, R)>; N];

/// Calls `give` with each share by which `new` differs from `old`.
fn differences<K: PartialEq, R: PartialEq + Neg<Output = R>, const N: usize>(
    change: &Change,
    shares: impl Fn(&Row) -> Shares<K, R, N>,
    mut give: impl FnMut(K, R),
) {
    let of = |row: &Option<Row>| row.as_ref().map_or([const { None }; N], &shares);
    for (old, new) in of(&change.old).into_iter().zip(of(&change.new)) {
        if old == new {
            continue;
        }
        if let Some((key, share)) = old {
            give(key, -share);
        }
        if let Some((key, share)) = new {
            give(key, share);
        }
    }
}

/// The collection of `shares(row)` over all rows, as it comes: for keys that seldom repeat.
pub fn project<'s, K: Data, const N: usize>(
    changes: Changes<'s>,
    name: &str,
    shares: impl Fn(&Row) -> Shares<K, Diff, N> + 'static,
) -> VecCollection<'s, Tick, K, Diff> {
    let projected =
        changes.unary::<CapacityContainerBuilder<_>, _, _, _>(Pipeline, name, |_, _| {
            move |input, output| {
                input.for_each(|capability, changes| {
                    let tick = *capability.time();
                    let mut session = output.session(&capability);
                    for change in changes.iter() {
                        differences(change, &shares, |key, diff| session.give((key, tick, diff)));
                    }
                });
            }
        });
    projected.as_collection()
}

/// The collection of `shares(row)` over all rows, one update for a key and a list of changes.
///
/// Thousands of jobs that move at a tick fall into few cells: adding them up here, by hash, is
/// many times cheaper than sorting them later.
pub fn tally<'s, K, R, const N: usize>(
    changes: Changes<'s>,
    name: &str,
    shares: impl Fn(&Row) -> Shares<K, R, N> + 'static,
) -> StreamVec<'s, Tick, (K, Tick, R)>
where
    K: Data + Hash,
    R: Clone + PartialEq + Default + AddAssign + Neg<Output = R> + 'static,
{
    changes.unary::<CapacityContainerBuilder<_>, _, _, _>(Pipeline, name, |_, _| {
        let mut sums = HashMap::<K, R>::new();
        move |input, output| {
            input.for_each(|capability, changes| {
                let tick = *capability.time();
                for change in changes.iter() {
                    differences(change, &shares, |key, share| {
                        *sums.entry(key).or_default() += share;
                    });
                }
                let moved = sums.drain().filter(|(_, sum)| *sum != R::default());
                output.session(&capability).give_iterator(moved.map(|(key, sum)| (key, tick, sum)));
            });
        }
    })
}
