//! A restart: what the store kept goes back into the dataflow.

use std::collections::HashMap;
use std::pin::pin;

use contracts::JobId;
use contracts::snapshot::{AlertState, Measure};
use futures_util::TryStreamExt;
use pipeline::Diff;
use pipeline::dataflow::Kept;
use pipeline::distribution::Bucket;
use pipeline::fact::{Input, Record};
use pipeline::summary::Summary;
use pipeline::views::alerts::{Alert, Value};
use pipeline::views::counts::Cell;
use pipeline::views::latency::{ABSENT, MEASURES, Sample};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::columns::{At, Text};
use super::server::Fault;
use super::session::Session;
use super::{Mine, tick};
use crate::crash;
use crate::store::{Error, Recovery};

/// Jobs handed over at a time: enough to make a command's cost small, and 10 MB.
const CHUNK: usize = 50_000;

/// Reads all but the jobs. Nothing is written meanwhile: the only one who may is whoever asks, or
/// a later writer, who fences it at its first commit.
pub(super) async fn recover(session: &mut Session, mine: Mine) -> Result<Recovery, Fault> {
    let mut kept = Vec::new();
    for row in session.query("SELECT state, type, jobs FROM totals", &[]).await? {
        let Text(job_type) = row.try_get(1)?;
        let cell = Cell::Retired { state: parsed(&row, 0)?, job_type };
        kept.push(Kept::Jobs(cell, row.try_get::<_, i64>(2)? as Diff));
    }
    let samples = "SELECT type, queue, measure, bucket, n FROM distributions WHERE n <> 0";
    for row in session.query(samples, &[]).await? {
        let (Text(job_type), Text(queue)) = (row.try_get(0)?, row.try_get(1)?);
        let measure: Measure = parsed(&row, 2)?;
        let bucket = row.try_get::<_, i32>(3)?;
        let mut buckets = [ABSENT; MEASURES.len()];
        buckets[measure as usize] =
            Bucket::try_from(bucket).map_err(|_| Error::Value(format!("bucket {bucket}")))?;
        let sample = Sample { job_type, queue, finished: 0, buckets };
        kept.push(Kept::Samples(sample, row.try_get::<_, i64>(4)? as Diff));
    }
    let open = "SELECT alert, labels, active_at, state, fired_at, value, expr, annotations
        FROM alerts
        WHERE resolved_at IS NULL";
    for row in session.query(open, &[]).await? {
        let labels = serde_json::from_str(row.try_get(1)?)
            .map_err(|error| Error::Value(format!("labels of an alert: {error}")))?;
        let state: AlertState = parsed(&row, 3)?;
        kept.push(Kept::Alert(Alert {
            alert: row.try_get(0)?,
            labels,
            state,
            active_at: tick(row.try_get::<_, At>(2)?.0),
            fired_at: row.try_get::<_, Option<At>>(4)?.map(|at| tick(at.0)),
            value: Value::new(row.try_get(5)?),
            expr: row.try_get(6)?,
            annotations: serde_json::from_str(row.try_get(7)?).unwrap_or_default(),
        }));
    }
    let frontier = "SELECT tick, youngest_retired FROM frontier";
    let frontier = session.client().query_one(frontier, &[]).await?;
    let jobs = "SELECT coalesce(sum(jobs), 0)::bigint FROM counts";
    let jobs: i64 = session.client().query_one(jobs, &[]).await?.try_get(0)?;
    let rules = "SELECT yaml FROM rules ORDER BY id DESC LIMIT 1";
    let rules = session.client().query_opt(rules, &[]).await?;
    Ok(Recovery {
        generation: mine.generation,
        frontier: tick(frontier.try_get(0)?),
        youngest_retired: frontier.try_get::<_, Option<At>>(1)?.map(|at| at.0),
        kept,
        jobs: u64::try_from(jobs).unwrap_or(0),
        rules: rules.map(|row| row.try_get(0)).transpose()?,
    })
}

/// Hands over the jobs as they come: the server sends no faster than they are taken.
pub(super) async fn jobs(
    session: &mut Session,
    take: &mut dyn FnMut(Vec<Input>),
) -> Result<u64, Fault> {
    let sql = "SELECT id, summary, tick, abandoned_at, retired_at FROM jobs
        WHERE retired_at IS NULL";
    let statement = session.statement(sql).await?;
    let none: [&(dyn ToSql + Sync); 0] = [];
    let mut rows = pin!(session.client().query_raw(&statement, none).await?);
    let (mut chunk, mut n) = (Vec::with_capacity(CHUNK), 0);
    while let Some(row) = rows.try_next().await? {
        crash::point("restoring");
        chunk.push(Input::Stored(Box::new(record(&row)?)));
        n += 1;
        if chunk.len() == CHUNK {
            take(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK)));
        }
    }
    take(chunk);
    Ok(n)
}

pub(super) async fn lookup(
    session: &mut Session,
    jobs: &[JobId],
) -> Result<Vec<Option<Record>>, Fault> {
    let sql = "SELECT id, summary, tick, abandoned_at, retired_at FROM jobs WHERE id = ANY($1)";
    let mut found = HashMap::with_capacity(jobs.len());
    for row in session.query(sql, &[&jobs]).await? {
        let record = record(&row)?;
        found.insert(record.job, record);
    }
    // A job may be asked for more than once.
    Ok(jobs.iter().map(|job| found.get(job).cloned()).collect())
}

fn record(row: &Row) -> Result<Record, Fault> {
    let job = row.try_get(0)?;
    let at = |column| Ok::<_, Fault>(row.try_get::<_, Option<At>>(column)?.map(|at| tick(at.0)));
    Ok(Record {
        job,
        summary: Summary::decode(row.try_get(1)?)
            .map_err(|source| Error::Summary { job, source })?,
        tick: tick(row.try_get(2)?),
        abandoned_at: at(3)?,
        retired_at: at(4)?,
    })
}

/// A column that holds one of a closed set of names.
pub(super) fn parsed<T: std::str::FromStr>(row: &Row, column: usize) -> Result<T, Fault> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|_| Error::Value(format!("`{text}`")).into())
}
