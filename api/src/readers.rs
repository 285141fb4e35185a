//! Reading ends of the store, and the threads that wait for them.
//!
//! SQLite blocks and a reading end serves one thread, so each read takes an end of its own to a
//! blocking thread. An end that has failed is not used again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sinks::store::{Error, Reader};
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// Longer than a read takes, and shorter than whoever asks has patience: a server that stands still
/// may not answer for minutes.
const PATIENCE: Duration = Duration::from_secs(8);

/// Reads at once. Each end has a page cache of some MB, and more reads than cores only take turns.
const MOST: usize = 4;

/// A small pool of reading ends.
#[derive(Clone)]
pub struct Readers {
    open: Arc<dyn Fn() -> Result<Box<dyn Reader>, Error> + Send + Sync>,
    idle: Arc<Mutex<Vec<Box<dyn Reader>>>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    /// A pool whose ends come from `open`, which may block.
    pub fn new<R: Reader + 'static>(
        open: impl Fn() -> Result<R, Error> + Send + Sync + 'static,
    ) -> Readers {
        Readers {
            open: Arc::new(move || Ok(Box::new(open()?))),
            idle: Arc::default(),
            turns: Arc::new(Semaphore::new(MOST)),
        }
    }

    /// For a server that has no store to read from.
    pub fn none() -> Readers {
        Readers {
            open: Arc::new(|| Err(Error::Value("there is no store here".to_owned()))),
            idle: Arc::default(),
            turns: Arc::new(Semaphore::new(MOST)),
        }
    }

    /// Reads with one of the ends.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut dyn Reader) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let pool = self.clone();
        self.beside(move || {
            let idle = pool.idle().pop();
            let mut reader = idle.map_or_else(|| (pool.open)(), Ok)?;
            let found = read(&mut *reader)?;
            pool.idle().push(reader);
            Ok(found)
        })
        .await
    }

    /// Reads without one; what takes too long goes on, and nobody waits for it.
    pub(crate) async fn beside<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let reading = tokio::time::timeout(PATIENCE, self.in_turn(read));
        reading.await.unwrap_or_else(|_| Err(Problem::store_away()))
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn =
            Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Problem::internal())?;
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            read()
        });
        match reading.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) if error.passes() => {
                tracing::warn!(%error, "cannot read the store now");
                Err(Problem::store_away())
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "cannot read the store");
                Err(Problem::internal())
            }
            // Its panic has been reported where it happened.
            Err(_) => Err(Problem::internal()),
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Box<dyn Reader>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
