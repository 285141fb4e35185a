//! A copy of the views, kept current by deltas: each row takes the place of the one with its key,
//! and a row of nothing removes it.
//!
//! # Invariants
//!
//! 1. Folding a delta twice changes nothing, and says so.
//! 2. `by_state` is the sum over `counts`, kept and not computed anew.

use std::collections::BTreeMap;

use contracts::event::State;
use contracts::snapshot::{
    AlertRow, AlertState, CountRow, LatencyRow, Measure, ThroughputRow, TotalRow, Window,
};
use contracts::{Delta, Micros, Reason, Snapshot};

type Labels = BTreeMap<String, String>;

/// What jobs are counted by beside their state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Type,
    Queue,
    Worker,
}

impl Attribute {
    pub(crate) fn named(name: &str) -> Option<Attribute> {
        match name {
            "type" => Some(Attribute::Type),
            "queue" => Some(Attribute::Queue),
            "worker" => Some(Attribute::Worker),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Views {
    pub(crate) as_of: Option<Micros>,
    pub(crate) jobs: u64,
    pub(crate) late: u64,
    pub(crate) skewed: u64,
    pub(crate) rejected: BTreeMap<Reason, u64>,
    pub(crate) alerts: BTreeMap<(String, Labels), AlertRow>,
    pub(crate) latency: BTreeMap<(Measure, Window, Option<String>), LatencyRow>,
    pub(crate) throughput: BTreeMap<(Window, Option<String>), ThroughputRow>,
    pub(crate) totals: BTreeMap<(State, String), u64>,
    /// By state, type, queue and worker.
    counts: BTreeMap<(State, String, String, String), u64>,
    by_state: [u64; State::ALL.len()],
}

/// What a delta changed that somebody may want to read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// So many jobs of this type more in this state, or fewer.
    Jobs {
        state: State,
        job_type: String,
        by: i64,
    },
    Alert {
        alert: String,
        labels: Labels,
        state: AlertState,
    },
    Letters {
        reason: Reason,
        by: u64,
    },
    Late {
        by: u64,
    },
}

impl Views {
    pub(crate) fn begin(snapshot: Snapshot) -> Views {
        let mut views = Views::default();
        views.fold(Delta {
            as_of: snapshot.as_of,
            jobs: snapshot.jobs,
            counts: snapshot.counts,
            latency: snapshot.latency,
            throughput: snapshot.throughput,
            alerts: snapshot.alerts,
            totals: snapshot.totals,
            rejected: snapshot.rejected,
            late: snapshot.late,
            skewed: snapshot.skewed,
            ..Delta::default()
        });
        views
    }

    /// Takes a delta in; what it changed.
    pub(crate) fn fold(&mut self, delta: Delta) -> Vec<Change> {
        let mut changes = Vec::new();
        (self.as_of, self.jobs, self.skewed) = (delta.as_of, delta.jobs, delta.skewed);
        if delta.late > self.late {
            changes.push(Change::Late { by: delta.late - self.late });
        }
        self.late = delta.late;
        // Left out where it has not changed.
        if !delta.rejected.is_empty() {
            for (reason, n) in &delta.rejected {
                let before = self.rejected.get(reason).copied().unwrap_or(0);
                if *n > before {
                    changes.push(Change::Letters { reason: *reason, by: n - before });
                }
            }
            self.rejected = delta.rejected;
        }
        let mut moved = BTreeMap::<(State, String), i64>::new();
        for row in delta.counts {
            let by = self.count(row.clone());
            if by != 0 {
                *moved.entry((row.state, row.job_type)).or_default() += by;
            }
        }
        let moved = moved.into_iter().filter(|(_, by)| *by != 0);
        changes.extend(moved.map(|((state, job_type), by)| Change::Jobs { state, job_type, by }));
        for row in delta.latency {
            let key = (row.measure, row.window, row.job_type.clone());
            set(&mut self.latency, key, row.samples > 0, row);
        }
        for row in delta.throughput {
            let key = (row.window, row.job_type.clone());
            set(&mut self.throughput, key, row.created + row.finished > 0, row);
        }
        for row in delta.alerts {
            let key = (row.alert.clone(), row.labels.clone());
            let before = self.alerts.get(&key).map(|row| row.state);
            if before.unwrap_or(AlertState::Resolved) != row.state {
                let (alert, labels, state) = (row.alert.clone(), row.labels.clone(), row.state);
                changes.push(Change::Alert { alert, labels, state });
            }
            set(&mut self.alerts, key, row.state != AlertState::Resolved, row);
        }
        for TotalRow { state, job_type, jobs } in delta.totals {
            set(&mut self.totals, (state, job_type), jobs > 0, jobs);
        }
        changes
    }

    fn count(&mut self, row: CountRow) -> i64 {
        let key = (row.state, row.job_type, row.queue, row.worker);
        let before = self.counts.get(&key).copied().unwrap_or(0);
        let sum = &mut self.by_state[row.state as usize];
        // Together they are as many as there are jobs, so no sum is below one of its parts.
        *sum = (*sum + row.jobs).saturating_sub(before);
        set(&mut self.counts, key, row.jobs > 0, row.jobs);
        row.jobs as i64 - before as i64
    }

    pub(crate) fn in_state(&self, state: State) -> u64 {
        self.by_state[state as usize]
    }

    /// What the states add up to.
    pub(crate) fn sum(&self) -> u64 {
        self.by_state.iter().sum()
    }

    /// Jobs by the value of one attribute.
    pub(crate) fn sums(&self, attribute: Attribute) -> BTreeMap<&str, u64> {
        let mut sums = BTreeMap::new();
        for ((_, job_type, queue, worker), jobs) in &self.counts {
            let value = match attribute {
                Attribute::Type => job_type,
                Attribute::Queue => queue,
                Attribute::Worker => worker,
            };
            *sums.entry(value.as_str()).or_default() += jobs;
        }
        sums
    }

    pub(crate) fn letters(&self) -> u64 {
        self.rejected.values().sum()
    }

    pub(crate) fn firing(&self) -> usize {
        self.alerts.values().filter(|row| row.state == AlertState::Firing).count()
    }
}

fn set<K: Ord, V>(rows: &mut BTreeMap<K, V>, key: K, there: bool, row: V) {
    if there {
        rows.insert(key, row);
    } else {
        rows.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: State, job_type: &str, worker: &str, jobs: u64) -> CountRow {
        let (job_type, worker) = (job_type.to_owned(), worker.to_owned());
        CountRow { state, job_type, queue: String::new(), worker, jobs }
    }

    fn alert(state: AlertState) -> AlertRow {
        AlertRow {
            alert: "Slow".to_owned(),
            state,
            labels: Labels::new(),
            active_at: Micros::EARLIEST,
            fired_at: None,
            resolved_at: None,
            value: 1.0,
            expr: String::new(),
            annotations: Labels::new(),
            jobs: None,
        }
    }

    fn counts(jobs: u64, counts: Vec<CountRow>) -> Delta {
        Delta { jobs, counts, ..Delta::default() }
    }

    #[test]
    fn a_row_takes_the_place_of_the_one_with_its_key_and_the_states_add_up() {
        let mut views = Views::default();
        views.fold(counts(
            5,
            vec![row(State::Pending, "a", "", 3), row(State::Executing, "a", "w", 2)],
        ));
        let moved = views.fold(counts(
            5,
            vec![row(State::Pending, "a", "", 1), row(State::Executing, "a", "v", 2)],
        ));
        assert_eq!([views.sum(), views.jobs], [5, 5]);
        assert_eq!(views.in_state(State::Executing), 4);
        let by = |state, by| Change::Jobs { state, job_type: "a".to_owned(), by };
        assert_eq!(moved, [by(State::Pending, -2), by(State::Executing, 2)]);
        assert_eq!(views.sums(Attribute::Worker), [("", 1), ("v", 2), ("w", 2)].into());
    }

    #[test]
    fn a_row_of_nothing_is_gone() {
        let mut views = Views::default();
        views.fold(counts(1, vec![row(State::Pending, "a", "", 1)]));
        views.fold(counts(0, vec![row(State::Pending, "a", "", 0)]));
        assert_eq!(views, Views::default());
        views.fold(Delta { alerts: vec![alert(AlertState::Firing)], ..Delta::default() });
        assert_eq!(views.firing(), 1);
        let changes =
            views.fold(Delta { alerts: vec![alert(AlertState::Resolved)], ..Delta::default() });
        assert_eq!(changes.len(), 1);
        assert!(views.alerts.is_empty());
    }

    #[test]
    fn folding_a_delta_twice_changes_nothing() {
        let delta = Delta {
            jobs: 3,
            late: 2,
            counts: vec![row(State::Failed, "a", "w", 3)],
            alerts: vec![alert(AlertState::Pending)],
            rejected: [(Reason::Schema, 4)].into(),
            totals: vec![TotalRow { state: State::Failed, job_type: "a".to_owned(), jobs: 9 }],
            ..Delta::default()
        };
        let mut views = Views::default();
        assert_eq!(views.fold(delta.clone()).len(), 4);
        let once = views.clone();
        assert_eq!(views.fold(delta), []);
        assert_eq!(views, once);
    }

    #[test]
    fn a_snapshot_and_its_rows_as_deltas_are_the_same() {
        let snapshot = Snapshot {
            jobs: 2,
            counts: vec![row(State::Failed, "a", "", 1), row(State::Failed, "b", "", 1)],
            ..Snapshot::default()
        };
        let mut views = Views::default();
        for counts in &snapshot.counts {
            views.fold(Delta { jobs: 2, counts: vec![counts.clone()], ..Delta::default() });
        }
        assert_eq!(Views::begin(snapshot), views);
    }
}
