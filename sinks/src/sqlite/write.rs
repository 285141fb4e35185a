//! One transaction per group of ticks.

use contracts::workers::KnownWorker;
use ingress::submit::Submitted;
use pipeline::Diff;
use pipeline::fact::Record;
use pipeline::lives::FORGOTTEN;
use pipeline::row::Row;
use pipeline::seal::Updates;
use pipeline::summary::{Standing, UNKNOWN};
use pipeline::views::alerts::Alert;
use pipeline::views::counts::Cell;
use pipeline::views::latency::{MEASURES, Sample};
use pipeline::views::minutes::{Minute, MinuteStats};
use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};

use super::{Store, micros};
use crate::changes;
use crate::commit::{Accepted, Commit, Details};
use crate::store::{Archived, Error};

/// One transaction: wholly, or not at all.
pub(super) fn commit(store: &mut Store, commit: &Commit) -> Result<Archived, Error> {
    let ours = store.generation;
    let transaction = store.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let moved = transaction
            .prepare_cached(
                "UPDATE frontier SET tick = ?1,
                 youngest_retired = max(coalesce(youngest_retired, ?3), coalesce(?3, youngest_retired))
                 WHERE generation = ?2",
            )?
            .execute(params![
                micros(commit.sealed.upper),
                ours,
                commit.sealed.youngest_retired()
            ])?;
    if moved == 0 {
        let theirs =
            transaction.query_row("SELECT generation FROM frontier", [], |row| row.get(0))?;
        return Err(Error::Fenced { ours, theirs });
    }
    let archived = archive(&transaction, &commit.events)?;
    jobs(&transaction, commit)?;
    counts(&transaction, &commit.sealed.counts)?;
    minutes(&transaction, &commit.sealed.minutes)?;
    distributions(&transaction, &commit.sealed.retired)?;
    alerts(&transaction, &commit.sealed.alerts)?;
    for (reason, n) in &commit.rejected {
        transaction
            .prepare_cached(
                "INSERT INTO rejections VALUES (?1, ?2)
                     ON CONFLICT DO UPDATE SET n = n + excluded.n",
            )?
            .execute(params![reason.as_str(), n])?;
    }
    workers(&transaction, commit)?;
    transaction.commit()?;
    Ok(archived)
}

fn workers(transaction: &Transaction<'_>, commit: &Commit) -> Result<(), Error> {
    let Some(heard) = commit.last_heard() else { return Ok(()) };
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO workers VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET
             said_at = max(said_at, ?2),
             heartbeat = CASE WHEN ?2 >= said_at THEN ?5 ELSE heartbeat END,
             heard_at = max(heard_at, ?3),
             online_at = max(coalesce(online_at, ?4), coalesce(?4, online_at))",
    )?;
    for KnownWorker { last, heard_at, online_at } in commit.workers.values() {
        upsert.execute(params![
            last.worker,
            last.at.0,
            heard_at.0,
            online_at.map(|at| at.0),
            serde_json::to_string(last).unwrap_or_default()
        ])?;
    }
    let forget = heard.saturating_sub(FORGOTTEN);
    transaction.prepare_cached("DELETE FROM workers WHERE heard_at < ?1")?.execute([forget])?;
    Ok(())
}

/// Archives the events; a second content under one id gets a key of its own.
fn archive(transaction: &Transaction<'_>, events: &[Accepted]) -> Result<Archived, Error> {
    let mut archived = Archived::default();
    let mut insert = transaction.prepare_cached(
        "INSERT OR IGNORE INTO job_events (key, job_id, occurred_at, tick, late, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut known = transaction.prepare_cached("SELECT body FROM job_events WHERE key = ?1")?;
    for Accepted { tick, event, late } in events {
        let Submitted { fact, body, .. } = event;
        let mut insert = |key: &str| {
            insert.execute(params![
                key,
                fact.job.as_bytes(),
                fact.at,
                micros(*tick),
                late,
                body.as_slice()
            ])
        };
        let mut key = fact.event.to_string();
        if insert(&key)? == 1 {
            archived.new += 1;
        } else {
            let first: Vec<u8> = known.query_row([&key], |row| row.get(0))?;
            if first == *body {
                archived.repeated += 1;
            } else {
                key = format!("{key}:{:016x}", xxhash_rust::xxh3::xxh3_64(body));
                let new = insert(&key)? == 1;
                archived.conflicting += u64::from(new);
                archived.repeated += u64::from(!new);
            }
        }
        if *late {
            transaction
                .prepare_cached("INSERT OR IGNORE INTO late_events VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![key, fact.job.as_bytes(), fact.at, micros(*tick)])?;
        }
        if event.execute {
            transaction
                .prepare_cached("INSERT OR IGNORE INTO work VALUES (?1)")?
                .execute([fact.job.as_bytes()])?;
        }
    }
    Ok(archived)
}

fn jobs(transaction: &Transaction<'_>, commit: &Commit) -> Result<(), Error> {
    let details = Details::of(commit);
    for record in changes::records(&commit.sealed.records).values() {
        job(transaction, record, details.about(record.job))?;
    }
    // Metadata may come with an event that changes nothing else.
    for Accepted { event, late, .. } in &commit.events {
        if event.metadata.is_some() && !late {
            metadata(transaction, event)?;
        }
    }
    Ok(())
}

fn job(transaction: &Transaction<'_>, record: &Record, events: &[&Submitted]) -> Result<(), Error> {
    let summary = &record.summary;
    let row = Row::of(record.job, summary, record.abandoned_at.is_some());
    // The error is that of the deciding event; if it is not among these, the store has it already.
    let error = changes::error(summary, events);
    let known = |time: i64| (time != UNKNOWN).then_some(time);
    transaction
        .prepare_cached(
            "INSERT INTO jobs (id, type, state, inferred, queue, worker, attempt, created_at,
                 validated_at, started_at, finished_at, tick, abandoned_at, retired_at, summary,
                 error)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
             ON CONFLICT DO UPDATE SET type = ?2, state = ?3, inferred = ?4, queue = ?5,
                 worker = ?6, attempt = ?7, created_at = ?8, validated_at = ?9, started_at = ?10,
                 finished_at = ?11, tick = ?12, abandoned_at = ?13, retired_at = ?14,
                 summary = ?15, error = CASE ?17 WHEN 1 THEN ?16 ELSE error END",
        )?
        .execute(params![
            record.job.as_bytes(),
            &*row.job_type.text(),
            row.state.as_str(),
            row.inferred,
            &*row.queue.text(),
            &*row.worker.text(),
            summary.top.attempt,
            row.created,
            known(summary.validated),
            known(row.started),
            known(row.finished),
            micros(record.tick),
            record.abandoned_at.map(micros),
            record.retired_at.map(micros),
            summary.encode(),
            error.flatten(),
            error.is_some(),
        ])?;
    if row.state.terminal() {
        transaction
            .prepare_cached("DELETE FROM work WHERE job_id = ?1")?
            .execute([record.job.as_bytes()])?;
    }
    Ok(())
}

/// Metadata is that of the fact with the greatest standing among those that carry some: a join,
/// decided here so that memory need not hold it. Two contents under one event id may tie; then the
/// greater text wins.
fn metadata(transaction: &Transaction<'_>, event: &Submitted) -> Result<(), Error> {
    let standing = Standing::of(&event.fact).to_bytes();
    transaction
        .prepare_cached(
            "UPDATE jobs SET metadata = ?2, metadata_standing = ?3
             WHERE id = ?1 AND (coalesce(metadata_standing, x''), coalesce(metadata, '')) < (?3, ?2)",
        )?
        .execute(params![event.fact.job.as_bytes(), event.metadata, standing])?;
    Ok(())
}

fn counts(transaction: &Transaction<'_>, updates: &Updates<(Cell, Diff)>) -> Result<(), Error> {
    for (cell, jobs) in changes::cells(updates) {
        match cell {
            Cell::Live { state, job_type, queue, worker } => {
                let key = params![
                    state.as_str(),
                    &*job_type.text(),
                    &*queue.text(),
                    &*worker.text(),
                    jobs as i64
                ];
                let sql = match jobs {
                    0 => {
                        "DELETE FROM counts WHERE (state, type, queue, worker, ?5)
                          = (?1, ?2, ?3, ?4, 0)"
                    }
                    _ => "INSERT OR REPLACE INTO counts VALUES (?1, ?2, ?3, ?4, ?5)",
                };
                transaction.prepare_cached(sql)?.execute(key)?;
            }
            Cell::Retired { state, job_type } => {
                let sql = match jobs {
                    0 => "DELETE FROM totals WHERE (state, type, ?3) = (?1, ?2, 0)",
                    _ => "INSERT OR REPLACE INTO totals VALUES (?1, ?2, ?3)",
                };
                let key = params![state.as_str(), &*job_type.text(), jobs as i64];
                transaction.prepare_cached(sql)?.execute(key)?;
            }
            // Recounted from the rows at a restart.
            Cell::Skewed => {}
        }
    }
    Ok(())
}

fn minutes(
    transaction: &Transaction<'_>,
    updates: &Updates<Minute, MinuteStats>,
) -> Result<(), Error> {
    let mut add = transaction.prepare_cached(
        "INSERT INTO minute_stats VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT DO UPDATE SET created = created + ?3, finished = finished + ?4,
             failed = failed + ?5, cancelled = cancelled + ?6, waits = waits + ?7,
             wait_micros = wait_micros + ?8, runs = runs + ?9, run_micros = run_micros + ?10",
    )?;
    for (minute, stats) in changes::minutes(updates) {
        add.execute(params![
            minute.start,
            &*minute.job_type.text(),
            stats.created,
            stats.finished,
            stats.failed,
            stats.cancelled,
            stats.waits,
            stats.wait_micros,
            stats.runs,
            stats.run_micros
        ])?;
    }
    Ok(())
}

fn distributions(transaction: &Transaction<'_>, updates: &Updates<Sample>) -> Result<(), Error> {
    let mut add = transaction.prepare_cached(
        "INSERT INTO distributions VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET n = n + excluded.n",
    )?;
    for ((job_type, queue, measure, bucket), n) in changes::buckets(updates) {
        add.execute(params![
            &*job_type.text(),
            &*queue.text(),
            MEASURES[measure].as_str(),
            bucket,
            n as i64
        ])?;
    }
    if !updates.is_empty() {
        transaction.prepare_cached("DELETE FROM distributions WHERE n = 0")?.execute([])?;
    }
    Ok(())
}

fn alerts(transaction: &Transaction<'_>, updates: &Updates<Alert>) -> Result<(), Error> {
    // In the order of ticks, a retraction before what takes its place.
    let mut updates: Vec<_> = updates.iter().collect();
    updates.sort_by_key(|(_, tick, diff)| (*tick, *diff));
    for (alert, tick, diff) in updates {
        let labels = serde_json::to_string(&alert.labels).unwrap_or_default();
        let key = params![alert.alert, labels, micros(alert.active_at)];
        if *diff > 0 {
            transaction
                .prepare_cached(
                    "INSERT INTO alerts
                         (alert, labels, active_at, state, fired_at, value, expr, annotations)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                     ON CONFLICT DO UPDATE SET state = excluded.state,
                         fired_at = excluded.fired_at, resolved_at = NULL, value = excluded.value,
                         expr = excluded.expr, annotations = excluded.annotations",
                )?
                .execute(params![
                    alert.alert,
                    labels,
                    micros(alert.active_at),
                    alert.state.as_str(),
                    alert.fired_at.map(micros),
                    alert.value.get(),
                    alert.expr,
                    serde_json::to_string(&alert.annotations).unwrap_or_default()
                ])?;
            continue;
        }
        // An episode that fired is history; one that did not was none.
        let fired: Option<Option<i64>> = transaction
            .prepare_cached(
                "SELECT fired_at FROM alerts WHERE (alert, labels, active_at) = (?1, ?2, ?3)",
            )?
            .query_row(key, |row| row.get(0))
            .optional()?;
        let sql = match fired.flatten() {
            Some(_) => {
                "UPDATE alerts SET state = 'resolved', resolved_at = ?4
                 WHERE (alert, labels, active_at) = (?1, ?2, ?3)"
            }
            None => "DELETE FROM alerts WHERE (alert, labels, active_at, ?4) = (?1, ?2, ?3, ?4)",
        };
        transaction.prepare_cached(sql)?.execute(params![
            alert.alert,
            labels,
            micros(alert.active_at),
            micros(*tick)
        ])?;
    }
    Ok(())
}
