//! A writer's connection: statements prepared once, and transactions behind the fence.

use std::collections::HashMap;

use futures_util::future::{try_join, try_join_all};
use pipeline::Tick;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::columns::{At, Write};
use super::server::{Fault, Server};
use super::write::{Done, Frontier};
use super::{Mine, bigint, tick};
use crate::crash;
use crate::store::Error;

/// Settings of whatever must last: a server that does not hear of us any more lets go of our locks
/// within half a minute, and does not end us for being idle, or for taking long. Not every version
/// has all of them.
pub(super) const LASTING: &str = "SELECT set_config(name, value, false)
    FROM pg_settings JOIN (VALUES
        ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'),
        ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '25s'),
        ('idle_in_transaction_session_timeout', '60s'), ('idle_session_timeout', '0'),
        ('lock_timeout', '0'), ('statement_timeout', '0'), ('transaction_timeout', '0')
    ) AS wanted (name, value) USING (name)";

/// A commit that has been confirmed survives a crash of the server.
const DURABLE: &str = "SET synchronous_commit = on";

/// Whatever else is the default of the database or the user, statements see what has been committed
/// before them: who waited for the fence sees what whoever held it has done.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

const MOVE: &str = "UPDATE frontier SET tick = $3,
        youngest_retired = greatest(youngest_retired, $4),
        last_event_at = greatest(last_event_at, $5)
    WHERE generation = $1 AND tick = $2";

const HOLD: &str = "SELECT FROM frontier WHERE generation = $1 FOR NO KEY UPDATE";

pub(super) struct Session {
    client: Client,
    statements: HashMap<&'static str, Statement>,
}

impl Session {
    pub(super) async fn open(server: &Server) -> Result<Session, Error> {
        let client = server.connect("writer").await?;
        let set_up = try_join(client.batch_execute(LASTING), client.batch_execute(DURABLE)).await;
        set_up.map_err(|error| server.failed(error))?;
        Ok(Session { client, statements: HashMap::new() })
    }

    pub(super) fn closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Makes the store ours: gives the generation, and the frontier.
    ///
    /// Waits for a transaction of the writer before, which may still be under way.
    pub(super) async fn next_generation(&self) -> Result<(i64, Tick), Fault> {
        let take = "UPDATE frontier SET generation = generation + 1 RETURNING generation, tick";
        let row = self.client.query_one(take, &[]).await?;
        Ok((row.try_get(0)?, tick(row.try_get(1)?)))
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) async fn statement(
        &mut self,
        sql: &'static str,
    ) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }

    pub(super) async fn query(
        &mut self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let statement = self.statement(sql).await?;
        self.client.query(&statement, parameters).await
    }

    /// Moves the frontier to `upper`, and does all of `writes`, which must not depend on one another;
    /// or finds that it has been done.
    pub(super) async fn commit(
        &mut self,
        mine: Mine,
        upper: Tick,
        frontier: Frontier,
        writes: &[Write<'_>],
    ) -> Result<Done, Fault> {
        let (generation, left, upper) = (mine.generation, bigint(mine.left), bigint(upper));
        let youngest_retired = frontier.youngest_retired.map(At);
        let last_event = frontier.last_event.map(At);
        let parameters: [&(dyn ToSql + Sync); 5] =
            [&generation, &left, &upper, &youngest_retired, &last_event];
        if self.transaction(MOVE, &parameters, writes).await? {
            return Ok(Done::Now);
        }
        match self.frontier().await? {
            (theirs, _) if theirs != generation => {
                Err(Error::Fenced { ours: generation, theirs }.into())
            }
            (_, found) if bigint(found) == upper => Ok(Done::Before),
            (_, found) => Err(Error::Moved { left: mine.left, found }.into()),
        }
    }

    /// Does all of `writes`, unless the store is another's.
    pub(super) async fn write(&mut self, mine: Mine, writes: &[Write<'_>]) -> Result<(), Fault> {
        let ours = mine.generation;
        if self.transaction(HOLD, &[&ours], writes).await? {
            return Ok(());
        }
        let (theirs, _) = self.frontier().await?;
        Err(Error::Fenced { ours, theirs }.into())
    }

    /// A transaction that writes if `fence` finds the row of the frontier; says whether it did.
    ///
    /// After an error it may be open still: the session is not to be used again.
    async fn transaction(
        &mut self,
        fence: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
        writes: &[Write<'_>],
    ) -> Result<bool, tokio_postgres::Error> {
        let fence = self.statement(fence).await?;
        let mut prepared = Vec::with_capacity(writes.len());
        for write in writes {
            prepared.push((self.statement(write.sql).await?, write.parameters()));
        }
        let client = &self.client;
        crash::point("begin");
        // Sent at once, in this order. What follows is sent when we know that the store is ours: a
        // stranger should not even lock a row.
        let begun = client.batch_execute(BEGIN);
        let (_, found) = try_join(begun, client.execute(&fence, parameters)).await?;
        if found == 0 {
            client.batch_execute("ROLLBACK").await?;
            return Ok(false);
        }
        let writes = prepared.iter().map(|(write, parameters)| client.execute(write, parameters));
        try_join_all(writes).await?;
        crash::point("commit");
        client.batch_execute("COMMIT").await?;
        Ok(true)
    }

    async fn frontier(&mut self) -> Result<(i64, Tick), tokio_postgres::Error> {
        let row = self.client.query_one("SELECT generation, tick FROM frontier", &[]).await?;
        Ok((row.try_get(0)?, tick(row.try_get(1)?)))
    }
}
