//! Waiting for a condition.

use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until `condition` gives something; after `patience`, what it has last said instead.
pub(crate) fn until<T, E>(
    patience: Duration,
    mut condition: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let began = Instant::now();
    loop {
        match condition() {
            Err(reason) if began.elapsed() > patience => return Err(reason),
            Err(_) => thread::sleep(LOOK),
            found => return found,
        }
    }
}
