//! From a job as a client submits it to the bytes of its `job.created` event.
//!
//! ```text
//!   {"type":"email.send"} ──▶ {"contractVersion":…,"payload":{"id":…,"type":"email.send"}} ──decode──▶ Event
//!                                                    └ spliced, not rewritten ┘
//! ```
//!
//! The client's object goes into the event as the text that it is, with the members that it lacks
//! put in front. So unknown members, the order of keys and the spelling of numbers are kept, and
//! the last word on it has [`contracts::decode()`], as on every other event.
//!
//! # Invariants
//!
//! 1. Pure: the clock and the ids are given, so the same request gives the same bytes.
//! 2. The text spliced in is one whole JSON object, checked before: a client can not write members
//!    of the envelope.
//! 3. With an idempotency key the event id, and the job id unless the client gave one, are
//!    functions of the key and of the place in the batch.
//! 4. A pointer in a rejection is relative to the client's object.

use contracts::event::{CONTRACT_VERSION, JobId, Kind, State};
use contracts::{Event, EventId, Micros, Reason, Rejection, decode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use uuid::{Uuid, uuid};

use crate::work::{Simulate, Work};

/// Names the events that come from idempotency keys; never to change, since a repeat after an
/// upgrade must find the event that it repeats.
const EVENTS: Uuid = uuid!("6f0c9a52-8f0e-5d3b-9a41-2b7d4f1c8e60");
/// Names the jobs that come from idempotency keys; never to change either.
const JOBS: Uuid = uuid!("b3d1e7c4-52a9-5f68-8c07-91e4a6d03f25");

/// The producer that events of the gateway name.
const SERVICE: &str = "observatory";

/// What the jobs of one request have in common.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub now: Micros,
    pub correlation_id: Uuid,
    /// The client's own name for the request: a repeat of it gives the same ids.
    pub idempotency_key: Option<&'a str>,
    /// Which gateway this is.
    pub instance_id: &'a str,
}

impl Request<'_> {
    /// The event id that an idempotency key gives to an element, if there is a key.
    ///
    /// `index` is its place in an array; none for an object of its own.
    pub fn event_id(&self, index: Option<usize>) -> Option<EventId> {
        self.named(EVENTS, index)
    }

    fn named(&self, namespace: Uuid, index: Option<usize>) -> Option<Uuid> {
        let key = self.idempotency_key?;
        // A header holds no NUL, so no key is another one with an index.
        let name = index.map_or_else(|| key.to_owned(), |index| format!("{key}\0{index}"));
        Some(Uuid::new_v5(&namespace, name.as_bytes()))
    }
}

/// Makes the `job.created` event of a job; the bytes decode to an event.
///
/// `index` is as in [`Request::event_id`]; `fresh_id` gives the ids that nothing else does.
pub fn job_created(
    job: &[u8],
    index: Option<usize>,
    request: &Request<'_>,
    mut fresh_id: impl FnMut() -> Uuid,
) -> Result<Vec<u8>, Rejection> {
    let job = whole(job)?;
    let given = Members::of(job)?;
    let mut lacking = String::new();
    let mut id = given.id();
    if id.is_none() && given.lacks_id() {
        let ours = request.named(JOBS, index).unwrap_or_else(&mut fresh_id);
        // A null or empty `id` stays; the contract then reads the other name.
        let name = if given.id == Member::Absent { "id" } else { "jobId" };
        lacking.push_str(&format!(r#""{name}":"{ours}","#));
        id = Some(ours);
    }
    if given.status == Member::Absent {
        lacking.push_str(&format!(r#""status":"{}","#, State::Pending));
    }
    if given.created_at == Member::Absent {
        lacking.push_str(&format!(r#""createdAt":"{}","#, request.now));
    }
    let job = splice(job, &lacking);
    let event_id = request.event_id(index).unwrap_or_else(&mut fresh_id);
    // No id means a malformed one, for which the job is refused below.
    let job_id = || id.unwrap_or_default().to_string();
    let key = request.idempotency_key.map_or_else(job_id, str::to_owned);
    let event = format!(
        r#"{{"contractVersion":"{CONTRACT_VERSION}","eventType":"{}","eventId":"{event_id}","occurredAt":"{}","producer":{{"service":"{SERVICE}","instanceId":{},"version":"{}"}},"correlationId":"{}","idempotencyKey":{},"payload":{job}}}"#,
        Kind::Created,
        request.now,
        quoted(request.instance_id),
        env!("CARGO_PKG_VERSION"),
        request.correlation_id,
        quoted(&key),
    );
    let event = event.into_bytes();
    decode(&event).map_err(of_the_job)?;
    Ok(event)
}

/// The work that a submitted job asks of the reference worker.
pub fn work(event: &Event<'_>) -> Work {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Payload {
        simulate: Simulate,
    }
    let job = &event.job;
    // It is the job's own payload: what is not meant for us says nothing to us.
    let payload = job.payload.map(serde_json::from_str::<Payload>);
    let Payload { simulate } = payload.and_then(Result::ok).unwrap_or_default();
    Work {
        job: job.id,
        job_type: job.job_type.to_string(),
        queue: job.queue.as_deref().map(str::to_owned),
        created_at: job.created_at,
        correlation_id: event.correlation_id,
        attempt: job.attempt,
        simulate,
    }
}

/// Whether an archived `job.created` was made of `job`: its members and nothing that the gateway
/// would not have added.
pub fn made_of(event: &Event<'_>, job: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Archived {
        payload: contracts::event::Object,
    }
    let Ok(Archived { payload: mut archived }) = serde_json::from_slice(event.body) else {
        return false;
    };
    let Ok(given) = serde_json::from_slice::<contracts::event::Object>(job) else { return false };
    if given.iter().any(|(name, value)| archived.remove(name).as_ref() != Some(value)) {
        return false;
    }
    archived.keys().all(|name| matches!(name.as_str(), "id" | "jobId" | "status" | "createdAt"))
}

/// The text of a job, if it is one JSON value and nothing else.
fn whole(job: &[u8]) -> Result<&str, Rejection> {
    // As an event it is refused for lack of an event type at the latest. Before that come the
    // faults of any text, in the order of the contract.
    if let Err(rejection) = decode(job)
        && rejection.reason < Reason::UnknownType
    {
        return Err(rejection);
    }
    let text = str::from_utf8(job).map_err(|error| Rejection {
        reason: Reason::BadUtf8,
        pointer: String::new(),
        detail: format!("byte {} is not UTF-8: encode the text as UTF-8", error.valid_up_to()),
    })?;
    Ok(text.trim_ascii())
}

/// Puts members in front of those of an object.
fn splice(object: &str, members: &str) -> String {
    let rest = object.strip_prefix('{').unwrap_or(object);
    let members = match rest.trim_ascii_start() {
        "}" => members.trim_end_matches(','),
        _ => members,
    };
    format!("{{{members}{rest}")
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A rejection of the event, told to who sent the job.
fn of_the_job(rejection: Rejection) -> Rejection {
    let Rejection { reason, pointer, mut detail } = rejection;
    // The job alone was not too large.
    if reason == Reason::TooLarge {
        detail.insert_str(0, "with its envelope, ");
    }
    let pointer = pointer.strip_prefix("/payload").unwrap_or_default().to_owned();
    Rejection { reason, pointer, detail }
}

/// The members that are filled in where they lack.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Members {
    id: Member,
    job_id: Member,
    status: Member,
    created_at: Member,
}

#[derive(Default, PartialEq, Deserialize)]
#[serde(untagged)]
enum Member {
    #[default]
    #[serde(skip)]
    Absent,
    Null(()),
    Text(String),
    Other(IgnoredAny),
}

impl Members {
    fn of(job: &str) -> Result<Members, Rejection> {
        // An array would be taken for the members in order.
        let object = job.starts_with('{').then(|| serde_json::from_str(job).ok());
        object.flatten().ok_or_else(|| Rejection {
            reason: Reason::Schema,
            pointer: String::new(),
            detail: "expected a job: send a JSON object with at least a `type`".to_owned(),
        })
    }

    /// The job's id, if the client gave one.
    fn id(&self) -> Option<JobId> {
        let given = [&self.id, &self.job_id].into_iter().find(|member| !member.is_nothing());
        match given {
            Some(Member::Text(id)) => Uuid::try_parse(id).ok(),
            _ => None,
        }
    }

    /// Whether neither of the two names of the id is used, and one is free.
    fn lacks_id(&self) -> bool {
        let names = [&self.id, &self.job_id];
        names.iter().all(|member| member.is_nothing()) && names.contains(&&Member::Absent)
    }
}

impl Member {
    /// What the contract takes for an absent id.
    fn is_nothing(&self) -> bool {
        match self {
            Member::Absent | Member::Null(()) => true,
            Member::Text(text) => text.is_empty(),
            Member::Other(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;
