//! A made-up job: what happens to it and when, all of it a function of a seed and a number.
//!
//! ```text
//!   created ▶ validated ▶ executed ▶ completed                the usual
//!                           │  ▲  └▶ failed                   failing
//!                           │  └── retried, up to twice       retrying
//!                           └▶ nothing more                   hanging
//! ```

use contracts::event::{Envelope, ErrorInfo, JobId, JobObject, Kind, ProducerInfo};
use contracts::{EventId, Micros};
use serde_json::json;
use uuid::Uuid;

use super::Shape;

/// µs of a millisecond.
const MS: u64 = 1_000;

/// A job that never was.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) number: u64,
    correlation: Uuid,
    job_type: usize,
    queue: usize,
    /// In the order in which they occur.
    pub(super) steps: Vec<Step>,
}

/// Something that happens to a job. Times are µs since the job was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    event: EventId,
    pub(super) kind: Kind,
    pub(super) attempt: u16,
    /// Who reports it: 0 is the one that takes jobs in, the others work.
    pub(super) producer: usize,
    /// When it happens, by the true clock.
    pub(super) at: u64,
    /// When it is sent.
    pub(super) sent: u64,
    /// When it is sent once more.
    pub(super) again: Option<u64>,
}

/// What is left to chance of something, the same for the same seed.
pub(super) fn chance(seed: u64, number: u64) -> fastrand::Rng {
    // Neighbouring seeds are to have nothing in common (splitmix64, Steele et al. 2014).
    let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    fastrand::Rng::with_seed(mixed ^ (mixed >> 31))
}

impl Job {
    /// The job of this number.
    pub(super) fn new(shape: &Shape, seed: u64, number: u64) -> Job {
        let mut random = chance(seed, number);
        let id = uuid(&mut random);
        let correlation = uuid(&mut random);
        let job_type = random.usize(..shape.types.get());
        let queue = random.usize(..shape.queues.get());
        let mut job = Job { id, number, correlation, job_type, queue, steps: Vec::new() };

        let hangs = shape.hanging.hits(&mut random);
        let fails = shape.failing.hits(&mut random);
        let retries =
            if shape.retrying.hits(&mut random) { random.u16(1..=MAX_RETRIES) } else { 0 };
        // Types differ in how long they run: the first for some 15 ms, the others for longer.
        let typical = 10 * MS * (1 + job_type as u64 % 8);
        let mut at = 0;
        job.step(&mut random, shape, Kind::Created, 1, 0, at);
        at += random.u64(MS..5 * MS);
        job.step(&mut random, shape, Kind::Validated, 1, 0, at);
        for attempt in 1..=1 + retries {
            let worker = 1 + random.usize(..shape.workers.get());
            at += random.u64(MS..20 * MS);
            job.step(&mut random, shape, Kind::Executed, attempt, worker, at);
            let ends = match attempt <= retries {
                true => Kind::Retried,
                false if hangs => break,
                false if fails => Kind::Failed,
                false => Kind::Completed,
            };
            at += typical + random.u64(..typical);
            job.step(&mut random, shape, ends, attempt, worker, at);
        }
        job
    }

    fn step(
        &mut self,
        random: &mut fastrand::Rng,
        shape: &Shape,
        kind: Kind,
        attempt: u16,
        producer: usize,
        at: u64,
    ) {
        let event = uuid(random);
        let sent = at + random.u64(..=shape.disorder_ms * MS);
        let later = random.u64(..=REPEATED_WITHIN);
        let again = shape.duplicates.hits(random).then_some(sent + later);
        self.steps.push(Step { event, kind, attempt, producer, at, sent, again });
    }

    /// The event that tells a step, of a job created at `created`.
    pub(super) fn event(&self, step: &Step, created: i64, clocks: &Clocks) -> Vec<u8> {
        let told = |at: u64, producer: usize| Micros(created + at as i64 + clocks.0[producer]);
        let (service, instance) = match step.producer {
            0 => ("gateway", "gateway-1".to_owned()),
            worker => ("worker", format!("worker-{worker}")),
        };
        let error = matches!(step.kind, Kind::Retried | Kind::Failed).then(|| ErrorInfo {
            kind: "Simulated".to_owned(),
            message: format!("attempt {} was made to fail", step.attempt),
        });
        let metadata = match json!({ "loadgen": { "job": self.number } }) {
            serde_json::Value::Object(metadata) if step.kind == Kind::Created => Some(metadata),
            _ => None,
        };
        let envelope = Envelope {
            contract_version: contracts::event::CONTRACT_VERSION.to_owned(),
            event_type: step.kind,
            event_id: step.event,
            occurred_at: told(step.at, step.producer),
            producer: ProducerInfo {
                service: service.to_owned(),
                instance_id: instance.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            correlation_id: self.correlation,
            idempotency_key: format!("{}:{}:{}", self.id, step.attempt, step.kind),
            payload: JobObject {
                id: self.id,
                job_type: name(&TYPES, self.job_type),
                status: step.kind.state().as_str().to_owned(),
                created_at: told(0, 0),
                queue: Some(name(&QUEUES, self.queue)),
                worker: (step.producer > 0).then_some(instance),
                attempt: step.attempt,
                error,
                payload: None,
                metadata,
                updated_at: None,
            },
        };
        // A struct of strings and numbers always serialises.
        serde_json::to_vec(&envelope).unwrap_or_default()
    }
}

/// Attempts of a retrying job that fail before the last.
const MAX_RETRIES: u16 = 2;

/// A repeat follows within so many µs.
const REPEATED_WITHIN: u64 = 200 * MS;

/// Events of a job, on average.
pub(super) fn mean_events(shape: &Shape) -> f64 {
    let retries = shape.retrying.of_one() * (1.0 + f64::from(MAX_RETRIES)) / 2.0;
    (4.0 + 2.0 * retries - shape.hanging.of_one()) * (1.0 + shape.duplicates.of_one())
}

/// By how many µs the clock of each producer is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clocks(Vec<i64>);

impl Clocks {
    pub(super) fn new(shape: &Shape, seed: u64) -> Clocks {
        // No job has this number.
        let mut random = chance(seed, u64::MAX);
        // The bound of the option keeps it far below what would not fit.
        let most = (shape.skew_ms * MS) as i64;
        Clocks((0..=shape.workers.get()).map(|_| random.i64(-most..=most)).collect())
    }
}

const TYPES: [&str; 5] =
    ["email.send", "image.resize", "report.build", "payment.capture", "index.update"];
const QUEUES: [&str; 3] = ["default", "mail", "bulk"];

/// The names in order, then again with numbers.
fn name(names: &[&str], i: usize) -> String {
    let name = names[i % names.len()];
    match i / names.len() {
        0 => name.to_owned(),
        round => format!("{name}-{}", round + 1),
    }
}

fn uuid(random: &mut fastrand::Rng) -> Uuid {
    uuid::Builder::from_random_bytes(random.u128(..).to_be_bytes()).into_uuid()
}

#[cfg(test)]
#[path = "job/tests.rs"]
mod tests;
