//! `observatory`: exact, live answers about background jobs.
//!
//! One binary, one file per role and tool; each composes the crates that do the work.

use std::process::ExitCode;

use clap::Parser;

mod cli;
mod replay;
mod rules_file;
mod table;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let done = match cli.command {
        cli::Command::Replay(args) => replay::run(&args),
    };
    match done {
        Ok(code) => code,
        Err(error) => cli::fail(&error),
    }
}
