//! The roles as processes of their own, on real servers.

use e2e::Servers;
use serde_json::{Value, json};

use super::program::{Role, World};
use super::support::until;

/// Jobs by state, once there are `n` in all and each of them is completed.
fn all_completed(api: &Role, n: u64) {
    until("all jobs are completed", || {
        let counts = api.get("/api/v1/counts")?;
        let completed = counts["counts"] == json!([{"state": "COMPLETED", "jobs": n}]);
        (counts["jobs"] == n && completed).then_some(())
    });
}

/// Jobs that run for some milliseconds.
fn jobs(n: usize) -> Value {
    let job =
        |i| json!({"type": format!("type-{}", i % 3), "payload": {"simulate": {"delayMs": 5}}});
    (0..n).map(job).collect()
}

#[test]
fn a_job_goes_through_the_broker_to_the_worker_and_into_every_store() {
    let world = World::new("journey");
    let (_pipeline, gateway) = (world.ready("pipeline"), world.ready("gateway"));
    let (_worker, api) = (world.ready("worker"), world.ready("api"));

    let (status, accepted) = gateway.post(&json!({"type": "email.send", "queue": "mail"}));
    assert_eq!(status, 202);
    let id = accepted["jobId"].as_str().unwrap().to_owned();
    all_completed(&api, 1);

    let job = until("the job has its events", || {
        let job = api.get(&format!("/api/v1/jobs/{id}"))?;
        (job["timeline"].as_array()?.len() == 4).then_some(job)
    });
    assert_eq!(job["state"], "COMPLETED");
    assert_eq!(job["attempts"][0]["worker"], "reference-1");
    let snapshot = until("the views are at a grid time with it", || {
        let snapshot = api.get("/api/v1/snapshot")?;
        (snapshot["jobs"] == 1 && snapshot["counts"][0]["state"] == "COMPLETED").then_some(snapshot)
    });
    assert_eq!(snapshot["counts"][0]["queue"], "mail");
    let listed = api.get("/api/v1/jobs?state=COMPLETED").unwrap();
    assert_eq!((&listed["total"], &listed["items"][0]["id"]), (&json!(1), &json!(id)));
    until("every delivery is acknowledged", || {
        let queue = world.vhost.queue("observatory.events")?;
        (queue.ready == 0 && queue.unacked == 0).then_some(())
    });
}

#[test]
fn a_pipeline_that_is_killed_again_and_again_loses_nothing_and_counts_nothing_twice() {
    let kills = std::env::var("OBSERVATORY_TEST_KILLS").map_or(3, |kills| kills.parse().unwrap());
    let world = World::new("kills");
    let mut pipeline = world.ready("pipeline");
    let (gateway, api) = (world.ready("gateway"), world.ready("api"));
    let _worker = world.ready("worker");
    let mut accepted = 0;
    for round in 0..kills {
        for _ in 0..10 {
            let (status, answer) = gateway.post(&jobs(20));
            assert_eq!(status, 202);
            accepted += answer["accepted"].as_array().unwrap().len() as u64;
        }
        // In the middle of it, or while it still reads back what the last one left.
        std::thread::sleep(std::time::Duration::from_millis(137 * (round % 4)));
        pipeline.kill();
        pipeline = world.start("pipeline");
    }
    assert_eq!(accepted, 200 * kills);
    all_completed(&api, accepted);
    let letters =
        until("the queue of dead letters is known", || world.vhost.queue("jobs.failed.validation"));
    assert_eq!(letters.ready, 0, "a valid event is a dead letter");
}

#[test]
fn a_standby_takes_over_when_the_pipeline_goes() {
    let world = World::new("standby");
    let mut pipeline = world.ready("pipeline");
    let standby = world.start("pipeline");
    let gateway = world.ready("gateway");
    let (_worker, api) = (world.ready("worker"), world.ready("api"));
    assert_eq!(gateway.post(&jobs(20)).0, 202);
    all_completed(&api, 20);
    assert!(!standby.is_ready(), "two pipelines are at work");

    pipeline.kill();
    until("the standby is ready", || standby.is_ready().then_some(()));
    assert_eq!(gateway.post(&jobs(20)).0, 202);
    all_completed(&api, 40);
}

#[test]
fn a_gateway_refuses_while_the_broker_is_away_and_says_when_to_come_back() {
    let mut broker = e2e::Broker::start();
    let world = World::on(broker.vhost("away"));
    let gateway = world.ready("gateway");
    assert_eq!(gateway.post(&jobs(1)).0, 202);
    broker.kill();
    until("it has noticed", || (gateway.post(&jobs(1)).0 == 503).then_some(()));
    broker.restart();
    until("it takes jobs again", || (gateway.post(&jobs(1)).0 == 202).then_some(()));
}

#[test]
fn while_redis_or_the_archive_is_away_the_pipeline_goes_on_and_they_catch_up() {
    let mut mongo = e2e::Mongo::start();
    let servers = Servers::shared();
    let mut world = World {
        vhost: servers.vhost("stores-away"),
        postgres: servers.database(),
        redis: servers.redis(),
        mongodb: mongo.database(),
    };
    let _pipeline = world.ready("pipeline");
    let (gateway, api) = (world.ready("gateway"), world.ready("api"));
    let _worker = world.ready("worker");
    assert_eq!(gateway.post(&jobs(20)).0, 202);
    all_completed(&api, 20);

    world.redis.kill();
    mongo.stop();
    assert_eq!(gateway.post(&jobs(20)).0, 202);
    until("deliveries are settled without them", || {
        let queue = world.vhost.queue("observatory.events")?;
        let listed = api.get("/api/v1/jobs?state=COMPLETED")?;
        (queue.ready == 0 && queue.unacked == 0 && listed["total"] == 40).then_some(())
    });
    world.redis.restart();
    mongo.cont();
    all_completed(&api, 40);
    let listed = api.get("/api/v1/jobs").unwrap();
    for job in listed["items"].as_array().unwrap() {
        let path = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
        until("the archive has all events of the job", || {
            (api.get(&path)?["timeline"].as_array()?.len() == 4).then_some(())
        });
    }
}
