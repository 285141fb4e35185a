//! The one that reads: a copy of the views in another process than the pipeline's.
//!
//! ```text
//!   HGETALL ──▶ copy ◀──fold── XREAD BLOCK ◀┐
//!      ▲          │ does not follow          │
//!      └──────────┴──────────▶ next entry ───┘
//! ```
//!
//! # Invariants
//!
//! 1. The copy is at one tick, and is replaced or folded under one lock.
//! 2. It never goes back to an older generation.
//! 3. While Redis or the pipeline is away the copy stays, with its `asOf`, and [`View::standing`]
//!    says since when.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::redis::aio::ConnectionManager;
use ::redis::streams::{StreamId, StreamReadReply};
use ::redis::{Client, cmd};
use contracts::Micros;
use contracts::snapshot::{CountRow, Delta, Snapshot};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::fields::{folded, parse};
use super::{DELTAS, Error, SNAPSHOT, connect};
use crate::fold::{Entry, Folded, Position};

/// How long an XREAD waits, ms; well below the time that an answer may take.
const BLOCK: u64 = 1_000;

/// Entries of an answer: a copy that is far behind catches up in parts.
const COUNT: usize = 500;

/// The writer tells something every second. Not heard of for so long, it is away; in µs.
const SILENCE: i64 = 3_000_000;

/// Between two attempts when Redis does not answer, or has nothing.
const RETRY: Duration = Duration::from_millis(200);

/// Entries that a subscriber may be behind; then it is told how many it has missed.
const BEHIND: usize = 256;

/// The views as another process shows them.
pub struct View {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for View {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Shared {
    copy: RwLock<Copy>,
    changes: broadcast::Sender<Change>,
}

#[derive(Default)]
struct Copy {
    folded: Option<Folded>,
    /// When the pipeline was last heard of.
    heard: Option<Micros>,
}

/// Whether what is shown is what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is nothing to show yet.
    Empty,
    Current,
    /// Neither Redis nor, through it, the pipeline was heard of since.
    Stale {
        since: Micros,
    },
}

/// What happened to the copy.
#[derive(Clone, Debug)]
pub enum Change {
    Folded(Arc<Entry>),
    /// It was read anew: what a client has is not what the next entry builds on.
    Reset,
}

impl View {
    /// Begins to follow. To be called in a tokio runtime; ends when dropped.
    pub fn open(url: &str) -> Result<View, Error> {
        let client = Client::open(url).map_err(|error| Error::Url(error.category().to_owned()))?;
        let shared =
            Arc::new(Shared { copy: RwLock::default(), changes: broadcast::channel(BEHIND).0 });
        let task = tokio::spawn(follow(client, Arc::clone(&shared)));
        Ok(View { shared, task })
    }

    /// Whether the copy is current.
    pub fn standing(&self) -> Standing {
        let copy = self.shared.copy.read().unwrap_or_else(PoisonError::into_inner);
        match copy.heard {
            _ if copy.folded.is_none() => Standing::Empty,
            Some(heard) if now().0 - heard.0 < SILENCE => Standing::Current,
            heard => Standing::Stale { since: heard.unwrap_or_default() },
        }
    }

    /// Reads several things at one tick; none if there is nothing yet.
    pub fn read<T>(&self, read: impl FnOnce(&Folded) -> T) -> Option<T> {
        let copy = self.shared.copy.read().unwrap_or_else(PoisonError::into_inner);
        copy.folded.as_ref().map(read)
    }

    /// All views at the last grid time; empty, with no `asOf`, if there is nothing yet.
    pub fn snapshot(&self) -> Snapshot {
        self.read(Folded::snapshot).unwrap_or_default()
    }

    /// The cells of the cube at the last tick, which is [`View::as_of`] in the same moment.
    pub fn counts(&self) -> (Option<Micros>, Vec<CountRow>) {
        self.read(|copy| (Some(copy.jobs().0), copy.counts())).unwrap_or_default()
    }

    /// The moment of the counts.
    pub fn as_of(&self) -> Option<Micros> {
        self.read(|copy| copy.jobs().0)
    }

    /// The newest `occurredAt`.
    pub fn last_event(&self) -> Option<Micros> {
        self.read(Folded::last_event).flatten()
    }

    /// The id of the snapshot, where the copy is, what leads from one to the other, and every change
    /// from then on; nothing of the first three if there is no copy yet.
    pub fn follow(&self) -> (Option<(Position, Position, Delta)>, broadcast::Receiver<Change>) {
        let copy = self.shared.copy.read().unwrap_or_else(PoisonError::into_inner);
        // Changes are sent under the lock, so none is between the two.
        let changes = self.shared.changes.subscribe();
        let begun = copy.folded.as_ref().map(|copy| (copy.on_grid(), copy.at(), copy.since()));
        (begun, changes)
    }
}

async fn follow(client: Client, shared: Arc<Shared>) {
    let mut away = false;
    loop {
        match round(&client, &shared, &mut away).await {
            // Read anew at once.
            Ok(()) => {}
            Err(error) => {
                if !away {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "redis is away; showing what it last said");
                }
                away = true;
                sleep(RETRY).await;
            }
        }
    }
}

/// Reads everything, then follows until an entry does not.
async fn round(client: &Client, shared: &Shared, away: &mut bool) -> Result<(), Error> {
    let mut connection = connect(client)?;
    let hash: BTreeMap<String, String> =
        cmd("HGETALL").arg(SNAPSHOT).query_async(&mut connection).await?;
    if std::mem::take(away) {
        tracing::info!("redis is back");
    }
    let Some(mut copy) = folded(hash)? else {
        sleep(RETRY).await;
        return Ok(());
    };
    // What has been shown is not taken back: the hash is of a grid time, and the entries behind it are
    // folded in first.
    while shared.at().is_some_and(|shown| {
        shown.generation == copy.at().generation && shown.tick > copy.at().tick
    }) {
        let Some(reply) = next(&mut connection, copy.at()).await? else { break };
        for id in reply.keys.into_iter().flat_map(|key| key.ids) {
            if !copy.fold(entry(&id)?) {
                return Ok(());
            }
        }
    }
    if !shared.replace(copy) {
        // Of a pipeline that has been taken over from; the other will write it anew.
        sleep(RETRY).await;
        return Ok(());
    }
    while let Some(at) = shared.at() {
        let reply = next(&mut connection, at).await?;
        for id in reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
            if !shared.fold(entry(&id)?) {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn next(
    connection: &mut ConnectionManager,
    at: Position,
) -> Result<Option<StreamReadReply>, Error> {
    let mut read = cmd("XREAD");
    read.arg("COUNT").arg(COUNT).arg("BLOCK").arg(BLOCK).arg("STREAMS").arg(DELTAS);
    Ok(read.arg(at.to_string()).query_async(connection).await?)
}

fn entry(id: &StreamId) -> Result<Entry, Error> {
    let field = |name: &str| id.get::<String>(name).unwrap_or_default();
    let position = |text: &str| {
        text.parse::<Position>().map_err(|error| Error::Value {
            what: format!("an entry with the id {text:?}"),
            why: error.to_string(),
        })
    };
    let previous = field("previous");
    Ok(Entry {
        at: position(&id.id)?,
        previous: (!previous.is_empty()).then(|| position(&previous)).transpose()?,
        on_grid: field("grid") == "1",
        delta: parse("a delta", &field("delta"))?,
        last_event: Micros::parse(&field("lastEvent")).ok(),
    })
}

impl Shared {
    /// False if the copy is of an older generation.
    fn replace(&self, folded: Folded) -> bool {
        let mut copy = self.copy.write().unwrap_or_else(PoisonError::into_inner);
        if copy.folded.as_ref().is_some_and(|old| old.at().generation > folded.at().generation) {
            return false;
        }
        // It may have been written long ago.
        copy.heard = copy.heard.max(Some(folded.jobs().0));
        copy.folded = Some(folded);
        // Nobody need be listening.
        self.changes.send(Change::Reset).unwrap_or_default();
        true
    }

    /// False if the entry does not follow what is there.
    fn fold(&self, entry: Entry) -> bool {
        let mut copy = self.copy.write().unwrap_or_else(PoisonError::into_inner);
        let told = Arc::new(entry.clone());
        let follows = copy.folded.as_mut().is_some_and(|folded| folded.fold(entry));
        if follows {
            copy.heard = Some(now());
            self.changes.send(Change::Folded(told)).unwrap_or_default();
        }
        follows
    }

    fn at(&self) -> Option<Position> {
        let copy = self.copy.read().unwrap_or_else(PoisonError::into_inner);
        copy.folded.as_ref().map(Folded::at)
    }
}

fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
