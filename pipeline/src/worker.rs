//! The loop that drives the graph: one thread per worker, fed through channels.
//!
//! ```text
//!   feeder ──Tick(t, inputs)──▶ worker 0 ─┐ exchange      ┌──▶ Sealed ──▶ feeder
//!          ──Tick(t, [])──────▶ worker 1 ─┴──▶ dataflow ──┘
//! ```
//!
//! Worker zero is given the facts, which the dataflow exchanges by job; the others are told the
//! ticks, because time passes only when every worker says so.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, SyncSender, channel, sync_channel};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use timely::communication::Allocator;
use timely::worker::Worker;

use crate::aside::Aside;
use crate::cluster::Peers;
use crate::dataflow::{Config, Graph, Kept};
use crate::fact::Input;
use crate::observed::observe;
use crate::rules::Order;
use crate::seal::Sealed;
use crate::{Diff, Tick};

/// How long an idle worker sleeps when nobody wakes it: a safety net, not a cadence.
const PARK: Duration = Duration::from_millis(5);

/// Commands that may wait for a worker. It bounds memory when ticks are fed faster than sealed.
const QUEUE: usize = 8;

enum Command {
    Restore(Tick, Vec<Kept>),
    Orders(Tick, Vec<(Order, Diff)>),
    Tell(Tick, Vec<Aside>),
    /// Feeds inputs at a tick, and closes it if nothing more comes at it.
    Tick(Tick, Vec<Input>, bool),
    /// The ticks before are durable.
    Durable(Tick),
}

/// What a running dataflow gives out.
#[expect(clippy::large_enum_variant, reason = "nearly all are batches, and each is moved once")]
pub enum Out {
    /// What has been sealed. In a process of a cluster that does not write, only how far.
    Sealed(Sealed),
    /// In a cluster: the first tick that is not durable.
    Durable(Tick),
}

/// A running dataflow in this process; dropping it stops the workers.
pub struct Pipeline {
    feeds: Vec<Feed>,
    sealed: Option<Receiver<Sealed>>,
    /// None in a cluster: the workers of a process do not end before those of the others.
    workers: Option<JoinHandle<()>>,
}

/// Tells the first worker of a cluster what is durable.
pub struct Herald(Feed);

impl Herald {
    /// Says that the ticks before `upper` are durable. A dataflow that has stopped need not know.
    pub fn durable(&self, upper: Tick) {
        self.0.send(Command::Durable(upper)).unwrap_or_default();
    }
}

#[derive(Clone)]
struct Feed {
    commands: SyncSender<Command>,
    thread: Thread,
}

impl Feed {
    fn send(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).map_err(|_| Stopped)?;
        self.thread.unpark();
        Ok(())
    }
}

/// The dataflow has stopped: a worker has panicked.
#[derive(Debug, thiserror::Error)]
#[error("the dataflow has stopped; its panic is above")]
pub struct Stopped;

impl From<RecvError> for Stopped {
    fn from(_: RecvError) -> Stopped {
        Stopped
    }
}

impl Pipeline {
    /// Starts `n_workers` threads that run the graph of `config`; see [`Pipeline::sealed`].
    pub fn start(config: Config, n_workers: usize) -> Result<Pipeline, Stopped> {
        let (outlet, sealed) = channel();
        let mut pipeline = Pipeline::start_into(config, n_workers, None, move |out| match out {
            Out::Sealed(batch) => outlet.send(batch).is_ok(),
            Out::Durable(_) => true,
        })?;
        pipeline.sealed = Some(sealed);
        Ok(pipeline)
    }

    /// Starts `n_workers` threads, among those of other processes if there are some, and gives what
    /// comes out to `outlet` on one of them; it must not block, and says whether to go on.
    pub fn start_into(
        config: Config,
        n_workers: usize,
        peers: Option<Peers>,
        outlet: impl Fn(Out) -> bool + Send + Sync + 'static,
    ) -> Result<Pipeline, Stopped> {
        let outlet = Arc::new(outlet);
        let n_workers = n_workers.max(1);
        let cluster = peers.is_some();
        let (ready, started) = channel();
        let body = move |worker: &mut Worker| {
            let (commands, received) = sync_channel(QUEUE);
            let feed = Feed { commands, thread: std::thread::current() };
            // Who started us is gone only when the process is going down.
            if ready.send((worker.index(), feed)).is_err() {
                return;
            }
            if let Some(observed) = config.observed {
                observe(worker, observed);
            }
            // What is sealed is told once in each process.
            let tells = worker.index().is_multiple_of(n_workers);
            run(worker, &config, &received, |out| !tells || outlet(out));
        };
        let workers = std::thread::Builder::new().name("dataflow".to_owned()).spawn(move || {
            // Without workers, whoever waits for them is told so.
            match peers {
                None if n_workers == 1 => body(&mut single()),
                None => drop(timely::execute(timely::Config::process(n_workers), body)),
                Some(peers) => {
                    let Ok((builders, others)) = peers.build(n_workers) else { return };
                    let config = timely::WorkerConfig::default();
                    let guards = timely::execute::execute_from(builders, others, config, body);
                    // To wait for the threads is to panic when a connection was lost; and they wait
                    // for other processes.
                    std::mem::forget(guards);
                }
            }
        });
        let workers = workers.map_err(|_| Stopped)?;
        let mut feeds = Vec::new();
        for _ in 0..n_workers {
            feeds.push(started.recv()?);
        }
        feeds.sort_by_key(|(index, _)| *index);
        let feeds = feeds.into_iter().map(|(_, feed)| feed).collect();
        Ok(Pipeline { feeds, sealed: None, workers: (!cluster).then_some(workers) })
    }

    /// Who says what is durable, in the process of a cluster that writes.
    pub fn herald(&self) -> Herald {
        Herald(self.feeds[0].clone())
    }

    /// Feeds what a store kept of retired jobs; before the first tick.
    pub fn restore(&self, tick: Tick, kept: Vec<Kept>) -> Result<(), Stopped> {
        self.send(0, Command::Restore(tick, kept))
    }

    /// Adds and retracts what decides on alerts at `tick`, which must not be before one that is
    /// closed.
    pub fn orders(&self, tick: Tick, updates: Vec<(Order, Diff)>) -> Result<(), Stopped> {
        self.send(0, Command::Orders(tick, updates))
    }

    /// Tells the process of a cluster that writes, at `tick`, which must not be before one that is
    /// closed.
    pub fn tell(&self, tick: Tick, asides: Vec<Aside>) -> Result<(), Stopped> {
        self.send(0, Command::Tell(tick, asides))
    }

    /// Feeds `inputs` at `tick`, with more to come at it; closes the ticks before.
    ///
    /// Waits while the workers are [`QUEUE`] commands behind.
    pub fn feed(&self, tick: Tick, inputs: Vec<Input>) -> Result<(), Stopped> {
        self.command(tick, inputs, false)
    }

    /// Feeds `inputs` at `tick` and closes it. Ticks must increase.
    ///
    /// Waits as [`Pipeline::feed`] does.
    pub fn tick(&self, tick: Tick, inputs: Vec<Input>) -> Result<(), Stopped> {
        self.command(tick, inputs, true)
    }

    fn command(&self, tick: Tick, inputs: Vec<Input>, complete: bool) -> Result<(), Stopped> {
        self.send(0, Command::Tick(tick, inputs, complete))?;
        let others = 1..self.feeds.len();
        others.into_iter().try_for_each(|i| self.send(i, Command::Tick(tick, Vec::new(), complete)))
    }

    fn send(&self, worker: usize, command: Command) -> Result<(), Stopped> {
        self.feeds[worker].send(command)
    }

    /// The next batch; waits for it. There is none if batches are given to an outlet.
    pub fn sealed(&self) -> Result<Sealed, Stopped> {
        Ok(self.sealed.as_ref().ok_or(Stopped)?.recv()?)
    }

    /// The next batch, if there is one or it comes within `timeout`.
    pub fn sealed_within(&self, timeout: Duration) -> Result<Option<Sealed>, Stopped> {
        match self.sealed.as_ref().ok_or(Stopped)?.recv_timeout(timeout) {
            Ok(sealed) => Ok(Some(sealed)),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => Ok(None),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => Err(Stopped),
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        for Feed { thread, commands } in self.feeds.drain(..) {
            // The worker sees that the channel is closed when it wakes.
            drop(commands);
            thread.unpark();
        }
        if let Some(workers) = self.workers.take() {
            // A worker's panic has been reported where it happened.
            drop(workers.join());
        }
    }
}

/// A worker without company, on the caller's thread.
///
/// It has a timer: without one a worker never parks, and has no logging.
pub fn single() -> Worker {
    let thread = timely::communication::allocator::Thread::default();
    Worker::new(timely::WorkerConfig::default(), Allocator::Thread(thread), Some(Instant::now()))
}

fn run(
    worker: &mut Worker,
    config: &Config,
    commands: &Receiver<Command>,
    outlet: impl Fn(Out) -> bool,
) {
    use std::sync::mpsc::TryRecvError;

    let mut graph = Graph::build(worker, config);
    let mut durable = None;
    loop {
        // Only `try_recv`: a blocking receive may take the token that wakes the worker.
        match commands.try_recv() {
            Ok(Command::Restore(tick, kept)) => graph.restore(tick, kept),
            Ok(Command::Orders(tick, updates)) => graph.order(tick, updates),
            Ok(Command::Tell(tick, asides)) => graph.tell(tick, asides),
            Ok(Command::Durable(upper)) => {
                graph.made_durable(upper);
                worker.step();
            }
            Ok(Command::Tick(tick, inputs, complete)) => {
                graph.feed(tick, inputs);
                if complete {
                    graph.close(tick);
                }
                worker.step();
            }
            // It parks only if no operator is active and nobody has unparked it since.
            Err(TryRecvError::Empty) => {
                worker.step_or_park(Some(PARK));
            }
            Err(TryRecvError::Disconnected) => return,
        }
        if let Some(sealed) = graph.sealed()
            && !outlet(Out::Sealed(sealed))
        {
            return;
        }
        if durable != graph.durable() {
            durable = graph.durable();
            if durable.is_some_and(|durable| !outlet(Out::Durable(durable))) {
                return;
            }
        }
    }
}
