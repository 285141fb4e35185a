//! What the API promises, asked over HTTP of a service that runs, whichever stores are behind it.
//!
//! ```text
//!   Known: jobs made here ──events──▶ service ──answers──▶ compared with what is known of them
//! ```
//!
//! The service must be empty, and its own.

#[path = "people.rs"]
mod people;

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

/// How long anything may take on a busy machine; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

const N_JOBS: u64 = 120;

/// A service, by its address.
pub(crate) struct Service {
    agent: ureq::Agent,
    address: String,
}

impl Service {
    pub(crate) fn at(address: &str) -> Service {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .build();
        Service { agent: agent.into(), address: address.to_owned() }
    }

    /// The status and the body of an answer.
    pub(crate) fn ask(&self, path: &str) -> (u16, Value) {
        let mut answer = self.agent.get(format!("http://{}{path}", self.address)).call().unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), text.parse().unwrap_or(Value::String(text)))
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask(path);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// The status and the answer to a text that is put.
    fn put(&self, path: &str, text: &str) -> (u16, Value) {
        answered(self.agent.put(format!("http://{}{path}", self.address)).send(text))
    }

    fn post(&self, path: &str, text: &str) -> (u16, Value) {
        answered(self.agent.post(format!("http://{}{path}", self.address)).send(text))
    }

    fn delete(&self, path: &str) -> (u16, Value) {
        answered(self.agent.delete(format!("http://{}{path}", self.address)).call())
    }

    #[track_caller]
    pub(crate) fn send(&self, events: &[Value]) {
        let request = self.agent.post(format!("http://{}/events", self.address));
        let request = request.header("content-type", "application/json");
        let mut answer = request.send(json!(events).to_string()).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        assert_eq!(answer.status(), 202, "{text}");
    }
}

fn answered(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, Value) {
    let mut answer = answer.unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), text.parse().unwrap_or(Value::String(text)))
}

#[track_caller]
fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A job as its events describe it. All times are seconds after [`Known::begin`].
#[derive(Clone)]
struct Job {
    id: String,
    job_type: &'static str,
    queue: &'static str,
    worker: &'static str,
    state: &'static str,
    created: u64,
    finished: Option<u64>,
}

/// What is known of the jobs in the service.
pub(crate) struct Known {
    /// Seconds since the epoch, some minutes ago.
    begin: u64,
    jobs: Vec<Job>,
}

/// Seconds since the epoch.
fn seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// `second` seconds since the epoch, as the API writes times.
fn rfc3339(second: u64) -> String {
    contracts::Micros(second as i64 * 1_000_000).to_string()
}

impl Known {
    fn new() -> Known {
        let now = seconds();
        // At the begin of a minute, so that a job finishes in the minute of its creation.
        let begin = now / 60 * 60 - 300;
        let jobs = (0..N_JOBS).map(|n| {
            let state = ["COMPLETED", "FAILED", "PENDING", "EXECUTING", "RETRYING"][n as usize % 5];
            let created = n % 37;
            Job {
                id: format!("0193d5a8-0000-7000-8000-{n:012}"),
                job_type: ["email.send", "email.digest", "report"][n as usize % 3],
                queue: ["", "fast", "slow", "slow"][n as usize % 4],
                worker: if state == "PENDING" { "" } else { ["w-1", "w-2"][n as usize % 2] },
                state,
                created,
                finished: ["COMPLETED", "FAILED"].contains(&state).then_some(created + 1 + n % 11),
            }
        });
        Known { begin, jobs: jobs.collect() }
    }

    /// The events of a job, not in their order.
    fn events(&self, job: &Job) -> Vec<Value> {
        let event = |n: u64, kind: &str, second: u64, extra: Value| {
            let mut payload = json!({
                "id": job.id, "type": job.job_type, "status": "?", "queue": job.queue,
                "createdAt": rfc3339(self.begin + job.created),
            });
            if kind != "job.created" {
                payload["worker"] = json!(job.worker);
            }
            if let Value::Object(extra) = extra {
                payload.as_object_mut().unwrap().extend(extra);
            }
            json!({
                "contractVersion": "1.1.0", "eventType": kind,
                "eventId": job.id.replacen("-0000-", &format!("-000{n}-"), 1),
                "occurredAt": rfc3339(self.begin + second),
                "producer": { "service": "suite", "instanceId": "i", "version": "1" },
                "correlationId": job.id, "idempotencyKey": "k", "payload": payload,
            })
        };
        let error = json!({ "error": { "kind": "Timeout", "message": "took 100% \"too\" long" } });
        let mut events = vec![event(1, "job.created", job.created, Value::Null)];
        if job.state != "PENDING" {
            events.push(event(2, "job.executed", job.created, Value::Null));
        }
        match (job.state, job.finished) {
            ("COMPLETED", Some(at)) => events.push(event(3, "job.completed", at, Value::Null)),
            ("FAILED", Some(at)) => events.push(event(4, "job.failed", at, error)),
            ("RETRYING", _) => events.push(event(5, "job.retried", job.created + 1, error)),
            _ => {}
        }
        events.reverse();
        events
    }
}

/// Feeds an empty service with jobs, and asks it all that there is to ask.
pub(crate) fn everything_asked_is_answered_as_it_is(service: &Service) {
    let known = Known::new();
    let events: Vec<Value> = known.jobs.iter().flat_map(|job| known.events(job)).collect();
    for some in events.chunks(50) {
        service.send(some);
    }
    // The snapshot is the last to have them, as it moves at grid times.
    until("all jobs are there", || {
        let snapshot = service.get("/api/v1/snapshot");
        let executing = snapshot["counts"].as_array()?.iter().filter(|row| row["worker"] != "");
        let begun: u64 = executing.filter_map(|row| row["jobs"].as_u64()).sum();
        (snapshot["jobs"] == N_JOBS && begun == N_JOBS / 5 * 4).then_some(())
    });
    counts_are_sums_over_the_jobs(service, &known);
    lists_have_what_matches_in_pages(service, &known);
    every_number_is_that_of_the_list_behind_it(service);
    a_job_is_told_whole(service, &known);
    the_history_has_what_happened(service, &known);
    views_are_those_of_one_snapshot(service);
    people::rules_that_are_put_are_judged_and_kept(service);
    people::notes_stand_until_they_are_ended_and_are_kept(service);
    people::alerts_of_others_are_shown_until_they_resolve(service);
    people::rules_are_tried_on_what_was_archived(service, &known);
    latencies_of_a_queue_are_those_of_its_jobs(service, &known);
    the_dataflow_holds_the_jobs(service);
}

fn the_dataflow_holds_the_jobs(service: &Service) {
    let dataflow = service.get("/api/v1/dataflow");
    assert!(dataflow["asOf"].is_string(), "{dataflow}");
    let operators = dataflow["operators"].as_array().unwrap();
    assert!(operators.iter().any(|operator| operator["name"] == "Seal"), "{dataflow}");
    assert!(!dataflow["edges"].as_array().unwrap().is_empty());
}

fn counts_are_sums_over_the_jobs(service: &Service, known: &Known) {
    for (by, of) in [
        ("state", (|job: &Job| job.state) as fn(&Job) -> &'static str),
        ("type", |job| job.job_type),
        ("queue", |job| job.queue),
        ("worker", |job| job.worker),
    ] {
        let answer = service.get(&format!("/api/v1/counts?by={by}"));
        let rows = answer["counts"].as_array().unwrap();
        for row in rows {
            let value = row[by].as_str().unwrap();
            let jobs = known.jobs.iter().filter(|job| of(job) == value).count();
            assert_eq!(row["jobs"], jobs, "{by} {value}");
        }
        let sum: u64 = rows.iter().map(|row| row["jobs"].as_u64().unwrap()).sum();
        assert_eq!((sum, &answer["jobs"]), (N_JOBS, &json!(N_JOBS)));
        assert!(answer["asOf"].is_string());
    }
    let answer = service.get("/api/v1/counts?q=type:email.*+state:failed,completed&by=type");
    let matching = known.jobs.iter();
    let matching = matching.filter(|job| job.job_type != "report" && job.finished.is_some());
    assert_eq!(answer["jobs"], matching.count());
    assert_eq!(service.ask("/api/v1/counts?q=age:%3E5m").1["code"], "not_in_view");
}

/// A question, and the jobs that answer it.
type Asked = (String, Box<dyn Fn(&Job) -> bool>);

fn questions(known: &Known) -> Vec<Asked> {
    let at = |second: u64| rfc3339(known.begin + second);
    let q = |question: &str, matches: fn(&Job) -> bool| -> Asked {
        (question.to_owned(), Box::new(matches))
    };
    let one = known.jobs[17].id.clone();
    vec![
        q("", |_| true),
        q("state=FAILED", |job| job.state == "FAILED"),
        q("type=report&queue=slow", |job| job.job_type == "report" && job.queue == "slow"),
        q("worker=w-1", |job| job.worker == "w-1"),
        q("q=state:pending,retrying", |job| ["PENDING", "RETRYING"].contains(&job.state)),
        q("q=type:email.*+worker:w-*", |job| {
            job.job_type.starts_with("email.") && job.worker.starts_with("w-")
        }),
        q("q=queue:%22%22", |job| job.queue.is_empty()),
        q("q=DIGEST", |job| job.job_type == "email.digest"),
        q("q=%22took+100%25%22", |job| ["FAILED", "RETRYING"].contains(&job.state)),
        q("q=%22took+1%22+state:failed", |job| job.state == "FAILED"),
        q("q=nothing-like-it", |_| false),
        q("q=age:%3E1m", |_| true),
        q("q=age:%3C1m", |_| false),
        q("retired=true", |_| false),
        q("retired=any&type=report", |job| job.job_type == "report"),
        (format!("q={one}"), Box::new(move |job| job.id == one)),
        (format!("createdAfter={}", at(20)), Box::new(|job| job.created > 20)),
        (
            format!("finishedAfter={}&finishedBefore={}", at(10), at(30)),
            Box::new(|job| job.finished.is_some_and(|finished| finished > 10 && finished < 30)),
        ),
    ]
}

fn lists_have_what_matches_in_pages(service: &Service, known: &Known) {
    for (question, matches) in questions(known) {
        let mut wanted: Vec<_> = known.jobs.iter().filter(|job| matches(job)).collect();
        wanted.sort_by_key(|job| (std::cmp::Reverse(job.created), &job.id));
        let wanted: Vec<_> = wanted.into_iter().map(|job| job.id.as_str()).collect();
        let mut ids = Vec::new();
        let mut next = String::new();
        loop {
            let page = service.get(&format!("/api/v1/jobs?{question}&limit=50&cursor={next}"));
            assert_eq!(page["total"], wanted.len(), "{question}");
            assert!(page["asOf"].is_string());
            let items = page["items"].as_array().unwrap().iter();
            ids.extend(items.map(|job| job["id"].as_str().unwrap().to_owned()));
            let Some(cursor) = page["nextCursor"].as_str() else { break };
            next = cursor.to_owned();
        }
        assert_eq!(ids, wanted, "{question}");
        let (status, problem) = service.ask(&format!("/api/v1/jobs?{question}&cursor=00"));
        assert_eq!((status, &problem["code"]), (400, &json!("bad_cursor")));
    }
    let cursor = service.get("/api/v1/jobs?limit=1")["nextCursor"].clone();
    let cursor = cursor.as_str().unwrap();
    let (status, problem) = service.ask(&format!("/api/v1/jobs?state=FAILED&cursor={cursor}"));
    assert_eq!((status, &problem["code"]), (400, &json!("bad_cursor")));
}

/// The cube's cells, and the windows' edges, lead to lists of as many jobs.
fn every_number_is_that_of_the_list_behind_it(service: &Service) {
    let snapshot = service.get("/api/v1/snapshot");
    for cell in snapshot["counts"].as_array().unwrap() {
        let text = |name: &str| cell[name].as_str().unwrap().to_owned();
        let q = format!(
            "type:%22{}%22+queue:%22{}%22+worker:%22{}%22",
            text("type"),
            text("queue"),
            text("worker")
        );
        let list = service.get(&format!("/api/v1/jobs?state={}&q={q}", text("state")));
        assert_eq!(list["total"], cell["jobs"], "{cell}");
    }
    let as_of = contracts::Micros::parse(snapshot["asOf"].as_str().unwrap()).unwrap();
    // Nothing is as young as the step of this window, nor as old as its edge.
    let minute = 60_000_000;
    let edge = contracts::Micros(as_of.0.div_euclid(minute) * minute - 60 * minute);
    for row in snapshot["throughput"].as_array().unwrap() {
        let Some(job_type) = row["type"].as_str().filter(|_| row["window"] == "1h") else {
            continue;
        };
        let path = format!("/api/v1/jobs?type={job_type}&finishedAfter={edge}");
        assert_eq!(service.get(&path)["total"], row["finished"], "{row}");
        let failed = format!("{path}&state=FAILED");
        assert_eq!(service.get(&failed)["total"], row["failed"], "{row}");
    }
}

fn a_job_is_told_whole(service: &Service, known: &Known) {
    for job in &known.jobs[..10] {
        let n_events = known.events(job).len();
        let told = until("the job has its events", || {
            let told = service.get(&format!("/api/v1/jobs/{}", job.id));
            (told["timeline"].as_array()?.len() == n_events).then_some(told)
        });
        assert_eq!((&told["state"], &told["type"]), (&json!(job.state), &json!(job.job_type)));
        assert_eq!(told["attempts"].as_array().unwrap().len(), 1);
        let why = &told["why"];
        let deciding = &told["timeline"].as_array().unwrap()[n_events - 1];
        assert_eq!(
            (&why["eventId"], &why["eventType"]),
            (&deciding["eventId"], &deciding["eventType"])
        );
        let by = if n_events == 1 { "alone" } else { "eventType" };
        assert_eq!(why["decidedBy"], by, "{told}");
        let failed = ["FAILED", "RETRYING"].contains(&job.state);
        assert_eq!(told["error"]["kind"] == "Timeout", failed, "{told}");

        let archived = service.get(&format!("/api/v1/jobs/{}/events", job.id));
        assert_eq!(archived["total"], n_events);
        let sent = known.events(job);
        for item in archived["items"].as_array().unwrap() {
            assert!(sent.contains(&item["event"]), "{item}");
            assert_eq!(item["eventId"], item["event"]["eventId"]);
        }
    }
    assert_eq!(service.ask("/api/v1/jobs/0193d5a8-ffff-7000-8000-000000000000").0, 404);
}

fn the_history_has_what_happened(service: &Service, known: &Known) {
    let (from, to) = (rfc3339(known.begin), rfc3339(known.begin + 60));
    let path = format!("/api/v1/history?from={from}&to={to}&by=type");
    let history = service.get(&path);
    let series = history["series"].as_array().unwrap();
    assert_eq!(series.len(), 4, "{history}");
    for series in series {
        let of = |job: &&Job| series["type"].is_null() || series["type"] == job.job_type;
        let jobs = || known.jobs.iter().filter(of);
        let point = &series["points"][0];
        assert_eq!(point["created"], jobs().count());
        assert_eq!(point["finished"], jobs().filter(|job| job.finished.is_some()).count());
        assert_eq!(point["failed"], jobs().filter(|job| job.state == "FAILED").count());
        let runs: Vec<u64> =
            jobs().filter_map(|job| job.finished.map(|at| at - job.created)).collect();
        let mean = runs.iter().sum::<u64>() as f64 / runs.len() as f64;
        assert!((point["runMean"].as_f64().unwrap() - mean).abs() < 1e-6, "{point}");
        assert_eq!(series["points"].as_array().unwrap().len(), 1);
    }
}

fn latencies_of_a_queue_are_those_of_its_jobs(service: &Service, known: &Known) {
    for (queue, job_type) in [("fast", None), ("slow", Some("report")), ("none", None)] {
        let ended = known.jobs.iter().filter(|job| {
            job.queue == queue
                && job_type.is_none_or(|of| job.job_type == of)
                && job.finished.is_some()
        });
        let mut took: Vec<u64> =
            ended.filter_map(|job| job.finished.map(|at| at - job.created)).collect();
        took.sort_unstable();
        let of_type = job_type.map(|of| format!("&type={of}")).unwrap_or_default();
        let path = format!("/api/v1/latency?queue={queue}&window=all&measure=total{of_type}");
        let answer = service.get(&path);
        let rows = answer["latency"].as_array().unwrap().iter();
        let rows: Vec<_> = rows.filter(|row| row["type"].as_str() == job_type).collect();
        assert_eq!(rows.len(), usize::from(!took.is_empty()), "{answer}");
        let Some(longest) = took.last() else { continue };
        assert_eq!((&rows[0]["samples"], &rows[0]["queue"]), (&json!(took.len()), &json!(queue)));
        let max = rows[0]["max"].as_f64().unwrap();
        assert!((max / *longest as f64 - 1.0).abs() < 0.001, "{max} of {longest}");
    }
}

fn views_are_those_of_one_snapshot(service: &Service) {
    for view in ["latency", "throughput", "alerts"] {
        let answer = service.get(&format!("/api/v1/{view}"));
        assert!(answer[view].is_array() && answer["asOf"].is_string(), "{answer}");
    }
    let latency = service.get("/api/v1/latency?type=report&window=all&measure=run");
    assert_eq!(latency["latency"].as_array().unwrap().len(), 1, "{latency}");
    let letters = service.get("/api/v1/deadletters");
    assert_eq!(letters["total"], 0, "{letters}");
    let rules = service.get("/api/v1/rules");
    assert!(!rules["rules"].as_array().unwrap().is_empty(), "{rules}");
    assert_eq!(service.get("/api/v1/alerts?state=resolved")["alerts"], json!([]));
    let stats = service.get("/stats");
    assert_eq!((&stats["totalJobs"], &stats["completedJobs"]), (&json!(120), &json!(24)));
    assert_eq!(service.get("/jobs/recent").as_array().unwrap().len(), 10);
}
