//! MongoDB: whether it is there, lets us in, and keeps what it has confirmed.

use sinks::mongo::{Error, Probe, probe};
use tokio::time::timeout;

use super::check::{Checks, Verdict, place, start, word};
use super::redis::told;
use super::{ALL, LIMIT, at_least, clock};

const ID: &str = "mongodb";
const VERSION: &str = "mongodb.version";
const REPLICAS: &str = "mongodb.replica-set";
const CLOCK: &str = "mongodb.clock";

const NEEDED: (u32, u32) = (5, 0);

pub(super) async fn check(url: Option<&str>) -> Checks {
    let mut checks = Checks::default();
    let Some(url) = url else {
        checks.skip(&[ID], "not named: --mongodb-url or MONGODB_URL");
        return checks;
    };
    let url_of_task = url.to_owned();
    // A future of the driver is not to be dropped half-way, so it goes on by itself.
    let asked = tokio::spawn(async move { probe(LIMIT, &url_of_task).await });
    match timeout(ALL, asked).await {
        Ok(Ok(Ok(found))) => judge(&mut checks, url, &found),
        failed => {
            let (host, port) = place(url, 27017);
            let (seen, fix) = match failed {
                // What the driver says of it fills a page.
                Ok(Ok(Err(error @ Error::Away(_)))) => {
                    let refused = told(&error).contains("Connection refused");
                    let why = if refused { ": connection refused" } else { "" };
                    let seen = format!("nobody who takes writes answers at {host}:{port}{why}");
                    (seen, start(&host, port, "mongod"))
                }
                Ok(Ok(Err(error))) => {
                    (told(&error), fix(&error).unwrap_or_else(|| start(&host, port, "mongod")))
                }
                _ => ("it does not answer".to_owned(), start(&host, port, "mongod")),
            };
            checks.fail(ID, seen, fix);
            checks.skip(&[VERSION, REPLICAS, CLOCK], "not let in");
        }
    }
    checks
}

fn judge(checks: &mut Checks, url: &str, found: &Probe) {
    checks.pass(ID, "it lets us in");
    at_least(checks, VERSION, &found.version, NEEDED, "mongodb-org-server");
    let (host, port) = place(url, 27017);
    let host = word(&host);
    let mongosh = |what: &str| Some(format!("mongosh --host {host} --port {port} --eval '{what}'"));
    match &found.replica_set {
        Some(name) if found.primary => checks.pass(REPLICAS, name.clone()),
        Some(name) => checks.note(
            REPLICAS,
            Verdict::Fail,
            format!("{name} has no primary here, so nothing can be written"),
            mongosh("rs.status()"),
        ),
        None => checks.note(
            REPLICAS,
            Verdict::Warn,
            "a server alone: what it has confirmed is gone with its disk",
            mongosh("rs.initiate()"),
        ),
    }
    clock(checks, CLOCK, found.clock);
}

fn fix(error: &Error) -> Option<String> {
    match error {
        Error::Url(_) => Some(
            "export MONGODB_URL='mongodb://USER:PASSWORD@HOST:27017/?replicaSet=rs0'".to_owned(),
        ),
        error if error.shut() => Some(
            "mongosh admin --eval 'db.grantRolesToUser(\"USER\", [\"readWriteAnyDatabase\"])'"
                .to_owned(),
        ),
        _ => None,
    }
}
