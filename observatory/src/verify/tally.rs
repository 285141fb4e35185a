//! What the rows of the jobs add up to: every number that is kept beside them, made again.

use std::collections::BTreeMap;

use contracts::{Micros, State};
use pipeline::row::Row;
use pipeline::summary::{Summary, UNKNOWN};
use pipeline::views::latency::MEASURES;
use sinks::postgres::{JobRow, MinuteNumbers};

/// µs of a minute.
const MINUTE: i64 = 60_000_000;

/// Sums over rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) n_rows: i64,
    /// Jobs not retired by state, type, queue and worker.
    pub(super) counts: BTreeMap<[String; 4], i64>,
    /// Retired jobs by state and type.
    pub(super) totals: BTreeMap<[String; 2], i64>,
    /// Samples by type and measure; a type that is none stands for all.
    pub(super) samples: BTreeMap<(Option<String>, &'static str), i64>,
    /// Those of the retired jobs.
    pub(super) retired_samples: BTreeMap<[String; 2], i64>,
    pub(super) minutes: BTreeMap<(i64, String), MinuteNumbers>,
    /// Jobs not retired with a negative latency.
    pub(super) skewed: i64,
}

impl Tally {
    /// Takes in a row, whose summary is this.
    pub(super) fn take(&mut self, row: JobRow, summary: &Summary) {
        self.n_rows += 1;
        let retired = row.retired_at.is_some();
        let seen = Row::of(row.job, summary, row.abandoned_at.is_some());
        let latencies = [seen.wait(), seen.run(), seen.total()];
        if seen.finished != UNKNOWN {
            for (measure, latency) in MEASURES.iter().zip(latencies) {
                if latency.is_none() {
                    continue;
                }
                let measure = measure.as_str();
                for of in [Some(row.job_type.clone()), None] {
                    *self.samples.entry((of, measure)).or_default() += 1;
                }
                if retired {
                    let key = [row.job_type.clone(), measure.to_owned()];
                    *self.retired_samples.entry(key).or_default() += 1;
                }
            }
        }
        self.minutes_of(&row.job_type, &seen);
        if retired {
            *self.totals.entry([row.state, row.job_type]).or_default() += 1;
        } else {
            self.skewed += i64::from(latencies.into_iter().flatten().any(|micros| micros < 0));
            let cell = [row.state, row.job_type, row.queue, row.worker];
            *self.counts.entry(cell).or_default() += 1;
        }
    }

    fn minutes_of(&mut self, job_type: &str, seen: &Row) {
        let [created, ..] = self.minute(seen.created, job_type);
        *created += 1;
        if seen.finished == UNKNOWN {
            return;
        }
        let [_, finished, failed, cancelled, waits, wait_micros, runs, run_micros] =
            self.minute(seen.finished, job_type);
        *finished += 1;
        *failed += i64::from(seen.state == State::Failed);
        *cancelled += i64::from(seen.state == State::Cancelled);
        if let Some(wait) = seen.wait() {
            *waits += 1;
            *wait_micros += wait.max(0);
        }
        if let Some(run) = seen.run() {
            *runs += 1;
            *run_micros += run.max(0);
        }
    }

    /// The minute that an instant is in.
    fn minute(&mut self, at: i64, job_type: &str) -> &mut MinuteNumbers {
        let start = at.div_euclid(MINUTE) * MINUTE;
        self.minutes.entry((start, job_type.to_owned())).or_default()
    }

    /// Jobs not retired.
    pub(super) fn jobs(&self) -> i64 {
        self.counts.values().sum()
    }

    /// Jobs of a state, not retired.
    pub(super) fn in_state(&self, state: State) -> i64 {
        let cells = self.counts.iter().filter(|([of, ..], _)| of == state.as_str());
        cells.map(|(_, jobs)| jobs).sum()
    }

    /// Jobs of a state, retired or not.
    pub(super) fn ever_in_state(&self, state: State) -> i64 {
        let retired = self.totals.iter().filter(|([of, _], _)| of == state.as_str());
        self.in_state(state) + retired.map(|(_, jobs)| jobs).sum::<i64>()
    }
}

/// A minute, as it is told.
pub(super) fn minute((start, job_type): &(i64, String)) -> String {
    format!("{} {job_type}", Micros(*start))
}

/// A cell of the cube, as it is told.
pub(super) fn cell<const N: usize>(key: &[String; N]) -> String {
    key.join(" ")
}
