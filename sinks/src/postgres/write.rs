//! What a commit writes: decided here, sent elsewhere.
//!
//! Each statement takes its rows as one array per column. No two statements of a plan touch the same
//! row, so their order does not matter.

use std::collections::BTreeMap;

use contracts::workers::KnownWorker;
use contracts::{JobId, State};
use ingress::submit::Submitted;
use pipeline::fact::Record;
use pipeline::lives::FORGOTTEN;
use pipeline::row::Row;
use pipeline::seal::Updates;
use pipeline::summary::{Standing, Summary, UNKNOWN};
use pipeline::views::alerts::Alert;
use pipeline::views::counts::Cell;
use pipeline::views::latency::{MEASURES, Sample};
use pipeline::views::minutes::{Minute, MinuteStats};
use pipeline::{Diff, Tick};

use super::bigint;
use super::columns::{At, Text, Write};
use super::spill;
use crate::changes;
use crate::commit::{Accepted, Commit, Details, SpillRow};

/// Rows of jobs in one statement: more make it no faster, and its sort and its memory larger.
const ROWS: usize = 2_000;

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Now,
    /// An attempt whose outcome was lost had succeeded.
    Before,
}

/// What the row of the frontier learns, beside the tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frontier {
    pub(super) youngest_retired: Option<i64>,
    pub(super) last_event: Option<i64>,
}

pub(super) fn frontier(commit: &Commit) -> Frontier {
    Frontier { youngest_retired: commit.sealed.youngest_retired(), last_event: commit.last_event() }
}

/// The statements of a commit, but for the frontier.
pub(super) fn plan<'a>(commit: &'a Commit, spill: &'a [SpillRow]) -> Vec<Write<'a>> {
    let mut writes = Vec::new();
    jobs(commit, &mut writes);
    counts(&commit.sealed.counts, &mut writes);
    minutes(&commit.sealed.minutes, &mut writes);
    distributions(&commit.sealed.retired, &mut writes);
    alerts(&commit.sealed.alerts, &mut writes);
    late_events(commit, &mut writes);
    if !commit.rejected.is_empty() {
        let write = Write::new(
            "INSERT INTO rejections AS known SELECT * FROM unnest($1::text[], $2::bigint[])
             ON CONFLICT (reason) DO UPDATE SET n = known.n + excluded.n",
        );
        let write = write.column(commit.rejected.keys().map(|reason| reason.as_str()));
        writes.push(write.column(commit.rejected.values().map(|n| *n as i64)));
    }
    workers(commit, &mut writes);
    if !spill.is_empty() {
        writes.push(spill::keep(spill));
    }
    writes
}

/// What is heard now is never old enough to be forgotten, so the two do not touch the same row.
fn workers<'a>(commit: &'a Commit, writes: &mut Vec<Write<'a>>) {
    let Some(heard) = commit.last_heard() else { return };
    let workers = commit.workers.values();
    let known = |known: fn(&KnownWorker) -> At| workers.clone().map(known);
    let upsert = Write::new(
        "INSERT INTO workers AS known (worker, said_at, heard_at, online_at, heartbeat)
         SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[],
             $4::timestamptz[], $5::text[])
         ON CONFLICT (worker) DO UPDATE SET
             said_at = greatest(known.said_at, excluded.said_at),
             heartbeat = CASE WHEN excluded.said_at >= known.said_at
                 THEN excluded.heartbeat ELSE known.heartbeat END,
             heard_at = greatest(known.heard_at, excluded.heard_at),
             online_at = greatest(known.online_at, excluded.online_at)",
    );
    let upsert = upsert
        .column(commit.workers.keys().map(String::as_str))
        .column(known(|known| At(known.last.at.0)))
        .column(known(|known| At(known.heard_at.0)))
        .column(workers.clone().map(|known| known.online_at.map(|at| At(at.0))))
        .column(workers.map(|known| serde_json::to_string(&known.last).unwrap_or_default()));
    writes.push(upsert);
    let forget = heard.saturating_sub(FORGOTTEN);
    writes.push(Write::new("DELETE FROM workers WHERE heard_at < $1").with(At(forget)));
}

/// The statement that writes jobs, but for what becomes of an error that is there.
macro_rules! upsert_jobs {
    ($error:literal) => {
        concat!(
            "INSERT INTO jobs AS known (id, type, state, inferred, queue, worker, attempt, created_at,
                 validated_at, started_at, finished_at, tick, abandoned_at, retired_at, summary,
                 error, metadata, metadata_standing)
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::boolean[], $5::text[],
                 $6::text[], $7::integer[], $8::timestamptz[], $9::timestamptz[],
                 $10::timestamptz[], $11::timestamptz[], $12::bigint[], $13::timestamptz[],
                 $14::timestamptz[], $15::bytea[], $16::text[], $17::text[], $18::bytea[])
             ON CONFLICT (id) DO UPDATE SET
                 type = excluded.type, state = excluded.state, inferred = excluded.inferred,
                 queue = excluded.queue, worker = excluded.worker, attempt = excluded.attempt,
                 created_at = excluded.created_at, validated_at = excluded.validated_at,
                 started_at = excluded.started_at, finished_at = excluded.finished_at,
                 tick = excluded.tick, abandoned_at = excluded.abandoned_at,
                 retired_at = excluded.retired_at, summary = excluded.summary,
                 error = ", $error, ",
                 metadata = CASE WHEN (excluded.metadata_standing, excluded.metadata)
                         > (coalesce(known.metadata_standing, ''), coalesce(known.metadata, ''))
                     THEN excluded.metadata ELSE known.metadata END,
                 metadata_standing = greatest(known.metadata_standing, excluded.metadata_standing)"
        )
    };
}

/// Of jobs whose deciding event is in the commit.
const DECIDED: &str = upsert_jobs!("excluded.error");

/// Of jobs that were decided before: the store has their error already. Or they were decided by an
/// event without an error that another process has taken in; then what decides them, which a summary
/// begins with, has changed.
const OTHERS: &str = upsert_jobs!(
    "CASE WHEN substring(known.summary FOR 29) = substring(excluded.summary FOR 29)
         THEN known.error END"
);

const _: () = assert!(Summary::DECIDED_BY == 29, "the statement above says it in digits");

/// Of jobs of which a commit says nothing else.
const METADATA: &str =
    "UPDATE jobs SET metadata = given.metadata, metadata_standing = given.standing
    FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS given (id, metadata, standing)
    WHERE jobs.id = given.id AND (given.standing, given.metadata COLLATE \"C\")
        > (coalesce(metadata_standing, ''), coalesce(jobs.metadata, ''))";

/// A job's row, and what its events give it.
struct Job<'a> {
    record: &'a Record,
    row: Row,
    error: Option<&'a str>,
    metadata: Option<Metadata<'a>>,
}

/// Metadata is that of the fact with the greatest standing among those that carry some: a join,
/// made here and in the store, so that memory need not hold it. Two contents under one event id may
/// tie; then the greater text wins.
type Metadata<'a> = ([u8; 28], &'a str);

fn jobs<'a>(commit: &'a Commit, writes: &mut Vec<Write<'a>>) {
    let details = Details::of(commit);
    let mut metadata = metadata(commit);
    let (mut decided, mut others) = (Vec::new(), Vec::new());
    for (job, record) in changes::records(&commit.sealed.records) {
        let error = changes::error(&record.summary, details.about(job));
        let jobs = if error.is_some() { &mut decided } else { &mut others };
        jobs.push(Job {
            record,
            row: Row::of(job, &record.summary, record.abandoned_at.is_some()),
            error: error.flatten(),
            metadata: metadata.remove(&job),
        });
    }
    writes.extend(decided.chunks(ROWS).map(|jobs| upsert(DECIDED, jobs)));
    writes.extend(others.chunks(ROWS).map(|jobs| upsert(OTHERS, jobs)));
    if !metadata.is_empty() {
        let write = Write::new(METADATA).column(metadata.keys().copied());
        let write = write.column(metadata.values().map(|(_, text)| *text));
        writes.push(write.column(metadata.values().map(|(standing, _)| standing.to_vec())));
    }
}

fn metadata(commit: &Commit) -> BTreeMap<JobId, Metadata<'_>> {
    let mut greatest = BTreeMap::<JobId, Metadata<'_>>::new();
    for Accepted { event, .. } in commit.told().filter(|accepted| !accepted.late) {
        if let Submitted { fact, metadata: Some(text), .. } = event {
            let given = (Standing::of(fact).to_bytes(), text.as_str());
            let metadata = greatest.entry(fact.job).or_insert(given);
            *metadata = given.max(*metadata);
        }
    }
    greatest
}

fn upsert<'a>(sql: &'static str, jobs: &[Job<'a>]) -> Write<'a> {
    let known = |time: i64| (time != UNKNOWN).then_some(At(time));
    let at = |tick: Option<Tick>| tick.map(|tick| At(bigint(tick)));
    Write::new(sql)
        .column(jobs.iter().map(|job| job.record.job))
        .column(jobs.iter().map(|job| Text(job.row.job_type)))
        .column(jobs.iter().map(|job| job.row.state.as_str()))
        .column(jobs.iter().map(|job| job.row.inferred))
        .column(jobs.iter().map(|job| Text(job.row.queue)))
        .column(jobs.iter().map(|job| Text(job.row.worker)))
        .column(jobs.iter().map(|job| i32::from(job.record.summary.top.attempt)))
        .column(jobs.iter().map(|job| At(job.row.created)))
        .column(jobs.iter().map(|job| known(job.record.summary.validated)))
        .column(jobs.iter().map(|job| known(job.row.started)))
        .column(jobs.iter().map(|job| known(job.row.finished)))
        .column(jobs.iter().map(|job| bigint(job.record.tick)))
        .column(jobs.iter().map(|job| at(job.record.abandoned_at)))
        .column(jobs.iter().map(|job| at(job.record.retired_at)))
        .column(jobs.iter().map(|job| job.record.summary.encode()))
        .column(jobs.iter().map(|job| job.error))
        .column(jobs.iter().map(|job| job.metadata.map(|(_, text)| text)))
        .column(jobs.iter().map(|job| job.metadata.map(|(standing, _)| standing.to_vec())))
}

fn counts<'a>(updates: &Updates<(Cell, Diff)>, writes: &mut Vec<Write<'a>>) {
    let (mut live, mut retired) = (Vec::new(), Vec::new());
    for (cell, jobs) in changes::cells(updates) {
        match cell {
            Cell::Live { state, job_type, queue, worker } => {
                live.push((state, job_type, queue, worker, jobs as i64));
            }
            Cell::Retired { state, job_type } => retired.push((state, job_type, jobs as i64)),
            // Recounted from the rows at a restart.
            Cell::Skewed => {}
        }
    }

    let (gone, there): (Vec<_>, Vec<_>) = live.into_iter().partition(|(.., jobs)| *jobs == 0);
    let keys = |sql, cells: &[(State, _, _, _, _)]| {
        Write::new(sql)
            .column(cells.iter().map(|(state, ..)| state.as_str()))
            .column(cells.iter().map(|(_, job_type, ..)| Text(*job_type)))
            .column(cells.iter().map(|(_, _, queue, ..)| Text(*queue)))
            .column(cells.iter().map(|(_, _, _, worker, _)| Text(*worker)))
    };
    if !there.is_empty() {
        let sql = "INSERT INTO counts (state, type, queue, worker, jobs)
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
            ON CONFLICT (state, type, queue, worker) DO UPDATE SET jobs = excluded.jobs";
        writes.push(keys(sql, &there).column(there.iter().map(|(.., jobs)| *jobs)));
    }
    if !gone.is_empty() {
        let sql = "DELETE FROM counts
            USING unnest($1::text[], $2::text[], $3::text[], $4::text[])
                AS gone (state, type, queue, worker)
            WHERE (counts.state, counts.type, counts.queue, counts.worker)
                = (gone.state, gone.type, gone.queue, gone.worker)";
        writes.push(keys(sql, &gone));
    }

    let (gone, there): (Vec<_>, Vec<_>) = retired.into_iter().partition(|(.., jobs)| *jobs == 0);
    let keys = |sql, cells: &[(State, _, _)]| {
        Write::new(sql)
            .column(cells.iter().map(|(state, ..)| state.as_str()))
            .column(cells.iter().map(|(_, job_type, _)| Text(*job_type)))
    };
    if !there.is_empty() {
        let sql = "INSERT INTO totals (state, type, jobs)
            SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
            ON CONFLICT (state, type) DO UPDATE SET jobs = excluded.jobs";
        writes.push(keys(sql, &there).column(there.iter().map(|(.., jobs)| *jobs)));
    }
    if !gone.is_empty() {
        let sql = "DELETE FROM totals
            USING unnest($1::text[], $2::text[]) AS gone (state, type)
            WHERE (totals.state, totals.type) = (gone.state, gone.type)";
        writes.push(keys(sql, &gone));
    }
}

fn minutes<'a>(updates: &Updates<Minute, MinuteStats>, writes: &mut Vec<Write<'a>>) {
    let minutes = changes::minutes(updates);
    if minutes.is_empty() {
        return;
    }
    let write = Write::new(
        "INSERT INTO minute_stats AS known (minute, type, created, finished, failed, cancelled,
             waits, wait_micros, runs, run_micros)
         SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::bigint[], $4::bigint[],
             $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[])
         ON CONFLICT (minute, type) DO UPDATE SET
             created = known.created + excluded.created,
             finished = known.finished + excluded.finished,
             failed = known.failed + excluded.failed,
             cancelled = known.cancelled + excluded.cancelled,
             waits = known.waits + excluded.waits,
             wait_micros = known.wait_micros + excluded.wait_micros,
             runs = known.runs + excluded.runs,
             run_micros = known.run_micros + excluded.run_micros",
    );
    let write = write
        .column(minutes.keys().map(|minute| At(minute.start)))
        .column(minutes.keys().map(|minute| Text(minute.job_type)))
        .column(minutes.values().map(|stats| stats.created))
        .column(minutes.values().map(|stats| stats.finished))
        .column(minutes.values().map(|stats| stats.failed))
        .column(minutes.values().map(|stats| stats.cancelled))
        .column(minutes.values().map(|stats| stats.waits))
        .column(minutes.values().map(|stats| stats.wait_micros))
        .column(minutes.values().map(|stats| stats.runs))
        .column(minutes.values().map(|stats| stats.run_micros));
    writes.push(write);
}

fn distributions<'a>(updates: &Updates<Sample>, writes: &mut Vec<Write<'a>>) {
    let buckets = changes::buckets(updates);
    if buckets.is_empty() {
        return;
    }
    let write = Write::new(
        "INSERT INTO distributions AS known (type, queue, measure, bucket, n)
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::bigint[])
         ON CONFLICT (type, queue, measure, bucket) DO UPDATE SET n = known.n + excluded.n",
    );
    let write = write
        .column(buckets.keys().map(|(job_type, ..)| Text(*job_type)))
        .column(buckets.keys().map(|(_, queue, ..)| Text(*queue)))
        .column(buckets.keys().map(|(_, _, measure, _)| MEASURES[*measure].as_str()))
        .column(buckets.keys().map(|(.., bucket)| i32::from(*bucket)))
        .column(buckets.values().map(|n| *n as i64));
    writes.push(write);
}

/// What an episode came to in a commit.
enum Episode<'a> {
    /// It is open; or it began and ended here, at the tick.
    Known(&'a Alert, Option<Tick>),
    /// One that the store knows ended at the tick.
    Ended(Tick),
}

/// An episode that fired and ended is history; one that did not fire was none.
fn alerts<'a>(updates: &'a Updates<Alert>, writes: &mut Vec<Write<'a>>) {
    // In the order of ticks, a retraction before what takes its place.
    let mut updates: Vec<_> = updates.iter().collect();
    updates.sort_by_key(|(_, tick, diff)| (*tick, *diff));
    let mut episodes = BTreeMap::new();
    for (alert, tick, diff) in updates {
        let labels = serde_json::to_string(&alert.labels).unwrap_or_default();
        let key = (alert.alert.as_str(), labels, alert.active_at);
        let episode = match (episodes.get(&key), *diff > 0) {
            (_, true) => Episode::Known(alert, None),
            (Some(Episode::Known(known, _)), false) => Episode::Known(known, Some(*tick)),
            (_, false) => Episode::Ended(*tick),
        };
        episodes.insert(key, episode);
    }

    let (mut known, mut ended) = (Vec::new(), Vec::new());
    for (key, episode) in episodes {
        match episode {
            Episode::Known(alert, Some(tick)) if alert.fired_at.is_none() => {
                ended.push((key, tick));
            }
            Episode::Known(alert, resolved_at) => known.push((key, alert, resolved_at)),
            Episode::Ended(tick) => ended.push((key, tick)),
        }
    }
    let at = |tick: Tick| At(bigint(tick));
    if !known.is_empty() {
        let write = Write::new(
            "INSERT INTO alerts (alert, labels, active_at, state, fired_at, resolved_at, value, expr,
                 annotations)
             SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[],
                 $5::timestamptz[], $6::timestamptz[], $7::double precision[], $8::text[],
                 $9::text[])
             ON CONFLICT (alert, labels, active_at) DO UPDATE SET state = excluded.state,
                 fired_at = excluded.fired_at, resolved_at = excluded.resolved_at,
                 value = excluded.value, expr = excluded.expr,
                 annotations = excluded.annotations",
        );
        let state = |alert: &Alert, resolved: bool| match resolved {
            true => "resolved",
            false => alert.state.as_str(),
        };
        let write = write
            .column(known.iter().map(|((alert, ..), ..)| *alert))
            .column(known.iter().map(|((_, labels, _), ..)| labels.clone()))
            .column(known.iter().map(|((.., active_at), ..)| at(*active_at)))
            .column(known.iter().map(|(_, alert, resolved)| state(alert, resolved.is_some())))
            .column(known.iter().map(|(_, alert, _)| alert.fired_at.map(at)))
            .column(known.iter().map(|(.., resolved_at)| resolved_at.map(at)))
            .column(known.iter().map(|(_, alert, _)| alert.value.get()))
            .column(known.iter().map(|(_, alert, _)| alert.expr.as_str()))
            .column(known.iter().map(|(_, alert, _)| {
                serde_json::to_string(&alert.annotations).unwrap_or_default()
            }));
        writes.push(write);
    }
    if !ended.is_empty() {
        let keys = |sql| {
            Write::new(sql)
                .column(ended.iter().map(|((alert, ..), _)| *alert))
                .column(ended.iter().map(|((_, labels, _), _)| labels.clone()))
                .column(ended.iter().map(|((.., active_at), _)| at(*active_at)))
        };
        let resolve = keys(
            "UPDATE alerts SET state = 'resolved', resolved_at = ended.at
             FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])
                 AS ended (alert, labels, active_at, at)
             WHERE (alerts.alert, alerts.labels, alerts.active_at)
                 = (ended.alert, ended.labels, ended.active_at) AND fired_at IS NOT NULL",
        );
        writes.push(resolve.column(ended.iter().map(|(_, tick)| at(*tick))));
        writes.push(keys(
            "DELETE FROM alerts
             USING unnest($1::text[], $2::text[], $3::timestamptz[])
                 AS ended (alert, labels, active_at)
             WHERE (alerts.alert, alerts.labels, alerts.active_at)
                 = (ended.alert, ended.labels, ended.active_at) AND fired_at IS NULL",
        ));
    }
}

fn late_events<'a>(commit: &'a Commit, writes: &mut Vec<Write<'a>>) {
    let late: Vec<&Accepted> = commit.told().filter(|accepted| accepted.late).collect();
    if late.is_empty() {
        return;
    }
    let content = |body: &[u8]| xxhash_rust::xxh3::xxh3_64(body).cast_signed();
    let write = Write::new(
        "INSERT INTO late_events (event_id, content, job_id, occurred_at, tick)
         SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::timestamptz[], $5::bigint[])
         ON CONFLICT DO NOTHING",
    );
    let write = write
        .column(late.iter().map(|accepted| accepted.event.fact.event))
        .column(late.iter().map(|accepted| content(&accepted.event.body)))
        .column(late.iter().map(|accepted| accepted.event.fact.job))
        .column(late.iter().map(|accepted| At(accepted.event.fact.at)))
        .column(late.iter().map(|accepted| bigint(accepted.tick)));
    writes.push(write);
}
