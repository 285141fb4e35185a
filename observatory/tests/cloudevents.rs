//! `observatory replay --format cloudevents`, with and without a mapping.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod support;

use contracts::event::State;
use contracts::{JobView, Snapshot};
use support::program::{arg, file, run};

/// As in `docs/cloudevents.md`.
const MAPPING: &str = include_str!("../../docs/cloudevents-example.yaml");

const STREAM: &str = r#"{"specversion":"1.0","type":"job.created","source":"/shop","id":"1","time":"2026-11-21T10:00:00Z","data":{"id":"order-17","type":"email.send"}}
[{"specversion":"1.0","type":"job.executed","source":"/w","id":"1","time":"2026-11-21T10:00:01Z","data":{"id":"order-17","type":"email.send"}},{"specversion":"1.0","type":"job.completed","source":"/w","id":"2","time":"2026-11-21T10:00:03Z","data":{"id":"order-17","type":"email.send"}}]
{"specversion":"1.0","type":"com.example.report.started","source":"/r","id":"1","subject":"r-1","time":"2026-11-21T10:00:04Z","data":{"lane":"slow","try":2}}
{"specversion":"1.0","type":"org.example.unheard","source":"/r","id":"2","time":"2026-11-21T10:00:05Z"}
{"specversion":"0.3","type":"job.created","source":"/r","id":"3"}
"#;

fn replayed(with_mapping: bool) -> (Vec<JobView>, Snapshot) {
    let folder = tempfile::tempdir().unwrap();
    let stream = file(folder.path(), "events.jsonl", STREAM);
    let mapping = file(folder.path(), "mapping.yaml", MAPPING);
    let out = folder.path().join("jobs.jsonl");
    let mut args = vec!["replay", arg(&stream), "--format", "cloudevents", "--output", "json"];
    args.extend(["--jobs", arg(&out)]);
    if with_mapping {
        args.extend(["--cloudevents", arg(&mapping)]);
    }
    let snapshot = serde_json::from_str(&run(&args).printed()).unwrap();
    let jobs = std::fs::read_to_string(&out).unwrap();
    (jobs.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), snapshot)
}

fn rejected(snapshot: &Snapshot) -> Vec<(&'static str, u64)> {
    snapshot.rejected.iter().map(|(reason, n)| (reason.as_str(), *n)).collect()
}

#[test]
fn events_of_our_own_types_need_no_mapping() {
    let (jobs, snapshot) = replayed(false);
    let [job] = &jobs[..] else { panic!("{jobs:?}") };
    assert_eq!((job.state, &*job.job_type), (State::Completed, "email.send"));
    assert_eq!(rejected(&snapshot), [("unknown_type", 2), ("schema", 1)]);
}

#[test]
fn other_vocabularies_are_mapped_by_a_file() {
    let (jobs, snapshot) = replayed(true);
    assert_eq!(jobs.len(), 2);
    let report = jobs.iter().find(|job| job.job_type == "report").unwrap();
    assert_eq!((report.state, report.attempt), (State::Executing, 2));
    assert_eq!(report.queue.as_deref(), Some("slow"));
    assert_eq!(rejected(&snapshot), [("unknown_type", 1), ("schema", 1)]);
}

#[test]
fn a_mapping_that_cannot_be_read_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let stream = file(folder.path(), "events.jsonl", STREAM);
    let mapping = file(folder.path(), "mapping.yaml", "events: [{type: a}]");
    let args = ["replay", arg(&stream), "--format", "cloudevents", "--cloudevents", arg(&mapping)];
    let complaint = run(&args).complaint();
    assert!(
        complaint.contains("mapping.yaml") && complaint.contains("missing field"),
        "{complaint}"
    );
}
