//! The command line: roles and tools, exit codes, and how a failure is told.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{api_role, gateway, pipeline_role, replay, up, worker};

/// Exact, live answers about background jobs.
#[derive(Parser)]
#[command(name = "observatory", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
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
    /// Run a recorded stream of events through the dataflow and print what it comes to.
    Replay(replay::Args),
}

/// Tells a failure on standard error, with what caused it; the exit code is 1.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    // Who reads our output has stopped: that is not a failure of ours.
    let gone = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    if error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(gone)) {
        return ExitCode::SUCCESS;
    }
    let mut message = format!("error: {error}");
    for cause in error.chain().skip(1) {
        // Many errors repeat their source in their own text.
        let cause = cause.to_string();
        if !message.ends_with(&cause) {
            message.push_str("\n  cause: ");
            message.push_str(&cause);
        }
    }
    // With standard error gone there is nobody to tell.
    drop(writeln!(io::stderr(), "{message}"));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_has_no_contradictions() {
        Cli::command().debug_assert();
    }
}
