//! `observatory submit`: one job, and what becomes of it.

use std::io::Read;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use contracts::view::JobAccepted;
use contracts::{JobView, State};
use serde_json::value::RawValue;

use crate::cli::{self, Output};
use crate::client::Client;
use crate::exit::{self, Late, Usage};
use crate::reads::watch::Changes;
use crate::reads::{Server, jobs};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The type of the job, as `email.send`.
    #[arg(value_name = "TYPE")]
    job_type: String,
    #[command(flatten)]
    server: Server,
    /// The queue that it is to wait in.
    #[arg(long, env = "OBSERVATORY_QUEUE")]
    queue: Option<String>,
    /// What it is about, as JSON; `@FILE` reads a file, `-` standard input.
    #[arg(long, env = "OBSERVATORY_PAYLOAD", value_name = "JSON")]
    payload: Option<String>,
    /// Submitted again under the same key, it is not made again.
    #[arg(long, env = "OBSERVATORY_IDEMPOTENCY_KEY", value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Wait until it has ended; exit code 3 unless it has completed.
    #[arg(long, env = "OBSERVATORY_WAIT")]
    wait: bool,
    /// With --wait: no longer than this.
    #[arg(long, env = "OBSERVATORY_WITHIN", value_name = "TIME", default_value = "1h",
        value_parser = cli::duration)]
    within: Duration,
    /// How to print the result: the id of the job for people, or JSON for programs.
    #[arg(long, env = "OBSERVATORY_OUTPUT", value_enum, default_value = "table")]
    output: Output,
}

/// A job as it is submitted.
#[derive(serde::Serialize)]
struct Submission<'a> {
    #[serde(rename = "type")]
    job_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    crate::log::start_for_tool();
    let payload = args.payload.as_deref().map(payload).transpose()?;
    let job = Submission { job_type: &args.job_type, queue: args.queue.as_deref(), payload };
    let body = serde_json::to_string(&job).context("cannot write the job")?;
    let key = args.idempotency_key.as_deref().map(|key| ("idempotency-key", key));
    let client = args.server.client();
    let accepted: JobAccepted = client.post("/jobs", key.as_slice(), &body)?.read()?;
    if !args.wait {
        args.print(&accepted, || accepted.job_id.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let job = ended(&client, &accepted, args.within)?;
    let told = || jobs::rows(std::slice::from_ref(&job)).to_string();
    args.print(&job, told)?;
    Ok(match job.state {
        State::Completed => ExitCode::SUCCESS,
        _ => ExitCode::from(exit::CONDITION),
    })
}

impl Args {
    fn print(
        &self,
        json: &impl serde::Serialize,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        cli::print(&match self.output {
            Output::Table => text(),
            Output::Json => crate::reads::json_line(json)?,
        })
    }
}

/// The payload that is meant.
fn payload(given: &str) -> anyhow::Result<Box<RawValue>> {
    let text = match (given, given.strip_prefix('@')) {
        ("-", _) => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("--payload -")?;
            text
        }
        (_, Some(path)) => std::fs::read_to_string(path)
            .with_context(|| format!("--payload {given} can not be read"))?,
        _ => given.to_owned(),
    };
    let no_json = |error| Usage::new(format!("--payload is no JSON: {error}"));
    Ok(serde_json::from_str(&text).map_err(no_json)?)
}

/// Waits until the job has ended.
fn ended(client: &Client, accepted: &JobAccepted, within: Duration) -> anyhow::Result<JobView> {
    let path = format!("/api/v1/jobs/{}", accepted.job_id);
    let mut changes = Changes::follow(client)?;
    let by = Instant::now() + within;
    loop {
        let left = by.saturating_duration_since(Instant::now());
        // On servers it is durable before it is in a view.
        let found = changes.next_within(left, |client| client.find::<JobView>(&path))?;
        match found.flatten() {
            Some(job) if has_ended(job.state) => return Ok(job),
            _ if left.is_zero() => {
                let id = accepted.job_id;
                return Err(Late(format!("the job {id} has not ended within {within:?}")).into());
            }
            _ => {}
        }
    }
}

fn has_ended(state: State) -> bool {
    matches!(state, State::Completed | State::Failed | State::Cancelled | State::Abandoned)
}
