//! The dataflow looked at from outside: its operators, what flows between them, and what they hold,
//! out of timely's and differential's own logs.
//!
//! ```text
//!   worker ──log of timely: operators, channels, messages, activity──▶ ┐
//!          ──log of differential: batches, merges, batchers─────────▶ ├─▶ Observed ──▶ reader
//! ```
//!
//! The graph is the same on all workers, so what is at one address in it is taken together.
//!
//! # Cost
//!
//! Some tens of events per tick and worker, added up where they arise; one lock per step of a worker.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use differential_dataflow::logging::{DifferentialEvent, DifferentialEventBuilder};
use timely::logging::{StartStop, TimelyEvent, TimelyEventBuilder};
use timely::worker::Worker;

/// A path of indices, from the dataflow to an operator in it.
pub type Address = Vec<usize>;

/// What has been seen of a dataflow.
#[derive(Debug, Default)]
pub struct Observed(Mutex<Seen>);

/// The same, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub workers: usize,
    pub operators: BTreeMap<Address, Operator>,
    pub edges: BTreeMap<Edge, Flow>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operator {
    pub name: String,
    /// Times that it was scheduled, and how long that took together. For a scope, with all that is
    /// in it.
    pub activations: u64,
    pub busy: Duration,
    /// Records that it holds in an index.
    pub records: i64,
    /// Records that wait for their time to be complete, and the bytes that they take.
    pub pending_records: i64,
    pub pending_bytes: i64,
}

/// Where something flows, with the ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub from: (Address, usize),
    pub to: (Address, usize),
}

/// What has flown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    pub messages: u64,
    pub records: i64,
}

impl Observed {
    /// Nothing yet.
    pub const fn new() -> Observed {
        let operators = BTreeMap::new();
        Observed(Mutex::new(Seen { workers: 0, operators, edges: BTreeMap::new() }))
    }

    /// What has been seen so far.
    pub fn seen(&self) -> Seen {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has `worker` tell what it does from now on; before its graph is built.
pub(crate) fn observe(worker: &Worker, observed: &'static Observed) {
    observed.lock().workers += 1;
    let Some(mut register) = worker.log_register() else { return };
    // Operators by the number that this worker gives them.
    let known = Arc::<Mutex<HashMap<usize, Address>>>::default();
    let addresses = Arc::clone(&known);
    let mut local = Local::default();
    register.insert::<TimelyEventBuilder, _>("timely", move |_, events| {
        let Some(events) = events else { return };
        let mut seen = observed.lock();
        let mut addresses = addresses.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, event) in events.drain(..) {
            local.take(at, event, &mut seen, &mut addresses);
        }
    });
    register.insert::<DifferentialEventBuilder, _>("differential/arrange", move |_, events| {
        let Some(events) = events else { return };
        let mut seen = observed.lock();
        let addresses = known.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, event) in events.drain(..) {
            arranged(&event, &mut seen, &addresses);
        }
    });
}

/// What one worker must remember of its log.
#[derive(Default)]
struct Local {
    channels: HashMap<usize, Edge>,
    started: HashMap<usize, Duration>,
}

impl Local {
    fn take(
        &mut self,
        at: Duration,
        event: TimelyEvent,
        seen: &mut Seen,
        addresses: &mut HashMap<usize, Address>,
    ) {
        match event {
            TimelyEvent::Operates(operator) => {
                seen.operators.entry(operator.addr.clone()).or_default().name = operator.name;
                addresses.insert(operator.id, operator.addr);
            }
            TimelyEvent::Channels(channel) => {
                // Index 0 is the scope itself, from within.
                let at = |(index, port): (usize, usize)| {
                    let inner = (index > 0).then_some(index);
                    (channel.scope_addr.iter().copied().chain(inner).collect(), port)
                };
                let edge = Edge { from: at(channel.source), to: at(channel.target) };
                seen.edges.entry(edge.clone()).or_default();
                self.channels.insert(channel.id, edge);
            }
            TimelyEvent::Messages(message) if message.is_send => {
                let Some(edge) = self.channels.get(&message.channel) else { return };
                let flow = seen.edges.entry(edge.clone()).or_default();
                flow.messages += 1;
                flow.records += message.record_count;
            }
            TimelyEvent::Schedule(schedule) => match schedule.start_stop {
                StartStop::Start => {
                    self.started.insert(schedule.id, at);
                }
                StartStop::Stop => {
                    let began = self.started.remove(&schedule.id);
                    let address = addresses.get(&schedule.id);
                    if let (Some(began), Some(address)) = (began, address) {
                        let operator = seen.operators.entry(address.clone()).or_default();
                        operator.activations += 1;
                        operator.busy += at.saturating_sub(began);
                    }
                }
            },
            _ => {}
        }
    }
}

fn arranged(event: &DifferentialEvent, seen: &mut Seen, addresses: &HashMap<usize, Address>) {
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let (id, records, pending) = match event {
        DifferentialEvent::Batch(batch) => (batch.operator, number(batch.length), (0, 0)),
        DifferentialEvent::Drop(batch) => (batch.operator, -number(batch.length), (0, 0)),
        DifferentialEvent::Merge(merge) => match merge.complete {
            Some(length) => {
                let gained = number(length) - number(merge.length1) - number(merge.length2);
                (merge.operator, gained, (0, 0))
            }
            None => return,
        },
        DifferentialEvent::Batcher(batcher) => {
            let pending = (batcher.records_diff as i64, batcher.size_diff as i64);
            (batcher.operator, 0, pending)
        }
        DifferentialEvent::MergeShortfall(_) | DifferentialEvent::TraceShare(_) => return,
    };
    let Some(address) = addresses.get(&id) else { return };
    let operator = seen.operators.entry(address.clone()).or_default();
    operator.records += records;
    operator.pending_records += pending.0;
    operator.pending_bytes += pending.1;
}
