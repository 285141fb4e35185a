//! Waiting until nothing moves any more: only then can the stores be expected to agree.
//!
//! What a consumer has been given and has not acknowledged is not seen from outside of the broker.
//! It becomes durable within a second or two, so what has been still for [`STILL`] is taken to be
//! at rest; an event that comes in after all is told as a change at the end.

use std::time::{Duration, Instant};

use ingress::amqp::{self, Visit, topology};
use sinks::fold::Folded;
use sinks::postgres::{Postgres, Standing};
use tokio::runtime::Handle;

use super::check::Check;

/// Longer than the pipeline takes from a delivery to its acknowledgement, also when MongoDB does not
/// answer.
const STILL: Duration = Duration::from_secs(2);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// The servers that are looked at.
pub(super) struct Servers<'a> {
    pub(super) runtime: &'a Handle,
    pub(super) postgres: &'a Postgres,
    pub(super) redis: &'a str,
    /// None if it was not named.
    pub(super) broker: Option<&'a amqp::Url>,
}

/// One look.
struct Look {
    standing: Standing,
    /// What moves still, as place and what was found there.
    moving: Vec<(String, String)>,
    /// The broker's queue was looked at.
    queue: bool,
}

impl Servers<'_> {
    /// Waits until all is at rest, at most so long; gives how far the store had come.
    pub(super) fn wait(&self, within: Duration) -> anyhow::Result<(Standing, Check)> {
        let began = Instant::now();
        let mut still: Option<(Instant, Standing)> = None;
        let mut check = Check::new("at rest: nothing on its way");
        loop {
            let Look { standing, mut moving, queue } = self.look()?;
            let since = match &still {
                Some((since, before)) if before.changed == standing.changed => *since,
                _ => Instant::now(),
            };
            still = Some((since, standing.clone()));
            let at_rest = moving.is_empty() && since.elapsed() >= STILL;
            if !at_rest && began.elapsed() < within {
                std::thread::sleep(PAUSE);
                continue;
            }
            if !at_rest && moving.is_empty() {
                moving.push(("PostgreSQL".to_owned(), "jobs change still".to_owned()));
            }
            check.compared(3 + u64::from(queue));
            if !queue {
                check.note("the broker was not looked at".to_owned());
            }
            for (place, found) in moving {
                check.difference(|| (place, "nothing more".to_owned(), found));
            }
            return Ok((standing, check));
        }
    }

    /// Whether anything has changed since.
    pub(super) fn moved(&self, since: &Standing, check: &mut Check) -> anyhow::Result<()> {
        let now = self.postgres.standing()?;
        let changed = |standing: &Standing| format!("changed at tick {}", standing.changed);
        check.equal("PostgreSQL while it was read", changed(since), changed(&now));
        Ok(())
    }

    fn look(&self) -> anyhow::Result<Look> {
        let depth = self.broker.and_then(|broker| self.runtime.block_on(depth(broker)));
        let standing = self.postgres.standing()?;
        let held = self.runtime.block_on(sinks::redis::read(self.redis))?;
        let mut moving = Vec::new();
        if let Some(ready @ 1..) = depth {
            moving.push((format!("queue {}", topology::EVENTS), format!("{ready} messages")));
        }
        if standing.spilled > 0 {
            let found = format!("{} events", standing.spilled);
            moving.push(("PostgreSQL event_spill".to_owned(), found));
        }
        let shown = held.views.as_ref().map_or(0, |views: &Folded| views.on_grid().tick);
        if shown < standing.changed {
            let found = format!("views at tick {shown}, jobs at {}", standing.changed);
            moving.push(("Redis".to_owned(), found));
        }
        Ok(Look { standing, moving, queue: depth.is_some() })
    }
}

/// What is ready in the pipeline's queue; none if the broker cannot be asked.
async fn depth(broker: &amqp::Url) -> Option<u64> {
    let visit = Visit::begin(broker, super::NAME).await.ok()?;
    let depth = visit.depth(topology::EVENTS).await.ok();
    visit.end().await;
    // Without the queue there is nothing in it.
    depth.map(Option::unwrap_or_default)
}
