//! kill -9 under load: what was acknowledged is there, once.
//!
//! `OBSERVATORY_TEST_KILLS=20 cargo test -p observatory --test kill` kills twenty times instead of
//! three; a failure prints its seed, which `OBSERVATORY_TEST_SEED` takes. The moments are drawn
//! from it, but the machine has a say in them too.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::Debug;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contracts::snapshot::{LatencyRow, Measure, ThroughputRow, Window};
use contracts::view::{BatchAccepted, JobAccepted, Page, Stats};
use contracts::{JobView, Micros, Snapshot, State};
use rusqlite::{Connection, Row};
use serde_json::{Value, json};
use support::crowd::Crowd;
use support::program::{arg, replay};
use support::service::{Answer, Client, Service, batch, database};
use support::{SECOND, now, until};
use uuid::Uuid;

/// Who submits at a time.
const CLIENTS: usize = 4;

/// Between two attempts while the service is not there.
const PAUSE: Duration = Duration::from_millis(2);

const MINUTE: i64 = 60 * SECOND;

/// Events of a batch, at most.
const BATCH: usize = 40;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn rounds() -> u64 {
    setting("OBSERVATORY_TEST_KILLS").unwrap_or(3)
}

fn seed() -> u64 {
    let seed = setting("OBSERVATORY_TEST_SEED").unwrap_or_else(|| now().0 as u64);
    #[expect(clippy::print_stderr, reason = "a failure is replayed with it")]
    {
        eprintln!("OBSERVATORY_TEST_SEED={seed} OBSERVATORY_TEST_KILLS={}", rounds());
    }
    seed
}

/// What is to be submitted, and what has been acknowledged.
struct Load {
    parcels: Vec<Parcel>,
    waiting: Mutex<VecDeque<usize>>,
    acknowledged: Mutex<BTreeSet<usize>>,
    /// Answers of 202, repeated submissions included.
    n_acknowledged: AtomicUsize,
}

/// A request that is sent until it has been acknowledged, and always with the same bytes.
struct Parcel {
    path: &'static str,
    key: Option<String>,
    body: String,
    /// Judges the answer.
    check: fn(&Parcel, &Answer),
    /// Jobs that can be read as soon as it is acknowledged.
    jobs: Vec<Uuid>,
}

impl Load {
    fn new(parcels: Vec<Parcel>) -> Load {
        let waiting = Mutex::new((0..parcels.len()).collect());
        Load {
            parcels,
            waiting,
            acknowledged: Mutex::default(),
            n_acknowledged: AtomicUsize::new(0),
        }
    }

    /// Submits what waits, until `stop` or until nothing waits any more.
    fn submit(&self, client: &Client, stop: &Stop, random: &mut fastrand::Rng) {
        while !stop.is_said() {
            let Some(n) = self.waiting.lock().unwrap().pop_front() else { return };
            let parcel = &self.parcels[n];
            match client.try_post_as(parcel.key.as_deref(), parcel.path, &parcel.body) {
                Ok(answer) if answer.status == 202 => {
                    (parcel.check)(parcel, &answer);
                    self.acknowledged.lock().unwrap().insert(n);
                    self.n_acknowledged.fetch_add(1, Ordering::Relaxed);
                    // Now and then an answer is lost on its way, and the same is sent again.
                    if random.u8(..20) == 0 {
                        self.waiting.lock().unwrap().push_front(n);
                    }
                    let job = random.choice(&parcel.jobs).unwrap();
                    if let Ok(answer) = client.try_get(&format!("/api/v1/jobs/{job}")) {
                        assert_eq!(answer.status, 200, "acknowledged and not there: {answer:?}");
                    }
                }
                // It may have been made durable or not.
                Err(_) => {
                    self.waiting.lock().unwrap().push_front(n);
                    std::thread::sleep(PAUSE);
                }
                Ok(answer) => {
                    // Starting, or still busy with the request that was not answered.
                    assert!([409, 503].contains(&answer.status), "{answer:?}");
                    self.waiting.lock().unwrap().push_front(n);
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        let all = self.acknowledged.lock().unwrap().len() == self.parcels.len();
        all && self.waiting.lock().unwrap().is_empty()
    }
}

/// Says that it is over; so does whoever panics, since nobody waits for a thread that never ends.
#[derive(Clone, Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn say(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_said(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.say();
        }
    }
}

/// What was seen, and must never be taken back: it was durable.
#[derive(Default)]
struct Watch {
    /// Jobs of all time: retired ones are still there.
    jobs: u64,
    /// Of the snapshots, which are up to a step behind.
    snapshot_jobs: u64,
    snapshot_at: Option<Micros>,
    counts_at: Option<Micros>,
    /// Jobs by state, by the moment at which they were counted.
    counted: HashMap<Option<Micros>, BTreeMap<State, u64>>,
    /// How often two answers were of one moment.
    compared: usize,
}

/// What is shown next is not less than what was shown before.
#[track_caller]
fn later<T: PartialOrd + Debug>(shown: &mut T, next: T) {
    assert!(next >= *shown, "{next:?} is shown after {shown:?}");
    *shown = next;
}

impl Watch {
    /// Looks at every answer once; an error means that the service is not there any more.
    fn look(&mut self, client: &Client) -> Result<(), ureq::Error> {
        let answer = client.try_get("/api/v1/snapshot")?;
        if answer.status == 503 {
            return Ok(());
        }
        let snapshot: Snapshot = answer.with(200);
        let sum: u64 = snapshot.counts.iter().map(|row| row.jobs).sum();
        assert_eq!(sum, snapshot.jobs, "{snapshot:?}");
        let retired: u64 = snapshot.totals.iter().map(|row| row.jobs).sum();
        later(&mut self.snapshot_jobs, sum + retired);
        later(&mut self.snapshot_at, snapshot.as_of);

        let counts: Value = client.try_get("/api/v1/counts?by=state")?.with(200);
        let as_of: Option<Micros> = serde_json::from_value(counts["asOf"].clone()).unwrap();
        later(&mut self.counts_at, as_of);
        let rows = counts["counts"].as_array().unwrap();
        let by_state: BTreeMap<State, u64> = rows
            .iter()
            .map(|row| {
                let state = serde_json::from_value(row["state"].clone()).unwrap();
                (state, row["jobs"].as_u64().unwrap())
            })
            .collect();
        assert_eq!(counts["jobs"], by_state.values().sum::<u64>(), "{counts}");
        self.counted.insert(as_of, by_state);

        later(&mut self.jobs, client.try_get("/stats")?.with::<Stats>(200).total_jobs);

        for state in State::ALL {
            let answer = client.try_get(&format!("/api/v1/jobs?state={state}&limit=1000"))?;
            let Page::<JobView> { as_of, total, items, .. } = answer.with(200);
            assert_eq!(items.len() as u64, total.min(1000), "{state} at {as_of:?}");
            assert!(items.iter().all(|job| job.state == state), "{state} at {as_of:?}");
            if let Some(by_state) = self.counted.get(&as_of) {
                assert_eq!(
                    by_state.get(&state).copied().unwrap_or(0),
                    total,
                    "{state} at {as_of:?}"
                );
                self.compared += 1;
            }
        }
        Ok(())
    }
}

/// Submits `load` while the service is killed [`rounds`] times, or now and then stopped; a service
/// that has taken all of it. Between two services, `meanwhile` has the folder to itself.
fn killed_under(
    load: &Load,
    folder: &Path,
    random: &mut fastrand::Rng,
    meanwhile: impl Fn(&Path),
) -> Service {
    let rounds = rounds();
    let mut watch = Watch::default();
    for round in 0..=rounds {
        let mut service = Service::spawn(&["--data-dir", arg(folder)], &[]);
        std::thread::scope(|scope| {
            let stop = Stop::default();
            for _ in 0..CLIENTS {
                let (client, mut random, stop) =
                    (service.client.another(), random.fork(), stop.clone());
                scope.spawn(move || load.submit(&client, &stop, &mut random));
            }
            let (client, watch, stopped) = (service.client.another(), &mut watch, stop.clone());
            scope.spawn(move || while !stopped.is_said() && watch.look(&client).is_ok() {});
            if round < rounds {
                moment(load, &stop, random);
                end(&mut service, random);
            } else {
                until("all is acknowledged", || (load.is_done() || stop.is_said()).then_some(()));
            }
            stop.say();
        });
        if round == rounds {
            // Nobody disturbs these looks, so two answers of one moment come soon.
            until("two answers of one moment are compared", || {
                watch.look(&service.client).unwrap();
                (watch.compared > 0).then_some(())
            });
            return service;
        }
        meanwhile(folder);
    }
    unreachable!("the last round returns")
}

/// Ends a service in the midst of its work: mostly by force.
fn end(service: &mut Service, random: &mut fastrand::Rng) {
    if random.u8(..4) > 0 {
        return service.kill();
    }
    let (status, took) = service.terminate();
    assert_eq!(status.code(), Some(0), "{}", service.log());
    assert!(took < Duration::from_secs(10), "{took:?}: {}", service.log());
}

/// Waits for a moment to be killed at.
fn moment(load: &Load, stop: &Stop, random: &mut fastrand::Rng) {
    if random.u8(..4) == 0 {
        // During the start, or soon after.
        std::thread::sleep(Duration::from_micros(random.u64(..300_000)));
        return;
    }
    // Some answers after this one, and in the midst of the next.
    let n = load.n_acknowledged.load(Ordering::Relaxed) + random.usize(1..50);
    until("some are acknowledged", || {
        let reached = load.n_acknowledged.load(Ordering::Relaxed) >= n;
        (reached || load.is_done() || stop.is_said()).then_some(())
    });
    std::thread::sleep(Duration::from_micros(random.u64(..15_000)));
}

/// Parts of a snapshot that do not depend on the moment, if all happened within the last hour.
#[derive(Debug, PartialEq)]
struct Lasting {
    latency: Vec<LatencyRow>,
    throughput: Vec<ThroughputRow>,
    rest: Snapshot,
}

impl Lasting {
    fn of(mut snapshot: Snapshot) -> Lasting {
        let mut latency = std::mem::take(&mut snapshot.latency);
        latency.retain(|row| matches!(row.window, Window::H1 | Window::All));
        let mut throughput = std::mem::take(&mut snapshot.throughput);
        throughput.retain(|row| row.window == Window::H1);
        Lasting { latency, throughput, rest: Snapshot { as_of: None, alerts: vec![], ..snapshot } }
    }
}

/// The snapshot, once it shows all that has been acknowledged by now.
fn settled(client: &Client) -> Snapshot {
    let asked = now();
    client.snapshot_with("it shows all", |it| it.as_of > Some(asked))
}

fn all<T>(store: &Connection, sql: &str, row: impl Fn(&Row<'_>) -> T) -> Vec<T> {
    let mut statement = store.prepare(sql).unwrap();
    let rows = statement.query_map([], |found| Ok(row(found))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The archive: each event's id and its bytes, in the order of arrival.
fn archive(store: &Connection) -> Vec<(String, String)> {
    all(store, "SELECT key, CAST(body AS TEXT) FROM job_events ORDER BY n", |row| {
        (row.get(0).unwrap(), row.get(1).unwrap())
    })
}

/// What the store has, which nobody uses any more, agrees with the snapshot that was shown.
fn assert_stored(store: &Connection, snapshot: &Snapshot) {
    let cells = |sql: &str| -> Vec<(String, String, String, String, u64)> {
        all(store, sql, |row| {
            let text = |column: usize| row.get(column).unwrap();
            (text(0), text(1), text(2), text(3), row.get(4).unwrap())
        })
    };
    let cube = cells("SELECT * FROM counts ORDER BY 1, 2, 3, 4");
    let sql = "SELECT state, type, queue, worker, count(*) FROM jobs GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4";
    assert_eq!(cube, cells(sql), "the cube counts the rows");
    let mut shown: Vec<_> = snapshot
        .counts
        .iter()
        .cloned()
        .map(|row| (row.state.to_string(), row.job_type, row.queue, row.worker, row.jobs))
        .collect();
    shown.sort();
    assert_eq!(cube, shown, "and is what was shown");

    // The minutes are added to, so here it would be seen if a tick had counted twice.
    let sql = "SELECT sum(created), sum(finished), sum(failed), sum(cancelled), sum(waits), sum(runs) FROM minute_stats";
    let minutes: Vec<[u64; 6]> =
        all(store, sql, |row| std::array::from_fn(|column| row.get(column).unwrap()));
    let jobs = |wanted: &[State]| -> u64 {
        let rows = snapshot.counts.iter().filter(|row| wanted.contains(&row.state));
        rows.map(|row| row.jobs).sum()
    };
    let samples = |measure| {
        let row = snapshot
            .latency
            .iter()
            .find(|row| (row.measure, row.window, &row.job_type) == (measure, Window::All, &None));
        row.map_or(0, |row| row.samples)
    };
    let expected = [
        snapshot.jobs,
        jobs(&[State::Completed, State::Failed, State::Cancelled]),
        jobs(&[State::Failed]),
        jobs(&[State::Cancelled]),
        samples(Measure::Wait),
        samples(Measure::Run),
    ];
    assert_eq!(minutes, [expected], "created, finished, failed, cancelled, waits, runs");
}

/// Replays `lines`; the snapshot and every job.
fn replayed(lines: &[String], folder: &Path) -> (Lasting, Vec<JobView>) {
    let out = folder.join("jobs");
    let run = replay(&lines.join("\n"), &["--jobs", arg(&out)]);
    let snapshot = serde_json::from_str(&run.printed()).unwrap();
    let jobs = std::fs::read_to_string(out).unwrap();
    (Lasting::of(snapshot), jobs.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn every_acknowledged_event_counts_exactly_once() {
    let mut random = fastrand::Rng::with_seed(seed());
    let folder = tempfile::tempdir().unwrap();
    let (lines, load) = crowd_of_events(40 * MINUTE, &mut random);
    let service = killed_under(&load, folder.path(), &mut random, |_| {});

    let shown = settled(&service.client);
    let (expected, jobs) = replayed(&lines, folder.path());
    assert_eq!(Lasting::of(shown.clone()), expected);
    for job in &jobs {
        assert_eq!(service.client.job(job.id), *job);
    }
    service.stop();

    let store = Connection::open(database(folder.path())).unwrap();
    let archived = archive(&store);
    let sent: BTreeSet<(String, String)> =
        lines.iter().map(|line| (event_id(line), line.clone())).collect();
    let found: BTreeSet<_> = archived.iter().cloned().collect();
    assert_eq!(sent.difference(&found).next(), None, "lost");
    assert_eq!(found.difference(&sent).next(), None, "unexpected");
    assert_eq!(archived.len(), sent.len(), "archived twice");
    assert_stored(&store, &shown);
    let generations =
        all(&store, "SELECT generation FROM frontier", |row| row.get::<_, u64>(0).unwrap());
    assert!(generations[0] <= rounds() + 1, "{generations:?}");
}

/// Makes what is stored older by some hours, so that at the next start the finished are retired.
fn age(folder: &Path) {
    let store = Connection::open(database(folder)).unwrap();
    store.execute("UPDATE jobs SET tick = tick - ?1", [3 * 60 * MINUTE]).unwrap();
}

#[test]
fn retired_jobs_count_exactly_once_too() {
    let mut random = fastrand::Rng::with_seed(seed());
    let folder = tempfile::tempdir().unwrap();
    // Old enough to be looked up in the store when they are not in memory.
    let (lines, load) = crowd_of_events(6 * 60 * MINUTE, &mut random);
    let service = killed_under(&load, folder.path(), &mut random, age);
    service.stop();
    age(folder.path());

    let service = Service::start(folder.path());
    let (expected, jobs) = replayed(&lines, folder.path());
    let finished = jobs.iter().filter(|job| job.state.terminal()).count() as u64;
    let shown = service.client.snapshot_with("finished jobs are retired", |it| {
        it.totals.iter().map(|row| row.jobs).sum::<u64>() == finished
    });
    let mut by_type = BTreeMap::<(State, String), u64>::new();
    for row in expected.rest.counts {
        *by_type.entry((row.state, row.job_type)).or_default() += row.jobs;
    }
    let mut found = BTreeMap::<(State, String), u64>::new();
    let live = shown.counts.into_iter().map(|row| ((row.state, row.job_type), row.jobs));
    let retired = shown.totals.into_iter().map(|row| ((row.state, row.job_type), row.jobs));
    for (key, jobs) in live.chain(retired) {
        *found.entry(key).or_default() += jobs;
    }
    assert_eq!(found, by_type, "the live and the retired are all there are");
    let of_all_time = |rows: Vec<LatencyRow>| {
        rows.into_iter().filter(|row| row.window == Window::All).collect::<Vec<_>>()
    };
    assert_eq!(of_all_time(shown.latency), of_all_time(expected.latency));
    for job in jobs {
        let retired = job.state.terminal();
        assert_eq!(service.client.job(job.id), JobView { retired, ..job });
    }
    service.stop();

    let store = Connection::open(database(folder.path())).unwrap();
    assert_archived(&store, &lines);
    let sql = "SELECT sum(created), sum(finished) FROM minute_stats";
    let minutes = all(&store, sql, |row| (row.get(0).unwrap(), row.get(1).unwrap()));
    assert_eq!(minutes, [(by_type.values().sum::<u64>(), finished)]);
}

/// Events of many jobs that began so long ago, as a load.
fn crowd_of_events(ago: i64, random: &mut fastrand::Rng) -> (Vec<String>, Load) {
    let n_jobs = 250 * (rounds() as usize + 1);
    let start = Micros(now().0 - ago);
    let crowd = Crowd { seed: random.u64(..), n_jobs, start, span: 30 * MINUTE };
    let mut lines = crowd.lines();
    // Around some time, as from many producers, and now and then from far.
    for n in 0..lines.len() {
        let rest = lines.len() - n;
        let far = if random.u8(..10) == 0 { rest } else { rest.min(50) };
        lines.swap(n, n + random.usize(..far));
    }
    let mut parcels = Vec::new();
    let mut rest = &lines[..];
    while !rest.is_empty() {
        let (now, later) = rest.split_at(random.usize(1..=BATCH).min(rest.len()));
        parcels.push(events(now));
        rest = later;
    }
    (lines, Load::new(parcels))
}

/// Every event that was sent is in the archive, once, with its bytes.
fn assert_archived(store: &Connection, lines: &[String]) {
    let archived = archive(store);
    let sent: BTreeSet<_> = lines.iter().map(|line| (event_id(line), line.clone())).collect();
    let found: BTreeSet<_> = archived.iter().cloned().collect();
    assert_eq!(sent.difference(&found).next(), None, "lost");
    assert_eq!(found.difference(&sent).next(), None, "unexpected");
    assert_eq!(archived.len(), sent.len(), "archived twice");
}

fn event_id(line: &str) -> String {
    let event: Value = serde_json::from_str(line).unwrap();
    event["eventId"].as_str().unwrap().to_owned()
}

/// Events as one request.
fn events(lines: &[String]) -> Parcel {
    let id = |line: &String| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["payload"]["id"].as_str().unwrap().parse().unwrap()
    };
    Parcel {
        path: "/events",
        key: None,
        body: batch(lines),
        check: |parcel, answer| {
            let answer: BatchAccepted = answer.with(202);
            let accepted: Vec<_> = answer.accepted.iter().map(|accepted| accepted.job_id).collect();
            assert_eq!((accepted, answer.rejected), (parcel.jobs.clone(), vec![]));
        },
        jobs: lines.iter().map(id).collect(),
    }
}

#[test]
fn every_acknowledged_job_is_made_once_and_comes_to_its_end() {
    let mut random = fastrand::Rng::with_seed(seed());
    let folder = tempfile::tempdir().unwrap();
    let parcels = (0..60 * (rounds() + 1)).map(|n| job(n, &mut random)).collect();
    let load = Load::new(parcels);
    let service = killed_under(&load, folder.path(), &mut random, |_| {});

    let n_jobs = load.parcels.len() as u64;
    until("all have come to their end", || {
        let stats: Stats = service.client.get("/stats");
        (stats.completed_jobs + stats.failed_jobs == n_jobs).then_some(())
    });
    let shown = settled(&service.client);
    assert_eq!(shown.jobs, n_jobs, "one job for each key");
    for parcel in &load.parcels {
        let job = service.client.job(parcel.jobs[0]);
        let expected = if parcel.body.contains("true") { State::Failed } else { State::Completed };
        assert_eq!(job.state, expected, "{job:?}");
        // Each attempt was begun once, and the last alone ended.
        let attempts: Vec<_> = job.attempts.iter().map(|it| it.attempt).collect();
        assert_eq!(attempts, (1..=job.attempt).collect::<Vec<_>>(), "{job:?}");
        let (last, before) = job.attempts.split_last().unwrap();
        assert_eq!(last.state, expected, "{job:?}");
        let open = [State::Executing, State::Retrying];
        assert!(before.iter().all(|it| open.contains(&it.state)), "{job:?}");
    }
    service.stop();

    let store = Connection::open(database(folder.path())).unwrap();
    let lines: Vec<_> = archive(&store).into_iter().map(|(_, body)| body).collect();
    let created = lines.iter().filter(|line| line.contains("\"job.created\"")).count();
    assert_eq!(created as u64, n_jobs);
    let (expected, _) = replayed(&lines, folder.path());
    assert_eq!(Lasting::of(shown.clone()), expected, "what is shown is what the archive comes to");
    assert_stored(&store, &shown);
    let work = all(&store, "SELECT count(*) FROM work", |row| row.get::<_, u64>(0).unwrap());
    assert_eq!(work, [0], "nothing is left to be done");
}

/// A job as a request under a key.
fn job(n: u64, random: &mut fastrand::Rng) -> Parcel {
    let id = Uuid::from_u128(random.u128(..));
    let simulate = json!({ "delayMs": random.u64(..100), "fail": random.u8(..10) == 0 });
    let job = json!({ "id": id, "type": "killed", "payload": { "simulate": simulate } });
    Parcel {
        path: "/jobs",
        key: Some(format!("{id}-{n}")),
        body: job.to_string(),
        check: |parcel, answer| {
            let accepted: JobAccepted = answer.with(202);
            assert_eq!([accepted.job_id], *parcel.jobs);
        },
        jobs: vec![id],
    }
}
