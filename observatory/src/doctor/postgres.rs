//! PostgreSQL: whether it is there, lets us in, and has, or may get, our tables.

use sinks::postgres::{Probe, probe};
use sinks::store::Error;
use tokio::time::timeout;

use super::check::{Checks, Verdict, place, start, word};
use super::{ALL, clock};

const ID: &str = "postgresql";
const VERSION: &str = "postgresql.version";
const SCHEMA: &str = "postgresql.schema";
const CLOCK: &str = "postgresql.clock";

/// As a number of its own: 13.
const NEEDED: i32 = 130_000;

pub(super) async fn check(url: Option<&str>) -> Checks {
    let mut checks = Checks::default();
    let Some(url) = url else {
        checks.skip(&[ID], "not named: --postgres-url or POSTGRES_URL");
        return checks;
    };
    match timeout(ALL, probe(url)).await {
        Ok(Ok(found)) => judge(&mut checks, url, &found),
        failed => {
            let (seen, fix) = match failed {
                Ok(Err(error)) => (error.to_string(), fix(url, &error)),
                _ => ("it does not answer".to_owned(), start_it(url)),
            };
            checks.fail(ID, seen, fix);
            checks.skip(&[VERSION, SCHEMA, CLOCK], "not let in");
        }
    }
    checks
}

fn judge(checks: &mut Checks, url: &str, found: &Probe) {
    match found.standby {
        false => checks.pass(ID, "it lets us in"),
        true => {
            checks.fail(
                ID,
                "it stands in for another, and takes no writes",
                "sudo -u postgres psql -c 'SELECT pg_promote()'",
            );
        }
    }
    let version = &found.version;
    match found.number >= NEEDED {
        true => checks.pass(VERSION, version.clone()),
        false => {
            let fix = "sudo apt-get install postgresql";
            checks.fail(VERSION, format!("{version}, and 13 is needed"), fix);
        }
    }
    let (tables, known) = (found.tables, found.known);
    match tables {
        _ if tables > known => checks.fail(
            SCHEMA,
            format!("its tables are of version {tables}, made by a newer program; this one knows {known}"),
            "cargo install --path observatory",
        ),
        _ if tables == known => checks.pass(SCHEMA, format!("tables of version {tables}")),
        _ if !found.may_create => checks.fail(
            SCHEMA,
            "there are no tables of ours, and we may not set them up",
            format!("sudo -u postgres psql -d {} -c 'GRANT CREATE ON SCHEMA public TO PUBLIC'", word(database(url))),
        ),
        0 => checks.note(SCHEMA, Verdict::Pass, "no tables yet: a role sets them up", None),
        _ => checks.pass(SCHEMA, format!("tables of version {tables}: a role brings them to {known}")),
    }
    clock(checks, CLOCK, found.clock);
}

fn start_it(url: &str) -> String {
    let (host, port) = place(url, 5432);
    start(&host, port, "postgresql")
}

fn fix(url: &str, error: &Error) -> String {
    match error {
        // By its SQLSTATE, which is in the message: there is no such database.
        Error::Shut { source, .. } if source.to_string().contains("3D000") => {
            format!("sudo -u postgres createdb {}", word(database(url)))
        }
        Error::Shut { .. } => {
            format!("sudo -u postgres psql -c {}", word(&format!("\\password {}", user(url))))
        }
        Error::Address { .. } => {
            "export POSTGRES_URL=postgres://USER:PASSWORD@HOST:5432/DATABASE".to_owned()
        }
        _ => start_it(url),
    }
}

fn database(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    match path.split('?').next() {
        Some("") | None => user(url),
        Some(name) => name,
    }
}

fn user(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let user = rest.split_once('@').map_or("", |(user, _)| user);
    user.split(':').next().unwrap_or_default()
}
