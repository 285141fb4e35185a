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

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use timely::ExchangeData;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::{Capability, Probe};
use timely::dataflow::{ProbeHandle, Scope, StreamVec};
use timely::progress::frontier::MutableAntichain;
use timely::scheduling::Activator;

use crate::aside::Aside;
use crate::fact::{Fact, Record};
use crate::views::alerts::Alert;
use crate::views::counts;
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
    pub counts: Updates<(counts::Cell, Diff)>,
    pub latency: Updates<Latency>,
    pub throughput: Updates<Throughput>,
    /// To be added to what a store has.
    pub minutes: Updates<Minute, MinuteStats>,
    /// Samples of jobs that retired, or came back: to be added to what a store has.
    pub retired: Updates<Sample>,
    /// Alerts that are pending or fire; one that is retracted and not replaced is resolved.
    pub alerts: Updates<Alert>,
    /// What other processes of the cluster add.
    pub asides: Updates<Aside, ()>,
}

impl Sealed {
    /// `createdAt` of the youngest job that retires in this batch, which a store is to remember: see
    /// [`Retention::youngest_retired`](crate::retention::Retention::youngest_retired).
    pub fn youngest_retired(&self) -> Option<i64> {
        let retired = self.records.iter().filter(|(record, ..)| record.retired_at.is_some());
        retired.map(|(record, ..)| record.summary.claimed()).max()
    }

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
        self.asides.extend(later.asides);
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

/// The operator in which all views end, before it is built: one for all, because what an operator
/// costs at each tick does not depend on how little it does.
pub(crate) struct Seal<'s> {
    builder: OperatorBuilder<'s, Tick>,
    collect: Vec<Box<dyn FnMut()>>,
    /// This is worker zero.
    first: bool,
}

impl<'s> Seal<'s> {
    pub(crate) fn new(scope: Scope<'s, Tick>) -> Seal<'s> {
        let builder = OperatorBuilder::new("Seal".to_owned(), scope);
        Seal { builder, collect: Vec::new(), first: scope.index() == 0 }
    }

    /// Brings `view` to an outlet at worker zero.
    pub(crate) fn add<D: ExchangeData, R: ExchangeData>(
        &mut self,
        view: StreamVec<'s, Tick, (D, Tick, R)>,
    ) -> Outlet<D, R> {
        let mut input = self.builder.new_input(view, Exchange::new(|_: &(D, Tick, R)| 0));
        let outlet = Outlet(Rc::default());
        let open = Rc::clone(&outlet.0);
        self.collect.push(Box::new(move || {
            input.for_each(|_, updates| {
                let mut open = open.borrow_mut();
                if open.is_empty() {
                    *open = std::mem::take(updates);
                } else {
                    open.append(updates);
                }
            });
        }));
        outlet
    }

    /// Builds the operator. With `cluster` what worker zero makes durable is told to all workers.
    pub(crate) fn build(self, cluster: bool) -> Sealing {
        let Seal { mut builder, mut collect, first } = self;
        let durable = cluster.then(|| Durable::new(&mut builder));
        let held = durable.as_ref().map(|durable| Rc::clone(&durable.held));
        let sealed = Rc::new(Cell::new(0));
        let upper = Rc::clone(&sealed);
        builder.build(move |capabilities| {
            if let Some(held) = held.filter(|_| first) {
                held.replace(capabilities.into_iter().next());
            }
            move |frontiers| {
                collect.iter_mut().for_each(|collect| collect());
                let first =
                    |frontier: &MutableAntichain<Tick>| frontier.frontier().first().copied();
                upper.set(frontiers.iter().filter_map(first).min().unwrap_or(Tick::MAX));
            }
        });
        Sealing { upper: sealed, durable }
    }
}

/// How far the views have come.
pub(crate) struct Sealing {
    /// The tick before which nothing is on its way any more; [`Tick::MAX`] when the input closes.
    pub(crate) upper: Rc<Cell<Tick>>,
    /// In a cluster, how much of it is durable.
    pub(crate) durable: Option<Durable>,
}

/// The durable frontier of a cluster: worker zero holds the capability of the first tick that is not
/// durable, and the progress tracking of timely carries that to every worker.
pub(crate) struct Durable {
    held: Rc<RefCell<Option<Capability<Tick>>>>,
    activator: Activator,
    probe: ProbeHandle<Tick>,
}

impl Durable {
    fn new(builder: &mut OperatorBuilder<'_, Tick>) -> Durable {
        let (_, nothing) = builder.new_output::<Vec<()>>();
        let probe = ProbeHandle::new();
        let scope = nothing.scope();
        nothing.probe_with(&probe);
        let activator = scope.activator_for(builder.operator_info().address);
        Durable { held: Rc::default(), activator, probe }
    }

    /// Says, on worker zero, that the ticks before `upper` are durable.
    pub(crate) fn advance(&self, upper: Tick) {
        if let Some(held) = self.held.borrow_mut().as_mut()
            && upper > *held.time()
        {
            held.downgrade(&upper);
            // Nothing else may have it report that.
            self.activator.activate();
        }
    }

    /// The first tick that is not known to be durable.
    pub(crate) fn frontier(&self) -> Tick {
        self.probe.with_frontier(|frontier| frontier.first().copied()).unwrap_or(Tick::MAX)
    }
}
