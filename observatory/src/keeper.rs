//! The store thread: commits groups of ticks, settles what they carried, and shows them.
//!
//! While one group is being committed the next gathers, so the slower the disk, the larger the
//! transactions.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use contracts::JobId;
use pipeline::Tick;
use pipeline::fact::{Answer, Record};
use pipeline::rules::Gauge;
use pipeline::seal::Updates;
use pipeline::views::alerts::Alert;
use pipeline::worker::Herald;
use sinks::commit::Commit;
use sinks::live::Live;
use sinks::redis::Follower;
use sinks::store::{Archived, Error, Sink, Store};

use crate::engine::{Group, Msg, clock, now};
use crate::metrics::Metrics;

/// Without anything else to write, the frontier is written at this pace.
const IDLE: Duration = Duration::from_secs(1);

/// Steps in which the lag is told to rules, in µs: a change of it is an update of what they see.
const LAG_STEP: Tick = 1_000_000;

/// Between two attempts at a commit that the disk refused.
const RETRY: Duration = Duration::from_secs(1);

pub(crate) struct Keeper {
    pub(crate) store: Box<dyn Store>,
    pub(crate) groups: Receiver<Group>,
    pub(crate) engine: Sender<Msg>,
    pub(crate) live: Arc<RwLock<Live>>,
    /// Who hands the views on to other processes.
    pub(crate) follower: Option<Follower>,
    /// Who tells the other processes of a cluster what is durable.
    pub(crate) herald: Option<Herald>,
    /// Who sends alerts on.
    pub(crate) alerts: Vec<Sender<Updates<Alert>>>,
    pub(crate) metrics: Metrics,
    /// Everything before is durable.
    pub(crate) durable: Tick,
}

impl Keeper {
    /// Runs until the engine has gone and everything it sent is durable.
    pub(crate) fn run(mut self) -> Result<(), Error> {
        let (mut written, mut tended) = (Instant::now(), Instant::now());
        let mut group = Group::default();
        loop {
            let open = match self.groups.recv_timeout(IDLE) {
                Ok(more) => {
                    group.extend(more);
                    true
                }
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => false,
            };
            while let Ok(more) = self.groups.try_recv() {
                group.extend(more);
            }
            if group.commit.writes() || written.elapsed() >= IDLE || !open {
                self.commit(&group)?;
                written = Instant::now();
            }
            self.done(std::mem::take(&mut group))?;
            if tended.elapsed() >= IDLE {
                self.tend()?;
                tended = Instant::now();
            }
            if !open {
                return Ok(());
            }
        }
    }

    /// Does some of what can wait, and waits for nothing.
    fn tend(&mut self) -> Result<(), Error> {
        // The engine waits for us when it stops, not we for it.
        drop(self.engine.send(Msg::Standing(self.standing())));
        match self.store.tend() {
            Err(error) if error.passes() => {
                tracing::debug!(%error, "later");
                Ok(())
            }
            done => done,
        }
    }

    /// How far behind what is durable is, and who of those that follow answers.
    fn standing(&self) -> Vec<Gauge> {
        let behind = now().saturating_sub(self.durable);
        let mut gauges = vec![Gauge::Lag(behind / LAG_STEP * LAG_STEP)];
        let mut store = |name: &str, up| {
            gauges.push(Gauge::Store { name: name.to_owned(), up });
        };
        // Of what gates everything nothing could be shown while it is away.
        for sink in self.store.sinks().iter().filter(|sink| sink.name == "mongodb") {
            store(sink.name, !sink.away);
        }
        if let Some(follower) = &self.follower {
            store("redis", follower.is_connected());
        }
        gauges
    }

    /// Commits, however long it takes: nothing is settled before.
    fn commit(&mut self, group: &Group) -> Result<(), Error> {
        // Nothing has been sealed since the start.
        if group.commit.sealed.upper == 0 {
            return Ok(());
        }
        loop {
            let started = Instant::now();
            self.metrics.committing.store(now(), Ordering::Relaxed);
            let committed = self.store.commit(&group.commit);
            self.metrics.committing.store(0, Ordering::Relaxed);
            let took = committed.is_ok().then(|| started.elapsed());
            self.metrics.sink(Sink { name: "store", away: took.is_none(), took });
            self.store.sinks().into_iter().for_each(|sink| self.metrics.sink(sink));
            match committed {
                Ok(archived) => {
                    self.count(group, archived);
                    if archived.conflicting > 0 {
                        let n = archived.conflicting;
                        tracing::warn!(n, "events came with the id of another event");
                    }
                    return Ok(());
                }
                Err(error) if error.passes() => {
                    tracing::error!(%error, "the store refused a commit; trying again");
                    std::thread::sleep(RETRY);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks jobs up, however long it takes: their facts wait for it.
    fn lookup(&mut self, jobs: &[JobId]) -> Result<Vec<Option<Record>>, Error> {
        loop {
            match self.store.lookup(jobs) {
                Err(error) if error.passes() => {
                    tracing::error!(%error, "the store refused a lookup; trying again");
                    std::thread::sleep(RETRY);
                }
                done => return done,
            }
        }
    }

    fn count(&self, group: &Group, archived: Archived) {
        let late = group.commit.told().filter(|event| event.late).count() as u64;
        self.metrics.archived(archived);
        self.metrics.events.with_label_values(&["late"]).inc_by(late);
        if let Some(first) = group.commit.events.first() {
            let lag = now().saturating_sub(first.tick) as f64 / 1e6;
            self.metrics.frontier_lag_seconds.observe(lag);
        }
        for (reason, n) in &group.commit.rejected {
            self.metrics.rejected.with_label_values(&[reason.as_str()]).inc_by(*n);
        }
    }

    /// Observes how long events took from where they happened to where they are shown.
    fn shown(&self, commit: &Commit) {
        let now = clock();
        let delays = self.metrics.event_to_view_seconds.local();
        for accepted in commit.events.iter().filter(|accepted| !accepted.late) {
            // A producer's clock may be ahead of ours.
            let delay = now.0.saturating_sub(accepted.event.fact.at).max(0);
            delays.observe(delay as f64 / 1e6);
        }
    }

    /// What follows from the group being durable.
    fn done(&mut self, group: Group) -> Result<(), Error> {
        let Group { commit, receipts, lookups, durable } = group;
        if commit.sealed.upper > 0 {
            self.durable = commit.sealed.upper;
            let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
            live.apply(&commit.sealed);
            live.late += commit.told().filter(|accepted| accepted.late).count() as u64;
            live.last_event = live.last_event.max(commit.last_event().map(contracts::Micros));
            for (&reason, n) in &commit.rejected {
                *live.rejected.entry(reason).or_default() += n;
            }
            drop(live);
            self.shown(&commit);
            if !commit.sealed.alerts.is_empty() {
                // They are there as long as we are.
                self.alerts.iter().for_each(|to| drop(to.send(commit.sealed.alerts.clone())));
            }
            if let Some(follower) = &mut self.follower {
                follower.offer(&commit.sealed);
            }
        }
        sinks::crash::point("settle");
        receipts.into_iter().for_each(ingress::submit::Receipt::settle);
        if let Some(herald) = &self.herald {
            herald.durable(durable);
        }
        if !lookups.is_empty() {
            let read_at = commit.sealed.upper;
            let jobs: Vec<JobId> = lookups.iter().map(|fact| fact.job).collect();
            let records = self.lookup(&jobs)?;
            let found = lookups.into_iter().zip(records);
            let found = found.map(|(fact, record)| Answer { fact, record, read_at }).collect();
            // The engine waits for it before it stops.
            drop(self.engine.send(Msg::Found(found)));
        }
        Ok(())
    }
}
