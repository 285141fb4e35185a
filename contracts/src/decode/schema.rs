//! What the reason `schema` is about: every required field there, every field of its type.
//!
//! Times are taken as text first and parsed last, so that a fault of shape anywhere is reported
//! before a time that is not one.

use std::borrow::Cow;

use uuid::Uuid;

use super::fields::{Field, Fields, invalid};
use super::{Reason, Rejection};
use crate::event::{Event, Fault, Format, Job, JobId, Kind, Origin, Producer, UNTOLD};
use crate::json::Shape;
use crate::time::Micros;

/// An event in which only the times are still to be parsed.
pub(super) struct Undated<'a> {
    contract_version: Cow<'a, str>,
    event_id: Uuid,
    occurred_at: Cow<'a, str>,
    producer: Producer<'a>,
    correlation_id: Uuid,
    idempotency_key: Cow<'a, str>,
    job: Job<'a>,
    created_at: Cow<'a, str>,
    origin: Option<Origin<'a>>,
}

/// Reads every field but the times.
pub(super) fn check<'a>(fields: &Fields<'a>) -> Result<Undated<'a>, Rejection> {
    let contract_version = fields.text(Field::ContractVersion)?;
    if !version_one(&contract_version) {
        let detail = "must be `1.<minor>.<patch>`: this reader knows contract 1.x only";
        return Err(invalid(Field::ContractVersion, detail));
    }
    let event_id = fields.uuid(Field::EventId)?;
    let occurred_at = fields.text(Field::OccurredAt)?;
    fields.object(Field::Producer)?;
    let producer = Producer {
        service: fields.text(Field::Service)?,
        instance_id: fields.text(Field::InstanceId)?,
        version: fields.text(Field::Version)?,
    };
    let correlation_id = fields.uuid(Field::CorrelationId)?;
    let idempotency_key = fields.text(Field::IdempotencyKey)?;

    let origin = origin(fields);
    // What Celery does not tell with every event may be missing.
    let celery = origin.as_ref().is_some_and(|origin| origin.format == Format::Celery);

    fields.object(Field::Job)?;
    let created_at = fields.text(Field::CreatedAt)?;
    // Nothing reads it, so it may say what it likes.
    fields.optional_text(Field::UpdatedAt)?;
    let job = Job {
        id: job_id(fields)?,
        job_type: match celery {
            true => fields.optional_name(Field::Type)?.unwrap_or_default(),
            false => fields.name(Field::Type)?,
        },
        status: fields.text(Field::Status)?,
        created_at: Micros::default(),
        queue: fields.optional_name(Field::Queue)?,
        worker: fields.optional_name(Field::Worker)?,
        attempt: if celery { UNTOLD } else { fields.attempt(Field::Attempt)? },
        error: error(fields)?,
        payload: fields.optional_object(Field::Payload)?,
        metadata: fields.optional_object(Field::Metadata)?,
    };
    Ok(Undated {
        contract_version,
        event_id,
        occurred_at,
        producer,
        correlation_id,
        idempotency_key,
        job,
        created_at,
        origin,
    })
}

/// What an event was made of. Whatever else producers put into a field of that name is theirs.
fn origin<'a>(fields: &Fields<'a>) -> Option<Origin<'a>> {
    if fields.shape(Field::Origin) != Shape::Object {
        return None;
    }
    let format = match &*fields.text(Field::OriginFormat).ok()? {
        "celery" => Format::Celery,
        _ => return None,
    };
    let expires = fields.optional_text(Field::OriginExpires).ok().flatten();
    Some(Origin {
        format,
        expires: expires.and_then(|text| Micros::parse(&text).ok()),
        event: fields.optional_object(Field::OriginEvent).ok().flatten(),
    })
}

fn job_id(fields: &Fields<'_>) -> Result<JobId, Rejection> {
    if !fields.nothing(Field::Id) {
        fields.uuid(Field::Id)
    } else if !fields.nothing(Field::JobId) {
        fields.uuid(Field::JobId)
    } else {
        Err(invalid(Field::Id, "is required and missing: send the job's UUID as `id`"))
    }
}

fn error<'a>(fields: &Fields<'a>) -> Result<Option<Fault<'a>>, Rejection> {
    let Some(raw) = fields.optional_object(Field::Error)? else { return Ok(None) };
    let kind = fields.optional_text(Field::ErrorKind)?.unwrap_or_default();
    let message = fields.optional_text(Field::ErrorMessage)?.unwrap_or_default();
    Ok(Some(Fault { kind, message, raw }))
}

/// Whether a version is of the major that this code reads.
fn version_one(version: &str) -> bool {
    let Some(rest) = version.strip_prefix("1.") else { return false };
    let (mut digits, mut dots) = (0, 0);
    for byte in rest.bytes() {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'.' if digits > 0 => (digits, dots) = (0, dots + 1),
            _ => return false,
        }
    }
    digits > 0 && dots == 1
}

impl<'a> Undated<'a> {
    /// Parses the times, which completes the event.
    pub(super) fn dated(mut self, kind: Kind, body: &'a [u8]) -> Result<Event<'a>, Rejection> {
        let occurred_at = time(Field::OccurredAt, &self.occurred_at)?;
        self.job.created_at = time(Field::CreatedAt, &self.created_at)?;
        Ok(Event {
            contract_version: self.contract_version,
            kind,
            event_id: self.event_id,
            occurred_at,
            producer: self.producer,
            correlation_id: self.correlation_id,
            idempotency_key: self.idempotency_key,
            job: self.job,
            origin: self.origin,
            body,
        })
    }
}

fn time(field: Field, text: &str) -> Result<Micros, Rejection> {
    Micros::parse(text)
        .map_err(|error| Rejection::new(Reason::BadTime, field.pointer(), error.to_string()))
}
