//! What following costs, against the same rows and documents as a bare client writes them:
//! `cargo run --release -p e2e --example followers`.

#![expect(clippy::unwrap_used, reason = "a measurement that fails should say where")]
#![expect(clippy::print_stdout, reason = "the numbers")]

#[allow(dead_code, reason = "not everyone needs all of it")]
#[path = "../../sinks/tests/support/world.rs"]
mod world;

use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use e2e::{Mongo, Redis};
use ingress::submit::Submitted;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::{Document, doc};
use pipeline::seal::Sealed;
use pipeline::views::counts::Cell;
use serde_json::json;
use sinks::commit::Accepted;
use sinks::live::Live;
use sinks::mongo::Archive;
use sinks::redis::Writer;
use uuid::Uuid;
use world::{GRID, World};

const LONG: Duration = Duration::from_secs(60);

/// Of each measurement; the median counts.
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    let redis = Redis::start();
    for cells in [10, 100, 1_000] {
        measure_redis(&redis.url(), cells).await;
    }
    drop(redis);
    let mongo = Mongo::start();
    measure_mongo(&mongo.database()).await;
}

/// Ticks of 20 ms, each written by itself.
async fn measure_redis(url: &str, cells: usize) {
    const TICKS: usize = 500;
    let client = redis::Client::open(url).unwrap();
    let mut bare = client.get_multiplexed_async_connection().await.unwrap();
    bare.set_response_timeout(LONG);
    let (mut ours, mut theirs, mut n_rows) = (Vec::new(), Vec::new(), 0);
    for round in 0..ROUNDS {
        redis::cmd("FLUSHALL").query_async::<()>(&mut bare).await.unwrap();
        let mut world = World::new(round as u64, 8 + cells / 20);
        let live = Arc::new(RwLock::new(Live::new(GRID)));
        live.write().unwrap().apply(&world.batch(cells));
        let (mut follower, writer) = Writer::new(url, 1, Arc::clone(&live)).unwrap();
        let writer = tokio::spawn(writer.run());
        let batches: Vec<Sealed> = (0..TICKS).map(|_| world.tick(20_000, cells)).collect();
        let mut written = follower.watch();
        written.wait_for(|progress| progress.writes > 0).await.unwrap();

        let mut took = Duration::ZERO;
        // Who is skewed is told on the grid only.
        let moves =
            |sealed: &&Sealed| sealed.counts.iter().any(|((cell, _), ..)| *cell != Cell::Skewed);
        for sealed in batches.iter().filter(moves) {
            live.write().unwrap().apply(sealed);
            let began = Instant::now();
            follower.offer(sealed);
            written.wait_for(|progress| progress.tick + 1 >= sealed.upper).await.unwrap();
            took += began.elapsed();
        }
        ours.push(took);
        assert_eq!(follower.progress().dropped, 0);
        drop(follower);
        writer.await.unwrap().unwrap();

        // What was written, again: the entries as they are, and each row of a grid entry a field.
        let mut entries: redis::streams::StreamRangeReply = redis::cmd("XRANGE")
            .arg("observatory:deltas")
            .arg("-")
            .arg("+")
            .query_async(&mut bare)
            .await
            .unwrap();
        let rows: Vec<(String, String)> =
            redis::cmd("HGETALL").arg("observatory:snapshot").query_async(&mut bare).await.unwrap();
        let mut rows = rows.iter().cycle();
        redis::cmd("FLUSHALL").query_async::<()>(&mut bare).await.unwrap();
        entries.ids.retain(|entry| entry.map.len() > 1);
        let writes: Vec<_> = entries
            .ids
            .iter()
            .map(|entry| {
                let delta: String = entry.get("delta").unwrap();
                let on_grid = entry.get::<String>("grid").unwrap() == "1";
                let n = delta.matches("},{").count() + 1;
                let rows = rows.by_ref().take(if on_grid { n } else { 0 });
                let rows: Vec<_> =
                    rows.map(|(field, row)| (field.as_str(), row.as_str())).collect();
                n_rows += rows.len();
                (entry.id.clone(), delta, rows)
            })
            .collect();
        let began = Instant::now();
        for (id, delta, rows) in writes {
            let mut pipe = redis::pipe();
            pipe.atomic();
            if !rows.is_empty() {
                pipe.hset_multiple("observatory:snapshot", &rows);
            }
            pipe.xadd("observatory:deltas", id, &[("delta", delta)]);
            pipe.query_async::<()>(&mut bare).await.unwrap();
        }
        theirs.push(began.elapsed());
    }
    let micros = |all: &mut Vec<Duration>| {
        all.sort();
        all[ROUNDS / 2].as_secs_f64() * 1e6 / TICKS as f64
    };
    let (ours, theirs) = (micros(&mut ours), micros(&mut theirs));
    println!(
        "redis, up to {cells} cells a tick, {} rows into the hash: {ours:.0} µs a tick, bare MULTI \
         {theirs:.0} µs, ratio {:.2}",
        n_rows / ROUNDS,
        theirs / ours
    );
}

async fn measure_mongo(url: &str) {
    const N: u128 = 50_000;
    let client = mongodb::Client::with_uri_str(url).await.unwrap();
    let database = client.default_database().unwrap();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        database.drop().await.unwrap();
        let archive = Archive::connect(url).await.unwrap();
        archive.prepare(LONG).await.unwrap();
        let events: Vec<_> = (0..N).map(event).collect();
        let began = Instant::now();
        for part in events.chunks(5_000) {
            archive.insert(part, LONG).await.unwrap();
        }
        ours.push(began.elapsed());

        let mut documents = Vec::new();
        let collection = database.collection::<RawDocumentBuf>("job_events");
        let mut cursor = collection.find(doc! {}).await.unwrap();
        while cursor.advance().await.unwrap() {
            documents.push(cursor.current().to_owned());
        }
        if round == 0 {
            sizes(&database, &documents).await;
        }
        database.drop().await.unwrap();
        Archive::connect(url).await.unwrap().prepare(LONG).await.unwrap();
        let began = Instant::now();
        for part in documents.chunks(1_000) {
            collection.insert_many(part).ordered(false).await.unwrap();
        }
        theirs.push(began.elapsed());
    }
    let rate = |all: &mut Vec<Duration>| {
        all.sort();
        N as f64 / all[ROUNDS / 2].as_secs_f64()
    };
    let (ours, theirs) = (rate(&mut ours), rate(&mut theirs));
    println!(
        "mongo: {ours:.0} events/s, bare insert_many {theirs:.0}/s, ratio {:.2}",
        ours / theirs
    );
}

/// What keeping the body costs on disk.
async fn sizes(database: &mongodb::Database, documents: &[RawDocumentBuf]) {
    let without = database.collection::<Document>("without");
    let mut bare: Vec<Document> =
        documents.iter().map(|document| Document::try_from(document.clone()).unwrap()).collect();
    bare.iter_mut().for_each(|document| {
        document.get_document_mut("_observatory").unwrap().remove("body");
    });
    for part in bare.chunks(1_000) {
        without.insert_many(part).await.unwrap();
    }
    // Written out, so that the size on disk is that of all of it.
    database.client().database("admin").run_command(doc! { "fsync": 1 }).await.unwrap();
    for name in ["job_events", "without"] {
        let stats = database.run_command(doc! { "collStats": name }).await.unwrap();
        println!(
            "mongo, {name}: {} bytes a document, {} bytes on disk for {}",
            stats.get("avgObjSize").unwrap(),
            stats.get("storageSize").unwrap(),
            documents.len()
        );
    }
}

fn event(n: u128) -> Accepted {
    let id = |kind: u128| Uuid::from_u128(kind << 120 | n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let body = json!({
        "contractVersion": "1.1.0", "eventType": "job.created",
        "eventId": id(1), "occurredAt": "2026-11-21T10:00:00.123456Z",
        "producer": { "service": "worker", "instanceId": "w-1", "version": "0.1.0" },
        "correlationId": id(2), "idempotencyKey": format!("key-{n}"),
        "payload": { "id": id(3), "type": "email.send", "status": "PENDING",
                     "createdAt": "2026-11-21T09:59:58.000000Z", "queue": "default",
                     "payload": { "to": format!("user{n}@example.org"), "n": n as u64 } },
    });
    let body = body.to_string();
    let event = contracts::decode(body.as_bytes()).unwrap();
    Accepted { tick: 1, event: Submitted::of(&event, false), late: false }
}
