//! Stores that go away under load, killed or frozen, one after the other and all at once.
//!
//! They stay away for three seconds, and with `OBSERVATORY_TEST_FULL=1` for twenty.

use std::time::{Duration, Instant};

use e2e::{Mongo, Postgres};
use rustix::process::Signal;

use super::program::{Role, World};
use super::support::load::Load;
use super::support::onlooker::Onlooker;
use super::support::{full, redis, runtime, until};

/// Deliveries that the pipeline may hold; fewer than come while a store is away.
const PREFETCH: u32 = 200;

const PER_SECOND: u32 = 200;

/// What the pipeline may grow by while PostgreSQL is away: it holds some hundred kB of deliveries,
/// and the rest is what the allocator keeps and what the log, the clients and their attempts take.
const GROWTH_BYTES: u64 = 32 << 20;

/// Longer than an answer of the API takes when a store that it needs is away.
const ANSWERED: Duration = Duration::from_secs(12);

/// A pipeline has to have stopped by then.
const STOPPED: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    Postgres,
    Redis,
    Mongo,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Killed,
    Frozen,
}

/// Every store in every way.
const OUTAGES: [(Store, Way); 6] = [
    (Store::Postgres, Way::Killed),
    (Store::Postgres, Way::Frozen),
    (Store::Redis, Way::Killed),
    (Store::Redis, Way::Frozen),
    (Store::Mongo, Way::Killed),
    (Store::Mongo, Way::Frozen),
];

/// A world on stores of its own.
struct Own {
    postgres: Postgres,
    mongo: Mongo,
    world: World,
}

impl Own {
    fn new(name: &str) -> Own {
        let (postgres, mongo) = (Postgres::start(), Mongo::start());
        let (database, mongodb) = (postgres.database(), mongo.database());
        Own { world: World { postgres: database, mongodb, ..World::new(name) }, postgres, mongo }
    }

    fn pipeline(&self) -> Role {
        let prefetch = PREFETCH.to_string();
        let pipeline = self.world.start_with("pipeline", &[("OBSERVATORY_PREFETCH", &prefetch)]);
        until("the pipeline is ready", || pipeline.is_ready().then_some(()));
        pipeline
    }

    fn leaves(&mut self, (store, way): (Store, Way)) {
        match (store, way) {
            (Store::Postgres, Way::Killed) => self.postgres.kill(),
            (Store::Postgres, Way::Frozen) => self.postgres.stop(),
            (Store::Redis, Way::Killed) => self.world.redis.kill(),
            (Store::Redis, Way::Frozen) => self.world.redis.stop(),
            (Store::Mongo, Way::Killed) => self.mongo.kill(),
            (Store::Mongo, Way::Frozen) => self.mongo.stop(),
        }
    }

    fn comes_back(&mut self, (store, way): (Store, Way)) {
        match (store, way) {
            (Store::Postgres, Way::Killed) => self.postgres.restart(),
            (Store::Postgres, Way::Frozen) => self.postgres.cont(),
            (Store::Redis, Way::Killed) => self.world.redis.restart(),
            (Store::Redis, Way::Frozen) => self.world.redis.cont(),
            (Store::Mongo, Way::Killed) => self.mongo.restart(),
            (Store::Mongo, Way::Frozen) => self.mongo.cont(),
        }
    }
}

/// What has to be so at every moment while stores are away.
fn holds_on(world: &World, pipeline: &Role, api: &Role) {
    let away = Duration::from_secs(if full() { 20 } else { 3 });
    let began = Instant::now();
    while began.elapsed() < away {
        let asked = Instant::now();
        for path in ["/livez", "/api/v1/counts", "/api/v1/jobs?limit=1"] {
            let status = api.status(path);
            assert!(matches!(status, Some(200 | 503)), "{path}: {status:?}");
            assert!(asked.elapsed() < ANSWERED, "{path}: {:?}", asked.elapsed());
        }
        assert_eq!(api.status("/livez"), Some(200));
        assert_eq!(pipeline.status("/livez"), Some(200));
        let unacked = pipeline.metric("observatory_unacked").unwrap();
        assert!(unacked <= f64::from(PREFETCH), "{unacked} are unacknowledged");
        // The broker's statistics may lag behind.
        let queue = world.vhost.queue("observatory.events");
        let unacked = queue.map_or(0, |queue| queue.unacked);
        assert!(unacked <= PREFETCH.into(), "{unacked} are unacknowledged");
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// The API goes on, and tells on whom it can not rely.
fn says_what_is_away(api: &Role, outages: &[(Store, Way)]) {
    let part = |(store, _): &(Store, Way)| match store {
        Store::Postgres => "store",
        Store::Redis => "views",
        Store::Mongo => "archive",
    };
    until("the API says what is away", || {
        let health = api.get("/health")?;
        let away = health["away"].as_array().cloned().unwrap_or_default();
        // Without PostgreSQL the pipeline stands still, and so do the views.
        let told = outages.iter().all(|outage| away.iter().any(|name| name == part(outage)));
        let status = if outages.is_empty() { "ok" } else { "degraded" };
        (told && health["status"] == status).then_some(())
    });
}

/// What Prometheus is told of the stores is how they are.
fn measures_what_is_away(pipeline: &Role, outages: &[(Store, Way)]) {
    let metrics = [
        (Store::Postgres, r#"observatory_sink_up{sink="postgresql"}"#),
        (Store::Redis, "observatory_redis_up"),
        (Store::Mongo, r#"observatory_sink_up{sink="mongodb"}"#),
    ];
    for (store, metric) in metrics {
        let away = outages.iter().any(|(gone, _)| *gone == store);
        // A store may be away with another that everything waits for, and is then not asked.
        if away || outages.is_empty() {
            let up = if away { 0.0 } else { 1.0 };
            until(metric, || {
                // One that stands still refuses nothing, and its commit does not end.
                let pending = pipeline.metric("observatory_commit_pending_seconds")? > 2.0;
                let hangs = away && store == Store::Postgres && pending;
                (hangs || pipeline.metric(metric)? == up).then_some(())
            });
        }
    }
}

/// The pipeline has taken all that had waited.
fn catches_up(world: &World) {
    until("the backlog is gone", || {
        let queue = world.vhost.queue("observatory.events")?;
        (queue.ready == 0 && queue.unacked < PREFETCH.into()).then_some(())
    });
}

#[test]
fn stores_that_go_away_under_load_cost_no_event_and_no_answer() {
    let mut own = Own::new("stores");
    let (pipeline, api) = (own.pipeline(), own.world.ready("api"));
    let load = Load::start(&own.world.vhost, PER_SECOND);
    load.confirms(400);
    let onlooker = Onlooker::start(&api.address);
    for outage in OUTAGES {
        let before = pipeline.resident_bytes();
        own.leaves(outage);
        says_what_is_away(&api, &[outage]);
        measures_what_is_away(&pipeline, &[outage]);
        holds_on(&own.world, &pipeline, &api);
        if let (Store::Postgres, _) = outage {
            let grown = pipeline.resident_bytes().saturating_sub(before);
            assert!(grown < GROWTH_BYTES, "{outage:?}: the pipeline has grown by {grown} bytes");
        }
        own.comes_back(outage);
        catches_up(&own.world);
    }
    let all = [OUTAGES[0], OUTAGES[2], OUTAGES[5]];
    all.iter().for_each(|outage| own.leaves(*outage));
    says_what_is_away(&api, &all);
    measures_what_is_away(&pipeline, &all);
    holds_on(&own.world, &pipeline, &api);
    all.iter().for_each(|outage| own.comes_back(*outage));
    says_what_is_away(&api, &[]);
    measures_what_is_away(&pipeline, &[]);
    own.world.is_exactly(&api, &load.stop());
    let seen = onlooker.finish();
    assert!(seen.answers > 100 && seen.compared > 0, "{} and {}", seen.answers, seen.compared);
}

#[test]
fn a_pipeline_stops_within_ten_seconds_whatever_store_is_away_and_loses_nothing() {
    let mut own = Own::new("stops");
    let api = own.world.ready("api");
    let load = Load::start(&own.world.vhost, PER_SECOND);
    for outage in OUTAGES {
        let mut pipeline = own.pipeline();
        load.confirms(100);
        own.leaves(outage);
        load.confirms(100);
        let told = Instant::now();
        pipeline.signal(Signal::TERM);
        let status = pipeline.ended();
        assert!(told.elapsed() < STOPPED, "{outage:?}: {:?}", told.elapsed());
        // Only what PostgreSQL has not confirmed is left to be delivered again.
        let code = if let Store::Postgres = outage.0 { 1 } else { 0 };
        assert_eq!(status.code(), Some(code), "{outage:?}: {}", pipeline.log());
        own.comes_back(outage);
    }
    let _pipeline = own.pipeline();
    own.world.is_exactly(&api, &load.stop());
}

#[test]
fn after_a_flush_of_redis_under_load_everything_is_there_again() {
    let world = World::new("flush");
    let (_pipeline, api) = (world.ready("pipeline"), world.ready("api"));
    let load = Load::start(&world.vhost, PER_SECOND);
    for _ in 0..if full() { 10 } else { 3 } {
        load.confirms(200);
        runtime().block_on(async {
            let mut connection = redis(&world.redis.url()).await;
            ::redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
        });
    }
    world.is_exactly(&api, &load.stop());
}
