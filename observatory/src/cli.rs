//! The command line: roles and tools, exit codes, and how a failure is told.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::settings::{self, Origins, Settings};
use crate::{
    api_role, config_cmd, dlq, doctor, exit, gate, gateway, generated, help, loadgen, paint,
    pipeline_role, reads, replay, rules_cmd, submit, table, tui_cmd, up, verify, worker,
};

/// Exact, live answers about background jobs.
#[derive(Parser)]
#[command(name = "observatory", version, long_version = VERSION, max_term_width = 100)]
pub(crate) struct Cli {
    /// A config file to read instead of $XDG_CONFIG_HOME/observatory/config.toml; an empty name is
    /// for none.
    #[arg(long, env = "OBSERVATORY_CONFIG", global = true, value_name = "FILE")]
    config: Option<OsString>,
    #[command(subcommand)]
    pub(crate) command: Command,
    /// When to use colours.
    #[arg(
        long,
        env = "OBSERVATORY_COLOR",
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN"
    )]
    pub(crate) color: paint::When,
}

impl Cli {
    /// The config file that was named.
    pub(crate) fn config(&self) -> Option<&Path> {
        self.config.as_deref().map(Path::new)
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process, on an embedded store.
    Up(up::Args),
    /// Take jobs over HTTP and publish them to RabbitMQ.
    Gateway(gateway::Args),
    /// Execute simulated jobs from RabbitMQ.
    Worker(worker::Args),
    /// Turn the events in RabbitMQ into views, in PostgreSQL, Redis and MongoDB.
    Pipeline(pipeline_role::Args),
    /// Serve what the pipeline wrote over HTTP.
    Api(api_role::Args),
    /// Look at jobs in the terminal, live.
    Tui(tui_cmd::Args),
    /// List jobs.
    Jobs(reads::jobs::Args),
    /// Count jobs.
    Counts(reads::counts::Args),
    /// Show how long jobs wait and run.
    Latency(reads::latency::Args),
    /// Show what the rules have found.
    Alerts(reads::alerts::Args),
    /// Submit a job.
    Submit(submit::Args),
    /// Check what is needed here, and say how to repair it.
    Doctor(doctor::Args),
    /// Run a recorded stream of events through the dataflow and print what it comes to.
    Replay(replay::Args),
    /// Check rules, put them in force, and try them on what has happened.
    Rules(rules_cmd::Args),
    /// Publish the events of made-up jobs to RabbitMQ, to see what it is like under load.
    Loadgen(loadgen::Args),
    /// Check that the stores agree with the archived events, and with each other.
    Verify(verify::Args),
    /// Look at dead letters, and send them back.
    Dlq(dlq::Args),
    /// Check that roles and servers work together, by sending a job through all of them.
    Gate(gate::Args),
    /// Show what the options are set to, and where from.
    Config(config_cmd::Args),
    /// Print a script that completes commands in a shell.
    Completions(generated::Completions),
    /// Print the manual page, or write those of all commands.
    Man(generated::Man),
}

/// What is built here, and of what.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit:  ",
    env!("BUILD_COMMIT"),
    "\ntarget:  ",
    env!("BUILD_TARGET"),
    "\nprofile: ",
    env!("BUILD_PROFILE"),
);

/// The command line, without what is said outside of it.
pub(crate) fn command() -> clap::Command {
    settings::with_variables(help::with_examples(Cli::command(), ""))
}

/// Reads the command line on top of what is said outside of it. What can not be read, or is a
/// question about the command line itself, is answered, and the exit code given.
pub(crate) fn read() -> Result<Cli, ExitCode> {
    // First only where the rest is to be found. A help is printed whatever a config file says.
    let line = command().ignore_errors(true).try_get_matches();
    let when = line.as_ref().ok().and_then(|line| line.get_one("color").copied());
    let when = when.unwrap_or_default();
    paint::set(when);
    let command = command().color(paint::of_help(when));
    let env: settings::Env<'_> = &|name| std::env::var_os(name);
    let (command, origins) = match line {
        Ok(line) if !of_itself(&line) => {
            let named = line.get_one::<OsString>("config");
            let settings = Settings::read(named.map(Path::new), env);
            let layered = settings.and_then(|settings| settings.layered(command, env));
            layered.map_err(|error| fail(&error.into()))?
        }
        _ => (command, Origins::default()),
    };
    let parsed = command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| refuse(&error, &origins))
}

/// Whether it is about the command line itself, so that no config file is needed, nor in the way.
fn of_itself(line: &clap::ArgMatches) -> bool {
    match line.subcommand() {
        Some(("completions" | "man", _)) | None => true,
        Some(("config", below)) => below.subcommand_name() == Some("schema"),
        Some(_) => false,
    }
}

/// Says what is wrong with the command line, or what was asked about it.
fn refuse(error: &clap::Error, origins: &Origins) -> ExitCode {
    // Who reads it may have gone.
    drop(error.print());
    let option = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) => option.split([' ', '=']).next(),
        _ => None,
    };
    let option = option.and_then(|option| option.strip_prefix("--"));
    if let Some(origin) = option.and_then(|option| origins.of_any(option)) {
        let note = format!("  {} {}", paint::mark("set in:", false), lines(&origin.to_string()));
        drop(writeln!(io::stderr(), "{note}"));
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// How a tool prints its result.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

impl Output {
    /// Prints a result in this form.
    pub(crate) fn print(
        self,
        json: &impl serde::Serialize,
        table: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        print(&match self {
            Output::Table => table(),
            Output::Json => {
                serde_json::to_string_pretty(json).context("cannot write the result")?
            }
        })
    }
}

/// Reads a length of time: `30s`, `500ms`, `2m`; a bare number is of seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "ms" => 1e-3,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => f64::NAN,
    };
    let seconds = digits.parse::<f64>().unwrap_or(f64::NAN) * unit;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| "write a length of time as 30s, 500ms, 2m or 1h".to_owned())
}

/// Prints a result on standard output.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .context("cannot write to standard output")
}

/// Tells a failure on standard error, with what caused it; gives the exit code.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    // Who reads our output has stopped: that is not a failure of ours.
    let gone = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    if error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(gone)) {
        return ExitCode::SUCCESS;
    }
    let mut message = format!("{} {}", paint::mark("error:", true), lines(&error.to_string()));
    for cause in error.chain().skip(1) {
        // Many errors have their source in their own text.
        let cause = lines(&cause.to_string());
        if !message.contains(&cause) {
            message.push_str(&format!("\n  {} {cause}", paint::mark("cause:", false)));
        }
    }
    if let Some(fix) = exit::fix(error) {
        message.push_str(&format!("\n  {} {fix}", paint::mark("fix:", false)));
    }
    // With standard error gone there is nobody to tell.
    drop(writeln!(io::stderr(), "{message}"));
    exit::code(error)
}

/// A message, of which any part may be somebody else's text, in its lines.
fn lines(message: &str) -> String {
    message.lines().map(table::printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_has_no_contradictions() {
        command().debug_assert();
    }

    #[test]
    fn a_length_of_time_has_a_unit_or_is_in_seconds() {
        for (text, millis) in
            [("30s", 30_000), ("30", 30_000), ("500ms", 500), ("1.5m", 90_000), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "1d", "1 s", "NaN", "1e30h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
