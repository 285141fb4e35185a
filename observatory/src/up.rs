//! `observatory up`: everything in one process, behind one port.
//!
//! ```text
//!   HTTP (tokio) ──▶ engine thread ──▶ dataflow threads ──▶ store thread ──▶ HTTP reads
//!   reference worker, demo (tokio) ──┘
//! ```
//!
//! With the URL of a broker, events go through it: what HTTP, worker and demo submit is published,
//! and comes in from there with everybody else's. With those of PostgreSQL and MongoDB they are the
//! store, else it is embedded; with that of Redis the views are shown to other processes, too.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::{Context, anyhow};
use api::{App, Hosts, Pace, Readiness, Views};
use ingress::amqp;
use ingress::celery::Application;
use ingress::cloudevents::Mapping;
use ingress::submit::{SubmitError, Submitter};
use ingress::work::Work;
use sinks::live::Live;
use sinks::mongo::Archive;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::access;
use crate::cloudevents::CloudEvents;
use crate::core::{Core, DEFAULT_RULES, DEMO_RULES, OBSERVED};
use crate::data_dir::{self, DataDir};
use crate::delivery;
use crate::demo;
use crate::engine::{self, GRID, Msg};
use crate::http::{self, Server};
use crate::intake::{self, Celery, Intake};
use crate::metrics::{self, Metrics};
use crate::queue_worker::QueueWorker;
use crate::reference_worker::{Habits, PLACES, ReferenceWorker};
use crate::rules_file::{self, RulesFile};
use crate::servers::{self, Optional, Urls};
use crate::signals::Signals;
use crate::stores::Backing;

/// How long a stop may take; then what is not durable stays unacknowledged, and is not lost.
const DRAIN: Duration = Duration::from_secs(8);

/// What the broker shows of our connections.
const NAME: &str = "observatory up";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to listen.
    #[arg(long, env = "OBSERVATORY_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[command(flatten)]
    access: access::Rights,
    #[command(flatten)]
    beside: access::Beside,
    #[command(flatten)]
    delivery: delivery::WebhookArgs,
    /// Where the data of the embedded store lies; by default below $XDG_STATE_HOME.
    #[arg(long, env = "OBSERVATORY_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    urls: Urls,
    #[command(flatten)]
    celery: Celery,
    #[command(flatten)]
    cloudevents: CloudEvents,
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
    let servers = args.urls.optional()?;
    let celery = args.celery.applications(servers.broker.as_ref())?;
    let mapping = args.cloudevents.mapping()?;
    let data = match servers.stores {
        Some(_) => None,
        None => Some(DataDir::take(&args.folder()?)?),
    };
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let done = runtime.block_on(serve(args, servers, (mapping, celery), data, rules));
    // Whatever is still running has had its time.
    runtime.shutdown_background();
    done
}

impl Args {
    fn habits(&self) -> Habits {
        Habits { seed: self.seed, ..Habits::default() }
    }

    fn folder(&self) -> anyhow::Result<PathBuf> {
        match &self.data_dir {
            Some(folder) => Ok(folder.clone()),
            None => data_dir::default_dir(if self.demo { "demo" } else { "up" }),
        }
    }
}

async fn serve(
    args: &Args,
    servers: Optional,
    (mapping, celery): (Arc<Mapping>, Vec<(amqp::Url, Application)>),
    data: Option<DataDir>,
    rules: Option<RulesFile>,
) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let access = args.access.of(args.listen)?;
    let listener = http::bind(args.listen)?;
    let address = listener.local_addr().context("the socket has no address")?;
    let Optional { broker, stores, redis } = servers;
    let backing = Arc::new(match (stores, data) {
        (Some((postgres, mongodb)), _) => {
            let archive = Archive::connect(&mongodb).await.context("--mongodb-url")?;
            Backing::Servers { postgres, archive }
        }
        (None, Some(data)) => Backing::Embedded(data),
        (None, None) => return Err(anyhow!("there is no store; this is a fault of ours")),
    });

    let (inbox, msgs) = mpsc::channel();
    let (work, jobs) = unbounded_channel();
    let (readiness, ready) = watch::channel(Readiness::Starting { recovered: 0, of: 0 });
    let live = Arc::new(RwLock::new(Live::new(GRID.as_micros() as u64)));
    let metrics = Metrics::new()?;
    metrics::pipeline(&metrics.registry, Arc::clone(&live))?;
    let (submitter, connected) = match &broker {
        Some(broker) => servers::submitter(broker.clone(), NAME),
        None => (to_engine(inbox.clone()), tokio::spawn(async {})),
    };
    let app = App {
        submitter: submitter.clone(),
        views: Views::Here(Arc::clone(&live)),
        readers: backing.readers(),
        earlier: None,
        ready,
        work: work.clone(),
        reject: rejections(inbox.clone()),
        metrics: metrics.registry.clone(),
        mapping: Arc::clone(&mapping),
        default_rules: if args.demo { DEMO_RULES } else { DEFAULT_RULES },
        dataflow: Some(&OBSERVED),
        access,
        neighbours: args.beside.neighbours(),
        broker: broker.clone(),
        pace: Pace::default(),
        demo: args.demo,
        clock: Arc::new(engine::clock),
        hosts: Hosts::bound_to(address),
        instance: format!("{}", std::process::id()),
    };
    // A file is there or it is not, and nobody should be told to come back for one that never will.
    let at_once = match &*backing {
        Backing::Embedded(_) => backing.open(&readiness)?,
        Backing::Servers { .. } => None,
    };
    let mut server = Server::start(listener, api::router(app));
    tracing::info!("listening on http://{address}");

    let public = args.beside.public_url(address);
    let alerts = args.delivery.destinations(args.beside.alertmanager(), &public)?;
    let core = Core {
        inbox: inbox.clone(),
        live,
        metrics: metrics.clone(),
        n_workers: args.workers,
        rules,
        demo: args.demo,
        behind: broker.is_some(),
        alerts,
        redis,
        cluster: None,
    };
    // The data folder is ours until the end.
    let (opened, progress) = (Arc::clone(&backing), readiness.clone());
    let started = tokio::task::spawn_blocking(move || {
        let stores = match at_once {
            Some(stores) => Some(stores),
            None => opened.open(&progress)?,
        };
        let Some(mut stores) = stores else { return Ok(None) };
        let unfinished = std::mem::take(&mut stores.unfinished);
        let ended = core.start(stores, msgs, &progress)?;
        anyhow::Ok(Some((ended, unfinished)))
    });
    let (mut ended, unfinished) = tokio::select! {
        started = started => match started.context("the start has failed")?? {
            Some(started) => started,
            None => return Ok(ExitCode::SUCCESS),
        },
        () = signals.stop() => return Ok(ExitCode::SUCCESS),
    };
    let executing = match broker {
        Some(broker) => {
            let habits = args.habits();
            let worker = QueueWorker::start(broker.clone(), NAME, PLACES, habits, metrics.clone());
            let events = intake::start(broker, None, mapping, celery, NAME, &inbox, &metrics)?;
            Executing::FromBroker(worker, events)
        }
        None => {
            requeue(unfinished, &work);
            let places = PLACES.get().into();
            let worker = ReferenceWorker::new(submitter.clone(), args.habits(), places, metrics);
            Executing::Here(tokio::spawn(worker.run(jobs)))
        }
    };
    drop(connected.await);
    readiness.send_replace(Readiness::Ready);
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
        let events = executing.stop().await;
        submitter.close();
        // Nothing more comes in once the engine is told to drain, and what it settles is acked.
        let stopped = events.map(|events| tokio::spawn(events.stop(DRAIN)));
        // The engine is there until it has drained.
        drop(inbox.send(Msg::Drain));
        let result = ended.await.context("the engine has stopped").flatten();
        if let Some(stopped) = stopped {
            drop(stopped.await);
        }
        result
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

/// What executes jobs, and where their events come from.
enum Executing {
    /// Here and nowhere else.
    Here(JoinHandle<()>),
    FromBroker(QueueWorker, Intake),
}

impl Executing {
    /// Executes no more; gives what is still to be stopped.
    async fn stop(self) -> Option<Intake> {
        match self {
            Executing::Here(worker) => {
                worker.abort();
                None
            }
            Executing::FromBroker(worker, events) => {
                worker.stop().await;
                Some(events)
            }
        }
    }
}

fn to_engine(inbox: Sender<Msg>) -> Submitter {
    Submitter::new(move |delivery| {
        inbox.send(Msg::Deliver(delivery)).map_err(|_| SubmitError::Stopped)
    })
}

fn rejections(inbox: Sender<Msg>) -> Arc<dyn Fn(contracts::Reason) + Send + Sync> {
    // Without an engine nobody counts any more.
    Arc::new(move |reason| drop(inbox.send(Msg::Rejected(reason))))
}

/// Queues the jobs that the last process left unfinished.
fn requeue(unfinished: Vec<Work>, queue: &UnboundedSender<Work>) {
    if !unfinished.is_empty() {
        tracing::info!(jobs = unfinished.len(), "unfinished jobs are queued again");
    }
    // The worker that is about to start takes them.
    unfinished.into_iter().for_each(|work| drop(queue.send(work)));
}
