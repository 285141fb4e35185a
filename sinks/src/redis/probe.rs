//! What a Redis is like, see [`crate::probe`].

use ::redis::{AsyncConnectionConfig, Client, cmd};

use super::{Error, SNAPSHOT};
use crate::probe::{Clock, now};

/// A Redis that let us in.
#[derive(Clone, Debug)]
pub struct Probe {
    pub version: String,
    /// Whether it follows another, and takes no writes.
    pub replica: bool,
    pub clock: Clock,
}

/// Asks the Redis at `url`.
pub async fn probe(url: &str) -> Result<Probe, Error> {
    let client = Client::open(url).map_err(|error| Error::Url(error.category().to_owned()))?;
    // Whoever asks has a limit of its own.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let info: String = cmd("INFO").query_async(&mut connection).await?;
    let field = |name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_default().trim().to_owned()
    };
    // Everything is written by scripts: may we run one, and on our keys?
    let script = "return redis.call('EXISTS', KEYS[1])";
    let mut eval = cmd("EVAL");
    eval.arg(script).arg(1).arg(SNAPSHOT).query_async::<i64>(&mut connection).await?;
    let before = now();
    let (seconds, micros): (i64, i64) = cmd("TIME").query_async(&mut connection).await?;
    let clock = Clock::of(seconds * 1_000_000 + micros, before, now());
    Ok(Probe { version: field("redis_version"), replica: field("role") == "slave", clock })
}
