//! The views that are read: those of this process, or the copy of another's.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use contracts::view::Stats;
use contracts::{Micros, Snapshot, State};
use pipeline::views::counts::Cell;
use sinks::feed::{self, Feed};
use sinks::fold::Position;
use sinks::live::Live;
use sinks::redis::{Standing, View};

/// Where the views are.
#[derive(Clone)]
pub enum Views {
    /// The pipeline is in this process.
    Here(Arc<RwLock<Live>>),
    /// The pipeline is elsewhere, and its views come through Redis.
    Copy(Arc<View>),
}

/// A cell of the cube, by its texts: state, type, queue, worker.
pub(crate) type CellTexts = [String; 4];

impl Views {
    /// All views at the last grid time, with the latencies of single queues.
    pub(crate) fn snapshot(&self) -> Snapshot {
        match self {
            Views::Here(live) => read(live).snapshot(),
            Views::Copy(view) => view.snapshot(),
        }
    }

    /// The same, with the id of an event that carries it.
    pub(crate) fn positioned(&self) -> (Position, Snapshot) {
        let (at, snapshot) = match self {
            Views::Here(live) => feed::snapshot_here(&read(live)),
            Views::Copy(view) => {
                view.read(|copy| (copy.on_grid(), copy.snapshot())).unwrap_or_default()
            }
        };
        let as_of = snapshot.as_of.filter(|at| *at > Micros(0));
        (at, Snapshot { as_of, ..snapshot }.over_queues())
    }

    /// What becomes of them from now on.
    pub(crate) fn feed(&self) -> Feed {
        match self {
            Views::Here(live) => Feed::here(Arc::clone(live)),
            Views::Copy(view) => Feed::copy(Arc::clone(view)),
        }
    }

    /// The last durable tick.
    pub(crate) fn as_of(&self) -> Micros {
        match self {
            Views::Here(live) => read(live).as_of(),
            Views::Copy(view) => view.as_of().unwrap_or_default(),
        }
    }

    /// The cube at the last durable tick, which is given.
    pub(crate) fn cube(&self) -> (Micros, Vec<(CellTexts, u64)>) {
        match self {
            Views::Here(live) => {
                let live = read(live);
                let cells = live.now().cells().filter_map(|(cell, jobs)| {
                    let Cell::Live { state, job_type, queue, worker } = cell else { return None };
                    let state = state.as_str().to_owned();
                    let names = [job_type, queue, worker].map(ToString::to_string);
                    let [job_type, queue, worker] = names;
                    Some(([state, job_type, queue, worker], jobs))
                });
                (live.as_of(), cells.collect())
            }
            Views::Copy(view) => {
                let (as_of, rows) = view.counts();
                let cells = rows.into_iter().map(|row| {
                    ([row.state.as_str().to_owned(), row.job_type, row.queue, row.worker], row.jobs)
                });
                (as_of.unwrap_or_default(), cells.collect())
            }
        }
    }

    /// All-time numbers: the jobs in memory and those retired; and their moment.
    pub(crate) fn stats(&self) -> (Micros, Stats) {
        let mut stats = Stats::default();
        let mut add = |state, jobs| {
            stats.total_jobs += jobs;
            match state {
                State::Completed => stats.completed_jobs += jobs,
                State::Failed => stats.failed_jobs += jobs,
                _ => {}
            }
        };
        let (as_of, last_event_time) = match self {
            Views::Here(live) => {
                let live = read(live);
                for (cell, jobs) in live.now().cells() {
                    if let Cell::Live { state, .. } | Cell::Retired { state, .. } = cell {
                        add(*state, jobs);
                    }
                }
                (live.as_of(), live.last_event)
            }
            Views::Copy(view) => {
                let read = view.read(|copy| {
                    copy.counts().into_iter().for_each(|row| add(row.state, row.jobs));
                    copy.totals().into_iter().for_each(|row| add(row.state, row.jobs));
                    (copy.jobs().0, copy.last_event())
                });
                read.unwrap_or_default()
            }
        };
        (as_of, Stats { last_event_time, ..stats })
    }

    /// Since when the views have not moved though time did; none while they are current.
    pub(crate) fn stale_since(&self) -> Option<Micros> {
        match self {
            Views::Here(_) => None,
            Views::Copy(view) => match view.standing() {
                Standing::Current => None,
                Standing::Empty => Some(Micros::default()),
                Standing::Stale { since } => Some(since),
            },
        }
    }
}

fn read(live: &RwLock<Live>) -> RwLockReadGuard<'_, Live> {
    // A batch is applied or not by whoever holds the lock; readers do not change it.
    live.read().unwrap_or_else(PoisonError::into_inner)
}
