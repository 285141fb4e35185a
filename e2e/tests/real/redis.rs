//! The views in Redis, and a copy of them in another process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use contracts::Micros;
use contracts::snapshot::{CountRow, Snapshot};
use e2e::Redis;
use pipeline::seal::Sealed;
use redis::{Commands, Connection};
use sinks::live::Live;
use sinks::redis::{Error, Follower, Standing, View, Writer};
use tokio::task::JoinHandle;

use crate::support;
use crate::world::{GRID, World};

/// A pipeline as far as the follower sees it.
struct Process {
    world: World,
    live: Arc<RwLock<Live>>,
    follower: Follower,
    writer: JoinHandle<Result<(), Error>>,
    /// What a reader may see: all views by their grid time, and the counts by their tick.
    snapshots: Arc<Mutex<HashMap<i64, Snapshot>>>,
    counts: Arc<Mutex<HashMap<i64, Vec<CountRow>>>>,
}

impl Process {
    fn start(url: &str, generation: i64, seed: u64) -> Process {
        let mut world = World::new(seed, 8);
        let live = Arc::new(RwLock::new(Live::new(GRID)));
        live.write().unwrap().apply(&world.batch(50));
        let (follower, writer) = Writer::new(url, generation, Arc::clone(&live)).unwrap();
        let writer = tokio::spawn(writer.run());
        let (snapshots, counts) = (Arc::default(), Arc::default());
        let process = Process { world, live, follower, writer, snapshots, counts };
        process.note();
        process
    }

    fn batch(&mut self) {
        let sealed = self.world.batch(20);
        self.durable(&sealed);
    }

    fn durable(&mut self, sealed: &Sealed) {
        self.live.write().unwrap().apply(sealed);
        self.note();
        self.follower.offer(sealed);
    }

    fn note(&self) {
        let live = self.live.read().unwrap();
        let snapshot = live.snapshot();
        self.snapshots.lock().unwrap().insert(snapshot.as_of.unwrap().0, snapshot);
        let counts = live.now().snapshot(None).counts;
        self.counts.lock().unwrap().insert(live.as_of().0, counts);
    }

    /// Looks at `view` all the time: whatever it shows was true at its tick, and it takes nothing
    /// back.
    fn watch(&self, view: &Arc<View>) -> Watch {
        let (snapshots, counts) = (Arc::clone(&self.snapshots), Arc::clone(&self.counts));
        let view = Arc::clone(view);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut seen, mut before) = (0, Micros::default());
            while !stopped.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_micros(300));
                let shown = view.read(|copy| {
                    (copy.at(), copy.on_grid(), copy.snapshot(), copy.jobs(), copy.counts())
                });
                let Some((at, on_grid, snapshot, (counted_at, jobs), cells)) = shown else {
                    continue;
                };
                assert!(before <= counted_at, "{counted_at} is behind {before}");
                before = counted_at;
                assert_eq!(jobs, cells.iter().map(|row| row.jobs).sum::<u64>());
                assert_eq!(snapshot.jobs, snapshot.counts.iter().map(|row| row.jobs).sum::<u64>());
                let snapshots = snapshots.lock().unwrap();
                let as_of = snapshot.as_of.unwrap();
                let was = snapshots.get(&as_of.0);
                assert!(Some(&snapshot) == was, "{at}: {}", differences(&snapshot, was));
                // At a grid time the counts are those of the snapshot.
                match at == on_grid {
                    true => assert!(cells == snapshot.counts, "{at}"),
                    false => {
                        let was = counts.lock().unwrap().get(&counted_at.0).cloned();
                        assert!(Some(cells) == was, "{at}");
                    }
                }
                seen += 1;
            }
            seen
        });
        Watch { stop, thread }
    }

    /// Waits until `view` shows what there is.
    #[track_caller]
    fn shown_by(&self, view: &View) -> Duration {
        let live = self.live.read().unwrap();
        let (snapshot, counts) = (live.snapshot(), live.now().snapshot(None).counts);
        drop(live);
        // A tick at which nothing moved is not told of at once.
        until("the view shows what there is", || {
            let shown = Snapshot { as_of: snapshot.as_of, ..view.snapshot() };
            view.counts().1 == counts && shown == snapshot
        })
    }
}

struct Watch {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<usize>,
}

impl Watch {
    #[track_caller]
    fn end(self) -> usize {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

/// The views in which two snapshots differ, without the rest of them.
fn differences(a: &Snapshot, b: Option<&Snapshot>) -> String {
    let Some(b) = b else { return format!("there was none at {:?}", a.as_of) };
    let json = |snapshot| serde_json::to_value(snapshot).unwrap();
    let (a, b) = (json(a), json(b));
    let lines = |v: &serde_json::Value| -> BTreeSet<String> {
        let views = v.as_object().unwrap().iter();
        let rows = views.flat_map(|(view, rows)| match rows.as_array() {
            Some(rows) => rows.iter().map(|row| format!("{view} {row}")).collect(),
            None => vec![format!("{view} {rows}")],
        });
        rows.collect()
    };
    let (a, b) = (lines(&a), lines(&b));
    let some = |set: Vec<&String>| set.into_iter().take(5).cloned().collect::<Vec<_>>();
    let (more, less) = (some(a.difference(&b).collect()), some(b.difference(&a).collect()));
    format!("shown {more:#?}, was {less:#?}")
}

fn client(url: &str) -> Connection {
    redis::Client::open(url).unwrap().get_connection().unwrap()
}

fn hash(url: &str) -> BTreeMap<String, String> {
    client(url).hgetall(sinks::redis::SNAPSHOT).unwrap()
}

/// Waits for what should become true; says how long it took.
#[track_caller]
fn until(what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    support::until(what, || condition().then_some(()));
    began.elapsed()
}

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_view_shows_was_true_at_its_tick() {
    let server = Redis::start();
    let url = server.url();
    for seed in 0..5 {
        client(&url).flushall::<()>().unwrap();
        let mut process = Process::start(&url, 1, seed);
        let view = Arc::new(View::open(&url).unwrap());
        let watch = process.watch(&view);
        for n in 0..400 {
            process.batch();
            if n % 4 == 0 {
                pause(2).await;
            }
        }
        process.shown_by(&view);
        // One that begins now sees the same.
        process.shown_by(&View::open(&url).unwrap());
        assert!(watch.end() > 100);
        assert_eq!(process.follower.progress().rebuilds, 1);
        drop(process.follower);
        process.writer.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_read_anew_takes_nothing_back() {
    let server = Redis::start();
    let url = server.url();
    let mut process = Process::start(&url, 1, 11);
    let view = Arc::new(View::open(&url).unwrap());
    let watch = process.watch(&view);
    for _ in 0..15 {
        process.batch();
        process.shown_by(&view);
        // All connections but the one that says so. Nothing new comes until the copy is read anew, from
        // a hash that may be of an earlier tick than what was shown.
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes");
        kill.query::<i64>(&mut client(&url)).unwrap();
        pause(300).await;
    }
    process.shown_by(&view);
    assert!(watch.end() > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_flush_everything_is_written_anew() {
    let server = Redis::start();
    let url = server.url();
    let mut process = Process::start(&url, 1, 7);
    let view = Arc::new(View::open(&url).unwrap());
    let watch = process.watch(&view);
    for n in 0..400 {
        process.batch();
        if n % 40 == 0 {
            client(&url).flushall::<()>().unwrap();
        }
        pause(2).await;
    }
    process.shown_by(&view);
    assert!(process.follower.progress().rebuilds > 5);

    // Without a batch it is noticed all the same.
    client(&url).flushall::<()>().unwrap();
    let noticed = until("the hash is back", || hash(&url).contains_key("tick"));
    assert!(noticed < Duration::from_millis(1_500), "{noticed:?}");
    // Either key alone, too.
    for key in [sinks::redis::SNAPSHOT, sinks::redis::DELTAS] {
        client(&url).del::<_, ()>(key).unwrap();
        until("the key is back", || client(&url).exists(key).unwrap());
    }
    process.batch();
    process.shown_by(&view);
    assert!(watch.end() > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_everything_is_written_anew() {
    let mut server = Redis::start();
    let url = server.url();
    let mut process = Process::start(&url, 1, 8);
    let view = Arc::new(View::open(&url).unwrap());
    let watch = process.watch(&view);
    for round in 0..3 {
        for _ in 0..50 {
            process.batch();
            pause(2).await;
        }
        process.shown_by(&view);
        assert_eq!(process.follower.progress().rebuilds, 1 + round);
        server.kill();
        for _ in 0..50 {
            process.batch();
            pause(2).await;
        }
        server.restart();
        let back = process.shown_by(&view);
        assert!(back < Duration::from_secs(3), "{back:?}");
    }
    assert!(watch.end() > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_says_since_when_it_is_stale() {
    let mut server = Redis::start();
    let url = server.url();
    let view = View::open(&url).unwrap();
    pause(300).await;
    assert_eq!(view.standing(), Standing::Empty);
    assert_eq!(view.snapshot(), Snapshot::default());

    let mut process = Process::start(&url, 1, 9);
    process.batch();
    process.shown_by(&view);
    // Nothing changes, and time goes on: that is told.
    for n in 0..50 {
        let sealed = process.world.idle();
        process.durable(&sealed);
        pause(100).await;
        if n < 12 {
            continue;
        }
        assert_eq!(view.standing(), Standing::Current);
        let behind = process.live.read().unwrap().as_of().0 - view.as_of().unwrap().0;
        assert!(behind <= 1_500_000, "{behind} µs");
    }
    let before = view.snapshot();
    server.kill();
    until("it is stale", || matches!(view.standing(), Standing::Stale { .. }));
    assert_eq!(view.snapshot(), before);
    server.restart();
    process.batch();
    process.shown_by(&view);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_generation_never_overwrites_a_newer_one() {
    let server = Redis::start();
    let url = server.url();
    let mut old = Process::start(&url, 1, 10);
    let view = View::open(&url).unwrap();
    old.batch();
    old.shown_by(&view);

    // The old one is as if frozen here: it holds all it needs for its next write.
    let mut new = Process::start(&url, 2, 11);
    new.batch();
    new.shown_by(&view);
    old.batch();
    let error = (&mut old.writer).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::TakenOver { ours: 1, theirs: 2 }), "{error}");
    assert!(!error.passes());

    // Nor one that has lost its place and would write everything anew.
    let late = Process::start(&url, 1, 12);
    assert!(matches!(late.writer.await.unwrap(), Err(Error::TakenOver { .. })));
    // Nor while only the stream is left of the newer one.
    client(&url).del::<_, ()>(sinks::redis::SNAPSHOT).unwrap();
    let late = Process::start(&url, 1, 12);
    let ended = late.writer.await.unwrap();
    assert!(matches!(ended, Err(Error::TakenOver { .. })), "{ended:?}");

    new.batch();
    new.shown_by(&view);
    until("the newer one has written anew", || {
        hash(&url).get("generation").is_some_and(|generation| generation == "2")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_first_after_a_flush_does_not_matter() {
    let server = Redis::start();
    let url = server.url();
    let mut old = Process::start(&url, 1, 13);
    old.batch();
    let view = View::open(&url).unwrap();
    old.shown_by(&view);
    client(&url).flushall::<()>().unwrap();
    until("the old one is back", || hash(&url).contains_key("tick"));
    let mut new = Process::start(&url, 2, 14);
    new.batch();
    new.shown_by(&view);
    assert!(old.writer.await.unwrap().is_err());
    assert_eq!(hash(&url)["generation"], "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_redis_delays_nobody() {
    let mut server = Redis::start();
    let url = server.url();
    let mut process = Process::start(&url, 1, 15);
    let view = View::open(&url).unwrap();
    process.batch();
    process.shown_by(&view);
    server.stop();
    let mut offering = Duration::ZERO;
    for _ in 0..500 {
        let sealed = process.world.batch(20);
        process.live.write().unwrap().apply(&sealed);
        let started = Instant::now();
        process.follower.offer(&sealed);
        offering += started.elapsed();
    }
    assert!(process.follower.progress().dropped > 300);
    // Waiting for as little as one answer would have taken all of five seconds.
    assert!(offering < Duration::from_secs(2), "{offering:?}");
    pause(500).await;
    server.cont();
    process.batch();
    process.shown_by(&view);
    assert!(process.follower.progress().rebuilds >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_keys_alone_finds_the_numbers() {
    let server = Redis::start();
    let url = server.url();
    let mut process = Process::start(&url, 3, 16);
    {
        let mut live = process.live.write().unwrap();
        live.late = 4;
        live.last_event = Some(contracts::Micros::parse("2026-11-21T10:00:00Z").unwrap());
        live.rejected = [(contracts::Reason::BadJson, 2)].into();
    }
    for _ in 0..100 {
        process.batch();
        pause(1).await;
    }
    let view = View::open(&url).unwrap();
    process.shown_by(&view);
    let snapshot = view.snapshot();
    assert_eq!(view.last_event().unwrap().to_string(), "2026-11-21T10:00:00.000000Z");

    let hash = hash(&url);
    assert_eq!(hash["generation"], "3");
    assert_eq!(hash["asOf"], snapshot.as_of.unwrap().to_string());
    assert_eq!(hash["tick"], snapshot.as_of.unwrap().0.to_string());
    assert_eq!((&*hash["late"], &*hash["rejected"]), ("4", r#"{"bad_json":2}"#));
    for row in &snapshot.counts {
        let key = serde_json::json!([row.state, row.job_type, row.queue, row.worker]);
        let found: CountRow = serde_json::from_str(&hash[&format!("counts:{key}")]).unwrap();
        assert_eq!(&found, row);
    }
    let n_counts = hash.keys().filter(|field| field.starts_with("counts:")).count();
    assert_eq!(n_counts, snapshot.counts.len());

    let all = snapshot.counts.iter().map(|row| (row.state, row.jobs));
    let all: Vec<_> = all.chain(snapshot.totals.iter().map(|r| (r.state, r.jobs))).collect();
    let sum = |wanted: Option<contracts::State>| -> u64 {
        let of = all.iter().filter(|(state, _)| wanted.is_none_or(|wanted| wanted == *state));
        of.map(|(_, jobs)| jobs).sum()
    };
    let mut redis = client(&url);
    let number = |key: &str, redis: &mut Connection| redis.get::<_, u64>(key).unwrap();
    assert_eq!(number("metrics:jobs:total", &mut redis), sum(None));
    let completed = sum(Some(contracts::State::Completed));
    assert_eq!(number("metrics:jobs:completed", &mut redis), completed);
    assert_eq!(number("metrics:jobs:failed", &mut redis), sum(Some(contracts::State::Failed)));
    let last: String = redis.get("metrics:last_event_time").unwrap();
    assert_eq!(last, "2026-11-21T10:00:00.000000Z");
}

#[test]
fn an_error_about_a_url_does_not_have_its_password() {
    let live = Arc::new(RwLock::new(Live::new(GRID)));
    let Err(error) = Writer::new("http://user:secret@host:x/", 1, live) else { panic!() };
    assert!(!format!("{error} {error:?}").contains("secret"));
}
