//! Streams written by hand: one line per event, to be reckoned with on paper.
//!
//! ```text
//!   00:01.5  rye  executed  worker=oven-1
//!   ───┬───  ─┬─  ───┬────  ──────┬──────
//!      │      │      │            └ type, queue, worker, attempt; the type is bread.bake if not given
//!      │      │      └ the kind
//!      │      └ the job, by a name that stands for its id
//!      └ minutes and seconds after [`TEN`]
//! ```
//!
//! A job's `createdAt` is the time of its first line.

use std::collections::HashMap;

use contracts::Micros;
use serde_json::{Value, json};
use uuid::{Uuid, uuid};

use super::{SECOND, TEN};

const NAMES: Uuid = uuid!("8d3a6f0e-54a1-4b8e-9a57-0c1d2e3f4a5b");

/// The id that a name stands for.
pub(crate) fn id(name: &str) -> Uuid {
    Uuid::new_v5(&NAMES, name.as_bytes())
}

/// `05:30.25` after [`TEN`].
pub(crate) fn at(text: &str) -> Micros {
    let (minutes, seconds) = text.split_once(':').unwrap();
    let (minutes, seconds): (i64, f64) = (minutes.parse().unwrap(), seconds.parse().unwrap());
    Micros(TEN.0 + minutes * 60 * SECOND + (seconds * SECOND as f64).round() as i64)
}

/// An instant as [`at`] reads it.
pub(crate) fn clock(at: Micros) -> String {
    let (minutes, micros) = ((at.0 - TEN.0) / (60 * SECOND), (at.0 - TEN.0) % (60 * SECOND));
    let text = format!("{minutes:02}:{:09.6}", micros as f64 / SECOND as f64);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The lines of a stream.
pub(crate) fn stream(script: &str) -> String {
    let mut created = HashMap::new();
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| format!("{}\n", event(line, &mut created))).collect()
}

fn event(line: &str, created: &mut HashMap<String, Micros>) -> Value {
    let mut words = line.split_whitespace();
    let mut word = || words.next().unwrap_or_else(|| panic!("time, job, kind: {line}"));
    let (at, job, kind) = (at(word()), word(), word());
    let created_at = *created.entry(job.to_owned()).or_insert(at);
    let mut payload = json!({
        "id": id(job), "type": "bread.bake", "status": kind, "createdAt": created_at,
    });
    for attribute in words {
        let (name, value) = attribute.split_once('=').unwrap();
        payload[name] = value.parse::<u16>().map_or_else(|_| json!(value), |n| json!(n));
    }
    json!({
        "contractVersion": "1.1.0",
        "eventType": format!("job.{kind}"),
        "eventId": id(line),
        "occurredAt": at,
        "producer": { "service": "bakery", "instanceId": "oven-1", "version": "2.4.1" },
        "correlationId": id(job),
        "idempotencyKey": job,
        "payload": payload,
    })
}
