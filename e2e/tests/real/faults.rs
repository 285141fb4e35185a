//! What the broker does to the roles: restarts, kills, closed connections, deleted queues, alarms,
//! and messages that it does not take.

use std::time::Duration;

use e2e::Broker;
use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use serde_json::json;

use super::program::{Role, World};
use super::support::load::Load;
use super::support::{Amqp, full, runtime, until};

/// A gateway gives up a publish after five seconds; whoever submits waits hardly longer.
const PROMPTLY: Duration = Duration::from_secs(8);

/// How often a session of the pipeline has ended so.
fn faults(pipeline: &Role, kind: &str) -> f64 {
    let name = format!("observatory_broker_faults_total{{kind=\"{kind}\"}}");
    pipeline.metric(&name).unwrap_or(0.0)
}

#[test]
fn a_broker_that_is_restarted_and_killed_under_load_costs_no_event() {
    let mut broker = Broker::start();
    let world = World::on(broker.vhost("restarts"));
    let (pipeline, api) = (world.ready("pipeline"), world.ready("api"));
    let load = Load::start(&world.vhost, 200);
    let mut sessions = 1.0;
    for _ in 0..if full() { 10 } else { 1 } {
        for leave in [Broker::shut_down, Broker::kill] {
            load.confirms(200);
            leave(&mut broker);
            broker.restart();
            sessions += 1.0;
            let consumes = || pipeline.metric("observatory_broker_sessions_total");
            until("it consumes again", || (consumes()? == sessions).then_some(()));
            // A broker that is about to go, or to come, may take a connection and drop it at once.
            assert!(faults(&pipeline, "lost") >= sessions - 1.0);
        }
    }
    world.is_exactly(&api, &load.stop());
    assert!(pipeline.is_ready());
}

#[test]
fn connections_closed_by_force_under_load_cost_no_event() {
    let world = World::new("closed");
    let (pipeline, api) = (world.ready("pipeline"), world.ready("api"));
    let load = Load::start(&world.vhost, 200);
    let sessions = || pipeline.metric("observatory_broker_sessions_total");
    for round in 1..=if full() { 20 } else { 3 } {
        load.confirms(100);
        until("its connection is closed", || {
            world.vhost.close_all();
            (faults(&pipeline, "lost") >= f64::from(round)).then_some(())
        });
        until("it consumes again", || (sessions()? > f64::from(round)).then_some(()));
    }
    world.is_exactly(&api, &load.stop());
}

#[test]
fn a_queue_deleted_under_the_pipeline_is_declared_again_and_counted_as_a_fault() {
    let world = World::new("queue-deleted");
    let (pipeline, api) = (world.ready("pipeline"), world.ready("api"));
    let load = Load::start(&world.vhost, 200);
    load.confirms(100);
    let before = load.stop();
    world.is_exactly(&api, &before);
    assert_eq!(faults(&pipeline, "cancelled"), 0.0);

    // Whatever had been in it would be gone, which nobody could help.
    assert!(world.vhost.delete_queue("observatory.events"));
    // RabbitMQ 3.10 forgets to tell the consumer if somebody else declares the queue again within
    // milliseconds, and then holds messages back until its connection ends.
    until("it is told", || (faults(&pipeline, "cancelled") == 1.0).then_some(()));
    let load = Load::start(&world.vhost, 200);
    load.confirms(100);
    world.is_exactly(&api, &before.and(load.stop()));
    assert_eq!(faults(&pipeline, "cancelled"), 1.0);
}

#[test]
fn a_queue_deleted_under_load_is_consumed_again_whoever_declares_it() {
    let world = World::new("queue-under-load");
    let pipeline = world.ready("pipeline");
    let load = Load::start(&world.vhost, 200);
    let deliveries = || pipeline.metric("observatory_deliveries_total").unwrap();
    for round in 1..=if full() { 10 } else { 3 } {
        load.confirms(100);
        until("the queue is deleted", || {
            world.vhost.delete_queue("observatory.events").then_some(())
        });
        // What was in it is gone; its publisher, too, finds out that it is not there any more.
        until("the pipeline is told", || {
            (faults(&pipeline, "cancelled") == f64::from(round)).then_some(())
        });
        let before = deliveries();
        load.confirms(100);
        until("it consumes again", || (deliveries() >= before + 100.0).then_some(()));
    }
    load.stop();
}

#[test]
fn a_gateway_whose_broker_lacks_memory_says_when_to_come_back_and_never_hangs() {
    let mut broker = Broker::start();
    let world = World::on(broker.vhost("blocked"));
    let (gateway, api) = (world.ready("gateway"), world.ready("api"));
    let _pipeline = world.ready("pipeline");
    let job = json!({"type": "bread.bake"});
    assert_eq!(gateway.submit(Some("before"), &job).status, 202);

    broker.block();
    for n in 0..20 {
        let answer = gateway.submit(Some(&format!("blocked-{n}")), &job);
        assert_eq!((answer.status, answer.comes_back), (503, true), "{answer:?}");
        assert!(answer.took < PROMPTLY, "{answer:?}");
    }
    assert!(!gateway.is_ready());
    broker.unblock();
    until("it takes jobs again", || {
        (gateway.submit(Some("blocked-0"), &job).status == 202).then_some(())
    });
    for n in 0..20 {
        assert_eq!(gateway.submit(Some(&format!("blocked-{n}")), &job).status, 202);
    }
    // Those that were on their way came after all, and count once with their repeats.
    jobs_are(&api, 21);
}

/// That there are so many jobs, also when all deliveries have been settled.
fn jobs_are(api: &Role, n: u64) {
    until("the jobs are counted", || (api.get("/api/v1/counts")?["jobs"] == n).then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(api.get("/api/v1/counts").unwrap()["jobs"], n);
}

#[test]
fn a_job_that_no_queue_takes_is_not_accepted_and_counts_once_when_it_is_submitted_again() {
    let world = World::new("unroutable");
    let gateway = world.ready("gateway");
    let job = json!({"type": "bread.bake"});
    assert_eq!(gateway.submit(None, &job).status, 202);
    // Declared a second ago, they are not declared again at once.
    until("the queues are gone", || {
        for queue in ["observatory.events", "jobs.created"] {
            world.vhost.delete_queue(queue);
        }
        let answer = gateway.submit(Some("unroutable"), &job);
        let refused = answer.status == 503;
        assert!(refused || answer.status == 202, "{answer:?}");
        assert!(!refused || answer.comes_back && answer.took < PROMPTLY, "{answer:?}");
        refused.then_some(())
    });
    until("the queues are back", || {
        (gateway.submit(Some("unroutable"), &job).status == 202).then_some(())
    });
    let (_pipeline, api) = (world.ready("pipeline"), world.ready("api"));
    jobs_are(&api, 1);
}

#[test]
fn a_job_that_a_queue_refuses_is_not_accepted_and_counts_once_when_it_is_submitted_again() {
    let world = World::new("nacked");
    let (gateway, api) = (world.ready("gateway"), world.ready("api"));
    let _pipeline = world.ready("pipeline");
    // Somebody else's, and full: the broker refuses what any of the queues does.
    runtime().block_on(async {
        let amqp = Amqp::connect(world.vhost.url()).await;
        let mut full = FieldTable::default();
        full.insert("x-max-length".into(), AMQPValue::LongInt(0));
        full.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        amqp.channel.queue_declare("full".into(), options, full).await.unwrap();
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        let bound =
            amqp.channel.queue_bind("full".into(), "jobs".into(), "#".into(), options, none);
        bound.await.unwrap();
    });
    let job = json!({"type": "bread.bake"});
    // The broker may route by what was bound a moment before. Each of these is a job of its own: one
    // that was accepted is accepted again, also by a broker that refuses it now. The pipeline's queue
    // takes them all.
    let mut before = 0;
    until("the full queue has its part in every job", || {
        before += 1;
        (gateway.submit(Some(&format!("before-{before}")), &job).status == 503).then_some(())
    });
    for key in ["nacked", "another", "a third"] {
        let answer = gateway.submit(Some(key), &job);
        assert_eq!((answer.status, answer.comes_back), (503, true), "{answer:?}");
        assert!(answer.took < PROMPTLY, "{answer:?}");
    }
    assert!(world.vhost.delete_queue("full"));
    let answer = gateway.submit(Some("nacked"), &job);
    assert_eq!(answer.status, 202, "{answer:?}");
    jobs_are(&api, before + 3);
}
