//! How fast PostgreSQL takes commits, against the bare statement, and gives the jobs back:
//! `cargo run --release -p sinks --example postgres_speed postgres://… [jobs]`, on a new database.

use std::error::Error;
use std::time::{Duration, Instant, UNIX_EPOCH};

use contracts::{EventId, JobId, Kind, State};
use ingress::submit::Submitted;
use pipeline::fact::{Fact, Record};
use pipeline::name::Name;
use pipeline::seal::Sealed;
use pipeline::summary::{Summary, UNKNOWN};
use pipeline::views::counts::Cell;
use pipeline::views::minutes::{Minute, MinuteStats};
use sinks::commit::{Accepted, Commit};
use sinks::postgres::{Postgres, Writer};
use sinks::store::Store as _;
use tokio_postgres::{Client, NoTls, Statement};

const START: i64 = 1_795_255_200_000_000;
const ROUNDS: usize = 10;

/// All columns of a job, as they come.
const BARE: &str = "INSERT INTO bare (id, type, state, inferred, queue, worker, attempt, created_at,
        started_at, finished_at, tick, summary)
    SELECT id, type, state, false, queue, worker, attempt, created, started, finished, tick, summary
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[],
        $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::bigint[], $11::bytea[]) AS given (id, type, state, queue, worker, attempt, created, started, finished,
        tick, summary)
    ON CONFLICT (id) DO UPDATE SET type = excluded.type, state = excluded.state,
        inferred = excluded.inferred, queue = excluded.queue, worker = excluded.worker,
        attempt = excluded.attempt, created_at = excluded.created_at,
        started_at = excluded.started_at, finished_at = excluded.finished_at, tick = excluded.tick,
        summary = excluded.summary";

/// What a commit of these facts is, with the rest that a tick of them brings.
fn commit(facts: &[Vec<Fact>], upper: u64) -> Commit {
    let mut commit = Commit::default();
    for facts in facts {
        let mut summary = Summary::of(&facts[0]);
        for fact in &facts[1..] {
            summary.join(&Summary::of(fact));
        }
        let last = facts[facts.len() - 1].clone();
        let record = Record {
            job: last.job,
            summary,
            tick: upper - 1,
            abandoned_at: None,
            retired_at: None,
        };
        commit.sealed.records.push((record, upper - 1, ()));
        let event = Submitted {
            fact: last,
            body: vec![b' '; 500],
            error: None,
            metadata: None,
            note: false,
            heartbeat: None,
            execute: false,
        };
        commit.events.push(Accepted { tick: upper - 1, event, late: false });
    }
    for n in 0..100 {
        let (job_type, queue) = (name("type", n % 20), name("queue", n % 5));
        let cell = Cell::Live { state: State::Pending, job_type, queue, worker: Name::NONE };
        commit.sealed.counts.push(((cell, n as isize + 1), upper - 1, 1));
        let minute = Minute { start: START, job_type };
        commit.sealed.minutes.push((minute, upper - 1, MinuteStats { created: 1, ..default() }));
    }
    commit.sealed = Sealed { upper, ..commit.sealed };
    commit
}

fn default<T: Default>() -> T {
    T::default()
}

fn name(what: &str, n: usize) -> Name {
    Name::new(&format!("{what}-{n}"))
}

/// The life of a job up to `kind`.
fn facts(job: usize, kinds: &[Kind]) -> Vec<Fact> {
    let at = START + job as i64 * 1_000;
    let fact = |(n, kind): (usize, &Kind)| Fact {
        // As identities that are not in the order of time.
        job: JobId::from_u128(
            (job as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
        ),
        event: EventId::from_u128((job * 8 + n) as u128),
        at: at + n as i64 * 1_000,
        created_at: at,
        seq: 0,
        job_type: name("type", job % 20),
        queue: name("queue", job % 5),
        worker: if n > 0 { name("worker", job % 50) } else { Name::NONE },
        attempt: 1,
        kind: *kind,
        inferred: false,
        expires_after: 0,
    };
    kinds.iter().enumerate().map(fact).collect()
}

async fn bare(
    client: &Client,
    statement: &Statement,
    commit: &Commit,
) -> Result<Duration, Box<dyn Error>> {
    let records = || commit.sealed.records.iter().map(|(record, ..)| record);
    let texts = |name: fn(&Summary) -> Name| {
        records().map(|record| name(&record.summary).text().to_string()).collect::<Vec<_>>()
    };
    let times = |time: fn(&Summary) -> i64| {
        let times = records().map(|record| time(&record.summary));
        let at = |at: i64| UNIX_EPOCH + Duration::from_micros(at.cast_unsigned());
        times.map(|time| (time != UNKNOWN).then(|| at(time))).collect::<Vec<_>>()
    };
    let ids: Vec<JobId> = records().map(|record| record.job).collect();
    let states: Vec<&str> = records().map(|record| record.summary.state().as_str()).collect();
    let attempts = vec![1_i32; ids.len()];
    let ticks: Vec<i64> = records().map(|record| record.tick as i64).collect();
    let summaries: Vec<Vec<u8>> = records().map(|record| record.summary.encode()).collect();
    let (types, queues) = (texts(Summary::job_type), texts(Summary::queue));
    let workers = texts(Summary::worker);
    let created = times(Summary::created);
    let (started, finished) = (times(|summary| summary.started), times(Summary::finished));

    let began = Instant::now();
    client.batch_execute("BEGIN").await?;
    client
        .execute(
            statement,
            &[
                &ids, &types, &states, &queues, &workers, &attempts, &created, &started, &finished,
                &ticks, &summaries,
            ],
        )
        .await?;
    client.batch_execute("COMMIT").await?;
    Ok(began.elapsed())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("the address of a new database is missing")?;
    let n_jobs: usize = arguments.next().map_or(Ok(1_000_000), |n| n.parse())?;
    let runtime = tokio::runtime::Runtime::new()?;
    let postgres = Postgres::connect(&url, runtime.handle().clone())?;
    let mut writer = postgres
        .take_over(&mut |_| std::ops::ControlFlow::Break(()))?
        .ok_or("somebody else writes to it")?;
    let client = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute("CREATE TABLE bare (LIKE jobs INCLUDING ALL)").await?;
        Ok::<_, tokio_postgres::Error>(client)
    })?;

    let mut upper = START as u64;
    let mut first = 0;
    for size in [100, 1_000, 2_000, 10_000] {
        let stages: [(&str, &[Kind]); 2] =
            [("new", &[Kind::Created]), ("known", &[Kind::Created, Kind::Executed])];
        for (stage, kinds) in stages {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            let statement = runtime.block_on(client.prepare(BARE))?;
            for round in 0..ROUNDS {
                let jobs = first + round * size..first + (round + 1) * size;
                let facts: Vec<_> = jobs.map(|job| facts(job, kinds)).collect();
                upper += 1_000;
                let commit = commit(&facts, upper);
                theirs.push(runtime.block_on(bare(&client, &statement, &commit))?);
                let began = Instant::now();
                writer.commit(&commit)?;
                ours.push(began.elapsed());
            }
            let (ours, theirs) = (per_second(size, ours), per_second(size, theirs));
            let ratio = ours / theirs;
            report(&format!(
                "{size:>6} {stage:<5}  commit {ours:>7.0}/s  bare {theirs:>7.0}/s  ratio {ratio:.2}"
            ));
        }
        first += ROUNDS * size;
    }
    recovery(&mut writer, first, n_jobs, &mut upper)
}

/// Fills the store up to `n_jobs`, and reads them back.
fn recovery(
    writer: &mut Writer,
    first: usize,
    n_jobs: usize,
    upper: &mut u64,
) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    for start in (first..n_jobs).step_by(5_000) {
        let kinds = [Kind::Created, Kind::Executed, Kind::Completed];
        let facts: Vec<_> =
            (start..n_jobs.min(start + 5_000)).map(|job| facts(job, &kinds)).collect();
        *upper += 1_000;
        writer.commit(&commit(&facts, *upper))?;
    }
    let per_second = n_jobs.saturating_sub(first) as f64 / began.elapsed().as_secs_f64();
    report(&format!("filled at {per_second:.0} jobs/s"));
    for _ in 0..3 {
        let began = Instant::now();
        writer.recover()?;
        let n = writer.recover_jobs(&mut |jobs| drop(jobs))?;
        report(&format!("read {n} jobs in {:.2} s", began.elapsed().as_secs_f64()));
    }
    let asked: Vec<JobId> =
        (0..1_000).map(|n| facts(n * 7 % n_jobs, &[Kind::Created])[0].job).collect();
    let began = Instant::now();
    let found = writer.lookup(&asked)?.into_iter().flatten().count();
    report(&format!("looked up {found} jobs in {:.1} ms", began.elapsed().as_secs_f64() * 1e3));
    Ok(())
}

/// By the median.
fn per_second(size: usize, mut times: Vec<Duration>) -> f64 {
    times.sort();
    size as f64 / times[times.len() / 2].as_secs_f64()
}

#[expect(clippy::print_stdout, reason = "what a measurement is for")]
fn report(line: &str) {
    println!("{line}");
}
