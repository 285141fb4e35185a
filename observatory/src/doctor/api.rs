//! The API that the other commands read: whether one answers, and knows our token.

use contracts::view::Health;

use super::check::{Checks, Verdict};
use crate::client::{Client, Error};

const ID: &str = "api";
const TOKEN: &str = "api.token";

pub(super) fn check(client: &Client) -> Checks {
    let mut checks = Checks::default();
    let client = client.clone().with_patience(super::LIMIT);
    let health = match client.get::<Health>("/health") {
        Ok(health) => health,
        // Before the first `up` that is as it should be.
        Err(Error::Away { url, .. }) => {
            let fix = Some("observatory up".to_owned());
            checks.note(ID, Verdict::Skipped, format!("nobody answers at {url}"), fix);
            return checks;
        }
        Err(error) => {
            checks.fail(ID, error.to_string(), "observatory up --listen 127.0.0.1:8081");
            return checks;
        }
    };
    let (ours, theirs) = (env!("CARGO_PKG_VERSION"), &health.version);
    if !health.away.is_empty() {
        let seen = format!("it answers, but this is away: {}", health.away.join(", "));
        checks.note(ID, Verdict::Warn, seen, None);
    } else if theirs != ours {
        let seen = format!("it is of version {theirs}, and this program of {ours}");
        checks.note(ID, Verdict::Warn, seen, Some("cargo install --path observatory".to_owned()));
    } else {
        checks.pass(ID, format!("version {theirs}"));
    }
    match client.ask("/api/v1/alerts").map(|answer| answer.status) {
        Ok(401 | 403) => checks.fail(
            TOKEN,
            "it asks for a token, and does not know ours",
            "export OBSERVATORY_TOKEN=…",
        ),
        Ok(_) => checks.pass(TOKEN, "it lets us read"),
        Err(error) => checks.note(TOKEN, Verdict::Warn, error.to_string(), None),
    }
    checks
}
