//! A pipeline that stands still while another takes its place, and then goes on.

use std::collections::BTreeMap;

use redis::Commands;
use rustix::process::Signal;

use super::program::{Role, World};
use super::support::load::Load;
use super::support::{number, postgres, runtime, until};

/// Ends the sessions of whoever holds the writer's lock, and of whoever has written.
///
/// A process alone that stands still keeps its sessions, since its kernel answers for it: an
/// administrator has to end them. If its machine stands still, or is cut off, the server finds out
/// by itself within half a minute, and does the same.
const END_SESSIONS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND (application_name = 'observatory writer'
        OR pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory'))";

/// Transactions that have moved the frontier, or are about to. Who only reads keeps nobody waiting.
const WRITING: &str = "SELECT count(*) FROM pg_locks
    WHERE relation = 'frontier'::regclass AND mode IN ('RowShareLock', 'RowExclusiveLock')
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

const TABLES: [&str; 10] = [
    "jobs",
    "counts",
    "totals",
    "distributions",
    "minute_stats",
    "alerts",
    "rules",
    "late_events",
    "event_spill",
    "frontier",
];

/// All that PostgreSQL and Redis hold.
fn held(world: &World) -> (Vec<String>, BTreeMap<String, String>, usize) {
    let tables = runtime().block_on(async {
        let client = postgres(&world.postgres).await;
        let mut tables = Vec::new();
        for table in TABLES {
            let all =
                format!("SELECT coalesce(string_agg(t::text, ' ' ORDER BY t), '') FROM {table} t");
            tables.push(client.query_one(&all, &[]).await.unwrap().get(0));
        }
        tables
    });
    let mut redis = redis::Client::open(world.redis.url()).unwrap().get_connection().unwrap();
    let hash = redis.hgetall("observatory:snapshot").unwrap();
    (tables, hash, redis.xlen("observatory:deltas").unwrap())
}

/// Has a pipeline stand still outside of any transaction: one that holds the frontier would have
/// others wait.
fn freeze(world: &World, pipeline: &Role) {
    until("it stands still and writes nothing", || {
        pipeline.signal(Signal::STOP);
        let client = async || number(&postgres(&world.postgres).await, WRITING).await;
        let outside = runtime().block_on(client()) == 0;
        if !outside {
            pipeline.signal(Signal::CONT);
        }
        outside.then_some(())
    });
}

#[test]
fn a_frozen_pipeline_that_goes_on_after_another_took_over_writes_nothing_and_ends() {
    let world = World::new("frozen");
    let mut first = world.ready("pipeline");
    let api = world.ready("api");
    let second = world.start("pipeline");
    let load = Load::start(&world.vhost, 200);
    load.confirms(200);

    first.signal(Signal::STOP);
    let end = async || postgres(&world.postgres).await.batch_execute(END_SESSIONS).await;
    runtime().block_on(end()).unwrap();
    until("the second is ready", || second.is_ready().then_some(()));
    let deliveries = || second.metric("observatory_deliveries_total");
    load.confirms(200);
    until("jobs flow through the second", || (deliveries()? >= 100.0).then_some(()));
    let truth = load.stop();
    until("it has nothing more to do", || {
        (second.metric("observatory_unacked")? == 0.0).then_some(())
    });

    // With the second still, whatever changes is the first's doing.
    freeze(&world, &second);
    let before = held(&world);
    assert_eq!(before.1["generation"], "2");
    first.signal(Signal::CONT);
    let status = first.ended();
    assert_eq!(status.code(), Some(1), "{}", first.log());
    let told = "error: another observatory has taken over the store (generation 2, ours is 1)";
    assert!(first.log().contains(told), "{}", first.log());
    assert!(held(&world) == before, "it has written");

    // What the first was given and could not settle goes to the second.
    second.signal(Signal::CONT);
    world.is_exactly(&api, &truth);
}
