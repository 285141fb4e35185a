//! Celery's events through a real broker: recorded ones, and those of real workers.
//!
//! ```text
//!   recording, or Celery's clients and workers ──celeryev──▶ observatory.celery ──▶ up --celery
//!                      └── result backend ──truth──▶ compared ◀── /api/v1/jobs ──────────┘
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use contracts::Micros;
use e2e::{Queue, Servers, Vhost};
use ingress::amqp::topology::{CELERY, DEAD_LETTERS};
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use serde_json::{Value, json};

use crate::program::{Ended, Role, World, observatory};
use crate::support::celery::{Application, Flower};
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
    as_recorded(&after, &vhost);
}

/// That all tasks of the recording are as their backend has them.
#[track_caller]
fn as_recorded(service: &Role, vhost: &Vhost) {
    until("all tasks are there", || (jobs(service) == 96).then_some(()));
    emptied(vhost);
    for truth in recording("truth.jsonl.gz") {
        let id = truth["id"].as_str().unwrap();
        let expected = states(truth["backend_state"].as_str());
        let job = until("the job is in its state", || {
            Some(job(service, id)).filter(|job| job["state"] == expected)
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
fn a_pipeline_on_servers_that_is_killed_amid_celery_has_what_its_archive_says() {
    let world = World::new("celery-roles");
    let celery = [("OBSERVATORY_CELERY", "true")];
    let mut pipeline = world.start_with("pipeline", &celery);
    until("it consumes", || (world.vhost.queue(CELERY.name)?.consumers == 1).then_some(()));
    let api = world.ready("api");
    let deliveries = deliveries();
    let (first, second) = deliveries.split_at(deliveries.len() / 2);
    let amqp = runtime().block_on(Amqp::connect(world.vhost.url()));
    runtime().block_on(publish(&amqp, first));
    pipeline.kill();
    runtime().block_on(publish(&amqp, second));
    let _pipeline = world.start_with("pipeline", &celery);
    as_recorded(&api, &world.vhost);
    let ended =
        world.tool(&["verify", "--output", "json", "--api", &format!("http://{}", api.address)]);
    assert_eq!((ended.code, &ended.json()["verdict"]), (Some(0), &json!("equal")), "{ended:#?}");
    // They were there when they were recorded, and have not been heard of since.
    let workers = api.get("/api/v1/workers").unwrap();
    assert_eq!(workers["total"], 2, "{workers}");
    for worker in workers["items"].as_array().unwrap() {
        let ours =
            api.get(&format!("/api/v1/jobs?limit=1&worker={}", worker["worker"].as_str().unwrap()));
        let counted: u64 =
            worker["jobs"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!(ours.unwrap()["total"], counted, "{worker}");
        assert_eq!(worker["last"]["software"], "py-celery", "{worker}");
    }
}

#[test]
fn two_brokers_are_watched_at_once_and_what_is_called_alike_is_told_apart() {
    let (here, there) =
        (Servers::shared().vhost("celery-eu"), Servers::shared().vhost("celery-us"));
    let folder = tempfile::tempdir().unwrap();
    // Nobody is at the third, which keeps no alert from being judged.
    let nowhere = "amqp://guest:guest@127.0.0.1:1/%2f";
    let sources = format!("eu={},us={},gone={nowhere}", here.url(), there.url());
    let rules = folder.path().join("rules.yaml");
    let rule = "groups: [{name: a, rules: [{alert: Seen, expr: 'jobs by (queue) >= 1'}]}]";
    std::fs::write(&rules, rule).unwrap();
    let rules = rules.to_str().unwrap();
    let arguments = ["--rabbitmq-url", here.url(), "--celery-source", &sources, "--rules", rules];
    let seen = Role::alone(folder.path(), &arguments);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    for (vhost, task) in [
        (&here, "6f6f0000-0000-4000-8000-000000000001"),
        (&there, "6f6f0000-0000-4000-8000-000000000002"),
    ] {
        until("it consumes", || (vhost.queue(CELERY.name)?.consumers == 1).then_some(()));
        let event = |kind: &str, clock| {
            json!({"type": kind, "uuid": task, "hostname": "w@a", "pid": 1, "clock": clock, "utcoffset": 0,
                "timestamp": now, "name": "tasks.add", "queue": "celery"})
        };
        let heartbeat = json!({"type": "worker-heartbeat", "hostname": "w@a", "pid": 1, "clock": 9,
            "timestamp": now, "freq": 60, "active": 1, "processed": 3, "sw_ident": "py-celery"});
        let body = json!([event("task-sent", 1), event("task-started", 2), heartbeat]).to_string();
        let delivery = Recorded { routing_key: "task.multi".to_owned(), body };
        let amqp = runtime().block_on(Amqp::connect(vhost.url()));
        runtime().block_on(publish(&amqp, &[delivery]));
    }
    let counted = until("both are counted", || {
        let counts = seen.get("/api/v1/counts?by=queue,worker")?;
        (counts["jobs"] == 2).then(|| counts["counts"].clone())
    });
    let expected = json!([
        {"queue": "eu/celery", "worker": "eu/w@a", "jobs": 1},
        {"queue": "us/celery", "worker": "us/w@a", "jobs": 1}
    ]);
    assert_eq!(counted, expected);
    assert_eq!(seen.get("/api/v1/jobs?q=worker:eu/*").unwrap()["total"], 1);
    until("alerts are judged", || {
        let alerts = seen.get("/api/v1/alerts")?;
        (alerts["alerts"].as_array()?.len() == 2).then_some(())
    });
    let workers = until("both are heard of", || {
        let workers = seen.get("/api/v1/workers?presence=online")?;
        (workers["total"] == 2).then(|| workers["items"].clone())
    });
    assert_eq!(
        (&workers[0]["worker"], &workers[0]["jobs"]),
        (&json!("eu/w@a"), &json!({"EXECUTING": 1}))
    );
    // What is none of its events waits here, says where it came from, and does not go to another.
    let amqp = runtime().block_on(Amqp::connect(there.url()));
    let bad = Recorded { routing_key: "task.multi".to_owned(), body: "{".to_owned() };
    runtime().block_on(publish(&amqp, &[bad]));
    until("it is put aside", || (here.queue(DEAD_LETTERS)?.ready == 1).then_some(()));
    let mut replay = observatory(&["dlq", "replay", "--output", "json"]);
    replay.env("RABBITMQ_URL", here.url());
    let replayed = Ended::of(replay);
    assert_eq!(
        (replayed.code, &replayed.json()["unroutable"]),
        (Some(1), &json!(1)),
        "{replayed:?}"
    );
    let letters = runtime().block_on(dead_letters(here.url()));
    assert_eq!((letters.len(), &*letters[0].2["x-source"]), (1, "us"));
    assert_eq!(seen.metric("observatory_workers_heard{presence=\"online\"}"), Some(2.0));
    assert!(seen.metric("observatory_celery_acked_total{source=\"us\"}") >= Some(1.0));
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

fn worker(service: &Role, name: &str) -> Option<Value> {
    let workers = service.get("/api/v1/workers")?;
    workers["items"].as_array()?.iter().find(|worker| worker["worker"] == name).cloned()
}

/// A worker as it is when it is there.
#[track_caller]
fn online(service: &Role, name: &str) -> Value {
    until(&format!("{name} is there"), || {
        worker(service, name).filter(|worker| worker["presence"] == "online")
    })
}

/// Tells what Flower shows of the same tasks at the same moment, for the table in the documents.
fn compare_with_flower(which: &str, truths: &[Value], flower: &Flower) -> BTreeMap<String, u64> {
    let shown = until("Flower answers", || flower.tasks());
    let mut table = BTreeMap::<String, u64>::new();
    let mut ahead = 0;
    for task in truths {
        let found = shown.get(task["id"].as_str().unwrap());
        let state = found.map_or("not known", |task| task["state"].as_str().unwrap_or_default());
        *table.entry(format!("{} {state}", task["intent"].as_str().unwrap())).or_default() += 1;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    for task in shown.values() {
        ahead += u64::from(task["timestamp"].as_f64().unwrap_or_default() > now + 3_600.0);
    }
    #[expect(clippy::print_stderr, reason = "it is what the table in docs/celery.md is made of")]
    {
        eprintln!("Flower, {which}, of {} tasks: {table:?}; {ahead} hours ahead", truths.len());
    }
    assert!(!shown.is_empty(), "Flower knows of none: it was not there");
    table
}

#[test]
fn real_workers_in_two_time_zones_are_seen_as_their_backend_has_them() {
    let vhost = Servers::shared().vhost("celery-live");
    let folder = tempfile::tempdir().unwrap();
    let mut seen = service(folder.path(), &vhost);
    let application = Application::new(vhost.url());
    // One that is killed when we are, and one that is not.
    let (mut flower, steady) = (application.flower(), application.flower());
    let _one = application.worker("w1@a", "UTC", "tasks");
    let mut other = application.worker("w2@b", "Asia/Kolkata", "tasks,w2");
    until("both workers consume", || (vhost.queue("tasks")?.consumers == 2).then_some(()));

    // We are killed while it goes on, and are away for some of it.
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| application.run("send"));
        until("some of it has been seen", || (jobs(&seen) > 10).then_some(()));
        seen.kill();
        flower.kill();
        sending.join().unwrap();
    });
    let flower = application.flower();
    let seen = service(folder.path(), &vhost);
    for worker in ["w1@a", "w2@b"] {
        online(&seen, worker);
    }
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
        // That it has ended is concluded from its worker's having nothing to do, which that of some has.
        if task["intent"] == "ignored" {
            continue;
        }
        let expected = states(task["state"].as_str());
        until(&format!("{task} is {expected}"), || {
            (job(&seen, task["id"].as_str()?)["state"] == expected).then_some(())
        });
    }
    // Without a word to anybody, until it begins anew.
    let first_life = online(&seen, "w2@b")["onlineAt"].clone();
    other.kill();
    until("it is missed", || (worker(&seen, "w2@b")?["presence"] == "silent").then_some(()));
    let _again = application.worker("w2@b", "Asia/Kolkata", "tasks,w2");
    until("it is there again, and has nothing to do", || {
        let worker = online(&seen, "w2@b");
        (worker["onlineAt"] != first_life && worker["last"]["active"] == 0).then_some(())
    });

    assert!(truths.len() > 40, "{} tasks", truths.len());
    let mut intents = BTreeMap::<String, u64>::new();
    for task in &truths {
        let id = task["id"].as_str().unwrap();
        *intents.entry(task["intent"].as_str().unwrap().to_owned()).or_default() += 1;
        let expected = match task["state"].as_str() {
            _ if task["intent"] == "lost" => "FAILED",
            // It ends without a word, which may be concluded only when its worker begins anew.
            _ if task["intent"] == "ignored" => {
                let job = until("that it has ended is concluded", || {
                    Some(job(&seen, id)).filter(|job| job["inferred"] == true)
                });
                // The one worker is never killed, so its tasks can not be lost.
                let lost = job["state"] == "FAILED" && job["worker"] == "w2@b";
                assert!(lost || job["state"] == "ABANDONED", "{task} {job}");
                continue;
            }
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
    compare_with_flower("restarted with us", &truths, &flower);
    let shown = compare_with_flower("never restarted", &truths, &steady);
    for (intent, state) in [("expired", "PENDING"), ("ignored", "STARTED"), ("lost", "STARTED")] {
        let shown = shown.keys().filter(|shown| shown.starts_with(intent));
        assert!(shown.clone().all(|shown| shown.ends_with(state)), "{shown:?}");
    }
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
