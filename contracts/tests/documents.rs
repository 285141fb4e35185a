//! The documents beside the schemas: they parse, and what they name exists.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::collections::BTreeSet;
use std::path::Path;

use contracts::registry::UiRegistry;
use contracts::{Kind, Reason, schema};
use serde_json::Value;

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

fn asyncapi() -> Value {
    serde_yaml_ng::from_str(&text("asyncapi.yaml")).unwrap()
}

/// Every `$ref` in a document.
fn references(node: &Value, found: &mut BTreeSet<String>) {
    match node {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(elements) => elements.iter().for_each(|element| references(element, found)),
        _ => {}
    }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

#[test]
fn every_reference_of_the_asyncapi_document_leads_somewhere() {
    let document = asyncapi();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.contains("schemas/event-envelope.json") && found.contains("schemas/job.json"));
    let schemas: BTreeSet<String> =
        schema::all().into_iter().map(|(name, _)| format!("schemas/{name}.json")).collect();
    for reference in found {
        match reference.strip_prefix('#') {
            Some(pointer) => assert!(document.pointer(pointer).is_some(), "{reference}"),
            None => assert!(schemas.contains(&reference), "{reference}"),
        }
    }
}

#[test]
fn the_asyncapi_document_names_the_event_types_and_reasons_that_exist() {
    let document = asyncapi();
    let event_types = &document["channels"]["jobs"]["parameters"]["eventType"]["enum"];
    assert_eq!(names(event_types), Kind::ALL.map(Kind::as_str));
    let reasons = &document["channels"]["deadLetterExchange"]["parameters"]["reason"]["enum"];
    assert_eq!(names(reasons), Reason::ALL.map(Reason::as_str));
    let headers = &document["components"]["messages"]["deadLetter"]["headers"]["properties"];
    assert_eq!(names(&headers["x-reason"]["enum"]), Reason::ALL.map(Reason::as_str));
    assert_eq!(headers["x-detail"]["maxLength"], contracts::decode::MAX_DETAIL_BYTES);
}

#[test]
fn the_asyncapi_document_has_the_version_of_the_events() {
    assert_eq!(asyncapi()["asyncapi"], "3.0.0");
    assert_eq!(asyncapi()["info"]["version"], contracts::event::CONTRACT_VERSION);
}

#[test]
fn the_asyncapi_document_has_the_exchanges_and_queues_with_their_bindings() {
    let document = asyncapi();
    let (mut exchanges, mut queues) = (BTreeSet::new(), BTreeSet::new());
    for channel in document["channels"].as_object().unwrap().values() {
        let amqp = &channel["bindings"]["amqp"];
        if let Some(name) = amqp["exchange"]["name"].as_str() {
            assert_eq!(
                (&amqp["exchange"]["type"], &amqp["exchange"]["durable"]),
                (&"topic".into(), &true.into())
            );
            exchanges.insert(name);
        }
        if let Some(name) = amqp["queue"]["name"].as_str() {
            assert_eq!(channel["address"], name);
            assert_eq!(channel["x-queue-type"], "quorum");
            let binding = &channel["x-bindings"][0];
            queues.insert((
                name,
                binding["exchange"].as_str().unwrap(),
                binding["routingKey"].as_str().unwrap(),
            ));
        }
    }
    assert_eq!(exchanges, ["jobs", "jobs.dlx"].into());
    let expected = [
        ("observatory.events", "jobs", "job.#"),
        ("jobs.created", "jobs", "job.created"),
        ("jobs.failed.validation", "jobs.dlx", "#"),
    ];
    assert_eq!(queues, expected.into());
}

#[test]
fn the_registry_of_pages_satisfies_its_schema() {
    let registry: Value = text("ui-registry.json").parse().unwrap();
    let (_, schema) = schema::all().into_iter().find(|(name, _)| *name == "ui-registry").unwrap();
    assert_eq!(registry["$schema"], schema["$id"]);
    jsonschema::validate(&schema, &registry).unwrap();
}

#[test]
fn the_registry_of_pages_has_each_page_once() {
    let registry: UiRegistry = serde_json::from_str(&text("ui-registry.json")).unwrap();
    let ids: BTreeSet<&str> = registry.entries.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids.len(), registry.entries.len());
    let urls: BTreeSet<String> = registry.entries.iter().map(|entry| registry.url(entry)).collect();
    assert_eq!(urls.len(), registry.entries.len());
    assert!(ids.contains("dashboard") && ids.contains("alertmanager"));
    assert!(urls.contains("http://localhost:9093/"));
}
