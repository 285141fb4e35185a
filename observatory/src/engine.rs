//! The engine: deliveries in, ticks through the dataflow, sealed batches out to the store, and the
//! way back.
//!
//! ```text
//!   submit ──Deliver──▶ ┌─────────┐ ──tick──▶ dataflow ──Sealed──┐
//!                       │ engine  │ ◀────────────────────────────┘
//!   settle ◀─ store ◀── │ (ledger)│ ──Group──▶ store thread: commit, settle, show
//!               └─Found▶└─────────┘
//! ```
//!
//! A tick is closed when some milliseconds have passed since the last and that one has been
//! sealed, or when it is full: under load ticks grow, which is the efficient direction. Without
//! input time goes on all the same, so that windows empty themselves.
//!
//! # Invariants
//!
//! 1. Ticks increase: the next is the clock's, or one more than the last.
//! 2. A delivery is settled after the commit of the tick that its fact took effect at; a fact that
//!    had to be looked up is moved to a later tick before its first one can be committed.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use contracts::Reason;
use ingress::ledger::Ledger;
use ingress::submit::{Delivery, Receipt};
use pipeline::fact::{Answer, Fact, Input};
use pipeline::rules::Rule;
use pipeline::seal::Sealed;
use pipeline::worker::{Pipeline, Stopped};
use pipeline::{Diff, Tick};
use sinks::commit::{Accepted, Commit};

use crate::metrics::Metrics;

/// A tick is not shorter: fewer, larger ticks cost less, and nobody sees 5 ms.
const SHORTEST: Duration = Duration::from_millis(5);

/// Without input, time goes on at this pace: the step of the coarse cadence.
pub(crate) const GRID: Duration = Duration::from_millis(100);

/// Events of a tick.
const FULL: usize = 10_000;

/// Rows are kept so long; an event that occurred before is late. In µs.
const ROW_RETENTION: Tick = 30 * 24 * 3_600_000_000;

/// What the engine is told.
pub(crate) enum Msg {
    Deliver(Delivery),
    /// A submission was refused.
    Rejected(Reason),
    Sealed(Sealed),
    /// What the store knows of jobs that facts named and that are not in memory.
    Found(Vec<Answer>),
    /// Let what is inside come out, then stop.
    Drain,
}

/// Some sealed ticks on their way to the store.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) commit: Commit,
    /// To be settled when the commit is durable.
    pub(crate) receipts: Vec<Receipt>,
    /// To be looked up when the commit is durable.
    pub(crate) lookups: Vec<Fact>,
}

impl Group {
    /// Takes in the ticks that follow.
    pub(crate) fn extend(&mut self, later: Group) {
        self.commit.extend(later.commit);
        self.receipts.extend(later.receipts);
        self.lookups.extend(later.lookups);
    }
}

/// A delivery in the ledger.
struct Entry {
    delivery: Delivery,
    late: bool,
}

pub(crate) struct Engine {
    pipeline: Pipeline,
    inbox: Receiver<Msg>,
    store: Sender<Group>,
    ledger: Ledger<Entry>,
    /// Deliveries of the next tick.
    open: Vec<Delivery>,
    /// Facts of the next tick that have been looked up.
    found: Vec<Answer>,
    rules: Vec<(Rule, Diff)>,
    rejected: BTreeMap<Reason, u64>,
    last_tick: Tick,
    last_closed: Instant,
    /// The ticks before are sealed.
    upper: Tick,
    draining: bool,
    /// The store thread has ended, in a failure that it tells itself.
    store_gone: bool,
    metrics: Metrics,
}

impl Engine {
    /// An engine that goes on after `last_tick`, the tick at which the state was restored.
    pub(crate) fn new(
        pipeline: Pipeline,
        inbox: Receiver<Msg>,
        store: Sender<Group>,
        last_tick: Tick,
        rules: Vec<Rule>,
        metrics: Metrics,
    ) -> Engine {
        Engine {
            pipeline,
            inbox,
            store,
            ledger: Ledger::default(),
            open: Vec::new(),
            found: Vec::new(),
            rules: rules.into_iter().map(|rule| (rule, 1)).collect(),
            rejected: BTreeMap::new(),
            last_tick,
            last_closed: Instant::now(),
            upper: last_tick + 1,
            draining: false,
            store_gone: false,
            metrics,
        }
    }

    /// Runs until it has drained or the store has failed; an error means that the dataflow is gone.
    pub(crate) fn run(mut self) -> Result<(), Stopped> {
        loop {
            match self.inbox.recv_timeout(self.until_tick()) {
                Ok(msg) => self.handle(msg),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            // Whatever is there belongs to the same tick, if it is not full.
            while self.open.len() < FULL
                && let Ok(msg) = self.inbox.try_recv()
            {
                self.handle(msg);
            }
            if self.until_tick().is_zero() {
                self.tick()?;
            }
            let idle = self.open.is_empty() && self.found.is_empty() && self.ledger.is_empty();
            if self.store_gone || self.draining && idle && self.upper > self.last_tick {
                return Ok(());
            }
        }
    }

    /// How long until a tick may be closed, as things stand; what comes in may shorten it.
    fn until_tick(&self) -> Duration {
        let sealed = self.upper > self.last_tick;
        let waiting = !self.open.is_empty() || !self.found.is_empty() || !self.rules.is_empty();
        let after = match (sealed, waiting) {
            // The batch that we wait for will wake us.
            (false, _) => return GRID,
            (true, true) if self.open.len() >= FULL => return Duration::ZERO,
            (true, true) => SHORTEST,
            (true, false) => GRID,
        };
        after.saturating_sub(self.last_closed.elapsed())
    }

    fn handle(&mut self, msg: Msg) {
        match msg {
            Msg::Deliver(delivery) => self.open.push(delivery),
            Msg::Rejected(reason) => *self.rejected.entry(reason).or_default() += 1,
            Msg::Sealed(sealed) => self.sealed(sealed),
            Msg::Found(found) => self.found.extend(found),
            Msg::Drain => self.draining = true,
        }
    }

    /// Closes a tick with all that has come in.
    fn tick(&mut self) -> Result<(), Stopped> {
        let tick = now().max(self.last_tick + 1);
        if !self.open.is_empty() {
            self.metrics.tick_events.observe(self.open.len() as f64);
        }
        let mut inputs = Vec::with_capacity(self.open.len() + self.found.len());
        for answer in self.found.drain(..) {
            self.ledger.resume(answer.fact.seq, tick);
            inputs.push(Input::Answer(Box::new(answer)));
        }
        for delivery in self.open.drain(..) {
            let mut fact = delivery.event.fact.clone();
            let late = fact.at < i64::try_from(tick.saturating_sub(ROW_RETENTION)).unwrap_or(0);
            fact.seq = self.ledger.enter(tick, Entry { delivery, late });
            if !late {
                inputs.push(Input::Fact(fact));
            }
        }
        if !self.rules.is_empty() {
            self.pipeline.rules(tick, std::mem::take(&mut self.rules))?;
        }
        self.pipeline.tick(tick, inputs)?;
        self.last_tick = tick;
        self.last_closed = Instant::now();
        Ok(())
    }

    /// Sends sealed ticks to the store, with the deliveries that they carried.
    fn sealed(&mut self, mut sealed: Sealed) {
        self.upper = sealed.upper;
        let mut lookups = Vec::with_capacity(sealed.lookups.len());
        for (fact, tick, ()) in sealed.lookups.drain(..) {
            self.ledger.defer(tick, fact.seq);
            lookups.push(fact);
        }
        let mut events = Vec::new();
        let mut receipts = Vec::new();
        for (tick, Entry { delivery, late }) in self.ledger.take(sealed.upper) {
            events.push(Accepted { tick, event: delivery.event, late });
            receipts.push(delivery.receipt);
        }
        let rejected = std::mem::take(&mut self.rejected);
        let group = Group { commit: Commit { events, sealed, rejected }, receipts, lookups };
        self.store_gone |= self.store.send(group).is_err();
    }
}

/// µs since the epoch, by the clock of the machine.
pub(crate) fn now() -> Tick {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Tick::try_from(since.as_micros()).unwrap_or(Tick::MAX)
}
