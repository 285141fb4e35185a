//! How often somebody may write: the generic cell rate algorithm, one instant per client.
//!
//! Each write moves the client's instant on by its share of a second; who is ahead of now by more
//! than a burst has to wait.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A burst is what two seconds allow.
const BURST: Duration = Duration::from_secs(2);

/// Clients that are told apart; those beyond share what is left.
const MOST: usize = 10_000;

pub(super) struct Limit {
    share: Duration,
    clients: Mutex<HashMap<String, Instant>>,
}

impl Limit {
    pub(super) fn new(per_second: u32) -> Limit {
        let share = Duration::from_secs(1) / per_second.max(1);
        Limit { share, clients: Mutex::default() }
    }

    /// Takes a turn, or says after how many seconds there is one.
    pub(super) fn take(&self, client: &str, now: Instant) -> Result<(), u64> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= MOST && !clients.contains_key(client) {
            // An instant that has passed is as good as none.
            clients.retain(|_, until| *until > now);
        }
        let client =
            if clients.len() >= MOST && !clients.contains_key(client) { "" } else { client };
        let until = clients.get(client).map_or(now, |until| now.max(*until)) + self.share;
        let ahead = until - now;
        if ahead > BURST {
            return Err((ahead - BURST).as_secs() + 1);
        }
        clients.insert(client.to_owned(), until);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_does() {
        let (limit, now) = (Limit::new(10), Instant::now());
        assert_eq!((0..100).filter(|_| limit.take("a", now).is_ok()).count(), 20);
        assert_eq!(limit.take("a", now), Err(1));
        let later = now + Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| limit.take("a", later).is_ok()).count(), 10);
        assert!(limit.take("b", later).is_ok(), "another client is another");
    }

    #[test]
    fn clients_beyond_those_that_are_told_apart_share_what_is_left() {
        let (limit, now) = (Limit::new(1), Instant::now());
        (0..MOST).for_each(|n| limit.take(&n.to_string(), now).unwrap());
        assert!(limit.take("x", now).is_ok() && limit.take("y", now).is_ok());
        assert!(limit.take("z", now).is_err());
        assert!(limit.clients.lock().unwrap().len() <= MOST + 1);
        // Those that have rested are forgotten.
        assert!(limit.take("z", now + Duration::from_secs(9)).is_ok());
        assert_eq!(limit.clients.lock().unwrap().len(), 1);
    }
}
