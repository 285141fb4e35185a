//! The authority on a real PostgreSQL: as good as the embedded store, alone in writing, and exact
//! whatever happens to the server and on the way to it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::LazyLock;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use contracts::workers::{Beat, KnownWorker};
use contracts::{Heartbeat, JobId, Micros};
use e2e::Servers;
use pipeline::Tick;
use sinks::commit::Commit;
use sinks::commit::SpillRow;
use sinks::postgres::{Postgres, Waiting, Writer};
use sinks::query::Query;
use sinks::store::{Error, KeptRules, Reader as _, Store as _};
use sinks::{postgres, sqlite};
use tempfile::TempDir;
use tokio::runtime::{Handle, Runtime};
use uuid::Uuid;

#[path = "postgres/compare.rs"]
mod compare;
#[path = "postgres/flow.rs"]
mod flow;
#[path = "postgres/proxy.rs"]
mod proxy;

use compare::{answers, same, tables_of_postgres, tables_of_sqlite};
use flow::Flow;
use proxy::{Cut, Proxy};

fn runtime() -> Handle {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    RUNTIME.handle().clone()
}

fn connect(url: &str) -> Postgres {
    Postgres::connect(url, runtime()).unwrap()
}

/// Takes over, which is to succeed at once.
fn writer(url: &str) -> Writer {
    let taken = connect(url).take_over(&mut |waiting| panic!("{waiting:?}"));
    taken.unwrap().unwrap()
}

/// Whatever there is to ask beside the store.
fn ask<T>(url: &str, question: impl AsyncFnOnce(tokio_postgres::Client) -> T) -> T {
    runtime().block_on(async { question(crate::support::postgres(url).await).await })
}

fn run(url: &str, sql: &str) {
    ask(url, async |client| client.batch_execute(sql).await.unwrap());
}

fn number(url: &str, sql: &str) -> i64 {
    ask(url, async |client| crate::support::number(&client, sql).await)
}

/// Repeats until it succeeds, for as long as that is promised to help; gives how often it took.
fn insist<T>(mut attempt: impl FnMut() -> Result<T, Error>) -> (T, usize) {
    let began = Instant::now();
    let mut n = 1;
    loop {
        match attempt() {
            Ok(done) => return (done, n),
            Err(error) => assert!(error.passes() && began.elapsed().as_secs() < 60, "{error}"),
        }
        n += 1;
        thread::sleep(Duration::from_millis(20));
    }
}

/// The embedded store, for comparison.
struct Embedded {
    store: sqlite::Store,
    folder: TempDir,
}

impl Embedded {
    fn new() -> Embedded {
        let folder = tempfile::tempdir().unwrap();
        Embedded { store: sqlite::Store::open(folder.path()).unwrap(), folder }
    }

    #[track_caller]
    fn agrees(
        &mut self,
        writer: &mut Writer,
        reader: &mut postgres::Reader,
        flow: &Flow,
        url: &str,
    ) {
        let mut embedded = self.store.reader().unwrap();
        let theirs = answers(writer, reader, &flow.jobs);
        same(&theirs, &answers(&mut self.store, &mut embedded, &flow.jobs));
        same(&tables_of_postgres(url), &tables_of_sqlite(self.folder.path()));
    }
}

#[test]
fn the_same_commits_give_the_same_answers_as_in_the_embedded_store() {
    for seed in 0..4 {
        let url = Servers::shared().database();
        let (mut embedded, mut flow) = (Embedded::new(), Flow::new(seed));
        let (mut writer, mut reader) = (writer(&url), connect(&url).reader().unwrap());
        for n in 0..150 {
            let commit = flow.next(|jobs| {
                let found = writer.lookup(jobs).unwrap();
                assert_eq!(found, embedded.store.lookup(jobs).unwrap());
                found
            });
            writer.commit(&commit).unwrap();
            embedded.store.commit(&commit).unwrap();
            if n % 10 == 0 {
                let yaml = format!("groups: [] # {}", n / 30);
                let applied_at = Micros(i64::try_from(commit.sealed.upper).unwrap());
                let rules = KeptRules { applied_at, applied_by: "ada".to_owned(), yaml };
                reader.apply_rules(&rules).unwrap();
                embedded.store.reader().unwrap().apply_rules(&rules).unwrap();
                embedded.agrees(&mut writer, &mut reader, &flow, &url);
            }
        }
        embedded.agrees(&mut writer, &mut reader, &flow, &url);
        assert_eq!(number(&url, "SELECT count(*) FROM rules"), 5);
        // That the stream was worth the comparison.
        for sql in [
            "SELECT count(*) FROM totals",
            "SELECT count(*) FROM distributions",
            "SELECT count(*) FROM distributions WHERE n = 0",
            "SELECT count(*) FROM alerts WHERE state = 'resolved'",
            "SELECT count(*) FROM late_events",
            "SELECT count(*) FROM jobs WHERE error IS NOT NULL AND metadata IS NOT NULL",
            "SELECT count(*) FROM jobs WHERE retired_at IS NOT NULL",
            "SELECT count(*) FROM jobs WHERE abandoned_at IS NOT NULL",
        ] {
            assert!(number(&url, sql) > 0, "{sql}, seed {seed}");
        }
    }
}

#[test]
fn what_workers_say_is_kept_as_it_joins_in_either_store() {
    const DAY: i64 = 24 * 3_600_000_000;
    /// 2026-11-21T00:00:00Z.
    const BASE: i64 = 1_795_219_200_000_000;
    let heartbeat = |worker, beat, at| Heartbeat::of(worker, beat, Micros(BASE + at));
    let known = |worker, beat, at, heard| {
        KnownWorker::of(heartbeat(worker, beat, at), Micros(BASE + heard))
    };
    // By day of arrival; what comes late does not replace what was said later.
    let days = [
        vec![known("a", Beat::Online, 5, DAY), known("b", Beat::Heartbeat, 9, DAY)],
        vec![known("a", Beat::Heartbeat, 7, 2 * DAY), known("c", Beat::Online, 1, 2 * DAY)],
        vec![known("a", Beat::Offline, 6, 3 * DAY), known("c", Beat::Offline, 2, 3 * DAY)],
        vec![known("c", Beat::Heartbeat, 2, 4 * DAY)],
        vec![known("c", Beat::Heartbeat, 3, 9 * DAY)],
    ];
    let url = Servers::shared().database();
    let (mut writer, mut embedded) = (writer(&url), Embedded::new());
    let mut joined = BTreeMap::<String, KnownWorker>::new();
    for (day, heard) in (1..).zip(days) {
        let mut commit = Commit::default();
        commit.sealed.upper = BASE as Tick + day * DAY as Tick;
        for known in heard {
            match joined.get_mut(&known.last.worker) {
                Some(worker) => worker.join(known.clone()),
                None => drop(joined.insert(known.last.worker.clone(), known.clone())),
            }
            commit.hear(known);
        }
        writer.commit(&commit).unwrap();
        embedded.store.commit(&commit).unwrap();
        // Nobody remembers whoever was not heard of for a week.
        let last = commit.workers.values().map(|known| known.heard_at.0).max().unwrap();
        joined.retain(|_, known| known.heard_at.0 >= last - 7 * DAY);
        let expected: Vec<_> = joined.values().cloned().collect();
        assert_eq!(connect(&url).reader().unwrap().workers().unwrap(), expected, "day {day}");
        assert_eq!(embedded.store.reader().unwrap().workers().unwrap(), expected, "day {day}");
    }
    assert_eq!(joined.keys().collect::<Vec<_>>(), ["a", "c"]);
}

#[test]
fn a_restart_takes_the_next_generation_and_finds_the_frontier() {
    let url = Servers::shared().database();
    let mut flow = Flow::new(1);
    let mut first = writer(&url);
    let commit = flow.next(|_| unreachable!());
    first.commit(&commit).unwrap();
    assert_eq!(first.recover().unwrap().generation, 1);
    drop(first);
    let (mut second, _) = insist_on_writer(&url);
    let recovery = second.recover().unwrap();
    assert_eq!((recovery.generation, recovery.frontier), (2, commit.sealed.upper));
}

/// Takes over from a writer that has been dropped, which the server may take a moment to notice.
fn insist_on_writer(url: &str) -> (Writer, usize) {
    let mut waited = 0;
    let taken = connect(url).take_over(&mut |_| {
        waited += 1;
        if waited > 100 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    (taken.unwrap().unwrap(), waited)
}

#[test]
fn a_writer_is_fenced_by_a_later_one_and_writes_nothing() {
    let url = Servers::shared().database();
    let mut flow = Flow::new(2);
    let mut first = writer(&url);
    first.commit(&flow.next(|_| unreachable!())).unwrap();
    let commit = flow.next(|jobs| first.lookup(jobs).unwrap());
    // The lock is no protection: somebody may take it from a writer that lives.
    run(
        &url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name = 'observatory lease' AND datname = current_database()",
    );
    let mut second = insist_on_writer(&url).0;
    let before = tables_of_postgres(&url);

    let spill = [row(1)];
    let attempts = [
        first.commit(&commit).map(drop),
        first.commit_with_spill(&commit, &spill).map(drop),
        first.spill(&spill),
        first.unspill(&[1]),
    ];
    for attempt in attempts {
        let error = attempt.unwrap_err();
        assert!(matches!(error, Error::Fenced { ours: 1, theirs: 2 }), "{error}");
        assert!(!error.passes());
    }
    assert_eq!(tables_of_postgres(&url), before);
    assert_eq!(number(&url, "SELECT count(*) FROM event_spill"), 0);
    second.commit(&commit).unwrap();
}

#[test]
fn a_standby_waits_for_the_writer_to_be_gone_and_can_be_told_to_stop() {
    let url = Servers::shared().database();
    let first = writer(&url);
    let stopped = connect(&url).take_over(&mut |waiting| {
        assert!(matches!(waiting, Waiting::Standby));
        ControlFlow::Break(())
    });
    assert!(stopped.unwrap().is_none());

    let mut first = Some(first);
    let mut waited = 0;
    let second = connect(&url).take_over(&mut |_| {
        waited += 1;
        if waited == 3 {
            first = None;
        }
        ControlFlow::Continue(())
    });
    assert_eq!(second.unwrap().unwrap().generation(), 2);
    assert!(waited >= 3);
}

#[test]
fn a_writer_that_lost_its_lock_takes_it_again() {
    let url = Servers::shared().database();
    let mut flow = Flow::new(3);
    let mut first = writer(&url);
    let holders = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
        WHERE locktype = 'advisory' AND datname = current_database()";
    run(
        &url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name = 'observatory lease' AND datname = current_database()",
    );
    crate::support::until("the lock is gone", || (number(&url, holders) == 0).then_some(()));
    crate::support::until("the lock is held again", || {
        first.commit(&flow.next(|jobs| vec![None; jobs.len()])).unwrap();
        (number(&url, holders) == 1).then_some(())
    });
    let stopped = connect(&url).take_over(&mut |_| ControlFlow::Break(()));
    assert!(stopped.unwrap().is_none());
    assert_eq!(first.generation(), number(&url, "SELECT generation FROM frontier"));
}

#[test]
fn a_standby_lets_the_writer_come_back_first_when_the_server_has_been_away() {
    let mut server = e2e::Postgres::start();
    let url = server.database();
    let mut flow = Flow::new(4);
    let mut first = writer(&url);
    let standby = connect(&url);
    thread::scope(|scope| {
        let (told, waiting) = std::sync::mpsc::channel();
        let second = scope.spawn(move || {
            standby.take_over(&mut |waiting| match told.send(matches!(waiting, Waiting::Away(_))) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            })
        });
        assert!(!waiting.recv().unwrap());
        server.kill();
        while !waiting.recv().unwrap() {}
        server.restart();
        insist(|| first.commit(&flow.next(|jobs| vec![None; jobs.len()])));
        for _ in 0..8 {
            thread::sleep(Duration::from_millis(250));
            insist(|| first.commit(&flow.next(|jobs| vec![None; jobs.len()])));
        }
        // It stands by again, and has not taken over.
        while waiting.recv().unwrap() {}
        first.commit(&flow.next(|jobs| vec![None; jobs.len()])).unwrap();
        drop(waiting);
        assert!(second.join().unwrap().unwrap().is_none());
    });
}

/// Runs a stream through a cable that `trouble` cuts before some of the commits.
fn through(seed: u64, n: usize, trouble: impl Fn(usize) -> Option<Cut>) -> usize {
    let url = Servers::shared().database();
    let proxy = Proxy::to(address(&url));
    let (mut embedded, mut flow) = (Embedded::new(), Flow::new(seed));
    let mut writer = writer(&proxy.url(&url));
    let mut reader = connect(&url).reader().unwrap();
    for n in 0..n {
        let commit = flow.next(|jobs| insist(|| writer.lookup(jobs)).0);
        if let Some(cut) = trouble(n) {
            proxy.cut(cut);
        }
        insist(|| writer.commit(&commit));
        // Once more does no harm.
        writer.commit(&commit).unwrap();
        embedded.store.commit(&commit).unwrap();
    }
    proxy.cut(Cut::Within(usize::MAX));
    embedded.agrees(&mut writer, &mut reader, &flow, &url);
    proxy.cuts()
}

fn address(url: &str) -> std::net::SocketAddr {
    let (_, rest) = url.split_once('@').unwrap();
    rest.split_once('/').unwrap().0.parse().unwrap()
}

#[test]
fn a_commit_whose_outcome_was_lost_is_applied_once() {
    for cut in [Cut::BeforeCommit, Cut::AtCommit, Cut::AfterCommit] {
        assert!(through(5, 40, |n| (n % 2 == 1).then_some(cut)) >= 20, "{cut:?}");
    }
}

#[test]
fn a_commit_that_was_cut_off_anywhere_is_applied_once() {
    let mut random = fastrand::Rng::with_seed(6);
    let places: Vec<usize> = (0..100).map(|_| random.usize(..6_000)).collect();
    assert!(through(6, 100, |n| Some(Cut::Within(places[n]))) > 50);
}

#[test]
fn a_commit_that_the_server_is_still_at_is_waited_for() {
    let url = Servers::shared().database();
    let proxy = Proxy::to(address(&url));
    let (mut embedded, mut flow) = (Embedded::new(), Flow::new(7));
    let mut writer = writer(&proxy.url(&url));
    // The end of a transaction takes a second.
    run(
        &url,
        "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql
             AS $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER linger AFTER UPDATE ON frontier
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION linger()",
    );
    let commit = flow.next(|_| unreachable!());
    proxy.cut(Cut::AtCommit);
    let (_, attempts) = insist(|| writer.commit(&commit));
    assert_eq!((attempts, proxy.cuts()), (2, 1));
    embedded.store.commit(&commit).unwrap();
    let mut reader = connect(&url).reader().unwrap();
    embedded.agrees(&mut writer, &mut reader, &flow, &url);
}

#[test]
fn a_server_that_is_killed_again_and_again_ends_up_with_each_commit_once() {
    let mut server = e2e::Postgres::start();
    let url = server.database();
    let (mut embedded, mut flow) = (Embedded::new(), Flow::new(8));
    let mut writer = writer(&url);
    let mut reader = connect(&url).reader().unwrap();
    let mut failed = 0;
    thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let server = &mut server;
        scope.spawn(move || {
            let mut random = fastrand::Rng::with_seed(8);
            let pause = |random: &mut fastrand::Rng| Duration::from_millis(random.u64(20..300));
            // Who sent nothing and is gone has failed.
            while stopped.recv_timeout(pause(&mut random)) == Err(RecvTimeoutError::Timeout) {
                server.restart();
            }
        });
        let began = Instant::now();
        while failed < 10 && began.elapsed() < Duration::from_secs(60) {
            let commit = flow.next(|jobs| insist(|| writer.lookup(jobs)).0);
            failed += insist(|| writer.commit(&commit)).1 - 1;
            // A reading end comes back as well.
            insist(|| reader.jobs(&Query { limit: 1, ..Query::default() }));
            embedded.store.commit(&commit).unwrap();
        }
        drop(stop);
    });
    assert!(failed >= 10, "{failed}");
    embedded.agrees(&mut writer, &mut reader, &flow, &url);
}

#[test]
fn programs_that_start_at_once_set_up_the_tables_once() {
    let url = Servers::shared().database();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| connect(&url));
        }
    });
    let twice = "SELECT count(*) - max(version) FROM refinery_schema_history";
    assert_eq!(number(&url, twice), 0);
}

#[test]
fn a_database_of_a_newer_program_is_refused() {
    let url = Servers::shared().database();
    connect(&url);
    run(
        &url,
        "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
               VALUES (99, 'later', '2027-01-01T00:00:00Z', '1')",
    );
    let error = refused(&url);
    assert!(matches!(error, Error::Newer { theirs: 99, .. }), "{error}");
    assert!(error.to_string().contains("upgrade this program"), "{error}");
}

#[test]
fn a_database_with_tables_of_somebody_else_is_refused() {
    let url = Servers::shared().database();
    run(&url, "CREATE TABLE jobs (whatever int)");
    let error = refused(&url);
    assert!(matches!(error, Error::Tables { .. }), "{error}");
    assert!(error.to_string().contains("\"jobs\" already exists"), "{error}");
}

#[track_caller]
fn refused(url: &str) -> Error {
    let error = Postgres::connect(url, runtime()).map(drop).unwrap_err();
    assert!(!error.passes(), "{error}");
    error
}

#[test]
fn who_is_not_let_in_is_told_so_and_a_server_that_is_away_may_come_back() {
    let url = Servers::shared().database();
    let (head, _) = url.rsplit_once('/').unwrap();
    let error = refused(&format!("{head}/nowhere"));
    assert!(matches!(error, Error::Shut { .. }), "{error}");
    let error = refused(&url.replace("postgres@", "nobody:s3cret@"));
    assert!(matches!(error, Error::Shut { .. }), "{error}");
    assert!(!error.to_string().contains("s3cret"), "{error}");
    let error = refused(&format!("{url}?sslmode=require"));
    assert!(matches!(error, Error::Shut { .. }), "{error}");

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("postgres://me:s3cret@{closed}/db");
    let error = Postgres::connect(&nobody, runtime()).map(drop).unwrap_err();
    assert!(error.passes() && error.to_string().contains("refused"), "{error}");
}

#[test]
fn who_may_only_read_can_start_and_read() {
    let url = Servers::shared().database();
    connect(&url);
    let name = format!("reader_{}", Uuid::now_v7().simple());
    run(
        &url,
        &format!("CREATE ROLE {name} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}"),
    );
    let theirs = connect(&url.replace("postgres@", &format!("{name}@")));
    assert_eq!(
        theirs.reader().unwrap().jobs(&Query { limit: 10, ..Query::default() }).unwrap().total,
        0
    );
    let error = theirs.take_over(&mut |waiting| panic!("{waiting:?}")).map(drop).unwrap_err();
    assert!(matches!(error, Error::Shut { .. }), "{error}");
}

#[test]
fn a_store_that_went_back_is_not_written_to() {
    let url = Servers::shared().database();
    let mut flow = Flow::new(9);
    let mut writer = writer(&url);
    let commit = flow.next(|_| unreachable!());
    writer.commit(&commit).unwrap();
    run(&url, "UPDATE frontier SET tick = 17");
    let later = flow.next(|jobs| vec![None; jobs.len()]);
    let error = writer.commit(&later).unwrap_err();
    let left = commit.sealed.upper;
    assert!(matches!(error, Error::Moved { left: at, found: 17 } if at == left), "{error}");
    assert!(!error.passes());
}

fn row(n: u8) -> SpillRow {
    SpillRow {
        key: format!("key-{n}"),
        job: JobId::from_u128(n.into()),
        occurred_at: 1_795_255_200_123_456 + i64::from(n),
        tick: Tick::from(n),
        late: n.is_multiple_of(2),
        body: vec![n, 0, 255],
    }
}

#[test]
fn events_that_wait_for_the_archive_come_back_in_order_until_they_are_forgotten() {
    let url = Servers::shared().database();
    let mut flow = Flow::new(10);
    let mut writer = writer(&url);
    let rows: Vec<SpillRow> = (0..50).map(row).collect();
    let commit = flow.next(|_| unreachable!());
    writer.commit_with_spill(&commit, &rows[..20]).unwrap();
    writer.spill(&rows[20..]).unwrap();

    let first = writer.spilled(30).unwrap();
    let events: Vec<SpillRow> = first.iter().map(|spilled| spilled.event.clone()).collect();
    assert_eq!(events, rows[..30]);
    writer.unspill(&first.iter().map(|spilled| spilled.id).collect::<Vec<_>>()).unwrap();
    let rest = writer.spilled(1_000).unwrap();
    let events: Vec<SpillRow> = rest.iter().map(|spilled| spilled.event.clone()).collect();
    assert_eq!(events, rows[30..]);
    writer.unspill(&rest.iter().map(|spilled| spilled.id).collect::<Vec<_>>()).unwrap();
    assert_eq!(writer.spilled(1_000).unwrap(), []);
}

#[test]
fn events_are_spilled_even_if_the_commit_had_succeeded_without_them() {
    let url = Servers::shared().database();
    let proxy = Proxy::to(address(&url));
    let mut flow = Flow::new(11);
    let mut writer = writer(&proxy.url(&url));
    let commit: Commit = flow.next(|_| unreachable!());
    proxy.cut(Cut::AfterCommit);
    assert!(writer.commit(&commit).unwrap_err().passes());
    // Meanwhile the archive has gone away as well.
    writer.commit_with_spill(&commit, &[row(1)]).unwrap();
    let spilled = writer.spilled(10).unwrap();
    assert_eq!(spilled.iter().map(|spilled| &spilled.event).collect::<Vec<_>>(), [&row(1)]);
}
