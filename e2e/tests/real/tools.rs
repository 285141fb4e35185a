//! The tools, against the roles and the servers.

use std::path::{Path, PathBuf};

use contracts::JobId;
use e2e::Servers;
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use mongodb::bson::{Document, doc};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::program::{Ended, Role, World};
use super::support::{self, until};

/// Files of a producer.
struct Journals {
    folder: TempDir,
}

impl Journals {
    fn new() -> Journals {
        Journals { folder: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn confirmed(&self) -> PathBuf {
        self.path("confirmed")
    }

    fn attempted(&self) -> PathBuf {
        self.path("attempted")
    }

    /// The arguments of `loadgen`, with these.
    fn loadgen(&self, arguments: &str) -> Vec<String> {
        self.arguments("loadgen", arguments)
    }

    /// The arguments of `verify`, with these.
    fn verify(&self, arguments: &str) -> Vec<String> {
        self.arguments("verify", arguments)
    }

    fn arguments(&self, tool: &str, arguments: &str) -> Vec<String> {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let mut all = vec![tool.to_owned(), "--output".to_owned(), "json".to_owned()];
        all.extend(["--journal".to_owned(), text(self.confirmed())]);
        all.extend(["--attempts".to_owned(), text(self.attempted())]);
        all.extend(arguments.split_whitespace().map(str::to_owned));
        all
    }
}

fn run(world: &World, arguments: &[String]) -> Ended {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    world.tool(&arguments)
}

fn n_lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// The differences that `verify` told of, as `check: place`.
#[track_caller]
fn differences(ended: &Ended) -> Vec<String> {
    let json = ended.json();
    let checks = json["checks"].as_array().unwrap();
    let told = checks.iter().flat_map(|check| {
        let first = check["first"].as_array().unwrap().iter();
        first.map(|one| format!("{}: {}", check["check"], one["place"]))
    });
    told.collect()
}

#[track_caller]
fn equal(ended: &Ended) {
    assert_eq!(
        (ended.code, ended.json()["verdict"].as_str()),
        (Some(0), Some("equal")),
        "{ended:#?}"
    );
}

/// That a difference is found, and in these places.
#[track_caller]
fn differs(ended: &Ended, places: &[&str]) {
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    let told = differences(ended);
    for place in places {
        assert!(told.iter().any(|told| told.contains(place)), "{place} is not among {told:#?}");
    }
}

/// What makes the events of a generator hard to get right.
const ROUGH: &str = "--rate 0 --failing 100 --retrying 200 --hanging 20 --duplicates 100 \
    --disorder 200 --skew 500 --types 7";

#[tokio::test(flavor = "multi_thread")]
async fn verify_agrees_with_what_was_generated_and_names_whatever_was_changed_by_hand() {
    let world = World::new("verify");
    let (_pipeline, api) = (world.ready("pipeline"), world.ready("api"));
    let (journals, batches) = (Journals::new(), Journals::new());

    let one_by_one = run(&world, &journals.loadgen(&format!("{ROUGH} --jobs 300 --seed 7")));
    assert_eq!(one_by_one.code, Some(0), "{one_by_one:#?}");
    let in_batches =
        run(&world, &batches.loadgen(&format!("{ROUGH} --jobs 200 --seed 8 --batch 40")));
    for (ended, jobs, journals) in [(&one_by_one, 300, &journals), (&in_batches, 200, &batches)] {
        let told = ended.json();
        assert_eq!((&told["jobs"], &told["unconfirmed"]), (&jobs.into(), &0.into()), "{ended:#?}");
        assert_eq!(told["confirmed"], n_lines(&journals.confirmed()));
        assert_eq!(told["published"], n_lines(&journals.attempted()));
    }
    // What was published in both runs is what there should be.
    for (from, to) in
        [(batches.confirmed(), journals.confirmed()), (batches.attempted(), journals.attempted())]
    {
        let both = [std::fs::read(&to).unwrap(), std::fs::read(&from).unwrap()].concat();
        std::fs::write(to, both).unwrap();
    }

    let verify = journals.verify(&format!("--api http://{}", api.address));
    equal(&run(&world, &verify));
    let truth = world.tool(&["replay", journals.confirmed().to_str().unwrap(), "--output", "json"]);
    assert_eq!(truth.json()["jobs"], 500, "the journal is a stream for replay");

    // PostgreSQL.
    let postgres = support::postgres(&world.postgres).await;
    let change = "UPDATE jobs SET worker = worker || 'x' WHERE id = (SELECT min(id::text)::uuid FROM jobs) RETURNING id";
    let id: JobId = postgres.query_one(change, &[]).await.unwrap().get(0);
    let found = run(&world, &verify);
    differs(&found, &[&format!("job {id}, worker"), "PostgreSQL counts"]);
    let back = "UPDATE jobs SET worker = rtrim(worker, 'x') WHERE id = $1";
    postgres.execute(back, &[&id]).await.unwrap();
    let cell = "(SELECT min(state) FROM counts)";
    let change = |by: i64| format!("UPDATE counts SET jobs = jobs + {by} WHERE state = {cell}");
    postgres.batch_execute(&change(1)).await.unwrap();
    differs(&run(&world, &verify), &["PostgreSQL counts", "PostgreSQL sums"]);
    postgres.batch_execute(&change(-1)).await.unwrap();
    equal(&run(&world, &verify));

    // Redis.
    let mut redis = support::redis(&world.redis.url()).await;
    let mut hash = redis::cmd("HGETALL");
    let fields: Vec<(String, String)> =
        hash.arg("observatory:snapshot").query_async(&mut redis).await.unwrap();
    let (field, value) = fields.iter().find(|(field, _)| field.starts_with("counts:")).unwrap();
    let mut gone = redis::cmd("HDEL");
    let () = gone.arg("observatory:snapshot").arg(field).query_async(&mut redis).await.unwrap();
    differs(&run(&world, &verify), &["Redis counts"]);
    let mut back = redis::cmd("HSET");
    let () = back
        .arg("observatory:snapshot")
        .arg(field)
        .arg(value)
        .query_async(&mut redis)
        .await
        .unwrap();
    equal(&run(&world, &verify));

    // MongoDB.
    let client = mongodb::Client::with_uri_str(&world.mongodb).await.unwrap();
    let events = client.default_database().unwrap().collection::<Document>("job_events");
    let finished = events.find_one(doc! { "eventType": "job.completed" }).await.unwrap().unwrap();
    let event = finished.get_str("_id").unwrap();
    events.delete_one(doc! { "_id": event }).await.unwrap();
    let job = finished.get_document("payload").unwrap().get_str("id").unwrap();
    let found = run(&world, &verify);
    differs(&found, &[&format!("job {job}, state"), &format!("event {event}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_nobody_published_is_unexpected_and_one_without_a_row_is_missing() {
    let world = World::new("unexpected");
    let _pipeline = world.ready("pipeline");
    let journals = Journals::new();
    let sent = run(&world, &journals.loadgen("--rate 0 --jobs 20 --hanging 0 --seed 3"));
    assert_eq!(sent.code, Some(0), "{sent:#?}");
    let others = world.tool(&["loadgen", "--rate", "0", "--jobs", "1", "--seed", "4"]);
    assert_eq!(others.code, Some(0), "{others:#?}");
    differs(&run(&world, &journals.verify("")), &["never published"]);

    let postgres = support::postgres(&world.postgres).await;
    postgres
        .batch_execute("DELETE FROM jobs WHERE id IN (SELECT id FROM jobs LIMIT 1)")
        .await
        .unwrap();
    differs(&run(&world, &journals.verify("")), &["one for each job of the archive"]);
}

#[test]
fn a_generator_goes_on_when_its_broker_has_been_killed_and_nothing_confirmed_is_lost() {
    let mut broker = e2e::Broker::start();
    let servers = Servers::shared();
    let world = World {
        vhost: broker.vhost("loadgen"),
        postgres: servers.database(),
        redis: servers.redis(),
        mongodb: servers.mongo_database(),
    };
    let journals = Journals::new();
    let arguments = journals.loadgen("--rate 500 --jobs 1000 --seed 5");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = world.command(&arguments);
    let generator = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    until("it has published something", || (n_lines(&journals.confirmed()) > 300).then_some(()));
    broker.kill();
    broker.restart();
    let output = generator.wait_with_output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    assert_eq!((&told["jobs"], &told["unconfirmed"]), (&1_000.into(), &0.into()), "{told}");

    let _pipeline = world.ready("pipeline");
    equal(&run(&world, &journals.verify("")));
}

#[test]
fn a_generator_that_is_told_to_stop_waits_for_its_confirms() {
    let world = World::new("stop");
    let journals = Journals::new();
    let arguments = journals.loadgen("--rate 500");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = world.command(&arguments);
    let generator = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    until("it has published something", || (n_lines(&journals.confirmed()) > 100).then_some(()));
    let pid = Pid::from_raw(generator.id().cast_signed()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let output = generator.wait_with_output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    assert_eq!(
        (&told["unconfirmed"], &told["confirmed"]),
        (&0.into(), &told["published"]),
        "{told}"
    );
    assert_eq!(told["confirmed"], n_lines(&journals.confirmed()));
    let text = std::fs::read_to_string(journals.confirmed()).unwrap();
    assert!(text.lines().all(|line| contracts::decode(line.as_bytes()).is_ok()));
}

#[test]
fn a_server_that_is_not_there_is_told_by_the_exit_code() {
    let world = World::new("away");
    let nowhere = "amqp://guest:guest@127.0.0.1:1/%2f";
    let ended = world.tool(&["loadgen", "--jobs", "1", "--rabbitmq-url", nowhere]);
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    let stranger = world.vhost.url().replace("guest:guest", "guest:wrong");
    let ended = world.tool(&["loadgen", "--jobs", "1", "--rabbitmq-url", &stranger]);
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    assert!(!ended.stderr.contains("wrong"), "{ended:#?}");
    let nowhere = "postgres://a@127.0.0.1:1/b";
    let ended = world.tool(&["verify", "--postgres-url", nowhere]);
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    let ended = world.tool(&["verify", "--redis-url", "redis://127.0.0.1:1"]);
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    let nowhere = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=500";
    let ended = world.tool(&["verify", "--mongodb-url", nowhere]);
    assert_eq!(ended.code, Some(5), "{ended:#?}");
}

/// A message for the exchange, as anybody may publish it.
async fn publish(world: &World, exchange: &str, key: &str, body: &[u8], headers: &[(&str, &str)]) {
    let amqp = support::Amqp::connect(world.vhost.url()).await;
    let mut table = FieldTable::default();
    for (name, value) in headers {
        table.insert((*name).into(), AMQPValue::LongString((*value).into()));
    }
    let properties = BasicProperties::default().with_delivery_mode(2).with_headers(table);
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let sent = amqp.channel.basic_publish(exchange.into(), key.into(), options, body, properties);
    let confirmation = sent.await.unwrap().await.unwrap();
    assert!(confirmation.is_ack());
    assert!(confirmation.take_message().is_none(), "no queue wants {key}");
}

/// Waits until there are so many dead letters; gives their reasons.
#[track_caller]
fn dead_letters(world: &World, n: u64) -> Vec<String> {
    until("the dead letters are there", || {
        let list = world.tool(&["dlq", "list", "--output", "json"]);
        let json = list.json();
        let reasons = json["letters"].as_array()?.iter().map(|one| one["reason"].to_string());
        let reasons: Vec<String> = reasons.collect();
        (json["inQueue"] == n && reasons.len() as u64 == n).then_some(reasons)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_shown_without_harm_and_go_back_to_where_they_came_from() {
    let world = World::new("dlq");
    let (_pipeline, api) = (world.ready("pipeline"), world.ready("api"));
    publish(&world, "jobs", "job.created", b"\x1b[2J\x1b]0;owned\x07{", &[]).await;
    publish(&world, "jobs", "job.exploded", br#"{"eventType":"job.exploded"}"#, &[]).await;
    let mut reasons = dead_letters(&world, 2);
    reasons.sort();
    assert_eq!(reasons, [r#""bad_json""#, r#""unknown_type""#]);
    let table = world.tool(&["dlq", "list"]).stdout;
    assert!(table.contains(r"\x1b[2J") && !table.contains(['\u{1b}', '\u{7}']), "{table:?}");
    assert_eq!(dead_letters(&world, 2).len(), 2, "looking has taken some away");
    // The API shows the same, and takes nothing away either.
    let seen = api.get("/api/v1/deadletters/letters?reason=bad_json").unwrap();
    assert_eq!((&seen["inQueue"], seen["letters"].as_array().unwrap().len()), (&2.into(), 1));
    let letter = &seen["letters"][0];
    assert_eq!(
        (&letter["exchange"], &letter["routingKey"]),
        (&"jobs".into(), &"job.created".into())
    );
    assert_eq!(letter["start"], r"\x1b[2J\x1b]0;owned\x07{");
    assert_eq!(dead_letters(&world, 2).len(), 2, "looking has taken some away");

    let replayed = world.tool(&["dlq", "replay", "--reason", "unknown_type", "--output", "json"]);
    assert_eq!((replayed.code, &replayed.json()["replayed"]), (Some(0), &1.into()), "{replayed:?}");
    assert_eq!(dead_letters(&world, 2).len(), 2, "what is rejected again is there again");

    // What is good goes in; what has nowhere to go stays.
    let job = "01936a3e-0000-7000-8000-000000000003";
    let good = format!(
        r#"{{"contractVersion":"1.1.0","eventType":"job.created","eventId":"01936a3e-0000-7000-8000-000000000001","occurredAt":"2026-11-21T10:00:00Z","producer":{{"service":"s","instanceId":"i","version":"1"}},"correlationId":"01936a3e-0000-7000-8000-000000000002","idempotencyKey":"k","payload":{{"id":"{job}","type":"t","status":"PENDING","createdAt":"2026-11-21T10:00:00Z"}}}}"#
    );
    let from = |key| [("x-reason", "schema"), ("x-exchange", "jobs"), ("x-routing-key", key)];
    publish(&world, "jobs.dlx", "schema", good.as_bytes(), &from("job.created")).await;
    publish(&world, "jobs.dlx", "schema", b"{}", &from("nobody.listens")).await;
    dead_letters(&world, 4);
    let replayed = world.tool(&["dlq", "replay", "--reason", "schema", "--output", "json"]);
    let told = replayed.json();
    assert_eq!((replayed.code, &told["replayed"]), (Some(1), &1.into()), "{replayed:?}");
    assert_eq!(told["unroutable"], 1);
    until("the job is there", || api.get(&format!("/api/v1/jobs/{job}")));
    assert_eq!(dead_letters(&world, 3).len(), 3);
}

#[test]
fn the_gate_is_green_when_all_work_together_and_red_without_a_worker() {
    let world = World::new("gate");
    // The SHA-256 of "of the gate".
    let hash = "65a2aac0aaa361bb0bef1c0a5db857e5737e375d74017b891d797b8ee721ba24";
    let tokens = [("OBSERVATORY_TOKENS", &*format!("gate write {hash}"))];
    let (pipeline, mut worker) = (world.ready("pipeline"), world.ready("worker"));
    let guarded = ["gateway", "api"].map(|role| {
        let role = world.start_with(role, &tokens);
        until("the role is ready", || role.is_ready().then_some(()));
        role
    });
    let [gateway, api] = &guarded;
    let url = |role: &Role| format!("http://{}", role.address);
    let urls = [url(gateway), url(api), url(&pipeline), url(&worker)];
    let gate = |within: &str| {
        let mut arguments = vec!["gate", "--output", "json", "--within", within];
        arguments.extend(["--token", "of the gate"]);
        for (option, url) in ["--gateway", "--api", "--pipeline", "--worker"].iter().zip(&urls) {
            arguments.extend([option, url.as_str()]);
        }
        let ended = world.tool(&arguments);
        let json = ended.json();
        let of = |verdict: &str| -> Vec<String> {
            let checks = json["checks"].as_array().unwrap().iter();
            let those = checks.filter(|check| check["verdict"] == verdict);
            those.map(|check| check["id"].as_str().unwrap().to_owned()).collect()
        };
        (ended.code, of("passed"), of("failed"), ended)
    };
    let (code, passed, failed, ended) = gate("60s");
    assert_eq!((code, passed.len(), failed.len()), (Some(0), 20, 0), "{ended:#?}");
    assert_eq!(gate("60s").0, Some(0), "once more");

    worker.kill();
    let (code, passed, failed, ended) = gate("15s");
    assert_eq!(
        (code, &*failed),
        (Some(3), &["worker.live".into(), "lifecycle".into()][..]),
        "{ended:#?}"
    );
    assert!(passed.contains(&"submit".to_owned()), "{ended:#?}");
}
