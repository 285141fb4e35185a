//! The API against what the rows add up to, and against some of the rows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::bail;
use contracts::view::{JobView, Page, Stats};
use contracts::{Micros, Snapshot, State};
use serde_json::Value;

use super::check::Check;
use super::rows::Sampled;
use super::stores::snapshot_of;
use super::tally::{Tally, cell};
use crate::client::Client;

/// How long the API may take to show what Redis has.
const CAUGHT_UP: Duration = Duration::from_secs(10);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Compares what the API says, once it is as far as `shown`.
pub(super) fn compare(
    api: &Client,
    shown: Option<Micros>,
    tally: &Tally,
    sample: &[Sampled],
) -> anyhow::Result<Vec<Check>> {
    let mut checks = snapshot_of("API", tally, &caught_up(api, shown)?);

    let mut counts = Check::new("API counts and totals of lists, as the rows add up");
    let answer: Value = api.get("/api/v1/counts?by=state,type,queue,worker")?;
    let found = answer["counts"].as_array().into_iter().flatten().map(|row| {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        (["state", "type", "queue", "worker"].map(text), row["jobs"].as_i64().unwrap_or(-1))
    });
    let found: BTreeMap<[String; 4], i64> = found.collect();
    counts.numbers(&tally.counts, &found, cell, |n: i64| n.to_string());
    for state in State::ALL {
        let page: Page<JobView> = api.get(&format!("/api/v1/jobs?state={state}&limit=1"))?;
        counts.equal(
            &format!("jobs in a list of {state}"),
            tally.in_state(state),
            page.total as i64,
        );
    }
    let stats: Stats = api.get("/stats")?;
    for (what, expected, found) in [
        ("totalJobs", tally.n_rows, stats.total_jobs),
        ("completedJobs", tally.ever_in_state(State::Completed), stats.completed_jobs),
        ("failedJobs", tally.ever_in_state(State::Failed), stats.failed_jobs),
    ] {
        counts.equal(what, expected, found as i64);
    }
    checks.push(counts);

    let mut jobs = Check::new("API jobs, as their rows are");
    for sampled in sample {
        let id = sampled.row.job;
        match api.find::<JobView>(&format!("/api/v1/jobs/{id}"))? {
            Some(view) => job(&mut jobs, sampled, &view),
            None => jobs.difference(|| {
                (format!("job {id}"), "the job".to_owned(), "no such job".to_owned())
            }),
        }
    }
    checks.push(jobs);
    Ok(checks)
}

/// The snapshot, when it is as far as `shown`, or the last after a while.
fn caught_up(api: &Client, shown: Option<Micros>) -> anyhow::Result<Snapshot> {
    let began = Instant::now();
    loop {
        let snapshot: Snapshot = api.get("/api/v1/snapshot")?;
        if snapshot.as_of >= shown || began.elapsed() > CAUGHT_UP {
            return Ok(snapshot);
        }
        std::thread::sleep(PAUSE);
    }
}

fn job(check: &mut Check, Sampled { row, n_events }: &Sampled, view: &JobView) {
    let mut equal = |what: &str, expected: String, found: String| {
        check.equal(&format!("job {}, {what}", row.job), expected, found);
    };
    let some = |text: &Option<String>| text.clone().unwrap_or_default();
    let at = |time: Option<Micros>| time.map(|at| at.to_string()).unwrap_or_default();
    let micros = |time: Option<i64>| at(time.map(Micros));
    equal("state", row.state.clone(), view.state.to_string());
    equal("type", row.job_type.clone(), view.job_type.clone());
    equal("queue", row.queue.clone(), some(&view.queue));
    equal("worker", row.worker.clone(), some(&view.worker));
    equal("attempt", row.attempt.to_string(), view.attempt.to_string());
    equal("createdAt", micros(Some(row.created)), at(Some(view.created_at)));
    equal("validatedAt", micros(row.validated), at(view.validated_at));
    equal("startedAt", micros(row.started), at(view.started_at));
    equal("finishedAt", micros(row.finished), at(view.finished_at));
    equal("retired", row.retired_at.is_some().to_string(), view.retired.to_string());
    if let Some(n_events) = n_events {
        let found = view.timeline.len();
        equal("events in its timeline", n_events.to_string(), found.to_string());
    }
}

/// The address of an API, checked.
pub(super) fn client(url: &str) -> anyhow::Result<Client> {
    let Some(client) = Client::new(url) else { bail!("--api: write it as http://HOST:PORT") };
    Ok(client)
}
