//! What a store writes in one transaction: some sealed ticks, and the events that arrived in them.

use std::collections::BTreeMap;

use contracts::workers::KnownWorker;
use contracts::{JobId, Reason};
use ingress::submit::Submitted;
use pipeline::Tick;
use pipeline::seal::Sealed;

/// An event at the tick it was accepted at.
#[derive(Debug)]
pub struct Accepted {
    pub tick: Tick,
    pub event: Submitted,
    /// Too old for the views: archived and listed only.
    pub late: bool,
}

/// An event that could not be archived in time: durable elsewhere, to be archived later.
#[derive(Clone, PartialEq, Eq)]
pub struct SpillRow {
    /// The event's id, or `id:hash` for a further content under it.
    pub key: String,
    pub job: JobId,
    /// µs since the epoch.
    pub occurred_at: i64,
    pub tick: Tick,
    pub late: bool,
    /// The bytes as received.
    pub body: Vec<u8>,
}

impl SpillRow {
    /// An event that the archive has not confirmed.
    pub fn of(Accepted { tick, event, late }: &Accepted) -> SpillRow {
        SpillRow {
            key: event.fact.event.to_string(),
            job: event.fact.job,
            occurred_at: event.fact.at,
            tick: *tick,
            late: *late,
            body: event.body.clone(),
        }
    }
}

impl std::fmt::Debug for SpillRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let SpillRow { key, tick, body, .. } = self;
        write!(f, "SpillRow({key} at {tick}, {} bytes)", body.len())
    }
}

/// Everything at the ticks before `sealed.upper` that is not durable yet.
#[derive(Debug, Default)]
pub struct Commit {
    pub events: Vec<Accepted>,
    /// Events that other processes of a cluster have taken in and archive, as far as the store is to
    /// know more of them than their facts.
    pub heard: Vec<Accepted>,
    /// When the newest event of those processes occurred, µs since the epoch.
    pub newest: Option<i64>,
    pub sealed: Sealed,
    /// Submissions refused since the last commit.
    pub rejected: BTreeMap<Reason, u64>,
    /// What workers said of themselves, by their names.
    pub workers: BTreeMap<String, KnownWorker>,
}

impl Commit {
    /// Whether there is anything to write but the frontier.
    pub fn writes(&self) -> bool {
        let Sealed { records, counts, minutes, retired, alerts, .. } = &self.sealed;
        !(self.events.is_empty()
            && self.heard.is_empty()
            && self.newest.is_none()
            && self.rejected.is_empty()
            && self.workers.is_empty()
            && records.is_empty()
            && counts.is_empty()
            && minutes.is_empty()
            && retired.is_empty()
            && alerts.is_empty())
    }

    /// The events of which the store is to know more than their facts.
    pub fn told(&self) -> impl Iterator<Item = &Accepted> {
        self.events.iter().chain(&self.heard)
    }

    /// When the newest event occurred, µs since the epoch.
    pub fn last_event(&self) -> Option<i64> {
        self.events.iter().map(|accepted| accepted.event.fact.at).max().max(self.newest)
    }

    /// When a worker was last heard, µs since the epoch by our clock, if one was.
    pub(crate) fn last_heard(&self) -> Option<i64> {
        self.workers.values().map(|known| known.heard_at.0).max()
    }

    /// Takes in what a worker said of itself.
    pub fn hear(&mut self, known: KnownWorker) {
        match self.workers.get_mut(&known.last.worker) {
            Some(worker) => worker.join(known),
            None => drop(self.workers.insert(known.last.worker.clone(), known)),
        }
    }

    /// Takes in the ticks that follow.
    pub fn extend(&mut self, later: Commit) {
        self.events.extend(later.events);
        self.heard.extend(later.heard);
        self.newest = self.newest.max(later.newest);
        self.sealed.extend(later.sealed);
        for (reason, n) in later.rejected {
            *self.rejected.entry(reason).or_default() += n;
        }
        later.workers.into_values().for_each(|known| self.hear(known));
    }
}

/// The event that gives a job its error, and the one that gives it its metadata, among those of a
/// commit.
pub(crate) struct Details<'a> {
    by_job: BTreeMap<JobId, Vec<&'a Submitted>>,
}

impl<'a> Details<'a> {
    pub(crate) fn of(commit: &'a Commit) -> Details<'a> {
        let mut by_job: BTreeMap<JobId, Vec<&Submitted>> = BTreeMap::new();
        for accepted in commit.told().filter(|accepted| !accepted.late) {
            by_job.entry(accepted.event.fact.job).or_default().push(&accepted.event);
        }
        Details { by_job }
    }

    /// The events about a job.
    pub(crate) fn about(&self, job: JobId) -> &[&'a Submitted] {
        self.by_job.get(&job).map_or(&[], Vec::as_slice)
    }
}
