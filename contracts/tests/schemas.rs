//! The checked-in schemas: what the types say, what the decoder does, what the last release said.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use contracts::compat::{self, Waiver};
use contracts::{Reason, decode, elements, schema};
use jsonschema::Validator;
use serde_json::{Value, json};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

fn names_in(name: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path());
    let json = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    json.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

fn validator(name: &str) -> Validator {
    let (_, schema) = schema::all().into_iter().find(|(found, _)| *found == name).unwrap();
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

/// What the two schemas of an event say: the envelope's of the whole, the job's of its payload.
struct EventSchema {
    envelope: Validator,
    job: Validator,
}

impl EventSchema {
    fn new() -> EventSchema {
        EventSchema { envelope: validator("event-envelope"), job: validator("job") }
    }

    fn accepts(&self, event: &Value) -> bool {
        self.envelope.is_valid(event) && self.job.is_valid(&event["payload"])
    }
}

#[test]
fn the_checked_in_schemas_are_those_of_the_types() {
    for (name, schema) in schema::all() {
        let path = folder("schemas").join(format!("{name}.json"));
        let same = read(&path).parse::<Value>().unwrap() == schema;
        assert!(same, "schemas/{name}.json is out of date: run `cargo xtask schemas`");
    }
    let generated: BTreeSet<String> =
        schema::all().into_iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names_in("schemas"), generated, "a file without a type, or the reverse");
}

#[test]
fn every_schema_has_its_own_id_and_a_row_in_the_table_of_versions() {
    let versions = read(&folder("VERSIONS.md"));
    for (name, schema) in schema::all() {
        assert_eq!(schema["$id"], format!("{}{name}.json", schema::BASE));
        let row = format!("| `{name}` | {} |", schema["$version"].as_str().unwrap());
        assert!(versions.contains(&row), "VERSIONS.md has no row that begins with {row:?}");
    }
}

#[test]
fn every_schema_may_follow_its_last_release() {
    let waivers: Value = read(&folder("schemas/baseline/waivers.json")).parse().unwrap();
    for (name, current) in schema::all() {
        let path = folder("schemas/baseline").join(format!("{name}.json"));
        let waivers: Vec<Waiver> = match waivers.get(name) {
            Some(list) => serde_json::from_value(list.clone()).unwrap(),
            None => Vec::new(),
        };
        let baseline: Value = read(&path).parse().unwrap();
        if let Err(refusal) = compat::check(&baseline, &current, &waivers) {
            panic!("{name}: {refusal}");
        }
    }
}

#[test]
fn the_release_before_this_one_is_really_another() {
    for name in ["event-envelope", "job"] {
        let path = folder("schemas/baseline").join(format!("{name}.json"));
        let baseline: Value = read(&path).parse().unwrap();
        assert_eq!(baseline["$version"], "1.0.0");
        let (_, current) = schema::all().into_iter().find(|(found, _)| *found == name).unwrap();
        let changes = compat::changes(&baseline, &current);
        assert!(changes.iter().any(|change| change.step == compat::Step::Minor), "{name}");
    }
}

#[test]
fn what_the_first_contract_accepts_is_accepted_still() {
    let baseline = |name: &str| {
        let path = folder("schemas/baseline").join(format!("{name}.json"));
        let schema: Value = read(&path).parse().unwrap();
        jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
    };
    let old = EventSchema { envelope: baseline("event-envelope"), job: baseline("job") };
    let mut n = 0;
    for name in names_in("fixtures/golden") {
        let body = read(&folder("fixtures/golden").join(format!("{name}.json")));
        let event: Value = body.parse().unwrap();
        if old.accepts(&event) {
            n += 1;
            assert!(decode(body.as_bytes()).is_ok(), "{name}");
        }
    }
    assert!(n >= 8, "only {n} golden events are of the first contract");
}

#[test]
fn golden_events_satisfy_the_schemas() {
    let schema = EventSchema::new();
    for name in names_in("fixtures/golden") {
        let body = read(&folder("fixtures/golden").join(format!("{name}.json")));
        for element in elements(body.as_bytes()).unwrap().elements() {
            let event = serde_json::from_slice(element).unwrap();
            assert!(schema.accepts(&event), "{name}");
        }
    }
}

/// Negative fixtures that the schemas accept, because a schema cannot say what is wrong with them.
const BEYOND_A_SCHEMA: [&str; 16] = [
    // A value knows nothing of how its keys were written.
    "bad_json/duplicate-key-escaped",
    "bad_json/duplicate-key-far-apart",
    "bad_json/duplicate-key-in-metadata",
    "bad_json/duplicate-key-in-unknown-field",
    "bad_json/duplicate-key",
    // Nor of depth,
    "too_deep/one-level-too-many",
    // nor of how a number was written,
    "schema/attempt-written-as-fraction",
    "schema/attempt-written-with-exponent",
    // nor of bytes.
    "schema/type-too-long-in-bytes",
    // `date-time` has no range, and allows leap seconds.
    "bad_time/created-at-leap-second",
    "bad_time/occurred-at-before-2000-by-its-zone",
    "bad_time/occurred-at-leap-second",
    "bad_time/occurred-at-year-0",
    "bad_time/occurred-at-year-2100",
    "bad_time/occurred-at-year-9999",
    "bad_time/occurred-at-year-before-2000",
];

#[test]
fn negative_events_violate_the_schemas_unless_a_schema_cannot_say_why() {
    let schema = EventSchema::new();
    let mut accepted = BTreeSet::new();
    for reason in Reason::ALL.into_iter().filter(|&reason| reason != Reason::TooLarge) {
        let negative = format!("fixtures/negative/{reason}");
        for name in names_in(&negative) {
            let body = std::fs::read(folder(&negative).join(format!("{name}.json"))).unwrap();
            if serde_json::from_slice(&body).is_ok_and(|event| schema.accepts(&event)) {
                accepted.insert(format!("{reason}/{name}"));
            }
        }
    }
    assert_eq!(accepted, BEYOND_A_SCHEMA.map(str::to_owned).into());
}

/// Values to put in the place of any field.
fn strangers() -> Vec<Value> {
    let texts = [
        "",
        "x",
        "1.0.0",
        "1.2",
        "2.0.0",
        "job.retried",
        "job.unheard",
        "x y",
        "\n",
        "a\u{7f}",
        "2026-11-21T10:00:00Z",
        "2026-11-21t10:00:00.123456789z",
        "2026-02-29T10:00:00Z",
        "2026-11-21",
        "2026-11-21T10:00:00+23:59",
        "0193d5a8-1111-7aaa-8bbb-000000000001",
        "0193D5A8-1111-7AAA-8BBB-000000000001",
        "0193d5a811117aaa8bbb000000000001",
        "00000000-0000-0000-0000-000000000000",
    ];
    let long = |n: usize| json!("n".repeat(n));
    let mut strangers: Vec<Value> = texts.map(Value::from).into();
    strangers.extend([
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(1.5),
        json!(65_535),
        json!(65_536),
        json!([]),
        json!(["x"]),
        json!({}),
        json!({ "kind": "K" }),
        long(200),
        long(201),
    ]);
    strangers
}

#[test]
fn decoder_and_schemas_agree_about_every_field() {
    let schema = EventSchema::new();
    let fields = [
        "/contractVersion",
        "/eventType",
        "/eventId",
        "/occurredAt",
        "/producer",
        "/producer/service",
        "/producer/instanceId",
        "/producer/version",
        "/correlationId",
        "/idempotencyKey",
        "/payload",
        "/payload/id",
        "/payload/jobId",
        "/payload/type",
        "/payload/status",
        "/payload/createdAt",
        "/payload/updatedAt",
        "/payload/queue",
        "/payload/worker",
        "/payload/attempt",
        "/payload/error",
        "/payload/error/kind",
        "/payload/error/message",
        "/payload/payload",
        "/payload/metadata",
        "/future",
    ];
    let golden: Value = read(&folder("fixtures/golden/every-field.json")).parse().unwrap();
    let mut spelled_otherwise = golden.clone();
    let job = spelled_otherwise["payload"].as_object_mut().unwrap();
    let id = job.insert("id".to_owned(), json!("")).unwrap();
    job.insert("jobId".to_owned(), id);
    let mut n = 0;
    for field in fields {
        for value in strangers().into_iter().map(Some).chain([None]) {
            for event in [&golden, &spelled_otherwise] {
                let mut event = event.clone();
                let (parent, key) = field.rsplit_once('/').unwrap();
                let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
                match value.clone() {
                    Some(value) => parent.insert(key.to_owned(), value),
                    None => parent.remove(key),
                };
                let body = event.to_string();
                let decoded = decode(body.as_bytes()).map(|_| ());
                assert_eq!(
                    decoded.is_ok(),
                    schema.accepts(&event),
                    "{field} {value:?} {decoded:?}"
                );
                n += 1;
            }
        }
    }
    assert!(n > 1_500, "{n}");
}
