//! `observatory up`: a service from its first command to its last signal.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

#[path = "up/start.rs"]
mod start;
mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use contracts::event::Kind;
use contracts::snapshot::{AlertRow, AlertState, Measure, Window};
use contracts::view::{BatchAccepted, JobAccepted, Problem, RecentJob, Stats};
use contracts::{JobView, Micros, Reason, Snapshot, State};
use serde_json::json;
use support::crowd::Crowd;
use support::program::{arg, file, replay};
use support::service::{Client, Log, Service, database};
use support::{SECOND, TEN, now, until, within};
use tempfile::TempDir;
use uuid::Uuid;

const HOUR: i64 = 3_600 * SECOND;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// What does not depend on when it is asked: counts, and the latencies of all time.
fn lasting(snapshot: Snapshot) -> Snapshot {
    let mut latency = snapshot.latency;
    latency.retain(|row| row.window == Window::All);
    Snapshot {
        as_of: None,
        latency,
        throughput: Vec::new(),
        alerts: Vec::new(),
        rejected: BTreeMap::new(),
        ..snapshot
    }
}

/// Jobs by state, of a snapshot.
fn by_state(snapshot: &Snapshot) -> BTreeMap<State, u64> {
    let mut states = BTreeMap::new();
    for row in &snapshot.counts {
        *states.entry(row.state).or_default() += row.jobs;
    }
    states
}

#[test]
fn a_first_job_completes_and_every_answer_agrees_on_it() {
    let folder = folder();
    let service = Service::start(folder.path());
    let client = &service.client;
    assert_eq!(client.snapshot().jobs, 0);
    assert_eq!(client.get::<Stats>("/stats"), Stats::default());

    let answer = client.post("/jobs", &json!({ "type": "email.send", "queue": "mail" }));
    let JobAccepted { job_id, event_id } = answer.with(202);
    // Accepted is durable, and so it can be read at once.
    let job = client.job(job_id);
    assert_eq!(job.timeline[0].event_id, event_id);
    let job = client.becomes(job_id, State::Completed);
    let what = "the snapshot has come to its end";
    let snapshot = client.snapshot_with(what, |it| it.as_of > job.finished_at);

    assert_eq!(by_state(&snapshot), [(State::Completed, 1)].into());
    let cell = &snapshot.counts[0];
    assert_eq!(
        (&*cell.job_type, &*cell.queue, Some(&cell.worker)),
        ("email.send", "mail", job.worker.as_ref()),
    );
    let seconds = |from: Option<Micros>, to: Option<Micros>| {
        (to.unwrap().0 - from.unwrap().0) as f64 / SECOND as f64
    };
    for (measure, seconds) in [
        (Measure::Wait, seconds(Some(job.created_at), job.started_at)),
        (Measure::Run, seconds(job.started_at, job.finished_at)),
        (Measure::Total, seconds(Some(job.created_at), job.finished_at)),
    ] {
        let rows: Vec<_> = snapshot.latency.iter().filter(|row| row.measure == measure).collect();
        // Five windows, of the type and of all types.
        assert_eq!(rows.len(), 10, "{measure}");
        for row in rows {
            assert_eq!(row.samples, 1, "{row:?}");
            for value in [row.p50, row.p999, row.max] {
                assert!((value - seconds).abs() <= seconds / 1000.0, "{seconds} in {row:?}");
            }
        }
    }
    for row in &snapshot.throughput {
        assert_eq!((row.created, row.finished, row.failed), (1, 1, 0), "{row:?}");
    }
    assert_eq!(snapshot.throughput.len(), 8);

    let stats: Stats = client.get("/stats");
    assert_eq!((stats.total_jobs, stats.completed_jobs, stats.failed_jobs), (1, 1, 0));
    assert_eq!(stats.last_event_time, job.finished_at);
    let recent: Vec<RecentJob> = client.get("/jobs/recent");
    let created_at = job.created_at;
    let status = State::Completed;
    assert_eq!(
        recent,
        [RecentJob { id: job_id, job_type: "email.send".into(), status, created_at }]
    );
    let list = client.list("?state=COMPLETED");
    assert_eq!((list.total, list.items.len()), (1, 1));
    assert_eq!(list.items[0].id, job_id);
    assert_eq!(client.list("?state=PENDING").total, 0);
    for (name, value) in [
        (r#"gateway_jobs_submitted_total{type="email.send"}"#, 1.0),
        ("gateway_jobs_accepted_total", 1.0),
        ("processor_jobs_processed_total", 1.0),
        ("processor_jobs_completed_total", 1.0),
        ("processor_jobs_failed_total", 0.0),
        (r#"observatory_jobs{state="COMPLETED"}"#, 1.0),
        (r#"observatory_jobs{state="EXECUTING"}"#, 0.0),
        // Created, validated, executed, completed.
        (r#"observatory_events_total{result="accepted"}"#, 4.0),
    ] {
        // The worker counts a job after its last event has become durable.
        until(name, || (client.metric(name) == value).then_some(()));
    }
    service.stop();
}

#[test]
fn a_bad_element_of_a_batch_is_refused_alone() {
    let folder = folder();
    let service = Service::start(folder.path());
    let job = |name: &str| json!({ "type": name, "payload": { "simulate": { "delayMs": 1 } } });
    let batch = json!([job("one"), { "type": 2 }, job("three")]);
    let answer: BatchAccepted = service.client.post("/jobs", &batch).with(202);
    assert_eq!(answer.accepted.len(), 2);
    let [rejected] = &*answer.rejected else { panic!("{answer:?}") };
    assert_eq!((rejected.index, rejected.reason, &*rejected.pointer), (1, Reason::Schema, "/type"));

    for accepted in &answer.accepted {
        service.client.becomes(accepted.job_id, State::Completed);
    }
    let snapshot = service.client.snapshot_with("both are there", |it| {
        by_state(it) == BTreeMap::from([(State::Completed, 2)])
    });
    assert_eq!(snapshot.rejected, [(Reason::Schema, 1)].into());
    let types: Vec<_> = snapshot.counts.iter().map(|row| &*row.job_type).collect();
    assert_eq!(types, ["one", "three"]);

    let refused: Problem = service.client.post("/jobs", &json!({ "type": "" })).with(400);
    assert_eq!((&*refused.code, &*refused.errors[0].pointer), ("schema", "/type"));
    service.client.snapshot_with("it is counted", |it| it.rejected[&Reason::Schema] == 2);
}

#[test]
fn events_are_counted_as_a_replay_of_them_counts() {
    let folder = folder();
    let service = Service::start(folder.path());
    let client = &service.client;
    // It ends some minutes ago, so that the windows of an hour hold all of it in both.
    let start = Micros(now().0 - 30 * 60 * SECOND);
    let crowd = Crowd { seed: 11, n_jobs: 300, start, span: 20 * 60 * SECOND };
    let mut lines = crowd.lines();
    fastrand::Rng::with_seed(crowd.seed).shuffle(&mut lines);
    client.send(&lines);

    let out = folder.path().join("jobs");
    let run = replay(&lines.join("\n"), &["--jobs", arg(&out)]);
    let replayed: Snapshot = serde_json::from_str(&run.printed()).unwrap();
    let sent = now();
    let live = client.snapshot_with("it shows all", |it| it.as_of > Some(sent));
    assert_eq!(lasting(live.clone()), lasting(replayed.clone()), "{crowd:?}");
    let hour = |snapshot: Snapshot| {
        let mut rows = snapshot.throughput;
        rows.retain(|row| row.window == Window::H1);
        rows
    };
    assert_eq!(hour(live), hour(replayed), "{crowd:?}");

    let jobs = std::fs::read_to_string(out).unwrap();
    for job in jobs.lines().map(|line| serde_json::from_str::<JobView>(line).unwrap()) {
        assert_eq!(client.job(job.id), job, "{crowd:?}");
    }

    // The worker has its turn, and nothing of all this is its business.
    let own = client.submit(&json!({ "type": "own", "payload": { "simulate": { "delayMs": 1 } } }));
    client.becomes(own, State::Completed);
    until("the worker has counted it", || {
        (client.metric("processor_jobs_processed_total") == 1.0).then_some(())
    });
    let list = client.list("?state=PENDING");
    assert!(list.total > 0, "some jobs wait for somebody else");
}

#[test]
fn a_job_that_keeps_failing_has_failed_after_three_attempts() {
    let folder = folder();
    let service = Service::start(folder.path());
    let simulate = json!({ "fail": true, "delayMs": 20 });
    let id = service.client.submit(&json!({ "type": "a", "payload": { "simulate": simulate } }));
    let job = service.client.becomes(id, State::Failed);

    assert_eq!(job.attempt, 3);
    let attempts: Vec<_> = job.attempts.iter().map(|it| (it.attempt, it.state)).collect();
    assert_eq!(attempts, [(1, State::Retrying), (2, State::Retrying), (3, State::Failed)]);
    for attempt in &job.attempts {
        let error = attempt.error.as_ref().unwrap();
        assert_eq!(error.kind, "Simulated");
        assert!(error.message.contains(&attempt.attempt.to_string()), "{error:?}");
        let took = attempt.finished_at.unwrap().0 - attempt.started_at.unwrap().0;
        assert!(took >= 20_000, "{took} µs");
    }
    assert_eq!(job.error, job.attempts[2].error);
    assert_eq!(job.started_at, job.attempts[0].started_at);
    assert_eq!(job.finished_at, job.attempts[2].finished_at);

    let timeline: Vec<_> = job.timeline.iter().map(|it| (it.event_type, it.attempt)).collect();
    let expected = [
        (Kind::Created, 1),
        (Kind::Validated, 1),
        (Kind::Executed, 1),
        (Kind::Retried, 1),
        (Kind::Executed, 2),
        (Kind::Retried, 2),
        (Kind::Executed, 3),
        (Kind::Failed, 3),
    ];
    assert_eq!(timeline, expected);
    assert!(job.timeline.is_sorted_by_key(|entry| entry.occurred_at));

    let what = "the run of the last attempt alone counts";
    let snapshot = service.client.snapshot_with(what, |it| !it.latency.is_empty());
    let run = snapshot.latency.iter().find(|row| row.measure == Measure::Run).unwrap();
    let last = job.finished_at.unwrap().0 - job.attempts[2].started_at.unwrap().0;
    assert!((run.max - last as f64 / 1e6).abs() <= run.max / 1000.0, "{last} µs in {run:?}");
    let failed = snapshot.throughput.iter().map(|row| (row.finished, row.failed));
    assert!(failed.eq([(1, 1); 8]), "{:?}", snapshot.throughput);
}

#[test]
fn a_job_that_fails_once_completes_at_its_second_attempt() {
    let folder = folder();
    let service = Service::start(folder.path());
    let simulate = json!({ "failTimes": 1, "delayMs": 1 });
    let id = service.client.submit(&json!({ "type": "a", "payload": { "simulate": simulate } }));
    let job = service.client.becomes(id, State::Completed);
    let attempts: Vec<_> = job.attempts.iter().map(|it| (it.attempt, it.state)).collect();
    assert_eq!(attempts, [(1, State::Retrying), (2, State::Completed)]);
    assert_eq!(job.error, None, "the error of an attempt is not that of the job");
}

#[test]
fn jobs_that_hang_stay_in_execution_and_in_nobodys_way() {
    let folder = folder();
    let service = Service::start(folder.path());
    let hanging = json!({ "type": "hanging", "payload": { "simulate": { "hang": true } } });
    // More than are executed at a time.
    let batch = vec![hanging; 20];
    service.client.post("/jobs", &json!(batch)).with::<BatchAccepted>(202);
    let other = service.client.submit(&json!({ "type": "other" }));
    service.client.becomes(other, State::Completed);
    let snapshot = service.client.snapshot_with("the hanging execute", |it| {
        by_state(it) == BTreeMap::from([(State::Executing, 20), (State::Completed, 1)])
    });
    assert!(snapshot.latency.iter().all(|row| row.samples == 1), "what hangs has no latency");
}

/// Rules of which one fires at once, one after an hour, and one not at all.
const RULES: &str = r#"
groups:
  - name: tests
    rules:
      - alert: Hanging
        expr: jobs{state="EXECUTING"} by (type) > 0
        labels: { severity: page }
      - alert: HangingForLong
        expr: jobs{state="EXECUTING"} > 0
        for: 1h
      - alert: Overrun
        expr: backlog > 1000000
"#;

#[test]
fn a_restart_keeps_everything() {
    let folder = folder();
    let rules = file(folder.path(), "rules.yaml", RULES);
    let data = folder.path().join("data");
    let service = Service::start_with(&data, &["--rules", arg(&rules)]);
    let simulate = |simulate| json!({ "type": "mine", "payload": { "simulate": simulate } });
    let failed = service.client.submit(&simulate(json!({ "fail": true, "delayMs": 1 })));
    let hung = service.client.submit(&simulate(json!({ "hang": true })));
    let start = Micros(now().0 - 10 * 60 * SECOND);
    let crowd = Crowd { seed: 5, n_jobs: 100, start, span: 5 * 60 * SECOND };
    service.client.send(&crowd.lines());
    service.client.post("/jobs", &json!({ "type": "" })).with::<Problem>(400);
    service.client.becomes(failed, State::Failed);
    service.client.becomes(hung, State::Executing);
    let settled = now();
    let before = service.client.snapshot_with("alerts have been judged since", |it| {
        it.as_of > Some(Micros(settled.0 + SECOND)) && it.alerts.len() > 1
    });
    let stats: Stats = service.client.get("/stats");
    let mut jobs = service.client.list("?limit=1000").items;
    service.stop();

    // The rules are those of the last start that was given some.
    let service = Service::start(&data);
    let restarted = now();
    let after = service.client.snapshot_with("alerts have been judged again", |it| {
        it.as_of > Some(Micros(restarted.0 + SECOND))
    });
    assert_eq!(lasting(after.clone()), lasting(before.clone()), "{crowd:?}");
    assert_eq!(after.rejected, before.rejected);
    let alerts = |snapshot: Snapshot| {
        snapshot
            .alerts
            .into_iter()
            .map(|row| (row.alert, row.labels, row.state, row.active_at, row.fired_at))
            .collect::<Vec<_>>()
    };
    let (alerts_after, alerts_before) = (alerts(after), alerts(before));
    assert_eq!(alerts_after, alerts_before);
    let states: Vec<_> =
        alerts_after.iter().map(|(name, _, state, ..)| (&**name, *state)).collect();
    assert!(states.contains(&("Hanging", AlertState::Firing)), "{states:?}");
    assert!(states.contains(&("HangingForLong", AlertState::Pending)), "{states:?}");

    // What hung has been begun again meanwhile; of the others everything is as it was.
    until("the next attempt", || (service.client.job(hung).attempt == 2).then_some(()));
    let mut jobs_after = service.client.list("?limit=1000").items;
    jobs.retain(|job| job.id != hung);
    jobs_after.retain(|job| job.id != hung);
    assert_eq!(jobs_after, jobs);
    let stats_after: Stats = service.client.get("/stats");
    assert_eq!(Stats { last_event_time: stats.last_event_time, ..stats_after }, stats);
}

#[test]
fn a_restart_is_never_seen_empty() {
    let folder = folder();
    let crowd = Crowd { seed: 9, n_jobs: 50, start: Micros(now().0 - HOUR), span: 60 * SECOND };
    let service = Service::start(folder.path());
    service.client.send(&crowd.lines());
    service.client.snapshot_with("all are shown", |it| it.jobs == 50);
    service.stop();
    // A start may begin at any moment between two steps of the snapshot.
    for _ in 0..5 {
        let mut service = Service::spawn(&["--data-dir", arg(folder.path())], &[]);
        let first: Snapshot = until("there is an answer", || {
            let answer = service.client.try_get("/api/v1/snapshot").unwrap();
            (answer.status != 503).then(|| answer.with(200))
        });
        assert_eq!(first.jobs, 50);
        assert_eq!(service.client.get::<Stats>("/stats").total_jobs, 50);
        service.kill();
    }
}

/// A rule on jobs in execution, under this name and with this threshold.
fn rule(folder: &Path, name: &str, threshold: u64) -> std::path::PathBuf {
    let expr = format!(r#"jobs{{state="EXECUTING"}} > {threshold}"#);
    let rules = format!("[{{ name: g, rules: [{{ alert: {name}, expr: '{expr}' }}] }}]");
    file(folder, &format!("{name}-{threshold}.yaml"), format!("groups: {rules}"))
}

/// Starts a service on a data folder with a rule; its alerts once they have been judged.
fn alerts_under(rule: &Path, data: &Path) -> (Service, Vec<AlertRow>) {
    let service = Service::start_with(data, &["--rules", arg(rule)]);
    let started = now();
    let snapshot = service.client.snapshot_with("the rule has been judged", |it| {
        it.as_of > Some(Micros(started.0 + 2 * SECOND))
    });
    (service, snapshot.alerts)
}

/// The episodes of alerts in the store: name, state, and when it was resolved.
fn episodes(data: &Path) -> Vec<(String, String, Option<i64>)> {
    let store = rusqlite::Connection::open(database(data)).unwrap();
    let sql = "SELECT alert, state, resolved_at FROM alerts ORDER BY active_at";
    let mut statement = store.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// A folder in which an alert fires, of the rule `Hanging` over a threshold of 0.
fn firing(folder: &Path) -> (std::path::PathBuf, AlertRow) {
    let data = folder.join("data");
    let service = Service::start_with(&data, &["--rules", arg(&rule(folder, "Hanging", 0))]);
    service.client.submit(&json!({ "type": "a", "payload": { "simulate": { "hang": true } } }));
    let mut snapshot = service.client.snapshot_with("it fires", |it| !it.alerts.is_empty());
    service.stop();
    (data, snapshot.alerts.remove(0))
}

#[test]
fn what_ceased_over_a_restart_is_resolved() {
    let folder = folder();
    let (data, first) = firing(folder.path());
    // The same rule, which does not hold any more.
    let (service, alerts) = alerts_under(&rule(folder.path(), "Hanging", 100), &data);
    assert_eq!(alerts, []);
    service.stop();
    let [(_, state, resolved_at)] = &*episodes(&data) else { panic!("{:?}", episodes(&data)) };
    assert!(state == "resolved" && resolved_at.is_some(), "{state} {resolved_at:?}");

    // When it holds again, that is another episode.
    let (service, alerts) = alerts_under(&rule(folder.path(), "Hanging", 0), &data);
    let [second] = &*alerts else { panic!("{alerts:?}") };
    assert!(second.active_at > first.active_at, "{second:?} after {first:?}");
    service.stop();
    assert_eq!(episodes(&data).len(), 2);
}

#[test]
fn an_alert_whose_rule_is_gone_is_resolved() {
    let folder = folder();
    let (data, first) = firing(folder.path());
    let (service, alerts) = alerts_under(&rule(folder.path(), "Other", 0), &data);
    let names: Vec<_> = alerts.iter().map(|row| &*row.alert).collect();
    assert_eq!(names, ["Other"]);
    // It might have been given again a moment later.
    until("it is resolved", || {
        let (name, state, resolved_at) = episodes(&data).remove(0);
        assert_eq!(name, "Hanging");
        (state == "resolved" && resolved_at.is_some()).then_some(())
    });
    service.stop();

    let (_service, alerts) = alerts_under(&rule(folder.path(), "Hanging", 0), &data);
    assert!(alerts[0].active_at > first.active_at, "{:?} after {first:?}", alerts[0]);
}

#[test]
fn a_job_submitted_again_after_a_restart_is_the_same_job() {
    let folder = folder();
    let job = json!({ "type": "a", "payload": { "simulate": { "delayMs": 1 } } }).to_string();
    let submit = |service: &Service, key, job: &str| {
        service.client.try_post_as(Some(key), "/jobs", job).unwrap()
    };
    let service = Service::start(folder.path());
    let first: JobAccepted = submit(&service, "order-1", &job).with(202);
    let done = service.client.becomes(first.job_id, State::Completed);
    service.stop();

    let service = Service::start(folder.path());
    assert_eq!(submit(&service, "order-1", &job).with::<JobAccepted>(202), first);
    let other: JobAccepted = submit(&service, "order-2", &job).with(202);
    service.client.becomes(other.job_id, State::Completed);
    assert_eq!(service.client.job(first.job_id), done, "it was not executed again");
    assert_eq!(service.client.list("").total, 2);
    let problem: Problem = submit(&service, "order-1", r#"{ "type": "b" }"#).with(422);
    assert_eq!(problem.code, "idempotency_key_reused");
}

#[test]
fn unfinished_jobs_are_queued_again_with_their_next_attempt() {
    let folder = folder();
    let mut service = Service::start(folder.path());
    let long = json!({ "type": "long", "payload": { "simulate": { "delayMs": 600_000 } } });
    let short = json!({ "type": "short", "payload": { "simulate": { "delayMs": 1 } } });
    // As many as are executed at a time, and one that waits for a place.
    let answer = service.client.post("/jobs", &json!(vec![long; 16]));
    let begun: Vec<Uuid> =
        answer.with::<BatchAccepted>(202).accepted.into_iter().map(|it| it.job_id).collect();
    for id in &begun {
        service.client.becomes(*id, State::Executing);
    }
    let waiting = service.client.submit(&short);
    service.client.becomes(waiting, State::Validated);

    // However it ends: by the operator's will, or not.
    for attempt in [2, 3] {
        if attempt == 2 {
            service.stop();
        } else {
            service.kill();
        }
        service = Service::start(folder.path());
        let n_begun =
            || begun.iter().filter(|id| service.client.job(**id).attempt == attempt).count();
        until("they are begun again", || (n_begun() >= 15).then_some(()));
    }
    // It got a place or it did not: no attempt of it was lost.
    assert_eq!(service.client.job(waiting).attempt, 1);
    let counts = service.client.snapshot_with("all are there", |it| it.jobs == 17);
    assert!(counts.totals.is_empty());
}

/// Makes what is stored older by some hours; nobody may be using it.
fn age(data: &Path, hours: i64) {
    let store = rusqlite::Connection::open(database(data)).unwrap();
    let aged = store.execute("UPDATE jobs SET tick = tick - ?1", [hours * HOUR]).unwrap();
    assert!(aged > 0);
}

#[test]
fn retired_jobs_are_counted_on_in_the_totals() {
    let folder = folder();
    let service = Service::start(folder.path());
    // Old enough to be in no window that slides.
    let start = Micros(now().0 - 30 * HOUR);
    let crowd = Crowd { seed: 3, n_jobs: 120, start, span: HOUR };
    let lines = crowd.lines();
    service.client.send(&lines);
    let sent = now();
    let before = service.client.snapshot_with("it shows all", |it| it.as_of > Some(sent));
    assert_eq!(before.jobs, 120, "what was sent by {sent} is not shown as of {:?}", before.as_of);
    let stats: Stats = service.client.get("/stats");
    let jobs = service.client.list("?limit=1000").items;
    service.stop();
    age(folder.path(), 3);

    let finished: u64 =
        by_state(&before).iter().filter(|(it, _)| it.terminal()).map(|(_, n)| n).sum();
    let service = Service::start(folder.path());
    let retired = service.client.snapshot_with("finished jobs are retired", |it| {
        it.totals.iter().map(|row| row.jobs).sum::<u64>() == finished
    });
    assert_eq!(retired.jobs, before.jobs - finished);
    assert!(by_state(&retired).keys().all(|state| !state.terminal()), "{:?}", by_state(&retired));
    let all_time = |snapshot: Snapshot| lasting(snapshot).latency;
    assert_eq!(all_time(retired.clone()), all_time(before), "{crowd:?}");
    assert_eq!(service.client.get::<Stats>("/stats"), stats);
    service.stop();

    let service = Service::start(folder.path());
    let restarted = now();
    let again = service.client.snapshot_with("it shows all", |it| it.as_of > Some(restarted));
    assert_eq!(lasting(again.clone()), lasting(retired), "retired jobs survive a restart");

    // What is known of them comes again, and changes nothing of what anybody counts.
    service.client.send(&lines);
    assert_eq!(service.client.get::<Stats>("/stats"), stats);
    let sent = now();
    let repeated = service.client.snapshot_with("it shows all", |it| it.as_of > Some(sent));
    assert_eq!(all_time(repeated), all_time(again));
    for job in jobs {
        let found = service.client.job(job.id);
        let (retired, attempts, timeline) = (found.retired, vec![], vec![]);
        assert_eq!(
            JobView { attempts, timeline, payload: None, why: None, ..found },
            JobView { retired, ..job }
        );
    }
}

/// A client that has begun a request and does not go on.
fn dawdler(client: &Client) -> TcpStream {
    let mut stream = TcpStream::connect(&client.address).unwrap();
    let head = "POST /jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    until("the service is busy with it", || {
        // An answer to who came later.
        client.try_get("/livez").ok()
    });
    stream
}

#[test]
fn a_client_that_dawdles_does_not_keep_the_service_from_stopping() {
    let folder = folder();
    let service = Service::start(folder.path());
    let id = service.client.submit(&json!({ "type": "a" }));
    let _dawdler = dawdler(&service.client);
    service.stop();
    let service = Service::start(folder.path());
    assert_eq!(service.client.job(id).job_type, "a");
}

#[test]
fn a_second_signal_means_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT")] {
        let folder = folder();
        let mut service = Service::start(folder.path());
        let id = service.client.submit(&json!({ "type": "a" }));
        let _dawdler = dawdler(&service.client);
        service.signal(first);
        service.says("stopping");
        service.signal(second);
        let code = service.ended().code();
        assert!(code.is_some_and(|code| code != 0), "it was not all done: {code:?}");
        // What was accepted is there all the same.
        let service = Service::start(folder.path());
        assert_eq!(service.client.job(id).job_type, "a");
    }
}

#[test]
fn who_stops_reading_the_log_does_not_stop_the_service() {
    let folder = folder();
    let args = ["--data-dir", arg(folder.path())];
    let mut service = Service::launch(&args, &[], Log::Abandoned);
    service.client.ready();
    let id = service.client.submit(&json!({ "type": "a" }));
    service.client.becomes(id, State::Completed);
    let (status, took) = service.terminate();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn the_demo_is_at_work_in_two_seconds_and_says_that_it_is_one() {
    let folder = folder();
    let home = [("XDG_STATE_HOME", arg(folder.path()))];
    let demo = Service::spawn(&["--demo"], &home);
    within(Duration::from_secs(2), "the demo has jobs", || {
        let answer = demo.client.try_get("/api/v1/snapshot").ok()?;
        let snapshot: Snapshot = serde_json::from_str(&answer.text).ok()?;
        (snapshot.jobs > 0).then_some(())
    });
    let page = demo.client.try_get("/").unwrap();
    assert_eq!(page.status, 200);
    assert!(page.text.contains(r#"class="demo""#) && page.text.contains(">DEMO<"));
    // Made-up jobs are kept apart from real ones.
    let place = folder.path().join("observatory");
    assert!(database(&place.join("demo")).exists() && !place.join("up").exists());
    demo.client.snapshot_with("some have completed", |it| {
        by_state(it).get(&State::Completed).is_some_and(|jobs| *jobs > 3)
    });
    demo.stop();

    let plain = Service::spawn(&[], &home);
    plain.client.ready();
    assert!(!plain.client.try_get("/").unwrap().text.contains("DEMO"));
    assert!(database(&place.join("up")).exists());
    assert_eq!(plain.client.snapshot().jobs, 0);
}

#[test]
fn two_workers_count_as_one() {
    let folder = folder();
    let service = Service::start_with(folder.path(), &["--workers", "2"]);
    let start = Micros(now().0 - 30 * 60 * SECOND);
    let crowd = Crowd { seed: 23, n_jobs: 200, start, span: 20 * 60 * SECOND };
    let lines = crowd.lines();
    service.client.send(&lines);
    let sent = now();
    let live = service.client.snapshot_with("it shows all", |it| it.as_of > Some(sent));
    let replayed = lasting(support::program::snapshot(&lines.join("\n")));
    assert_eq!(lasting(live), replayed, "{crowd:?}");
    service.stop();
    // On one worker again, from the same store.
    let service = Service::start(folder.path());
    let restarted = now();
    let again = service.client.snapshot_with("it shows all", |it| it.as_of > Some(restarted));
    assert_eq!(lasting(again), replayed, "{crowd:?}");
}

#[test]
fn an_event_from_long_ago_is_late_and_counted_apart() {
    let folder = folder();
    let service = Service::start(folder.path());
    let long_ago =
        Crowd { seed: 1, n_jobs: 5, start: Micros(now().0 - 31 * 24 * HOUR), span: HOUR };
    let mut lines = long_ago.lines();
    lines.sort();
    lines.dedup();
    service.client.send(&lines);
    let late = |it: &Snapshot| it.late == lines.len() as u64;
    let snapshot = service.client.snapshot_with("they are late", late);
    assert_eq!((snapshot.jobs, snapshot.counts.len()), (0, 0));
    service.stop();
    let service = Service::start(folder.path());
    assert!(late(&service.client.snapshot()), "{}", service.client.snapshot().late);
}

#[test]
fn an_event_from_the_future_is_refused() {
    let folder = folder();
    let service = Service::start(folder.path());
    let ahead = |micros: i64| {
        let start = Micros(now().0 + micros);
        Crowd { seed: 2, n_jobs: 1, start, span: SECOND }.lines().remove(0)
    };
    let answer = service.client.try_post("/events", &ahead(HOUR + 60 * SECOND)).unwrap();
    assert_eq!(answer.with::<Problem>(400).code, "bad_time");
    let answer = service.client.try_post("/events", &ahead(HOUR - 60 * SECOND)).unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    let what = "one is there, the other counted";
    let snapshot = service.client.snapshot_with(what, |it| it.jobs == 1);
    assert_eq!(snapshot.rejected, [(Reason::BadTime, 1)].into());
    assert_ne!(snapshot.as_of, None);
    assert!(snapshot.as_of < Some(Micros(now().0 + 60 * SECOND)) && snapshot.as_of > Some(TEN));
}
