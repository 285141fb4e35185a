//! When to look at a job again: one entry per job, in slots of a second.

use std::collections::BTreeMap;

use contracts::event::JobId;

use crate::Tick;

/// µs in a slot.
const SLOT: Tick = 1_000_000;

/// The jobs by the second at which they are due.
///
/// A job is entered once and looked at when its second has come; whoever looks decides whether the
/// time is ripe, and enters it again if not. So a job that changes often costs nothing here.
#[derive(Default)]
pub(crate) struct Wheel {
    slots: BTreeMap<u32, Vec<JobId>>,
}

impl Wheel {
    /// The first slot that begins at `tick` or later.
    pub(crate) fn slot(tick: Tick) -> u32 {
        u32::try_from(tick.div_ceil(SLOT)).unwrap_or(u32::MAX)
    }

    /// Enters `job` at `slot`.
    pub(crate) fn enter(&mut self, slot: u32, job: JobId) {
        self.slots.entry(slot).or_default().push(job);
    }

    /// The tick at which the first slot is due.
    pub(crate) fn next(&self) -> Option<Tick> {
        self.slots.first_key_value().map(|(&slot, _)| Tick::from(slot) * SLOT)
    }

    /// Takes the first slot.
    pub(crate) fn take(&mut self) -> Option<(u32, Vec<JobId>)> {
        self.slots.pop_first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_due_at_the_next_whole_second_and_never_before() {
        for (tick, slot) in [(0, 0), (1, 1), (SLOT - 1, 1), (SLOT, 1), (SLOT + 1, 2)] {
            assert_eq!(Wheel::slot(tick), slot, "{tick}");
            assert!(Tick::from(Wheel::slot(tick)) * SLOT >= tick);
        }
    }

    #[test]
    fn slots_come_in_the_order_of_time_with_all_their_jobs() {
        let mut wheel = Wheel::default();
        let job = JobId::from_u128;
        for (tick, n) in [(5 * SLOT, 1), (2 * SLOT, 2), (4 * SLOT + 1, 3), (2 * SLOT - 1, 4)] {
            wheel.enter(Wheel::slot(tick), job(n));
        }
        assert_eq!(wheel.next(), Some(2 * SLOT));
        assert_eq!(wheel.take(), Some((2, vec![job(2), job(4)])));
        assert_eq!(wheel.next(), Some(5 * SLOT));
        assert_eq!(wheel.take(), Some((5, vec![job(1), job(3)])));
        assert_eq!((wheel.next(), wheel.take()), (None, None));
    }

    #[test]
    fn the_end_of_time_is_a_slot_as_well() {
        let mut wheel = Wheel::default();
        wheel.enter(Wheel::slot(Tick::MAX), JobId::nil());
        assert_eq!(wheel.next(), Some(Tick::from(u32::MAX) * SLOT));
    }
}
