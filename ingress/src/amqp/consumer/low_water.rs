//! The low-water mark: up to which delivery of a session all have been settled.
//!
//! ```text
//!   tag      1  2  3  4  5  6  7  8
//!   state    s  s  r  s  .  s  .  .      s settled, r requeued, . open
//!                     ▲ mark: ack 4 with `multiple`, which is about 1, 2 and 4
//! ```
//!
//! A requeued delivery is no longer the broker's to be acknowledged: it does not hold the mark, and
//! the mark is never set on it, since the broker closes a channel that acknowledges what it does
//! not know.

use std::collections::VecDeque;

use super::{Tag, Verdict};

/// The deliveries of one session that are not behind the mark, each with what acknowledges it.
#[derive(Debug)]
pub(super) struct LowWater<A> {
    /// The tag of the first slot.
    first: Tag,
    slots: VecDeque<Slot<A>>,
    /// Deliveries up to the mark since it was taken; it is on the last of them.
    settled: Vec<A>,
    n_unacked: u64,
}

#[derive(Debug)]
struct Slot<A> {
    acker: A,
    verdict: Option<Verdict>,
}

impl<A> Default for LowWater<A> {
    fn default() -> Self {
        LowWater { first: 1, slots: VecDeque::new(), settled: Vec::new(), n_unacked: 0 }
    }
}

impl<A: Clone> LowWater<A> {
    /// Enters the next delivery, and gives its tag: on a channel with one consumer they count up
    /// from 1.
    pub(super) fn deliver(&mut self, acker: A) -> Tag {
        let tag = self.first + self.slots.len() as Tag;
        self.slots.push_back(Slot { acker, verdict: None });
        self.n_unacked += 1;
        tag
    }

    /// Notes what is to become of a delivery; gives its acker if it is to be requeued.
    pub(super) fn decide(&mut self, tag: Tag, verdict: Verdict) -> Option<A> {
        let at = usize::try_from(tag.checked_sub(self.first)?).ok()?;
        let slot = self.slots.get_mut(at).filter(|slot| slot.verdict.is_none())?;
        slot.verdict = Some(verdict);
        let requeue = (verdict == Verdict::Requeued).then(|| slot.acker.clone());
        self.n_unacked -= u64::from(requeue.is_some());
        while let Some(slot) = self.slots.pop_front_if(|slot| slot.verdict.is_some()) {
            self.first += 1;
            if slot.verdict == Some(Verdict::Settled) {
                self.settled.push(slot.acker);
            }
        }
        requeue
    }

    /// Takes the mark, if it has moved: the deliveries to acknowledge, all with the last one.
    pub(super) fn take_mark(&mut self) -> Vec<A> {
        let settled = std::mem::take(&mut self.settled);
        self.n_unacked -= settled.len() as u64;
        settled
    }

    /// Deliveries that [`LowWater::take_mark`] would be about.
    pub(super) fn n_settled(&self) -> u64 {
        self.settled.len() as u64
    }

    /// Deliveries that the broker waits for.
    pub(super) fn n_unacked(&self) -> u64 {
        self.n_unacked
    }

    /// Whether nothing is open.
    pub(super) fn is_settled(&self) -> bool {
        self.slots.is_empty()
    }
}

#[cfg(test)]
mod tests;
