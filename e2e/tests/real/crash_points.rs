//! The pipeline dies at one named point after the other, with events flowing.
//!
//! Each death is as a kill -9 would have it, at the worst of moments; the points are in the code
//! as `crash::point("name")`. `OBSERVATORY_TEST_FULL=1` goes through all of them three times.

use mongodb::bson::doc;
use rustix::process::Signal;

use super::program::World;
use super::support::load::Load;
use super::support::{full, number, postgres, runtime, until};

/// Long enough for the other store to be done first, also on a busy machine.
const LATER: &str = "sleep(1500)";

/// Who is done when the process dies.
#[derive(Clone, Copy, PartialEq)]
enum Ahead {
    Postgres,
    Mongo,
    /// One of the two, or neither, or both.
    Either,
}

/// A point, in the form of `FAILPOINTS`, at which the process dies when it comes there for the n-th
/// time, and what must be true then.
fn points() -> Vec<(String, Ahead)> {
    let nth = |name: &str, most: u32| format!("{name}={}*off->return", fastrand::u32(..most));
    vec![
        ("generation=return".to_owned(), Ahead::Either),
        (nth("begin", 10), Ahead::Either),
        (nth("commit", 10), Ahead::Either),
        (format!("begin={LATER};{}", nth("archived", 2)), Ahead::Mongo),
        (nth("restoring", 100), Ahead::Either),
        (format!("archive={LATER};{}", nth("committed", 2)), Ahead::Postgres),
        (nth("settle", 10), Ahead::Either),
        ("drain=return".to_owned(), Ahead::Either),
    ]
}

/// The newest tick of a job in PostgreSQL, and of an event in MongoDB.
async fn newest(world: &World) -> (i64, i64) {
    let client = postgres(&world.postgres).await;
    let in_postgres = number(&client, "SELECT coalesce(max(tick), 0) FROM jobs").await;
    let mongo = mongodb::Client::with_uri_str(&world.mongodb).await.unwrap();
    let events = mongo.default_database().unwrap();
    let events = events.collection::<mongodb::bson::Document>(sinks::mongo::COLLECTION);
    let newest = events.find_one(doc! {}).sort(doc! { "_observatory.tick": -1 }).await.unwrap();
    let tick = |event: mongodb::bson::Document| {
        event.get_document("_observatory").unwrap().get_i64("tick").unwrap()
    };
    (in_postgres, newest.map_or(0, tick))
}

#[test]
fn wherever_the_pipeline_dies_every_event_counts_exactly_once() {
    let world = World::new("crash-points");
    let api = world.ready("api");
    // Its jobs are there to be restored.
    let mut pipeline = world.ready("pipeline");
    let load = Load::start(&world.vhost, 300);
    load.confirms(300);
    pipeline.kill();
    for _ in 0..if full() { 3 } else { 1 } {
        for (point, ahead) in points() {
            // One of them may be ahead since the point before, and what comes now be repeats.
            let before = runtime().block_on(newest(&world));
            let mut pipeline = world.start_with("pipeline", &[("FAILPOINTS", &point)]);
            if point.starts_with("drain") {
                until("it consumes", || {
                    (pipeline.metric("observatory_unacked")? > 0.0).then_some(())
                });
                pipeline.signal(Signal::TERM);
            }
            pipeline.crashed();
            let (postgres, mongo) = runtime().block_on(newest(&world));
            let seen = format!("{point}: {before:?}, then {postgres} and {mongo}");
            match ahead {
                Ahead::Postgres => assert!(mongo <= postgres.max(before.1), "{seen}"),
                Ahead::Mongo => assert!(postgres <= mongo.max(before.0), "{seen}"),
                Ahead::Either => {}
            }
        }
    }
    let _pipeline = world.ready("pipeline");
    world.is_exactly(&api, &load.stop());
}

#[test]
fn an_event_that_waited_for_the_archive_is_there_once_if_the_pipeline_dies_as_it_is_brought_there()
{
    let mut mongo = e2e::Mongo::start();
    let world = World { mongodb: mongo.database(), ..World::new("crash-unspill") };
    let api = world.ready("api");
    let load = Load::start(&world.vhost, 100);
    let mut pipeline = world.start_with("pipeline", &[("FAILPOINTS", "unspill=return")]);
    load.confirms(100);
    mongo.stop();
    load.confirms(200);
    let spilled = async || {
        let client = postgres(&world.postgres).await;
        number(&client, "SELECT count(*) FROM event_spill").await
    };
    until("events wait for the archive", || (runtime().block_on(spilled()) > 0).then_some(()));
    mongo.cont();
    pipeline.crashed();
    let _pipeline = world.ready("pipeline");
    world.is_exactly(&api, &load.stop());
}
