//! Reads for the API: lists and jobs, each in one transaction with the frontier and the cube.

use std::path::Path;
use std::time::Duration;

use contracts::event::{ErrorInfo, State};
use contracts::view::JobView;
use contracts::{JobId, Micros};
use pipeline::Tick;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use super::recover::parsed;
use super::tick;
use crate::store::{self, Error, Listed, Told};

/// A reading end; not for several threads at once.
pub struct Reader {
    connection: Connection,
}

const COLUMNS: &str = "id, type, state, inferred, queue, worker, attempt, created_at, \
     validated_at, started_at, finished_at, error, metadata, retired_at";

impl Reader {
    /// Opens the file of a store that exists.
    pub fn open(path: &Path) -> Result<Reader, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        Ok(Reader { connection })
    }

    /// The body of the `job.created` that a job came with, or of its first event.
    pub fn first_event(&self, job: JobId) -> Result<Option<Vec<u8>>, Error> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT body FROM job_events WHERE job_id = ?1 ORDER BY n LIMIT 1")?;
        Ok(statement.query_row([job.as_bytes()], |row| row.get(0)).optional()?)
    }
}

impl store::Reader for Reader {
    fn jobs(
        &mut self,
        state: Option<State>,
        job_type: Option<&str>,
        limit: usize,
    ) -> Result<Listed, Error> {
        let state = state.map(State::as_str);
        let transaction = self.connection.transaction()?;
        let frontier = frontier(&transaction)?;
        let total = transaction
            .prepare_cached(
                "SELECT coalesce(sum(jobs), 0) FROM counts
                 WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR type = ?2)",
            )?
            .query_row(params![state, job_type], |row| row.get(0))?;
        // Written out, so that each takes its own index.
        let filter = match (state, job_type) {
            (None, None) => "?1 IS NULL AND ?2 IS NULL",
            (Some(_), None) => "state = ?1 AND ?2 IS NULL",
            (None, Some(_)) => "?1 IS NULL AND type = ?2",
            (Some(_), Some(_)) => "state = ?1 AND type = ?2",
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM jobs WHERE {filter} AND retired_at IS NULL
             ORDER BY created_at DESC, id LIMIT ?3"
        );
        let mut statement = transaction.prepare_cached(&sql)?;
        let mut rows = statement.query(params![state, job_type, limit])?;
        let mut jobs = Vec::new();
        while let Some(row) = rows.next()? {
            jobs.push(job_view(row)?);
        }
        Ok(Listed { frontier, total, jobs })
    }

    fn job(&mut self, job: JobId) -> Result<Option<Told>, Error> {
        let transaction = self.connection.transaction()?;
        let frontier = frontier(&transaction)?;
        let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1");
        let mut statement = transaction.prepare_cached(&sql)?;
        let mut rows = statement.query([job.as_bytes()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let view = job_view(row)?;
        let mut statement = transaction.prepare_cached(
            "SELECT body FROM job_events WHERE job_id = ?1 AND late = 0 ORDER BY n",
        )?;
        let bodies = statement.query_map([job.as_bytes()], |row| row.get(0))?;
        let bodies = bodies.collect::<Result<_, _>>()?;
        Ok(Some(Told { frontier, view, bodies }))
    }

    fn event(&mut self, event: contracts::EventId) -> Result<Option<Vec<u8>>, Error> {
        let mut statement =
            self.connection.prepare_cached("SELECT body FROM job_events WHERE key = ?1")?;
        Ok(statement.query_row([event.to_string()], |row| row.get(0)).optional()?)
    }

    fn archive_stats(&mut self) -> Result<(Option<Micros>, u64), Error> {
        let newest: Option<i64> = self
            .connection
            .prepare_cached("SELECT max(occurred_at) FROM job_events")?
            .query_row([], |row| row.get(0))?;
        let late = self
            .connection
            .prepare_cached("SELECT count(*) FROM late_events")?
            .query_row([], |row| row.get(0))?;
        Ok((newest.map(Micros), late))
    }

    fn rejections(&mut self) -> Result<Vec<(contracts::Reason, u64)>, Error> {
        let mut statement = self.connection.prepare_cached("SELECT reason, n FROM rejections")?;
        let mut rows = statement.query([])?;
        let mut rejections = Vec::new();
        while let Some(row) = rows.next()? {
            rejections.push((parsed(row, 0)?, row.get(1)?));
        }
        Ok(rejections)
    }
}

pub(super) fn frontier(connection: &Connection) -> Result<Tick, Error> {
    let mut statement = connection.prepare_cached("SELECT tick FROM frontier")?;
    Ok(tick(statement.query_row([], |row| row.get(0))?))
}

fn job_view(row: &Row<'_>) -> Result<JobView, Error> {
    let time = |column| Ok::<_, Error>(row.get::<_, Option<i64>>(column)?.map(Micros));
    let text = |column| {
        let text: String = row.get(column)?;
        Ok::<_, Error>((!text.is_empty()).then_some(text))
    };
    let state = parsed(row, 2)?;
    Ok(JobView {
        id: JobId::from_bytes(row.get(0)?),
        job_type: row.get(1)?,
        status: state,
        state,
        inferred: row.get(3)?,
        queue: text(4)?,
        worker: text(5)?,
        attempt: row.get(6)?,
        created_at: Micros(row.get(7)?),
        validated_at: time(8)?,
        started_at: time(9)?,
        finished_at: time(10)?,
        error: json::<ErrorInfo>(row.get(11)?)?,
        payload: None,
        metadata: json(row.get(12)?)?,
        retired: row.get::<_, Option<i64>>(13)?.is_some(),
        attempts: Vec::new(),
        timeline: Vec::new(),
    })
}

fn json<T: serde::de::DeserializeOwned>(text: Option<String>) -> Result<Option<T>, Error> {
    let parse = |text: String| serde_json::from_str(&text);
    text.map(parse).transpose().map_err(|error| Error::Value(error.to_string()))
}
