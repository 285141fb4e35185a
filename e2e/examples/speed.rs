//! From a queue through all three stores, against each stage by itself, in one run:
//! `cargo run --release -p e2e --example speed [-- JOBS]`.
//!
//! ```text
//!   loadgen ──▶ queue ──▶ pipeline ──▶ PostgreSQL, MongoDB, Redis      how fast, from a full queue
//!                 └─▶ bare consumer      ├─ bare upserts of the same rows
//!                                        └─ bare inserts of the same events
//!   5,000/s ──▶ …  from delivery to ack, and from publish to what Redis and the API's stream show
//! ```
//!
//! All servers are on this machine and take its cores, so what counts are the ratios. PostgreSQL runs
//! without fsync, for the pipeline and for the bare stage alike.

#![expect(clippy::unwrap_used, reason = "a measurement that fails should say where")]
#![expect(clippy::print_stdout, reason = "the numbers")]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use e2e::{Broker, Mongo, Postgres, Redis, Vhost};
use futures_util::{StreamExt, TryStreamExt};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use mongodb::bson::doc;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::options::{Acknowledgment, CollectionOptions, WriteConcern};
use redis::AsyncCommands;
use tempfile::TempDir;
use tokio_postgres::NoTls;
use uuid::Uuid;

#[allow(dead_code, reason = "not everyone needs all of it")]
mod released;

use released::{created, program};

/// Of each measurement; the median counts.
const ROUNDS: usize = 3;

/// As the pipeline has it.
const PREFETCH: u16 = 2_000;

/// Rows of an upsert, documents of an insert: more gain nothing.
const BATCH: usize = 1_000;

/// Events a second, where the time of each is measured.
const PER_SECOND: u32 = 5_000;
const SECONDS: u32 = 20;

/// For the paces above it, and what is no longer live.
const BREAKING_SECONDS: u32 = 10;
const BROKEN: Duration = Duration::from_secs(1);

struct Servers {
    broker: Broker,
    postgres: Postgres,
    redis: Redis,
    mongo: Mongo,
}

/// Where one round happens.
struct World {
    vhost: Vhost,
    postgres: String,
    redis: String,
    mongodb: String,
}

impl Servers {
    fn world(&self) -> World {
        World {
            vhost: self.broker.vhost("speed"),
            postgres: self.postgres.database(),
            redis: self.redis.url(),
            mongodb: self.mongo.database(),
        }
    }
}

impl World {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program()).args(arguments);
        command
            .env("RABBITMQ_URL", self.vhost.url())
            .env("POSTGRES_URL", &self.postgres)
            .env("REDIS_URL", &self.redis)
            .env("MONGODB_URL", &self.mongodb)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Fills the queue with the events of so many jobs; gives how many there are.
    fn fill(&self, jobs: usize) -> usize {
        let folder = TempDir::new().unwrap();
        let journal = folder.path().join("journal");
        let (jobs, journal_path) = (jobs.to_string(), journal.to_str().unwrap());
        let arguments =
            ["loadgen", "--rate", "0", "--seed", "1", "--jobs", &jobs, "--journal", journal_path];
        assert!(self.command(&arguments).status().unwrap().success());
        std::fs::read_to_string(journal).unwrap().lines().count()
    }

    fn role(&self, role: &str) -> Running {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let child = self.command(&[role, "--listen", &listen]).spawn().unwrap();
        Running { child, listen }
    }
}

/// A role, killed when dropped.
struct Running {
    child: Child,
    listen: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().unwrap();
    }
}

impl Running {
    fn metrics(&self) -> Option<String> {
        let mut answer = ureq::get(format!("http://{}/metrics", self.listen)).call().ok()?;
        answer.body_mut().read_to_string().ok()
    }

    fn metric(&self, name: &str) -> Option<f64> {
        let metrics = self.metrics()?;
        let mut lines = metrics.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// From the first delivery until `n` of them are acknowledged.
    fn takes(&self, n: usize) -> Duration {
        let deliveries = || self.metric("observatory_deliveries_total");
        while deliveries().unwrap_or(0.0) == 0.0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let began = Instant::now();
        let acked = || self.metric("observatory_delivery_ack_seconds_count");
        while acked().unwrap_or(0.0) < n as f64 {
            std::thread::sleep(Duration::from_millis(5));
        }
        began.elapsed()
    }

    /// An upper bound of a quantile of the time from delivery to ack, in ms.
    fn ack_ms(&self, quantile: f64) -> f64 {
        let metrics = self.metrics().unwrap();
        let name = "observatory_delivery_ack_seconds_bucket{le=\"";
        let buckets: Vec<(f64, f64)> = metrics
            .lines()
            .filter_map(|line| {
                let (bound, n) = line.strip_prefix(name)?.split_once("\"} ")?;
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
                Some((bound, n.parse().ok()?))
            })
            .collect();
        let n = buckets.last().unwrap().1;
        let bucket = buckets.iter().find(|(_, below)| *below >= quantile * n);
        bucket.unwrap().0 * 1e3
    }
}

#[tokio::main]
async fn main() {
    let jobs = std::env::args().nth(1).map_or(15_000, |jobs| jobs.parse().unwrap());
    let (broker, postgres, redis, mongo) = std::thread::scope(|scope| {
        let broker = scope.spawn(Broker::start);
        let (postgres, redis, mongo) = (Postgres::start(), Redis::start(), Mongo::start());
        (broker.join().unwrap(), postgres, redis, mongo)
    });
    let servers = Servers { broker, postgres, redis, mongo };

    let mut rates: [Vec<f64>; 4] = Default::default();
    let mut written = 0.0;
    for _ in 0..ROUNDS {
        let world = servers.world();
        let n = world.fill(jobs);
        let pipeline = world.role("pipeline");
        let through = pipeline.takes(n);
        drop(pipeline);
        let (rows, upserts) = bare_upserts(&world.postgres).await;
        written = rows as f64 / n as f64;
        let (archived, took) = bare_inserts(&world.mongodb).await;
        let inserts = took.mul_f64(n as f64 / archived as f64);
        world.fill(jobs);
        let consumption = bare_consumption(world.vhost.url(), n).await;
        for (rates, took) in rates.iter_mut().zip([through, consumption, upserts, inserts]) {
            rates.push(n as f64 / took.as_secs_f64());
        }
    }
    let [through, consumption, upserts, inserts] = rates.map(median);
    println!("through the pipeline into all stores: {through:.0} events/s");
    println!("bare consumption, acknowledged 250 at a time: {consumption:.0} events/s");
    println!("bare upserts of the same rows, {written:.2} an event: {upserts:.0} events/s");
    println!("bare inserts of the same documents: {inserts:.0} events/s");
    let slowest = consumption.min(upserts).min(inserts);
    println!("ratio to the slowest bare stage: {:.2}", through / slowest);
    at_steady_paces(&servers).await;
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn bare_consumption(url: &str, n: usize) -> Duration {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.unwrap();
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut deliveries = channel
        .basic_consume("observatory.events".into(), "".into(), options, arguments)
        .await
        .unwrap();
    let mut began = None;
    for i in 1..=n {
        let delivery = deliveries.next().await.unwrap().unwrap();
        began.get_or_insert_with(Instant::now);
        if i % 250 == 0 || i == n {
            delivery.acker.ack(BasicAckOptions { multiple: true }).await.unwrap();
        }
    }
    began.unwrap().elapsed()
}

/// Writes as many rows as the pipeline did, into a table like its own; gives how many.
async fn bare_upserts(url: &str) -> (usize, Duration) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(async { drop(connection.await) });
    // What was counted is told a little later.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let rows = "SELECT (n_tup_ins + n_tup_upd)::bigint FROM pg_stat_user_tables
        WHERE relname = 'jobs'";
    let n: i64 = client.query_one(rows, &[]).await.unwrap().get(0);
    let n = usize::try_from(n).unwrap();
    client.batch_execute("CREATE TABLE bare (LIKE jobs INCLUDING ALL)").await.unwrap();
    let all = "SELECT id, type, state, queue, worker, attempt, created_at, started_at, finished_at,
        tick, summary FROM jobs ORDER BY created_at";
    let rows = client.query(all, &[]).await.unwrap();
    let upsert = client
        .prepare(
            "INSERT INTO bare (id, type, state, inferred, queue, worker, attempt, created_at,
                started_at, finished_at, tick, summary)
            SELECT id, type, state, false, queue, worker, attempt, created, started, finished, tick,
                summary
            FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[],
                $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::bigint[],
                $11::bytea[]) AS given (id, type, state, queue, worker, attempt, created, started,
                finished, tick, summary)
            ON CONFLICT (id) DO UPDATE SET type = excluded.type, state = excluded.state,
                inferred = excluded.inferred, queue = excluded.queue, worker = excluded.worker,
                attempt = excluded.attempt, created_at = excluded.created_at,
                started_at = excluded.started_at, finished_at = excluded.finished_at,
                tick = excluded.tick, summary = excluded.summary",
        )
        .await
        .unwrap();
    let batches: Vec<_> = rows.chunks(BATCH).collect();
    let mut took = Duration::ZERO;
    let mut left = n;
    for rows in batches.iter().cycle() {
        let rows = &rows[..rows.len().min(left)];
        left -= rows.len();
        macro_rules! column {
            ($i:literal, $t:ty) => {
                rows.iter().map(|row| row.get::<_, $t>($i)).collect::<Vec<$t>>()
            };
        }
        let (ids, types, states) = (column!(0, Uuid), column!(1, &str), column!(2, &str));
        let (queues, workers, attempts) = (column!(3, &str), column!(4, &str), column!(5, i32));
        let (created, started) = (column!(6, SystemTime), column!(7, Option<SystemTime>));
        let (finished, ticks) = (column!(8, Option<SystemTime>), column!(9, i64));
        let summaries = column!(10, &[u8]);
        let began = Instant::now();
        client
            .execute(
                &upsert,
                &[
                    &ids, &types, &states, &queues, &workers, &attempts, &created, &started,
                    &finished, &ticks, &summaries,
                ],
            )
            .await
            .unwrap();
        took += began.elapsed();
        if left == 0 {
            break;
        }
    }
    (n, took)
}

/// Inserts the documents that the pipeline wrote into a collection with the same indexes, as durably.
async fn bare_inserts(url: &str) -> (usize, Duration) {
    let client = mongodb::Client::with_uri_str(url).await.unwrap();
    let database = client.default_database().unwrap();
    let events = database.collection::<RawDocumentBuf>("job_events");
    let documents: Vec<RawDocumentBuf> =
        events.find(doc! {}).await.unwrap().try_collect().await.unwrap();
    let majority = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
    let options = CollectionOptions::builder().write_concern(majority).build();
    let bare = database.collection_with_options::<RawDocumentBuf>("bare", options);
    let indexes: Vec<_> = events.list_indexes().await.unwrap().try_collect().await.unwrap();
    for index in indexes.into_iter().filter(|index| !index.keys.contains_key("_id")) {
        bare.create_index(index).await.unwrap();
    }
    let n = documents.len();
    let began = Instant::now();
    for documents in documents.chunks(BATCH) {
        bare.insert_many(documents).ordered(false).await.unwrap();
    }
    (n, began.elapsed())
}

/// What events waited for at a steady pace.
struct Paced {
    pipeline: Running,
    /// From publish until Redis shows the job, and until a reader of the API's stream does; sorted.
    redis: Vec<Duration>,
    stream: Vec<Duration>,
}

/// The value at this quantile.
fn at(quantile: f64, sorted: &[Duration]) -> u128 {
    sorted[(quantile * (sorted.len() - 1) as f64) as usize].as_millis()
}

/// Publishes events, each of which makes a job: the n-th is shown where n are known.
async fn at_a_pace(servers: &Servers, per_second: u32, seconds: u32) -> Paced {
    let world = servers.world();
    let client = redis::Client::open(&*world.redis).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
    let (pipeline, api) = (world.role("pipeline"), world.role("api"));
    while pipeline.metric("observatory_broker_sessions_total").unwrap_or(0.0) == 0.0
        || ureq::get(format!("http://{}/api/v1/snapshot", api.listen)).call().is_err()
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let publisher = ingress::amqp::Publisher::start(ingress::amqp::publisher::Config::new(
        world.vhost.url().parse().unwrap(),
        "speed",
    ));
    let mut state = publisher.state();
    state.wait_for(|state| *state == ingress::amqp::State::Connected).await.unwrap();

    let n = per_second * seconds;
    let in_redis = tokio::spawn(async move {
        let mut seen = Vec::new();
        let mut known = 0_u32;
        while known < n {
            let total: Option<u32> = redis.get("metrics:jobs:total").await.unwrap();
            if total.unwrap_or(0) > known {
                known = total.unwrap_or(0);
                seen.push((known, Instant::now()));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        seen
    });
    let stream = format!("http://{}/api/v1/stream", api.listen);
    let in_stream = tokio::task::spawn_blocking(move || read_stream(&stream, n));
    let began = Instant::now();
    let mut publishes = tokio::task::JoinSet::new();
    let mut published = Vec::new();
    for i in 0..n {
        let due = began + Duration::from_secs_f64(f64::from(i) / f64::from(per_second));
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        // Who publishes late has waited, too.
        published.push(due);
        let (publisher, message) = (publisher.clone(), message(i));
        publishes.spawn(async move { publisher.publish(message).await });
        while publishes.try_join_next().is_some() {}
    }
    publishes.join_all().await.into_iter().for_each(|published| published.unwrap());
    let waits = |seen: Vec<(u32, Instant)>| {
        let mut waits: Vec<Duration> = published
            .iter()
            .enumerate()
            .map(|(i, at)| {
                let shown = seen.partition_point(|(known, _)| (*known as usize) <= i);
                seen[shown].1.duration_since(*at)
            })
            .collect();
        waits.sort_unstable();
        waits
    };
    let (redis, stream) = (waits(in_redis.await.unwrap()), waits(in_stream.await.unwrap()));
    Paced { pipeline, redis, stream }
}

/// How many jobs a reader of the stream knows of, and since when, until they are `n`.
fn read_stream(url: &str, n: u32) -> Vec<(u32, Instant)> {
    let answer = ureq::get(url).call().unwrap();
    let lines = std::io::BufReader::new(answer.into_body().into_reader());
    let mut seen: Vec<(u32, Instant)> = Vec::new();
    for line in std::io::BufRead::lines(lines) {
        let line = line.unwrap();
        let Some(data) = line.strip_prefix("data:") else { continue };
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        let jobs = u32::try_from(data["jobs"].as_u64().unwrap_or(0)).unwrap();
        if seen.last().is_none_or(|(known, _)| *known < jobs) {
            seen.push((jobs, Instant::now()));
        }
        if jobs >= n {
            break;
        }
    }
    seen
}

/// What an event waits for at 5,000 a second, and the pace at which the stream falls behind.
async fn at_steady_paces(servers: &Servers) {
    let paced = at_a_pace(servers, PER_SECOND, SECONDS).await;
    println!(
        "at {PER_SECOND} events/s, from delivery to ack: p50 <= {:.1} ms, p99 <= {:.1} ms",
        paced.pipeline.ack_ms(0.5),
        paced.pipeline.ack_ms(0.99)
    );
    for (until, waits) in
        [("what Redis shows", &paced.redis), ("what a reader of the stream sees", &paced.stream)]
    {
        println!(
            "at {PER_SECOND} events/s, from publish to {until}: p50 {} ms, p99 {} ms",
            at(0.5, waits),
            at(0.99, waits)
        );
    }
    drop(paced);
    for per_second in (2..).map(|step| PER_SECOND / 2 * (step + 1)) {
        let paced = at_a_pace(servers, per_second, BREAKING_SECONDS).await;
        let (p50, p99) = (at(0.5, &paced.stream), at(0.99, &paced.stream));
        println!(
            "at {per_second} events/s, from publish to the stream: p50 {p50} ms, p99 {p99} ms"
        );
        if p99 > BROKEN.as_millis() {
            break;
        }
    }
}

/// The creation of the n-th job, to be published.
fn message(n: u32) -> ingress::amqp::Message {
    ingress::amqp::Message {
        exchange: "jobs".into(),
        routing_key: "job.created".into(),
        body: created(n).to_string().into_bytes().into(),
        ..Default::default()
    }
}
