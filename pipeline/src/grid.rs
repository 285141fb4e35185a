//! The coarse cadence: what happened to a job within one step, as one change.
//!
//! Rows and counts move at every tick; quantiles, rates and alert inputs need not. [`on_grid`]
//! moves changes to the next multiple of the step and composes those of one job, so a view behind
//! it does the work of a step once, and is at each grid time exactly the function of the rows then.

use std::collections::BTreeMap;

use contracts::event::JobId;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::Operator;

use crate::Tick;
use crate::row::{Change, Changes};

/// The first grid time at or after `tick`.
pub fn grid_time(tick: Tick, step: Tick) -> Tick {
    tick.next_multiple_of(step)
}

/// The changes of a step of the grid.
struct Step {
    capability: Capability<Tick>,
    jobs: HashMap<JobId, Change>,
    /// Rows that only leave: a second row of a job, from a record read back.
    leaving: Vec<Change>,
}

/// Composes the changes of each step of `step` µs; a step of 1 is the stream itself.
pub fn on_grid(changes: Changes<'_>, step: Tick) -> Changes<'_> {
    if step <= 1 {
        return changes;
    }
    changes.unary_frontier::<CapacityContainerBuilder<_>, _, _, _>(
        Pipeline,
        "OnGrid",
        |initial, _| {
            drop(initial);
            let mut steps = BTreeMap::<Tick, Step>::new();
            move |(input, frontier), output| {
                input.for_each(|capability, changes| {
                    for (change, tick) in changes.drain(..) {
                        let at = grid_time(tick, step);
                        let step = steps.entry(at).or_insert_with(|| Step {
                            capability: capability.delayed(&at, 0),
                            jobs: HashMap::new(),
                            leaving: Vec::new(),
                        });
                        step.compose(change);
                    }
                });
                while let Some(step) = steps.first_entry()
                    && !frontier.less_equal(step.key())
                {
                    let (at, Step { capability, jobs, leaving }) = step.remove_entry();
                    let moved = jobs.into_values().filter(|change| change.old != change.new);
                    let moved = moved.chain(leaving).map(|change| (change, at));
                    output.session(&capability).give_iterator(moved);
                }
            }
        },
    )
}

impl Step {
    /// `a → b` then `b → c` is `a → c`.
    fn compose(&mut self, change: Change) {
        if change.new.is_none() {
            self.leaving.push(change);
            return;
        }
        match self.jobs.entry(change.job()) {
            Entry::Vacant(entry) => {
                entry.insert(change);
            }
            Entry::Occupied(mut entry) => entry.get_mut().new = change.new,
        }
    }
}
