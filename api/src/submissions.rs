//! `POST /jobs` and `POST /events`: one or an array, answered when it is durable.
//!
//! ```text
//!   body ──elements──▶ each: event made or decoded ──▶ Submitted ─┐
//!                        │ rejected: in the answer                ├─submit──▶ 202
//!                        └ archived before: in the answer         │
//!                                     Work ◀──── durable ─────────┘
//! ```
//!
//! # Invariants
//!
//! 1. What is submitted is submitted to the end, also when the client has gone.
//! 2. An idempotency key is in the hands of one request at a time, so that a job is made, and
//!    executed, once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, FromRequest, Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use contracts::decode::MAX_BODY_BYTES;
use contracts::view::{BatchAccepted, JobAccepted, RejectedElement};
use contracts::{Batch, Event, Reason, Rejection};
use ingress::ahead::in_time;
use ingress::gateway;
use ingress::submit::Submitted;
use ingress::work::Work;
use tokio::time::timeout;
use uuid::Uuid;

use crate::cloud_event::Mode;
use crate::guard::Correlation;
use crate::problem::Problem;
use crate::{Api, Readiness};

/// Bytes of an `Idempotency-Key`: a UUID has 36, and it is kept with each event.
const MAX_KEY_BYTES: usize = 200;

/// How long a body may take to come.
const MAX_BODY: Duration = Duration::from_secs(10);

/// What becomes of one element.
enum Element {
    New(Box<Submitted>, Option<Work>),
    /// It was submitted before.
    Archived(JobAccepted),
}

type Outcome = Result<Element, Rejection>;

pub(crate) async fn jobs(
    State(api): State<Arc<Api>>,
    Extension(correlation): Extension<Correlation>,
    request: Request,
) -> Result<Response, Problem> {
    api.takes_submissions()?;
    let correlation_id = correlation.for_events()?;
    let key = idempotency_key(request.headers())?;
    let body = body(&api, request, true).await?;
    let batch = contracts::elements(&body).map_err(|rejection| api.refused(rejection))?;

    let hold = key.as_ref().map(|key| api.in_progress.begin(key)).transpose()?;
    let request = gateway::Request {
        now: api.now(),
        correlation_id,
        idempotency_key: key.as_deref(),
        instance_id: &api.app.instance,
    };
    let indices: Vec<_> = match &batch {
        Batch::One(_) => vec![None],
        Batch::Many(jobs) => (0..jobs.len()).map(Some).collect(),
    };
    let event_ids = indices.iter().filter_map(|index| request.event_id(*index)).collect();
    let archived = api.archived(event_ids).await?;

    let mut outcomes = Vec::with_capacity(indices.len());
    for (n, (job, index)) in batch.elements().iter().zip(indices).enumerate() {
        let known = archived.get(n).and_then(Option::as_deref);
        let outcome = match known.and_then(|event| contracts::decode(event).ok()) {
            Some(event) if gateway::made_of(&event, job) => Ok(Element::Archived(accepted(&event))),
            Some(_) => return Err(key_reused()),
            None => gateway::job_created(job, index, &request, Uuid::now_v7)
                .and_then(|event| contracts::decode(&event).map(|event| created(&event))),
        };
        outcomes.push(outcome);
    }
    api.answer(&batch, outcomes, hold).await
}

pub(crate) async fn events(
    State(api): State<Arc<Api>>,
    Extension(correlation): Extension<Correlation>,
    request: Request,
) -> Result<Response, Problem> {
    api.takes_submissions()?;
    correlation.for_events()?;
    let mode = Mode::of(request.headers()).map_err(|rejection| api.refused(rejection))?;
    let body = body(&api, request, mode.native()).await?;
    let batch = match mode.several() {
        true => contracts::elements(&body).map_err(|rejection| api.refused(rejection))?,
        false => Batch::One(&body),
    };
    let now = api.now();
    let outcome = |event: &&[u8]| {
        let envelope = mode.read(event, &api.app.mapping)?;
        let event = contracts::decode(&envelope)?;
        in_time(&event, now)?;
        Ok(Element::New(Box::new(Submitted::of(&event, false)), None))
    };
    let outcomes = batch.elements().iter().map(outcome).collect();
    api.answer(&batch, outcomes, None).await
}

impl Api {
    fn takes_submissions(&self) -> Result<(), Problem> {
        match self.readiness() {
            Readiness::Ready => Ok(()),
            not_yet => Err(Problem::not_ready(not_yet)),
        }
    }

    /// Counts a refused body.
    fn refused(&self, rejection: Rejection) -> Problem {
        (self.app.reject)(rejection.reason);
        Problem::rejected(rejection)
    }

    /// The archived events under these ids, in their order.
    async fn archived(&self, ids: Vec<Uuid>) -> Result<Vec<Option<Vec<u8>>>, Problem> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let readers = &self.app.readers;
        match self.app.earlier.clone() {
            Some(earlier) => {
                readers.beside(move || ids.into_iter().map(|id| earlier(id)).collect()).await
            }
            None => {
                readers
                    .read(move |reader| ids.into_iter().map(|id| reader.event(id)).collect())
                    .await
            }
        }
    }

    /// Submits what is new, and answers for all elements.
    async fn answer(
        self: &Arc<Self>,
        batch: &Batch<'_>,
        outcomes: Vec<Outcome>,
        hold: Option<Hold>,
    ) -> Result<Response, Problem> {
        let (mut events, mut works) = (Vec::new(), Vec::new());
        let mut answer = BatchAccepted::default();
        for (index, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(Element::New(event, work)) => {
                    let (job_id, event_id) = (event.fact.job, event.fact.event);
                    answer.accepted.push(JobAccepted { job_id, event_id });
                    events.push(*event);
                    works.extend(work);
                }
                Ok(Element::Archived(accepted)) => answer.accepted.push(accepted),
                Err(rejection) => {
                    (self.app.reject)(rejection.reason);
                    answer.rejected.push(RejectedElement::new(index, rejection));
                }
            }
        }
        for work in &works {
            self.metrics.submitted(&work.job_type);
        }
        let api = Arc::clone(self);
        // A task of its own, which goes on when the client has gone and this one is dropped.
        let submission = tokio::spawn(async move {
            let _hold = hold;
            api.app.submitter.submit(events).await?;
            api.metrics.accepted(works.len());
            for work in works {
                // Nobody executes jobs here, or not any more: the store knows what is to be done.
                drop(api.app.work.send(work));
            }
            Ok::<(), Problem>(())
        });
        submission.await.map_err(|_| Problem::internal())??;
        respond(batch, answer)
    }
}

fn respond(batch: &Batch<'_>, mut answer: BatchAccepted) -> Result<Response, Problem> {
    if let Batch::One(_) = batch {
        if let Some(RejectedElement { reason, pointer, detail, .. }) = answer.rejected.pop() {
            return Err(Problem::rejected(Rejection { reason, pointer, detail }));
        }
        let accepted = answer.accepted.pop().ok_or_else(Problem::internal)?;
        let location = [(LOCATION, format!("/api/v1/jobs/{}", accepted.job_id))];
        return Ok((StatusCode::ACCEPTED, location, Json(accepted)).into_response());
    }
    if answer.accepted.is_empty() {
        return Err(Problem::all_rejected(answer.rejected));
    }
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// A job that is new.
fn created(event: &Event<'_>) -> Element {
    Element::New(Box::new(Submitted::of(event, true)), Some(gateway::work(event)))
}

fn accepted(event: &Event<'_>) -> JobAccepted {
    JobAccepted { job_id: event.job.id, event_id: event.event_id }
}

/// Reads a body, which must say that it is JSON if `json`, and not more than we take of one.
async fn body(api: &Api, request: Request, json: bool) -> Result<Bytes, Problem> {
    let headers = request.headers();
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // Also a defence: a page of another site can send other types unasked, but not this one, nor
    // what says in a header, or in a type of its own, that it is a CloudEvent.
    if json && !header(CONTENT_TYPE).is_some_and(is_json) {
        let detail = "send JSON, with `Content-Type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_type", detail));
    }
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        let detail = "send the body as it is, without `Content-Encoding`";
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            detail,
        ));
    }
    let announced = header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        (api.app.reject)(Reason::TooLarge);
        return Err(Problem::too_large());
    }
    // It stops at the limit that the router sets.
    let reading = timeout(MAX_BODY, Bytes::from_request(request, &())).await;
    let read = reading.map_err(|_| {
        let detail = "the body took too long to come: send it at once, or in parts";
        Problem::new(StatusCode::REQUEST_TIMEOUT, "slow_body", detail)
    })?;
    read.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            (api.app.reject)(Reason::TooLarge);
            Problem::too_large()
        }
        _ => Problem::bad_request("incomplete", "the body ended before it was complete"),
    })
}

/// Whether a media type is JSON, whatever its parameters.
fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    match key.to_str() {
        Ok(key) if (1..=MAX_KEY_BYTES).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => {
            let detail =
                format!("`Idempotency-Key` must be 1 to {MAX_KEY_BYTES} visible ASCII characters");
            Err(Problem::bad_request("bad_idempotency_key", detail))
        }
    }
}

/// The job under a key is another one: to say 202 would be to lose this one.
fn key_reused() -> Problem {
    let detail = "this `Idempotency-Key` was used for another job: take a new key for a new job";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
}

/// The idempotency keys of requests that are not answered yet.
#[derive(Clone, Default)]
pub(crate) struct InProgress(Arc<Mutex<HashSet<String>>>);

/// A key that is in use until this is dropped.
pub(crate) struct Hold {
    key: String,
    in_progress: InProgress,
}

impl InProgress {
    fn begin(&self, key: &str) -> Result<Hold, Problem> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.insert(key.to_owned()) {
            let detail = "a request with this `Idempotency-Key` is under way: wait for its answer";
            let problem = Problem::new(StatusCode::CONFLICT, "idempotency_key_in_use", detail);
            return Err(problem.retry_after(1));
        }
        Ok(Hold { key: key.to_owned(), in_progress: self.clone() })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut keys = self.in_progress.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.remove(&self.key);
    }
}
