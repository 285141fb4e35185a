//! The views that readers are shown: what the durable ticks add up to, in memory.
//!
//! Two readings, because not all views move at one pace: counts are those of the last durable
//! tick, and the snapshot is wholly at the last grid time.
//!
//! # Invariants
//!
//! 1. A tick is shown only when it is durable: whoever applies it has committed it before.
//! 2. In [`Live::snapshot`] all views are at one grid time, and the sum of the counts is the number
//!    of jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::snapshot::AlertRow;
use contracts::{Micros, Reason, Snapshot};
use pipeline::reading::Reading;
use pipeline::seal::{Sealed, Updates};
use pipeline::views::counts::Cell;
use pipeline::{Diff, Tick};
use tokio::sync::Notify;

use crate::deltas::Batch;

/// What readers are shown.
#[derive(Debug)]
pub struct Live {
    /// Step of the coarse cadence, in µs.
    grid: Tick,
    /// The first tick that is not durable.
    upper: Tick,
    /// At the last durable tick.
    now: Reading,
    /// At the last grid time before `upper`.
    on_grid: Reading,
    grid_time: Tick,
    /// Counts after `grid_time`.
    since: Updates<(Cell, Diff)>,
    pub rejected: BTreeMap<Reason, u64>,
    pub late: u64,
    /// The newest `occurredAt`.
    pub last_event: Option<Micros>,
    /// Of the pipeline whose ticks these are.
    pub generation: i64,
    /// What the one who follows has not taken yet; none if nobody follows.
    followed: Option<Taken>,
    moved: Arc<Notify>,
}

/// What moved since somebody who follows asked last.
#[derive(Debug)]
pub(crate) enum Taken {
    Batch(Batch),
    /// It was too much to keep.
    Missed,
}

/// Updates that are kept for one who follows: some 100 MB, which is minutes of them.
const MAX_FOLLOWED: usize = 1_000_000;

impl Live {
    /// Nothing yet, on a coarse cadence of `grid` µs.
    pub fn new(grid: Tick) -> Live {
        Live {
            grid,
            upper: 0,
            now: Reading::default(),
            on_grid: Reading::default(),
            grid_time: 0,
            since: Updates::new(),
            rejected: BTreeMap::new(),
            late: 0,
            last_event: None,
            generation: 0,
            followed: None,
            moved: Arc::default(),
        }
    }

    /// Shows a batch that has become durable.
    pub fn apply(&mut self, sealed: &Sealed) {
        self.upper = sealed.upper;
        self.now.add_counts(&sealed.counts);
        self.since.extend_from_slice(&sealed.counts);
        // Complete are the ticks before `upper`.
        self.grid_time = (sealed.upper.saturating_sub(1)) / self.grid * self.grid;
        let grid_time = self.grid_time;
        let counts = self.since.extract_if(.., |(_, tick, _)| *tick <= grid_time).collect();
        self.on_grid.add_counts(&counts);
        // These move at grid times only, so none is after the last one.
        self.on_grid.add_latency(&sealed.latency);
        self.on_grid.add_throughput(&sealed.throughput);
        self.on_grid.add_alerts(&sealed.alerts);
        self.tell_follower(sealed);
    }

    fn tell_follower(&mut self, sealed: &Sealed) {
        // The input has closed: windows empty themselves at ticks that will never be.
        if sealed.upper == Tick::MAX {
            return;
        }
        match &mut self.followed {
            Some(Taken::Batch(batch)) if batch.len() < MAX_FOLLOWED => {
                batch.extend(Batch::of(sealed));
            }
            Some(followed) => *followed = Taken::Missed,
            None => return,
        }
        self.moved.notify_one();
    }

    /// Begins to keep what moves for the one who follows, and says how to wait for it.
    pub(crate) fn follow(&mut self) -> Arc<Notify> {
        self.followed = Some(Taken::Missed);
        Arc::clone(&self.moved)
    }

    /// What moved since the last call.
    pub(crate) fn take(&mut self) -> Taken {
        let empty = Taken::Batch(Batch::nothing(self.upper));
        self.followed.replace(empty).unwrap_or(Taken::Missed)
    }

    /// The last durable tick.
    pub fn as_of(&self) -> Micros {
        micros(self.upper.saturating_sub(1))
    }

    /// The counts at the last durable tick.
    pub fn now(&self) -> &Reading {
        &self.now
    }

    /// The first tick that is not durable.
    pub(crate) fn upper(&self) -> Tick {
        self.upper
    }

    /// The step of the coarse cadence, and its last time before [`Live::upper`].
    pub(crate) fn on_grid(&self) -> (Tick, Tick) {
        (self.grid, self.grid_time)
    }

    /// What moved after that time.
    pub(crate) fn since(&self) -> &Updates<(Cell, Diff)> {
        &self.since
    }

    /// The alerts at the last grid time.
    pub fn alerts(&self) -> Vec<AlertRow> {
        self.on_grid.alerts()
    }

    /// All views at the last grid time.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            rejected: self.rejected.clone(),
            late: self.late,
            ..self.on_grid.snapshot(Some(micros(self.grid_time)))
        }
    }
}

fn micros(tick: Tick) -> Micros {
    Micros(i64::try_from(tick).unwrap_or(i64::MAX))
}
