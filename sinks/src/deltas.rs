//! Durable batches become deltas: one for the grid time a batch comes to, one for the ticks after.
//!
//! ```text
//!   batch [.. upper) ──┬── ticks up to the last grid time ──▶ step on the grid: counts since the
//!                      │                                      grid step before, and coarse views
//!                      └── ticks after it ──▶ step between: counts
//! ```
//!
//! For those who follow: other processes through Redis, and readers of the change stream in this
//! one. A reader that is sent only some of the steps is sent those on the grid.
//!
//! # Invariants
//!
//! 1. The steps on the grid alone, folded onto a snapshot at a grid time, give the next ones: each
//!    has all that moved since the one before.
//! 2. The number of jobs of a step is the sum of the counts at its tick.

use std::collections::{BTreeMap, BTreeSet};

use contracts::snapshot::{AlertRow, AlertState, CountRow, Delta, LatencyRow, ThroughputRow};
use contracts::{JobId, Micros, State};
use pipeline::reading::Reading;
use pipeline::seal::{Sealed, Updates};
use pipeline::views::alerts::Alert;
use pipeline::views::counts::Cell;
use pipeline::views::latency::Latency;
use pipeline::views::throughput::Throughput;
use pipeline::{Diff, Tick};

use crate::live::Live;

/// What concerns readers of a durable batch.
#[derive(Debug, Default)]
pub struct Batch {
    upper: Tick,
    counts: Updates<(Cell, Diff)>,
    latency: Updates<Latency>,
    throughput: Updates<Throughput>,
    alerts: Updates<Alert>,
    changed: Changed,
}

impl Batch {
    /// What of a batch they are told.
    pub fn of(sealed: &Sealed) -> Batch {
        let mut changed = Changed::default();
        changed.add(sealed.records.iter().map(|(record, ..)| record.job));
        Batch {
            upper: sealed.upper,
            counts: sealed.counts.clone(),
            latency: sealed.latency.clone(),
            throughput: sealed.throughput.clone(),
            alerts: sealed.alerts.clone(),
            changed,
        }
    }

    /// A batch in which nothing moves.
    pub(crate) fn nothing(upper: Tick) -> Batch {
        Batch { upper, ..Batch::default() }
    }

    /// Updates in it.
    pub(crate) fn len(&self) -> usize {
        self.counts.len() + self.latency.len() + self.throughput.len() + self.alerts.len()
    }

    /// The first tick that is not in it.
    pub fn upper(&self) -> Tick {
        self.upper
    }

    /// Takes in the batch that follows.
    pub fn extend(&mut self, later: Batch) {
        self.upper = later.upper;
        self.counts.extend(later.counts);
        self.latency.extend(later.latency);
        self.throughput.extend(later.throughput);
        self.alerts.extend(later.alerts);
        self.changed.more |= later.changed.more;
        self.changed.add(later.changed.jobs.into_iter());
    }
}

/// Jobs whose row changed, up to as many as a delta may list.
#[derive(Debug, Default)]
struct Changed {
    jobs: BTreeSet<JobId>,
    more: bool,
}

impl Changed {
    fn add(&mut self, jobs: impl Iterator<Item = JobId>) {
        for job in jobs {
            if self.jobs.len() < Delta::MAX_CHANGED_JOBS {
                self.jobs.insert(job);
            } else if !self.jobs.contains(&job) {
                self.more = true;
                return;
            }
        }
    }
}

/// One step of the views, complete at its tick.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub tick: Tick,
    /// At a grid time: all views are at it.
    pub on_grid: bool,
    pub delta: Delta,
}

/// Where the steps have come to.
#[derive(Debug)]
pub struct Deltas {
    grid: Tick,
    upper: Tick,
    grid_time: Tick,
    /// What moved after `grid_time`.
    since: BTreeMap<Cell, Diff>,
    changed: Changed,
    sums: Sums,
}

/// Sums over the cells.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    jobs: Diff,
    skewed: Diff,
    /// In memory or retired, by state.
    by_state: [Diff; State::ALL.len()],
}

impl Sums {
    fn of(reading: &Reading) -> Sums {
        let mut sums = Sums::default();
        reading.cells().for_each(|(cell, n)| sums.add(cell, n as Diff));
        sums
    }

    fn add(&mut self, cell: &Cell, n: Diff) {
        match cell {
            Cell::Live { state, .. } => {
                self.jobs += n;
                self.by_state[*state as usize] += n;
            }
            Cell::Retired { state, .. } => self.by_state[*state as usize] += n,
            Cell::Skewed => self.skewed += n,
        }
    }
}

/// The predecessor's numbers: jobs known, those that completed, those that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllTime {
    /// In memory or retired.
    pub total: u64,
    pub completed: u64,
    pub failed: u64,
}

impl Deltas {
    /// The first tick that is not in them.
    pub fn upper(&self) -> Tick {
        self.upper
    }

    /// Where `live` is, with the step that leads from its snapshot to it.
    pub fn of(live: &Live) -> (Deltas, Step) {
        let (grid, grid_time) = live.on_grid();
        let mut deltas = Deltas {
            grid,
            upper: live.upper(),
            grid_time,
            since: numbers(live.since().iter()),
            changed: Changed::default(),
            sums: Sums::of(live.now()),
        };
        let mut step = deltas.step(deltas.upper.saturating_sub(1), false);
        add_counts(&mut step.delta, &deltas.since);
        // Nobody knows what was missed.
        step.delta.more = true;
        deltas.changed.more = true;
        (deltas, step)
    }

    /// Goes over a batch; gives the steps that it makes, at most two, and for one on the grid the
    /// predecessor's numbers at it. A step may change nothing: see [`Step::changes`].
    pub fn advance(&mut self, mut batch: Batch) -> Vec<(Step, Option<AllTime>)> {
        let mut steps = Vec::with_capacity(2);
        let mut fresh = std::mem::take(&mut batch.changed);
        let last = batch.upper.saturating_sub(1);
        let grid_time = last / self.grid * self.grid;
        if grid_time > self.grid_time {
            self.grid_time = grid_time;
            let early: Vec<_> =
                batch.counts.extract_if(.., |(_, tick, _)| *tick <= grid_time).collect();
            self.count(&early);
            let mut step = self.step(grid_time, true);
            add_counts(&mut step.delta, &std::mem::take(&mut self.since));
            add_coarse(&mut step.delta, &batch);
            let mut changed = std::mem::take(&mut self.changed);
            changed.more |= fresh.more;
            changed.add(std::mem::take(&mut fresh.jobs).into_iter());
            fresh.more = false;
            step.delta.changed_jobs = changed.jobs.into_iter().collect();
            step.delta.more = changed.more;
            steps.push((step, Some(self.all_time())));
        }
        if last > self.grid_time && last >= self.upper {
            let moved = self.count(&batch.counts);
            let mut step = self.step(last, false);
            add_counts(&mut step.delta, &moved);
            step.delta.changed_jobs = fresh.jobs.iter().copied().collect();
            step.delta.more = fresh.more;
            self.changed.more |= fresh.more;
            self.changed.add(fresh.jobs.into_iter());
            steps.push((step, None));
        }
        self.upper = batch.upper;
        steps
    }

    /// Adds updates; gives the cells that moved, with their numbers.
    fn count(&mut self, updates: &Updates<(Cell, Diff)>) -> BTreeMap<Cell, Diff> {
        for ((cell, n), _, diff) in updates {
            self.sums.add(cell, n * diff);
        }
        let moved = numbers(updates.iter());
        self.since.extend(moved.iter().map(|(cell, n)| (*cell, *n)));
        moved
    }

    fn step(&self, tick: Tick, on_grid: bool) -> Step {
        let delta = Delta {
            as_of: Some(micros(tick)),
            jobs: self.sums.jobs as u64,
            skewed: self.sums.skewed as u64,
            ..Delta::default()
        };
        Step { tick, on_grid, delta }
    }

    fn all_time(&self) -> AllTime {
        let by_state = &self.sums.by_state;
        AllTime {
            total: by_state.iter().sum::<Diff>() as u64,
            completed: by_state[State::Completed as usize] as u64,
            failed: by_state[State::Failed as usize] as u64,
        }
    }
}

impl Step {
    /// Whether it has rows or ids: it may say no more than what time it is.
    pub fn changes(&self) -> bool {
        let Delta { counts, latency, throughput, alerts, totals, changed_jobs, more, .. } =
            &self.delta;
        *more
            || !(counts.is_empty()
                && latency.is_empty()
                && throughput.is_empty()
                && alerts.is_empty()
                && totals.is_empty()
                && changed_jobs.is_empty())
    }
}

pub(crate) fn micros(tick: Tick) -> Micros {
    Micros(i64::try_from(tick).unwrap_or(i64::MAX))
}

/// The number that each cell came to; 0 for one that is gone.
fn numbers<'a>(
    updates: impl Iterator<Item = &'a ((Cell, Diff), Tick, Diff)>,
) -> BTreeMap<Cell, Diff> {
    let last = last(updates.map(|((cell, n), tick, diff)| (*cell, *n, *tick, *diff)));
    last.into_iter().map(|(cell, n)| (cell, n.unwrap_or_default())).collect()
}

/// The value that each key came to; none if it is gone.
fn last<K: Ord, V>(updates: impl Iterator<Item = (K, V, Tick, Diff)>) -> BTreeMap<K, Option<V>> {
    let mut values = BTreeMap::<K, (Tick, Option<V>)>::new();
    for (key, value, tick, diff) in updates {
        let (at, last) = values.entry(key).or_insert((tick, None));
        if tick > *at {
            (*at, *last) = (tick, None);
        }
        // Of one tick there is the new value, the old one retracted, or both in any order.
        if tick == *at && diff > 0 {
            *last = Some(value);
        }
    }
    values.into_iter().map(|(key, (_, value))| (key, value)).collect()
}

fn add_counts(delta: &mut Delta, cells: &BTreeMap<Cell, Diff>) {
    for (cell, jobs) in cells {
        let jobs = *jobs as u64;
        match *cell {
            Cell::Live { state, job_type, queue, worker } => delta.counts.push(CountRow {
                state,
                job_type: job_type.to_string(),
                queue: queue.to_string(),
                worker: worker.to_string(),
                jobs,
            }),
            Cell::Retired { state, job_type } => {
                let job_type = job_type.to_string();
                delta.totals.push(contracts::snapshot::TotalRow { state, job_type, jobs });
            }
            // It is a number of its own.
            Cell::Skewed => {}
        }
    }
    delta.counts.sort();
    delta.totals.sort();
}

/// The views that move at grid times only, so that what a batch has of them is at its last one.
fn add_coarse(delta: &mut Delta, batch: &Batch) {
    let latency = last(batch.latency.iter().map(|(row, tick, diff)| {
        ((row.measure, row.job_type, row.queue, row.window), row.quantiles, *tick, *diff)
    }));
    let throughput = last(
        batch
            .throughput
            .iter()
            .map(|(row, tick, diff)| ((row.job_type, row.window), row.rates, *tick, *diff)),
    );
    let mut now = Reading::default();
    let text = |name: Option<pipeline::name::Name>| name.map(|name| name.to_string());
    for ((measure, job_type, queue, window), quantiles) in latency {
        match quantiles {
            Some(quantiles) => {
                now.add_latency(&vec![(
                    Latency { job_type, queue, measure, window, quantiles },
                    batch.upper,
                    1,
                )]);
            }
            None => delta.latency.push(LatencyRow {
                measure,
                job_type: text(job_type),
                queue: text(queue),
                window,
                samples: 0,
                p50: 0.0,
                p90: 0.0,
                p95: 0.0,
                p99: 0.0,
                p999: 0.0,
                max: 0.0,
            }),
        }
    }
    for ((job_type, window), rates) in throughput {
        // Without jobs there is no row.
        let rates = rates.unwrap_or_default();
        delta.throughput.push(ThroughputRow {
            job_type: text(job_type),
            window,
            created: rates.created,
            finished: rates.finished,
            failed: rates.failed,
        });
    }
    delta.latency.extend(now.snapshot(None).latency);
    delta.throughput.sort();
    add_alerts(delta, &batch.alerts);
}

fn add_alerts(delta: &mut Delta, updates: &Updates<Alert>) {
    let mut rows = BTreeMap::<_, (Tick, AlertRow)>::new();
    // In the order of ticks, a retraction before what takes its place.
    let mut updates: Vec<_> = updates.iter().collect();
    updates.sort_by_key(|(_, tick, diff)| (*tick, *diff));
    for (alert, tick, diff) in updates {
        let mut row = pipeline::reading::alert_row(alert);
        if *diff < 0 {
            row.state = AlertState::Resolved;
            row.resolved_at = Some(micros(*tick));
        }
        rows.insert((&alert.alert, &alert.labels), (*tick, row));
    }
    delta.alerts.extend(rows.into_values().map(|(_, row)| row));
}
