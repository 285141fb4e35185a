//! Reads for the API: lists and jobs, each in one transaction with the frontier and the cube.

use std::time::Duration;

use bytes::BytesMut;
use contracts::event::{ErrorInfo, EventId};
use contracts::notes::{Note, ReceivedAlert};
use contracts::snapshot::{AlertRow, AlertState};
use contracts::view::JobView;
use contracts::workers::KnownWorker;
use contracts::{JobId, Micros, Reason};
use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Transaction,
};
use pipeline::Tick;
use pipeline::views::minutes::MinuteStats;
use tokio::runtime::Handle;
use tokio_postgres::types::{IsNull, ToSql, Type, accepts, to_sql_checked};
use tokio_postgres::{IsolationLevel, Row};
use uuid::Uuid;

use super::columns::{At, Outcome};
use super::recover::parsed;
use super::server::{Fault, Server};
use super::{people, tick};
use crate::query::{Dialect, Query, Sql, Value, one_more};
use crate::store::{
    self, ArchivedEvent, Episode, Error, Failure, Happened, KeptRules, Listed, Notified, Span,
    StepStats, Told, WhichNotes, with_jobs,
};

/// Connections of a reading end and its clones. More reads than cores of the server only take turns.
const MOST: usize = 8;

/// How long a read waits for its turn.
const TURN: Duration = Duration::from_secs(5);

const DIALECT: Dialect = Dialect { sign: '$', position: "strpos" };

const COLUMNS: &str = "id, type, state, inferred, queue, worker, attempt, created_at, \
     validated_at, started_at, finished_at, error, metadata, retired_at";

/// A reading end; clones share its connections.
///
/// Events are in the archive, of which it knows nothing, but for those that wait for it here: whoever
/// has both puts them together.
#[derive(Clone)]
pub struct Reader {
    server: Server,
    runtime: Handle,
    pool: Pool,
}

impl Reader {
    pub(super) fn new(server: Server, runtime: Handle) -> Result<Reader, Error> {
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(server.config(), server.clone(), config);
        let pool = Pool::builder(manager)
            .max_size(MOST)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(TURN))
            .build()
            // For want of a runtime only, and there it is.
            .map_err(|error| Error::Value(error.to_string()))?;
        Ok(Reader { server, runtime, pool })
    }

    /// Reads in one transaction that sees the store as of its first statement.
    ///
    /// A connection may have died since it was last used, so a read that failed because its own did
    /// is tried once more.
    fn read<T>(
        &self,
        work: impl AsyncFn(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        self.runtime.block_on(async {
            let mut again = true;
            loop {
                let mut client = self.client().await?;
                let read = async {
                    let transaction = client
                        .build_transaction()
                        .isolation_level(IsolationLevel::RepeatableRead)
                        .read_only(true)
                        .start()
                        .await?;
                    let read = work(&transaction).await?;
                    transaction.commit().await?;
                    Ok(read)
                };
                match read.await.map_err(|fault| self.server.error(fault)) {
                    Err(error) if again && error.passes() && client.is_closed() => again = false,
                    read => return read,
                }
            }
        })
    }

    /// Writes what people have to say: one statement, or some that may stand alone.
    fn write<T>(
        &self,
        work: impl AsyncFn(&Object) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Error> {
        self.runtime.block_on(async {
            let client = self.client().await?;
            work(&client).await.map_err(|error| self.server.failed(error))
        })
    }

    async fn client(&self) -> Result<Object, Error> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => self.server.not_connected(error),
            error => Error::Away { server: self.server.name(), source: Failure::from(error) },
        })
    }
}

impl store::Reader for Reader {
    fn jobs(&mut self, query: &Query) -> Result<Listed, Error> {
        let mut total = Sql::new(DIALECT);
        let total_sql = match query.filter.of_cube() {
            true => {
                let filter = total.filter(&query.filter, false);
                format!("SELECT coalesce(sum(jobs), 0)::bigint FROM counts WHERE {filter}")
            }
            false => {
                let filter = total.filter(&query.filter, true);
                format!("SELECT count(*) FROM jobs WHERE {filter}")
            }
        };
        let mut list = Sql::new(DIALECT);
        let mut filter = list.filter(&query.filter, true);
        if let Some(place) = query.after {
            filter = format!("{filter} AND {}", list.behind(place));
        }
        let limit = list.parameter(Value::Number(one_more(query.limit)));
        let list_sql = format!(
            "SELECT {COLUMNS} FROM jobs WHERE {filter} ORDER BY created_at DESC, id LIMIT {limit}"
        );
        // Not kept prepared: there are as many texts as there are questions.
        self.read(async |transaction| {
            let frontier = frontier(transaction).await?;
            let total = transaction.query_typed(&total_sql, &typed(&total.parameters)).await?;
            let total: i64 = match total.first() {
                Some(row) => row.try_get(0)?,
                None => 0,
            };
            let rows = transaction.query_typed(&list_sql, &typed(&list.parameters)).await?;
            let mut jobs = rows.iter().map(job_view).collect::<Result<Vec<_>, _>>()?;
            let more = jobs.len() > query.limit;
            jobs.truncate(query.limit);
            Ok(Listed { frontier, total: u64::try_from(total).unwrap_or(0), jobs, more })
        })
    }

    fn job(&mut self, job: JobId) -> Result<Option<Told>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = $1");
        self.read(async |transaction| {
            let frontier = frontier(transaction).await?;
            let statement = transaction.prepare_cached(&sql).await?;
            let row = transaction.query_opt(&statement, &[&job]).await?;
            let view = row.as_ref().map(job_view).transpose()?;
            let Some(view) = view else { return Ok(None) };
            let statement = transaction
                .prepare_cached(
                    "SELECT key, tick, late, body FROM event_spill WHERE job_id = $1 ORDER BY id",
                )
                .await?;
            let spilled = transaction.query(&statement, &[&job]).await?;
            let events = spilled.iter().map(|row| {
                Ok::<_, Fault>(ArchivedEvent {
                    key: row.try_get(0)?,
                    tick: tick(row.try_get(1)?),
                    late: row.try_get(2)?,
                    body: row.try_get(3)?,
                })
            });
            let events = events.collect::<Result<_, _>>()?;
            // The others are in the archive.
            Ok(Some(Told { frontier, view, events, incomplete: true }))
        })
    }

    fn event(&mut self, _: EventId) -> Result<Option<Vec<u8>>, Error> {
        Ok(None)
    }

    fn archive_stats(&mut self) -> Result<(Option<Micros>, u64), Error> {
        let sql = "SELECT last_event_at, (SELECT count(*) FROM late_events) FROM frontier";
        self.read(async |transaction| {
            let row = transaction.query_one(&transaction.prepare_cached(sql).await?, &[]).await?;
            let newest: Option<At> = row.try_get(0)?;
            let late: i64 = row.try_get(1)?;
            Ok((newest.map(|at| Micros(at.0)), u64::try_from(late).unwrap_or(0)))
        })
    }

    fn rejections(&mut self) -> Result<Vec<(Reason, u64)>, Error> {
        let sql = "SELECT reason, n FROM rejections ORDER BY reason";
        self.read(async |transaction| {
            let rows = transaction.query(&transaction.prepare_cached(sql).await?, &[]).await?;
            let rejections = rows.iter().map(|row| {
                let n: i64 = row.try_get(1)?;
                Ok((parsed(row, 0)?, u64::try_from(n).unwrap_or(0)))
            });
            rejections.collect()
        })
    }

    fn history(&mut self, span: &Span) -> Result<Happened, Error> {
        let by_type = if span.by_type { "type" } else { "NULL::text" };
        let seconds = "extract(epoch FROM minute)::bigint";
        let sql = format!(
            "SELECT {by_type} AS of, {seconds} - {seconds} % $3 AS step, sum(created)::bigint,
                 sum(finished)::bigint, sum(failed)::bigint, sum(cancelled)::bigint,
                 sum(waits)::bigint, sum(wait_micros)::bigint, sum(runs)::bigint,
                 sum(run_micros)::bigint
             FROM minute_stats
             WHERE minute >= $1 AND minute < $2 AND ($4::text IS NULL OR type = $4)
             GROUP BY 1, 2 ORDER BY 1, 2"
        );
        let step = span.step / 1_000_000;
        self.read(async |transaction| {
            let frontier = frontier(transaction).await?;
            let statement = transaction.prepare_cached(&sql).await?;
            let (from, to) = (At(span.from.0), At(span.to.0));
            let rows = transaction.query(&statement, &[&from, &to, &step, &span.job_type]).await?;
            let steps = rows.iter().map(step_stats).collect::<Result<_, _>>()?;
            Ok(Happened { frontier, steps })
        })
    }

    fn workers(&mut self) -> Result<Vec<KnownWorker>, Error> {
        let sql = "SELECT heartbeat, heard_at, online_at FROM workers ORDER BY worker";
        self.read(async |transaction| {
            let rows = transaction.query(&transaction.prepare_cached(sql).await?, &[]).await?;
            let workers = rows.iter().map(|row| {
                let time = |at: At| Micros(at.0);
                let last = json(row.try_get(0)?)?;
                let (heard_at, online_at) = (time(row.try_get(1)?), row.try_get(2)?);
                let online_at: Option<At> = online_at;
                Ok(last.map(|last| KnownWorker { last, heard_at, online_at: online_at.map(time) }))
            });
            Ok(workers.collect::<Result<Vec<_>, Fault>>()?.into_iter().flatten().collect())
        })
    }

    fn resolved(&mut self, limit: usize) -> Result<(Tick, Vec<AlertRow>), Error> {
        let sql = "SELECT alert, labels, active_at, fired_at, resolved_at, value, expr, annotations
            FROM alerts
            WHERE resolved_at IS NOT NULL ORDER BY resolved_at DESC, alert, labels LIMIT $1";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(async |transaction| {
            let frontier = frontier(transaction).await?;
            let statement = transaction.prepare_cached(sql).await?;
            let rows = transaction.query(&statement, &[&limit]).await?;
            let alerts = rows.iter().map(|row| {
                let time = |column| {
                    Ok::<_, Fault>(row.try_get::<_, Option<At>>(column)?.map(|at| Micros(at.0)))
                };
                Ok::<_, Fault>(with_jobs(AlertRow {
                    alert: row.try_get(0)?,
                    state: AlertState::Resolved,
                    labels: json(row.try_get(1)?)?.unwrap_or_default(),
                    active_at: Micros(row.try_get::<_, At>(2)?.0),
                    fired_at: time(3)?,
                    resolved_at: time(4)?,
                    value: row.try_get(5)?,
                    expr: row.try_get(6)?,
                    annotations: json(row.try_get(7)?)?.unwrap_or_default(),
                    jobs: None,
                }))
            });
            Ok((frontier, alerts.collect::<Result<_, _>>()?))
        })
    }

    fn rules(&mut self) -> Result<(Tick, Option<KeptRules>), Error> {
        self.read(async |transaction| {
            let frontier = frontier(transaction).await?;
            let statement = transaction.prepare_cached(RULES).await?;
            let row = transaction.query_opt(&statement, &[&1_i64]).await?;
            Ok((frontier, row.map(|row| kept_rules(&row)).transpose()?))
        })
    }

    fn rules_history(&mut self, limit: usize) -> Result<Vec<KeptRules>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(async |transaction| {
            let statement = transaction.prepare_cached(RULES).await?;
            transaction.query(&statement, &[&limit]).await?.iter().map(kept_rules).collect()
        })
    }

    fn apply_rules(&mut self, rules: &KeptRules) -> Result<(), Error> {
        let KeptRules { applied_at, applied_by, yaml } = rules;
        let sql = "INSERT INTO rules (applied_at, applied_by, yaml)
            SELECT $1::timestamptz, $2::text, $3::text
            WHERE $3 IS DISTINCT FROM (SELECT yaml FROM rules ORDER BY id DESC LIMIT 1)";
        self.write(async |client| {
            client.execute(sql, &[&At(applied_at.0), applied_by, yaml]).await.map(drop)
        })
    }

    fn notes(&mut self, which: WhichNotes) -> Result<Vec<Note>, Error> {
        self.read(async |transaction| people::notes(transaction, which).await)
    }

    fn add_note(&mut self, note: &Note) -> Result<(), Error> {
        self.write(async |client| people::add_note(client, note).await)
    }

    fn end_note(&mut self, id: Uuid, at: Micros, by: &str) -> Result<bool, Error> {
        self.write(async |client| people::end_note(client, id, at, by).await)
    }

    fn archived(
        &mut self,
        from: Micros,
        to: Micros,
        limit: usize,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, Error> {
        let sql =
            "SELECT body FROM event_spill WHERE occurred_at >= $1 AND occurred_at < $2 LIMIT $3";
        let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let bodies = self.read(async |transaction| {
            let statement = transaction.prepare_cached(sql).await?;
            let rows = transaction.query(&statement, &[&At(from.0), &At(to.0), &most]).await?;
            rows.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<Vec<Vec<u8>>, Fault>>()
        })?;
        bodies.iter().take(limit).for_each(|body| take(body));
        Ok(bodies.len() <= limit)
    }

    fn received(&mut self, limit: usize) -> Result<Vec<ReceivedAlert>, Error> {
        self.read(async |transaction| people::received(transaction, limit).await)
    }

    fn receive(&mut self, alerts: &[ReceivedAlert], forget: Micros) -> Result<(), Error> {
        self.write(async |client| people::receive(client, alerts, forget).await)
    }

    fn notified(&mut self, limit: usize) -> Result<Vec<(Episode, Notified)>, Error> {
        self.read(async |transaction| people::notified(transaction, limit).await)
    }

    fn notify(&mut self, told: &[(Episode, Notified)]) -> Result<(), Error> {
        self.write(async |client| people::notify(client, told).await)
    }
}

const RULES: &str = "SELECT applied_at, applied_by, yaml FROM rules ORDER BY id DESC LIMIT $1";

fn kept_rules(row: &Row) -> Result<KeptRules, Fault> {
    let applied_at = Micros(row.try_get::<_, At>(0)?.0);
    Ok(KeptRules { applied_at, applied_by: row.try_get(1)?, yaml: row.try_get(2)? })
}

/// Parameters with the types that they are written with.
fn typed(values: &[Value]) -> Vec<(&(dyn ToSql + Sync), Type)> {
    let of = |value: &Value| match value {
        Value::Text(_) => Type::TEXT,
        Value::Number(_) => Type::INT4,
        Value::Time(_) => Type::TIMESTAMPTZ,
        Value::Id(_) => Type::UUID,
    };
    values.iter().map(|value| (value as &(dyn ToSql + Sync), of(value))).collect()
}

impl ToSql for Value {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Outcome<IsNull> {
        match self {
            Value::Text(text) => text.to_sql(of, out),
            Value::Number(number) => i32::try_from(*number).unwrap_or(i32::MAX).to_sql(of, out),
            Value::Time(at) => At(at.0).to_sql(of, out),
            Value::Id(id) => id.to_sql(of, out),
        }
    }

    accepts!(TEXT, INT4, TIMESTAMPTZ, UUID);
    to_sql_checked!();
}

fn step_stats(row: &Row) -> Result<StepStats, Fault> {
    let seconds: i64 = row.try_get(1)?;
    let stats = MinuteStats {
        created: row.try_get(2)?,
        finished: row.try_get(3)?,
        failed: row.try_get(4)?,
        cancelled: row.try_get(5)?,
        waits: row.try_get(6)?,
        wait_micros: row.try_get(7)?,
        runs: row.try_get(8)?,
        run_micros: row.try_get(9)?,
    };
    Ok(StepStats { job_type: row.try_get(0)?, at: Micros(seconds * 1_000_000), stats })
}

async fn frontier(transaction: &Transaction<'_>) -> Result<pipeline::Tick, Fault> {
    let statement = transaction.prepare_cached("SELECT tick FROM frontier").await?;
    Ok(tick(transaction.query_one(&statement, &[]).await?.try_get(0)?))
}

fn job_view(row: &Row) -> Result<JobView, Fault> {
    let time =
        |column| Ok::<_, Fault>(row.try_get::<_, Option<At>>(column)?.map(|at| Micros(at.0)));
    let text = |column| {
        let text: String = row.try_get(column)?;
        Ok::<_, Fault>((!text.is_empty()).then_some(text))
    };
    let attempt: i32 = row.try_get(6)?;
    let state = parsed(row, 2)?;
    Ok(JobView {
        id: row.try_get(0)?,
        job_type: row.try_get(1)?,
        status: state,
        state,
        inferred: row.try_get(3)?,
        queue: text(4)?,
        worker: text(5)?,
        attempt: u16::try_from(attempt).map_err(|_| Error::Value(format!("attempt {attempt}")))?,
        runtime: None,
        created_at: Micros(row.try_get::<_, At>(7)?.0),
        validated_at: time(8)?,
        started_at: time(9)?,
        finished_at: time(10)?,
        error: json::<ErrorInfo>(row.try_get(11)?)?,
        payload: None,
        metadata: json(row.try_get(12)?)?,
        retired: row.try_get::<_, Option<At>>(13)?.is_some(),
        attempts: Vec::new(),
        timeline: Vec::new(),
        why: None,
        incomplete: false,
    })
}

pub(super) fn json<T: serde::de::DeserializeOwned>(text: Option<&str>) -> Result<Option<T>, Error> {
    let parsed = text.map(serde_json::from_str).transpose();
    parsed.map_err(|error| Error::Value(error.to_string()))
}
