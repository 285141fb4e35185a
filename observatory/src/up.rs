//! `observatory up`: everything in one process, on the embedded store, behind one port.
//!
//! ```text
//!   HTTP (tokio) ──▶ engine thread ──▶ dataflow threads ──▶ store thread ──▶ HTTP reads
//!   reference worker, demo (tokio) ──┘
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::{Context, anyhow};
use api::{App, Hosts, Readers, Readiness, Views};
use contracts::Micros;
use ingress::gateway;
use ingress::submit::{SubmitError, Submitter};
use sinks::live::Live;
use sinks::sqlite::{FILE, Reader, Store};
use sinks::store::Store as _;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use crate::core::{Core, DEFAULT_RULES, DEMO_RULES, Stores, rules_in_force};
use crate::data_dir::{self, DataDir};
use crate::demo;
use crate::engine::{self, GRID, Msg};
use crate::http::{self, Server};
use crate::metrics::Metrics;
use crate::reference_worker::{Habits, PLACES, ReferenceWorker};
use crate::rules_file::{self, RulesFile};
use crate::signals::Signals;

/// How long a stop may take; then what is not durable stays unacknowledged, and is not lost.
const DRAIN: Duration = Duration::from_secs(8);

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
    let listener = http::bind(args.listen).await?;
    let address = listener.local_addr().context("the socket has no address")?;
    let mut store = Store::open(data.path())?;
    let mut recovery = store.recover()?;
    let rules = rules_in_force(&mut store, rules, recovery.rules.take(), args.demo)?;

    let (inbox, msgs) = mpsc::channel();
    let (work, jobs) = unbounded_channel();
    let (readiness, ready) = watch::channel(Readiness::Starting { recovered: 0, of: 0 });
    let live = Arc::new(RwLock::new(Live::new(GRID.as_micros() as u64)));
    let metrics = Metrics::new()?;
    let submitter = submitter(inbox.clone());
    let app = App {
        submitter: submitter.clone(),
        views: Views::Here(Arc::clone(&live)),
        readers: readers(data),
        ready,
        work: work.clone(),
        reject: rejections(inbox.clone()),
        metrics: metrics.registry.clone(),
        default_rules: if args.demo { DEMO_RULES } else { DEFAULT_RULES },
        demo: args.demo,
        clock: Arc::new(|| Micros(i64::try_from(engine::now()).unwrap_or(i64::MAX))),
        hosts: Hosts::bound_to(address),
        instance: format!("{}", std::process::id()),
    };
    let mut server = Server::start(listener, api::router(app));
    tracing::info!("listening on http://{address}");

    let core =
        Core { inbox: inbox.clone(), live, metrics: metrics.clone(), n_workers: args.workers };
    let unfinished = store.unfinished_work()?;
    let reader = store.reader().context("cannot read the store")?;
    let stores = Stores { store: Box::new(store), reader: Box::new(reader), recovery };
    let progress = readiness.clone();
    let started = tokio::task::spawn_blocking(move || {
        core.start(stores, msgs, rules, || Ok(None), &progress)
    });
    let mut ended = tokio::select! {
        started = started => started.context("the start has failed")??,
        () = signals.stop() => return Ok(ExitCode::SUCCESS),
    };
    // Before a job can be submitted, so that none is queued twice.
    requeue(unfinished, data, &work)?;
    readiness.send_replace(Readiness::Ready);
    let habits = Habits { seed: args.seed, ..Habits::default() };
    let worker = ReferenceWorker::new(submitter.clone(), habits, PLACES, metrics);
    let worker = tokio::spawn(worker.run(jobs));
    let demo = args.demo.then(|| tokio::spawn(demo::run(submitter.clone(), work, args.seed)));

    let failed = tokio::select! {
        () = signals.stop() => None,
        result = &mut ended => Some(result.context("the engine has stopped").flatten()),
        error = server.failed() => Some(Err(error)),
    };
    if let Some(result) = failed {
        return result.and(Err(anyhow!("the engine has stopped by itself")));
    }

    tracing::info!("stopping: finishing what has been accepted");
    readiness.send_replace(Readiness::Draining);
    demo.inspect(|demo| demo.abort());
    let drained = async {
        // Answers that are under way wait for the store, so the engine goes on meanwhile.
        server.stop().await;
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
