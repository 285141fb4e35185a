//! A stream of facts to measure with: 20 types, 3 queues, 8 workers, three facts a job.

#![allow(dead_code, reason = "each program uses some of it")]

use std::time::Duration;

use contracts::event::{JobId, Kind};
use pipeline::fact::{Fact, Input};
use pipeline::name::Name;
use pipeline::rules::{self, Order};
use pipeline::{Diff, Tick};
use uuid::Uuid;

/// Where the streams begin, µs since the epoch: 2026-01-01.
pub(crate) const START: i64 = 1_767_225_600_000_000;

/// Length of a tick.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// A small generator (xorshift64*; Vigna, 2016), so that every run measures the same stream.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// What a stream is made of.
pub(crate) struct Shape {
    types: Vec<Name>,
    queues: Vec<Name>,
    workers: Vec<Name>,
}

impl Shape {
    pub(crate) fn new() -> Shape {
        let names = |what: &str, n| (0..n).map(|i| Name::new(&format!("{what}-{i:02}"))).collect();
        Shape { types: names("type", 20), queues: names("queue", 3), workers: names("worker", 8) }
    }

    /// The facts of a job created at `at`: it waits some 50 ms and runs some 300 ms; one in 20
    /// fails.
    pub(crate) fn job(&self, random: &mut Random, at: i64) -> [Fact; 3] {
        let pick =
            |random: &mut Random, names: &[Name]| names[random.below(names.len() as u64) as usize];
        let created = Fact {
            job: JobId::from_u64_pair(random.next(), random.next()),
            event: Uuid::from_u64_pair(random.next(), random.next()),
            at,
            created_at: at,
            seq: 0,
            job_type: pick(random, &self.types),
            queue: pick(random, &self.queues),
            worker: Name::NONE,
            attempt: 1,
            kind: Kind::Created,
            inferred: false,
            expires_after: 0,
        };
        let worker = pick(random, &self.workers);
        let started = at + 1_000 + random.below(100_000) as i64;
        let event = Uuid::from_u64_pair(random.next(), random.next());
        let executed = Fact { event, at: started, worker, kind: Kind::Executed, ..created.clone() };
        let ended = started + 1_000 + random.below(600_000) as i64;
        let event = Uuid::from_u64_pair(random.next(), random.next());
        let kind = if random.below(20) == 0 { Kind::Failed } else { Kind::Completed };
        let finished = Fact { event, at: ended, kind, ..executed.clone() };
        [created, executed, finished]
    }
}

/// A stream of `n_jobs`, in the order of its times, cut into ticks of `per_tick` facts that are
/// [`TICK`] apart: so the rate follows from the size of the ticks.
pub(crate) fn ticks(n_jobs: usize, per_tick: usize) -> Vec<(Tick, Vec<Input>)> {
    let mut random = Random(42);
    let shape = Shape::new();
    let micros_per_fact = TICK.as_micros() as f64 / per_tick as f64;
    let mut facts: Vec<Fact> = (0..n_jobs)
        .flat_map(|i| shape.job(&mut random, START + (i as f64 * 3.0 * micros_per_fact) as i64))
        .collect();
    facts.sort_by_key(|fact| fact.at);
    let mut ticks = Vec::with_capacity(facts.len() / per_tick + 1);
    let mut facts = facts.into_iter().peekable();
    while facts.peek().is_some() {
        let tick = START as Tick + (ticks.len() as Tick + 1) * TICK.as_micros() as Tick;
        ticks.push((tick, facts.by_ref().take(per_tick).map(Input::Fact).collect()));
    }
    ticks
}

/// A hundred rules, of every measure.
pub(crate) fn hundred_rules() -> Vec<(Order, Diff)> {
    let mut yaml = "groups: [{name: bench, rules: [".to_owned();
    for i in 0..100 {
        let expr = match i % 5 {
            0 => format!("failure_ratio[5m] by (type) > 0.{i:02}"),
            1 => format!("run_seconds{{quantile=\"0.95\"}}[1m] by (type) > {i}"),
            2 => format!("backlog by (queue) > {i}000"),
            3 => format!("stuck{{longer_than=\"{i}m\"}} by (type) > 0"),
            _ => format!("oldest_age_seconds{{type=\"type-{:02}\"}} > {i}", i % 20),
        };
        yaml.push_str(&format!("{{alert: A{i}, expr: '{expr}', for: 1m}},"));
    }
    yaml.push_str("]}]");
    let rules = rules::parse(&yaml).expect("the rules are good");
    rules.into_iter().map(|rule| (rule.into(), 1)).collect()
}
