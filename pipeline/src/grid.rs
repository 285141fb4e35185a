//! The coarse cadence: what happened to a job within one step, as one change.
//!
//! Rows and counts move at every tick; quantiles, rates and alert inputs need not. [`on_grid`]
//! moves changes to the next multiple of the step and composes those of one job, so a view behind
//! it does the work of a step once, and is at each grid time exactly the function of the rows then.

use std::collections::BTreeMap;
use std::rc::Rc;

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
    changes: Vec<Change>,
    /// Where the change of a job is.
    jobs: HashMap<JobId, u32>,
}

/// Composes the changes of each step of `step` µs; a step of 1 is the stream itself.
pub fn on_grid(changes: Changes<'_>, step: Tick) -> Changes<'_> {
    if step <= 1 {
        return changes;
    }
    changes.unary_frontier::<CapacityContainerBuilder<Rc<Vec<Change>>>, _, _, _>(
        Pipeline,
        "OnGrid",
        |initial, _| {
            drop(initial);
            let mut steps = BTreeMap::<Tick, Step>::new();
            move |(input, frontier), output| {
                input.for_each(|capability, changes| {
                    let at = grid_time(*capability.time(), step);
                    let step = steps.entry(at).or_insert_with(|| Step {
                        capability: capability.delayed(&at, 0),
                        changes: Vec::new(),
                        jobs: HashMap::new(),
                    });
                    changes.iter().for_each(|change| step.compose(change));
                });
                while let Some(step) = steps.first_entry()
                    && !frontier.less_equal(step.key())
                {
                    let Step { capability, mut changes, .. } = step.remove();
                    changes.retain(|change| change.old != change.new);
                    output.session(&capability).give_container(&mut Rc::new(changes));
                }
            }
        },
    )
}

impl Step {
    /// `a → b` then `b → c` is `a → c`.
    fn compose(&mut self, change: &Change) {
        // A second row of a job, from a record read back, only leaves.
        if change.new.is_none() {
            self.changes.push(change.clone());
            return;
        }
        match self.jobs.entry(change.job()) {
            Entry::Vacant(entry) => {
                // Four billion changes do not fit in memory.
                entry.insert(self.changes.len() as u32);
                self.changes.push(change.clone());
            }
            Entry::Occupied(entry) => {
                self.changes[*entry.get() as usize].new.clone_from(&change.new);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use contracts::event::{EventId, Kind};
    use timely::dataflow::InputHandle;
    use timely::dataflow::operators::probe::Handle;
    use timely::dataflow::operators::{Input as _, Probe};

    use super::*;
    use crate::fact::Fact;
    use crate::name::Name;
    use crate::row::Row;
    use crate::summary::Summary;
    use crate::worker::single;

    const STEP: Tick = 100;

    /// A row of `job` that `at` tells from its others.
    fn row(job: u128, at: i64) -> Option<Row> {
        let fact = Fact {
            job: JobId::from_u128(job),
            event: EventId::nil(),
            at,
            created_at: 0,
            seq: 0,
            job_type: Name::NONE,
            queue: Name::NONE,
            worker: Name::NONE,
            attempt: 1,
            kind: Kind::Created,
            inferred: false,
            expires_after: 0,
        };
        Some(Row::of(fact.job, &Summary::of(&fact), false))
    }

    fn change(old: Option<Row>, new: Option<Row>) -> Change {
        Change { old, new }
    }

    /// What has left by the end of each tick, sorted by job.
    fn composed(step: Tick, ticks: Vec<(Tick, Vec<Change>)>) -> Vec<(Tick, Vec<(Change, Tick)>)> {
        let mut worker = single();
        let probe = Handle::new();
        let seen = Rc::new(RefCell::new(Vec::new()));
        let mut input: InputHandle<Tick, CapacityContainerBuilder<Rc<Vec<Change>>>> = worker
            .dataflow(|scope| {
                let (handle, changes) = scope.new_input_with_builder();
                let seen = Rc::clone(&seen);
                on_grid(changes, step)
                    .unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(
                        Pipeline,
                        "Seen",
                        |_, _| {
                            move |input, _| {
                                input.for_each(|at, changes| {
                                    let at = *at.time();
                                    let changes = changes.iter().map(|change| (change.clone(), at));
                                    seen.borrow_mut().extend(changes);
                                });
                            }
                        },
                    )
                    .probe_with(&probe);
                handle
            });
        let mut left = Vec::new();
        for (tick, changes) in ticks {
            input.advance_to(tick);
            input.send_batch(&mut Rc::new(changes));
            input.advance_to(tick + 1);
            input.flush();
            // What is still on its way holds the frontier at its grid time.
            let passed = (tick + 1).min(tick / step * step + 1);
            worker.step_while(|| probe.less_than(&passed));
            let mut changes = seen.take();
            changes.sort_by_key(|(change, _)| (change.job(), change.new.is_none()));
            if !changes.is_empty() {
                left.push((tick, changes));
            }
        }
        left
    }

    #[test]
    fn the_grid_time_of_a_tick_is_the_multiple_that_has_not_passed() {
        assert_eq!([0, 1, 99, 100, 101].map(|tick| grid_time(tick, STEP)), [0, 100, 100, 100, 200]);
        assert_eq!([0, 1, 7].map(|tick| grid_time(tick, 1)), [0, 1, 7]);
    }

    #[test]
    fn the_changes_of_a_step_leave_as_one_at_its_end() {
        let ticks = vec![
            (1, vec![change(None, row(1, 1))]),
            (40, vec![change(row(1, 1), row(1, 2)), change(None, row(2, 1))]),
            (99, vec![change(row(1, 2), row(1, 3))]),
            (100, vec![]),
        ];
        let left = vec![(change(None, row(1, 3)), 100), (change(None, row(2, 1)), 100)];
        assert_eq!(composed(STEP, ticks), [(100, left)]);
    }

    #[test]
    fn a_tick_on_the_grid_belongs_to_the_step_that_it_ends() {
        let ticks = vec![
            (100, vec![change(None, row(1, 1))]),
            (101, vec![change(row(1, 1), row(1, 2))]),
            (250, vec![]),
        ];
        let left = vec![
            (100, vec![(change(None, row(1, 1)), 100)]),
            (250, vec![(change(row(1, 1), row(1, 2)), 200)]),
        ];
        assert_eq!(composed(STEP, ticks), left);
    }

    #[test]
    fn what_is_undone_within_a_step_was_never_there() {
        let ticks = vec![
            (10, vec![change(None, row(1, 1))]),
            (110, vec![change(row(1, 1), row(1, 2))]),
            (120, vec![change(row(1, 2), row(1, 1))]),
            (300, vec![]),
        ];
        assert_eq!(composed(STEP, ticks), [(110, vec![(change(None, row(1, 1)), 100)])]);
    }

    #[test]
    fn a_second_row_that_leaves_is_not_mixed_up_with_the_one_that_stays() {
        let stale = Row { retired: true, ..row(1, 9).unwrap() };
        let ticks = vec![
            (10, vec![change(None, row(1, 1))]),
            (20, vec![change(row(1, 1), row(1, 2)), change(Some(stale.clone()), None)]),
            (30, vec![change(row(1, 2), row(1, 3))]),
            (100, vec![]),
        ];
        let left = vec![(change(None, row(1, 3)), 100), (change(Some(stale), None), 100)];
        assert_eq!(composed(STEP, ticks), [(100, left)]);
    }

    #[test]
    fn a_step_of_one_passes_everything_on_as_it_is() {
        let first = change(None, row(1, 1));
        let second = change(row(1, 1), row(1, 2));
        let ticks = vec![(5, vec![first.clone()]), (6, vec![second.clone()])];
        assert_eq!(composed(1, ticks), [(5, vec![(first, 5)]), (6, vec![(second, 6)])]);
    }
}
