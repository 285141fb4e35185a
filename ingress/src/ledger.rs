//! The ledger of deliveries: what has been accepted, at which tick, and is not durable yet.
//!
//! ```text
//!   enter(tick) ──▶ open ──sealed──▶ taken to the sinks ──durable──▶ settled
//!                    │  ▲
//!              defer │  │ resume(later tick)
//!                    ▼  │
//!                  deferred
//! ```
//!
//! Pure bookkeeping: it decides nothing about time and does no I/O.
//!
//! # Invariants
//!
//! 1. A delivery is in exactly one place, and leaves only by [`Ledger::take`].
//! 2. A deferred delivery is never taken with the tick it was entered at: whoever feeds it again
//!    names a later one.

use std::collections::{BTreeMap, HashMap};

use pipeline::Tick;

/// A delivery's number in the ledger, in the order of arrival.
pub type Seq = u64;

/// What has been accepted and is not durable yet.
#[derive(Debug)]
pub struct Ledger<D> {
    next: Seq,
    open: BTreeMap<Tick, BTreeMap<Seq, D>>,
    deferred: HashMap<Seq, D>,
}

impl<D> Default for Ledger<D> {
    fn default() -> Self {
        Ledger { next: 0, open: BTreeMap::new(), deferred: HashMap::new() }
    }
}

impl<D> Ledger<D> {
    /// A ledger of one of several processes, whose numbers are not those of the others.
    pub fn of_process(index: usize) -> Ledger<D> {
        Ledger { next: (index as Seq) << 48, ..Ledger::default() }
    }

    /// Enters a delivery at `tick`, and gives its number.
    pub fn enter(&mut self, tick: Tick, delivery: D) -> Seq {
        let seq = self.next;
        self.next += 1;
        self.open.entry(tick).or_default().insert(seq, delivery);
        seq
    }

    /// Moves a delivery out of `tick`, to wait for a later one; false if it is not there.
    pub fn defer(&mut self, tick: Tick, seq: Seq) -> bool {
        let delivery = self.open.get_mut(&tick).and_then(|tick| tick.remove(&seq));
        delivery.map(|delivery| self.deferred.insert(seq, delivery)).is_some()
    }

    /// Enters a deferred delivery at `tick`; false if it is not deferred.
    pub fn resume(&mut self, seq: Seq, tick: Tick) -> bool {
        let delivery = self.deferred.remove(&seq);
        delivery.map(|delivery| self.open.entry(tick).or_default().insert(seq, delivery)).is_some()
    }

    /// Takes the deliveries of all ticks before `upper`, in order.
    pub fn take(&mut self, upper: Tick) -> Vec<(Tick, D)> {
        let later = self.open.split_off(&upper);
        let sealed = std::mem::replace(&mut self.open, later);
        let in_tick = |(tick, deliveries): (Tick, BTreeMap<Seq, D>)| {
            deliveries.into_values().map(move |delivery| (tick, delivery))
        };
        sealed.into_iter().flat_map(in_tick).collect()
    }

    /// Whether nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.deferred.is_empty() && self.open.values().all(BTreeMap::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_taken_with_the_ticks_before_the_frontier() {
        let mut ledger = Ledger::default();
        for (tick, delivery) in [(10, 'a'), (10, 'b'), (20, 'c')] {
            ledger.enter(tick, delivery);
        }
        assert_eq!(ledger.take(10), []);
        assert_eq!(ledger.take(20), [(10, 'a'), (10, 'b')]);
        assert!(!ledger.is_empty());
        assert_eq!(ledger.take(21), [(20, 'c')]);
        assert!(ledger.is_empty());
    }

    #[test]
    fn a_deferred_delivery_is_not_settled_with_its_first_tick() {
        let mut ledger = Ledger::default();
        let seq = ledger.enter(10, 'a');
        assert!(ledger.defer(10, seq));
        assert_eq!(ledger.take(11), []);
        assert!(!ledger.is_empty());
        assert!(ledger.resume(seq, 30));
        assert_eq!(ledger.take(31), [(30, 'a')]);
    }

    #[test]
    fn deliveries_of_other_processes_are_in_no_ledger_but_theirs() {
        let [mut one, mut other] = [0, 1].map(Ledger::of_process);
        let (seq, foreign) = (one.enter(10, 'a'), other.enter(10, 'b'));
        assert!(!one.defer(10, foreign) && !other.defer(10, seq));
        assert!(other.defer(10, foreign));
    }

    #[test]
    fn a_delivery_is_deferred_and_resumed_once() {
        let mut ledger = Ledger::default();
        let seq = ledger.enter(10, 'a');
        assert!(!ledger.defer(11, seq));
        assert!(ledger.defer(10, seq) && !ledger.defer(10, seq));
        assert!(ledger.resume(seq, 12) && !ledger.resume(seq, 13));
    }
}
