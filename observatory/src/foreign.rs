//! Events that other processes have taken in and whose jobs have to be looked up.
//!
//! ```text
//!   sealed at t: lookup, aside ──▶ waiting ──answer fed at t'──▶ due ──sealed at t'──▶ commit
//!                                     └────── t is not durable until then ──────┘
//! ```
//!
//! The ledger of the process that took an event in knows only its first tick. So that the delivery
//! is not settled with that, the other processes are told that the tick is durable when the later
//! one is.

use std::collections::{BTreeMap, HashMap};

use ingress::ledger::Seq;
use pipeline::Tick;
use sinks::commit::Accepted;

#[derive(Debug)]
struct Deferred {
    /// The tick it was sealed at first.
    tick: Tick,
    /// What the store is to know of the event, if that is more than the fact.
    heard: Option<Accepted>,
}

#[derive(Debug, Default)]
pub(crate) struct Foreign {
    /// Those whose jobs are being looked up.
    waiting: HashMap<Seq, Deferred>,
    /// Those that have been fed again, by the tick at which.
    due: BTreeMap<Tick, Vec<Deferred>>,
}

impl Foreign {
    /// The fact with the number `seq` takes effect at a later tick than `tick`.
    pub(crate) fn defer(&mut self, tick: Tick, seq: Seq) {
        self.waiting.insert(seq, Deferred { tick, heard: None });
    }

    /// Keeps what the store is to know of an event if its fact waits; else gives it back.
    pub(crate) fn keep(&mut self, heard: Accepted) -> Option<Accepted> {
        match self.waiting.get_mut(&heard.event.fact.seq) {
            Some(deferred) => {
                deferred.heard = Some(heard);
                None
            }
            None => Some(heard),
        }
    }

    /// The fact is fed again at `tick`.
    pub(crate) fn resume(&mut self, seq: Seq, tick: Tick) {
        if let Some(deferred) = self.waiting.remove(&seq) {
            self.due.entry(tick).or_default().push(deferred);
        }
    }

    /// What goes with the ticks before `upper`.
    pub(crate) fn take(&mut self, upper: Tick) -> Vec<Accepted> {
        let later = self.due.split_off(&upper);
        let sealed = std::mem::replace(&mut self.due, later);
        let heard = sealed.into_iter().flat_map(|(tick, deferred)| {
            let heard = deferred.into_iter().filter_map(|deferred| deferred.heard);
            heard.map(move |heard| Accepted { tick, ..heard })
        });
        heard.collect()
    }

    /// The first tick that is not durable for others, when all before `upper` are for us.
    pub(crate) fn durable(&self, upper: Tick) -> Tick {
        let due = self.due.values().flatten();
        let ticks = self.waiting.values().chain(due).map(|deferred| deferred.tick);
        ticks.min().map_or(upper, |first| first.min(upper))
    }
}

#[cfg(test)]
mod tests {
    use contracts::event::Kind;
    use ingress::submit::Submitted;
    use pipeline::fact::Fact;
    use pipeline::name::Name;

    use super::*;

    fn heard(seq: Seq) -> Accepted {
        let fact = Fact {
            job: contracts::JobId::from_u128(1),
            event: contracts::EventId::from_u128(2),
            at: 0,
            created_at: 0,
            seq,
            job_type: Name::NONE,
            queue: Name::NONE,
            worker: Name::NONE,
            attempt: 1,
            kind: Kind::Created,
            inferred: false,
            expires_after: 0,
        };
        let event = Submitted {
            fact,
            body: Vec::new(),
            error: None,
            metadata: None,
            execute: false,
            note: false,
            heartbeat: None,
        };
        Accepted { tick: 10, event, late: false }
    }

    #[test]
    fn a_tick_is_durable_for_others_when_what_was_deferred_from_it_is() {
        let mut foreign = Foreign::default();
        foreign.defer(10, 7);
        assert_eq!(foreign.durable(20), 10);
        foreign.resume(7, 30);
        assert_eq!(foreign.durable(30), 10);
        foreign.take(31);
        assert_eq!(foreign.durable(31), 31);
    }

    #[test]
    fn what_is_known_of_a_deferred_event_goes_with_its_later_tick() {
        let mut foreign = Foreign::default();
        foreign.defer(10, 7);
        assert!(foreign.keep(heard(7)).is_none());
        assert!(foreign.keep(heard(8)).is_some());
        assert!(foreign.take(20).is_empty());
        foreign.resume(7, 30);
        let taken = foreign.take(31);
        assert_eq!(taken.len(), 1);
        assert_eq!((taken[0].tick, taken[0].event.fact.seq), (30, 7));
    }

    #[test]
    fn ticks_are_durable_no_further_than_for_ourselves() {
        let mut foreign = Foreign::default();
        foreign.defer(50, 7);
        assert_eq!(foreign.durable(20), 20);
    }
}
