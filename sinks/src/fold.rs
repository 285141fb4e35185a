//! A copy of the views, kept current by folding deltas into it.
//!
//! Two moments are in it: all views at the last grid time, and over them the counts that have
//! moved since.
//!
//! # Invariants
//!
//! 1. An entry is folded only if it follows the one before it; otherwise the copy stays as it was
//!    and says so.
//! 2. Folding changes all views at once: whoever looks between two entries sees one moment.

use std::collections::BTreeMap;

use contracts::snapshot::{
    AlertRow, AlertState, CountRow, Delta, LatencyRow, Measure, Snapshot, ThroughputRow, TotalRow,
    Window,
};
use contracts::{Micros, State};
use pipeline::Tick;

use crate::deltas::micros;

/// A tick of a generation; the id of an entry, and of an event of SSE, as `generation-tick`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub generation: i64,
    pub tick: Tick,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.generation, self.tick)
    }
}

impl std::str::FromStr for Position {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Position, Self::Err> {
        let (generation, tick) = text.split_once('-').unwrap_or((text, ""));
        Ok(Position { generation: generation.parse()?, tick: tick.parse()? })
    }
}

/// What the stream says of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub at: Position,
    /// The entry before it; none after everything was written anew.
    pub previous: Option<Position>,
    /// All views are at its tick, and it has all that moved since the grid entry before.
    pub on_grid: bool,
    pub delta: Delta,
    /// The newest `occurredAt`.
    pub last_event: Option<Micros>,
}

type CountKey = (State, String, String, String);
type TotalKey = (State, String);
/// With type and queue, each of which may be all of them.
type LatencyKey = (Measure, Option<String>, Option<String>, Window);

/// The views at two moments: a grid time, and the counts at a tick after it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Folded {
    at: Position,
    grid_time: Tick,
    counts: BTreeMap<CountKey, u64>,
    totals: BTreeMap<TotalKey, u64>,
    latency: BTreeMap<LatencyKey, LatencyRow>,
    throughput: BTreeMap<(Option<String>, Window), ThroughputRow>,
    alerts: BTreeMap<(String, BTreeMap<String, String>), AlertRow>,
    /// `jobs`, `skewed`, `late` and `rejected`, at the grid time.
    on_grid: Delta,
    /// Cells that moved after the grid time.
    counts_since: BTreeMap<CountKey, u64>,
    totals_since: BTreeMap<TotalKey, u64>,
    /// Jobs at the tick.
    jobs: u64,
    last_event: Option<Micros>,
}

impl Folded {
    /// The copy that begins with a snapshot, at its grid time.
    pub fn of(at: Position, snapshot: Snapshot, last_event: Option<Micros>) -> Folded {
        let mut folded = Folded::default();
        folded.take_in(at, true, from_nothing(snapshot), last_event);
        folded
    }

    /// Folds an entry in; false if it does not follow what was folded last.
    pub fn fold(&mut self, entry: Entry) -> bool {
        if entry.previous != Some(self.at) {
            return false;
        }
        self.take_in(entry.at, entry.on_grid, entry.delta, entry.last_event);
        true
    }

    fn take_in(&mut self, at: Position, on_grid: bool, delta: Delta, event: Option<Micros>) {
        self.at = at;
        self.last_event = self.last_event.max(event);
        self.jobs = delta.jobs;
        let counts = delta
            .counts
            .into_iter()
            .map(|row| ((row.state, row.job_type, row.queue, row.worker), row.jobs));
        let totals = delta.totals.into_iter().map(|row| ((row.state, row.job_type), row.jobs));
        if !on_grid {
            self.counts_since.extend(counts);
            self.totals_since.extend(totals);
            return;
        }
        self.counts_since.clear();
        self.totals_since.clear();
        replace(&mut self.counts, counts, |jobs| *jobs == 0);
        replace(&mut self.totals, totals, |jobs| *jobs == 0);
        let latency = delta.latency.into_iter();
        let latency = latency
            .map(|row| ((row.measure, row.job_type.clone(), row.queue.clone(), row.window), row));
        replace(&mut self.latency, latency, |row| row.samples == 0);
        let throughput = delta.throughput.into_iter();
        let throughput = throughput.map(|row| ((row.job_type.clone(), row.window), row));
        replace(&mut self.throughput, throughput, |row| {
            row.created == 0 && row.finished == 0 && row.failed == 0
        });
        let alerts = delta.alerts.into_iter();
        let alerts = alerts.map(|row| ((row.alert.clone(), row.labels.clone()), row));
        replace(&mut self.alerts, alerts, |row| row.state == AlertState::Resolved);
        self.grid_time = at.tick;
        let Delta { jobs, late, skewed, rejected, .. } = delta;
        // Left out where it has not changed.
        let rejected = match rejected.is_empty() {
            true => std::mem::take(&mut self.on_grid.rejected),
            false => rejected,
        };
        self.on_grid = Delta { jobs, late, skewed, rejected, ..Delta::default() };
    }

    /// Where it is.
    pub fn at(&self) -> Position {
        self.at
    }

    /// The id of [`Folded::snapshot`]: deltas after it are to be folded onto that.
    pub fn on_grid(&self) -> Position {
        Position { tick: self.grid_time, ..self.at }
    }

    /// All views at the last grid time, with the latencies of single queues.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            as_of: Some(micros(self.grid_time)),
            jobs: self.on_grid.jobs,
            rejected: self.on_grid.rejected.clone(),
            late: self.on_grid.late,
            skewed: self.on_grid.skewed,
            latency: self.latency.values().cloned().collect(),
            throughput: self.throughput.values().cloned().collect(),
            alerts: self.alerts.values().cloned().collect(),
            ..Snapshot::default()
        };
        snapshot.counts.extend(self.counts.iter().map(|(key, jobs)| count_row(key, *jobs)));
        snapshot.totals.extend(self.totals.iter().map(|(key, jobs)| total_row(key, *jobs)));
        snapshot
    }

    /// What moved after [`Folded::on_grid`]: what leads from that snapshot to where it is.
    pub fn since(&self) -> Delta {
        let (as_of, jobs) = self.jobs();
        let Delta { late, skewed, .. } = self.on_grid;
        let mut since = Delta { as_of: Some(as_of), jobs, late, skewed, ..Delta::default() };
        since.counts.extend(self.counts_since.iter().map(|(key, jobs)| count_row(key, *jobs)));
        since.totals.extend(self.totals_since.iter().map(|(key, jobs)| total_row(key, *jobs)));
        // Nobody knows which jobs.
        since.more = true;
        since
    }

    /// The moment of the counts, and the number of jobs, which is their sum.
    pub fn jobs(&self) -> (Micros, u64) {
        (micros(self.at.tick), self.jobs)
    }

    /// The cells of the cube at the last tick, sorted.
    pub fn counts(&self) -> Vec<CountRow> {
        over(&self.counts, &self.counts_since).map(|(key, jobs)| count_row(key, jobs)).collect()
    }

    /// The retired jobs at the last tick, sorted.
    pub fn totals(&self) -> Vec<TotalRow> {
        over(&self.totals, &self.totals_since).map(|(key, jobs)| total_row(key, jobs)).collect()
    }

    /// The newest `occurredAt`.
    pub fn last_event(&self) -> Option<Micros> {
        self.last_event
    }
}

/// A snapshot as the delta that leads to it from nothing.
pub(crate) fn from_nothing(snapshot: Snapshot) -> Delta {
    let Snapshot { as_of, jobs, counts, latency, throughput, alerts, totals, .. } = snapshot;
    let Snapshot { rejected, late, skewed, .. } = snapshot;
    Delta {
        as_of,
        jobs,
        counts,
        latency,
        throughput,
        alerts,
        totals,
        rejected,
        late,
        skewed,
        ..Delta::default()
    }
}

fn replace<K: Ord, V>(
    map: &mut BTreeMap<K, V>,
    rows: impl Iterator<Item = (K, V)>,
    gone: impl Fn(&V) -> bool,
) {
    for (key, row) in rows {
        if gone(&row) {
            map.remove(&key);
        } else {
            map.insert(key, row);
        }
    }
}

/// What is in `map` with the numbers of `since` in place of its own.
fn over<'a, K: Ord>(
    map: &'a BTreeMap<K, u64>,
    since: &'a BTreeMap<K, u64>,
) -> impl Iterator<Item = (&'a K, u64)> {
    let kept = map.iter().filter(|(key, _)| !since.contains_key(key));
    let mut all: Vec<_> = kept.chain(since.iter().filter(|(_, n)| **n > 0)).collect();
    all.sort_unstable_by_key(|(key, _)| *key);
    all.into_iter().map(|(key, n)| (key, *n))
}

fn count_row((state, job_type, queue, worker): &CountKey, jobs: u64) -> CountRow {
    let (job_type, queue, worker) = (job_type.clone(), queue.clone(), worker.clone());
    CountRow { state: *state, job_type, queue, worker, jobs }
}

fn total_row((state, job_type): &TotalKey, jobs: u64) -> TotalRow {
    TotalRow { state: *state, job_type: job_type.clone(), jobs }
}
