//! The reference worker: executes simulated jobs, and reports each step of them.
//!
//! ```text
//!   Work ──▶ validated ──(a free place)──▶ executed ──delay──▶ completed
//!                                   ▲                     ├──▶ failed
//!                                   └──── back off ◀──────┴──▶ retried
//! ```
//!
//! It is a stand-in for real workers: what it reports goes in as their events would.

use std::num::NonZeroU16;
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

/// Jobs executed at a time, in `up`.
pub(crate) const PLACES: NonZeroU16 = match NonZeroU16::new(16) {
    Some(places) => places,
    None => NonZeroU16::MIN,
};

/// Between a failed attempt and the next, times the attempt.
const BACK_OFF: Duration = Duration::from_millis(200);

/// How simulated jobs go, unless they say otherwise.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Habits {
    /// The shortest that a job runs, in ms.
    #[arg(long, env = "OBSERVATORY_DELAY_MIN_MS", default_value_t = 50, value_name = "MS")]
    pub(crate) delay_min_ms: u64,
    /// The longest that a job runs, in ms.
    #[arg(long, env = "OBSERVATORY_DELAY_MAX_MS", default_value_t = 500, value_name = "MS")]
    pub(crate) delay_max_ms: u64,
    /// Of a thousand attempts, so many fail.
    #[arg(long, env = "OBSERVATORY_FAILING", default_value_t = 0, value_name = "PER MILLE")]
    pub(crate) failing: u32,
    /// Of a thousand attempts, so many never end.
    #[arg(long, env = "OBSERVATORY_HANGING", default_value_t = 0, value_name = "PER MILLE")]
    pub(crate) hanging: u32,
    /// Attempts before a job that keeps failing has failed.
    #[arg(long, env = "OBSERVATORY_MAX_ATTEMPTS", default_value_t = 3)]
    pub(crate) max_attempts: u16,
    /// Seed of what is left to chance.
    #[arg(long, env = "OBSERVATORY_SEED", default_value_t = 1)]
    pub(crate) seed: u64,
}

impl Default for Habits {
    fn default() -> Habits {
        Habits {
            delay_min_ms: 50,
            delay_max_ms: 500,
            failing: 0,
            hanging: 0,
            max_attempts: 3,
            seed: 1,
        }
    }
}

#[derive(Clone)]
pub(crate) struct ReferenceWorker {
    submitter: Submitter,
    places: Arc<Semaphore>,
    habits: Habits,
    metrics: Metrics,
}

/// What is left to chance of an attempt.
struct Chance {
    delay: Duration,
    fails: bool,
    hangs: bool,
}

impl ReferenceWorker {
    pub(crate) fn new(
        submitter: Submitter,
        habits: Habits,
        places: usize,
        metrics: Metrics,
    ) -> ReferenceWorker {
        let places = Arc::new(Semaphore::new(places));
        ReferenceWorker { submitter, places, habits, metrics }
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

    /// Executes a job to its end; one that hangs has none.
    pub(crate) async fn execute(&self, mut work: Work) -> Result<(), SubmitError> {
        if work.attempt == 1 {
            self.report(&work, Kind::Validated, None).await?;
        }
        loop {
            let Ok(place) = self.places.acquire().await else { return Ok(()) };
            let Chance { delay, fails, hangs } = self.chance(&work);
            self.report(&work, Kind::Executed, None).await?;
            if hangs {
                // It is never heard of again; its place goes to another.
                return Ok(());
            }
            tokio::time::sleep(delay).await;
            drop(place);
            self.metrics.jobs_processed.inc();
            self.metrics.processing_seconds.observe(delay.as_secs_f64());
            if !fails {
                self.report(&work, Kind::Completed, None).await?;
                self.metrics.jobs_completed.inc();
                return Ok(());
            }
            let error = ErrorInfo {
                kind: "Simulated".to_owned(),
                message: format!("attempt {} was told to fail", work.attempt),
            };
            if work.attempt >= self.habits.max_attempts {
                self.report(&work, Kind::Failed, Some(error)).await?;
                self.metrics.jobs_failed.inc();
                return Ok(());
            }
            self.report(&work, Kind::Retried, Some(error)).await?;
            tokio::time::sleep(BACK_OFF * u32::from(work.attempt)).await;
            work.attempt += 1;
        }
    }

    /// The same for the same seed, job and attempt.
    fn chance(&self, work: &Work) -> Chance {
        let (high, low) = work.job.as_u64_pair();
        let seed = self.habits.seed ^ high ^ low ^ u64::from(work.attempt);
        let mut random = fastrand::Rng::with_seed(seed);
        let longest = self.habits.delay_max_ms.max(self.habits.delay_min_ms);
        let delay_ms = random.u64(self.habits.delay_min_ms..=longest);
        let told = work.simulate;
        Chance {
            delay: Duration::from_millis(told.delay_ms.unwrap_or(delay_ms)),
            fails: told.fail
                || work.attempt <= told.fail_times
                || random.u32(0..1_000) < self.habits.failing,
            hangs: told.hang || random.u32(0..1_000) < self.habits.hanging,
        }
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
                // The broker may be back soon; the event is the same, so a repeat is harmless.
                Err(SubmitError::Busy | SubmitError::Broker(_)) => {
                    tokio::time::sleep(BACK_OFF).await;
                }
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
