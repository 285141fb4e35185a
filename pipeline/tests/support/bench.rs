//! The dataflow on a test bench: a tick goes in, what it seals comes out.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use pipeline::cluster::{Gone, Peers};
use pipeline::dataflow::{Config, Graph, Kept};
use pipeline::fact::{Fact, Input};
use pipeline::rules::Order;
use pipeline::seal::Sealed;
use pipeline::worker::{Out, Pipeline, single};
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
    /// As one of several processes does, which share what goes in; the first gives what comes out.
    Cluster(Vec<Process>, Tick),
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

    /// As `n_processes` of `n_workers` threads each.
    pub(crate) fn cluster(config: &Config, n_processes: usize, n_workers: usize) -> Bench {
        Bench::Cluster(processes(config, n_processes, n_workers), 0)
    }

    /// Feeds what a store kept, before the first tick.
    pub(crate) fn restore(&mut self, tick: Tick, kept: Vec<Kept>) {
        match self {
            Bench::Here(running, _) => running.1.restore(tick, kept),
            Bench::Threads(pipeline, _) => pipeline.restore(tick, kept).expect("it runs"),
            Bench::Cluster(processes, _) => {
                processes[0].pipeline.restore(tick, kept).expect("it runs");
            }
        }
    }

    /// Adds and retracts what decides on alerts at `tick`, before anything else is fed at it.
    pub(crate) fn orders(&mut self, tick: Tick, updates: Vec<(Order, Diff)>) {
        match self {
            Bench::Here(running, _) => running.1.order(tick, updates),
            Bench::Threads(pipeline, _) => pipeline.orders(tick, updates).expect("it runs"),
            Bench::Cluster(processes, _) => {
                processes[0].pipeline.orders(tick, updates).expect("it runs");
            }
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
            Bench::Cluster(processes, _) => {
                // Whoever takes an event in, it means the same.
                let mut shares = vec![Vec::new(); processes.len()];
                for (i, input) in inputs.into_iter().enumerate() {
                    shares[i % processes.len()].push(input);
                }
                for (process, share) in processes.iter().zip(shares) {
                    process.pipeline.tick(tick, share).expect("it runs");
                }
                while all.upper < upper {
                    append(&mut all, processes[0].sealed());
                }
            }
        }
        assert_eq!(all.upper, upper, "sealed up to the tick");
        match self {
            Bench::Here(_, lower) | Bench::Threads(_, lower) | Bench::Cluster(_, lower) => {
                *lower = upper;
            }
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
            Bench::Cluster(processes, _) => {
                processes[0].pipeline.feed(tick, inputs).expect("it runs");
            }
        }
    }

    fn lower(&self) -> Tick {
        match self {
            Bench::Here(_, lower) | Bench::Threads(_, lower) | Bench::Cluster(_, lower) => *lower,
        }
    }
}

/// One of several processes, in this one.
pub(crate) struct Process {
    pub(crate) pipeline: Pipeline,
    out: Receiver<Out>,
}

impl Process {
    /// What it gives out next.
    pub(crate) fn next(&self) -> Out {
        self.out.recv_timeout(STUCK).expect("it makes progress")
    }

    fn sealed(&self) -> Sealed {
        loop {
            if let Out::Sealed(sealed) = self.next() {
                return sealed;
            }
        }
    }
}

/// Starts `n_processes` that run one graph, connected over loopback.
pub(crate) fn processes(config: &Config, n_processes: usize, n_workers: usize) -> Vec<Process> {
    let config = Config { cluster: true, ..*config };
    let start = |peers| {
        let (outlet, out) = channel();
        let outlet = move |out| outlet.send(out).is_ok();
        let pipeline = Pipeline::start_into(config, n_workers, Some(peers), outlet);
        Process { pipeline: pipeline.expect("a dataflow starts"), out }
    };
    peers(n_processes, |_| ()).into_iter().map(start).collect()
}

/// `n_processes` that are connected over loopback, before they are started.
pub(crate) fn peers(
    n_processes: usize,
    gone: impl Fn(usize) + Send + Sync + 'static,
) -> Vec<Peers> {
    let gone: Gone = Arc::new(gone);
    let mut sockets: Vec<Vec<Option<TcpStream>>> =
        (0..n_processes).map(|_| (0..n_processes).map(|_| None).collect()).collect();
    let pairs = (0..n_processes).flat_map(|one| (0..one).map(move |other| (one, other)));
    for (one, other) in pairs {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let calling = TcpStream::connect(address).expect("somebody listens");
        let (called, _) = listener.accept().expect("somebody calls");
        for socket in [&calling, &called] {
            socket.set_nodelay(true).expect("a socket");
        }
        sockets[one][other] = Some(calling);
        sockets[other][one] = Some(called);
    }
    let peers = |(index, sockets)| Peers { index, sockets, gone: Arc::clone(&gone) };
    sockets.into_iter().enumerate().map(peers).collect()
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
    append!(lookups records counts latency throughput minutes retired alerts asides);
    all.upper = next.upper;
}

/// Facts as the dataflow is fed them.
pub(crate) fn inputs<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Vec<Input> {
    facts.into_iter().cloned().map(Input::Fact).collect()
}
