//! The servers as one store: PostgreSQL decides, MongoDB keeps every event.
//!
//! ```text
//!   Commit ──┬──▶ Postgres: one transaction ─────────────┬──▶ durable
//!            └──▶ Mongo: the events, within a second ────┤
//!                   └─ no answer ──▶ event_spill ────────┘
//!                                        └──tend──▶ Mongo, when it is back
//! ```
//!
//! # Invariants
//!
//! 1. A commit has returned when its transaction is committed *and* each of its events is in the
//!    archive or in the spill table.
//! 2. Only PostgreSQL stops progress: while MongoDB is away its events wait in PostgreSQL, and
//!    nothing waits for it.
//! 3. What a repeated commit does again changes nothing.
//!
//! # Cost
//!
//! The slower of the two, as they work side by side.

use std::time::{Duration, Instant};

use contracts::notes::{Note, ReceivedAlert};
use contracts::snapshot::AlertRow;
use contracts::workers::KnownWorker;
use contracts::{EventId, JobId, Micros, Reason};
use pipeline::Tick;
use pipeline::fact::{Input, Record};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::commit::{Accepted, Commit, SpillRow};
use crate::crash;
use crate::mongo::{self, Archive};
use crate::postgres::{self, Writer};
use crate::query::Query;
use crate::store::{
    self, Archived, Episode, Error, Happened, KeptRules, Listed, Notified, Recovery, Sink, Span,
    Told, WhichNotes,
};

/// How long the archive is given; then its events are spilled.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long an outpost does without an archive that did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Events that go from the spill table to the archive at a time, and how many times in one go, so
/// that a commit does not wait long for it.
const DRAINED: usize = 1_000;
const GOES: usize = 5;

/// The writing end.
pub struct Servers {
    postgres: Writer,
    archive: Archive,
    runtime: Handle,
    /// The archive did not answer when it was last asked.
    away: bool,
    /// There may be events in the spill table.
    spilled: bool,
    /// How long PostgreSQL and MongoDB took for their parts of the last commit.
    took: [Option<Duration>; 2],
    /// PostgreSQL, and MongoDB, did not take their part of the last commit.
    refused: [bool; 2],
}

impl Servers {
    /// Both servers; calls block on `runtime`, and so must not come from one of its threads.
    pub fn new(postgres: Writer, archive: Archive, runtime: Handle) -> Servers {
        // What an earlier run has spilled is not known.
        let (spilled, took) = (true, [None; 2]);
        Servers { postgres, archive, runtime, away: false, spilled, took, refused: [false; 2] }
    }

    /// Whether the archive did not answer when it was last asked.
    pub fn archive_is_away(&self) -> bool {
        self.away
    }

    /// Archives and commits side by side; says what became of each.
    fn side_by_side(
        &mut self,
        commit: &Commit,
    ) -> (Result<Archived, mongo::Error>, Result<(), Error>) {
        let (archive, runtime) = (&self.archive, &self.runtime);
        let postgres = &mut self.postgres;
        let began = Instant::now();
        let (archived, committed, took) = std::thread::scope(|scope| {
            let insert = scope.spawn(move || {
                crash::point("archive");
                let archived = runtime.block_on(archive.insert(&commit.events, PATIENCE));
                let took = began.elapsed();
                crash::point("archived");
                (archived, took)
            });
            let committed = postgres.commit_with_spill(commit, &[]).map(drop);
            let of_postgres = began.elapsed();
            crash::point("committed");
            // A panic there is one here.
            let (archived, of_archive) =
                insert.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (archived, committed, [of_postgres, of_archive])
        });
        self.took = took.map(Some);
        self.refused = [committed.is_err(), archived.is_err()];
        (archived, committed)
    }

    /// Commits without the archive.
    fn commit_alone(&mut self, commit: &Commit, spill: &[SpillRow]) -> Result<Archived, Error> {
        let began = Instant::now();
        let committed = self.postgres.commit_with_spill(commit, spill);
        self.took = [Some(began.elapsed()), None];
        self.refused[0] = committed.is_err();
        committed
    }
}

impl store::Store for Servers {
    fn recover(&mut self) -> Result<Recovery, Error> {
        self.postgres.recover()
    }

    fn recover_jobs(&mut self, take: &mut dyn FnMut(Vec<Input>)) -> Result<u64, Error> {
        self.postgres.recover_jobs(take)
    }

    fn commit(&mut self, commit: &Commit) -> Result<Archived, Error> {
        if commit.events.is_empty() {
            return self.commit_alone(commit, &[]);
        }
        if !self.away {
            let (archived, committed) = self.side_by_side(commit);
            committed?;
            match archived {
                Ok(archived) => return Ok(archived),
                Err(error) => {
                    tracing::warn!(%error, "the archive is away: its events wait in PostgreSQL");
                    self.away = true;
                }
            }
        }
        let rows: Vec<SpillRow> = commit.events.iter().map(SpillRow::of).collect();
        self.spilled = true;
        self.commit_alone(commit, &rows)?;
        Ok(Archived { new: rows.len() as u64, ..Archived::default() })
    }

    fn lookup(&mut self, jobs: &[JobId]) -> Result<Vec<Option<Record>>, Error> {
        self.postgres.lookup(jobs)
    }

    fn sinks(&self) -> Vec<Sink> {
        let ([postgres, archive], [refused, unanswered]) = (self.took, self.refused);
        vec![
            Sink { name: "postgresql", away: refused, took: postgres },
            Sink { name: "mongodb", away: self.away || unanswered, took: archive },
        ]
    }

    /// Brings spilled events to the archive.
    fn tend(&mut self) -> Result<(), Error> {
        if !self.spilled {
            return Ok(());
        }
        for _ in 0..GOES {
            let spilled = self.postgres.spilled(DRAINED)?;
            let (ids, rows): (Vec<i64>, Vec<SpillRow>) =
                spilled.into_iter().map(|spilled| (spilled.id, spilled.event)).unzip();
            if rows.is_empty() {
                self.spilled = false;
                self.refused[1] = false;
                if std::mem::take(&mut self.away) {
                    tracing::info!("the archive is back, and has all events");
                }
                return Ok(());
            }
            match self.runtime.block_on(self.archive.insert_rows(&rows, PATIENCE)) {
                Ok(_) => {
                    self.away = false;
                    self.refused[1] = false;
                }
                Err(error) => {
                    tracing::debug!(%error, "the archive is still away");
                    self.away = true;
                    return Ok(());
                }
            }
            crash::point("unspill");
            self.postgres.unspill(&ids)?;
        }
        Ok(())
    }
}

/// The archive of a process that takes in events and leaves the rest to the one that writes.
pub struct Outpost {
    spill: Writer,
    archive: Archive,
    runtime: Handle,
    /// When the archive last did not answer.
    away: Option<Instant>,
}

impl Outpost {
    /// `spill` is for events that the archive does not take; calls block, as those of [`Servers`].
    pub fn new(spill: Writer, archive: Archive, runtime: Handle) -> Outpost {
        Outpost { spill, archive, runtime, away: None }
    }

    /// Whether the archive did not answer when it was last asked.
    pub fn archive_is_away(&self) -> bool {
        self.away.is_some()
    }

    /// Makes `events` durable, in the archive or until it has them.
    pub fn keep(&mut self, events: &[Accepted]) -> Result<Archived, Error> {
        if events.is_empty() {
            return Ok(Archived::default());
        }
        if self.away.is_none_or(|since| since.elapsed() >= ASK_AGAIN) {
            match self.runtime.block_on(self.archive.insert(events, PATIENCE)) {
                Ok(archived) => {
                    self.away = None;
                    return Ok(archived);
                }
                Err(error) => {
                    tracing::warn!(%error, "the archive is away: its events wait in PostgreSQL");
                    self.away = Some(Instant::now());
                }
            }
        }
        let rows: Vec<SpillRow> = events.iter().map(SpillRow::of).collect();
        self.spill.spill(&rows)?;
        Ok(Archived { new: rows.len() as u64, ..Archived::default() })
    }
}

/// A reading end: rows from PostgreSQL, events from MongoDB.
pub struct Reader {
    postgres: postgres::Reader,
    archive: Archive,
    runtime: Handle,
}

impl Reader {
    pub fn new(postgres: postgres::Reader, archive: Archive, runtime: Handle) -> Reader {
        Reader { postgres, archive, runtime }
    }
}

impl store::Reader for Reader {
    fn jobs(&mut self, query: &Query) -> Result<Listed, Error> {
        self.postgres.jobs(query)
    }

    fn job(&mut self, job: JobId) -> Result<Option<Told>, Error> {
        let Some(told) = self.postgres.job(job)? else { return Ok(None) };
        // Read after the row, so that what the row tells of is there, or waits in PostgreSQL.
        let mut events = match self.runtime.block_on(self.archive.events(job)) {
            Ok(events) => events,
            Err(error) if error.passes() => {
                tracing::debug!(%error, "a job is told without the archive");
                return Ok(Some(Told { incomplete: true, ..told }));
            }
            Err(error) => return Err(error.into()),
        };
        for spilled in told.events {
            if !events.iter().any(|event| event.body == spilled.body) {
                events.push(spilled);
            }
        }
        events.sort_by_key(|event| event.tick);
        Ok(Some(Told { events, incomplete: false, ..told }))
    }

    fn event(&mut self, event: EventId) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.runtime.block_on(self.archive.event(event))?)
    }

    fn archive_stats(&mut self) -> Result<(Option<Micros>, u64), Error> {
        self.postgres.archive_stats()
    }

    fn rejections(&mut self) -> Result<Vec<(Reason, u64)>, Error> {
        self.postgres.rejections()
    }

    fn history(&mut self, span: &Span) -> Result<Happened, Error> {
        self.postgres.history(span)
    }

    fn workers(&mut self) -> Result<Vec<KnownWorker>, Error> {
        self.postgres.workers()
    }

    fn resolved(&mut self, limit: usize) -> Result<(Tick, Vec<AlertRow>), Error> {
        self.postgres.resolved(limit)
    }

    fn rules(&mut self) -> Result<(Tick, Option<KeptRules>), Error> {
        self.postgres.rules()
    }

    fn rules_history(&mut self, limit: usize) -> Result<Vec<KeptRules>, Error> {
        self.postgres.rules_history(limit)
    }

    fn apply_rules(&mut self, rules: &KeptRules) -> Result<(), Error> {
        self.postgres.apply_rules(rules)
    }

    fn notes(&mut self, which: WhichNotes) -> Result<Vec<Note>, Error> {
        self.postgres.notes(which)
    }

    fn add_note(&mut self, note: &Note) -> Result<(), Error> {
        self.postgres.add_note(note)
    }

    fn end_note(&mut self, id: Uuid, at: Micros, by: &str) -> Result<bool, Error> {
        self.postgres.end_note(id, at, by)
    }

    fn archived(
        &mut self,
        from: Micros,
        to: Micros,
        limit: usize,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, Error> {
        let mut n = 0;
        let mut events = self.runtime.block_on(self.archive.between(from, to))?;
        while let Some(event) = self.runtime.block_on(events.next())? {
            n += 1;
            if n > limit {
                return Ok(false);
            }
            take(&event.body);
        }
        // What waits for the archive in PostgreSQL, unless it has gone there meanwhile: a fact that
        // is told twice is one.
        self.postgres.archived(from, to, limit - n, take)
    }

    fn received(&mut self, limit: usize) -> Result<Vec<ReceivedAlert>, Error> {
        self.postgres.received(limit)
    }

    fn receive(&mut self, alerts: &[ReceivedAlert], forget: Micros) -> Result<(), Error> {
        self.postgres.receive(alerts, forget)
    }

    fn notified(&mut self, limit: usize) -> Result<Vec<(Episode, Notified)>, Error> {
        self.postgres.notified(limit)
    }

    fn notify(&mut self, told: &[(Episode, Notified)]) -> Result<(), Error> {
        self.postgres.notify(told)
    }
}
