//! Where views leave the dataflow: updates become sealed batches.
//!
//! A collection has no end of its own: at any moment some updates of a tick may have been produced
//! and others not. A *sealed* batch can gain nothing more, because the frontier has passed its
//! upper bound. One [`Sealed`] holds all views at the same bounds, so what a reader adds up from
//! it was true at one tick.
//!
//! # Invariants
//!
//! 1. Batches are contiguous: the `upper` of each is the `lower` of the next.
//! 2. Every update of a batch has `lower <= tick < upper`.
//! 3. All views are brought to worker zero, and only worker zero seals.
//!
//! # Cost
//!
//! Nothing holds back who seals: what bounds the batches waiting is that ticks are closed only
//! when earlier ones have been sealed, which is up to who feeds the dataflow.

use std::cell::RefCell;
use std::rc::Rc;

use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::probe::Handle;
use timely::dataflow::operators::{Operator, Probe};

use crate::fact::{Fact, Record};
use crate::views::alerts::Alert;
use crate::views::counts::Cell;
use crate::views::latency::{Latency, Sample};
use crate::views::minutes::{Minute, MinuteStats};
use crate::views::throughput::Throughput;
use crate::{Diff, Tick};

/// Updates of one view.
pub type Updates<D, R = Diff> = Vec<(D, Tick, R)>;

/// All updates of all views at the ticks `lower .. upper`.
#[derive(Clone, Debug, Default)]
pub struct Sealed {
    pub lower: Tick,
    /// The first tick not in this batch; [`Tick::MAX`] once the input has closed.
    pub upper: Tick,
    /// Facts of jobs that are not in memory: to be fed again, behind what the store knows, before
    /// their deliveries are settled.
    pub lookups: Updates<Fact, ()>,
    /// What a store is to keep of the jobs that changed, absolutely.
    pub records: Updates<Record, ()>,
    pub counts: Updates<(Cell, Diff)>,
    pub latency: Updates<Latency>,
    pub throughput: Updates<Throughput>,
    /// To be added to what a store has.
    pub minutes: Updates<Minute, MinuteStats>,
    /// Samples of jobs that retired, or came back: to be added to what a store has.
    pub retired: Updates<Sample>,
    /// Alerts that are pending or fire; one that is retracted and not replaced is resolved.
    pub alerts: Updates<Alert>,
}

impl Sealed {
    /// Takes in the batch that follows.
    pub fn extend(&mut self, later: Sealed) {
        self.upper = later.upper;
        self.lookups.extend(later.lookups);
        self.records.extend(later.records);
        self.counts.extend(later.counts);
        self.latency.extend(later.latency);
        self.throughput.extend(later.throughput);
        self.minutes.extend(later.minutes);
        self.retired.extend(later.retired);
        self.alerts.extend(later.alerts);
    }
}

/// The dataflow's end of one view.
pub(crate) struct Outlet<D, R = Diff>(Rc<RefCell<Updates<D, R>>>);

impl<D, R> Outlet<D, R> {
    /// Takes the updates before `upper`.
    pub(crate) fn drain(&self, upper: Tick) -> Updates<D, R> {
        let mut open = self.0.borrow_mut();
        if open.iter().all(|(_, tick, _)| *tick < upper) {
            return std::mem::take(&mut open);
        }
        open.extract_if(.., |(_, tick, _)| *tick < upper).collect()
    }
}

/// Brings `view` to an outlet at worker zero; `probe` then waits for it.
pub(crate) fn seal<D: ExchangeData, R: ExchangeData>(
    view: StreamVec<'_, Tick, (D, Tick, R)>,
    probe: &Handle<Tick>,
) -> Outlet<D, R> {
    let outlet = Outlet(Rc::default());
    let open = Rc::clone(&outlet.0);
    let sealed = view.unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(
        Exchange::new(|_: &(D, Tick, R)| 0),
        "Seal",
        move |_, _| {
            move |input, _| {
                input.for_each(|_, updates| {
                    let mut open = open.borrow_mut();
                    if open.is_empty() {
                        *open = std::mem::take(updates);
                    } else {
                        open.append(updates);
                    }
                });
            }
        },
    );
    sealed.probe_with(probe);
    outlet
}
