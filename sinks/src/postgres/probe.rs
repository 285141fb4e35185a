//! What a database is like, see [`crate::probe`].

use super::migrate;
use super::server::Server;
use crate::probe::{Clock, now};
use crate::store::Error;

/// A database that let us in.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The server's version as a number, 150004 for 15.4, and as it writes it.
    pub number: i32,
    pub version: String,
    /// The version of our tables; 0 if they are not there, and that which this program knows.
    pub tables: i32,
    pub known: i32,
    /// Whether we may set up tables.
    pub may_create: bool,
    /// Whether it stands in for another, and takes no writes.
    pub standby: bool,
    pub clock: Clock,
}

const SERVER: &str = "SELECT current_setting('server_version_num')::integer,
    current_setting('server_version'),
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
    pg_is_in_recovery()";

const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// Asks the database at `url`.
pub async fn probe(url: &str) -> Result<Probe, Error> {
    let server = Server::new(url)?;
    let client = server.connect("doctor").await?;
    let failed = |error| server.failed(error);
    let row = client.query_one(SERVER, &[]).await.map_err(failed)?;
    // The first answer has the statement prepared, so that this one is of the clock alone.
    let statement = client.prepare(CLOCK).await.map_err(failed)?;
    let before = now();
    let theirs = client.query_one(&statement, &[]).await.map_err(failed)?;
    let after = now();
    let (tables, known) = migrate::versions(&server, &client).await?;
    Ok(Probe {
        number: row.try_get(0).map_err(failed)?,
        version: row.try_get(1).map_err(failed)?,
        may_create: row.try_get(2).map_err(failed)?,
        standby: row.try_get(3).map_err(failed)?,
        tables,
        known,
        clock: Clock::of(theirs.try_get(0).map_err(failed)?, before, after),
    })
}
