//! A start: what the store kept goes through the dataflow, and is shown again.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use pipeline::Tick;
use pipeline::worker::Pipeline;
use sinks::live::Live;

use crate::engine::{GRID, Msg, now};
use crate::stores::Stores;

/// How often progress is told.
const TOLD: Duration = Duration::from_millis(200);

/// Feeds what `stores` kept to `pipeline` at `tick`, and waits until it is shown in `live`.
///
/// What that tick seals is in the store already, so nothing of it is written. `progress`
/// is told how many jobs have been read, and of how many.
pub(crate) fn restore(
    stores: &mut Stores,
    pipeline: &Pipeline,
    tick: Tick,
    inbox: &Receiver<Msg>,
    live: &RwLock<Live>,
    mut progress: impl FnMut(u64, u64),
) -> anyhow::Result<()> {
    let started = Instant::now();
    let Stores { store, reader, recovery, .. } = stores;
    live.write().unwrap_or_else(PoisonError::into_inner).generation = recovery.generation;
    pipeline.restore(tick, std::mem::take(&mut recovery.kept))?;

    let (mut n, mut told, mut fed) = (0, Instant::now(), Ok(()));
    progress(n, recovery.jobs);
    store.recover_jobs(&mut |jobs| {
        n += jobs.len() as u64;
        if fed.is_ok() {
            fed = pipeline.feed(tick, jobs);
        }
        if told.elapsed() >= TOLD {
            progress(n, recovery.jobs);
            told = Instant::now();
        }
    })?;
    fed?;
    pipeline.tick(tick, Vec::new())?;
    let mut upper = 0;
    while upper <= tick {
        match inbox.recv_timeout(TOLD) {
            Ok(Msg::Sealed(sealed)) => {
                upper = sealed.upper;
                live.write().unwrap_or_else(PoisonError::into_inner).apply(&sealed);
            }
            // Nothing is accepted before the start is done.
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => progress(n, recovery.jobs),
            Err(RecvTimeoutError::Disconnected) => return Err(pipeline::worker::Stopped.into()),
        }
    }
    let (last_event, late) = reader.archive_stats()?;
    {
        let mut live = live.write().unwrap_or_else(PoisonError::into_inner);
        live.last_event = last_event;
        live.late = late;
        live.rejected = reader.rejections()?.into_iter().collect();
    }
    // The tick is the next of the grid, and nobody is to be shown a moment that has not come. A clock
    // that was set back is not waited for.
    let ahead = Duration::from_micros(tick.saturating_sub(now()));
    std::thread::sleep(ahead.min(GRID));
    if n > 0 {
        let seconds = started.elapsed().as_secs_f64();
        let per_second = n as f64 / seconds.max(1e-9);
        tracing::info!(jobs = n, seconds, per_second, "restored from the store");
    }
    Ok(())
}
