//! Commits as the engine makes them: a random stream through a real dataflow, on a clock that jumps,
//! so that jobs are retired and come back.

use contracts::{JobId, Micros, Reason};
use fastrand::Rng;
use ingress::submit::Submitted;
use pipeline::Tick;
use pipeline::dataflow::Config;
use pipeline::fact::{Answer, Fact, Input, Record};
use pipeline::retention::Retention;
use pipeline::worker::Pipeline;
use serde_json::json;
use sinks::commit::{Accepted, Commit};
use uuid::Uuid;

/// 2026-11-21T10:00:00Z.
const START: Tick = 1_795_255_200_000_000;
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

const RULES: &str = "
groups:
  - name: all
    rules:
      - alert: Failing
        expr: failure_ratio[5m] by (type) > 0.2
        for: 30s
      - alert: Waiting
        expr: backlog by (queue) > 3
        labels: { severity: warning }
";

/// A stream that is under way.
pub(crate) struct Flow {
    pipeline: Pipeline,
    random: Rng,
    tick: Tick,
    seq: u64,
    pub(crate) jobs: Vec<JobId>,
    bodies: Vec<String>,
    /// Facts to be looked up when what was given out is durable, with their events.
    waiting: Vec<(Fact, Submitted)>,
}

impl Flow {
    pub(crate) fn new(seed: u64) -> Flow {
        let retire_after = Retention::MIN_RETIRE;
        let abandon_after = 2 * retire_after;
        let retention = Retention { retire_after, abandon_after, ..Retention::default() };
        let config = Config {
            retention: Some(retention),
            keep_records: true,
            judge: true,
            ..Config::default()
        };
        let pipeline = Pipeline::start(config, 1).unwrap();
        let rules = pipeline::rules::parse(RULES).unwrap();
        pipeline.orders(START, rules.into_iter().map(|rule| (rule.into(), 1)).collect()).unwrap();
        Flow {
            pipeline,
            random: Rng::with_seed(seed),
            tick: START,
            seq: 0,
            jobs: Vec::new(),
            bodies: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// What follows, of some ticks. The store is asked by `lookup`, and has all that was given
    /// before.
    pub(crate) fn next(
        &mut self,
        mut lookup: impl FnMut(&[JobId]) -> Vec<Option<Record>>,
    ) -> Commit {
        let mut commit = self.tick(&mut lookup);
        // No job is looked up in a group before it is durable.
        while self.waiting.is_empty() && self.random.u8(..3) == 0 {
            commit.extend(self.tick(&mut lookup));
        }
        commit
    }

    fn tick(&mut self, lookup: &mut dyn FnMut(&[JobId]) -> Vec<Option<Record>>) -> Commit {
        let longest = [1, SECOND, 60 * SECOND, 1_500 * SECOND][self.random.usize(..4)];
        let read_at = self.tick + 1;
        self.tick += 1 + self.random.u64(..longest as u64);
        let mut events = Vec::new();
        let mut inputs = Vec::new();

        let waiting = std::mem::take(&mut self.waiting);
        let asked: Vec<JobId> = waiting.iter().map(|(fact, _)| fact.job).collect();
        let records = if asked.is_empty() { Vec::new() } else { lookup(&asked) };
        for ((fact, event), record) in waiting.into_iter().zip(records) {
            events.push((fact.seq, Accepted { tick: self.tick, event, late: false }));
            inputs.push(Input::Answer(Box::new(Answer { fact, record, read_at })));
        }
        for _ in 0..self.random.usize(..12) {
            let late = self.random.u8(..20) == 0;
            let body = match self.bodies.len() {
                known @ 1.. if self.random.u8(..10) == 0 => {
                    self.bodies[self.random.usize(..known)].clone()
                }
                _ => self.body(late),
            };
            let event = Submitted::of(&contracts::decode(body.as_bytes()).unwrap(), false);
            let late = event.fact.at < self.tick as i64 - 30 * DAY;
            self.bodies.push(body);
            self.seq += 1;
            if !late {
                inputs.push(Input::Fact(Fact { seq: self.seq, ..event.fact.clone() }));
            }
            events.push((self.seq, Accepted { tick: self.tick, event, late }));
        }

        self.pipeline.tick(self.tick, inputs).unwrap();
        let mut commit = Commit::default();
        while commit.sealed.upper <= self.tick {
            let sealed = self.pipeline.sealed().unwrap();
            commit.extend(Commit { sealed, ..Commit::default() });
        }
        for (fact, _, ()) in commit.sealed.lookups.drain(..) {
            let place = events.iter().position(|(seq, _)| *seq == fact.seq).unwrap();
            self.waiting.push((fact, events.remove(place).1.event));
        }
        commit.events = events.into_iter().map(|(_, accepted)| accepted).collect();
        if self.random.u8(..4) == 0 {
            let reason = Reason::ALL[self.random.usize(..Reason::ALL.len())];
            commit.rejected.insert(reason, self.random.u64(1..5));
        }
        commit
    }

    fn body(&mut self, late: bool) -> String {
        let random = &mut self.random;
        let job = match self.jobs.len() {
            known @ 1.. if random.u8(..5) > 0 => self.jobs[random.usize(..known)],
            _ => {
                let job = Uuid::from_u128(random.u128(..));
                self.jobs.push(job);
                job
            }
        };
        let kinds = ["created", "validated", "executed", "retried", "completed", "failed"];
        let kind = kinds[random.usize(..kinds.len())];
        let at = self.tick as i64 - random.i64(0..300 * SECOND) - if late { 31 * DAY } else { 0 };
        let mut payload = json!({
            // A job has one type, but now and then an event says otherwise.
            "id": job, "type": format!("type-{}", (job.as_u128() + u128::from(random.u8(..8) / 7)) % 4),
            "status": kind, "createdAt": Micros(at - random.i64(0..SECOND)),
            "attempt": random.u16(1..4),
        });
        if random.bool() {
            payload["queue"] = json!(format!("queue-ä-{}", random.u8(..3)));
        }
        if random.bool() {
            payload["worker"] = json!(format!("worker-{}", random.u8(..3)));
        }
        if kind == "failed" || random.u8(..8) == 0 {
            payload["error"] = json!({ "kind": "Broken", "message": format!("\u{0}{at}") });
        }
        if random.u8(..3) == 0 {
            payload["metadata"] = json!({ "z": at, "a": "'\"\\\u{0} €", "n": [1.0, null] });
        }
        // Now and then two events have one id.
        let id = if random.u8(..20) == 0 { u128::from(random.u8(..3)) } else { random.u128(..) };
        json!({
            "contractVersion": "1.1.0", "eventType": format!("job.{kind}"),
            "eventId": Uuid::from_u128(id), "occurredAt": Micros(at),
            "producer": { "service": "test", "instanceId": "1", "version": "1" },
            "correlationId": Uuid::nil(), "idempotencyKey": "none", "payload": payload,
        })
        .to_string()
    }
}
