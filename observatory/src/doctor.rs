//! `observatory doctor`: what is needed here, whether it is so, and the command that repairs it.
//!
//! ```text
//!   RabbitMQ ──┐
//!   PostgreSQL ┤ side by side, each given up after 4 s
//!   Redis ─────┼──▶ Checks { id, seen, verdict, fix } ──▶ table, JSON, exit code
//!   MongoDB ───┤
//!   API, machine
//! ```
//!
//! # Invariants
//!
//! 1. Nothing is changed: no queue is declared that was not there, no table is set up, no folder made.
//! 2. What was not named is skipped, and so is what cannot be so after what has failed before.
//! 3. It ends within five seconds, whatever does not answer.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use crate::cli::Output;
use crate::exit;
use crate::reads::Server;
use crate::servers::Urls;
use check::{Checks, Verdict};

mod api;
mod broker;
mod check;
mod machine;
mod mongo;
mod postgres;
mod redis;

/// How long a server may take until it is reached.
const LIMIT: Duration = Duration::from_secs(2);

/// How long all questions to one server may take: it may be a busy one, and the whole is to end
/// within five seconds.
const ALL: Duration = Duration::from_secs(4);

/// Clocks that are further apart are worth a warning, in µs: processes of one pipeline refuse each
/// other then.
const APART: i64 = 1_000_000;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    urls: Urls,
    #[command(flatten)]
    server: Server,
    /// Where `up` would listen.
    #[arg(long, env = "OBSERVATORY_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the data of the embedded store lies; by default below $XDG_STATE_HOME.
    #[arg(long, env = "OBSERVATORY_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print JSON, for programs.
    #[arg(long, env = "OBSERVATORY_JSON")]
    json: bool,
    /// How to print the result: a table for people, JSON for programs.
    #[arg(long, env = "OBSERVATORY_OUTPUT", value_enum, default_value = "table")]
    output: Output,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // What a client library has to say of a server that is away, the checks say.
    crate::log::start_for_doctor();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let checks = runtime.block_on(examine(args));
    // What has not answered is not waited for.
    runtime.shutdown_background();
    let output = if args.json { Output::Json } else { args.output };
    output.print(&checks, || checks.table())?;
    Ok(match checks.failed() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(exit::CONDITION),
    })
}

/// Makes all checks at once.
async fn examine(args: &Args) -> Checks {
    let named = args.urls.named();
    let servers = named.any();
    let (client, listen) = (args.server.client(), args.listen);
    let data_dir = args.data_dir.clone();
    let embedded = named.postgres.is_none() && named.mongodb.is_none();
    let of_api = tokio::task::spawn_blocking(move || api::check(&client));
    let of_machine =
        tokio::task::spawn_blocking(move || machine::check(listen, data_dir, servers, embedded));
    let (broker, postgres, redis, mongo, api, machine) = tokio::join!(
        broker::check(named.rabbitmq.as_deref()),
        postgres::check(named.postgres.as_deref()),
        redis::check(named.redis.as_deref()),
        mongo::check(named.mongodb.as_deref()),
        of_api,
        of_machine,
    );
    let mut all = Checks::default();
    for (id, checks) in [
        ("rabbitmq", Ok(broker)),
        ("postgresql", Ok(postgres)),
        ("redis", Ok(redis)),
        ("mongodb", Ok(mongo)),
        ("api", api),
        ("machine", machine),
    ] {
        match checks {
            Ok(checks) => all.extend(checks),
            // A fault of ours, which must not hide what the others have found.
            Err(error) => all.note(id, Verdict::Fail, error.to_string(), None),
        }
    }
    all
}

/// What a clock that is off by so much is worth.
fn clock(checks: &mut Checks, id: &str, clock: sinks::probe::Clock) {
    let apart = clock.apart();
    let seconds = apart as f64 / 1e6;
    match apart {
        0..=APART => checks.pass(id, format!("within {:.0} ms of ours", seconds * 1e3 + 1.0)),
        _ => checks.note(
            id,
            Verdict::Warn,
            format!("{seconds:.1} s {} ours", if clock.ahead > 0 { "ahead of" } else { "behind" }),
            Some("timedatectl set-ntp true".to_owned()),
        ),
    }
}

/// A version as numbers to compare: those before the second dot.
fn version(text: &str) -> (u32, u32) {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Whether a version is at least what is needed.
fn at_least(checks: &mut Checks, id: &str, seen: &str, needed: (u32, u32), package: &str) {
    match version(seen) >= needed {
        true => checks.pass(id, seen.to_owned()),
        false => checks.note(
            id,
            Verdict::Fail,
            format!("{seen}, and {}.{} is needed", needed.0, needed.1),
            Some(format!("sudo apt-get install --only-upgrade {package}")),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn a_version_is_compared_by_its_numbers() {
        assert!(version("3.10.8") > version("3.9.29"));
        assert_eq!(version("15.4 (Debian 15.4-1)"), (15, 4));
        assert_eq!(version("7"), (7, 0));
        assert_eq!(version(""), (0, 0));
    }
}
