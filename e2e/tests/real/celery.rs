//! Celery's events through a real broker: recorded ones, and those of real workers.
//!
//! ```text
//!   recording, or Celery's clients and workers ──celeryev──▶ observatory.celery ──▶ up --celery
//!                      └── result backend ──truth──▶ compared ◀── /api/v1/jobs ──────────┘
//! ```

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use contracts::Micros;
use e2e::{Queue, Servers, Vhost, kept};
use ingress::amqp::topology::CELERY;
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::program::Role;
use crate::support::{Amqp, dead_letters, runtime, until};

/// A delivery as it was recorded.
struct Recorded {
    routing_key: String,
    body: String,
}

fn recording(name: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../observatory/tests/celery");
    let output = Command::new("gzip").arg("-dc").arg(folder.join(name)).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The recording, as if it had ended ten seconds ago: what is too old is in no view.
fn deliveries() -> Vec<Recorded> {
    let deliveries = recording("events.jsonl.gz");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let ended = deliveries.last().unwrap()["recv"].as_f64().unwrap();
    let shift = (now - ended - 10.0).floor();
    let moved = |mut event: Value| {
        event["timestamp"] = (event["timestamp"].as_f64().unwrap() + shift).into();
        if let Some(expires) = event["expires"].as_str() {
            let expires = Micros::parse(expires).unwrap().0 + shift as i64 * 1_000_000;
            event["expires"] = Micros(expires).to_string().into();
        }
        event
    };
    let recorded = deliveries.iter().map(|delivery| {
        let body = serde_json::from_str(delivery["body"].as_str().unwrap()).unwrap();
        let body = match body {
            Value::Array(events) => events.into_iter().map(moved).collect(),
            event => moved(event),
        };
        let routing_key = delivery["routing_key"].as_str().unwrap().to_owned();
        Recorded { routing_key, body: body.to_string() }
    });
    recorded.collect()
}

async fn publish(amqp: &Amqp, deliveries: &[Recorded]) {
    for Recorded { routing_key, body } in deliveries {
        // As kombu does it: not persistent, and nothing to tell one from another.
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_content_encoding("utf-8".into())
            .with_delivery_mode(1)
            .with_priority(0);
        let (exchange, key) = (CELERY.exchange.into(), routing_key.as_str().into());
        let (options, body) = (BasicPublishOptions::default(), body.as_bytes());
        let sent = amqp.channel.basic_publish(exchange, key, options, body, properties);
        assert!(sent.await.unwrap().await.unwrap().is_ack());
    }
}

fn service(folder: &Path, vhost: &Vhost) -> Role {
    let service = Role::alone(folder, &["--celery", "--rabbitmq-url", vhost.url()]);
    // What is published before is for nobody.
    until("it consumes", || (vhost.queue(CELERY.name)?.consumers == 1).then_some(()));
    service
}

/// Jobs that the service shows.
fn jobs(service: &Role) -> u64 {
    let snapshot = service.get("/api/v1/snapshot").unwrap_or_default();
    snapshot["jobs"].as_u64().unwrap_or(0)
}

fn job(service: &Role, id: &str) -> Value {
    service.get(&format!("/api/v1/jobs/{id}")).unwrap_or_default()
}

fn emptied(vhost: &Vhost) {
    until("everything is acknowledged", || {
        let Queue { ready, unacked, .. } = vhost.queue(CELERY.name)?;
        (ready == 0 && unacked == 0).then_some(())
    });
}

/// What Celery's own backend says of a state of ours.
fn states(backend: Option<&str>) -> &'static str {
    match backend {
        Some("SUCCESS") => "COMPLETED",
        Some("FAILURE") => "FAILED",
        Some("REVOKED") => "CANCELLED",
        // `Ignore` ends a task without a word, to the backend as well.
        Some("STARTED") => "EXECUTING",
        // It has no record of what the broker dropped.
        None | Some("PENDING") => "CANCELLED",
        Some(other) => panic!("a state of Celery: {other}"),
    }
}

#[test]
fn what_celery_told_while_we_were_away_is_not_lost() {
    let vhost = Servers::shared().vhost("celery");
    let folder = tempfile::tempdir().unwrap();
    let deliveries = deliveries();
    let (first, second) = deliveries.split_at(deliveries.len() / 2);
    let mut before = service(folder.path(), &vhost);

    let amqp = runtime().block_on(Amqp::connect(vhost.url()));
    runtime().block_on(publish(&amqp, first));
    // In the middle of whatever it does.
    before.kill();
    runtime().block_on(publish(&amqp, second));
    until("the rest waits", || {
        let Queue { ready, .. } = vhost.queue(CELERY.name)?;
        (ready >= second.len() as u64).then_some(())
    });
    drop(before);

    let after = service(folder.path(), &vhost);
    until("all tasks are there", || (jobs(&after) == 96).then_some(()));
    emptied(&vhost);
    for truth in recording("truth.jsonl.gz") {
        let id = truth["id"].as_str().unwrap();
        let expected = states(truth["backend_state"].as_str());
        let job = until("the job is in its state", || {
            Some(job(&after, id)).filter(|job| job["state"] == expected)
        });
        // Nobody has it of a task that never ran.
        assert_eq!(job["type"], truth["name"].as_str().unwrap_or("capp.add"), "{truth}");
        assert_eq!(job["inferred"], truth["backend_state"].is_null(), "{truth}");
        if truth["n_prerun"] != 0 {
            assert_eq!(job["worker"], truth["worker"], "{truth}");
        }
        let retries = truth["backend_retries"].as_u64().unwrap_or(0);
        assert_eq!(job["attempt"], 1 + retries, "{truth}");
    }
    assert!(runtime().block_on(dead_letters(vhost.url())).is_empty());
}

#[test]
fn what_is_no_event_of_celery_is_put_aside_with_its_reason() {
    let vhost = Servers::shared().vhost("celery-dead");
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path(), &vhost);
    let good = deliveries().into_iter().find(|d| d.body.contains("task-started")).unwrap();
    let bodies = ["{", r#"[{"type":"task-started"},7]"#, &good.body];
    let deliveries: Vec<Recorded> = bodies
        .iter()
        .map(|body| Recorded { routing_key: "task.multi".to_owned(), body: (*body).to_owned() })
        .collect();
    let amqp = runtime().block_on(Amqp::connect(vhost.url()));
    runtime().block_on(publish(&amqp, &deliveries));
    until("the good one is in", || (jobs(&service) == 1).then_some(()));
    emptied(&vhost);
    let letters = runtime().block_on(dead_letters(vhost.url()));
    let mut told: Vec<_> = letters
        .iter()
        .map(|(reason, body, headers)| {
            (&**reason, str::from_utf8(body).unwrap(), &*headers["x-exchange"])
        })
        .collect();
    told.sort_unstable();
    let expected = [
        ("bad_json", "{", "celeryev"),
        ("schema", "7", "celeryev"),
        ("schema", r#"{"type":"task-started"}"#, "celeryev"),
    ];
    assert_eq!(told, expected);
}

/// A Celery application: where it is, and what it has.
struct Application {
    folder: tempfile::TempDir,
    broker: String,
}

impl Application {
    fn python(&self) -> Command {
        let mut command = Command::new(kept("celery-5.7.0").join("bin/python"));
        command
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("celery"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("BROKER", &self.broker)
            .env("BACKEND", self.folder.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn ids(&self) -> PathBuf {
        self.folder.path().join("ids.jsonl")
    }

    /// Runs the application's program to its end; gives its lines.
    #[track_caller]
    fn run(&self, what: &str) -> Vec<Value> {
        let output = self.python().args(["app.py", what]).arg(self.ids()).output().unwrap();
        assert!(output.status.success(), "{what} has failed");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn worker(&self, name: &str, zone: &str, queues: &str) -> Worker {
        let mut command = self.python();
        // Its processes are one group, so that none outlives the test.
        command
            .args(["-m", "celery", "-A", "app", "worker", "-E", "-c", "2", "--without-mingle"])
            .args(["-n", name, "-Q", queues, "--loglevel", "ERROR"])
            .env("TZ", zone)
            .stdout(Stdio::null())
            .process_group(0);
        Worker(command.spawn().unwrap())
    }
}

struct Worker(Child);

impl Worker {
    fn kill(&mut self) {
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // It may have ended already.
            kill_process_group(group, Signal::KILL).unwrap_or_default();
        }
        self.0.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn real_workers_in_two_time_zones_are_seen_as_their_backend_has_them() {
    let vhost = Servers::shared().vhost("celery-live");
    let folder = tempfile::tempdir().unwrap();
    let mut seen = service(folder.path(), &vhost);
    let application =
        Application { folder: tempfile::tempdir().unwrap(), broker: vhost.url().to_owned() };
    let _one = application.worker("w1@a", "UTC", "tasks");
    let mut other = application.worker("w2@b", "Asia/Kolkata", "tasks,w2");
    until("both workers consume", || (vhost.queue("tasks")?.consumers == 2).then_some(()));

    // We are killed while it goes on, and are away for some of it.
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| application.run("send"));
        until("some of it has been seen", || (jobs(&seen) > 10).then_some(()));
        seen.kill();
        sending.join().unwrap();
    });
    let seen = service(folder.path(), &vhost);
    application.run("lose");
    let ended = |task: &Value| {
        let open = ["ignored", "expired", "lost"].iter().any(|intent| task["intent"] == *intent);
        open || ["SUCCESS", "FAILURE", "REVOKED"].iter().any(|state| task["state"] == *state)
    };
    let truths = until("all tasks have ended, and one runs", || {
        let truths = application.run("truth");
        let lost = truths.iter().find(|task| task["intent"] == "lost")?;
        (truths.iter().all(ended) && lost["state"] == "STARTED").then_some(truths)
    });
    // A worker sends some events later than it tells its backend; killed before, it never does.
    for task in truths.iter().filter(|task| task["intent"] != "lost") {
        let expected = match task["intent"].as_str() {
            Some("ignored") => "EXECUTING",
            _ => states(task["state"].as_str()),
        };
        until(&format!("{task} is {expected}"), || {
            (job(&seen, task["id"].as_str()?)["state"] == expected).then_some(())
        });
    }
    // Without a word to anybody, until it begins anew.
    other.kill();
    let _again = application.worker("w2@b", "Asia/Kolkata", "tasks,w2");

    assert!(truths.len() > 40, "{} tasks", truths.len());
    let mut intents = BTreeMap::<String, u64>::new();
    for task in &truths {
        let id = task["id"].as_str().unwrap();
        *intents.entry(task["intent"].as_str().unwrap().to_owned()).or_default() += 1;
        let expected = match task["state"].as_str() {
            // The backend hears of some only when they are begun.
            Some("PENDING") if task["intent"] == "ignored" => "EXECUTING",
            _ if task["intent"] == "lost" => "FAILED",
            // Ended without a word, it may be taken for lost with its worker.
            _ if task["intent"] == "ignored" && job(&seen, id)["inferred"] == true => continue,
            state => states(state),
        };
        let job = until(&format!("{task} is {expected}"), || {
            Some(job(&seen, id)).filter(|job| job["state"] == expected)
        });
        let nobody_tells = ["expired", "lost"].iter().any(|intent| task["intent"] == *intent);
        assert_eq!(job["inferred"], nobody_tells, "{task} {job}");
        if let Some(retries) = task["retries"].as_u64().filter(|_| ended(task)) {
            assert_eq!(job["attempt"], 1 + retries, "{task} {job}");
        }
        if let Some(worker) = task["worker"].as_str().filter(|_| task["intent"] != "revoked") {
            assert_eq!(job["worker"], worker, "{task} {job}");
        }
        // Whatever the zone of who tells it.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64;
        let created = Micros::parse(job["createdAt"].as_str().unwrap()).unwrap().0;
        assert!(created <= now && now - created < 600_000_000, "{task} {job}");
        assert!(!job.to_string().contains("sesame"), "arguments stay outside: {job}");
    }
    assert_eq!(jobs(&seen), truths.len() as u64, "{intents:?}");
    let kinds = [
        "autoretry",
        "chain",
        "expired",
        "failure",
        "ignored",
        "limited",
        "lost",
        "rejected",
        "retry",
        "revoked",
        "success",
        "terminated",
    ];
    assert_eq!(intents.keys().map(String::as_str).collect::<Vec<_>>(), kinds);
    emptied(&vhost);
    assert!(runtime().block_on(dead_letters(vhost.url())).is_empty());
}
