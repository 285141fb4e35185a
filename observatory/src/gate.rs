//! `observatory gate`: whether a set of roles and servers works together, before anybody relies on
//! it.
//!
//! ```text
//!   each role: alive, ready, measured
//!   gateway ──job──▶ broker ──▶ worker, pipeline ──▶ PostgreSQL, MongoDB, Redis ──▶ API
//!      └ the same once more, and an event of it once more: nothing changes
//! ```
//!
//! One made-up job goes through all of it, of a type and a queue of its own. What fails is told with
//! what was seen and what to do; what can not be tried after that is skipped.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::runtime::Handle;

use crate::cli::{self, Output};
use crate::client::{self, Client};
use crate::exit;
use crate::servers::Urls;
use findings::{Findings, Verdict};

mod findings;
mod journey;
mod roles;
mod stores;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    urls: Urls,
    /// Where the gateway is.
    #[arg(long, env = "OBSERVATORY_GATEWAY", default_value = "http://127.0.0.1:3000",
        value_name = "URL", value_parser = client::address)]
    gateway: Client,
    /// Where the API is.
    #[arg(long, env = "OBSERVATORY_API", default_value = "http://127.0.0.1:8080",
        value_name = "URL", value_parser = client::address)]
    api: Client,
    /// Where the pipeline tells its health.
    #[arg(long, env = "OBSERVATORY_PIPELINE", default_value = "http://127.0.0.1:9100",
        value_name = "URL", value_parser = client::address)]
    pipeline: Client,
    /// Where the worker tells its health.
    #[arg(long, env = "OBSERVATORY_WORKER", default_value = "http://127.0.0.1:8000",
        value_name = "URL", value_parser = client::address)]
    worker: Client,
    /// A token that may write, where gateway and API ask for one.
    #[arg(long, env = "OBSERVATORY_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Be done within so long; what is not so by then has failed.
    #[arg(long, env = "OBSERVATORY_WITHIN", default_value = "60s", value_name = "TIME", value_parser = cli::duration)]
    within: Duration,
    /// How to print the result: a table for people, JSON for programs.
    #[arg(long, env = "OBSERVATORY_OUTPUT", value_enum, default_value = "table")]
    output: Output,
}

/// When all of it has to be done.
#[derive(Clone, Copy)]
struct Deadline(Instant);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

impl Deadline {
    /// Looks again until what is looked for is there; else gives what was seen last.
    fn until<T>(self, mut look: impl FnMut() -> Result<T, String>) -> Result<T, String> {
        loop {
            match look() {
                Err(_) if Instant::now() < self.0 => std::thread::sleep(PAUSE),
                seen => return seen,
            }
        }
    }

    /// The same, or earlier.
    fn at_most(self, within: Duration) -> Deadline {
        Deadline(self.0.min(Instant::now() + within))
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    crate::log::start_for_tool();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let began = Instant::now();
    let findings = gate(args, runtime.handle(), Deadline(began + args.within));
    runtime.shutdown_background();
    let findings = findings?;
    let took = began.elapsed();
    args.output.print(&findings.json(took), || findings.table(took))?;
    Ok(match findings.verdict() {
        Verdict::Passed | Verdict::Skipped => ExitCode::SUCCESS,
        Verdict::Failed => ExitCode::from(exit::CONDITION),
    })
}

/// Where the roles are.
struct Places {
    gateway: Client,
    api: Client,
    pipeline: Client,
    worker: Client,
}

fn gate(args: &Args, runtime: &Handle, deadline: Deadline) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let with_token = |client: &Client| client.clone().with_token(args.token.as_deref());
    let at = Places {
        gateway: with_token(&args.gateway),
        api: with_token(&args.api),
        // They ask nobody for a token.
        pipeline: args.pipeline.clone(),
        worker: args.worker.clone(),
    };
    let roles = [
        ("gateway", &at.gateway),
        ("pipeline", &at.pipeline),
        ("worker", &at.worker),
        ("api", &at.api),
    ];
    for (role, client) in roles {
        roles::check(&mut findings, role, client, deadline);
    }
    let stores = stores::Stores::new(&args.urls, runtime)?;
    journey::check(&mut findings, &at, &stores, deadline);
    Ok(findings)
}
