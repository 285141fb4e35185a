//! Reads for the API: lists and jobs, each in one transaction with the frontier and the cube.

use std::time::Duration;

use contracts::event::{ErrorInfo, EventId, State};
use contracts::view::JobView;
use contracts::{JobId, Micros, Reason};
use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Transaction,
};
use tokio::runtime::Handle;
use tokio_postgres::{IsolationLevel, Row};

use super::columns::At;
use super::recover::parsed;
use super::server::{Fault, Server};
use super::tick;
use crate::store::{self, Error, Failure, Listed, Told};

/// Connections of a reading end and its clones. More reads than cores of the server only take turns.
const MOST: usize = 8;

/// How long a read waits for its turn.
const TURN: Duration = Duration::from_secs(5);

const COLUMNS: &str = "id, type, state, inferred, queue, worker, attempt, created_at, \
     validated_at, started_at, finished_at, error, metadata, retired_at";

/// A reading end; clones share its connections.
///
/// The bodies of events are in the archive, of which it knows nothing: whoever has both puts them
/// together.
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

    async fn client(&self) -> Result<Object, Error> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => self.server.not_connected(error),
            error => Error::Away { server: self.server.name(), source: Failure::from(error) },
        })
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
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        // Written out, so that each takes its own index.
        let filter = match (state, job_type) {
            (None, None) => "$1::text IS NULL AND $2::text IS NULL",
            (Some(_), None) => "state = $1 AND $2::text IS NULL",
            (None, Some(_)) => "$1::text IS NULL AND type = $2",
            (Some(_), Some(_)) => "state = $1 AND type = $2",
        };
        let list = format!(
            "SELECT {COLUMNS} FROM jobs WHERE {filter} AND retired_at IS NULL
             ORDER BY created_at DESC, id LIMIT $3"
        );
        let total = format!("SELECT coalesce(sum(jobs), 0)::bigint FROM counts WHERE {filter}");
        self.read(async |transaction| {
            let frontier = frontier(transaction).await?;
            let total = transaction.prepare_cached(&total).await?;
            let total: i64 =
                transaction.query_one(&total, &[&state, &job_type]).await?.try_get(0)?;
            let list = transaction.prepare_cached(&list).await?;
            let rows = transaction.query(&list, &[&state, &job_type, &limit]).await?;
            let jobs = rows.iter().map(job_view).collect::<Result<_, _>>()?;
            Ok(Listed { frontier, total: u64::try_from(total).unwrap_or(0), jobs })
        })
    }

    fn job(&mut self, job: JobId) -> Result<Option<Told>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = $1");
        self.read(async |transaction| {
            let frontier = frontier(transaction).await?;
            let statement = transaction.prepare_cached(&sql).await?;
            let row = transaction.query_opt(&statement, &[&job]).await?;
            let view = row.as_ref().map(job_view).transpose()?;
            Ok(view.map(|view| Told { frontier, view, bodies: Vec::new() }))
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
    })
}

fn json<T: serde::de::DeserializeOwned>(text: Option<&str>) -> Result<Option<T>, Error> {
    let parsed = text.map(serde_json::from_str).transpose();
    parsed.map_err(|error| Error::Value(error.to_string()))
}
