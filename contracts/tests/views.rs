//! What we send: each shape as JSON, judged by its own schema.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use contracts::event::ErrorInfo;
use contracts::snapshot::{
    AlertRow, AlertState, CountRow, LatencyRow, Measure, ThroughputRow, TotalRow, Window,
};
use contracts::view::{
    AttemptView, BatchAccepted, Health, JobAccepted, Page, Problem, ProblemError, RecentJob,
    RejectedElement, Stats, TimelineEntry,
};
use contracts::{Delta, JobView, Kind, Micros, Reason, Rejection, Snapshot, State, schema};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The JSON of a value, once its schema has accepted it and it was read back as the same.
fn sent<T: serde::Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    name: &str,
    value: &T,
) -> Value {
    let json = serde_json::to_value(value).unwrap();
    let (_, schema) = schema::all().into_iter().find(|(found, _)| *found == name).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    if let Err(error) = validator.validate(&json) {
        panic!("{name}: {error} at {}", error.instance_path());
    }
    assert_eq!(&serde_json::from_value::<T>(json.clone()).unwrap(), value);
    json
}

fn at(text: &str) -> Micros {
    text.parse().unwrap()
}

fn job() -> JobView {
    let at = at("2026-11-21T10:00:00Z");
    let error = Some(ErrorInfo { kind: "Timeout".into(), message: "too slow".into() });
    JobView {
        id: "0193d5a8-2222-7aaa-8bbb-000000000002".parse().unwrap(),
        job_type: "email.send".into(),
        status: State::Failed,
        state: State::Failed,
        inferred: false,
        created_at: at,
        validated_at: None,
        started_at: Some(at),
        finished_at: Some(at),
        queue: Some("default".into()),
        worker: None,
        attempt: 1,
        runtime: None,
        error: error.clone(),
        payload: None,
        metadata: None,
        retired: false,
        attempts: vec![AttemptView {
            attempt: 1,
            state: State::Failed,
            worker: None,
            started_at: Some(at),
            finished_at: None,
            error: error.clone(),
        }],
        why: None,
        incomplete: false,
        timeline: vec![TimelineEntry {
            event_type: Kind::Failed,
            occurred_at: at,
            attempt: 1,
            worker: None,
            event_id: "0193d5a8-1111-7aaa-8bbb-000000000001".parse().unwrap(),
            error,
        }],
    }
}

#[test]
fn a_job_has_every_key_even_where_nothing_is_known() {
    let json = sent("job-view", &job());
    for key in ["validatedAt", "worker", "metadata"] {
        assert_eq!(json.get(key), Some(&Value::Null), "{key}");
    }
    assert_eq!((&json["status"], &json["state"]), (&json!("FAILED"), &json!("FAILED")));
    assert_eq!(json["startedAt"], "2026-11-21T10:00:00.000000Z");
    assert_eq!(json["timeline"][0]["eventType"], "job.failed");
    let page = Page {
        as_of: Some(at("2026-11-21T10:00:00Z")),
        total: 1,
        items: vec![job()],
        next_cursor: None,
    };
    assert_eq!(sent("job-page", &page)["nextCursor"], Value::Null);
}

#[test]
fn an_empty_list_is_an_empty_array() {
    let page: Page<JobView> = Page { as_of: None, total: 0, items: vec![], next_cursor: None };
    assert_eq!(
        sent("job-page", &page),
        json!({ "asOf": null, "total": 0, "items": [], "nextCursor": null })
    );
    assert_eq!(sent("jobs-recent", &Vec::<RecentJob>::new()), json!([]));
}

#[test]
fn a_snapshot_has_every_key_and_a_delta_only_what_changed() {
    let now = at("2026-11-21T10:00:00Z");
    let counts = vec![CountRow {
        state: State::Completed,
        job_type: "email.send".into(),
        queue: String::new(),
        worker: String::new(),
        jobs: 12,
    }];
    let snapshot = Snapshot {
        as_of: Some(now),
        jobs: 12,
        counts: counts.clone(),
        latency: vec![LatencyRow {
            measure: Measure::Run,
            job_type: None,
            queue: None,
            window: Window::M5,
            samples: 12,
            p50: 0.412,
            p90: 0.9,
            p95: 1.2,
            p99: 3.1,
            p999: 4.0,
            max: 4.2,
        }],
        throughput: vec![ThroughputRow {
            job_type: Some("email.send".into()),
            window: Window::M1,
            created: 10,
            finished: 9,
            failed: 1,
        }],
        alerts: vec![AlertRow {
            alert: "JobFailureRateHigh".into(),
            state: AlertState::Pending,
            labels: [("severity".to_owned(), "warning".to_owned())].into(),
            active_at: now,
            fired_at: None,
            resolved_at: None,
            value: 0.12,
            expr: "failure_ratio[5m] > 0.05".into(),
            annotations: [("summary".to_owned(), "12% fail".to_owned())].into(),
            jobs: Some("state=FAILED&type=email.send".into()),
        }],
        totals: vec![TotalRow { state: State::Completed, job_type: "email.send".into(), jobs: 1 }],
        rejected: [(Reason::BadJson, 1)].into(),
        late: 0,
        skewed: 0,
    };
    let json = sent("snapshot", &snapshot);
    assert_eq!(json["latency"][0]["type"], Value::Null);
    assert_eq!(json["latency"][0]["window"], "5m");
    assert_eq!(json["alerts"][0]["firedAt"], Value::Null);
    assert_eq!(sent("snapshot", &Snapshot::default())["asOf"], Value::Null);

    let delta = Delta { as_of: Some(now), jobs: 12, counts, ..Delta::default() };
    let json = sent("delta", &delta);
    assert_eq!(json.get("latency"), None);
    assert_eq!((json.get("more"), &json["changedJobs"]), (None, &json!([])));
}

#[test]
fn the_answers_to_submissions_name_what_was_accepted_and_why_not() {
    let accepted = JobAccepted { job_id: job().id, event_id: job().timeline[0].event_id };
    sent("job-accepted", &accepted);
    let open = json!({ "jobId": accepted.job_id, "eventId": accepted.event_id, "more": 1 });
    assert!(serde_json::from_value::<JobAccepted>(open).is_err(), "closed, as it always was");

    let rejection = contracts::decode(b"{}").unwrap_err();
    let Rejection { reason, pointer, .. } = rejection.clone();
    let batch = BatchAccepted {
        accepted: vec![accepted],
        rejected: vec![RejectedElement::new(1, rejection)],
    };
    let json = sent("batch-accepted", &batch);
    assert_eq!(json["rejected"][0]["index"], 1);
    assert_eq!(json["rejected"][0]["reason"], reason.as_str());
    assert_eq!(json["rejected"][0]["pointer"], pointer);
}

#[test]
fn the_answers_that_always_were_have_their_old_shape() {
    let stats = Stats { total_jobs: 3, ..Stats::default() };
    assert_eq!(
        sent("stats", &stats),
        json!({ "totalJobs": 3, "completedJobs": 0, "failedJobs": 0, "lastEventTime": "" })
    );
    let last = Stats { last_event_time: Some(at("2026-11-21T10:00:00Z")), ..stats };
    assert_eq!(sent("stats", &last)["lastEventTime"], "2026-11-21T10:00:00.000000Z");
    let recent = RecentJob {
        id: job().id,
        job_type: job().job_type,
        status: State::Failed,
        created_at: job().created_at,
    };
    assert_eq!(sent("jobs-recent", &vec![recent])[0]["type"], "email.send");
    let health = Health { status: "ok".into(), away: Vec::new(), version: "0.1.0".into() };
    assert_eq!(sent("health", &health), json!({ "status": "ok", "version": "0.1.0" }));
}

#[test]
fn a_problem_leaves_out_what_it_does_not_know() {
    let mut problem = Problem {
        problem_type: "about:blank".into(),
        title: "Bad Request".into(),
        status: 400,
        detail: "the job was not accepted".into(),
        code: "schema".into(),
        instance: None,
        errors: vec![],
    };
    assert_eq!(sent("problem", &problem).as_object().unwrap().len(), 5);
    problem.errors.push(ProblemError {
        pointer: "/type".into(),
        detail: "is required".into(),
        parameter: None,
        position: None,
    });
    assert_eq!(sent("problem", &problem)["errors"][0]["pointer"], "/type");
}
