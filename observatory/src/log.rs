//! What the process says about itself, on standard error.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::paint;

/// Starts logging; `OBSERVATORY_LOG` chooses what, as in `debug` or `info,pipeline=trace`.
pub(crate) fn start() {
    start_at(LevelFilter::INFO);
}

/// Starts logging for a tool, which says what there is to say by its result: warnings, unless
/// `OBSERVATORY_LOG` wants more.
pub(crate) fn start_for_tool() {
    start_at(LevelFilter::WARN);
}

/// Starts logging for a tool that expects servers to be away, and says so itself.
pub(crate) fn start_for_doctor() {
    start_at(LevelFilter::OFF);
}

fn start_at(level: LevelFilter) {
    let filter = EnvFilter::builder()
        .with_default_directive(level.into())
        .with_env_var("OBSERVATORY_LOG")
        .from_env_lossy();
    // The client library of RabbitMQ logs whole bodies as warnings, and logins as traces.
    let lapin = if level == LevelFilter::OFF { "lapin=off" } else { "lapin=error" };
    let quiet = lapin.parse().map(|directive| filter.clone().add_directive(directive));
    let filter = quiet.unwrap_or(filter);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(paint::on(&std::io::stderr()))
        .with_target(false)
        // Who reads it may have gone; that must not stop the service.
        .log_internal_errors(false)
        .init();
}
