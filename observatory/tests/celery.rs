//! `observatory replay --format celery`, compared with what became of the tasks by Celery's own
//! result backend and by its workers.
//!
//! `tests/celery/` has a part of a recording of Celery 5.7.0, whole tasks of every kind, and its
//! truth. Which differences there may be, and why, is said here.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod support;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use contracts::event::State;
use contracts::{JobView, Snapshot};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use support::program::{arg, file, replay, run};

fn recording(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/celery").join(name)
}

/// The lines of a gzipped file.
fn lines(name: &str) -> Vec<Value> {
    let mut text = String::new();
    let file = std::fs::File::open(recording(name)).unwrap();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The jobs that a replay of a stream comes to, and its snapshot.
fn replayed(stream: &Path) -> (BTreeMap<String, JobView>, Snapshot) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("jobs.jsonl");
    let args =
        ["replay", arg(stream), "--format", "celery", "--output", "json", "--jobs", arg(&out)];
    let run = run(&args);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let jobs = std::fs::read_to_string(&out).unwrap();
    let jobs = jobs.lines().map(|line| serde_json::from_str::<JobView>(line).unwrap());
    (
        jobs.map(|job| (job.id.to_string(), job)).collect(),
        serde_json::from_str(&run.stdout).unwrap(),
    )
}

/// What a task's row must say, by what its backend has; none where Celery told nobody.
fn state(truth: &Value) -> Option<State> {
    match truth["backend_state"].as_str()? {
        "SUCCESS" => Some(State::Completed),
        "FAILURE" => Some(State::Failed),
        "REVOKED" => Some(State::Cancelled),
        // `Ignore` ends a task without a word: neither the backend nor an event says that it ended.
        "STARTED" => Some(State::Executing),
        other => panic!("a state of Celery: {other}"),
    }
}

#[test]
fn every_task_of_a_recording_is_what_its_backend_and_its_worker_say() {
    let (jobs, snapshot) = replayed(&recording("events.jsonl.gz"));
    let truths = lines("truth.jsonl.gz");
    assert_eq!(truths.len(), 96);
    assert_eq!(jobs.len(), truths.len());
    assert_eq!(snapshot.jobs, 96);
    assert!(snapshot.rejected.is_empty(), "{:?}", snapshot.rejected);
    let mut expired = 0;
    for truth in truths {
        let job = &jobs[truth["id"].as_str().unwrap()];
        // Nobody has it of a task that never ran.
        assert_eq!(job.job_type, truth["name"].as_str().unwrap_or("capp.add"), "{truth}");
        let Some(state) = state(&truth) else {
            // The broker dropped them, and told nobody.
            expired += 1;
            assert_eq!(truth["intent"], "expires");
            assert_eq!((job.state, job.inferred), (State::Cancelled, true), "{truth}");
            assert_eq!(job.error.as_ref().unwrap().kind, "Expired");
            continue;
        };
        assert_eq!((job.state, job.inferred), (state, false), "{truth}");
        // None of a task that was revoked before it ran.
        let retries = truth["backend_retries"].as_u64().unwrap_or(0);
        assert_eq!(u64::from(job.attempt), 1 + retries, "{truth}");
        assert_eq!(job.attempts.len() as u64, 1 + retries, "{truth}");
        if truth["n_prerun"] != 0 {
            assert_eq!(job.worker.as_deref(), truth["worker"].as_str(), "{truth}");
        }
        // A signal in the task's process, and events that another process sends.
        if let (Some(runtime), Some(measured)) = (job.runtime, truth["last_runtime"].as_f64()) {
            assert!((runtime - measured).abs() < 0.05, "{runtime} s, not {truth}");
        }
        assert_eq!(job.runtime.is_some(), state.terminal() && truth["n_prerun"] != 0, "{truth}");
    }
    assert_eq!(expired, 6);
}

/// The snapshot that lines come to.
fn snapshot_of(lines: &[String]) -> Snapshot {
    let run = replay(&(lines.join("\n") + "\n"), &["--format", "celery"]);
    serde_json::from_str(&run.printed()).unwrap()
}

#[test]
fn the_order_and_the_repetition_of_deliveries_change_nothing() {
    let deliveries: Vec<String> = lines("events.jsonl.gz").iter().map(Value::to_string).collect();
    let expected = snapshot_of(&deliveries);
    let backwards: Vec<String> = deliveries.iter().rev().cloned().collect();
    assert_eq!(snapshot_of(&backwards), expected);
    let n = deliveries.len();
    // 7 and the number of deliveries have no common divisor.
    assert_ne!(n % 7, 0);
    let shuffled: Vec<String> = (0..2 * n).map(|i| deliveries[i * 7 % n].clone()).collect();
    assert_eq!(snapshot_of(&shuffled), expected);
}

#[test]
fn a_recording_may_be_deliveries_or_events_or_one_list() {
    let deliveries = lines("events.jsonl.gz");
    let texts: Vec<String> = deliveries.iter().map(Value::to_string).collect();
    let expected = snapshot_of(&texts);
    let bodies: Vec<Value> = deliveries
        .iter()
        .map(|delivery| serde_json::from_str(delivery["body"].as_str().unwrap()).unwrap())
        .collect();
    let texts: Vec<String> = bodies.iter().map(Value::to_string).collect();
    assert_eq!(snapshot_of(&texts), expected, "an event or a list of events on each line");
    let events: Vec<Value> = bodies
        .into_iter()
        .flat_map(|body| match body {
            Value::Array(events) => events,
            event => vec![event],
        })
        .collect();
    let texts: Vec<String> = events.iter().map(Value::to_string).collect();
    assert_eq!(snapshot_of(&texts), expected, "an event on each line");
    for text in [json!(events).to_string(), serde_json::to_string_pretty(&events).unwrap()] {
        assert_eq!(snapshot_of(&[text]), expected, "the whole as one list");
    }
}

#[test]
fn what_is_no_event_is_counted_and_the_rest_goes_on() {
    let good = r#"{"type":"task-started","uuid":"01936a3e-0000-7000-8000-000000000003","hostname":"w","pid":1,"clock":2,"timestamp":1795255200.5}"#;
    let lines = [good, "{", "7", &format!("[{good},{{}}]"), r#"{"body":"[]"}"#, "", good];
    let snapshot = snapshot_of(&lines.map(str::to_owned));
    assert_eq!(snapshot.jobs, 1);
    let rejected: BTreeMap<_, _> =
        snapshot.rejected.iter().map(|(reason, n)| (reason.as_str(), *n)).collect();
    assert_eq!(rejected, BTreeMap::from([("bad_json", 1), ("schema", 3)]));
    assert_eq!(snapshot.as_of.unwrap().to_string(), "2026-11-21T10:00:00.500000Z");
}

#[test]
fn arguments_and_results_do_not_leave_the_recording() {
    let folder = tempfile::tempdir().unwrap();
    let event = r#"{"type":"task-succeeded","uuid":"01936a3e-0000-7000-8000-000000000003","hostname":"w","pid":1,"clock":2,"timestamp":1795255200.5,"result":"'sesame'","runtime":0.25}"#;
    let stream = file(folder.path(), "a.jsonl", event);
    let out = folder.path().join("jobs.jsonl");
    let run = run(&["replay", arg(&stream), "--format", "celery", "--jobs", arg(&out)]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let job = std::fs::read_to_string(&out).unwrap();
    assert!(job.contains("\"runtime\":0.25") && !job.contains("sesame"), "{job}");
}
