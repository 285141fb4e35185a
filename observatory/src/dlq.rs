//! `observatory dlq`: the dead letters, looked at and sent back.
//!
//! ```text
//!   jobs.failed.validation ──get──▶ list ──(connection ends)──▶ back into the queue
//!                          ──get──▶ replay ──publish──▶ original exchange ──confirmed──▶ ack
//! ```
//!
//! # Invariants
//!
//! 1. `list` changes nothing: what it took goes back when its connection ends.
//! 2. A dead letter is acknowledged only when the broker has its body in a queue again.
//! 3. No command takes more than was in the queue when it began, so `replay` ends though what is
//!    rejected again comes back as a new dead letter.

use std::process::ExitCode;

use anyhow::{Context, bail};
use ingress::amqp::{Letter, Letters, Visit, reason_of, topology};

use crate::cli::Output;
use crate::servers::Urls;

mod list;
mod replay;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show the dead letters; they stay where they are.
    List(list::Args),
    /// Publish dead letters to where they came from, and take them out of the queue.
    Replay(replay::Args),
}

/// Which dead letters.
#[derive(clap::Args)]
struct Which {
    #[command(flatten)]
    urls: Urls,
    /// Only those that were rejected for this reason, as `schema` or `bad_json`.
    #[arg(long, env = "OBSERVATORY_REASON")]
    reason: Option<String>,
    /// How to print the result: a table for people, JSON for programs.
    #[arg(long, env = "OBSERVATORY_OUTPUT", value_enum, default_value = "table")]
    output: Output,
}

/// What the broker shows of us.
const NAME: &str = "observatory dlq";

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    crate::log::start_for_tool();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let done = runtime.block_on(async {
        match &args.command {
            Command::List(args) => list::run(args).await,
            Command::Replay(args) => replay::run(args).await,
        }
    });
    runtime.shutdown_background();
    done
}

impl Which {
    /// A visit at the broker.
    async fn visit(&self) -> anyhow::Result<Visit> {
        Ok(Visit::begin(&self.urls.rabbitmq()?, NAME).await?)
    }

    /// The dead letters, and how many there are now.
    async fn letters(&self, visit: &Visit) -> anyhow::Result<(Letters, u64)> {
        let Some(depth) = visit.depth(topology::DEAD_LETTERS).await? else { bail!(no_queue()) };
        Ok((visit.letters(topology::DEAD_LETTERS).await?, depth))
    }

    fn wants(&self, letter: &Letter) -> bool {
        self.reason.as_deref().is_none_or(|reason| reason == reason_of(letter))
    }
}

fn no_queue() -> String {
    format!("there is no queue {}: start a role, which declares it", topology::DEAD_LETTERS)
}
