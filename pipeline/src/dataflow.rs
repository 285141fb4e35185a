//! The whole graph, one line per view.
//!
//! ```text
//!   facts ──▶ JobStates ──changes──┬──▶ counts        every tick
//!               │   │              ├──▶ minutes       every tick
//!               │   │              ├──▶ retired       every tick
//!               │   │              └──▶ OnGrid ──┬──▶ latency
//!               │   └──▶ records                 ├──▶ throughput
//!               └──▶ lookups                       └──▶ ages ──┐
//!   orders: rules, suspension ─────────────────────────────────┴──▶ alerts, which
//!                                            also take latency and throughput
//! ```

use differential_dataflow::AsCollection;
use differential_dataflow::input::InputSession;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::InputHandle;
use timely::dataflow::operators::vec::{Input as _, Map};
use timely::worker::Worker;

use crate::aside::Aside;
use crate::fact::{Fact, Input, Record};
use crate::grid::on_grid;
use crate::job_state::{Jobs, job_states};
use crate::lives::Sign;
use crate::observed::Observed;
use crate::retention::Retention;
use crate::row::project;
use crate::rules::Order;
use crate::seal::{Outlet, Seal, Sealed, Sealing};
use crate::views::alerts::{Alert, alerts};
use crate::views::counts::{Cell, counts};
use crate::views::latency::{Latency, Sample, latency};
use crate::views::minutes::{Minute, MinuteStats, minutes};
use crate::views::sliding::{Steps, Wanted};
use crate::views::throughput::{Throughput, throughput};
use crate::{Diff, Tick};

/// How the graph is built.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Without it every job stays in memory, and none is looked up in a store.
    pub retention: Option<Retention>,
    /// Step of the coarse cadence, in µs: quantiles, throughput and alerts move at its multiples.
    /// 1 moves them at every tick. Default 100 ms: what a person can see.
    pub grid: Tick,
    pub steps: Steps,
    /// Rows of latency and throughput that are read. Default all.
    pub wanted: Wanted,
    /// Give out what a store is to keep.
    pub keep_records: bool,
    /// Judge rules. Without it no orders may be fed.
    pub judge: bool,
    /// Other processes run the same graph and take in facts: what else they tell the one that
    /// writes is brought there, and what that has made durable is told to them.
    pub cluster: bool,
    /// Where the graph is to be seen from outside.
    pub observed: Option<&'static Observed>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            retention: None,
            grid: 100_000,
            steps: Steps::Every,
            wanted: Wanted::ALL,
            keep_records: false,
            judge: false,
            cluster: false,
            observed: None,
        }
    }
}

/// What a store kept of the jobs that have left memory.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub enum Kept {
    /// So many jobs in a cell of the totals.
    Jobs(Cell, Diff),
    /// So many samples in the distributions of the window `all`.
    Samples(Sample, Diff),
    /// An alert that was pending or fired.
    Alert(Alert),
}

type Handle<D> = InputHandle<Tick, CapacityContainerBuilder<Vec<D>>>;

/// One worker's handles on the graph.
pub struct Graph {
    facts: Handle<Input>,
    kept: Option<Handle<(Kept, Tick)>>,
    orders: Option<InputSession<Tick, Order, Diff>>,
    asides: Option<Handle<(Aside, Tick, ())>>,
    outlets: Outlets,
    /// How far all of it has come.
    sealing: Sealing,
    /// The `upper` of the last batch sealed.
    lower: Tick,
    /// There is no other worker.
    alone: bool,
    /// Workers of the dataflow.
    peers: u64,
    /// Fed at the time of `facts`, and not sent.
    unsent: Vec<Input>,
    unsent_asides: Vec<(Aside, Tick, ())>,
}

struct Outlets {
    lookups: Outlet<Fact, ()>,
    records: Outlet<Record, ()>,
    counts: Outlet<(Cell, Diff)>,
    latency: Outlet<Latency>,
    throughput: Outlet<Throughput>,
    minutes: Outlet<Minute, MinuteStats>,
    retired: Outlet<Sample>,
    alerts: Option<Outlet<Alert>>,
    asides: Option<Outlet<Aside, ()>>,
}

impl Graph {
    /// Builds the graph on `worker`; all workers of a cluster must build the same.
    pub fn build(worker: &mut Worker, config: &Config) -> Graph {
        let alone = worker.peers() == 1;
        let peers = worker.peers() as u64;
        worker.dataflow_named("Observatory", |scope| {
            let (facts, inputs) = scope.new_input();
            let (kept_handle, kept) = scope.new_input();
            let (asides, aside) = config.cluster.then(|| scope.new_input()).unzip();

            let kept_cells = kept.clone().flat_map(kept_cell).as_collection();
            let kept_samples = kept.clone().flat_map(kept_sample).as_collection();

            let Jobs { changes, records, lookups } =
                job_states(inputs, config.retention, config.keep_records);
            let coarse = on_grid(changes.clone(), config.grid);

            let counts = counts(changes.clone(), kept_cells);
            let retired = project(changes.clone(), "Retired", |row| {
                [Sample::of(row).filter(|_| row.retired).map(|sample| (sample, 1))]
            });
            let minutes = minutes(changes);
            let latency = latency(coarse.clone(), kept_samples, config.steps, config.wanted);
            let throughput = throughput(coarse.clone(), config.steps, config.wanted);
            let mut orders = config.judge.then(InputSession::new);
            let alerts = orders.as_mut().map(|orders| {
                let (latency, throughput) = (latency.clone(), throughput.clone());
                let restored = kept.flat_map(kept_alert);
                alerts(coarse, throughput, latency, orders.to_collection(scope), restored)
            });

            let mut seal = Seal::new(scope);
            let outlets = Outlets {
                lookups: seal.add(lookups),
                records: seal.add(records),
                counts: seal.add(counts.inner),
                latency: seal.add(latency.inner),
                throughput: seal.add(throughput.inner),
                minutes: seal.add(minutes),
                retired: seal.add(retired.inner),
                alerts: alerts.map(|alerts| seal.add(alerts.inner)),
                asides: aside.map(|aside| seal.add(aside)),
            };
            Graph {
                facts,
                kept: Some(kept_handle),
                orders,
                asides,
                outlets,
                sealing: seal.build(config.cluster),
                lower: 0,
                alone,
                peers,
                unsent: Vec::new(),
                unsent_asides: Vec::new(),
            }
        })
    }

    /// Feeds what a store kept of retired jobs, at the earliest tick; may be called once, before
    /// the first tick is closed.
    pub fn restore(&mut self, tick: Tick, kept: Vec<Kept>) {
        if let Some(mut input) = self.kept.take() {
            input.advance_to(tick);
            kept.into_iter().for_each(|kept| input.send((kept, tick)));
        }
    }

    /// Feeds `inputs` at `tick`, which must not be before one that is closed; closes those before.
    pub fn feed(&mut self, tick: Tick, mut inputs: Vec<Input>) {
        self.advance(tick);
        if self.alone {
            self.facts.send_batch(&mut inputs);
        } else {
            let signs = inputs.iter().filter_map(|input| match input {
                Input::Sign(sign) => Some(*sign),
                _ => None,
            });
            let peers = self.peers;
            let others = signs.flat_map(|sign| (1..peers).map(move |to| Sign { to, ..sign }));
            let others: Vec<Input> = others.map(Input::Sign).collect();
            // A sign is heard behind the facts that it came with.
            self.unsent.append(&mut inputs);
            self.unsent.extend(others);
        }
    }

    /// Tells the process that writes, at `tick`; in a cluster only.
    pub fn tell(&mut self, tick: Tick, asides: Vec<Aside>) {
        self.advance(tick);
        self.unsent_asides.extend(asides.into_iter().map(|aside| (aside, tick, ())));
    }

    /// Moves the inputs to `tick`, if they are not there.
    fn advance(&mut self, tick: Tick) {
        self.kept = None;
        if *self.facts.time() < tick {
            self.send();
            self.facts.advance_to(tick);
            if let Some(asides) = &mut self.asides {
                asides.advance_to(tick);
            }
        }
        if let Some(orders) = &mut self.orders {
            orders.advance_to(tick);
            orders.flush();
        }
    }

    /// Sends what has been fed, if it is still here.
    ///
    /// Between workers a batch waits in the buffers of the exchange until it is flushed, and a
    /// flush is passed on only while the input has something to report. A step in between reports
    /// it, and then the batch would wait for ever: so it is sent just before time moves.
    fn send(&mut self) {
        self.facts.send_batch(&mut self.unsent);
        if let Some(asides) = &mut self.asides {
            asides.send_batch(&mut self.unsent_asides);
        }
    }

    /// Adds and retracts what decides on alerts at `tick`, before anything is fed at it.
    pub fn order(&mut self, tick: Tick, updates: Vec<(Order, Diff)>) {
        if let Some(orders) = &mut self.orders {
            orders.advance_to(tick);
            updates.into_iter().for_each(|(order, diff)| orders.update(order, diff));
        }
    }

    /// Promises that nothing more comes at `tick` or before.
    pub fn close(&mut self, tick: Tick) {
        self.kept = None;
        self.send();
        self.facts.advance_to(tick + 1);
        self.facts.flush();
        if let Some(asides) = &mut self.asides {
            asides.advance_to(tick + 1);
            asides.flush();
        }
        if let Some(orders) = &mut self.orders {
            orders.advance_to(tick + 1);
            orders.flush();
        }
    }

    /// Whether a tick before `tick` is still on its way.
    pub fn behind(&self, tick: Tick) -> bool {
        self.sealing.upper.get() < tick
    }

    /// What has been sealed since the last call; on workers other than the first, only how far.
    pub fn sealed(&mut self) -> Option<Sealed> {
        let upper = self.sealing.upper.get();
        if upper == self.lower {
            return None;
        }
        let Outlets {
            lookups,
            records,
            counts,
            latency,
            throughput,
            minutes,
            retired,
            alerts,
            asides,
        } = &self.outlets;
        let sealed = Sealed {
            lower: self.lower,
            upper,
            lookups: lookups.drain(upper),
            records: records.drain(upper),
            counts: counts.drain(upper),
            latency: latency.drain(upper),
            throughput: throughput.drain(upper),
            minutes: minutes.drain(upper),
            retired: retired.drain(upper),
            alerts: alerts.as_ref().map(|alerts| alerts.drain(upper)).unwrap_or_default(),
            asides: asides.as_ref().map(|asides| asides.drain(upper)).unwrap_or_default(),
        };
        self.lower = upper;
        Some(sealed)
    }

    /// Says, on the first worker of a cluster, that the ticks before `upper` are durable.
    pub fn made_durable(&mut self, upper: Tick) {
        if let Some(durable) = &self.sealing.durable {
            durable.advance(upper);
        }
    }

    /// The first tick of a cluster that is not durable, as far as this worker has heard.
    pub fn durable(&self) -> Option<Tick> {
        self.sealing.durable.as_ref().map(|durable| durable.frontier())
    }
}

fn kept_cell((kept, tick): (Kept, Tick)) -> Option<(Cell, Tick, Diff)> {
    match kept {
        Kept::Jobs(cell, n) => Some((cell, tick, n)),
        Kept::Samples(..) | Kept::Alert(_) => None,
    }
}

fn kept_sample((kept, tick): (Kept, Tick)) -> Option<(Sample, Tick, Diff)> {
    match kept {
        // Never in a window that slides, whatever the time.
        Kept::Samples(sample, n) => Some((Sample { finished: 0, ..sample }, tick, n)),
        Kept::Jobs(..) | Kept::Alert(_) => None,
    }
}

fn kept_alert((kept, tick): (Kept, Tick)) -> Option<(Alert, Tick)> {
    match kept {
        Kept::Alert(alert) => Some((alert, tick)),
        Kept::Jobs(..) | Kept::Samples(..) => None,
    }
}
