//! The authority: PostgreSQL, in which a tick is durable when its transaction has been committed.
//!
//! ```text
//!   Postgres::connect ──▶ tables set up ──take_over──▶ Writer: recover, commit, lookup, spill
//!                                │            └─ standby while another writes
//!                                └──reader──▶ Reader: lists and jobs
//! ```
//!
//! # Invariants
//!
//! 1. Every transaction of a writer begins by moving, or locking, the frontier of its generation;
//!    if another writer has taken a newer one, nothing is written.
//! 2. A commit moves the frontier from where this writer left it. So one whose outcome was lost
//!    with the connection may be tried again: it finds the frontier either where it was, or at its
//!    own end, and then it is done. The row lock makes it wait for the attempt that was lost, should
//!    the server still be at it.
//! 3. Rows, counts, totals and alerts are absolute; minutes and distributions are added to, which
//!    the second invariant makes exact.
//! 4. When [`commit`](crate::store::Store::commit) has returned, what it wrote survives a crash of
//!    the server: `synchronous_commit` is on, whatever the server's default.
//! 5. Safety never depends on the advisory lock behind which a standby waits; it only keeps two
//!    pipelines from fencing each other by turns.
//!
//! # Cost
//!
//! Three round trips per commit, whatever is in it: the fence, all the rest at once, the end. Each
//! table gets its rows in arrays, some 50 µs a job with the server on the same two cores. A writer
//! holds two connections, a reading end up to eight.
//!
//! The calls block on a runtime, which must have threads of its own, and so must not come from one
//! of them. Advisory locks and settings belong to a session: between us and the server there may be
//! a pool of connections only if it gives each client a session of its own.

use std::ops::ControlFlow;
use std::time::Duration;

use contracts::JobId;
use pipeline::Tick;
use pipeline::fact::{Input, Record};
use tokio::runtime::Handle;

mod audit;
mod columns;
mod lock;
mod migrate;
mod people;
mod probe;
mod read;
mod recover;
mod server;
mod session;
mod spill;
mod write;

pub use audit::{JobRow, MinuteNumbers, Standing, Tables};
pub use probe::{Probe, probe};
pub use read::Reader;
pub use spill::Spilled;

use crate::commit::{Commit, SpillRow};
use crate::crash;
use crate::store::{self, Archived, Error, Recovery};
use lock::Lease;
use server::{Fault, Server};
use session::Session;

/// Between two looks whether the writer is gone.
const POLL: Duration = Duration::from_millis(500);

/// When the server has been away for all, a standby gives the writer so long to come back first:
/// more than its pause between two attempts, which is a second.
const GRACE: Duration = Duration::from_secs(3);

/// A database with our tables in it.
pub struct Postgres {
    server: Server,
    runtime: Handle,
}

/// Why [`Postgres::take_over`] waits.
#[derive(Debug)]
pub enum Waiting<'a> {
    /// Another writer is at work, so this one is a standby.
    Standby,
    /// The server is away.
    Away(&'a Error),
}

impl Postgres {
    /// Connects to the database of `url`, and sets up our tables in it or checks that they are
    /// there.
    ///
    /// Programs that start at once set them up one after another. For a user who may only read,
    /// they have to be there.
    pub fn connect(url: &str, runtime: Handle) -> Result<Postgres, Error> {
        let server = Server::new(url)?;
        runtime.block_on(migrate::run(&server))?;
        Ok(Postgres { server, runtime })
    }

    /// A reading end, with connections of its own.
    pub fn reader(&self) -> Result<Reader, Error> {
        Reader::new(self.server.clone(), self.runtime.clone())
    }

    /// The end of a process that belongs to the writer of `generation`: it can do nothing but
    /// [`Writer::spill`].
    pub fn spiller(&self, generation: i64) -> Writer {
        Writer {
            server: self.server.clone(),
            runtime: self.runtime.clone(),
            mine: Mine { generation, left: Tick::MAX },
            session: None,
            lease: Lease::default(),
        }
    }

    /// How far the store has come.
    pub fn standing(&self) -> Result<Standing, Error> {
        self.look(async |client| audit::standing(client).await)
    }

    /// Hands over every job as it is in one transaction, and then gives what the other tables hold
    /// in it.
    pub fn audit(&self, take: &mut dyn FnMut(JobRow)) -> Result<Tables, Error> {
        self.look(async |client| audit::tables(client, take).await)
    }

    /// Looks at the tables, over a connection of its own.
    fn look<T>(
        &self,
        work: impl AsyncFnOnce(&tokio_postgres::Client) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        self.runtime.block_on(async {
            let client = self.server.connect("audit").await?;
            work(&client).await.map_err(|fault| self.server.error(fault))
        })
    }

    /// Waits until no other writer is at work, and takes the next generation.
    ///
    /// `waiting` is told every [`POLL`] that it waits still, and may have it stop: then there is no
    /// writer.
    pub fn take_over(
        &self,
        waiting: &mut dyn FnMut(Waiting<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Writer>, Error> {
        self.runtime.block_on(async {
            let mut lease = Lease::default();
            loop {
                let pause = match self.try_take_over(&mut lease).await {
                    Ok(Some(writer)) => return Ok(Some(Writer { lease, ..writer })),
                    Ok(None) if waiting(Waiting::Standby).is_break() => return Ok(None),
                    Ok(None) => POLL,
                    Err(error) if !error.passes() => return Err(error),
                    Err(error) if waiting(Waiting::Away(&error)).is_break() => return Ok(None),
                    Err(_) => {
                        lease = Lease::default();
                        GRACE
                    }
                };
                tokio::time::sleep(pause).await;
            }
        })
    }

    /// The writer, but for the lease; none while another holds that.
    async fn try_take_over(&self, lease: &mut Lease) -> Result<Option<Writer>, Error> {
        if !lease.take(&self.server).await? {
            return Ok(None);
        }
        let session = Session::open(&self.server).await?;
        let (generation, left) =
            session.next_generation().await.map_err(|fault| self.server.error(fault))?;
        crash::point("generation");
        Ok(Some(Writer {
            server: self.server.clone(),
            runtime: self.runtime.clone(),
            mine: Mine { generation, left },
            session: Some(session),
            lease: Lease::default(),
        }))
    }
}

/// What a writer knows of the frontier.
#[derive(Clone, Copy, Debug)]
struct Mine {
    generation: i64,
    /// Where this writer left it, or found it.
    left: Tick,
}

/// The writing end; there is one for all programs together.
pub struct Writer {
    server: Server,
    runtime: Handle,
    mine: Mine,
    /// None after a failure: the transaction may be open, the connection half dead.
    session: Option<Session>,
    lease: Lease,
}

impl Writer {
    /// Number of times the store has been taken for writing, this one included.
    pub fn generation(&self) -> i64 {
        self.mine.generation
    }

    /// As [`commit`](store::Store::commit), with events that wait for the archive in the same
    /// transaction.
    ///
    /// After an error that passes, the same `commit` may be tried again, with these rows or with
    /// more.
    pub fn commit_with_spill(
        &mut self,
        commit: &Commit,
        spill: &[SpillRow],
    ) -> Result<Archived, Error> {
        let upper = commit.sealed.upper;
        if upper > self.mine.left {
            let writes = write::plan(commit, spill);
            let done = self.run(async |session, mine| {
                session.commit(mine, upper, write::frontier(commit), &writes).await
            })?;
            self.mine.left = upper;
            self.runtime.block_on(self.lease.keep(&self.server));
            if done == write::Done::Now {
                return Ok(Archived::default());
            }
        }
        // An attempt whose outcome was lost may have had fewer events to spill.
        self.spill(spill)?;
        Ok(Archived::default())
    }

    /// Keeps events that wait for the archive.
    pub fn spill(&mut self, spill: &[SpillRow]) -> Result<(), Error> {
        if spill.is_empty() {
            return Ok(());
        }
        let write = spill::keep(spill);
        self.run(async |session, mine| session.write(mine, &[write]).await)
    }

    /// The events that have waited longest for the archive, in the order in which they came.
    pub fn spilled(&mut self, limit: usize) -> Result<Vec<Spilled>, Error> {
        self.run(async |session, _| spill::oldest(session, limit).await)
    }

    /// Forgets events that the archive has.
    pub fn unspill(&mut self, ids: &[i64]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let write = spill::forget(ids);
        self.run(async |session, mine| session.write(mine, &[write]).await)
    }

    /// Does `work` on the session, or on a new one if there is none any more.
    fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Session, Mine) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        self.runtime.block_on(async {
            let mut session = match self.session.take() {
                Some(session) if !session.closed() => session,
                _ => Session::open(&self.server).await?,
            };
            let done = work(&mut session, self.mine).await;
            if done.is_ok() {
                self.session = Some(session);
            }
            done.map_err(|fault| self.server.error(fault))
        })
    }
}

impl store::Store for Writer {
    fn recover(&mut self) -> Result<Recovery, Error> {
        self.run(async |session, mine| recover::recover(session, mine).await)
    }

    fn recover_jobs(&mut self, take: &mut dyn FnMut(Vec<Input>)) -> Result<u64, Error> {
        self.run(async |session, _| recover::jobs(session, take).await)
    }

    fn commit(&mut self, commit: &Commit) -> Result<Archived, Error> {
        self.commit_with_spill(commit, &[])
    }

    fn lookup(&mut self, jobs: &[JobId]) -> Result<Vec<Option<Record>>, Error> {
        self.run(async |session, _| recover::lookup(session, jobs).await)
    }
}

/// A tick as the server keeps it.
fn bigint(tick: Tick) -> i64 {
    i64::try_from(tick).unwrap_or(i64::MAX)
}

/// A tick as the server kept it.
fn tick(bigint: i64) -> Tick {
    Tick::try_from(bigint).unwrap_or(0)
}
