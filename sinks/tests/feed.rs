//! What the feed tells, folded, is what the process shows.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

#[allow(dead_code, reason = "not everyone needs all of it")]
#[path = "support/folded.rs"]
mod folded;
#[allow(dead_code, reason = "not everyone needs all of it")]
#[path = "support/world.rs"]
mod world;

use std::sync::{Arc, RwLock};

use contracts::{Reason, Snapshot};
use folded::Folded;
use futures_util::FutureExt;
use serde_json::{Value, json};
use sinks::feed::{Feed, News, snapshot_here};
use sinks::fold::Position;
use sinks::live::Live;
use world::{GRID, World};

/// What a client has that is told everything, in JSON as it comes.
struct Client {
    at: Position,
    folded: Folded,
}

impl Client {
    /// As a client begins: with the snapshot there is.
    fn of(live: &RwLock<Live>) -> Client {
        let (at, snapshot) = snapshot_here(&live.read().unwrap());
        Client { at, folded: Folded::of(&value(&snapshot)) }
    }

    /// What is not after its place is not sent to it.
    fn take(&mut self, at: Position, delta: &Value) {
        if at > self.at {
            self.folded.fold(delta);
            self.at = at;
        }
    }
}

fn value(shape: &impl serde::Serialize) -> Value {
    serde_json::to_value(shape).unwrap()
}

/// What there is at the last tick: counts and totals of it, and the rest of the last grid time.
fn shown(live: &RwLock<Live>) -> Folded {
    let live = live.read().unwrap();
    let now = live.now().snapshot(Some(live.as_of()));
    let Snapshot { latency, throughput, alerts, rejected, late, .. } = live.snapshot();
    Folded::of(&value(&Snapshot { latency, throughput, alerts, rejected, late, ..now }))
}

/// The deltas there are by now. A tick at which nothing moved is told of with a later one.
fn told(feed: &mut Feed) -> Vec<(Position, Value)> {
    let mut told = Vec::new();
    while let Some(news) = feed.next().now_or_never() {
        if let News::Delta(at, delta) = news {
            told.push((at, value(&delta)));
        }
    }
    told
}

#[test]
fn whenever_a_client_begins_and_however_seldom_it_is_told_it_has_what_is_shown() {
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut world = World::new(seed, 5);
        let live = Arc::new(RwLock::new(Live::new(GRID)));
        live.write().unwrap().generation = 3;
        live.write().unwrap().apply(&world.batch(20));
        let mut feed = Feed::here(Arc::clone(&live));
        let mut clients = Vec::new();
        let mut ring = Vec::new();
        for _ in 0..40 {
            for _ in 0..random.usize(0..4) {
                let mut live = live.write().unwrap();
                live.apply(&world.batch(10));
                if random.u8(..8) == 0 {
                    live.late += 1;
                    *live.rejected.entry(Reason::Schema).or_default() += 1;
                }
            }
            // A client begins with a snapshot that the feed may not have come to yet.
            if random.bool() {
                clients.push(Client::of(&live));
            }
            ring.extend(told(&mut feed));
            let shown = shown(&live).without_time();
            for client in &mut clients {
                ring.iter().for_each(|(at, delta)| client.take(*at, delta));
                assert!(client.folded.clone().without_time() == shown, "seed {seed}");
                let (jobs, sum) = client.folded.jobs();
                assert_eq!(jobs, sum);
                assert_eq!(client.at.generation, 3);
            }
        }
    }
}

#[tokio::test]
async fn when_nothing_happens_it_says_so_now_and_then_and_not_each_time() {
    let mut world = World::new(1, 5);
    let live = Arc::new(RwLock::new(Live::new(GRID)));
    live.write().unwrap().apply(&world.batch(20));
    let mut feed = Feed::here(Arc::clone(&live));
    told(&mut feed);
    // The first time on the grid says that nobody knows what was missed before it.
    live.write().unwrap().apply(&world.idle());
    assert_eq!(told(&mut feed).len(), 1);
    for _ in 0..10 {
        live.write().unwrap().apply(&world.idle());
        assert_eq!(told(&mut feed), []);
    }
    // A second later it does.
    loop {
        live.write().unwrap().apply(&world.idle());
        if let [(_, delta)] = &told(&mut feed)[..] {
            let as_of = value(&live.read().unwrap().as_of());
            assert_eq!((&delta["asOf"], &delta["changedJobs"]), (&as_of, &json!([])));
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
