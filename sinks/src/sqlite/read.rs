//! Reads for the API: lists and jobs, each in one transaction with the frontier and the cube.

use std::path::{Path, PathBuf};
use std::time::Duration;

use contracts::event::ErrorInfo;
use contracts::notes::{Note, ReceivedAlert};
use contracts::snapshot::{AlertRow, AlertState};
use contracts::view::JobView;
use contracts::workers::KnownWorker;
use contracts::{JobId, Micros};
use pipeline::Tick;
use pipeline::views::minutes::MinuteStats;
use rusqlite::types::{ToSql, ToSqlOutput};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params, params_from_iter};
use uuid::Uuid;

use super::recover::parsed;
use super::{people, tick};
use crate::query::{Dialect, Query, Sql, Value, one_more};
use crate::store::{
    self, ArchivedEvent, Episode, Error, Happened, KeptRules, Listed, Notified, Span, StepStats,
    Told, WhichNotes, with_jobs,
};

/// A reading end; not for several threads at once.
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

const DIALECT: Dialect = Dialect { sign: '?', position: "instr" };

const COLUMNS: &str = "id, type, state, inferred, queue, worker, attempt, created_at, \
     validated_at, started_at, finished_at, error, metadata, retired_at";

impl Reader {
    /// Opens the file of a store that exists.
    pub fn open(path: &Path) -> Result<Reader, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        Ok(Reader { connection, path: path.to_owned() })
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
    fn jobs(&mut self, query: &Query) -> Result<Listed, Error> {
        let transaction = self.connection.transaction()?;
        let frontier = frontier(&transaction)?;
        let mut sql = Sql::new(DIALECT);
        let total = match query.filter.of_cube() {
            true => {
                let filter = sql.filter(&query.filter, false);
                format!("SELECT coalesce(sum(jobs), 0) FROM counts WHERE {filter}")
            }
            false => {
                format!("SELECT count(*) FROM jobs WHERE {}", sql.filter(&query.filter, true))
            }
        };
        let total = transaction
            .prepare_cached(&total)?
            .query_row(params_from_iter(&sql.parameters), |row| row.get(0))?;

        let mut sql = Sql::new(DIALECT);
        let mut filter = sql.filter(&query.filter, true);
        if let Some(place) = query.after {
            filter = format!("{filter} AND {}", sql.behind(place));
        }
        let limit = sql.parameter(Value::Number(one_more(query.limit)));
        let list = format!(
            "SELECT {COLUMNS} FROM jobs WHERE {filter} ORDER BY created_at DESC, id LIMIT {limit}"
        );
        let mut statement = transaction.prepare_cached(&list)?;
        let mut rows = statement.query(params_from_iter(&sql.parameters))?;
        let mut jobs = Vec::new();
        while let Some(row) = rows.next()? {
            jobs.push(job_view(row)?);
        }
        let more = jobs.len() > query.limit;
        jobs.truncate(query.limit);
        Ok(Listed { frontier, total, jobs, more })
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
            "SELECT key, tick, late, body FROM job_events WHERE job_id = ?1 ORDER BY n",
        )?;
        let events = statement.query_map([job.as_bytes()], |row| {
            Ok(ArchivedEvent {
                key: row.get(0)?,
                tick: tick(row.get(1)?),
                late: row.get(2)?,
                body: row.get(3)?,
            })
        })?;
        let events = events.collect::<Result<_, _>>()?;
        Ok(Some(Told { frontier, view, events, incomplete: false }))
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

    fn history(&mut self, span: &Span) -> Result<Happened, Error> {
        let transaction = self.connection.transaction()?;
        let frontier = frontier(&transaction)?;
        let by_type = if span.by_type { "type" } else { "NULL" };
        let sql = format!(
            "SELECT {by_type} AS of, minute - minute % ?3 AS step, sum(created), sum(finished),
                 sum(failed), sum(cancelled), sum(waits), sum(wait_micros), sum(runs),
                 sum(run_micros)
             FROM minute_stats
             WHERE minute >= ?1 AND minute < ?2 AND (?4 IS NULL OR type = ?4)
             GROUP BY of, step ORDER BY of, step"
        );
        let mut statement = transaction.prepare_cached(&sql)?;
        let steps = statement
            .query_map(params![span.from.0, span.to.0, span.step, span.job_type], step_stats)?
            .collect::<Result<_, _>>()?;
        Ok(Happened { frontier, steps })
    }

    fn workers(&mut self) -> Result<Vec<KnownWorker>, Error> {
        let sql = "SELECT heartbeat, heard_at, online_at FROM workers ORDER BY worker";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut workers = Vec::new();
        while let Some(row) = rows.next()? {
            let heartbeat: String = row.get(0)?;
            let last = serde_json::from_str(&heartbeat)
                .map_err(|error| Error::Value(format!("a heartbeat that is none: {error}")))?;
            let (heard_at, online_at) = (Micros(row.get(1)?), row.get::<_, Option<i64>>(2)?);
            workers.push(KnownWorker { last, heard_at, online_at: online_at.map(Micros) });
        }
        Ok(workers)
    }

    fn resolved(&mut self, limit: usize) -> Result<(Tick, Vec<AlertRow>), Error> {
        let transaction = self.connection.transaction()?;
        let frontier = frontier(&transaction)?;
        let mut statement = transaction.prepare_cached(
            "SELECT alert, labels, active_at, fired_at, resolved_at, value, expr, annotations
             FROM alerts
             WHERE resolved_at IS NOT NULL ORDER BY resolved_at DESC, alert, labels LIMIT ?1",
        )?;
        let mut rows = statement.query([limit])?;
        let mut alerts = Vec::new();
        while let Some(row) = rows.next()? {
            alerts.push(with_jobs(AlertRow {
                alert: row.get(0)?,
                state: AlertState::Resolved,
                labels: json(row.get(1)?)?.unwrap_or_default(),
                active_at: Micros(row.get(2)?),
                fired_at: row.get::<_, Option<i64>>(3)?.map(Micros),
                resolved_at: row.get::<_, Option<i64>>(4)?.map(Micros),
                value: row.get(5)?,
                expr: row.get(6)?,
                annotations: json(row.get(7)?)?.unwrap_or_default(),
                jobs: None,
            }));
        }
        Ok((frontier, alerts))
    }

    fn rules(&mut self) -> Result<(Tick, Option<KeptRules>), Error> {
        let transaction = self.connection.transaction()?;
        let frontier = frontier(&transaction)?;
        let mut statement = transaction.prepare_cached(RULES)?;
        Ok((frontier, statement.query_row([1], kept_rules).optional()?))
    }

    fn rules_history(&mut self, limit: usize) -> Result<Vec<KeptRules>, Error> {
        let mut statement = self.connection.prepare_cached(RULES)?;
        let rules = statement.query_map([limit], kept_rules)?;
        Ok(rules.collect::<Result<_, _>>()?)
    }

    fn apply_rules(&mut self, rules: &KeptRules) -> Result<(), Error> {
        let KeptRules { applied_at, applied_by, yaml } = rules;
        // Our own connection only reads. SQLite lets one write at a time, and makes the other wait.
        super::connect(&self.path)?.execute(
            "INSERT INTO rules (applied_at, applied_by, yaml) SELECT ?1, ?2, ?3
             WHERE ?3 IS NOT (SELECT yaml FROM rules ORDER BY id DESC LIMIT 1)",
            params![applied_at.0, applied_by, yaml],
        )?;
        Ok(())
    }

    fn notes(&mut self, which: WhichNotes) -> Result<Vec<Note>, Error> {
        people::notes(&self.connection, which)
    }

    fn add_note(&mut self, note: &Note) -> Result<(), Error> {
        Ok(people::add_note(&super::connect(&self.path)?, note)?)
    }

    fn end_note(&mut self, id: Uuid, at: Micros, by: &str) -> Result<bool, Error> {
        Ok(people::end_note(&super::connect(&self.path)?, id, at, by)?)
    }

    fn archived(
        &mut self,
        from: Micros,
        to: Micros,
        limit: usize,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT body FROM job_events WHERE occurred_at >= ?1 AND occurred_at < ?2",
        )?;
        let mut rows = statement.query([from.0, to.0])?;
        let mut n = 0;
        while let Some(row) = rows.next()? {
            n += 1;
            if n > limit {
                return Ok(false);
            }
            take(row.get_ref(0)?.as_blob().map_err(|error| Error::Value(error.to_string()))?);
        }
        Ok(true)
    }

    fn received(&mut self, limit: usize) -> Result<Vec<ReceivedAlert>, Error> {
        people::received(&self.connection, limit)
    }

    fn receive(&mut self, alerts: &[ReceivedAlert], forget: Micros) -> Result<(), Error> {
        Ok(people::receive(&mut super::connect(&self.path)?, alerts, forget)?)
    }

    fn notified(&mut self, limit: usize) -> Result<Vec<(Episode, Notified)>, Error> {
        people::notified(&self.connection, limit)
    }

    fn notify(&mut self, told: &[(Episode, Notified)]) -> Result<(), Error> {
        Ok(people::notify(&mut super::connect(&self.path)?, told)?)
    }
}

const RULES: &str = "SELECT applied_at, applied_by, yaml FROM rules ORDER BY id DESC LIMIT ?1";

fn kept_rules(row: &Row<'_>) -> rusqlite::Result<KeptRules> {
    let applied_at = Micros(row.get(0)?);
    Ok(KeptRules { applied_at, applied_by: row.get(1)?, yaml: row.get(2)? })
}

fn step_stats(row: &Row<'_>) -> rusqlite::Result<StepStats> {
    let stats = MinuteStats {
        created: row.get(2)?,
        finished: row.get(3)?,
        failed: row.get(4)?,
        cancelled: row.get(5)?,
        waits: row.get(6)?,
        wait_micros: row.get(7)?,
        runs: row.get(8)?,
        run_micros: row.get(9)?,
    };
    Ok(StepStats { job_type: row.get(0)?, at: Micros(row.get(1)?), stats })
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Value::Text(text) => text.as_str().into(),
            Value::Number(number) | Value::Time(Micros(number)) => (*number).into(),
            Value::Id(id) => ToSqlOutput::Borrowed(id.as_bytes().as_slice().into()),
        })
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
        runtime: None,
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
        why: None,
        incomplete: false,
    })
}

pub(super) fn json<T: serde::de::DeserializeOwned>(
    text: Option<String>,
) -> Result<Option<T>, Error> {
    let parse = |text: String| serde_json::from_str(&text);
    text.map(parse).transpose().map_err(|error| Error::Value(error.to_string()))
}
