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

use contracts::workers::KnownWorker;
use contracts::{Heartbeat, Micros, Reason};
use ingress::ledger::Ledger;
use ingress::submit::{Delivery, Receipt, Submitted};
use pipeline::aside::{Aside, Heard};
use pipeline::fact::{Answer, Fact, Input};
use pipeline::lives::Sign;
use pipeline::rules::{Gauge, Order, Rule};
use pipeline::seal::Sealed;
use pipeline::worker::{Pipeline, Stopped};
use pipeline::{Diff, Tick};
use sinks::commit::{Accepted, Commit};

use crate::foreign::Foreign;
use crate::metrics::Metrics;

/// A tick is not shorter: fewer, larger ticks cost less, and nobody sees 5 ms.
const SHORTEST: Duration = Duration::from_millis(5);

/// Without input, time goes on at this pace: the step of the coarse cadence.
pub(crate) const GRID: Duration = Duration::from_millis(100);

/// The same in a cluster, where all wait for the slowest.
const TOGETHER: Duration = Duration::from_millis(10);

/// Events of a tick.
const FULL: usize = 10_000;

/// Rows are kept so long; an event that occurred before is late. In µs.
const ROW_RETENTION: Tick = 30 * 24 * 3_600_000_000;

/// µs.
const SECOND: Tick = 1_000_000;

/// What the engine is told.
pub(crate) enum Msg {
    Deliver(Delivery),
    /// A worker of Celery has said something of itself.
    Heartbeat(Box<Heartbeat>),
    /// A submission was refused.
    Rejected(Reason),
    Sealed(Sealed),
    /// What the store knows of jobs that facts named and that are not in memory.
    Found(Vec<Answer>),
    /// Judge no alerts: what is known of the jobs is behind; or judge them again.
    Suspend(bool),
    /// Judge these rules from now on.
    Rules(Vec<Rule>),
    /// What the store thread knows of itself, for rules to be judged on.
    Standing(Vec<Gauge>),
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
    /// The first tick that is then not durable for the other processes of a cluster.
    pub(crate) durable: Tick,
}

impl Group {
    /// Takes in the ticks that follow.
    pub(crate) fn extend(&mut self, later: Group) {
        self.commit.extend(later.commit);
        self.receipts.extend(later.receipts);
        self.lookups.extend(later.lookups);
        self.durable = later.durable;
    }
}

/// What a process is in its cluster.
#[derive(Debug)]
pub(crate) enum Part {
    /// There is no cluster.
    Alone,
    /// It writes, and so hears of what others have taken in.
    First(Foreign),
    /// It takes in events, and tells the first.
    Other(usize),
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
    /// What workers of Celery said of themselves since the last tick. Nothing waits for it.
    heartbeats: Vec<Heartbeat>,
    /// What they said at ticks that are not sealed.
    workers: Vec<(Tick, KnownWorker)>,
    /// Facts of the next tick that have been looked up.
    found: Vec<Answer>,
    /// Orders of the next tick.
    orders: Vec<(Order, Diff)>,
    /// The rules that are judged.
    rules: Vec<Rule>,
    /// What rules are judged on beside jobs.
    standing: Vec<Gauge>,
    suspended: bool,
    rejected: BTreeMap<Reason, u64>,
    last_tick: Tick,
    last_closed: Instant,
    /// The ticks before are sealed.
    upper: Tick,
    draining: bool,
    /// The store thread has ended, in a failure that it tells itself.
    store_gone: bool,
    part: Part,
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
        part: Part,
        metrics: Metrics,
    ) -> Engine {
        let process = if let Part::Other(process) = part { process } else { 0 };
        Engine {
            pipeline,
            inbox,
            store,
            ledger: Ledger::of_process(process),
            open: Vec::new(),
            heartbeats: Vec::new(),
            workers: Vec::new(),
            found: Vec::new(),
            orders: rules.iter().cloned().map(|rule| (rule.into(), 1)).collect(),
            rules,
            standing: Vec::new(),
            suspended: false,
            rejected: BTreeMap::new(),
            last_tick,
            last_closed: Instant::now(),
            upper: last_tick + 1,
            draining: false,
            store_gone: false,
            part,
            metrics,
        }
    }

    /// Runs until it has drained or the store has failed; gives the dataflow back, which other
    /// processes may need for longer. An error means that it is gone.
    pub(crate) fn run(mut self) -> Result<Pipeline, Stopped> {
        loop {
            match self.inbox.recv_timeout(self.until_tick()) {
                Ok(msg) => self.handle(msg),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(self.pipeline),
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
                return Ok(self.pipeline);
            }
        }
    }

    /// How long until a tick may be closed, as things stand; what comes in may shorten it.
    fn until_tick(&self) -> Duration {
        let sealed = self.upper > self.last_tick;
        let waiting = !self.open.is_empty() || !self.found.is_empty() || !self.orders.is_empty();
        let after = match (sealed, waiting) {
            // The batch that we wait for will wake us.
            (false, _) => return GRID,
            (true, true) if self.open.len() >= FULL => return Duration::ZERO,
            (true, true) => SHORTEST,
            (true, false) => match self.part {
                Part::Alone => GRID,
                Part::First(_) | Part::Other(_) => TOGETHER,
            },
        };
        after.saturating_sub(self.last_closed.elapsed())
    }

    fn handle(&mut self, msg: Msg) {
        match msg {
            Msg::Deliver(mut delivery) => {
                self.heartbeats.extend(delivery.event.heartbeat.take().map(|heard| *heard));
                self.open.push(delivery);
            }
            Msg::Heartbeat(heartbeat) => self.heartbeats.push(*heartbeat),
            Msg::Rejected(reason) => self.reject(reason),
            Msg::Sealed(sealed) => self.sealed(sealed),
            Msg::Found(found) => self.found.extend(found),
            Msg::Suspend(on) => self.suspend(on),
            Msg::Rules(rules) => self.judge_by(rules),
            Msg::Standing(standing) => self.stand(standing),
            Msg::Drain => self.draining = true,
        }
    }

    /// Has nothing judged, or goes on. What came in before is judged: it is in the same tick, or in
    /// an earlier one.
    pub(crate) fn suspend(&mut self, on: bool) {
        if on != self.suspended {
            self.suspended = on;
            self.orders.push((Order::Suspension, if on { 1 } else { -1 }));
        }
    }

    /// Has other rules judged. One that stays as it is goes and comes at one tick, which is nothing.
    fn judge_by(&mut self, rules: Vec<Rule>) {
        let come = rules.iter().cloned().map(|rule| (Order::from(rule), 1));
        let gone = self.rules.drain(..).map(|rule| (Order::from(rule), -1));
        self.orders.extend(gone.chain(come));
        self.rules = rules;
    }

    /// Counts what was refused, for the store and for rules.
    fn reject(&mut self, reason: Reason) {
        *self.rejected.entry(reason).or_default() += 1;
        // In the second it was in, so that many at once are one element.
        let at = now() / SECOND * SECOND;
        self.orders.push((Order::Gauge(Gauge::DeadLetter { reason, at }), 1));
    }

    fn stand(&mut self, standing: Vec<Gauge>) {
        if standing != self.standing {
            let come = standing.iter().cloned().map(|gauge| (Order::Gauge(gauge), 1));
            let gone = self.standing.drain(..).map(|gauge| (Order::Gauge(gauge), -1));
            self.orders.extend(gone.chain(come));
            self.standing = standing;
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
            if !self.ledger.resume(answer.fact.seq, tick)
                && let Part::First(foreign) = &mut self.part
            {
                foreign.resume(answer.fact.seq, tick);
            }
            inputs.push(Input::Answer(Box::new(answer)));
        }
        let tells = matches!(self.part, Part::Other(_));
        let (mut asides, mut newest) = (Vec::new(), None);
        for delivery in self.open.drain(..) {
            let mut fact = delivery.event.fact.clone();
            let note = delivery.event.note;
            let late = fact.at < i64::try_from(tick.saturating_sub(ROW_RETENTION)).unwrap_or(0);
            let heard = if tells { heard(&delivery.event, late) } else { None };
            fact.seq = self.ledger.enter(tick, Entry { delivery, late });
            newest = newest.max(Some(fact.at));
            asides.extend(
                heard.map(|heard| Aside::Event(Box::new(Heard { fact: fact.clone(), ..heard }))),
            );
            if !late && !note {
                inputs.push(Input::Fact(fact));
            }
        }
        for heartbeat in self.heartbeats.drain(..) {
            inputs.extend(sign(&heartbeat, tick).map(Input::Sign));
            let known = KnownWorker::of(heartbeat, Micros(i64::try_from(tick).unwrap_or(i64::MAX)));
            match tells {
                true => asides.push(Aside::Worker(Box::new(known))),
                false => self.workers.push((tick, known)),
            }
        }
        if !self.orders.is_empty() {
            self.pipeline.orders(tick, std::mem::take(&mut self.orders))?;
        }
        if tells {
            asides.extend(newest.map(Aside::Newest));
            let rejected = std::mem::take(&mut self.rejected);
            asides.extend(rejected.into_iter().map(|(reason, n)| Aside::Rejected(reason, n)));
            if !asides.is_empty() {
                self.pipeline.tell(tick, asides)?;
            }
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
            if !self.ledger.defer(tick, fact.seq)
                && let Part::First(foreign) = &mut self.part
            {
                foreign.defer(tick, fact.seq);
            }
            lookups.push(fact);
        }
        let mut commit = Commit::default();
        let mut receipts = Vec::new();
        for (tick, Entry { delivery, late }) in self.ledger.take(sealed.upper) {
            commit.events.push(Accepted { tick, event: delivery.event, late });
            receipts.push(delivery.receipt);
        }
        commit.rejected = std::mem::take(&mut self.rejected);
        for (_, known) in self.workers.extract_if(.., |(tick, _)| *tick < sealed.upper) {
            commit.hear(known);
        }
        let mut durable = sealed.upper;
        if let Part::First(foreign) = &mut self.part {
            for (aside, tick, ()) in sealed.asides.drain(..) {
                hear(aside, tick, foreign, &mut commit);
            }
            commit.heard.extend(foreign.take(sealed.upper));
            durable = foreign.durable(sealed.upper);
        }
        let group = Group { commit: Commit { sealed, ..commit }, receipts, lookups, durable };
        self.store_gone |= self.store.send(group).is_err();
    }
}

/// What is concluded from what a worker says at `tick`. Of a clock that is ahead that is nothing: what
/// begins now would be taken for begun before.
fn sign(heartbeat: &Heartbeat, tick: Tick) -> Option<Sign> {
    let ahead = i64::try_from(tick + SECOND).unwrap_or(i64::MAX);
    Sign::of(heartbeat).filter(|sign| sign.at <= ahead)
}

/// What the process that writes is to know of an event beyond its fact, if that is anything.
fn heard(event: &Submitted, late: bool) -> Option<Heard> {
    let Submitted { fact, body, error, metadata, .. } = event;
    (late || error.is_some() || metadata.is_some()).then(|| Heard {
        fact: fact.clone(),
        body: body.clone(),
        error: error.clone(),
        metadata: metadata.clone(),
        late,
    })
}

/// Takes in what another process told at `tick`.
fn hear(aside: Aside, tick: Tick, foreign: &mut Foreign, commit: &mut Commit) {
    match aside {
        Aside::Event(heard) => {
            let Heard { fact, body, error, metadata, late } = *heard;
            let (execute, note, heartbeat) = (false, false, None);
            let event = Submitted { fact, body, error, metadata, execute, note, heartbeat };
            commit.heard.extend(foreign.keep(Accepted { tick, event, late }));
        }
        Aside::Worker(known) => commit.hear(*known),
        Aside::Newest(at) => commit.newest = commit.newest.max(Some(at)),
        Aside::Rejected(reason, n) => *commit.rejected.entry(reason).or_default() += n,
    }
}

/// The same as a time of the contract.
pub(crate) fn clock() -> Micros {
    Micros(i64::try_from(now()).unwrap_or(i64::MAX))
}

/// µs since the epoch, by the clock of the machine.
pub(crate) fn now() -> Tick {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Tick::try_from(since.as_micros()).unwrap_or(Tick::MAX)
}

#[cfg(test)]
mod tests {
    use contracts::workers::Beat;

    use super::*;

    #[test]
    fn of_a_worker_whose_clock_is_ahead_nothing_is_concluded() {
        let heartbeat = |at| Heartbeat {
            processed: Some(0),
            ..Heartbeat::of("w1@a", Beat::Online, Micros(at))
        };
        let now = 60 * SECOND;
        assert!(sign(&heartbeat(now as i64), now).is_some());
        assert!(sign(&heartbeat((now + SECOND) as i64), now).is_some());
        assert!(sign(&heartbeat((now + SECOND) as i64 + 1), now).is_none());
    }
}
