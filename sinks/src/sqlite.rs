//! The embedded store: one SQLite file with the tables of the servers, and the archive.
//!
//! ```text
//!   Commit ──one transaction──▶ frontier, job_events, jobs, counts, totals, minutes, … ──fsync──▶
//!   restart ◀── jobs in memory, totals, distributions, alerts
//!   lookup  ◀── a job's record
//! ```
//!
//! # Invariants
//!
//! 1. Every transaction begins by moving the frontier of its generation; if another writer has
//!    taken a newer one, nothing is written.
//! 2. Rows, counts, totals and alerts are absolute; minutes and distributions are added to, which
//!    is exact because a transaction is applied wholly or not at all, and each tick is in one.
//! 3. When [`Store::commit`] has returned, what it wrote survives a crash of the machine: the
//!    write-ahead log is synced at each commit.
//!
//! # Cost
//!
//! Some 40 µs per job and event, and one fsync per commit: who commits puts as many ticks into one
//! as have gathered meanwhile.

use std::path::{Path, PathBuf};
use std::time::Duration;

use contracts::JobId;
use pipeline::Tick;
use pipeline::fact::{Input, Record};
use rusqlite::Connection;

mod people;
mod read;
mod recover;
mod write;

pub use read::Reader;

use crate::commit::Commit;
use crate::store::{self, Archived, Error, Recovery};

/// Name of the database in the data folder.
pub const FILE: &str = "observatory.sqlite";

mod embedded {
    refinery::embed_migrations!("src/migrations/sqlite");
}

/// The writing end; there is one.
pub struct Store {
    connection: Connection,
    path: PathBuf,
    generation: i64,
}

impl Store {
    /// Opens or creates the store in `folder`, and takes the next generation.
    pub fn open(folder: &Path) -> Result<Store, Error> {
        let path = folder.join(FILE);
        let mut connection =
            connect(&path).map_err(|source| Error::Open { path: path.clone(), source })?;
        embedded::migrations::runner()
            .run(&mut connection)
            .map_err(|source| Error::Migration { path: path.clone(), source: Box::new(source) })?;
        let generation = connection.query_row(
            "UPDATE frontier SET generation = generation + 1 RETURNING generation",
            [],
            |row| row.get(0),
        )?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Store { connection, path, generation })
    }

    /// A reading end on a connection of its own.
    pub fn reader(&self) -> Result<Reader, Error> {
        Reader::open(&self.path)
    }
}

impl store::Store for Store {
    fn recover(&mut self) -> Result<Recovery, Error> {
        recover::recover(self)
    }

    fn recover_jobs(&mut self, take: &mut dyn FnMut(Vec<Input>)) -> Result<u64, Error> {
        recover::jobs(&self.connection, take)
    }

    fn commit(&mut self, commit: &Commit) -> Result<Archived, Error> {
        write::commit(self, commit)
    }

    fn lookup(&mut self, jobs: &[JobId]) -> Result<Vec<Option<Record>>, Error> {
        jobs.iter().map(|job| recover::lookup(&self.connection, *job)).collect()
    }
}

/// A connection that writes.
fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    // KiB, negative: the indices of a million jobs fit.
    connection.pragma_update(None, "cache_size", -64 * 1024)?;
    Ok(connection)
}

/// A tick as SQLite keeps it.
fn micros(tick: Tick) -> i64 {
    i64::try_from(tick).unwrap_or(i64::MAX)
}

/// A tick as SQLite kept it.
fn tick(micros: i64) -> Tick {
    Tick::try_from(micros).unwrap_or(0)
}
