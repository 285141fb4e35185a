//! `--demo`: made-up jobs, so that there is something to see. The same seed gives the same jobs.

use std::time::Duration;

use contracts::Micros;
use ingress::gateway::{self, Request};
use ingress::submit::{SubmitError, Submitted, Submitter};
use ingress::work::Work;
use serde_json::json;
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use crate::engine::now;

/// What a kind of job is like.
struct Kind {
    job_type: &'static str,
    queue: &'static str,
    /// How often it comes, against the others.
    weight: u32,
    /// How long it usually runs; a few take many times as long.
    typical_ms: f64,
    /// Of a thousand.
    failing: u32,
    hanging: u32,
}

const KINDS: [Kind; 5] = [
    Kind {
        job_type: "email.send",
        queue: "mail",
        weight: 50,
        typical_ms: 60.0,
        failing: 10,
        hanging: 0,
    },
    Kind {
        job_type: "image.resize",
        queue: "bulk",
        weight: 20,
        typical_ms: 250.0,
        failing: 20,
        hanging: 1,
    },
    Kind {
        job_type: "report.build",
        queue: "bulk",
        weight: 8,
        typical_ms: 900.0,
        failing: 40,
        hanging: 4,
    },
    Kind {
        job_type: "payment.capture",
        queue: "default",
        weight: 15,
        typical_ms: 150.0,
        failing: 220,
        hanging: 0,
    },
    Kind {
        job_type: "index.update",
        queue: "default",
        weight: 30,
        typical_ms: 40.0,
        failing: 5,
        hanging: 0,
    },
];

/// Mean time between two jobs.
const PAUSE_MS: f64 = 80.0;

/// Submits jobs until the service stops.
pub(crate) async fn run(submitter: Submitter, work: UnboundedSender<Work>, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    loop {
        // Times between arrivals that do not know of each other are exponential.
        let pause = -PAUSE_MS * (1.0 - random.f64()).ln();
        tokio::time::sleep(Duration::from_micros((pause * 1000.0) as u64)).await;
        let Some(body) = job(&mut random) else { continue };
        let Ok(event) = contracts::decode(&body) else { continue };
        match submitter.submit(vec![Submitted::of(&event, true)]).await {
            // The other end is gone only when the service stops.
            Ok(()) => drop(work.send(gateway::work(&event))),
            Err(SubmitError::Busy) => {}
            Err(SubmitError::Stopped | SubmitError::Broker(_)) => return,
        }
    }
}

/// The `job.created` event of a made-up job.
fn job(random: &mut fastrand::Rng) -> Option<Vec<u8>> {
    let mut choice = random.u32(..KINDS.iter().map(|kind| kind.weight).sum::<u32>());
    let kind = KINDS.iter().find(|kind| match choice.checked_sub(kind.weight) {
        Some(rest) => {
            choice = rest;
            false
        }
        None => true,
    })?;
    // A long tail: the exponent of a sum of uniforms is near to log-normal.
    let spread: f64 = (0..6).map(|_| random.f64() - 0.5).sum();
    let delay_ms = (kind.typical_ms * (1.4 * spread).exp()) as u64;
    let fails = random.u32(..1000) < kind.failing;
    let fail_times = if !fails && random.u32(..1000) < 3 * kind.failing { 1 } else { 0 };
    let hang = random.u32(..1000) < kind.hanging;
    let simulate =
        json!({ "delayMs": delay_ms, "fail": fails, "failTimes": fail_times, "hang": hang });
    let job = json!({
        "type": kind.job_type,
        "queue": kind.queue,
        "payload": { "simulate": simulate },
        "metadata": { "demo": true },
    });
    let id = |random: &mut fastrand::Rng| {
        uuid::Builder::from_random_bytes(random.u128(..).to_be_bytes()).into_uuid()
    };
    let request = Request {
        now: Micros(i64::try_from(now()).ok()?),
        correlation_id: id(random),
        idempotency_key: None,
        instance_id: "demo",
    };
    gateway::job_created(job.to_string().as_bytes(), None, &request, Uuid::now_v7).ok()
}
