//! A restart: what the store kept goes back into the dataflow.

use contracts::JobId;
use contracts::snapshot::AlertState;
use pipeline::Diff;
use pipeline::dataflow::Kept;
use pipeline::fact::{Input, Record};
use pipeline::name::Name;
use pipeline::summary::Summary;
use pipeline::views::alerts::{Alert, Value};
use pipeline::views::counts::Cell;
use pipeline::views::latency::{ABSENT, MEASURES, Sample};
use rusqlite::{Connection, OptionalExtension, Row};

use super::{Store, tick};
use crate::store::{Error, Recovery};

/// Jobs handed over at a time: enough to make a command's cost small, and 10 MB.
const CHUNK: usize = 50_000;

pub(super) fn recover(store: &Store) -> Result<Recovery, Error> {
    let connection = &store.connection;
    let mut kept = Vec::new();
    all(connection, "SELECT state, type, jobs FROM totals", |row| {
        let state = parsed(row, 0)?;
        let cell = Cell::Retired { state, job_type: name(row, 1)? };
        kept.push(Kept::Jobs(cell, row.get::<_, i64>(2)? as Diff));
        Ok(())
    })?;
    all(connection, "SELECT type, queue, measure, bucket, n FROM distributions", |row| {
        let measure: contracts::snapshot::Measure = parsed(row, 2)?;
        let mut buckets = [ABSENT; MEASURES.len()];
        buckets[measure as usize] = row.get(3)?;
        let (job_type, queue) = (name(row, 0)?, name(row, 1)?);
        let sample = Sample { job_type, queue, finished: 0, buckets };
        kept.push(Kept::Samples(sample, row.get::<_, i64>(4)? as Diff));
        Ok(())
    })?;
    let open = "SELECT alert, labels, active_at, state, fired_at, value, expr, annotations
                    FROM alerts WHERE resolved_at IS NULL";
    all(connection, open, |row| {
        let labels: String = row.get(1)?;
        let labels = serde_json::from_str(&labels)
            .map_err(|error| Error::Value(format!("labels of an alert: {error}")))?;
        let state: AlertState = parsed(row, 3)?;
        kept.push(Kept::Alert(Alert {
            alert: row.get(0)?,
            labels,
            state,
            active_at: tick(row.get(2)?),
            fired_at: row.get::<_, Option<i64>>(4)?.map(tick),
            value: Value::new(row.get(5)?),
            expr: row.get(6)?,
            annotations: serde_json::from_str(&row.get::<_, String>(7)?).unwrap_or_default(),
        }));
        Ok(())
    })?;
    let (frontier, youngest_retired) =
        connection.query_row("SELECT tick, youngest_retired FROM frontier", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    Ok(Recovery {
        generation: store.generation,
        frontier: tick(frontier),
        youngest_retired,
        kept,
        jobs: connection
            .query_row("SELECT coalesce(sum(jobs), 0) FROM counts", [], |row| row.get(0))?,
        rules: connection
            .query_row("SELECT yaml FROM rules ORDER BY id DESC LIMIT 1", [], |row| row.get(0))
            .optional()?,
    })
}

pub(super) fn jobs(
    connection: &Connection,
    take: &mut dyn FnMut(Vec<Input>),
) -> Result<u64, Error> {
    let sql = "SELECT id, summary, tick, abandoned_at, retired_at FROM jobs
                   WHERE retired_at IS NULL";
    let (mut chunk, mut n) = (Vec::with_capacity(CHUNK), 0);
    all(connection, sql, |row| {
        chunk.push(Input::Stored(Box::new(record(row)?)));
        n += 1;
        if chunk.len() == CHUNK {
            take(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK)));
        }
        Ok(())
    })?;
    take(chunk);
    Ok(n)
}

pub(super) fn lookup(connection: &Connection, job: JobId) -> Result<Option<Record>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT id, summary, tick, abandoned_at, retired_at FROM jobs WHERE id = ?1",
    )?;
    let mut rows = statement.query([job.as_bytes()])?;
    rows.next()?.map(record).transpose()
}

impl Store {
    /// Jobs that the reference worker has to execute, each with the attempt to make.
    pub fn unfinished_work(&self) -> Result<Vec<(JobId, u16)>, Error> {
        let mut work = Vec::new();
        let sql = "SELECT id, attempt, state FROM work JOIN jobs ON id = job_id";
        all(&self.connection, sql, |row| {
            let state: contracts::State = parsed(row, 2)?;
            let attempt: u16 = row.get(1)?;
            // An attempt that had begun is lost.
            let begun = matches!(state, contracts::State::Executing | contracts::State::Retrying);
            let attempt = if begun { attempt.saturating_add(1) } else { attempt };
            work.push((JobId::from_bytes(row.get(0)?), attempt));
            Ok(())
        })?;
        Ok(work)
    }
}

fn all(
    connection: &Connection,
    sql: &str,
    mut each: impl FnMut(&Row<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(row)?;
    }
    Ok(())
}

fn record(row: &Row<'_>) -> Result<Record, Error> {
    let job = JobId::from_bytes(row.get(0)?);
    let summary = row.get_ref(1)?.as_blob().map_err(|error| Error::Value(error.to_string()))?;
    Ok(Record {
        job,
        summary: Summary::decode(summary).map_err(|source| Error::Summary { job, source })?,
        tick: tick(row.get(2)?),
        abandoned_at: row.get::<_, Option<i64>>(3)?.map(tick),
        retired_at: row.get::<_, Option<i64>>(4)?.map(tick),
    })
}

fn name(row: &Row<'_>, column: usize) -> Result<Name, Error> {
    let text = row.get_ref(column)?.as_str().map_err(|error| Error::Value(error.to_string()))?;
    Ok(Name::new(text))
}

/// A column that holds one of a closed set of names.
pub(super) fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> Result<T, Error> {
    let text = row.get_ref(column)?.as_str().map_err(|error| Error::Value(error.to_string()))?;
    text.parse().map_err(|_| Error::Value(format!("`{text}`")))
}
