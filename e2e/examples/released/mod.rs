//! The program as it is released, and jobs for it to count.

use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

use serde_json::{Value, json};
use uuid::Uuid;

/// The program, built from what is here now.
pub(crate) fn program() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--locked", "--bin", "observatory"]);
    assert!(
        cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).status().unwrap().success()
    );
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("observatory")
}

/// The creation of the n-th job, of one of twenty types and three queues.
pub(crate) fn created(n: u32) -> Value {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = contracts::Micros(i64::try_from(now.as_micros()).unwrap());
    let id = Uuid::now_v7();
    json!({
        "contractVersion": "1.1.0", "eventType": "job.created", "eventId": Uuid::now_v7(),
        "occurredAt": now, "producer": { "service": "bench", "instanceId": "1", "version": "1" },
        "correlationId": id, "idempotencyKey": n.to_string(),
        "payload": { "id": id, "type": format!("type-{}", n % 20), "status": "PENDING",
                     "createdAt": now, "queue": format!("queue-{}", n % 3) },
    })
}
