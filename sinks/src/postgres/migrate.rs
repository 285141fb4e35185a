//! The tables are set up, or found to be ours.

use std::time::Duration;

use refinery::error::Kind;
use tokio_postgres::Client;

use super::lock::{Lock, try_lock};
use super::server::Server;
use crate::store::Error;

/// Between two looks whether another program has set up the tables.
const POLL: Duration = Duration::from_millis(100);

mod embedded {
    refinery::embed_migrations!("src/migrations/postgres");
}

/// Sets up the tables if they are not of this program's version.
///
/// If they are, nothing is written, so that whoever may only read can start too.
pub(super) async fn run(server: &Server) -> Result<(), Error> {
    let mut client = server.connect("start").await?;
    if up_to_date(server, &client).await? {
        return Ok(());
    }
    while !try_lock(&client, Lock::Tables).await.map_err(|error| server.failed(error))? {
        tokio::time::sleep(POLL).await;
        if up_to_date(server, &client).await? {
            return Ok(());
        }
    }
    // The lock goes with the connection.
    let done = embedded::migrations::runner().run_async(&mut client).await;
    done.map(drop).map_err(|error| failed(server, error))
}

/// Whether the tables are of this program's version; an error if they are of a later one.
async fn up_to_date(server: &Server, client: &Client) -> Result<bool, Error> {
    let (theirs, ours) = versions(server, client).await?;
    if theirs > ours {
        return Err(Error::Newer { server: server.name(), theirs, ours });
    }
    Ok(theirs == ours)
}

/// The version of the tables that are there, 0 if there are none, and that which this program knows.
pub(super) async fn versions(server: &Server, client: &Client) -> Result<(i32, i32), Error> {
    let ours = embedded::migrations::runner().get_migrations().iter().map(|m| m.version()).max();
    let theirs = async {
        let exists = "SELECT to_regclass('refinery_schema_history') IS NOT NULL";
        if !client.query_one(exists, &[]).await?.try_get::<_, bool>(0)? {
            return Ok(0);
        }
        let version = "SELECT coalesce(max(version), 0)::integer FROM refinery_schema_history";
        client.query_one(version, &[]).await?.try_get(0)
    };
    let theirs: i32 = theirs.await.map_err(|error| server.failed(error))?;
    Ok((theirs, ours.unwrap_or(0)))
}

fn failed(server: &Server, error: refinery::Error) -> Error {
    let source = match error.kind() {
        Kind::Connection(what, source) => match source.downcast_ref::<tokio_postgres::Error>() {
            Some(cause) => match server.meaning(cause, what) {
                // A statement of ours that does not go with what is there.
                Error::Refused { source, .. } => source,
                other => return other,
            },
            None => Box::new(error),
        },
        _ => Box::new(error),
    };
    Error::Tables { server: server.name(), source }
}
