//! The reference worker: executes simulated jobs, and reports each step of them.
//!
//! ```text
//!   Work ──▶ validated ──(a free place)──▶ executed ──delay──▶ completed
//!                                   ▲                     ├──▶ failed
//!                                   └──── back off ◀──────┴──▶ retried
//! ```
//!
//! It is a stand-in for real workers: what it reports goes in as their events would.

use std::sync::Arc;
use std::time::Duration;

use contracts::event::{Envelope, ErrorInfo, JobObject, Kind, ProducerInfo};
use contracts::{Micros, State};
use ingress::submit::{SubmitError, Submitted, Submitter};
use ingress::work::Work;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;
use uuid::Uuid;

use crate::engine::now;
use crate::metrics::Metrics;

/// Jobs executed at a time.
const PLACES: usize = 16;

/// Attempts before a job that keeps failing has failed.
const MAX_ATTEMPTS: u16 = 3;

/// Between a failed attempt and the next, times the attempt.
const BACK_OFF: Duration = Duration::from_millis(200);

/// How long a simulated job runs unless it says otherwise, in ms.
const DELAY_MS: std::ops::RangeInclusive<u64> = 50..=500;

#[derive(Clone)]
pub(crate) struct ReferenceWorker {
    submitter: Submitter,
    places: Arc<Semaphore>,
    /// With the job and the attempt, it decides how long a job runs.
    seed: u64,
    metrics: Metrics,
}

impl ReferenceWorker {
    pub(crate) fn new(submitter: Submitter, seed: u64, metrics: Metrics) -> ReferenceWorker {
        let places = Arc::new(Semaphore::new(PLACES));
        ReferenceWorker { submitter, places, seed, metrics }
    }

    /// Executes what comes, until the service stops.
    pub(crate) async fn run(self, mut work: UnboundedReceiver<Work>) {
        while let Some(work) = work.recv().await {
            let worker = self.clone();
            tokio::spawn(async move {
                // What is lost here is found again at the next start: the job is unfinished.
                if let Err(error) = worker.execute(work).await {
                    tracing::debug!(%error, "a job was left unfinished");
                }
            });
        }
    }

    async fn execute(&self, mut work: Work) -> Result<(), SubmitError> {
        if work.attempt == 1 {
            self.report(&work, Kind::Validated, None).await?;
        }
        loop {
            let Ok(place) = self.places.acquire().await else { return Ok(()) };
            let delay = work.simulate.delay_ms.unwrap_or_else(|| self.delay_ms(&work));
            self.report(&work, Kind::Executed, None).await?;
            if work.simulate.hang {
                // It is never heard of again; its place goes to another.
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(delay)).await;
            drop(place);
            self.metrics.jobs_processed.inc();
            self.metrics.processing_seconds.observe(delay as f64 / 1e3);
            let fails = work.simulate.fail || work.attempt <= work.simulate.fail_times;
            if !fails {
                self.report(&work, Kind::Completed, None).await?;
                self.metrics.jobs_completed.inc();
                return Ok(());
            }
            let error = ErrorInfo {
                kind: "Simulated".to_owned(),
                message: format!("attempt {} was told to fail", work.attempt),
            };
            if work.attempt >= MAX_ATTEMPTS {
                self.report(&work, Kind::Failed, Some(error)).await?;
                self.metrics.jobs_failed.inc();
                return Ok(());
            }
            self.report(&work, Kind::Retried, Some(error)).await?;
            tokio::time::sleep(BACK_OFF * u32::from(work.attempt)).await;
            work.attempt += 1;
        }
    }

    fn delay_ms(&self, work: &Work) -> u64 {
        let (high, low) = work.job.as_u64_pair();
        fastrand::Rng::with_seed(self.seed ^ high ^ low ^ u64::from(work.attempt)).u64(DELAY_MS)
    }

    /// Reports a step, and waits until it is durable.
    async fn report(
        &self,
        work: &Work,
        kind: Kind,
        error: Option<ErrorInfo>,
    ) -> Result<(), SubmitError> {
        let body = event(work, kind, error);
        loop {
            let Ok(event) = contracts::decode(&body) else {
                // The work came out of an event, so what it says is within the contract.
                tracing::error!(job = %work.job, "the worker's own event was rejected");
                return Ok(());
            };
            match self.submitter.submit(vec![Submitted::of(&event, false)]).await {
                Err(SubmitError::Busy) => tokio::time::sleep(BACK_OFF).await,
                result => return result,
            }
        }
    }
}

/// The event that says so, as any worker would send it.
fn event(work: &Work, kind: Kind, error: Option<ErrorInfo>) -> Vec<u8> {
    let status: State = kind.state();
    let worker = (kind > Kind::Validated).then(|| "reference-1".to_owned());
    let envelope = Envelope {
        contract_version: contracts::event::CONTRACT_VERSION.to_owned(),
        event_type: kind,
        event_id: Uuid::now_v7(),
        occurred_at: Micros(now() as i64),
        producer: ProducerInfo {
            service: "reference-worker".to_owned(),
            instance_id: "reference-1".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        correlation_id: work.correlation_id,
        idempotency_key: format!("{}:{}:{kind}", work.job, work.attempt),
        payload: JobObject {
            id: work.job,
            job_type: work.job_type.clone(),
            status: status.as_str().to_owned(),
            created_at: work.created_at,
            queue: work.queue.clone(),
            worker,
            attempt: work.attempt,
            error,
            payload: None,
            metadata: None,
            updated_at: None,
        },
    };
    // A struct of strings and numbers always serialises.
    serde_json::to_vec(&envelope).unwrap_or_default()
}
