//! The JSON Schemas of everything that crosses a boundary, generated from the types.
//!
//! ```text
//!   types ──schemars──▶ all() ──cargo xtask schemas──▶ schemas/*.json
//!                         └── a test compares ────────────┘
//! ```
//!
//! What is sent to us has the schema of what we accept, which may leave things out; what we send
//! has the schema of what we write, where every key that is always there is required.

use schemars::generate::{Contract, SchemaSettings};
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::answers::{
    Alerts, Counts, Dataflow, DeadLetters, History, JobEvents, Latencies, Letters, Rules,
    RulesHistory, RulesTest, Throughputs,
};
use crate::event::{Envelope, JobObject};
use crate::notes::{NewNote, Notes, ReceivedAlerts};
use crate::registry::UiRegistry;
use crate::snapshot::{Delta, Snapshot};
use crate::view::{BatchAccepted, Health, JobAccepted, JobView, Page, Problem, RecentJob, Stats};
use crate::workers::Workers;

/// Where the schemas live, by `$id`. Nothing is ever fetched from there.
pub const BASE: &str = "https://observatory.dev/schemas/";

/// Every schema, by the name of its file without `.json`.
///
/// A version changes by the rules in `VERSIONS.md`, which `compat::check` demands.
pub fn all() -> Vec<(&'static str, Value)> {
    let accepted = Contract::Deserialize;
    let sent = Contract::Serialize;
    vec![
        schema::<Envelope>("event-envelope", "1.1.0", &accepted),
        schema::<JobObject>("job", "1.1.0", &accepted),
        schema::<Snapshot>("snapshot", "1.1.0", &sent),
        schema::<Delta>("delta", "1.1.0", &sent),
        schema::<JobView>("job-view", "1.1.0", &sent),
        schema::<Page<JobView>>("job-page", "1.1.0", &sent),
        schema::<Vec<RecentJob>>("jobs-recent", "1.0.0", &sent),
        schema::<JobAccepted>("job-accepted", "1.0.0", &sent),
        schema::<BatchAccepted>("batch-accepted", "1.0.0", &sent),
        schema::<Stats>("stats", "1.0.0", &sent),
        schema::<Problem>("problem", "1.1.0", &sent),
        schema::<Health>("health", "1.1.0", &sent),
        schema::<Counts>("counts", "1.0.0", &sent),
        schema::<Latencies>("latency", "1.1.0", &sent),
        schema::<Throughputs>("throughput", "1.0.0", &sent),
        schema::<Alerts>("alerts", "1.1.0", &sent),
        schema::<History>("history", "1.0.0", &sent),
        schema::<DeadLetters>("dead-letters", "1.0.0", &sent),
        schema::<Letters>("letters", "1.0.0", &sent),
        schema::<NewNote>("new-note", "1.0.0", &accepted),
        schema::<Notes>("notes", "1.0.0", &sent),
        schema::<ReceivedAlerts>("received-alerts", "1.0.0", &sent),
        schema::<Rules>("rules", "1.0.0", &sent),
        schema::<RulesHistory>("rules-history", "1.0.0", &sent),
        schema::<RulesTest>("rules-test", "1.0.0", &sent),
        schema::<Workers>("workers", "1.0.0", &sent),
        schema::<JobEvents>("job-events", "1.0.0", &sent),
        schema::<Dataflow>("dataflow", "1.0.0", &sent),
        schema::<UiRegistry>("ui-registry", "1.0.0", &accepted),
    ]
}

/// A schema as the text of its file: the same bytes whatever the order of keys in memory.
pub fn text(schema: &Value) -> String {
    let mut schema = schema.clone();
    schema.sort_all_objects();
    format!("{schema:#}\n")
}

fn schema<T: JsonSchema>(
    name: &'static str,
    version: &str,
    contract: &Contract,
) -> (&'static str, Value) {
    let mut settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(one_line));
    settings.contract = contract.clone();
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("$id".to_owned(), json!(format!("{BASE}{name}.json")));
    schema.insert("$version".to_owned(), json!(version));
    (name, schema.to_value())
}

/// A comment is wrapped, a description is not.
fn one_line(schema: &mut Schema) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
}
