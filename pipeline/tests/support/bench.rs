//! The dataflow on a test bench: a tick goes in, what it seals comes out.

use std::time::Duration;

use pipeline::dataflow::{Config, Graph, Kept};
use pipeline::fact::{Fact, Input};
use pipeline::rules::Rule;
use pipeline::seal::Sealed;
use pipeline::worker::{Pipeline, single};
use pipeline::{Diff, Tick};
use timely::worker::Worker;

/// How long a dataflow may be silent before the test gives up on it. No test waits for it.
const STUCK: Duration = Duration::from_secs(60);

/// A dataflow, run in one of the two ways.
pub(crate) enum Bench {
    /// On the thread of the test, step by step.
    Here(Box<(Worker, Graph)>, Tick),
    /// On threads of its own, as in the program.
    Threads(Pipeline, Tick),
}

impl Bench {
    /// Without threads.
    pub(crate) fn here(config: &Config) -> Bench {
        let mut worker = single();
        let graph = Graph::build(&mut worker, config);
        Bench::Here(Box::new((worker, graph)), 0)
    }

    /// With `n_workers` threads.
    pub(crate) fn threads(config: &Config, n_workers: usize) -> Bench {
        Bench::Threads(Pipeline::start(*config, n_workers).expect("a dataflow starts"), 0)
    }

    /// Feeds what a store kept, before the first tick.
    pub(crate) fn restore(&mut self, tick: Tick, kept: Vec<Kept>) {
        match self {
            Bench::Here(running, _) => running.1.restore(tick, kept),
            Bench::Threads(pipeline, _) => pipeline.restore(tick, kept).expect("it runs"),
        }
    }

    /// Adds and retracts rules at `tick`, before anything else is fed at it.
    pub(crate) fn rules(&mut self, tick: Tick, updates: Vec<(Rule, Diff)>) {
        match self {
            Bench::Here(running, _) => running.1.rule(tick, updates),
            Bench::Threads(pipeline, _) => pipeline.rules(tick, updates).expect("it runs"),
        }
    }

    /// Feeds `inputs`, closes the tick, and waits until it is sealed.
    pub(crate) fn tick(&mut self, tick: Tick, inputs: Vec<Input>) -> Sealed {
        let upper = tick + 1;
        let mut all = Sealed { lower: self.lower(), upper: self.lower(), ..Sealed::default() };
        match self {
            Bench::Here(running, _) => {
                let (worker, graph) = &mut **running;
                graph.feed(tick, inputs);
                graph.close(tick);
                while graph.behind(upper) {
                    worker.step();
                }
                while let Some(sealed) = graph.sealed() {
                    append(&mut all, sealed);
                }
            }
            Bench::Threads(pipeline, _) => {
                pipeline.tick(tick, inputs).expect("it runs");
                while all.upper < upper {
                    let sealed = pipeline.sealed_within(STUCK).expect("it runs");
                    append(&mut all, sealed.expect("it makes progress"));
                }
            }
        }
        assert_eq!(all.upper, upper, "sealed up to the tick");
        match self {
            Bench::Here(_, lower) | Bench::Threads(_, lower) => *lower = upper,
        }
        all
    }

    /// Feeds a part of what comes at `tick`.
    pub(crate) fn feed(&mut self, tick: Tick, inputs: Vec<Input>) {
        match self {
            Bench::Here(running, _) => {
                let (worker, graph) = &mut **running;
                graph.feed(tick, inputs);
                worker.step();
            }
            Bench::Threads(pipeline, _) => pipeline.feed(tick, inputs).expect("it runs"),
        }
    }

    fn lower(&self) -> Tick {
        match self {
            Bench::Here(_, lower) | Bench::Threads(_, lower) => *lower,
        }
    }
}

/// Appends the next batch, which must begin where the last one ended.
fn append(all: &mut Sealed, mut next: Sealed) {
    assert_eq!(next.lower, all.upper, "batches are contiguous");
    let bounds = next.lower..next.upper;
    macro_rules! append {
        ($($view:ident)*) => {$(
            assert!(next.$view.iter().all(|update| bounds.contains(&update.1)), "out of bounds");
            all.$view.append(&mut next.$view);
        )*};
    }
    append!(lookups records counts latency throughput minutes retired alerts);
    all.upper = next.upper;
}

/// Facts as the dataflow is fed them.
pub(crate) fn inputs<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Vec<Input> {
    facts.into_iter().cloned().map(Input::Fact).collect()
}
