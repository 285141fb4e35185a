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
