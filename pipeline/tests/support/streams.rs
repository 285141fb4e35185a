//! Random facts, and the streams in which they may arrive.
//!
//! What makes them hard: times that cluster around the edges of windows, attempts that overlap,
//! several terminals of one attempt, equal times under different event ids, one event id with
//! different contents, inferences, attributes that come and go, clocks that disagree, jobs whose
//! facts do not tell the attempt.

use contracts::event::{EventId, JobId, Kind, UNTOLD};
use pipeline::Tick;
use pipeline::fact::{Fact, inference_id};
use pipeline::name::Name;

use super::oracle::{HOUR, MINUTE, SECOND};
use super::random::Random;

/// 2026-11-21T10:00:00Z, a multiple of every window's step.
pub(crate) const BASE: i64 = 1_795_255_200 * SECOND;

/// A fact with nothing unusual about it, for tests that say everything themselves.
pub(crate) fn fact(job: u128, event: u128, kind: Kind, at: i64) -> Fact {
    Fact {
        job: JobId::from_u128(job),
        event: EventId::from_u128(event),
        at,
        created_at: at,
        seq: 0,
        job_type: Name::new("email.send"),
        queue: Name::new("default"),
        worker: Name::NONE,
        attempt: 1,
        kind,
        inferred: false,
        expires_after: 0,
    }
}

/// What the facts of a stream have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    pub(crate) n_jobs: usize,
    /// Jobs are created from [`BASE`] on, for so many µs.
    pub(crate) span: i64,
    /// `createdAt` may be far off, and differ from fact to fact of a job.
    pub(crate) wild_claims: bool,
    /// How far a producer's clock may be ahead, in µs.
    pub(crate) ahead: i64,
}

const TYPES: [&str; 5] = ["email.send", "report", "thumbnail", "sync", "a"];
/// In the order of their bodies, the one with `!` comes before the one without.
const QUEUES: [&str; 3] = ["mail", "mail!", "default"];
const WORKERS: [&str; 4] = ["w-1", "w-2", "w-10", "ü"];
const KINDS: [Kind; 7] = Kind::ALL;
const TERMINAL: [Kind; 3] = [Kind::Completed, Kind::Failed, Kind::Cancelled];
/// The steps of the windows, and an hour.
const EDGES: [i64; 5] = [SECOND, 5 * SECOND, 15 * SECOND, MINUTE, HOUR];

/// `at`, or a moment beside the edge of a window near it.
fn near_an_edge(random: &mut Random, at: i64) -> i64 {
    if random.once_in(2) {
        return at;
    }
    let edge = random.of(&EDGES[..4]);
    at.div_euclid(edge) * edge + random.between(-1, 1)
}

/// A duration as jobs have them: nothing, a blink, a while, and sometimes less than nothing.
fn duration(random: &mut Random) -> i64 {
    match random.below(8) {
        0 => random.between(0, 2),
        1 => random.between(0, 1024),
        2 => random.between(-3 * SECOND, 0),
        3 => random.of(&EDGES),
        4 => random.between(0, 20 * MINUTE),
        _ => random.between(0, 30 * SECOND),
    }
}

impl World {
    /// Its facts, job by job.
    pub(crate) fn facts(&self, random: &mut Random) -> Vec<Fact> {
        let n_types = 3 + random.below(3);
        let n_queues = random.of(&[0, 2, 3]);
        let jobs = 0..self.n_jobs;
        let mut facts: Vec<Fact> = jobs
            .flat_map(|_| {
                let mut job = Writer::new(random, self, n_types, n_queues);
                job.write(random);
                job.facts
            })
            .collect();
        facts.iter_mut().zip(1..).for_each(|(fact, seq)| fact.seq = seq);
        facts
    }
}

/// Writes the facts of one job.
struct Writer {
    facts: Vec<Fact>,
    model: Fact,
    n_types: usize,
    n_queues: usize,
    wild_claims: bool,
}

impl Writer {
    fn new(random: &mut Random, world: &World, n_types: usize, n_queues: usize) -> Writer {
        let created = BASE + random.between(0, world.span);
        let created = near_an_edge(random, created);
        let id = u128::from(random.next()) << 64 | u128::from(random.next());
        let model = Fact {
            job_type: Name::new(TYPES[random.below(n_types)]),
            queue: Name::NONE,
            created_at: created,
            ..fact(id, 0, Kind::Created, created)
        };
        Writer { facts: Vec::new(), model, n_types, n_queues, wild_claims: world.wild_claims }
    }

    fn add(&mut self, random: &mut Random, kind: Kind, attempt: u16, at: i64) {
        let claim = if self.wild_claims && random.once_in(4) { duration(random) } else { 0 };
        let queue = match self.n_queues {
            0 => Name::NONE,
            n => Name::new(QUEUES[random.below(n)]),
        };
        let job_type = match random.below(20) {
            0 => Name::NONE,
            1 => Name::new(TYPES[random.below(self.n_types)]),
            _ => self.model.job_type,
        };
        self.facts.push(Fact {
            event: EventId::from_u128(u128::from(random.next())),
            kind,
            attempt,
            at,
            created_at: self.model.created_at - claim,
            job_type,
            queue: if random.once_in(3) { Name::NONE } else { queue },
            worker: if random.once_in(2) { Name::NONE } else { Name::new(random.of(&WORKERS)) },
            inferred: random.once_in(12),
            ..self.model.clone()
        });
    }

    fn write(&mut self, random: &mut Random) {
        let mut at = self.model.at;
        if !random.once_in(5) {
            self.add(random, Kind::Created, 1, at);
        }
        let last = random.of(&[1, 1, 1, 2, 3, 4, u16::MAX]);
        for attempt in [1, 2, 3, 4, u16::MAX].into_iter().filter(|attempt| *attempt <= last) {
            for (kind, skipped_once_in) in [(Kind::Validated, 2), (Kind::Executed, 4)] {
                at += duration(random);
                at = near_an_edge(random, at);
                if !random.once_in(skipped_once_in) {
                    self.add(random, kind, attempt, at);
                }
            }
            at += duration(random);
            at = near_an_edge(random, at);
            let ends = random.of(&[0, 1, 1, 1, 2, 3]);
            for _ in 0..ends {
                let kind = if attempt < last { Kind::Retried } else { random.of(&TERMINAL) };
                let kind = if random.once_in(10) { random.of(&TERMINAL) } else { kind };
                self.add(random, kind, attempt, at);
                // Half of the second ends are at the same time.
                at += random.of(&[0, 0, 1, MINUTE]);
            }
        }
        if self.facts.is_empty() || random.once_in(6) {
            let kind = random.of(&KINDS);
            self.add(random, kind, 1, at);
        }
        self.repeat_with_other_content(random);
        if random.once_in(4) {
            self.untell(random);
        }
    }

    /// Makes a job of it whose facts do not tell the attempt.
    fn untell(&mut self, random: &mut Random) {
        for fact in &mut self.facts {
            fact.attempt = UNTOLD;
            fact.inferred = false;
            if fact.kind == Kind::Created && random.once_in(2) {
                // Too far ahead for any test: what expires depends on the time, too.
                fact.expires_after = u32::MAX;
            }
        }
        if random.once_in(3) {
            // Of the job as it was when all of this was known, or only some of it.
            let over = self.facts[random.below(self.facts.len())].clone();
            let kind = random.of(&TERMINAL);
            self.facts.push(Fact {
                event: inference_id(over.event, kind),
                kind,
                at: over.at + random.of(&[0, MINUTE]),
                inferred: true,
                created_at: over.at,
                expires_after: 0,
                job_type: Name::NONE,
                queue: Name::NONE,
                worker: Name::NONE,
                ..over
            });
        }
    }

    /// The same event id once more, saying something else.
    fn repeat_with_other_content(&mut self, random: &mut Random) {
        let mut other = self.facts[random.below(self.facts.len())].clone();
        match random.below(6) {
            0 => other.kind = random.of(&KINDS),
            1 => other.at += random.of(&[-1, 1, SECOND]),
            2 => other.inferred = !other.inferred,
            // Bodies that differ in one value only: the greater body wins.
            3 if !other.queue.is_none() => other.queue = Name::new(random.of(&QUEUES)),
            _ => return,
        }
        self.facts.push(other);
    }
}

/// Facts in the order of their arrival, each with the time of it, µs since the epoch.
pub(crate) type Deliveries = Vec<(i64, Fact)>;

/// Delivers `facts`: in the order of their times, more or less, or in any order at all; some
/// twice, some late, some never.
pub(crate) fn deliver(random: &mut Random, world: &World, facts: &[Fact]) -> Deliveries {
    let delay = |random: &mut Random| delay(random).max(-world.ahead);
    let any_order = random.once_in(4);
    let mut deliveries = Deliveries::new();
    for fact in facts {
        let arrived = fact.at.max(BASE - HOUR) + delay(random);
        deliveries.push((arrived, fact.clone()));
        while random.once_in(6) {
            deliveries.push((arrived + delay(random).max(0), fact.clone()));
        }
    }
    if any_order {
        let mut times: Vec<i64> = deliveries.iter().map(|(at, _)| *at).collect();
        times.sort_unstable();
        random.shuffle(&mut deliveries);
        for ((arrived, fact), at) in deliveries.iter_mut().zip(times) {
            *arrived = at.max(fact.at.max(fact.created_at) - world.ahead);
        }
    }
    deliveries.sort_by_key(|(at, _)| *at);
    if random.once_in(6) {
        deliveries.truncate(1 + random.below(deliveries.len()));
    }
    deliveries
}

/// From its happening to its arrival; sometimes its producer's clock is ahead.
fn delay(random: &mut Random) -> i64 {
    match random.below(16) {
        0 => random.between(0, 2 * HOUR),
        1 => random.between(0, 3 * MINUTE),
        2 => random.between(-40 * MINUTE, 0),
        3 => random.between(-SECOND, SECOND),
        _ => random.between(0, 300_000),
    }
}

/// What is fed at each tick.
pub(crate) type Ticks = Vec<(Tick, Vec<Fact>)>;

/// Cuts deliveries into ticks of random sizes, with ticks between them at which nothing arrives.
pub(crate) fn cut(random: &mut Random, deliveries: &Deliveries) -> Ticks {
    let largest = random.of(&[1, 3, 10, 100, 10_000]);
    let idle_once_in = random.of(&[2, 5, 50]);
    let mut ticks = Ticks::new();
    let mut clock = BASE - HOUR;
    let mut rest = &deliveries[..];
    while let Some((arrived, _)) = rest.first() {
        clock = (clock + 1).max(*arrived);
        let size = 1 + random.below(largest);
        let (now, later) = rest.split_at(size.min(rest.len()));
        let arrived = now.iter().map(|(at, _)| *at).max().unwrap_or(0);
        clock = clock.max(near_an_edge(random, arrived));
        ticks.push((clock as Tick, now.iter().map(|(_, fact)| fact.clone()).collect()));
        rest = later;
        if random.once_in(idle_once_in) {
            clock = pass(random, clock);
            ticks.push((clock as Tick, Vec::new()));
        }
    }
    ticks
}

/// A later moment, chosen for the edges that lie between.
fn pass(random: &mut Random, clock: i64) -> i64 {
    let next = |edge: i64| (clock.div_euclid(edge) + 1) * edge;
    match random.below(8) {
        0 => clock + 1,
        1 => clock + SECOND,
        2 => clock + 5 * SECOND,
        3 => clock + MINUTE - 1,
        4 => (next(random.of(&EDGES[..4])) - 1).max(clock + 1),
        5 => next(random.of(&EDGES[..4])),
        6 => next(random.of(&EDGES[..4])) + 1,
        _ => clock + random.between(1, 100_000),
    }
}

/// Lets time pass after `ticks` until every window is empty.
pub(crate) fn run_out(random: &mut Random, ticks: &mut Ticks) {
    let mut clock = ticks.last().map_or(BASE, |(tick, _)| *tick as i64);
    let latest = ticks.iter().flat_map(|(_, facts)| facts).map(|fact| fact.at).max();
    let steps = [1, SECOND, 5 * SECOND, MINUTE - 1, 1, MINUTE, 5 * MINUTE, 15 * MINUTE - 1];
    for step in steps {
        clock += step;
        ticks.push((clock as Tick, Vec::new()));
    }
    while clock <= latest.unwrap_or(BASE) + HOUR + MINUTE {
        clock = pass(random, clock) + random.of(&[0, MINUTE, 20 * MINUTE, HOUR]);
        ticks.push((clock as Tick, Vec::new()));
    }
}
