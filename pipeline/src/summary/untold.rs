//! What is known of a job whose events do not tell the attempt: one of Celery.
//!
//! ```text
//!   facts ──▶ latest of each kind, retries, claims ──decide──▶ the plain part of the summary
//! ```
//!
//! Which attempt a fact is about may change with every retry that becomes known, so no standing can
//! be given to it when it comes. What is kept is enough to decide anew: per kind the latest fact, and
//! the latest retries. After the last retry the highest rank decides, as within any attempt; before
//! it nothing does.
//!
//! # Invariants
//!
//! 1. Every component is a join, so the whole depends on the set of facts only.
//! 2. The size is bounded: seven kinds, [`contracts::retries::MAX_RETRIES`] retries.
//! 3. An inference names the fact that it overrules by its own id; while another decides, it is
//!    nothing.
//!
//! # Cost
//!
//! For a job that ran once some 400 bytes; jobs whose events tell the attempt have none of it.

use std::cmp::Reverse;

use contracts::event::{EventId, JobId, Kind};
use contracts::retries::Retries;
use serde::{Deserialize, Serialize};

use super::{
    DecodeError, REPORTED, Reader, Rest, Standing, Summary, UNKNOWN, UNTOLD_BIT, concluded,
    greater_name, least,
};
use crate::fact::{Fact, inference_id};
use crate::name::Name;

/// The latest fact of a kind, and when the earliest occurred.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Latest {
    kind: Kind,
    at: i64,
    event: EventId,
    worker: Name,
    earliest: i64,
}

/// Something that some facts claim: the latest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    at: i64,
    name: Name,
}

impl Claim {
    fn of(fact: &Fact, name: Name) -> Claim {
        if name.is_none() { Claim::NONE } else { Claim { at: fact.at, name } }
    }

    const NONE: Claim = Claim { at: i64::MIN, name: Name::NONE };

    fn join(&mut self, other: Claim) -> bool {
        let takes = match self.at.cmp(&other.at) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => greater_name(self.name, other.name) != self.name,
            std::cmp::Ordering::Greater => false,
        };
        if takes {
            *self = other;
        }
        takes
    }
}

/// What we concluded, since nothing was heard: that about the later event wins, and of the same
/// conclusion the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Inference {
    /// When that occurred which it overrules.
    over: i64,
    /// Follows from what it overrules, and from `kind`.
    event: EventId,
    kind: Kind,
    at: Reverse<i64>,
}

/// All that is known of such a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Untold {
    /// In the order of kinds.
    latest: Vec<Latest>,
    retries: Retries,
    first_seen: i64,
    job_type: Claim,
    queue: Claim,
    /// When it was created last, and when it expires then; neither is known as [`i64::MIN`].
    expires: (i64, i64),
    /// At most one of a kind, in their order.
    inferences: Vec<Inference>,
    /// What facts say that do tell the attempt.
    told: Option<Box<Summary>>,
}

impl Untold {
    pub(super) fn of(fact: &Fact) -> Untold {
        let mut known = Untold::nothing();
        known.first_seen = fact.created_at;
        known.job_type = Claim::of(fact, fact.job_type);
        known.queue = Claim::of(fact, fact.queue);
        if fact.inferred {
            let Fact { at, event, kind, created_at: over, .. } = *fact;
            known.inferences.push(Inference { over, event, kind, at: Reverse(at) });
            return known;
        }
        if let Some(expires) = fact.expires() {
            known.expires = (fact.at, expires);
        }
        if fact.kind == Kind::Retried {
            known.retries = Retries::of(fact.at, fact.event);
        }
        known.latest.push(Latest {
            kind: fact.kind,
            at: fact.at,
            event: fact.event,
            worker: fact.worker,
            earliest: fact.at,
        });
        known
    }

    fn nothing() -> Untold {
        Untold {
            latest: Vec::new(),
            retries: Retries::default(),
            first_seen: UNKNOWN,
            job_type: Claim::NONE,
            queue: Claim::NONE,
            expires: (i64::MIN, i64::MIN),
            inferences: Vec::new(),
            told: None,
        }
    }

    pub(super) fn told(summary: Summary) -> Untold {
        Untold { told: Some(Box::new(summary)), ..Untold::nothing() }
    }

    /// Takes in what `other` knows; says whether this one learned anything.
    pub(super) fn join(&mut self, other: &Untold) -> bool {
        let mut changed = least(&mut self.first_seen, other.first_seen);
        for theirs in &other.latest {
            match self.latest.binary_search_by_key(&theirs.kind, |latest| latest.kind) {
                Ok(i) => changed |= self.latest[i].join(theirs),
                Err(i) => {
                    self.latest.insert(i, theirs.clone());
                    changed = true;
                }
            }
        }
        changed |= self.retries.join(&other.retries);
        changed |= self.job_type.join(other.job_type);
        changed |= self.queue.join(other.queue);
        changed |= greatest(&mut self.expires, other.expires);
        for theirs in &other.inferences {
            match self.inferences.binary_search_by_key(&theirs.kind, |inference| inference.kind) {
                Ok(i) => changed |= greatest(&mut self.inferences[i], *theirs),
                Err(i) => {
                    self.inferences.insert(i, *theirs);
                    changed = true;
                }
            }
        }
        match (&mut self.told, &other.told) {
            (Some(mine), Some(theirs)) => changed |= mine.join(theirs),
            (mine @ None, Some(theirs)) => {
                *mine = Some(theirs.clone());
                changed = true;
            }
            (_, None) => {}
        }
        changed
    }

    /// The summary of it.
    pub(super) fn decide(self: Box<Self>) -> Summary {
        let mut decided = self.decided();
        if let Some(told) = &self.told {
            match &mut decided {
                Some(decided) => drop(decided.join(told)),
                None => decided = Some((**told).clone()),
            }
        }
        // At least one fact has told or concluded something.
        let decided = decided.unwrap_or_else(|| Summary::nothing(self.first_seen));
        Summary { lagging: UNTOLD_BIT, rest: Rest::Untold(self), ..decided }
    }

    /// What those facts come to that do not tell the attempt.
    fn decided(&self) -> Option<Summary> {
        let reported = self.reported();
        let inferred = self.inferences.iter().copied().filter(|inference| {
            let Inference { over, event, kind, .. } = *inference;
            let overrules =
                |top: Standing| over == top.at && inference_id(top.event, kind) == event;
            reported.is_none_or(|(top, _)| overrules(top))
        });
        let inferred = inferred.max();
        let attempt_at = reported.map_or(1, |(top, _)| top.attempt);
        let (top, by) = match (inferred, reported) {
            (Some(Inference { at: Reverse(at), event, kind, .. }), by) => {
                let precedence = kind.rank();
                (Standing { attempt: attempt_at, precedence, at, event, kind }, by)
            }
            (None, Some((top, latest))) => (top, Some((top, latest))),
            (None, None) => return None,
        };
        let earliest = |kind| self.of_kind(kind).map_or(UNKNOWN, |latest| latest.earliest);
        Some(Summary {
            top,
            created: earliest(Kind::Created),
            first_seen: self.first_seen,
            validated: earliest(Kind::Validated),
            started: earliest(Kind::Executed),
            run_started: by.map_or(UNKNOWN, |(reported, _)| self.run_started(reported, top)),
            attributes: [self.job_type.name, self.queue.name, self.worker(by.map(|(_, by)| by))],
            lagging: 0,
            rest: Rest::default(),
        })
    }

    /// The fact that decides, as far as is reported.
    fn reported(&self) -> Option<(Standing, &Latest)> {
        self.latest.iter().map(|latest| (self.standing(latest), latest)).max_by(
            |(a, one), (b, other)| {
                let rank = |at, kind| self.retries.rank(kind, at);
                (a.attempt, rank(one.at, one.kind), a).cmp(&(
                    b.attempt,
                    rank(other.at, other.kind),
                    b,
                ))
            },
        )
    }

    fn of_kind(&self, kind: Kind) -> Option<&Latest> {
        self.latest.iter().find(|latest| latest.kind == kind)
    }

    fn standing(&self, latest: &Latest) -> Standing {
        let Latest { kind, at, event, .. } = *latest;
        let attempt = self.retries.attempt(at);
        Standing { attempt, precedence: REPORTED + kind.rank(), at, event, kind }
    }

    /// When the attempt of `reported` began to run: the last time, if it was delivered twice.
    fn run_started(&self, reported: Standing, top: Standing) -> i64 {
        let Some(starts) = self.of_kind(Kind::Executed) else { return UNKNOWN };
        let since = self.retries.since(reported.at).unwrap_or(i64::MIN);
        let until = if top.kind.terminal() { top.at } else { UNKNOWN };
        let of_this_run = |at: &&i64| **at > since && **at <= until;
        [starts.at, starts.earliest].iter().find(of_this_run).copied().unwrap_or(UNKNOWN)
    }

    /// Who worked on it, by the fact that decides, else by the last that says so.
    fn worker(&self, by: Option<&Latest>) -> Name {
        let decided = by.map_or(Name::NONE, |by| by.worker);
        if !decided.is_none() {
            return decided;
        }
        let mut last = Claim::NONE;
        for Latest { at, worker, .. } in self.latest.iter().filter(|last| !last.worker.is_none()) {
            last.join(Claim { at: *at, name: *worker });
        }
        last.name
    }

    /// Where, when and by which event the job was begun, if that decides as far as is reported.
    pub(super) fn begun(&self) -> Option<(Name, Standing)> {
        let (top, by) = self.reported()?;
        (top.kind == Kind::Executed && !by.worker.is_none()).then_some((by.worker, top))
    }

    /// When the job is no longer to be begun, as its last sender had it.
    pub(super) fn expires(&self) -> Option<i64> {
        (self.expires.1 != i64::MIN).then_some(self.expires.1)
    }

    /// What was concluded of `job`, whether or not it still counts.
    pub(super) fn inferences(&self, job: JobId) -> impl Iterator<Item = Fact> {
        self.inferences.iter().map(move |inference| {
            let Inference { over, event, kind, at } = *inference;
            concluded(job, event, over, kind, at.0)
        })
    }

    pub(super) fn retries(&self) -> &Retries {
        &self.retries
    }
}

impl Latest {
    fn join(&mut self, other: &Latest) -> bool {
        let mut changed = least(&mut self.earliest, other.earliest);
        let (mine, theirs) = ((self.at, self.event), (other.at, other.event));
        if mine < theirs {
            (self.at, self.event, self.worker) = (other.at, other.event, other.worker);
            changed = true;
        } else if mine == theirs {
            let worker = greater_name(self.worker, other.worker);
            changed |= worker != self.worker;
            self.worker = worker;
        }
        changed
    }
}

fn greatest<T: PartialOrd>(mine: &mut T, other: T) -> bool {
    let greater = other > *mine;
    if greater {
        *mine = other;
    }
    greater
}

impl Untold {
    /// A count and so many latest facts; a count, a flag and so many retries; the claims; then the
    /// inferences; and what was told, if something was.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        // Seven kinds, 64 retries.
        bytes.push(self.latest.len() as u8);
        for Latest { kind, at, event, worker, earliest } in &self.latest {
            bytes.push(*kind as u8);
            bytes.extend(at.to_be_bytes());
            bytes.extend(event.as_bytes());
            bytes.extend(earliest.to_be_bytes());
            text(bytes, *worker);
        }
        bytes.push(self.retries.told_apart().len() as u8);
        bytes.push(u8::from(self.retries.more()));
        for (at, event) in self.retries.told_apart() {
            bytes.extend(at.to_be_bytes());
            bytes.extend(event.as_bytes());
        }
        bytes.extend(self.first_seen.to_be_bytes());
        for Claim { at, name } in [self.job_type, self.queue] {
            bytes.extend(at.to_be_bytes());
            text(bytes, name);
        }
        bytes.extend(self.expires.0.to_be_bytes());
        bytes.extend(self.expires.1.to_be_bytes());
        bytes.push(self.inferences.len() as u8);
        for Inference { over, event, kind, at } in &self.inferences {
            bytes.extend(over.to_be_bytes());
            bytes.extend(at.0.to_be_bytes());
            bytes.extend(event.as_bytes());
            bytes.push(*kind as u8);
        }
        bytes.push(u8::from(self.told.is_some()));
        if let Some(told) = &self.told {
            bytes.extend(told.encode());
        }
    }

    /// Reads what [`Untold::encode`] wrote, to the end.
    pub(super) fn decode(rest: &mut Reader<'_>) -> Result<Untold, DecodeError> {
        let mut known = Untold::nothing();
        for _ in 0..rest.byte()? {
            let start = rest.at;
            let latest = Latest {
                kind: rest.kind()?,
                at: rest.time()?,
                event: rest.event()?,
                earliest: rest.time()?,
                worker: rest.name()?,
            };
            let in_order = known.latest.last().is_none_or(|last| last.kind < latest.kind);
            if !in_order || latest.earliest > latest.at {
                return Err(DecodeError::Damaged(start));
            }
            known.latest.push(latest);
        }
        let (n_retries, more, start) = (rest.byte()?, rest.flag()?, rest.at);
        let retries = (0..n_retries).map(|_| Ok((rest.time()?, rest.event()?)));
        let retries = retries.collect::<Result<Vec<_>, DecodeError>>()?;
        known.retries = Retries::latest_of(retries.clone(), more);
        if known.retries.told_apart() != retries || known.retries.more() != more {
            return Err(DecodeError::Damaged(start));
        }
        known.first_seen = rest.time()?;
        known.job_type = Claim { at: rest.time()?, name: rest.name()? };
        known.queue = Claim { at: rest.time()?, name: rest.name()? };
        known.expires = (rest.time()?, rest.time()?);
        for _ in 0..rest.byte()? {
            let start = rest.at;
            let (over, at) = (rest.time()?, Reverse(rest.time()?));
            let (event, kind) = (rest.event()?, rest.kind()?);
            if known.inferences.last().is_some_and(|last| last.kind >= kind) {
                return Err(DecodeError::Damaged(start));
            }
            known.inferences.push(Inference { over, event, kind, at });
        }
        if rest.flag()? {
            let start = rest.at;
            let told = Summary::decode(rest.remaining())?;
            if told.is_untold() {
                return Err(DecodeError::Damaged(start));
            }
            known.told = Some(Box::new(told));
        }
        Ok(known)
    }
}

fn text(bytes: &mut Vec<u8>, name: Name) {
    let text = name.text();
    // The contract bounds an attribute at 200 bytes.
    bytes.push(text.len() as u8);
    bytes.extend(text.as_bytes());
}
