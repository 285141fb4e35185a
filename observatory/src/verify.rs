//! `observatory verify`: whether the stores agree with what the archived events come to.
//!
//! ```text
//!   MongoDB: all events ──summaries, no dataflow──▶ jobs ─┐
//!   PostgreSQL: rows ─────────────────────────────────────┴─▶ equal? ──sums──▶ counts, totals,
//!   journal: what was confirmed ──▶ archived?                                  minutes, samples
//!                                                        Redis, API ──equal?───────┘
//! ```
//!
//! Each server is read by itself. The pipeline's part in it is the lattice and nothing else: rows
//! are joined again from the archive, and numbers added up again from rows.
//!
//! # Cost
//!
//! All of the archive and all rows pass by once; what stays in memory is a summary per job.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use ingress::amqp::{self, Visit, topology};
use sinks::fold::Folded;
use sinks::mongo::Archive;
use sinks::postgres::Postgres;
use tokio::runtime::Handle;

use crate::cli::{self, Output};
use crate::exit;
use crate::servers::Urls;
use check::Check;
use journal::Journal;
use rest::Servers;
use rows::{Rows, Sample};
use truth::Truth;

mod api;
mod check;
mod journal;
#[cfg(test)]
mod made;
mod rest;
mod rows;
mod stores;
mod tally;
mod truth;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    urls: Urls,
    /// The API, to be compared too: http://HOST:PORT
    #[arg(long, env = "OBSERVATORY_API", value_name = "URL")]
    api: Option<String>,
    /// A token that may read, where the API asks for one.
    #[arg(long, env = "OBSERVATORY_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// What `loadgen --journal` wrote: each of its events must be archived.
    #[arg(long, env = "OBSERVATORY_JOURNAL", value_name = "FILE")]
    journal: Option<PathBuf>,
    /// What `loadgen --attempts` wrote: no other event may be archived.
    #[arg(long, env = "OBSERVATORY_ATTEMPTS", value_name = "FILE", requires = "journal")]
    attempts: Option<PathBuf>,
    /// Dead letters that there should be.
    #[arg(long, env = "OBSERVATORY_DEAD_LETTERS", default_value_t = 0, value_name = "N")]
    dead_letters: u64,
    /// Jobs that the API is asked for one by one.
    #[arg(long, env = "OBSERVATORY_SAMPLE", default_value_t = 20, value_name = "N")]
    sample: usize,
    /// Seed of which jobs these are.
    #[arg(long, env = "OBSERVATORY_SEED", default_value_t = 1)]
    seed: u64,
    /// Wait at most so long until nothing is on its way any more.
    #[arg(long, env = "OBSERVATORY_WITHIN", default_value = "30s", value_name = "TIME", value_parser = cli::duration)]
    within: Duration,
    /// How to print the result: a table for people, JSON for programs.
    #[arg(long, env = "OBSERVATORY_OUTPUT", value_enum, default_value = "table")]
    output: Output,
}

/// What servers show of us.
const NAME: &str = "observatory verify";

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    crate::log::start_for_tool();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let checks = verify(args, runtime.handle());
    runtime.shutdown_background();
    let checks = checks?;
    args.output.print(&check::json(&checks), || check::table(&checks))?;
    Ok(match checks.iter().any(Check::differs) {
        true => ExitCode::from(exit::CONDITION),
        false => ExitCode::SUCCESS,
    })
}

fn verify(args: &Args, runtime: &Handle) -> anyhow::Result<Vec<Check>> {
    let (postgres, redis, mongodb) =
        (args.urls.postgres()?, args.urls.redis()?, args.urls.mongodb()?);
    let broker = args.urls.rabbitmq_if_given()?;
    let api = args.api.as_deref().map(api::client).transpose()?;
    let api = api.map(|api| api.with_token(args.token.as_deref()));
    let read = |confirmed: &Path| Journal::read(confirmed, args.attempts.as_deref());
    let mut journal = args.journal.as_deref().map(read).transpose()?;

    let postgres = Postgres::connect(&postgres, runtime.clone()).context("--postgres-url")?;
    let archive = runtime.block_on(Archive::connect(&mongodb)).context("--mongodb-url")?;
    let servers = Servers { runtime, postgres: &postgres, redis: &redis, broker: broker.as_ref() };
    let (standing, mut rest) = servers.wait(args.within)?;

    let mut events = Check::new("MongoDB: each document an event, under its id");
    let truth = runtime.block_on(read_all(&archive, &mut events, &mut journal))?;
    let n_late = truth.n_late;
    let mut rows = Rows::new(truth, Sample::new(args.sample, args.seed));
    let tables = postgres.audit(&mut |row| rows.take(row))?;
    let held = runtime.block_on(sinks::redis::read(&redis)).context("--redis-url")?;

    let (of_rows, tally, sample) = rows.finish();
    let mut checks = vec![events];
    checks.extend(of_rows);
    checks.extend(stores::tables(&tally, &tables, n_late));
    checks.extend(stores::redis(&tally, &tables, &held));
    if let Some(api) = &api {
        let shown = held.views.as_ref().and_then(|views: &Folded| views.snapshot().as_of);
        checks.extend(api::compare(api, shown, &tally, &sample.rows)?);
    }
    if let Some(broker) = &broker {
        checks.push(runtime.block_on(dead_letters(broker, args.dead_letters)));
    }
    checks.extend(journal.into_iter().flat_map(Journal::finish));
    servers.moved(&standing, &mut rest)?;
    checks.insert(0, rest);
    Ok(checks)
}

/// Reads the whole archive.
async fn read_all(
    archive: &Archive,
    check: &mut Check,
    journal: &mut Option<Journal>,
) -> anyhow::Result<Truth> {
    let mut truth = Truth::default();
    let mut bodies = archive.all().await.context("--mongodb-url")?;
    while let Some(body) = bodies.next().await? {
        truth.take(&body, check);
        if let Some(journal) = journal {
            journal.take(&body);
        }
    }
    Ok(truth)
}

/// The dead letters, if the broker can be asked.
async fn dead_letters(broker: &amqp::Url, expected: u64) -> Check {
    let mut check = Check::new("dead letters, as many as there should be");
    let depth = async {
        let visit = Visit::begin(broker, NAME).await?;
        let depth = visit.depth(topology::DEAD_LETTERS).await;
        visit.end().await;
        depth
    };
    match depth.await {
        Ok(depth) => check.equal(topology::DEAD_LETTERS, expected, depth.unwrap_or(0)),
        Err(fault) => check.note(format!("not looked at: {fault}")),
    }
    check
}
