//! Messages that the client library cannot read, brought to the handler by another road.
//!
//! To RabbitMQ, a routing key or the name of a header may be any bytes. The library expects UTF-8,
//! and gives up the connection over anything else; the message comes again with the next one, and
//! nobody gets beyond it. So, after such a fault, we look for such messages on a connection that we
//! understand ourselves.
//!
//! ```text
//!   basic.get ──readable──▶ held, and given back with the connection
//!       │  └────not────────▶ handler(Raw, Settle) ──settled──▶ basic.ack
//!       └── empty, or as many as the prefetch: done
//! ```
//!
//! What becomes of such a message is decided by its body, as with any other.
//!
//! # Invariants
//!
//! 1. Unreadable is what the library's own parser cannot read.
//! 2. A message is acknowledged when it has been settled. All others stay in the queue.
//!
//! # Cost
//!
//! A round trip for each message that the consumer may hold, and their delivery once more.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use lapin::tcp::AMQPUriTcpExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::wire::Wire;
use super::{Raw, Settle, Supervisor, Verdict};

/// For thousands of messages on a busy machine; what is left is found after the next fault.
const PATIENCE: Duration = Duration::from_secs(30);

impl<H: FnMut(Raw, Settle) + Send> Supervisor<H> {
    /// Hands out the unreadable messages that are among the first of the queue, and waits until
    /// they are settled; says how many there were.
    pub(super) async fn hand_out_unreadable(&mut self) -> io::Result<u64> {
        timeout(PATIENCE, self.look_through()).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    async fn look_through(&mut self) -> io::Result<u64> {
        let uri = self.config.url.uri();
        let runtime = lapin::runtime::default_runtime().map_err(io::Error::other)?;
        let mut wire = Wire::open(uri.connect_async(&runtime).await?, &uri).await?;
        let (verdicts, mut decided) = mpsc::unbounded_channel();
        let mut settled = 0;
        for _ in 0..self.config.prefetch.get() {
            let Some(message) = wire.get(&self.config.queue).await? else { break };
            if message.readable {
                continue;
            }
            let room = Arc::clone(&self.room).acquire_owned().await.map_err(io::Error::other)?;
            let settle = Settle { tag: message.tag, verdicts: verdicts.clone(), _room: room };
            (self.handler)(message.raw, settle);
            // One dropped unsettled says nothing; then the deadline ends it.
            if let Some((tag, Verdict::Settled)) = decided.recv().await {
                wire.ack(tag).await?;
                settled += 1;
            }
        }
        wire.close().await?;
        Ok(settled)
    }
}
