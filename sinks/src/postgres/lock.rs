//! Advisory locks: who sets up the tables, and who writes.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::server::Server;
use crate::store::Error;

/// The first key of our locks, in ASCII: a database may be shared with other users of locks.
const OURS: i32 = i32::from_be_bytes(*b"tobs");

/// Between two attempts to take a lease again.
const PAUSE: Duration = Duration::from_secs(1);

/// An attempt to take a lease again may not hold up commits for longer.
const WITHIN: Duration = Duration::from_millis(500);

#[derive(Clone, Copy)]
pub(super) enum Lock {
    Tables = 1,
    Writer = 2,
}

/// Takes a lock until the session of `client` ends, if nobody has it.
///
/// Whoever waits asks again: a session that waited within the server would be a transaction that
/// keeps the server from cleaning up.
pub(super) async fn try_lock(client: &Client, lock: Lock) -> Result<bool, tokio_postgres::Error> {
    let take = "SELECT pg_try_advisory_lock($1, $2)";
    client.query_one(take, &[&OURS, &(lock as i32)]).await?.try_get(0)
}

/// The writer's lock, on a connection of its own, which must live as long as the writer.
#[derive(Default)]
pub(super) struct Lease {
    client: Option<Client>,
    held: bool,
    tried: Option<Instant>,
}

impl Lease {
    /// Takes the lock, if nobody has it; says whether it is held.
    pub(super) async fn take(&mut self, server: &Server) -> Result<bool, Error> {
        let client = match self.client.take().filter(|client| !client.is_closed()) {
            Some(_) if self.held => return Ok(true),
            Some(client) => client,
            None => {
                let client = server.connect("lease").await?;
                let set_up = client.batch_execute(super::session::LASTING).await;
                set_up.map_err(|error| server.failed(error))?;
                client
            }
        };
        self.held = try_lock(&client, Lock::Writer).await.map_err(|error| server.failed(error))?;
        self.client = Some(client);
        Ok(self.held)
    }

    /// Takes the lock again if its connection has been lost, so that no standby takes over without
    /// need. If one has, the next commit tells.
    pub(super) async fn keep(&mut self, server: &Server) {
        let lost = !self.held || self.client.as_ref().is_none_or(Client::is_closed);
        if !lost || self.tried.is_some_and(|tried| tried.elapsed() < PAUSE) {
            return;
        }
        self.held = false;
        match tokio::time::timeout(WITHIN, self.take(server)).await {
            Ok(Ok(true)) => tracing::info!("the writer's lock is held again"),
            Ok(Ok(false)) => tracing::warn!("the writer's lock is with somebody else"),
            Ok(Err(error)) => tracing::warn!(%error, "the writer's lock is lost for now"),
            Err(_) => tracing::warn!("the writer's lock is lost for now: no answer"),
        }
        self.tried = Some(Instant::now());
    }
}
