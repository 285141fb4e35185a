//! `observatory up`: everything in one process, on the embedded store, behind one port.
//!
//! ```text
//!   HTTP (tokio) ──▶ engine thread ──▶ dataflow threads ──▶ store thread ──▶ HTTP reads
//!   reference worker, demo (tokio) ──┘
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use api::{App, Hosts, Readers, Readiness};
use contracts::Micros;
use ingress::gateway;
use ingress::submit::{SubmitError, Submitter};
use pipeline::dataflow::Config;
use pipeline::retention::Retention;
use pipeline::rules::Rule;
use pipeline::worker::Pipeline;
use sinks::live::Live;
use sinks::sqlite::{FILE, Reader, Store};
use sinks::store::Store as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use crate::data_dir::{self, DataDir};
use crate::demo;
use crate::engine::{self, Engine, GRID, Msg};
use crate::keeper::Keeper;
use crate::metrics::Metrics;
use crate::reference_worker::ReferenceWorker;
use crate::restore::restore;
use crate::rules_file::{self, RulesFile};

/// How long a stop may take; then what is not durable stays unacknowledged, and is not lost.
const DRAIN: Duration = Duration::from_secs(8);

/// How long open answers may take when the service stops.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to listen.
    #[arg(long, env = "OBSERVATORY_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the data lies; by default below $XDG_STATE_HOME.
    #[arg(long, env = "OBSERVATORY_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Add made-up jobs, some of which fail, are retried or hang, in a data folder of their own.
    #[arg(long, env = "OBSERVATORY_DEMO")]
    demo: bool,
    /// Judge the rules of this file instead of the default ones; they are kept for the next start.
    #[arg(long, env = "OBSERVATORY_RULES", value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Threads that run the dataflow.
    #[arg(long, env = "OBSERVATORY_WORKERS", default_value_t = 1)]
    workers: usize,
    /// Seed of the simulated jobs.
    #[arg(long, env = "OBSERVATORY_SEED", default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    crate::log::start();
    // Whatever can be wrong with what we were given is found before anything is touched.
    let rules = args.rules.as_deref().map(rules_file::read).transpose()?;
    let folder = match &args.data_dir {
        Some(folder) => folder.clone(),
        None => data_dir::default_dir(if args.demo { "demo" } else { "up" })?,
    };
    let data = DataDir::take(&folder)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let done = runtime.block_on(serve(args, &data, rules));
    // Whatever is still running has had its time.
    runtime.shutdown_background();
    done
}

async fn serve(args: &Args, data: &DataDir, rules: Option<RulesFile>) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!("cannot listen on {}; choose another address with --listen", args.listen)
    })?;
    let address = listener.local_addr().context("the socket has no address")?;
    let mut store = Store::open(data.path())?;
    let rules = in_force(&mut store, rules, args.demo)?;

    let (inbox, msgs) = mpsc::channel();
    let (work, jobs) = unbounded_channel();
    let (readiness, ready) = watch::channel(Readiness::Starting { recovered: 0, of: 0 });
    let live = Arc::new(RwLock::new(Live::new(GRID.as_micros() as u64)));
    let metrics = Metrics::new()?;
    let submitter = submitter(inbox.clone());
    let app = App {
        submitter: submitter.clone(),
        live: Arc::clone(&live),
        readers: readers(data),
        ready,
        work: work.clone(),
        reject: rejections(inbox.clone()),
        metrics: metrics.registry.clone(),
        demo: args.demo,
        clock: Arc::new(|| Micros(i64::try_from(engine::now()).unwrap_or(i64::MAX))),
        hosts: Hosts::bound_to(address),
        instance: format!("{}", std::process::id()),
    };
    let (stop_http, mut stopping) = watch::channel(false);
    let mut http = tokio::spawn(
        axum::serve(listener, api::router(app))
            .with_graceful_shutdown(async move { drop(stopping.wait_for(|stop| *stop).await) })
            .into_future(),
    );
    tracing::info!("listening on http://{address}");

    let core = Core { inbox: inbox.clone(), live, metrics: metrics.clone() };
    let n_workers = args.workers;
    let progress = readiness.clone();
    let started =
        tokio::task::spawn_blocking(move || core.start(store, msgs, rules, n_workers, &progress));
    let (unfinished, mut ended) = tokio::select! {
        started = started => started.context("the start has failed")??,
        () = signals.stop() => return Ok(ExitCode::SUCCESS),
    };
    // Before a job can be submitted, so that none is queued twice.
    requeue(unfinished, data, &work)?;
    readiness.send_replace(Readiness::Ready);
    let worker = ReferenceWorker::new(submitter.clone(), args.seed, metrics);
    let worker = tokio::spawn(worker.run(jobs));
    let demo = args.demo.then(|| tokio::spawn(demo::run(submitter.clone(), work, args.seed)));

    let failed = tokio::select! {
        () = signals.stop() => None,
        result = &mut ended => Some(result.context("the engine has stopped").flatten()),
        result = &mut http => Some(match result {
            Ok(Err(error)) => Err(error).context("the server has stopped"),
            _ => Err(anyhow!("the server has stopped")),
        }),
    };
    if let Some(result) = failed {
        return result.and(Err(anyhow!("the engine has stopped by itself")));
    }

    tracing::info!("stopping: finishing what has been accepted");
    readiness.send_replace(Readiness::Draining);
    demo.inspect(|demo| demo.abort());
    let drained = async {
        // Answers that are under way wait for the store, so the engine goes on meanwhile.
        stop_http.send_replace(true);
        // Whoever is still reading then has had an answer's time.
        drop(tokio::time::timeout(LAST_ANSWERS, http).await);
        worker.abort();
        submitter.close();
        // The engine is there until it has drained.
        drop(inbox.send(Msg::Drain));
        ended.await.context("the engine has stopped").flatten()
    };
    tokio::select! {
        drained = tokio::time::timeout(DRAIN, drained) => match drained {
            Ok(result) => result.map(|()| ExitCode::SUCCESS),
            Err(_) => Err(anyhow!("not everything could be finished in time; nothing that was acknowledged is lost")),
        },
        // A second signal means now.
        () = signals.stop() => Ok(ExitCode::from(130)),
    }
}

/// The rules to judge: those given, else those of the last start that was given some, else ours.
fn in_force(store: &mut Store, given: Option<RulesFile>, demo: bool) -> anyhow::Result<Vec<Rule>> {
    if let Some(file) = given {
        store.keep_rules(engine::now(), &file.yaml)?;
        return Ok(file.rules);
    }
    let (yaml, origin) = match store.recover()?.rules {
        Some(yaml) => (yaml, "the rules kept from the last start"),
        None if demo => (include_str!("rules/demo.yaml").to_owned(), "the rules of the demo"),
        None => (include_str!("rules/default.yaml").to_owned(), "the default rules"),
    };
    Ok(rules_file::parse(yaml, origin)?.rules)
}

fn submitter(inbox: Sender<Msg>) -> Submitter {
    Submitter::new(move |delivery| {
        inbox.send(Msg::Deliver(delivery)).map_err(|_| SubmitError::Stopped)
    })
}

fn rejections(inbox: Sender<Msg>) -> Arc<dyn Fn(contracts::Reason) + Send + Sync> {
    // Without an engine nobody counts any more.
    Arc::new(move |reason| drop(inbox.send(Msg::Rejected(reason))))
}

fn readers(data: &DataDir) -> Readers {
    let path = data.path().join(FILE);
    Readers::new(move || Reader::open(&path))
}

/// Queues the jobs that the last process left unfinished.
fn requeue(
    unfinished: Vec<(contracts::JobId, u16)>,
    data: &DataDir,
    queue: &UnboundedSender<ingress::work::Work>,
) -> anyhow::Result<()> {
    let reader = Reader::open(&data.path().join(FILE))?;
    for &(job, attempt) in &unfinished {
        let Some(body) = reader.first_event(job)? else { continue };
        // It was accepted once.
        if let Ok(event) = contracts::decode(&body) {
            let work = ingress::work::Work { attempt, ..gateway::work(&event) };
            drop(queue.send(work));
        }
    }
    if !unfinished.is_empty() {
        tracing::info!(jobs = unfinished.len(), "unfinished jobs are queued again");
    }
    Ok(())
}

/// The threads behind the HTTP server.
struct Core {
    inbox: Sender<Msg>,
    live: Arc<RwLock<Live>>,
    metrics: Metrics,
}

/// Ready when engine and store thread have ended.
type Ended = tokio::task::JoinHandle<anyhow::Result<()>>;

impl Core {
    /// Restores the state and starts the threads; gives the jobs to queue again.
    fn start(
        self,
        mut store: Store,
        msgs: Receiver<Msg>,
        rules: Vec<Rule>,
        n_workers: usize,
        progress: &watch::Sender<Readiness>,
    ) -> anyhow::Result<(Vec<(contracts::JobId, u16)>, Ended)> {
        let recovery = store.recover()?;
        let youngest_retired = recovery.youngest_retired.unwrap_or(Retention::NONE_RETIRED);
        let config = Config {
            retention: Some(Retention { youngest_retired, ..Retention::default() }),
            grid: GRID.as_micros() as u64,
            keep_records: true,
            judge: true,
            ..Config::default()
        };
        let sealed = self.inbox.clone();
        let pipeline = Pipeline::start_into(config, n_workers, move |batch| {
            sealed.send(Msg::Sealed(batch)).is_ok()
        })?;
        let mut reader = store.reader().context("cannot read the store")?;
        let told = |recovered, of| {
            progress.send_replace(Readiness::Starting { recovered, of });
        };
        let tick = restore(&mut store, recovery, &mut reader, &pipeline, &msgs, &self.live, told)?;
        let unfinished = store.unfinished_work()?;

        let (groups, received) = mpsc::channel();
        let Core { inbox, live, metrics } = self;
        let engine = Engine::new(pipeline, msgs, groups, tick, rules, metrics.clone());
        let keeper =
            Keeper { store: Box::new(store), groups: received, engine: inbox, live, metrics };
        let engine = thread("engine", || engine.run().map_err(anyhow::Error::from))?;
        let keeper = thread("store", || keeper.run().map_err(anyhow::Error::from))?;
        let ended = tokio::task::spawn_blocking(|| join(engine).and(join(keeper)));
        Ok((unfinished, ended))
    }
}

type Thread = JoinHandle<anyhow::Result<()>>;

fn thread(
    name: &str,
    body: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<Thread> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.spawn(body).with_context(|| format!("cannot start the {name} thread"))
}

fn join(thread: Thread) -> anyhow::Result<()> {
    thread.join().unwrap_or_else(|_| Err(anyhow!("a thread has panicked; its message is above")))
}

/// The signals that stop the service.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Signals> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
