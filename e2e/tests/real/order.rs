//! Events that come more than once, in any order, from producers with wrong clocks, or too late.

use contracts::Micros;
use ingress::amqp::{Publisher, publisher};
use tokio::task::JoinSet;

use super::program::World;
use super::support::crowd::{Crowd, Event, Truth};
use super::support::load::{insist, now};
use super::support::{full, runtime, soon};

/// µs.
const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// So many events of a crowd, over the ten minutes up to `until`.
fn events(crowd: &mut Crowd, n: usize, until: Micros) -> Vec<Event> {
    let step = 10 * MINUTE / n as i64;
    (1..=n).rev().map(|before| crowd.next(Micros(until.0 - before as i64 * step))).collect()
}

/// Publishes events in the order given, but for what happens on the way.
fn publish(world: &World, events: Vec<Event>) {
    let url = world.vhost.url().parse().unwrap();
    runtime().block_on(async {
        let publisher = Publisher::start(publisher::Config::new(url, "test"));
        let mut publishing = JoinSet::new();
        for event in events {
            let publisher = publisher.clone();
            publishing.spawn(async move { insist(&publisher, event).await });
        }
        soon("all events are confirmed", publishing.join_all()).await;
    });
}

#[test]
fn repeats_disorder_and_wrong_clocks_change_nothing() {
    let n = if full() { 20_000 } else { 1_500 };
    let world = World::new("order");
    let (pipeline, api) = (world.ready("pipeline"), world.ready("api"));
    let (mut truth, mut all) = (Truth::default(), Vec::new());
    // Two minutes off; and from before the retention of jobs in memory, so that they are looked up.
    for until in [now(), Micros(now().0 - 29 * DAY)] {
        let mut crowd = Crowd::with_clocks_off(fastrand::u64(..), 2 * MINUTE);
        all.extend(events(&mut crowd, n, until));
        truth = truth.and(crowd.into_truth());
    }
    let mut repeated = Vec::new();
    for event in &all {
        repeated.extend(std::iter::repeat_n(event.clone(), fastrand::usize(1..=5)));
    }
    let n_published = repeated.len() as f64;
    fastrand::shuffle(&mut repeated);
    publish(&world, repeated);
    world.is_exactly(&api, &truth);
    let counted = |result: &str| {
        pipeline.metric(&format!("observatory_events_total{{result=\"{result}\"}}")).unwrap()
    };
    // An archive that is slow to answer does not say which of the events it had, and what a slow
    // broker did not confirm in time was published again.
    assert!(counted("accepted") + counted("repeated") >= n_published);
}

#[test]
fn events_from_before_the_retention_are_archived_and_listed_and_change_no_view() {
    let world = World::new("late");
    let (pipeline, api) = (world.ready("pipeline"), world.ready("api"));
    let mut crowd = Crowd::new(fastrand::u64(..));
    publish(&world, events(&mut crowd, 500, now()));
    let truth = crowd.into_truth();
    world.is_exactly(&api, &truth);

    let mut crowd = Crowd::new(fastrand::u64(..));
    publish(&world, events(&mut crowd, 100, Micros(now().0 - 30 * DAY - MINUTE)));
    let truth = truth.and(crowd.into_truth().too_late());
    world.is_exactly(&api, &truth);
    assert_eq!(pipeline.metric("observatory_events_total{result=\"late\"}"), Some(100.0));

    // They are known after a restart, too.
    drop(pipeline);
    let _pipeline = world.ready("pipeline");
    world.is_exactly(&api, &truth);
}
