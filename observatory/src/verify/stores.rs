//! What is kept beside the rows, in PostgreSQL and in Redis, against what the rows add up to.

use std::collections::BTreeMap;

use contracts::snapshot::{Snapshot, Window};
use contracts::{Micros, State};
use pipeline::views::sliding::MAX_FACETS;
use sinks::postgres::{MinuteNumbers, Tables};
use sinks::redis::{COMPLETED, FAILED, Held, LAST_EVENT, TOTAL};

use super::check::Check;
use super::tally::{Tally, cell, minute};

/// The tables of PostgreSQL.
pub(super) fn tables(tally: &Tally, tables: &Tables, n_late: u64) -> Vec<Check> {
    let mut counts = Check::new("PostgreSQL counts, as the rows add up");
    counts.numbers(&tally.counts, &tables.counts, cell, |n: i64| n.to_string());
    let mut totals = Check::new("PostgreSQL totals, as the retired rows add up");
    totals.numbers(&tally.totals, &tables.totals, cell, |n: i64| n.to_string());
    let mut samples = Check::new("PostgreSQL distributions, as the retired rows add up");
    samples.numbers(&tally.retired_samples, &tables.retired_samples, cell, |n: i64| n.to_string());
    let mut minutes = Check::new("PostgreSQL minutes, as the rows add up");
    minutes.numbers(&tally.minutes, &tables.minutes, minute, numbers);
    let mut all = Check::new("PostgreSQL sums: each job counted once");
    let counted: i64 = tables.counts.values().chain(tables.totals.values()).sum();
    all.equal("counts and totals", tally.n_rows, counted);
    all.equal("late_events", n_late as i64, tables.n_late);
    vec![counts, totals, samples, minutes, all]
}

/// The columns of a minute that are not nought.
fn numbers(numbers: MinuteNumbers) -> String {
    const COLUMNS: [&str; 8] = [
        "created",
        "finished",
        "failed",
        "cancelled",
        "waits",
        "wait_micros",
        "runs",
        "run_micros",
    ];
    let there = COLUMNS.iter().zip(numbers).filter(|(_, number)| *number != 0);
    let there: Vec<String> = there.map(|(column, number)| format!("{column} {number}")).collect();
    if there.is_empty() { "nothing".to_owned() } else { there.join(" ") }
}

/// Redis: the views, and the numbers of 1.0.0.
pub(super) fn redis(tally: &Tally, tables: &Tables, held: &Held) -> Vec<Check> {
    let mut views = match &held.views {
        Some(folded) => {
            let snapshot = folded.snapshot().over_queues();
            let mut views = snapshot_of("Redis", tally, &snapshot);
            let mut beside = Check::new("Redis late and skewed, as PostgreSQL has them");
            beside.equal("late", tables.n_late, snapshot.late as i64);
            beside.equal("skewed", tally.skewed, snapshot.skewed as i64);
            views.push(beside);
            views
        }
        None => {
            let mut views = Check::new("Redis views");
            views.equal("observatory:snapshot", "the views", "nothing");
            vec![views]
        }
    };
    let mut keys = Check::new("Redis keys, as the rows add up");
    let last_event = tables.last_event.map(|at| Micros(at).to_string()).unwrap_or_default();
    let expected = [
        (TOTAL, tally.n_rows.to_string()),
        (COMPLETED, tally.ever_in_state(State::Completed).to_string()),
        (FAILED, tally.ever_in_state(State::Failed).to_string()),
        (LAST_EVENT, last_event),
    ];
    for ((key, expected), found) in expected.into_iter().zip(&held.numbers) {
        keys.equal(key, expected, found.clone().unwrap_or_default());
    }
    views.push(keys);
    views
}

/// A snapshot, wherever it was read.
pub(super) fn snapshot_of(whose: &str, tally: &Tally, snapshot: &Snapshot) -> Vec<Check> {
    let mut counts = Check::new(&format!("{whose} counts, as the rows add up"));
    let found = snapshot.counts.iter().map(|row| {
        let names = [row.job_type.clone(), row.queue.clone(), row.worker.clone()];
        let [job_type, queue, worker] = names;
        ([row.state.to_string(), job_type, queue, worker], row.jobs as i64)
    });
    counts.numbers(&tally.counts, &found.collect(), cell, |n: i64| n.to_string());
    counts.equal("jobs", tally.jobs(), snapshot.jobs as i64);

    let mut totals = Check::new(&format!("{whose} totals, as the retired rows add up"));
    let rows = snapshot.totals.iter();
    let found = rows.map(|row| ([row.state.to_string(), row.job_type.clone()], row.jobs as i64));
    totals.numbers(&tally.totals, &found.collect(), cell, |n: i64| n.to_string());

    let mut samples = Check::new(&format!("{whose} samples of all time, as the rows add up"));
    let all = snapshot.latency.iter().filter(|row| row.window == Window::All);
    let mut found: BTreeMap<_, _> =
        all.map(|row| ((row.job_type.clone(), row.measure.as_str()), row.samples as i64)).collect();
    let mut expected = tally.samples.clone();
    let mut types: Vec<&String> = expected.keys().filter_map(|(of, _)| of.as_ref()).collect();
    types.dedup();
    if types.len() > MAX_FACETS {
        // Which of so many types are told apart depends on which came first.
        samples.note(format!("over all types only: there are more than {MAX_FACETS}"));
        expected.retain(|(of, _), _| of.is_none());
        found.retain(|(of, _), _| of.is_none());
    }
    let place = |(of, measure): &(Option<String>, &str)| {
        format!("{measure} {}", of.as_deref().unwrap_or("over all types"))
    };
    samples.numbers(&expected, &found, place, |n: i64| n.to_string());
    vec![counts, totals, samples]
}

#[cfg(test)]
#[path = "stores/tests.rs"]
mod tests;
