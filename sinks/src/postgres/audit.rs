//! Everything that the tables hold, in one transaction, for whoever checks it.
//!
//! Values are given as they are, also those that should not be there: what is wrong with them is
//! for the reader to say.
//!
//! # Cost
//!
//! A scan of the jobs, which come one after another as they are taken; the rest is small and comes
//! at once.

use std::collections::BTreeMap;
use std::pin::pin;

use contracts::JobId;
use futures_util::TryStreamExt;
use pipeline::Tick;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::columns::At;
use super::server::Fault;
use super::tick;

/// Sees the store as of its first statement.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

const JOBS: &str = "SELECT id, type, state, inferred, queue, worker, attempt, created_at,
        validated_at, started_at, finished_at, error, metadata, tick, abandoned_at, retired_at,
        summary
    FROM jobs";

/// How far the store has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub generation: i64,
    /// Everything before is durable.
    pub frontier: Tick,
    /// The last tick that changed a job, gave one up, or retired one.
    pub changed: Tick,
    /// Events that wait for the archive.
    pub spilled: u64,
}

/// The row of a job; times are µs since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    pub job: JobId,
    pub job_type: String,
    pub state: String,
    pub inferred: bool,
    pub queue: String,
    pub worker: String,
    pub attempt: i32,
    pub created: i64,
    pub validated: Option<i64>,
    pub started: Option<i64>,
    pub finished: Option<i64>,
    pub error: Option<String>,
    pub metadata: Option<String>,
    pub tick: Tick,
    pub abandoned_at: Option<i64>,
    pub retired_at: Option<i64>,
    /// The encoded lattice element.
    pub summary: Vec<u8>,
}

/// The numbers of a minute, in the order of the table's columns.
pub type MinuteNumbers = [i64; 8];

/// The tables beside that of the jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// By state, type, queue and worker.
    pub counts: BTreeMap<[String; 4], i64>,
    /// By state and type.
    pub totals: BTreeMap<[String; 2], i64>,
    /// Samples of retired jobs by type and measure.
    pub retired_samples: BTreeMap<[String; 2], i64>,
    /// By minute and type.
    pub minutes: BTreeMap<(i64, String), MinuteNumbers>,
    pub n_late: i64,
    /// When the newest event occurred.
    pub last_event: Option<i64>,
}

/// Asks how far the store has come.
pub(super) async fn standing(client: &Client) -> Result<Standing, Fault> {
    let sql = "SELECT generation, tick, (SELECT count(*) FROM event_spill),
            (SELECT max(tick) FROM jobs),
            (SELECT greatest(max(abandoned_at), max(retired_at)) FROM jobs)
        FROM frontier";
    let row = client.query_one(sql, &[]).await?;
    let changed = row.try_get::<_, Option<i64>>(3)?.map_or(0, tick);
    let left = row.try_get::<_, Option<At>>(4)?.map_or(0, |at| tick(at.0));
    Ok(Standing {
        generation: row.try_get(0)?,
        frontier: tick(row.try_get(1)?),
        changed: changed.max(left),
        spilled: u64::try_from(row.try_get::<_, i64>(2)?).unwrap_or(0),
    })
}

/// Hands over every job, and then gives what the other tables hold.
pub(super) async fn tables(client: &Client, take: &mut dyn FnMut(JobRow)) -> Result<Tables, Fault> {
    client.batch_execute(BEGIN).await?;
    let none: [&(dyn ToSql + Sync); 0] = [];
    let mut rows = pin!(client.query_raw(JOBS, none).await?);
    while let Some(row) = rows.try_next().await? {
        take(job(&row)?);
    }
    let mut tables = Tables::default();
    let counts = "SELECT state, type, queue, worker, jobs FROM counts";
    for row in client.query(counts, &[]).await? {
        let key = [row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?];
        tables.counts.insert(key, row.try_get(4)?);
    }
    for row in client.query("SELECT state, type, jobs FROM totals", &[]).await? {
        tables.totals.insert([row.try_get(0)?, row.try_get(1)?], row.try_get(2)?);
    }
    let samples = "SELECT type, measure, sum(n)::bigint FROM distributions GROUP BY type, measure";
    for row in client.query(samples, &[]).await? {
        tables.retired_samples.insert([row.try_get(0)?, row.try_get(1)?], row.try_get(2)?);
    }
    let minutes = "SELECT minute, type, created, finished, failed, cancelled, waits, wait_micros,
            runs, run_micros
        FROM minute_stats";
    for row in client.query(minutes, &[]).await? {
        let mut numbers = MinuteNumbers::default();
        for (i, number) in numbers.iter_mut().enumerate() {
            *number = row.try_get(2 + i)?;
        }
        tables.minutes.insert((row.try_get::<_, At>(0)?.0, row.try_get(1)?), numbers);
    }
    let rest = "SELECT last_event_at, (SELECT count(*) FROM late_events) FROM frontier";
    let rest = client.query_one(rest, &[]).await?;
    tables.last_event = rest.try_get::<_, Option<At>>(0)?.map(|at| at.0);
    tables.n_late = rest.try_get(1)?;
    client.batch_execute("COMMIT").await?;
    Ok(tables)
}

fn job(row: &Row) -> Result<JobRow, Fault> {
    let time = |column| Ok::<_, Fault>(row.try_get::<_, Option<At>>(column)?.map(|at| at.0));
    Ok(JobRow {
        job: row.try_get(0)?,
        job_type: row.try_get(1)?,
        state: row.try_get(2)?,
        inferred: row.try_get(3)?,
        queue: row.try_get(4)?,
        worker: row.try_get(5)?,
        attempt: row.try_get(6)?,
        created: row.try_get::<_, At>(7)?.0,
        validated: time(8)?,
        started: time(9)?,
        finished: time(10)?,
        error: row.try_get(11)?,
        metadata: row.try_get(12)?,
        tick: tick(row.try_get(13)?),
        abandoned_at: time(14)?,
        retired_at: time(15)?,
        summary: row.try_get(16)?,
    })
}
