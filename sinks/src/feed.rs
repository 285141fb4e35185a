//! What readers of the change stream are told: the views in this process, or the copy of another's,
//! as deltas one after the other.
//!
//! ```text
//!   Live ──batches gathered──▶ ┐
//!                              ├──▶ Feed ──next──▶ Anew(where), Delta, Delta, …
//!   View ──entries gathered──▶ ┘
//! ```
//!
//! Whoever asks seldom is told the same in fewer deltas: everything since the last time is one.
//!
//! # Invariants
//!
//! 1. The deltas that follow an [`News::Anew`] lead on from the grid time that it names: folded, row
//!    by row, onto the snapshot of that time or any later one, they give the counts of their tick,
//!    and the other views of the last grid time before it.
//! 2. A delta is complete at its tick, and its number of jobs is the sum of the counts.
//! 3. Following holds up nobody: what is not taken is gathered up to a bound, and then given up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use contracts::{Delta, Reason, Snapshot};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

use crate::deltas::{Batch, Deltas};
use crate::fold::Position;
use crate::live::{Live, Taken};
use crate::merge::merge;
use crate::redis::{Change, View};

/// Without changes it is told at this pace that there are none.
const IDLE: Duration = Duration::from_secs(1);

/// What is told.
#[derive(Debug)]
pub enum News {
    /// What was told before does not lead on: the next deltas build on the snapshot of this time.
    Anew(Position),
    Delta(Position, Box<Delta>),
}

/// Follows the views.
pub struct Feed {
    source: Source,
    /// Told next.
    ready: VecDeque<News>,
    /// When a delta was last told.
    told: Instant,
}

enum Source {
    Here(Here),
    Copy { view: Arc<View>, changes: Option<broadcast::Receiver<Change>> },
}

struct Here {
    live: Arc<RwLock<Live>>,
    moved: Arc<Notify>,
    known: Option<Known>,
}

struct Known {
    generation: i64,
    deltas: Deltas,
    aside: Aside,
}

/// What is beside the views.
#[derive(Clone, PartialEq)]
struct Aside {
    late: u64,
    rejected: BTreeMap<Reason, u64>,
}

impl Feed {
    /// The views in this process; there is one feed of them.
    pub fn here(live: Arc<RwLock<Live>>) -> Feed {
        let moved = live.write().unwrap_or_else(PoisonError::into_inner).follow();
        Feed::of(Source::Here(Here { live, moved, known: None }))
    }

    /// The copy of another process' views.
    pub fn copy(view: Arc<View>) -> Feed {
        Feed::of(Source::Copy { view, changes: None })
    }

    fn of(source: Source) -> Feed {
        Feed { source, ready: VecDeque::new(), told: Instant::now() }
    }

    /// Waits for what there is to tell.
    pub async fn next(&mut self) -> News {
        loop {
            if let Some(news) = self.ready.pop_front() {
                if let News::Delta(..) = news {
                    self.told = Instant::now();
                }
                return news;
            }
            match &mut self.source {
                Source::Here(here) => {
                    if here.known.is_some() {
                        // Time moves too, some ten times a second.
                        here.moved.notified().await;
                    }
                    self.ready.extend(here.take(self.told.elapsed() >= IDLE));
                }
                Source::Copy { view, changes: None } => {
                    let (begun, changes) = begin(view);
                    let empty = begun.is_empty();
                    self.ready.extend(begun);
                    self.source = Source::Copy { view: Arc::clone(view), changes: Some(changes) };
                    if empty {
                        self.wait().await;
                    }
                }
                Source::Copy { changes: Some(changes), .. } => match gather(changes).await {
                    Some(news) => self.ready.push_back(news),
                    None => self.again(),
                },
            }
        }
    }

    /// Waits for the first sign of a copy that is empty.
    async fn wait(&mut self) {
        if let Source::Copy { changes: Some(changes), .. } = &mut self.source {
            // Whatever it is, the copy is then looked at anew.
            drop(changes.recv().await);
        }
        self.again();
    }

    fn again(&mut self) {
        if let Source::Copy { changes, .. } = &mut self.source {
            *changes = None;
        }
    }
}

impl Here {
    /// What moved since the last time; without a change, only when it is time to say so.
    fn take(&mut self, silent: bool) -> Vec<News> {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        let aside = Aside { late: live.late, rejected: live.rejected.clone() };
        let (batch, known) = match (live.take(), &mut self.known) {
            (Taken::Batch(batch), Some(known)) => (batch, known),
            _ => {
                // Nothing is known yet, or something was given up.
                let (deltas, mut between) = Deltas::of(&live);
                let generation = live.generation;
                let base = Position { generation, tick: live.on_grid().1 };
                between.delta.late = aside.late;
                between.delta.rejected = aside.rejected.clone();
                self.known = Some(Known { generation, deltas, aside });
                let at = Position { generation, tick: between.tick };
                return vec![News::Anew(base), News::Delta(at, Box::new(between.delta))];
            }
        };
        drop(live);
        known.tell(batch, aside, silent).into_iter().collect()
    }
}

impl Known {
    fn tell(&mut self, batch: Batch, aside: Aside, silent: bool) -> Option<News> {
        let mut told: Option<(Position, Delta)> = None;
        let mut changes = aside != self.aside;
        for (step, _) in self.deltas.advance(batch) {
            changes |= step.changes();
            let at = Position { generation: self.generation, tick: step.tick };
            match &mut told {
                None => told = Some((at, step.delta)),
                Some((last, delta)) => {
                    *last = at;
                    merge(delta, step.delta);
                }
            }
        }
        let (at, mut delta) = told?;
        if !changes && !silent {
            return None;
        }
        delta.late = aside.late;
        if aside.rejected != self.aside.rejected {
            delta.rejected = aside.rejected.clone();
        }
        self.aside = aside;
        Some(News::Delta(at, Box::new(delta)))
    }
}

/// Where a copy is, if it is anywhere yet, and what happens to it from then on.
fn begin(view: &View) -> (Vec<News>, broadcast::Receiver<Change>) {
    let (begun, changes) = view.follow();
    let news =
        begun.map(|(base, at, since)| vec![News::Anew(base), News::Delta(at, Box::new(since))]);
    (news.unwrap_or_default(), changes)
}

/// The entries that are there, at least one, as a delta; none if they do not lead on.
async fn gather(changes: &mut broadcast::Receiver<Change>) -> Option<News> {
    let mut told: Option<(Position, Delta)> = None;
    let mut change = match changes.recv().await {
        Ok(change) => change,
        Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
    };
    loop {
        let Change::Folded(entry) = change else { return None };
        match &mut told {
            None => told = Some((entry.at, entry.delta.clone())),
            Some((at, delta)) => {
                *at = entry.at;
                merge(delta, entry.delta.clone());
            }
        }
        change = match changes.try_recv() {
            Ok(change) => change,
            Err(TryRecvError::Empty) => break,
            Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => return None,
        };
    }
    told.map(|(at, delta)| News::Delta(at, Box::new(delta)))
}

/// The snapshot that deltas are folded onto, with its id.
pub fn snapshot_here(live: &Live) -> (Position, Snapshot) {
    let tick = live.on_grid().1;
    (Position { generation: live.generation, tick }, live.snapshot())
}
