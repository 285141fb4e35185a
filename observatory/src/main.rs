//! `observatory`: exact, live answers about background jobs.
//!
//! One binary, one file per role and tool; each composes the crates that do the work.

use std::process::ExitCode;

use clap::Parser;

mod cli;
mod data_dir;
mod demo;
mod engine;
mod job_lines;
mod keeper;
mod log;
mod metrics;
mod reference_worker;
mod replay;
mod restore;
mod rules_file;
mod table;
mod up;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let done = match cli.command {
        cli::Command::Up(args) => up::run(&args),
        cli::Command::Replay(args) => replay::run(&args),
    };
    match done {
        Ok(code) => code,
        Err(error) => cli::fail(&error),
    }
}
