//! Redis: whether it is there, lets us in, and runs our scripts.

use sinks::redis::{Error, probe};
use tokio::time::timeout;

use super::check::{Checks, place, start, word};
use super::{ALL, at_least, clock};

const ID: &str = "redis";
const VERSION: &str = "redis.version";
const CLOCK: &str = "redis.clock";

const NEEDED: (u32, u32) = (6, 0);

pub(super) async fn check(url: Option<&str>) -> Checks {
    let mut checks = Checks::default();
    let Some(url) = url else {
        checks.skip(&[ID], "not named: --redis-url or REDIS_URL");
        return checks;
    };
    let (host, port) = place(url, 6379);
    let start_it = || start(&host, port, "redis-server");
    match timeout(ALL, probe(url)).await {
        Ok(Ok(found)) => {
            match found.replica {
                false => checks.pass(ID, "it lets us in, and runs scripts"),
                true => {
                    let fix = format!("redis-cli -h {} -p {port} replicaof no one", word(&host));
                    checks.fail(ID, "it follows another, and takes no writes", fix);
                }
            }
            at_least(&mut checks, VERSION, &found.version, NEEDED, "redis-server");
            clock(&mut checks, CLOCK, found.clock);
        }
        failed => {
            let (seen, fix) = match failed {
                Ok(Err(error)) => (told(&error), fix(&error).unwrap_or_else(start_it)),
                _ => ("it does not answer".to_owned(), start_it()),
            };
            checks.fail(ID, seen, fix);
            checks.skip(&[VERSION, CLOCK], "not let in");
        }
    }
    checks
}

/// An error with what caused it.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn fix(error: &Error) -> Option<String> {
    match error {
        Error::Url(_) => Some("export REDIS_URL=redis://USER:PASSWORD@HOST:6379".to_owned()),
        error if error.shut() => {
            Some("redis-cli ACL SETUSER default on '~*' '&*' +@all".to_owned())
        }
        _ => None,
    }
}
