//! A job's summary: the join of all facts about it.
//!
//! ```text
//!   fact ──▶ Summary ─┐
//!   fact ──▶ Summary ─┼─ join ──▶ Summary ──project──▶ Row
//!   store ─▶ Summary ─┘
//! ```
//!
//! Summaries form a join-semilattice: [`Summary::join`] is associative, commutative and
//! idempotent, so the summary of a set of facts does not depend on their order or repetition, and
//! a summary read back from a store is one more fact.
//!
//! Each component is itself such a join: the least of the times, the greatest [`Standing`] for the
//! state, and per attribute the value of the fact with the greatest standing among those that
//! carry it.
//!
//! Where events do not tell the attempt, as with Celery, all of this follows from what is kept
//! instead ([`untold`]), each time anew.
//!
//! # Invariants
//!
//! 1. The size is bounded, whatever the number of events or attempts.
//! 2. `run_started` belongs to the attempt of `top`: a higher attempt starts it afresh.
//! 3. An attribute whose winner is `top` itself holds no standing of its own, so equal summaries
//!    have equal representations.
//!
//! # Cost
//!
//! 120 bytes, and 32 more for each attribute that the deciding fact does not carry.

mod untold;

use contracts::event::{EventId, JobId, Kind, State, UNTOLD};
use contracts::retries::Retries;
use serde::{Deserialize, Serialize};

use crate::Tick;
use crate::fact::{Fact, inference_id};
use crate::name::Name;
use untold::Untold;

/// A time that no fact has told yet; greater than all others, so that the least one wins.
pub const UNKNOWN: i64 = i64::MAX;

/// What a fact's claim is worth: the greatest standing decides.
///
/// The order is that of the fields: attempt; reported over inferred, then rank; time; event id;
/// and for two contents under one event id, the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Standing {
    pub attempt: u16,
    /// [`REPORTED`] plus the rank of the kind; an inferred fact has the rank alone.
    precedence: u8,
    /// `occurredAt`, µs since the epoch.
    pub at: i64,
    pub event: EventId,
    pub kind: Kind,
}

/// Above every rank, so that an inference never outweighs a report of the same attempt.
const REPORTED: u8 = 16;

impl Standing {
    /// The standing of `fact`.
    pub fn of(fact: &Fact) -> Standing {
        let reported = if fact.inferred { 0 } else { REPORTED };
        Standing {
            attempt: fact.attempt,
            precedence: reported + fact.kind.rank(),
            at: fact.at,
            event: fact.event,
            kind: fact.kind,
        }
    }

    /// Whether the fact was concluded by us.
    pub fn inferred(&self) -> bool {
        self.precedence < REPORTED
    }

    /// What follows from nothing being heard of `job` after this.
    fn overruled(&self, job: JobId, kind: Kind, at: i64) -> Fact {
        concluded(job, inference_id(self.event, kind), self.at, kind, at)
    }

    /// A rendering whose bytes compare as standings do: 28 bytes.
    pub fn to_bytes(&self) -> [u8; 28] {
        let mut bytes = [0; 28];
        bytes[0..2].copy_from_slice(&self.attempt.to_be_bytes());
        bytes[2] = self.precedence;
        // Flipping the sign makes negative times sort before positive ones.
        bytes[3..11].copy_from_slice(&(self.at ^ i64::MIN).to_be_bytes());
        bytes[11..27].copy_from_slice(self.event.as_bytes());
        bytes[27] = self.kind as u8;
        bytes
    }

    fn from_bytes(bytes: &[u8; 28]) -> Option<Standing> {
        let kind = *Kind::ALL.get(usize::from(bytes[27]))?;
        let precedence = bytes[2];
        if precedence != kind.rank() && precedence != REPORTED + kind.rank() {
            return None;
        }
        Some(Standing {
            attempt: u16::from_be_bytes(bytes[0..2].try_into().ok()?),
            precedence,
            at: i64::from_be_bytes(bytes[3..11].try_into().ok()?) ^ i64::MIN,
            event: EventId::from_bytes(bytes[11..27].try_into().ok()?),
            kind,
        })
    }
}

/// The attributes of which the winning fact decides, each by itself.
const N_ATTRIBUTES: usize = 3;

/// In `lagging`: everything follows from what [`Rest::Untold`] holds.
const UNTOLD_BIT: u8 = 1 << 7;

/// What a summary holds beside what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Rest {
    /// The standings of the attributes that lag, in their order.
    Standings(Box<[Standing]>),
    Untold(Box<Untold>),
}

impl Default for Rest {
    fn default() -> Rest {
        Rest::Standings(Box::default())
    }
}

/// The conclusion `event` that `job` came to `kind` at `at`, which overrules what occurred at `over`.
fn concluded(job: JobId, event: EventId, over: i64, kind: Kind, at: i64) -> Fact {
    Fact {
        job,
        event,
        at,
        created_at: over,
        seq: 0,
        job_type: Name::NONE,
        queue: Name::NONE,
        worker: Name::NONE,
        attempt: UNTOLD,
        kind,
        inferred: true,
        expires_after: 0,
    }
}

/// All that is known of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The fact that decides the state.
    pub top: Standing,
    /// Earliest `occurredAt` of a `job.created`.
    created: i64,
    /// Earliest `createdAt` that any fact gave.
    first_seen: i64,
    /// Earliest `job.validated`.
    pub validated: i64,
    /// Earliest `job.executed` of any attempt.
    pub started: i64,
    /// Earliest `job.executed` of the attempt of `top`.
    pub run_started: i64,
    /// Type, queue, worker.
    attributes: [Name; N_ATTRIBUTES],
    /// Bit `i`: attribute `i` was won by a fact other than `top`. Or [`UNTOLD_BIT`].
    lagging: u8,
    rest: Rest,
}

impl Summary {
    /// The summary of one fact.
    pub fn of(fact: &Fact) -> Summary {
        if fact.attempt == UNTOLD {
            return Box::new(Untold::of(fact)).decide();
        }
        let at = |kind| if fact.kind == kind { fact.at } else { UNKNOWN };
        Summary {
            top: Standing::of(fact),
            created: at(Kind::Created),
            first_seen: fact.created_at,
            validated: at(Kind::Validated),
            started: at(Kind::Executed),
            run_started: at(Kind::Executed),
            attributes: [fact.job_type, fact.queue, fact.worker],
            lagging: 0,
            rest: Rest::default(),
        }
    }

    /// A summary of nothing, which no fact makes.
    fn nothing(first_seen: i64) -> Summary {
        let (event, kind) = (EventId::nil(), Kind::Created);
        Summary {
            top: Standing { attempt: 1, precedence: 0, at: first_seen, event, kind },
            created: UNKNOWN,
            first_seen,
            validated: UNKNOWN,
            started: UNKNOWN,
            run_started: UNKNOWN,
            attributes: [Name::NONE; N_ATTRIBUTES],
            lagging: 0,
            rest: Rest::default(),
        }
    }

    fn untold(&self) -> Option<&Untold> {
        match &self.rest {
            Rest::Untold(untold) => Some(untold),
            Rest::Standings(_) => None,
        }
    }

    /// Whether the attempts of its facts follow from all of them.
    pub fn is_untold(&self) -> bool {
        self.lagging == UNTOLD_BIT
    }

    /// Its retries, where the attempts follow from them.
    pub fn retries(&self) -> Option<&Retries> {
        self.untold().map(Untold::retries)
    }

    /// When it is no longer to be begun, where that is known.
    fn expires(&self) -> Option<i64> {
        self.untold().and_then(Untold::expires)
    }

    /// What is concluded of `job` at `now`: that it expired, if it was to be begun by some time, and
    /// nobody is known to have taken it.
    ///
    /// Celery leaves that to the broker, which drops the message and tells nobody.
    pub fn expired(&self, job: JobId, now: Tick) -> Option<Fact> {
        self.expiry().filter(|due| *due <= now)?;
        let at = self.expires()?.max(self.top.at);
        Some(self.top.overruled(job, Kind::Cancelled, at))
    }

    /// The worker of Celery that has begun the job, and when, if nothing was reported since.
    pub fn begun(&self) -> Option<(Name, i64)> {
        self.untold()?.begun().map(|(worker, top)| (worker, top.at))
    }

    /// What is concluded of a job that its worker has begun, and that began anew at `at` without
    /// having told the end: that it is lost.
    pub fn lost(&self, job: JobId, at: i64) -> Option<Fact> {
        let (_, top) = self.untold()?.begun()?;
        Some(top.overruled(job, Kind::Failed, at))
    }

    /// What was ever concluded of `job`, whose summary this is; most of it may be overruled.
    pub fn inferences(&self, job: JobId) -> impl Iterator<Item = Fact> {
        self.untold().into_iter().flat_map(move |untold| untold.inferences(job))
    }

    /// When it is to be looked at whether the job has expired.
    pub(crate) fn expiry(&self) -> Option<Tick> {
        // A retry is sent before it is told that the attempt before has failed.
        let waits = matches!(self.top.kind, Kind::Created | Kind::Retried) && !self.top.inferred();
        self.expires().filter(|_| waits).map(|at| Tick::try_from(at).unwrap_or(0))
    }

    /// Whether `fact` decides the state.
    pub fn decided_by(&self, fact: &Fact) -> bool {
        let claimed = Standing::of(fact);
        match fact.attempt {
            UNTOLD => claimed == Standing { attempt: UNTOLD, ..self.top },
            _ => claimed == self.top,
        }
    }

    /// The state that the facts decide.
    pub fn state(&self) -> State {
        self.top.kind.state()
    }

    /// When the job was created: by its `job.created`, else by the earliest claim.
    pub fn created(&self) -> i64 {
        if self.created == UNKNOWN { self.first_seen } else { self.created }
    }

    /// The earliest `createdAt` that any fact gave.
    pub fn claimed(&self) -> i64 {
        self.first_seen
    }

    /// When the job finished, or [`UNKNOWN`].
    pub fn finished(&self) -> i64 {
        if self.top.kind.terminal() { self.top.at } else { UNKNOWN }
    }

    pub fn job_type(&self) -> Name {
        self.attributes[0]
    }

    pub fn queue(&self) -> Name {
        self.attributes[1]
    }

    pub fn worker(&self) -> Name {
        self.attributes[2]
    }

    /// Takes in what `other` knows; says whether this one learned anything.
    pub fn join(&mut self, other: &Summary) -> bool {
        if (self.lagging | other.lagging) & UNTOLD_BIT != 0 {
            return self.join_untold(other);
        }
        let mut changed = least(&mut self.created, other.created);
        changed |= least(&mut self.first_seen, other.first_seen);
        changed |= least(&mut self.validated, other.validated);
        changed |= least(&mut self.started, other.started);
        if other.top.attempt > self.top.attempt {
            self.run_started = other.run_started;
        } else if other.top.attempt == self.top.attempt {
            changed |= least(&mut self.run_started, other.run_started);
        }
        changed | self.join_top(other)
    }

    /// The join where the facts of one side at least do not tell the attempt.
    #[cold]
    fn join_untold(&mut self, other: &Summary) -> bool {
        let told;
        let theirs = match &other.rest {
            Rest::Untold(untold) => &**untold,
            Rest::Standings(_) => {
                told = Untold::told(other.clone());
                &told
            }
        };
        if let Rest::Untold(mine) = &mut self.rest {
            let changed = mine.join(theirs);
            if changed && let Rest::Untold(mine) = std::mem::take(&mut self.rest) {
                *self = mine.decide();
            }
            return changed;
        }
        let mut mine = Box::new(Untold::told(self.clone()));
        mine.join(theirs);
        *self = mine.decide();
        true
    }

    /// The part of the join that standings decide.
    fn join_top(&mut self, other: &Summary) -> bool {
        // The two common cases: a newer fact that carries all that is known, and a repeated one.
        let plain = self.lagging == 0 && other.lagging == 0;
        if plain && other.top > self.top && covers(&other.attributes, &self.attributes) {
            self.top = other.top;
            self.attributes = other.attributes;
            return true;
        }
        if plain && other.top == self.top && other.attributes == self.attributes {
            return false;
        }

        let top = self.top.max(other.top);
        let mut attributes = [Name::NONE; N_ATTRIBUTES];
        let mut lagging = 0;
        let mut standings = Vec::new();
        for (i, attribute) in attributes.iter_mut().enumerate() {
            let Some((standing, name)) = greater(self.claim(i), other.claim(i)) else { continue };
            *attribute = name;
            if standing != top {
                lagging |= 1 << i;
                standings.push(standing);
            }
        }
        let changed = top != self.top
            || attributes != self.attributes
            || lagging != self.lagging
            || *standings != *self.standings();
        if changed {
            self.top = top;
            self.attributes = attributes;
            self.lagging = lagging;
            self.rest = Rest::Standings(standings.into_boxed_slice());
        }
        changed
    }

    fn standings(&self) -> &[Standing] {
        match &self.rest {
            Rest::Standings(standings) => standings,
            Rest::Untold(_) => &[],
        }
    }

    /// The fact that won attribute `i`, and its value.
    fn claim(&self, i: usize) -> Option<(Standing, Name)> {
        if self.attributes[i].is_none() {
            return None;
        }
        let standing = if self.lagging & (1 << i) == 0 {
            self.top
        } else {
            self.standings()[(self.lagging & ((1 << i) - 1)).count_ones() as usize]
        };
        Some((standing, self.attributes[i]))
    }
}

fn least(mine: &mut i64, other: i64) -> bool {
    let less = other < *mine;
    if less {
        *mine = other;
    }
    less
}

/// Whether `new` has a value wherever `old` has one.
fn covers(new: &[Name], old: &[Name]) -> bool {
    new.iter().zip(old).all(|(new, old)| !new.is_none() || old.is_none())
}

/// The claim with the greater standing.
///
/// Two contents under one event id may claim different values with one standing. The greater
/// *bytes of the body* are to win; what two such bodies first differ in is, in practice, the value
/// itself, which JSON ends with a quote.
fn greater(a: Option<(Standing, Name)>, b: Option<(Standing, Name)>) -> Option<(Standing, Name)> {
    match (a, b) {
        (Some(a), Some(b)) if a.0 == b.0 => Some((a.0, greater_name(a.1, b.1))),
        (Some(a), Some(b)) => Some(if a.0 < b.0 { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// The name that is greater in a body, where JSON ends it with a quote; any before none.
fn greater_name(a: Name, b: Name) -> Name {
    if a == b || b.is_none() {
        return a;
    }
    let quoted = |name: Name| format!("{name}\"");
    if a.is_none() || quoted(a) < quoted(b) { b } else { a }
}

/// Why stored bytes are not a summary.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Written by a program newer than this one.
    #[error("summary has version {0}, this program reads up to {VERSION}; upgrade it")]
    Version(u8),
    /// The bytes are damaged.
    #[error("summary is damaged at byte {0}")]
    Damaged(usize),
}

/// First byte of the encoding: the newest that is read.
const VERSION: u8 = 2;
/// First byte where all facts tell their attempt.
const TOLD: u8 = 1;

impl Summary {
    /// The first so many bytes of a stored form say which fact decides the state.
    pub const DECIDED_BY: usize = 29;

    /// The stored form: self-contained, versioned, the same bytes for equal summaries.
    ///
    /// Version byte; `top`; five times as big-endian i64; per attribute a length byte and its
    /// text; the `lagging` mask; a standing for each of its bits. At most 832 bytes. Where attempts
    /// are not told: version byte, `top` without its attempt, and all that it follows from.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        if let Rest::Untold(untold) = &self.rest {
            bytes.push(VERSION);
            // The same event may come to decide another attempt.
            bytes.extend(Standing { attempt: UNTOLD, ..self.top }.to_bytes());
            untold.encode(&mut bytes);
            return bytes;
        }
        bytes.push(TOLD);
        bytes.extend(self.top.to_bytes());
        for time in [self.created, self.first_seen, self.validated, self.started, self.run_started]
        {
            bytes.extend(time.to_be_bytes());
        }
        for name in self.attributes {
            let text = name.text();
            // The contract bounds an attribute at 200 bytes.
            bytes.push(text.len() as u8);
            bytes.extend(text.as_bytes());
        }
        bytes.push(self.lagging);
        for standing in self.standings() {
            bytes.extend(standing.to_bytes());
        }
        bytes
    }

    /// Reads back what [`Summary::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Summary, DecodeError> {
        let mut rest = Reader { bytes, at: 0 };
        let version = rest.byte()?;
        if version == 0 || version > VERSION {
            return Err(DecodeError::Version(version));
        }
        let top = rest.standing()?;
        if version != TOLD {
            let summary = Box::new(Untold::decode(&mut rest)?).decide();
            // Every byte counts: what was damaged says something else.
            return match summary.encode() == bytes {
                true => Ok(summary),
                false => Err(DecodeError::Damaged(rest.at)),
            };
        }
        let mut times = [0; 5];
        for time in &mut times {
            *time = i64::from_be_bytes(rest.array()?);
        }
        let mut attributes = [Name::NONE; N_ATTRIBUTES];
        for name in &mut attributes {
            *name = rest.name()?;
        }
        let lagging = rest.byte()?;
        if lagging >= 1 << N_ATTRIBUTES {
            return Err(DecodeError::Damaged(rest.at - 1));
        }
        let standings =
            (0..lagging.count_ones()).map(|_| rest.standing()).collect::<Result<_, _>>()?;
        if rest.at != bytes.len() {
            return Err(DecodeError::Damaged(rest.at));
        }
        let [created, first_seen, validated, started, run_started] = times;
        Ok(Summary {
            top,
            created,
            first_seen,
            validated,
            started,
            run_started,
            attributes,
            lagging,
            rest: Rest::Standings(standings),
        })
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let array = *bytes.ok_or(DecodeError::Damaged(self.at))?;
        self.at += N;
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.byte()? {
            flag @ (0 | 1) => Ok(flag == 1),
            _ => Err(DecodeError::Damaged(self.at - 1)),
        }
    }

    fn time(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    fn event(&mut self) -> Result<EventId, DecodeError> {
        Ok(EventId::from_bytes(self.array()?))
    }

    fn kind(&mut self) -> Result<Kind, DecodeError> {
        let kind = self.byte()?;
        Kind::ALL.get(usize::from(kind)).copied().ok_or(DecodeError::Damaged(self.at - 1))
    }

    fn name(&mut self) -> Result<Name, DecodeError> {
        let length = self.byte()?;
        Ok(Name::new(self.text(usize::from(length))?))
    }

    /// All that is left.
    fn remaining(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at = self.bytes.len();
        rest
    }

    fn standing(&mut self) -> Result<Standing, DecodeError> {
        let start = self.at;
        Standing::from_bytes(&self.array()?).ok_or(DecodeError::Damaged(start))
    }

    fn text(&mut self, length: usize) -> Result<&'a str, DecodeError> {
        let bytes = self.bytes.get(self.at..self.at + length);
        let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
        let text = text.ok_or(DecodeError::Damaged(self.at))?;
        self.at += length;
        Ok(text)
    }
}
