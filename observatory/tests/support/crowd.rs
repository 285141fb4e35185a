//! Streams of many jobs out of a seed: attempts, failures, hangs, repeated and late lines.

use contracts::Micros;
use fastrand::Rng;
use serde_json::json;
use uuid::Uuid;

use super::SECOND;

const TYPES: [&str; 4] = ["bread.bake", "cake.order", "round.deliver", "oven.clean"];
const QUEUES: [Option<&str>; 4] = [Some("oven"), Some("counter"), Some("street"), None];

/// A stream: so many jobs, created one after the other within `span` µs from `start` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    pub(crate) seed: u64,
    pub(crate) n_jobs: usize,
    pub(crate) start: Micros,
    pub(crate) span: i64,
}

impl Crowd {
    /// The lines in the order in which they arrive, without line feeds.
    ///
    /// A twentieth is late by up to two seconds, and some come twice.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut random = Rng::with_seed(self.seed);
        let mut lines = Vec::new();
        for _ in 0..self.n_jobs {
            Life::begin(&mut random, self, &mut lines).live();
        }
        lines.sort();
        lines.into_iter().map(|(_, line)| line).collect()
    }
}

/// What happens to one job.
struct Life<'a> {
    random: &'a mut Rng,
    /// Lines, each with the time at which it arrives.
    lines: &'a mut Vec<(i64, String)>,
    id: Uuid,
    job_type: &'static str,
    queue: Option<&'static str>,
    created: i64,
    now: i64,
    attempt: u16,
}

impl<'a> Life<'a> {
    fn begin(random: &'a mut Rng, crowd: &Crowd, lines: &'a mut Vec<(i64, String)>) -> Life<'a> {
        let created = crowd.start.0 + random.i64(0..crowd.span);
        Life {
            id: Uuid::from_u128(random.u128(..)),
            job_type: TYPES[random.usize(..TYPES.len())],
            queue: QUEUES[random.usize(..QUEUES.len())],
            random,
            lines,
            created,
            now: created,
            attempt: 1,
        }
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.random.u32(..n) == 0
    }

    fn live(mut self) {
        let waits = self.one_in(30);
        // Now and then the first event is lost.
        if waits || !self.one_in(40) {
            self.say("created", 1..2_000);
        }
        if waits {
            return;
        }
        if !self.one_in(3) {
            self.say("validated", 100..50_000);
        }
        loop {
            self.say("executed", 1_000..SECOND);
            if self.one_in(50) {
                return;
            }
            let fails = self.one_in(8);
            // Now and then a producer's clock is behind.
            let took = if self.one_in(100) { -5 * SECOND..0 } else { 1_000..3 * SECOND };
            if fails && self.attempt < 4 {
                self.say("retried", took);
                self.attempt += 1;
                continue;
            }
            let cancelled = self.one_in(40);
            self.say(
                if fails {
                    "failed"
                } else if cancelled {
                    "cancelled"
                } else {
                    "completed"
                },
                took,
            );
            if self.one_in(60) {
                // It is told to have ended twice.
                self.say("failed", 0..SECOND);
            }
            return;
        }
    }

    fn say(&mut self, kind: &str, after: std::ops::Range<i64>) {
        self.now += self.random.i64(after);
        let mut payload = json!({
            "id": self.id, "type": self.job_type, "status": kind,
            "createdAt": Micros(self.created), "attempt": self.attempt,
        });
        if let Some(queue) = self.queue {
            payload["queue"] = json!(queue);
        }
        if !matches!(kind, "created" | "validated") {
            payload["worker"] = json!(format!("oven-{}", self.random.u8(..6)));
        }
        if matches!(kind, "retried" | "failed") {
            payload["error"] = json!({ "kind": "Burnt", "message": "black" });
        }
        if self.one_in(10) {
            payload["metadata"] = json!({ "order": self.random.u32(..) });
        }
        let line = json!({
            "contractVersion": "1.1.0",
            "eventType": format!("job.{kind}"),
            "eventId": Uuid::from_u128(self.random.u128(..)),
            "occurredAt": Micros(self.now),
            "producer": { "service": "bakery", "instanceId": "oven", "version": "2.4.1" },
            "correlationId": self.id,
            "idempotencyKey": format!("{}:{kind}:{}", self.id, self.attempt),
            "payload": payload,
        });
        let late = if self.one_in(20) { self.random.i64(0..2 * SECOND) } else { 0 };
        self.lines.push((self.now + late, line.to_string()));
        if self.one_in(50) {
            let again = self.now + late + self.random.i64(0..3 * SECOND);
            self.lines.push((again, line.to_string()));
        }
    }
}
