//! A job event as we produce it: owned, and the source of the schemas `event-envelope` and `job`.
//!
//! The schemas say what is *accepted*, which is more than is written here: a second spelling of the
//! job's identity, and null where a field may be absent.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{EventId, Fault, JobId, Kind, MAX_NAME_BYTES, Object};
use crate::time::Micros;

/// A job event, as it is produced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The version of this contract that the producer follows.
    #[schemars(regex(pattern = r"^1\.[0-9]+\.[0-9]+$"))]
    pub contract_version: String,
    /// What happened.
    pub event_type: Kind,
    /// The event's identity; a redelivery repeats it.
    pub event_id: EventId,
    /// When it happened, by the producer's clock. Accepted from 2000 to 2099; digits beyond
    /// microseconds are cut, a leap second is refused.
    pub occurred_at: Micros,
    pub producer: ProducerInfo,
    /// Ties together the events of one request.
    pub correlation_id: Uuid,
    /// The producer's own key; kept, and never used to drop an event.
    pub idempotency_key: String,
    /// The job as the producer sees it: `job.json`.
    #[schemars(with = "Object")]
    pub payload: JobObject,
}

/// Who sent an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Producer")]
pub struct ProducerInfo {
    pub service: String,
    pub instance_id: String,
    pub version: String,
}

/// A job, as events carry it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Job", transform = either_id)]
pub struct JobObject {
    pub id: JobId,
    /// What kind of work it is: 1 to 200 bytes of UTF-8 without control characters.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = MAX_NAME_BYTES), regex(pattern = NAME))]
    pub job_type: String,
    /// What the producer believes; the state is decided by the events themselves.
    pub status: String,
    pub created_at: Micros,
    /// When it last changed, by its producer; read by nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// Where it waits: up to 200 bytes without control characters; empty counts as absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_NAME_BYTES), regex(pattern = NAME))]
    pub queue: Option<String>,
    /// Who works on it: up to 200 bytes without control characters; empty counts as absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_NAME_BYTES), regex(pattern = NAME))]
    pub worker: Option<String>,
    /// Which attempt this is about.
    #[serde(default = "first_attempt")]
    #[schemars(range(min = 1, max = 65535))]
    pub attempt: u16,
    /// Why the attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorInfo>,
    /// What the worker is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Object>,
    /// Whatever else its owner wants to keep with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Object>,
}

/// No control characters. The schema counts characters where the decoder counts bytes.
const NAME: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

/// The job's identity may be spelled `jobId`; a null or empty `id` counts as absent.
fn either_id(schema: &mut Schema) {
    let uuid = || json_schema!({ "type": "string", "format": "uuid" });
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        let id = json!({ "description": "The job's identity, the same in every event about it." });
        let job_id =
            json!({ "description": "Another spelling of `id`, read when that is absent." });
        properties.extend([("id".to_owned(), id), ("jobId".to_owned(), job_id)]);
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|field| field != "id");
    }
    schema.insert(
        "anyOf".to_owned(),
        json!([
            { "required": ["id"], "properties": { "id": uuid() } },
            {
                "required": ["jobId"],
                "properties": { "id": { "enum": [null, ""] }, "jobId": uuid() }
            }
        ]),
    );
}

fn first_attempt() -> u16 {
    1
}

/// Why an attempt failed.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Error")]
pub struct ErrorInfo {
    /// The class of the failure, like `Timeout`.
    #[serde(default)]
    #[schemars(schema_with = "text_or_null")]
    pub kind: String,
    #[serde(default)]
    #[schemars(schema_with = "text_or_null")]
    pub message: String,
}

/// Null counts as empty where we read it; we never write it.
fn text_or_null(generator: &mut SchemaGenerator) -> Schema {
    if generator.contract().is_deserialize() {
        return json_schema!({ "type": ["string", "null"] });
    }
    json_schema!({ "type": "string" })
}

impl From<&Fault<'_>> for ErrorInfo {
    fn from(fault: &Fault<'_>) -> ErrorInfo {
        ErrorInfo { kind: fault.kind.to_string(), message: fault.message.to_string() }
    }
}
