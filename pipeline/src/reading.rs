//! What the sealed batches add up to: every view at one moment, in memory, to be read.
//!
//! A reader applies batches in order and may then ask for the [`Snapshot`] at the tick it has come
//! to. Nothing is recomputed here: updates are added, and what comes to zero is gone.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use contracts::Micros;
use contracts::snapshot::{
    AlertRow, CountRow, LatencyRow, Measure, Snapshot, ThroughputRow, TotalRow, Window,
};

use crate::distribution::{Quantiles, middle};
use crate::rules::Expr;
use crate::rules::behind::Behind;
use crate::seal::Updates;
use crate::views::alerts::Alert;
use crate::views::counts::Cell;
use crate::views::latency::Latency;
use crate::views::sliding::Facet;
use crate::views::throughput::{Rates, Throughput};
use crate::{Diff, Tick};

/// Job type, queue, measure and window of a latency.
type LatencyKey = (Facet, Facet, Measure, Window);

/// The views as they stand.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    counts: HashMap<Cell, Diff>,
    latency: HashMap<LatencyKey, Quantiles>,
    throughput: HashMap<(Facet, Window), Rates>,
    alerts: BTreeMap<(String, BTreeMap<String, String>), Alert>,
}

impl Reading {
    /// The alerts, as people see them.
    pub fn alerts(&self) -> Vec<AlertRow> {
        self.alerts.values().map(alert_row).collect()
    }

    /// Adds updates of the counts.
    pub fn add_counts(&mut self, updates: &Updates<(Cell, Diff)>) {
        // Each update says how many times the pair (cell, n) is there: a cell's new number is
        // added, and its old one retracted, in any order.
        for &((cell, n), _, diff) in updates {
            let total = self.counts.entry(cell).or_default();
            *total += n * diff;
            if *total == 0 {
                self.counts.remove(&cell);
            }
        }
    }

    /// Adds updates of the latencies.
    pub fn add_latency(&mut self, updates: &Updates<Latency>) {
        replace(
            &mut self.latency,
            updates.iter().map(|(row, _, diff)| {
                ((row.job_type, row.queue, row.measure, row.window), row.quantiles, *diff)
            }),
        );
    }

    /// Adds updates of the throughput.
    pub fn add_throughput(&mut self, updates: &Updates<Throughput>) {
        replace(
            &mut self.throughput,
            updates.iter().map(|(row, _, diff)| ((row.job_type, row.window), row.rates, *diff)),
        );
    }

    /// Adds updates of the alerts.
    pub fn add_alerts(&mut self, updates: &Updates<Alert>) {
        for (alert, _, diff) in updates {
            let identity = (alert.alert.clone(), alert.labels.clone());
            if *diff > 0 {
                self.alerts.insert(identity, alert.clone());
            } else if self.alerts.get(&identity) == Some(alert) {
                self.alerts.remove(&identity);
            }
        }
    }

    /// The number of jobs in memory.
    pub fn jobs(&self) -> u64 {
        let live = |(cell, n): (&Cell, &Diff)| match cell {
            Cell::Live { .. } => *n as u64,
            Cell::Retired { .. } | Cell::Skewed => 0,
        };
        self.counts.iter().map(live).sum()
    }

    /// The cells, and the number of jobs in each.
    pub fn cells(&self) -> impl Iterator<Item = (&Cell, u64)> {
        self.counts.iter().map(|(cell, n)| (cell, *n as u64))
    }

    /// All views as rows, sorted, at `as_of`, with the latencies of single queues; what is not a
    /// view of the dataflow is left empty.
    pub fn snapshot(&self, as_of: Option<Micros>) -> Snapshot {
        let mut snapshot = Snapshot { as_of, jobs: self.jobs(), ..Snapshot::default() };
        for (cell, jobs) in self.cells() {
            match *cell {
                Cell::Live { state, job_type, queue, worker } => snapshot.counts.push(CountRow {
                    state,
                    job_type: job_type.to_string(),
                    queue: queue.to_string(),
                    worker: worker.to_string(),
                    jobs,
                }),
                Cell::Retired { state, job_type } => {
                    let job_type = job_type.to_string();
                    snapshot.totals.push(TotalRow { state, job_type, jobs });
                }
                Cell::Skewed => snapshot.skewed = jobs,
            }
        }
        snapshot.counts.sort();
        snapshot.totals.sort();
        snapshot.latency.extend(self.latency.iter().map(latency_row));
        snapshot.latency.sort_by(|a, b| {
            let (one, other) = ((a.measure, &a.job_type), (b.measure, &b.job_type));
            one.cmp(&other).then((&a.queue, a.window).cmp(&(&b.queue, b.window)))
        });
        snapshot.throughput.extend(self.throughput.iter().map(throughput_row));
        snapshot.throughput.sort();
        snapshot.alerts = self.alerts();
        snapshot
    }
}

/// Applies updates to a map in which each key has one value at a time.
fn replace<K: Eq + Hash, V: PartialEq>(
    map: &mut HashMap<K, V>,
    updates: impl Iterator<Item = (K, V, Diff)>,
) {
    for (key, value, diff) in updates {
        if diff > 0 {
            map.insert(key, value);
        } else if map.get(&key) == Some(&value) {
            // The value that follows may already have taken its place.
            map.remove(&key);
        }
    }
}

fn latency_row(
    (&(job_type, queue, measure, window), quantiles): (&LatencyKey, &Quantiles),
) -> LatencyRow {
    let seconds = |bucket| middle(bucket) as f64 / 1e6;
    let [p50, p90, p95, p99, p999] = quantiles.at.map(seconds);
    LatencyRow {
        measure,
        job_type: job_type.map(|name| name.to_string()),
        queue: queue.map(|name| name.to_string()),
        window,
        samples: quantiles.samples,
        p50,
        p90,
        p95,
        p99,
        p999,
        max: seconds(quantiles.max),
    }
}

fn throughput_row((&(job_type, window), rates): (&(Facet, Window), &Rates)) -> ThroughputRow {
    let Rates { created, finished, failed } = *rates;
    let job_type = job_type.map(|name| name.to_string());
    ThroughputRow { job_type, window, created, finished, failed }
}

/// How to ask the list for the jobs that an alert has been about since then.
pub fn jobs_behind(expr: &str, labels: &BTreeMap<String, String>, since: Micros) -> Option<String> {
    let expr = Expr::parse(expr).ok()?;
    // The list does not know of latencies, so the value plays no part.
    Behind::of(&expr, labels, 0.0, since.0).map(|behind| behind.query())
}

/// An alert as people and stores see it.
pub fn alert_row(alert: &Alert) -> AlertRow {
    let micros = |tick: Tick| Micros(i64::try_from(tick).unwrap_or(i64::MAX));
    let since = micros(alert.fired_at.unwrap_or(alert.active_at));
    AlertRow {
        jobs: jobs_behind(&alert.expr, &alert.labels, since),
        alert: alert.alert.clone(),
        state: alert.state,
        labels: alert.labels.clone(),
        active_at: micros(alert.active_at),
        fired_at: alert.fired_at.map(micros),
        resolved_at: None,
        value: alert.value.get(),
        expr: alert.expr.clone(),
        annotations: alert.annotations.clone(),
    }
}
