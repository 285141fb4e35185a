//! What was in the queue when a session began, and is still to come.
//!
//! Others may take from the same queue, so deliveries of ours alone do not tell: while something is
//! to come, the queue is asked now and then.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How often the queue is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Backlog {
    left: u64,
    ask_at: Instant,
}

impl Backlog {
    pub(super) fn of(found: u64) -> Backlog {
        Backlog { left: found, ask_at: Instant::now() + ASK_EVERY }
    }

    pub(super) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// So many have been handed out; says whether nothing is to come any more, once.
    pub(super) fn handed_out(&mut self, n: u64) -> bool {
        self.only(self.left.saturating_sub(n))
    }

    /// No more than so many are to come; says whether nothing is any more, once.
    pub(super) fn only(&mut self, left: u64) -> bool {
        let before = self.left;
        self.left = left.min(before);
        before > 0 && self.left == 0
    }

    /// Waits until the queue is to be asked.
    pub(super) async fn due(&mut self) {
        if self.is_done() {
            return std::future::pending().await;
        }
        sleep_until(self.ask_at).await;
        self.ask_at = Instant::now() + ASK_EVERY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_is_done_once_when_all_of_it_has_been_handed_out() {
        let mut backlog = Backlog::of(2);
        assert!(!backlog.handed_out(1) && !backlog.is_done());
        assert!(backlog.handed_out(1) && backlog.is_done());
        assert!(!backlog.handed_out(1));
    }

    #[test]
    fn what_others_take_is_not_waited_for_and_what_is_new_is_no_backlog() {
        let mut backlog = Backlog::of(5);
        assert!(!backlog.only(3));
        assert!(!backlog.only(100));
        assert!(!backlog.handed_out(2));
        assert!(backlog.only(0));
    }

    #[test]
    fn an_empty_queue_leaves_no_backlog() {
        let mut backlog = Backlog::of(0);
        assert!(backlog.is_done());
        assert!(!backlog.only(0));
    }
}
