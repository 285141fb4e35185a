//! `observatory loadgen`: made-up jobs, told to the broker as real workers would.
//!
//! ```text
//!   seed ──▶ Stream ──due──▶ Parcels ──▶ attempts file ──▶ publisher ──confirmed──▶ journal
//!                                              ▲               │
//!                                              └───────────────┘ anything else: again
//! ```
//!
//! # Invariants
//!
//! 1. An event whose confirm failed, or is unknown, is published again with the same bytes, until
//!    the broker has confirmed it.
//! 2. A line of the attempts file is written before its event is handed to the broker, and a line
//!    of the journal after it was confirmed. So what is in the journal must not be lost, and what
//!    is not in the attempts file must not turn up.
//! 3. A process that is killed leaves whole lines, but for the last.
//!
//! Publish to a broker without workers: they would execute these jobs too.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, bail};
use ingress::amqp::{Publisher, State, Visit, publisher};

use crate::cli::Output;
use crate::engine::now;
use crate::servers::Urls;
use crate::signals::Signals;
use send::Sending;
use stream::{End, Stream};

mod job;
mod lines;
mod parcel;
mod report;
mod send;
mod stream;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    urls: Urls,
    /// Events a second; 0 is as fast as they are confirmed.
    #[arg(long, env = "OBSERVATORY_RATE", default_value_t = 1_000.0, value_name = "EVENTS")]
    rate: f64,
    /// Begin so many jobs, and end with the last of them.
    #[arg(long, env = "OBSERVATORY_JOBS", conflicts_with = "seconds")]
    jobs: Option<NonZeroU64>,
    /// Begin jobs for so long. Without this and --jobs, until it is stopped.
    #[arg(long, env = "OBSERVATORY_SECONDS")]
    seconds: Option<f64>,
    /// Seed of what is left to chance: the same gives the same jobs. By default another each time.
    #[arg(long, env = "OBSERVATORY_SEED")]
    seed: Option<u64>,
    #[command(flatten)]
    shape: Shape,
    /// Events in a message: more than one make a JSON array.
    #[arg(long, env = "OBSERVATORY_BATCH", default_value = "1", value_name = "EVENTS")]
    batch: NonZeroUsize,
    /// Write each confirmed event to this file, as a line: what `replay` and `verify` read.
    #[arg(long, env = "OBSERVATORY_JOURNAL", value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Write each event to this file before it is published.
    #[arg(long, env = "OBSERVATORY_ATTEMPTS", value_name = "FILE")]
    attempts: Option<PathBuf>,
    /// How to print the result: a table for people, JSON for programs.
    #[arg(long, env = "OBSERVATORY_OUTPUT", value_enum, default_value = "table")]
    output: Output,
}

/// What the jobs are like.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Shape {
    /// Types of jobs.
    #[arg(long, env = "OBSERVATORY_TYPES", default_value = "5")]
    types: NonZeroUsize,
    /// Queues that jobs wait in.
    #[arg(long, env = "OBSERVATORY_QUEUES", default_value = "3")]
    queues: NonZeroUsize,
    /// Workers that execute jobs.
    #[arg(long, env = "OBSERVATORY_WORKERS", default_value = "8")]
    workers: NonZeroUsize,
    /// Of a thousand jobs, so many fail in the end.
    #[arg(long, env = "OBSERVATORY_FAILING", default_value = "20", value_name = "PER MILLE")]
    failing: PerMille,
    /// Of a thousand jobs, so many need more than one attempt.
    #[arg(long, env = "OBSERVATORY_RETRYING", default_value = "50", value_name = "PER MILLE")]
    retrying: PerMille,
    /// Of a thousand jobs, so many are begun and never end.
    #[arg(long, env = "OBSERVATORY_HANGING", default_value = "1", value_name = "PER MILLE")]
    hanging: PerMille,
    /// Of a thousand events, so many are sent twice.
    #[arg(long, env = "OBSERVATORY_DUPLICATES", default_value = "0", value_name = "PER MILLE")]
    duplicates: PerMille,
    /// Send events up to so many ms after they occur, and so out of order.
    #[arg(long = "disorder", env = "OBSERVATORY_DISORDER", default_value_t = 0, value_name = "MS",
        value_parser = clap::value_parser!(u64).range(..=MOST_MS))]
    disorder_ms: u64,
    /// Producers' clocks are off by up to so many ms, in either direction.
    #[arg(long = "skew", env = "OBSERVATORY_SKEW", default_value_t = 0, value_name = "MS",
        value_parser = clap::value_parser!(u64).range(..=MOST_MS))]
    skew_ms: u64,
}

/// ms; what is more than an hour ahead of the pipeline's clock is rejected.
const MOST_MS: u64 = 50 * 60 * 1_000;

/// A share of a thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PerMille(u16);

impl PerMille {
    /// Whether something falls into the share; takes one number in any case.
    fn hits(self, random: &mut fastrand::Rng) -> bool {
        random.u16(..1_000) < self.0
    }

    fn of_one(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }
}

impl FromStr for PerMille {
    type Err = String;

    fn from_str(text: &str) -> Result<PerMille, String> {
        let share = text.parse().ok().filter(|share| *share <= 1_000);
        share.map(PerMille).ok_or_else(|| "a share is a number from 0 to 1000".to_owned())
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    crate::log::start_for_tool();
    if !args.rate.is_finite() || args.rate < 0.0 {
        bail!("--rate is a number of events a second, or 0");
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let done = runtime.block_on(generate(args));
    runtime.shutdown_background();
    done
}

async fn generate(args: &Args) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let broker = args.urls.rabbitmq()?;
    let journals = lines::Journals::create(args.journal.as_deref(), args.attempts.as_deref())?;
    // A publisher waits for a broker for ever; whoever mistyped its address is told now.
    Visit::begin(&broker, NAME).await?.end().await;
    let publisher = Publisher::start(publisher::Config::new(broker, NAME));
    // Before the first event is due, so that none counts as published in vain.
    let mut state = publisher.state();
    tokio::select! {
        connected = state.wait_for(|state| *state == State::Connected) => drop(connected?),
        () = signals.stop() => return Ok(ExitCode::SUCCESS),
    }

    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let end = match (args.jobs, args.seconds) {
        (Some(jobs), _) => End::Jobs(jobs.get()),
        (None, Some(seconds)) => End::Micros((seconds * 1e6) as u64),
        (None, None) => End::Never,
    };
    let began = i64::try_from(now()).context("the clock is far off")?;
    let stream = Stream::new(args.shape.clone(), seed, args.rate, end, began);
    let paced = args.rate > 0.0;
    let sending = Sending::new(publisher, stream, paced, args.batch.get(), journals);
    let bar = report::bar(end);
    let sent = sending.run(&mut signals, &bar).await;
    bar.finish_and_clear();
    let sent = sent?;
    crate::cli::print(&report::text(&sent, seed, args.output)?)?;
    match sent.failed {
        Some(error) => Err(error.into()),
        None if sent.impatient => Ok(ExitCode::from(130)),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// What the broker shows of us.
const NAME: &str = "observatory loadgen";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Tool {
        #[command(flatten)]
        args: Args,
    }

    /// The shape that these arguments give.
    pub(super) fn shape(arguments: &[&str]) -> Shape {
        let given = ["loadgen"].iter().chain(arguments);
        Tool::try_parse_from(given).unwrap_or_else(|error| panic!("{error}")).args.shape
    }

    #[test]
    fn a_share_is_of_a_thousand() {
        assert_eq!("1000".parse(), Ok(PerMille(1_000)));
        assert!("1001".parse::<PerMille>().is_err());
        assert!("-1".parse::<PerMille>().is_err());
        let hits = |share| {
            let mut random = fastrand::Rng::with_seed(1);
            (0..1_000).filter(|_| PerMille(share).hits(&mut random)).count()
        };
        assert_eq!((hits(0), hits(1_000)), (0, 1_000));
    }
}
