//! `observatory rules`: rules files checked, put in force, and tried on what has happened before.

use std::path::PathBuf;
use std::process::ExitCode;

use contracts::answers;

use crate::cli;
use crate::reads::Server;
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
    #[command(flatten)]
    server: Server,
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

fn put(Apply { file, server }: &Apply) -> anyhow::Result<ExitCode> {
    // What is wrong is told with its place before anybody is asked.
    let yaml = rules_file::read(file)?.yaml;
    let rules: answers::Rules = server.client().put("/api/v1/rules", &yaml)?.read()?;
    let n = rules.rules.len();
    cli::print(&format!("{n} rules are in force from the next second on"))?;
    Ok(ExitCode::SUCCESS)
}
