//! Jobs made up as they go, and the truth about them, which needs no dataflow.

use std::collections::BTreeMap;

use contracts::Micros;
use fastrand::Rng;
use serde_json::json;
use uuid::Uuid;

const TYPES: [&str; 3] = ["bread.bake", "cake.order", "oven.clean"];
const QUEUES: [&str; 3] = ["oven", "counter", ""];

/// Jobs that are not finished at a time, about.
const OPEN: usize = 100;

/// An event, and the key with which it is published.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) key: &'static str,
    pub(crate) body: Vec<u8>,
}

/// A job as its events have told it.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) state: &'static str,
    pub(crate) job_type: &'static str,
    pub(crate) queue: &'static str,
    pub(crate) worker: String,
    pub(crate) attempt: u16,
    pub(crate) created: i64,
    pub(crate) started: Option<i64>,
    /// Of the last attempt.
    pub(crate) attempt_started: Option<i64>,
    pub(crate) finished: Option<i64>,
    pub(crate) error: bool,
}

/// What all events that were made come to.
#[derive(Default)]
pub(crate) struct Truth {
    pub(crate) jobs: BTreeMap<Uuid, Job>,
    /// The bodies by the ids of the events.
    pub(crate) events: BTreeMap<String, String>,
    /// Those that came too late for the views.
    pub(crate) late: BTreeMap<String, String>,
    /// Bodies that were no events, by reason.
    pub(crate) rejected: BTreeMap<String, u64>,
}

impl Truth {
    /// The truth, if all of it came too late for the views.
    pub(crate) fn too_late(self) -> Truth {
        Truth { late: self.events, ..Truth::default() }
    }

    /// The truth about two crowds.
    pub(crate) fn and(mut self, other: Truth) -> Truth {
        self.jobs.extend(other.jobs);
        self.events.extend(other.events);
        self.late.extend(other.late);
        for (reason, n) in other.rejected {
            *self.rejected.entry(reason).or_default() += n;
        }
        self
    }
}

/// Makes events, one after the other.
pub(crate) struct Crowd {
    random: Rng,
    open: Vec<Uuid>,
    truth: Truth,
    /// How far the clock of a worker may be off, either way, in µs.
    off: i64,
}

impl Crowd {
    pub(crate) fn new(seed: u64) -> Crowd {
        let random = Rng::with_seed(seed);
        Crowd { random, open: Vec::new(), truth: Truth::default(), off: 0 }
    }

    /// A crowd whose workers' clocks are off by up to `off` µs, each by its own.
    pub(crate) fn with_clocks_off(seed: u64, off: i64) -> Crowd {
        Crowd { off, ..Crowd::new(seed) }
    }

    /// What has been told up to now.
    pub(crate) fn into_truth(self) -> Truth {
        self.truth
    }

    /// The next event, which occurs at `now`.
    pub(crate) fn next(&mut self, now: Micros) -> Event {
        if self.open.len() < OPEN {
            return self.create(now);
        }
        let at = self.random.usize(..self.open.len());
        let id = self.open[at];
        let worker = self.random.i64(0..7);
        let Some(job) = self.truth.jobs.get_mut(&id) else { unreachable!("it was created") };
        let key = match job.state {
            "PENDING" if self.random.u8(..40) == 0 => "job.cancelled",
            "PENDING" => "job.executed",
            "RETRYING" => {
                job.attempt += 1;
                "job.executed"
            }
            _ if job.attempt < 3 && self.random.u8(..8) == 0 => "job.retried",
            _ if self.random.u8(..8) == 0 => "job.failed",
            _ => "job.completed",
        };
        let occurred = now.0 + self.off * (worker - 3) / 3;
        job.worker = format!("oven-{worker}");
        job.state = match key {
            "job.executed" => "EXECUTING",
            "job.retried" => "RETRYING",
            "job.failed" => "FAILED",
            "job.completed" => "COMPLETED",
            _ => "CANCELLED",
        };
        job.error = matches!(key, "job.retried" | "job.failed");
        match key {
            "job.executed" => {
                job.attempt_started = Some(occurred);
                job.started = Some(job.started.map_or(occurred, |at| at.min(occurred)));
            }
            "job.retried" => {}
            _ => {
                job.finished = Some(occurred);
                self.open.swap_remove(at);
            }
        }
        self.tell(id, key, occurred)
    }

    fn create(&mut self, now: Micros) -> Event {
        let id = Uuid::from_u128(self.random.u128(..));
        let job = Job {
            state: "PENDING",
            job_type: self.random.choice(TYPES).unwrap_or_default(),
            queue: self.random.choice(QUEUES).unwrap_or_default(),
            worker: String::new(),
            attempt: 1,
            created: now.0,
            started: None,
            attempt_started: None,
            finished: None,
            error: false,
        };
        self.truth.jobs.insert(id, job);
        self.open.push(id);
        self.tell(id, "job.created", now.0)
    }

    fn tell(&mut self, id: Uuid, key: &'static str, occurred: i64) -> Event {
        let job = &self.truth.jobs[&id];
        let event = Uuid::from_u128(self.random.u128(..));
        let mut body = json!({
            "contractVersion": "1.1.0", "eventType": key, "eventId": event,
            "occurredAt": Micros(occurred),
            "producer": { "service": "bakery", "instanceId": "oven", "version": "2.4.1" },
            "correlationId": id, "idempotencyKey": format!("{id}:{key}:{}", job.attempt),
            "payload": { "id": id, "type": job.job_type, "status": job.state,
                         "createdAt": Micros(job.created), "attempt": job.attempt,
                         "queue": job.queue, "worker": job.worker },
        });
        if job.error {
            body["payload"]["error"] = json!({ "kind": "Burnt", "message": "black" });
        }
        let body = body.to_string();
        self.truth.events.insert(event.to_string(), body.clone());
        Event { key, body: body.into_bytes() }
    }
}
