//! What all stores say, compared with the truth.
//!
//! ```text
//!   Truth ──▶ jobs, counts, minutes, events ──┬── PostgreSQL: rows, cube, history
//!                                             ├── MongoDB: bodies
//!                                             ├── Redis: counts, totals
//!                                             └── API: counts, latencies, all-time numbers
//! ```
//!
//! Whatever is added up, as the minutes are, shows an event that has counted twice.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::{Duration, Instant};

use redis::Commands;
use serde_json::{Value, json};
use sinks::mongo::Archive;
use tokio_postgres::{Client, Row};

use super::crowd::{Job, Truth};
use super::{number, postgres, runtime};
use crate::program::{Role, World};

/// Until everything has to agree, after all events have been confirmed: a hundred thousand may wait
/// for a program that is not optimised, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Between two comparisons, which read everything there is.
const LOOK: Duration = Duration::from_millis(200);

/// µs.
const MINUTE: i64 = 60_000_000;

/// What there is, by its key.
type Found = BTreeMap<String, String>;

impl World {
    /// Waits until all stores have exactly the truth, and nothing is under way.
    #[track_caller]
    pub(crate) fn is_exactly(&self, api: &Role, truth: &Truth) {
        let began = Instant::now();
        while let Err(difference) = self.compare(api, truth) {
            assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {difference}");
            std::thread::sleep(LOOK);
        }
    }

    fn compare(&self, api: &Role, truth: &Truth) -> Result<(), String> {
        self.nothing_is_under_way(truth)?;
        runtime().block_on(in_postgres(&self.postgres, truth))?;
        let events = runtime().block_on(in_mongo(&self.mongodb));
        same("events in MongoDB", &truth.archived(), &events)?;
        in_redis(&self.redis.url(), truth)?;
        in_api(api, truth)
    }

    /// The queue of events is empty, and that of dead letters has what was rejected.
    fn nothing_is_under_way(&self, truth: &Truth) -> Result<(), String> {
        let rejected = truth.rejected.values().sum();
        for (queue, n) in [("observatory.events", 0), ("jobs.failed.validation", rejected)] {
            let holds = self.vhost.queue(queue).ok_or("a queue is not known")?;
            equal(&format!("messages in {queue}"), n, holds.ready + holds.unacked)?;
        }
        Ok(())
    }
}

async fn in_postgres(url: &str, truth: &Truth) -> Result<(), String> {
    let client = postgres(url).await;
    for (table, n) in [("event_spill", 0), ("late_events", truth.late.len()), ("totals", 0)] {
        let found = number(&client, &format!("SELECT count(*) FROM {table}")).await;
        equal(table, n as i64, found)?;
    }
    let rejected = truth.rejected.iter().map(|(reason, n)| (reason.clone(), n.to_string()));
    let rejections = rows(&client, "SELECT reason, n::text FROM rejections").await;
    same("rejections in PostgreSQL", &rejected.collect(), &rejections)?;
    let jobs = "SELECT id::text, concat_ws(' ', state, type, queue, worker, attempt::text,
            extract(epoch FROM created_at) * 1000000, extract(epoch FROM started_at) * 1000000,
            extract(epoch FROM finished_at) * 1000000, error IS NOT NULL)
        FROM jobs WHERE retired_at IS NULL";
    let told = |job: &Job| {
        let times = [Some(job.created), job.started, job.finished].into_iter().flatten();
        let times: Vec<_> = times.map(|at| format!("{at}.000000")).collect();
        let Job { state, job_type, queue, worker, attempt, error, .. } = job;
        let error = if *error { "t" } else { "f" };
        format!("{state} {job_type} {queue} {worker} {attempt} {} {error}", times.join(" "))
    };
    let expected = truth.jobs.iter().map(|(id, job)| (id.to_string(), told(job))).collect();
    same("jobs in PostgreSQL", &expected, &rows(&client, jobs).await)?;

    let counts = "SELECT concat_ws(' ', state, type, queue, worker), jobs::text FROM counts";
    same("counts in PostgreSQL", &truth.counts(), &rows(&client, counts).await)?;

    let minutes = "SELECT concat_ws(' ', (extract(epoch FROM minute) * 1000000)::bigint, type),
            concat_ws(' ', created, finished, failed, cancelled, waits, wait_micros, runs, run_micros)
        FROM minute_stats WHERE created <> 0 OR finished <> 0";
    same("minutes in PostgreSQL", &truth.minutes(), &rows(&client, minutes).await)
}

/// The rows of a query for a key and what it has.
async fn rows(client: &Client, query: &str) -> Found {
    let rows = client.query(query, &[]).await.unwrap();
    rows.iter().map(|row: &Row| (row.get(0), row.get(1))).collect()
}

async fn in_mongo(url: &str) -> Found {
    let archive = Archive::connect(url).await.unwrap();
    let mut bodies = archive.all().await.unwrap();
    let mut found = Found::new();
    while let Some(body) = bodies.next().await.unwrap() {
        let late = if body.late { "late " } else { "" };
        found.insert(body.key, late.to_owned() + str::from_utf8(&body.body).unwrap());
    }
    found
}

fn in_redis(url: &str, truth: &Truth) -> Result<(), String> {
    let mut redis = redis::Client::open(url).unwrap().get_connection().unwrap();
    let hash: BTreeMap<String, String> = redis.hgetall("observatory:snapshot").unwrap();
    let counts = hash.iter().filter(|(field, _)| field.starts_with("counts:"));
    let counts = counts.map(|(_, row)| count(&serde_json::from_str(row).unwrap())).collect();
    same("counts in Redis", &truth.counts(), &counts)?;
    for (key, n) in truth.all_time() {
        let found: Option<u64> = redis.get(format!("metrics:jobs:{key}")).unwrap();
        equal(&format!("metrics:jobs:{key}"), n, found.unwrap_or(0))?;
    }
    Ok(())
}

fn in_api(api: &Role, truth: &Truth) -> Result<(), String> {
    let snapshot = api.get("/api/v1/snapshot").ok_or("the API has no snapshot")?;
    let counts = snapshot["counts"].as_array().ok_or("it has no counts")?;
    same("counts in the API", &truth.counts(), &counts.iter().map(count).collect())?;
    equal("jobs in the API", truth.jobs.len() as u64, snapshot["jobs"].as_u64().unwrap_or(0))?;
    equal("late events", truth.late.len() as u64, snapshot["late"].as_u64().unwrap_or(0))?;
    equal("rejections", &json!(truth.rejected), &snapshot["rejected"])?;
    let finished = truth.jobs.values().filter(|job| job.finished.is_some()).count() as u64;
    let mut latency = snapshot["latency"].as_array().into_iter().flatten();
    let total = latency
        .find(|row| row["measure"] == "total" && row["window"] == "all" && row["type"].is_null());
    equal("samples", finished, total.and_then(|row| row["samples"].as_u64()).unwrap_or(0))?;
    let stats = api.get("/stats").ok_or("the API has no stats")?;
    for (key, n) in truth.all_time() {
        equal(key, n, stats[format!("{key}Jobs")].as_u64().unwrap_or(0))?;
    }
    Ok(())
}

/// A row of counts.
fn count(row: &Value) -> (String, String) {
    let names = ["state", "type", "queue", "worker"].map(|name| row[name].as_str().unwrap_or(""));
    (names.join(" "), row["jobs"].to_string())
}

impl Truth {
    /// Every body, with the mark of those that came too late.
    fn archived(&self) -> Found {
        let late = self.late.iter().map(|(id, body)| (id.clone(), format!("late {body}")));
        self.events.clone().into_iter().chain(late).collect()
    }

    fn counts(&self) -> Found {
        let mut counts = BTreeMap::<String, u64>::new();
        for Job { state, job_type, queue, worker, .. } in self.jobs.values() {
            *counts.entry(format!("{state} {job_type} {queue} {worker}")).or_default() += 1;
        }
        counts.into_iter().map(|(cell, jobs)| (cell, jobs.to_string())).collect()
    }

    fn minutes(&self) -> Found {
        let mut minutes = BTreeMap::<String, [i64; 8]>::new();
        for job in self.jobs.values() {
            let key = |at: i64| format!("{} {}", at / MINUTE * MINUTE, job.job_type);
            minutes.entry(key(job.created)).or_default()[0] += 1;
            let Some(finished) = job.finished else { continue };
            let wait = job.started.map(|at| (at - job.created).max(0));
            let run = job.attempt_started.map(|at| (finished - at).max(0));
            let stats = minutes.entry(key(finished)).or_default();
            let is = |state: &str| i64::from(job.state == state);
            let known = |latency: Option<i64>| i64::from(latency.is_some());
            let (failed, cancelled) = (is("FAILED"), is("CANCELLED"));
            let (wait_micros, run_micros) = (wait.unwrap_or(0), run.unwrap_or(0));
            let more = [0, 1, failed, cancelled, known(wait), wait_micros, known(run), run_micros];
            stats.iter_mut().zip(more).for_each(|(n, more)| *n += more);
        }
        let told = |stats: [i64; 8]| stats.map(|n| n.to_string()).join(" ");
        minutes.into_iter().map(|(minute, stats)| (minute, told(stats))).collect()
    }

    /// Jobs of all time, by the names that go back to 1.0.0.
    fn all_time(&self) -> [(&'static str, u64); 3] {
        let n = |state: &str| self.jobs.values().filter(|job| job.state == state).count() as u64;
        let total = self.jobs.len() as u64;
        [("total", total), ("completed", n("COMPLETED")), ("failed", n("FAILED"))]
    }
}

fn equal<T: PartialEq + Display>(what: &str, expected: T, found: T) -> Result<(), String> {
    match expected == found {
        true => Ok(()),
        false => Err(format!("{what}: {found}, not {expected}")),
    }
}

/// Which keys are lost, unexpected, or have something else.
fn same(what: &str, expected: &Found, found: &Found) -> Result<(), String> {
    let lost = expected.keys().filter(|key| !found.contains_key(*key));
    let unexpected = found.keys().filter(|key| !expected.contains_key(*key));
    let differ = expected.iter().filter(|(key, is)| found.get(*key).is_some_and(|f| f != *is));
    let differ = differ.map(|(key, is)| format!("{key}: {} instead of {is}", found[key]));
    let (lost, unexpected) = (some(lost.cloned()), some(unexpected.cloned()));
    match (&*lost, &*unexpected, &*some(differ)) {
        ("", "", "") => Ok(()),
        (lost, unexpected, differ) => {
            let n = (expected.len(), found.len());
            Err(format!(
                "{what}, {n:?}: lost [{lost}], unexpected [{unexpected}], other [{differ}]"
            ))
        }
    }
}

/// How many, and the first of them.
fn some(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.collect();
    match all.len() {
        0 => String::new(),
        n => format!("{n}: {}", all[..n.min(3)].join(", ")),
    }
}
