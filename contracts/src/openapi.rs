//! The HTTP API as OpenAPI 3.1, put together from the operations and the types.
//!
//! ```text
//!   operations ──┐
//!   types ───────┴──▶ document() ──cargo xtask schemas──▶ openapi.json ──compiled in──▶ /openapi.json
//!                          └── a test compares ────────────────┘
//! ```
//!
//! A test of the API compares the operations with the routes and their policies, and another one
//! replays every example.

use schemars::generate::{Contract, SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use crate::answers::{
    Alerts, Counts, Dataflow, DeadLetters, History, JobEvents, Latencies, Letters, Rules,
    RulesHistory, RulesTest, Throughputs,
};
use crate::event::{Envelope, JobObject};
use crate::notes::{NewNote, Notes, ReceivedAlerts, StandingNote};
use crate::snapshot::Snapshot;
use crate::view::{BatchAccepted, Health, JobAccepted, JobView, Page, Problem, RecentJob, Stats};
use crate::workers::Workers;

mod operations;

pub use operations::{Example, OPERATIONS, Operation, Parameter, Scope};

/// The document as it is checked in.
pub const TEXT: &str = include_str!("../openapi.json");

/// The document that the types and operations make.
pub fn document() -> Value {
    let mut sent = generator(Contract::Serialize);
    let mut taken = generator(Contract::Deserialize);
    let mut paths = Map::new();
    for operation in &OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.to_lowercase()] = described(operation, &mut sent, &mut taken);
    }
    let mut problem = sent.subschema_for::<Problem>().to_value();
    problem = json!({ "application/problem+json": { "schema": problem } });
    let mut schemas = sent.take_definitions(true);
    let submitted = Value::Object(taken.take_definitions(true));
    if let Value::Object(submitted) = renamed(submitted) {
        schemas.extend(submitted.into_iter().map(|(name, schema)| (submitted_name(&name), schema)));
    }
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Task Observatory",
            "version": "1.0.0",
            "description": "What background jobs are doing. Answers built from views say as of when they are right (`asOf`); errors are RFC 9457 problems with a stable `code`.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": { "problem": { "description": "What is wrong, and how to mend it", "content": problem } },
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "Asked for where tokens are configured. Scopes: read, write, admin; each includes those before it." },
                "session": { "type": "apiKey", "in": "cookie", "name": "observatory_session" },
            },
        },
    })
}

fn generator(contract: Contract) -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12();
    settings.contract = contract;
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    settings.into_generator()
}

fn described(
    operation: &Operation,
    sent: &mut SchemaGenerator,
    taken: &mut SchemaGenerator,
) -> Value {
    let Operation { id, summary, scope, parameters, status, answer, example, .. } = operation;
    let mut described = json!({
        "operationId": id,
        "summary": summary,
        "parameters": parameters.iter().map(parameter).collect::<Vec<_>>(),
        "security": match scope {
            Scope::Public => json!([]),
            scope => json!([{ "token": [scope.as_str()] }, { "session": [scope.as_str()] }]),
        },
        "responses": { "default": { "$ref": "#/components/responses/problem" } },
    });
    let (media_type, schema) = answered(answer, sent);
    let mut content = json!({ "schema": schema });
    if let Some(Example { response, .. }) = example {
        content["example"] = serde_json::from_str(response).unwrap_or_default();
    }
    described["responses"][status.to_string()] = match *status {
        204 => json!({ "description": "Done" }),
        _ => json!({ "description": "The answer", "content": { media_type: content } }),
    };
    let one_or_many = |schema: Value| json!({ "oneOf": [schema, { "type": "array", "items": schema, "minItems": 1 }] });
    let body = match operation.body {
        "" => None,
        "yaml" => Some(json!({ "type": "string" })),
        "new-note" => Some(renamed(taken.subschema_for::<NewNote>().to_value())),
        "job" => Some(one_or_many(renamed(taken.subschema_for::<JobObject>().to_value()))),
        "event" => Some(one_or_many(renamed(taken.subschema_for::<Envelope>().to_value()))),
        _ => Some(json!({ "type": "object" })),
    };
    if let Some(schema) = body {
        let mut content = json!({ "schema": schema });
        if let Some(Example { body, .. }) = example {
            content["example"] = serde_json::from_str(body).unwrap_or_default();
        }
        let media_type =
            if operation.body == "yaml" { "application/yaml" } else { "application/json" };
        described["requestBody"] = json!({ "required": true, "content": { media_type: content } });
    }
    described
}

fn answered(answer: &str, sent: &mut SchemaGenerator) -> (&'static str, Value) {
    let schema = match answer {
        "snapshot" => sent.subschema_for::<Snapshot>(),
        "counts" => sent.subschema_for::<Counts>(),
        "latency" => sent.subschema_for::<Latencies>(),
        "throughput" => sent.subschema_for::<Throughputs>(),
        "alerts" => sent.subschema_for::<Alerts>(),
        "history" => sent.subschema_for::<History>(),
        "dead-letters" => sent.subschema_for::<DeadLetters>(),
        "rules" => sent.subschema_for::<Rules>(),
        "rules-history" => sent.subschema_for::<RulesHistory>(),
        "rules-test" => sent.subschema_for::<RulesTest>(),
        "letters" => sent.subschema_for::<Letters>(),
        "note" => sent.subschema_for::<StandingNote>(),
        "notes" => sent.subschema_for::<Notes>(),
        "received-alerts" => sent.subschema_for::<ReceivedAlerts>(),
        "workers" => sent.subschema_for::<Workers>(),
        "dataflow" => sent.subschema_for::<Dataflow>(),
        "job-page" => sent.subschema_for::<Page<JobView>>(),
        "job-view" => sent.subschema_for::<JobView>(),
        "job-events" => sent.subschema_for::<JobEvents>(),
        "jobs-recent" => sent.subschema_for::<Vec<RecentJob>>(),
        "stats" => sent.subschema_for::<Stats>(),
        "health" => sent.subschema_for::<Health>(),
        "accepted" => {
            let one = sent.subschema_for::<JobAccepted>().to_value();
            let many = sent.subschema_for::<BatchAccepted>().to_value();
            return ("application/json", json!({ "oneOf": [one, many] }));
        }
        "events" => return ("text/event-stream", json!({ "type": "string" })),
        "html" => return ("text/html", json!({ "type": "string" })),
        "text" => return ("text/plain", json!({ "type": "string" })),
        _ => return ("application/json", json!({})),
    };
    ("application/json", schema.to_value())
}

fn parameter(parameter: &Parameter) -> Value {
    let place = if parameter.name == "id" { "path" } else { "query" };
    json!({
        "name": parameter.name,
        "in": place,
        "required": place == "path",
        "description": parameter.description,
        "schema": { "type": parameter.kind },
    })
}

/// What is sent to us has names of its own, as it may leave out more than what we send.
fn submitted_name(name: &str) -> String {
    format!("Submitted{name}")
}

fn renamed(mut schema: Value) -> Value {
    const PATH: &str = "#/components/schemas/";
    match &mut schema {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(text) if key == "$ref" => {
                        if let Some(name) = text.strip_prefix(PATH) {
                            *text = format!("{PATH}{}", submitted_name(name));
                        }
                    }
                    value => *value = renamed(value.take()),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = renamed(item.take())),
        _ => {}
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_document_is_that_of_the_operations_and_types() {
        let same = TEXT.parse::<Value>().unwrap() == document();
        assert!(same, "openapi.json is out of date: run `cargo xtask schemas`");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        let references = text.split(r##""$ref":"#"##).skip(1);
        let pointers: Vec<_> = references.filter_map(|rest| rest.split('"').next()).collect();
        assert!(pointers.len() > 50);
        for pointer in pointers {
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
