//! `observatory`: exact, live answers about background jobs.
//!
//! One binary, one file per role and tool; each composes the crates that do the work.

use std::process::ExitCode;

mod access;
mod api_role;
mod cli;
mod client;
mod cloudevents;
mod cluster;
mod config_cmd;
mod core;
mod data_dir;
mod delivery;
mod demo;
mod dlq;
mod doctor;
mod engine;
mod exit;
mod foreign;
mod gate;
mod gateway;
mod generated;
mod help;
mod http;
mod intake;
mod job_lines;
mod keeper;
mod loadgen;
mod log;
mod member;
mod metrics;
mod paint;
mod pipeline_role;
mod queue_worker;
mod reads;
mod reference_worker;
mod replay;
mod restore;
mod rules_cmd;
mod rules_file;
mod rules_watch;
mod servers;
mod settings;
mod signals;
mod stores;
mod submit;
mod table;
mod tui_cmd;
mod up;
mod verify;
mod worker;

fn main() -> ExitCode {
    let cli = match cli::read() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let done = match &cli.command {
        cli::Command::Up(args) => up::run(args),
        cli::Command::Gateway(args) => gateway::run(args),
        cli::Command::Worker(args) => worker::run(args),
        cli::Command::Pipeline(args) => pipeline_role::run(args),
        cli::Command::Api(args) => api_role::run(args),
        cli::Command::Tui(args) => tui_cmd::run(args, cli.color),
        cli::Command::Jobs(args) => reads::jobs::jobs(args),
        cli::Command::Counts(args) => reads::counts::counts(args),
        cli::Command::Latency(args) => reads::latency::latency(args),
        cli::Command::Alerts(args) => reads::alerts::alerts(args),
        cli::Command::Submit(args) => submit::run(args),
        cli::Command::Doctor(args) => doctor::run(args),
        cli::Command::Replay(args) => replay::run(args),
        cli::Command::Rules(args) => rules_cmd::run(args),
        cli::Command::Loadgen(args) => loadgen::run(args),
        cli::Command::Verify(args) => verify::run(args),
        cli::Command::Dlq(args) => dlq::run(args),
        cli::Command::Gate(args) => gate::run(args),
        cli::Command::Config(args) => config_cmd::run(args, cli.config()),
        cli::Command::Completions(args) => generated::completions(args),
        cli::Command::Man(args) => generated::man(args),
    };
    match done {
        Ok(code) => code,
        Err(error) => cli::fail(&error),
    }
}
