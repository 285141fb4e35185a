//! The cache that other processes read: the views in Redis, and a copy of them folded elsewhere.
//!
//! ```text
//!   durable batch ──offer──▶ Writer ──one script──▶ observatory:snapshot  (hash, at a grid time)
//!      Live ──when something was missed──▶ ┘   └──▶ observatory:deltas    (stream, every tick)
//!                                                       │
//!                                          View ◀───────┘  HGETALL once, then XREAD
//! ```
//!
//! # What a reader sees
//!
//! - **`observatory:snapshot`** has one field per row, named by the view and the JSON array of the
//!   row's key, as in `counts:["COMPLETED","email.send","default","w-1"]` or
//!   `latency:["run",null,"5m"]`; its value is the row as in the API, so each field explains
//!   itself. `generation`, `tick`, `asOf`, `jobs`, `late`, `skewed`, `rejected` and `lastEvent` are
//!   beside them. The hash is wholly at one grid time, that of `tick`: one HGETALL is one truth, and
//!   the sum of the counts in it is its `jobs`.
//! - **`observatory:deltas`** has an entry per durable batch that changes something, with the id
//!   `generation-tick`, which is the id that SSE knows. `previous` is the id of the entry before,
//!   so whoever misses one finds out. Entries are of two kinds. Those with `grid` = 1 are at a grid
//!   time: with everything that moved since the grid entry before them, they alone, folded onto a
//!   snapshot, give the next snapshot; the hash is written together with each. The others (`grid`
//!   = 0) have what moved between two grid times: counts, totals and ids of jobs.
//! - **`metrics:jobs:total`, `…:completed`, `…:failed`, `metrics:last_event_time`** are written with
//!   the hash: jobs known, retired or not.
//!
//! When nothing happens, an entry a second says that this is still so.
//!
//! # Invariants
//!
//! 1. Every write is one script, which first compares what Redis holds with what the writer last
//!    wrote: after a FLUSHALL, a restart or a lost answer it writes nothing and says so. Then
//!    everything is written anew, again in one script. No reader sees a mixture.
//! 2. A generation never overwrites a newer one, however long its process was frozen: the script
//!    compares them, and the writer stops for good.
//! 3. Nothing waits for Redis: what does not fit into the queue is dropped, and a rebuild is due.
//! 4. A folded copy is at each of its ticks what [`Live`](crate::live::Live) was.
//!
//! # Cost
//!
//! One round trip for what has been queued meanwhile, with the rows that changed. A rebuild sends
//! all rows while Redis serves nobody else: some 3 µs a row. The keys must live on one server; a
//! cluster would spread them.

mod error;
mod fields;
mod probe;
mod read;
mod view;
mod writer;

use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};

pub use error::Error;
pub use probe::{Probe, probe};
pub use read::{Held, read};
pub use view::{Change, Standing, View};
pub use writer::{Follower, Progress, Writer};

/// The hash of all rows.
pub const SNAPSHOT: &str = "observatory:snapshot";
/// The stream of what changed.
pub const DELTAS: &str = "observatory:deltas";
/// What the readers of 1.0.0 know.
pub const TOTAL: &str = "metrics:jobs:total";
pub const COMPLETED: &str = "metrics:jobs:completed";
pub const FAILED: &str = "metrics:jobs:failed";
pub const LAST_EVENT: &str = "metrics:last_event_time";

/// Entries of the stream, about: at 200 ticks a second the last minute, some 10 MB.
pub const MAX_DELTAS: usize = 10_000;

/// A rebuild of a hundred thousand rows takes half a second on a busy machine; the client's own
/// default would give it up and begin again.
const RESPONSE: Duration = Duration::from_secs(5);

/// A connection that opens itself when it is first used.
fn connect(client: &::redis::Client) -> Result<ConnectionManager, Error> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(1)))
        .set_response_timeout(Some(RESPONSE))
        // Who uses it has a pace of its own for trying again.
        .set_number_of_retries(0);
    Ok(ConnectionManager::new_lazy_with_config(client.clone(), config)?)
}
