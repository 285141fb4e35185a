//! `observatory rules`: rules files checked, put in force, and tried on what has happened before.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use contracts::answers;

use crate::cli::{self, Output};
use crate::client::Client;
use crate::{exit, rules_file};

mod backtest;
mod unit;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say whether rules files are good, and where not; exit 3 if one is not.
    Check {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Put rules in force, without a restart.
    Apply(Apply),
    /// Try rules on a recorded stream, or run their unit tests.
    Test(backtest::Args),
}

#[derive(clap::Args)]
struct Apply {
    file: PathBuf,
    /// Where the API is.
    #[arg(long, env = "OBSERVATORY_API", default_value = "http://127.0.0.1:8080")]
    api: String,
    /// What lets us in, where a token is asked for. Rather as a variable: others see our arguments.
    #[arg(long, env = "OBSERVATORY_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Check { files } => check(files),
        Command::Apply(apply) => put(apply),
        Command::Test(args) => backtest::run(args),
    }
}

fn check(files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut good = true;
    for file in files {
        match rules_file::read(file) {
            Ok(read) => {
                let n = read.rules.len();
                let rules = if n == 1 { "rule" } else { "rules" };
                cli::print(&format!("{}: {n} {rules}, all good", file.display()))?;
            }
            Err(error) => {
                good = false;
                cli::print(&format!("{error:#}"))?;
            }
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(exit::CONDITION) })
}

fn put(Apply { file, api, token }: &Apply) -> anyhow::Result<ExitCode> {
    // What is wrong is told with its place before anybody is asked.
    let yaml = rules_file::read(file)?.yaml;
    let Some(client) = Client::new(api) else {
        bail!("--api is to be like http://127.0.0.1:8080");
    };
    let client = client.with_token(token.as_deref().filter(|token| !token.is_empty()));
    let rules: answers::Rules = client.put("/api/v1/rules", &yaml)?.read()?;
    let n = rules.rules.len();
    cli::print(&format!("{n} rules are in force from the next second on"))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints one thing in one of two ways.
fn print<T: serde::Serialize>(
    output: Output,
    json: &T,
    table: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    cli::print(&match output {
        Output::Json => serde_json::to_string_pretty(json).context("cannot write the result")?,
        Output::Table => table(),
    })
}
