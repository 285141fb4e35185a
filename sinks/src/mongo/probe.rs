//! What a MongoDB is like, see [`crate::probe`].

use std::time::Duration;

use mongodb::bson::{Document, doc};

use super::{Archive, Error};
use crate::probe::{Clock, now};

/// A MongoDB that let us in.
#[derive(Clone, Debug)]
pub struct Probe {
    pub version: String,
    /// The name of the replica set, if it is one.
    pub replica_set: Option<String>,
    /// Whether the one that takes writes was found.
    pub primary: bool,
    pub clock: Clock,
}

/// Asks the MongoDB at `url`, and is told within `limit` if there is none.
pub async fn probe(limit: Duration, url: &str) -> Result<Probe, Error> {
    let archive = Archive::connect_within(url, limit).await?;
    let database = archive.events.client().database(&archive.events.namespace().db);
    // What anybody is told, and then what only those are who are let in.
    let build = database.run_command(doc! { "buildInfo": 1 }).await?;
    let before = now();
    let hello = database.run_command(doc! { "hello": 1 }).await?;
    let after = now();
    archive.events.find_one(doc! { "_id": "observatory doctor" }).await?;
    let text = |document: &Document, name: &str| document.get_str(name).ok().map(str::to_owned);
    let theirs = hello.get_datetime("localTime").map_or(before, |at| at.timestamp_millis() * 1_000);
    Ok(Probe {
        version: text(&build, "version").unwrap_or_default(),
        replica_set: text(&hello, "setName"),
        primary: hello.get_bool("isWritablePrimary").unwrap_or(false),
        clock: Clock::of(theirs, before, after),
    })
}
