//! The one that writes: batches as they become durable, or everything when something was missed.
//!
//! ```text
//!   store thread ──offer──▶ queue ──▶ [ what Redis holds is known ] ──script──▶ done
//!                 (full: dropped)          ▲        │ lost, gap, error
//!                               Live ──rebuild◀─────┘
//! ```

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ::redis::aio::ConnectionManager;
use ::redis::{Client, cmd};
use contracts::{Micros, Reason};
use pipeline::Tick;
use pipeline::seal::Sealed;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::fields::{Fields, all_time, json};
use super::{COMPLETED, DELTAS, Error, FAILED, LAST_EVENT, MAX_DELTAS, SNAPSHOT, TOTAL, connect};
use crate::deltas::{AllTime, Batch, Deltas, Step};
use crate::fold::{Position, from_nothing};
use crate::live::Live;

/// Batches that wait while one is being written. It bounds memory; a rebuild does for more.
const QUEUE: usize = 64;

/// Without changes, what Redis holds is compared, and the time moved on, at this pace.
const IDLE: Duration = Duration::from_secs(1);

/// Between two attempts when Redis does not answer.
const RETRY: Duration = Duration::from_millis(200);

const SCRIPT: &str = include_str!("write.lua");

/// Where batches are handed in.
pub struct Follower {
    batches: Sender<(u64, Batch)>,
    offered: Arc<AtomicU64>,
    progress: watch::Sender<Progress>,
}

impl Follower {
    /// Hands in a batch that has become durable; never waits.
    ///
    /// Live must show it already: what is dropped here is taken from there.
    pub fn offer(&mut self, sealed: &Sealed) {
        // The input has closed: windows empty themselves at ticks that will never be.
        if sealed.upper == Tick::MAX {
            return;
        }
        let batch = Batch::of(sealed);
        let n = self.offered.fetch_add(1, Ordering::AcqRel) + 1;
        // The number that is missing in the queue tells the writer. Its end ends nothing here.
        if self.batches.try_send((n, batch)).is_err() {
            self.progress.send_modify(|progress| progress.dropped += 1);
        }
    }

    /// How far the writer has come.
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// The same, to be waited for.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Whether Redis answered when it was last asked.
    pub fn is_connected(&self) -> bool {
        self.progress.borrow().connected
    }
}

/// How far a writer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last tick that Redis has.
    pub tick: Tick,
    /// Whether the last attempt to reach Redis succeeded.
    pub connected: bool,
    pub writes: u64,
    /// Times that everything was written anew, the first included.
    pub rebuilds: u64,
    /// Batches that found the queue full.
    pub dropped: u64,
}

/// Writes what is offered to its [`Follower`].
pub struct Writer {
    client: Client,
    connection: ConnectionManager,
    generation: i64,
    live: Arc<RwLock<Live>>,
    batches: Receiver<(u64, Batch)>,
    offered: Arc<AtomicU64>,
    progress: watch::Sender<Progress>,
    /// That Redis is away has been told once, also if it never was there.
    told_away: bool,
}

/// What Redis holds, as far as we know.
struct Held {
    deltas: Deltas,
    /// The batch that follows.
    next: u64,
    /// The tick of the hash.
    base: Tick,
    /// The last entry of the stream.
    top: Position,
    aside: Aside,
    /// When an entry was last written, and when Redis was last compared with all this.
    told: Instant,
    checked: Instant,
}

/// What is beside the views; it may be a little ahead of them.
#[derive(Clone, Debug, PartialEq)]
struct Aside {
    late: u64,
    rejected: BTreeMap<Reason, u64>,
    last_event: Option<Micros>,
    skewed: u64,
}

/// What the script answers.
enum Answer {
    Done,
    Lost,
}

/// The arguments of the script.
struct Write<'a> {
    /// What Redis must hold; nothing to write everything anew.
    on: Option<(Tick, Position)>,
    tick: Tick,
    fields: Fields,
    entries: Vec<(&'a Step, Option<Position>)>,
    all_time: Option<AllTime>,
    last_event: Option<Micros>,
}

impl Writer {
    /// A writer for the pipeline of this generation, and where to hand batches in.
    ///
    /// `live` must have what the pipeline was restored with. To be called in a tokio runtime.
    pub fn new(
        url: &str,
        generation: i64,
        live: Arc<RwLock<Live>>,
    ) -> Result<(Follower, Writer), Error> {
        let client = Client::open(url).map_err(|error| Error::Url(error.category().to_owned()))?;
        let connection = connect(&client)?;
        let (sender, batches) = mpsc::channel(QUEUE);
        let offered = Arc::new(AtomicU64::new(0));
        let progress = watch::Sender::new(Progress::default());
        let follower =
            Follower { batches: sender, offered: Arc::clone(&offered), progress: progress.clone() };
        let told_away = false;
        let writer =
            Writer { client, connection, generation, live, batches, offered, progress, told_away };
        Ok((follower, writer))
    }

    /// Runs until the follower is gone, or another pipeline has taken over.
    pub async fn run(mut self) -> Result<(), Error> {
        let mut held = None;
        loop {
            let written = match held.take() {
                None => self.rebuild().await,
                Some(known) => match self.take(known).await {
                    Taken::Write(known, batch) => self.write(*known, batch).await,
                    Taken::Missed => Ok(None),
                    Taken::Closed => return Ok(()),
                },
            };
            match written {
                Ok(known) => {
                    // Nothing is durable yet, or the answer is to be asked for again.
                    if known.is_none() && self.closed_within(Duration::from_millis(20)).await {
                        return Ok(());
                    }
                    held = known;
                }
                Err(error) if error.passes() => {
                    self.away(&error)?;
                    if self.closed_within(RETRY).await {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The batches that are there, as one; or none after a while, which is to be told too.
    async fn take(&mut self, mut known: Held) -> Taken {
        let mut gathered: Option<Batch> = None;
        let mut received = match timeout_at(known.checked + IDLE, self.batches.recv()).await {
            Ok(None) => return Taken::Closed,
            Ok(Some(batch)) => Ok(batch),
            // The last that was offered may have found the queue full.
            Err(_) if self.offered.load(Ordering::Acquire) >= known.next => return Taken::Missed,
            Err(_) => return Taken::Write(Box::new(known), None),
        };
        while let Ok((n, batch)) = received {
            if n > known.next {
                return Taken::Missed;
            }
            // An earlier number was in Live when everything was read from there.
            if n == known.next {
                known.next += 1;
                if batch.upper() > known.deltas.upper() {
                    match &mut gathered {
                        Some(gathered) => gathered.extend(batch),
                        None => gathered = Some(batch),
                    }
                }
            }
            received = self.batches.try_recv();
        }
        // If the follower is gone, the next call finds out.
        Taken::Write(Box::new(known), gathered)
    }

    /// Writes what a batch changes; none if Redis has lost what it held.
    async fn write(
        &mut self,
        mut known: Held,
        batch: Option<Batch>,
    ) -> Result<Option<Held>, Error> {
        let aside = self.aside();
        let silent = known.told.elapsed() >= IDLE;
        let mut write = Write {
            on: Some((known.base, known.top)),
            tick: known.base,
            fields: Fields::default(),
            entries: Vec::new(),
            all_time: None,
            last_event: aside.last_event,
        };
        let mut steps = batch.map(|batch| known.deltas.advance(batch)).unwrap_or_default();
        steps.retain_mut(|(step, _)| {
            step.delta.late = aside.late;
            if step.on_grid && aside.rejected != known.aside.rejected {
                step.delta.rejected = aside.rejected.clone();
            }
            let beside = Aside { skewed: step.delta.skewed, ..aside.clone() } != known.aside;
            step.changes() || step.on_grid && (silent || beside)
        });
        if steps.is_empty() && known.checked.elapsed() < IDLE {
            return Ok(Some(known));
        }
        for (step, all_time) in &steps {
            write.entries.push((step, Some(known.top)));
            known.top = Position { generation: self.generation, tick: step.tick };
            if let Some(all_time) = all_time {
                write.fields = Fields::of(&step.delta);
                write.fields.at(self.generation, step.tick, aside.last_event);
                write.tick = step.tick;
                write.all_time = Some(*all_time);
                known.base = step.tick;
                known.aside = Aside { skewed: step.delta.skewed, ..aside.clone() };
            }
        }
        match self.call(write).await? {
            Answer::Done => {
                known.checked = Instant::now();
                if !steps.is_empty() {
                    known.told = known.checked;
                }
                self.wrote(&known, false);
                Ok(Some(known))
            }
            Answer::Lost => {
                tracing::warn!("redis has lost what it held; writing everything anew");
                Ok(None)
            }
        }
    }

    /// Writes everything anew, from what is shown in this process.
    async fn rebuild(&mut self) -> Result<Option<Held>, Error> {
        // Counted first: whatever has been offered by now is shown.
        let next = self.offered.load(Ordering::Acquire) + 1;
        let (mut known, snapshot, mut between) = {
            let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
            if live.upper() == 0 {
                return Ok(None);
            }
            let (deltas, between) = Deltas::of(&live);
            let base = live.on_grid().1;
            let snapshot = live.snapshot();
            let aside = Aside {
                late: live.late,
                rejected: live.rejected.clone(),
                last_event: live.last_event,
                skewed: snapshot.skewed,
            };
            let top = Position { generation: self.generation, tick: base };
            let told = Instant::now();
            (Held { deltas, next, base, top, aside, told, checked: told }, snapshot, between)
        };
        let all_time = all_time(&snapshot);
        let as_of = snapshot.as_of;
        let mut fields = Fields::of(&from_nothing(snapshot));
        fields.at(self.generation, known.base, known.aside.last_event);
        // The rows are in the hash: the entry only says that it is to be read.
        let delta = contracts::snapshot::Delta { as_of, more: true, ..Default::default() };
        let anew = Step { tick: known.base, on_grid: true, delta };
        let mut entries = vec![(&anew, None)];
        if between.tick > known.base {
            between.delta.late = known.aside.late;
            entries.push((&between, Some(known.top)));
            known.top.tick = between.tick;
        }
        let write = Write {
            on: None,
            tick: known.base,
            fields,
            entries,
            all_time: Some(all_time),
            last_event: known.aside.last_event,
        };
        match self.call(write).await? {
            Answer::Done => {
                known.told = Instant::now();
                known.checked = known.told;
                self.wrote(&known, true);
                Ok(Some(known))
            }
            // An earlier attempt has arrived after all, and was of a later tick.
            Answer::Lost => Ok(None),
        }
    }

    fn aside(&self) -> Aside {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let (late, last_event, rejected) = (live.late, live.last_event, live.rejected.clone());
        Aside { late, rejected, last_event, skewed: 0 }
    }

    async fn call(&mut self, write: Write<'_>) -> Result<Answer, Error> {
        let (base, top) = write
            .on
            .map_or_else(Default::default, |(base, top)| (base.to_string(), top.to_string()));
        let mut script = cmd("EVAL");
        script.arg(SCRIPT).arg(6);
        script.arg(&[SNAPSHOT, DELTAS, TOTAL, COMPLETED, FAILED, LAST_EVENT]);
        script.arg(self.generation).arg(base).arg(top).arg(write.tick).arg(MAX_DELTAS);
        script.arg(2 * write.fields.set.len());
        for (field, value) in &write.fields.set {
            script.arg(field).arg(value);
        }
        script.arg(write.fields.gone.len()).arg(&write.fields.gone);
        script.arg(write.entries.len());
        for (step, previous) in &write.entries {
            let at = Position { generation: self.generation, tick: step.tick };
            let last_event = write.last_event.map(|at| at.to_string()).unwrap_or_default();
            script.arg(at.to_string()).arg(12);
            script.arg("generation").arg(self.generation).arg("tick").arg(step.tick);
            script.arg("previous").arg(previous.map(|at| at.to_string()).unwrap_or_default());
            script.arg("grid").arg(u8::from(step.on_grid)).arg("lastEvent").arg(last_event);
            script.arg("delta").arg(json(&step.delta));
        }
        if let Some(AllTime { total, completed, failed }) = write.all_time {
            script.arg(total).arg(completed).arg(failed);
            script.arg(write.last_event.map(|at| at.to_string()).unwrap_or_default());
        }
        let answer: String = script.query_async(&mut self.connection).await?;
        match answer.split_once(' ') {
            None if answer == "done" => Ok(Answer::Done),
            Some(("taken", theirs)) => {
                let theirs = theirs.parse().unwrap_or(i64::MAX);
                Err(Error::TakenOver { ours: self.generation, theirs })
            }
            _ => Ok(Answer::Lost),
        }
    }

    fn wrote(&self, known: &Held, rebuilt: bool) {
        self.progress.send_modify(|progress| {
            if !progress.connected {
                tracing::info!(tick = known.top.tick, "redis has all views");
            }
            progress.connected = true;
            progress.tick = known.top.tick;
            progress.writes += 1;
            progress.rebuilds += u64::from(rebuilt);
        });
    }

    /// Tells it once, and leaves the connection: an answer may be on its way on it for ever.
    fn away(&mut self, error: &Error) -> Result<(), Error> {
        self.progress.send_if_modified(|progress| {
            if progress.connected || !self.told_away {
                // Nothing depends on Redis, but other processes show old numbers.
                tracing::warn!(error = error as &dyn std::error::Error, "redis is away");
            }
            std::mem::take(&mut progress.connected)
        });
        self.told_away = true;
        self.connection = connect(&self.client)?;
        Ok(())
    }

    /// Waits; whether the follower went away meanwhile.
    async fn closed_within(&mut self, pause: Duration) -> bool {
        sleep(pause).await;
        self.batches.is_closed() && self.batches.is_empty()
    }
}

/// What there is to do.
enum Taken {
    /// To be written, if only that time has passed.
    Write(Box<Held>, Option<Batch>),
    /// A batch was dropped.
    Missed,
    Closed,
}
