//! `observatory pipeline`: RabbitMQ in, PostgreSQL, MongoDB and Redis out.
//!
//! ```text
//!   standby ──lock──▶ restore ──▶ consume ──▶ engine ──▶ dataflow ──▶ store thread ──▶ Redis
//!                                    ▲                                     │
//!                                    └────────────── acks ◀── durable ◀────┘
//! ```

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, anyhow};
use api::Readiness;
use axum::Router;
use pipeline::cluster::Gone;
use sinks::live::Live;
use sinks::mongo::Archive;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::watch;

use crate::cloudevents::CloudEvents;
use crate::cluster::{Cluster, Place};
use crate::core::{Core, OBSERVED};
use crate::delivery;
use crate::engine::{self, GRID, Msg};
use crate::http::{self, Server};
use crate::intake::{self, Celery};
use crate::member::Member;
use crate::metrics::{self, Metrics};
use crate::rules_file::{self, RulesFile};
use crate::servers::Urls;
use crate::signals::Signals;
use crate::stores::Backing;

/// How long a stop may take; what is not durable then is delivered again.
const DRAIN: Duration = Duration::from_secs(8);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    urls: Urls,
    #[command(flatten)]
    celery: Celery,
    #[command(flatten)]
    cloudevents: CloudEvents,
    /// Where health and metrics are served.
    #[arg(long, env = "OBSERVATORY_LISTEN", default_value = "127.0.0.1:9100")]
    listen: SocketAddr,
    /// Rules to judge, as YAML; kept for later starts.
    #[arg(long, env = "OBSERVATORY_RULES", value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Where alerts are sent, such as http://localhost:9093.
    #[arg(long, env = "OBSERVATORY_ALERTMANAGER_URL", value_name = "URL")]
    alertmanager_url: Option<String>,
    #[command(flatten)]
    delivery: delivery::WebhookArgs,
    /// Where people open the page: links in alerts begin with it.
    #[arg(
        long,
        env = "OBSERVATORY_PUBLIC_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    public_url: String,
    /// Threads that run the dataflow.
    #[arg(long, env = "OBSERVATORY_WORKERS", default_value_t = 1)]
    workers: usize,
    #[command(flatten)]
    cluster: Cluster,
    /// Deliveries that may be unacknowledged.
    #[arg(long, env = "OBSERVATORY_PREFETCH", default_value = "2000")]
    prefetch: NonZeroU16,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    crate::log::start();
    let rules = args.rules.as_deref().map(rules_file::read).transpose()?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let done = runtime.block_on(serve(args, rules));
    runtime.shutdown_background();
    done
}

async fn serve(args: &Args, rules: Option<RulesFile>) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let place = args.cluster.place()?;
    let broker = args.urls.rabbitmq()?;
    let celery = args.celery.applications(Some(&broker))?;
    let mapping = args.cloudevents.mapping()?;
    let (postgres, redis, mongodb) =
        (args.urls.postgres()?, args.urls.redis()?, args.urls.mongodb()?);
    let listener = http::bind(args.listen)?;
    let (readiness, ready) = watch::channel(Readiness::Starting { recovered: 0, of: 0 });
    let metrics = Metrics::new()?;
    let live = Arc::new(RwLock::new(Live::new(GRID.as_micros() as u64)));
    metrics::pipeline(&metrics.registry, Arc::clone(&live))?;
    let router = api::health_router(ready, metrics.registry.clone()).merge(dataflow(&live));
    tracing::info!("health and metrics on http://{}", listener.local_addr()?);
    let mut server = Server::start(listener, router);

    let archive = Archive::connect(&mongodb).await.context("--mongodb-url")?;
    let (inbox, msgs) = mpsc::channel();
    let (lost, mut gone) = unbounded_channel();
    let told: Gone = Arc::new(move |process| lost.send(process).unwrap_or_default());
    let start = match place {
        Some(place) if place.process > 0 => {
            let member = Member {
                place,
                gone: Arc::clone(&told),
                postgres,
                archive,
                n_workers: args.workers,
                inbox: inbox.clone(),
                metrics: metrics.clone(),
            };
            tokio::task::spawn_blocking(move || member.start(msgs).map(Some))
        }
        place => {
            let cluster = place.map(|place| (place, Arc::clone(&told)));
            let core = first(args, rules, redis, cluster, inbox.clone(), metrics.clone(), live)?;
            let (backing, progress) = (Backing::Servers { postgres, archive }, readiness.clone());
            tokio::task::spawn_blocking(move || match backing.open(&progress)? {
                Some(stores) => core.start(stores, msgs, &progress).map(Some),
                None => Ok(None),
            })
        }
    };
    let mut ended = tokio::select! {
        started = start => match started.context("the start has failed")?? {
            Some(ended) => ended,
            None => return Ok(ExitCode::SUCCESS),
        },
        () = signals.stop() => return Ok(ExitCode::SUCCESS),
    };
    let name = "observatory pipeline";
    let events =
        intake::start(broker, Some(args.prefetch), mapping, celery, name, &inbox, &metrics)?;
    readiness.send_replace(Readiness::Ready);

    let failed = tokio::select! {
        () = signals.stop() => None,
        result = &mut ended => Some(result.context("the engine has stopped").flatten()),
        error = server.failed() => Some(Err(error)),
        Some(process) = gone.recv() => Some(Err(lost_process(process))),
    };
    if let Some(result) = failed {
        return result.and(Err(anyhow!("the engine has stopped by itself")));
    }
    tracing::info!("stopping: finishing what has been taken in");
    readiness.send_replace(Readiness::Draining);
    let drained = async {
        // Nothing more comes in once the engine is told to drain, and what it settles is acked.
        let stopped = tokio::spawn(events.stop(DRAIN));
        drop(inbox.send(Msg::Drain));
        sinks::crash::point("drain");
        let result = ended.await.context("the engine has stopped").flatten();
        drop(stopped.await);
        server.stop().await;
        result
    };
    tokio::select! {
        drained = tokio::time::timeout(DRAIN, drained) => match drained {
            Ok(result) => result.map(|()| ExitCode::SUCCESS),
            Err(_) => Err(anyhow!("not everything could be finished in time; it will be delivered again")),
        },
        // What it would have said is durable comes again, to whoever is next.
        Some(_) = gone.recv() => Ok(ExitCode::SUCCESS),
        () = signals.stop() => Ok(ExitCode::from(130)),
    }
}

/// Shows the part of the dataflow that is in this process.
fn dataflow(live: &Arc<RwLock<Live>>) -> Router {
    let live = Arc::clone(live);
    api::dataflow_router(move || {
        let as_of = live.read().unwrap_or_else(PoisonError::into_inner).as_of();
        api::dataflow_view(&OBSERVED, as_of, engine::clock())
    })
}

/// A pipeline that writes: alone, or the first of its cluster.
fn first(
    args: &Args,
    rules: Option<RulesFile>,
    redis: String,
    cluster: Option<(Place, Gone)>,
    inbox: Sender<Msg>,
    metrics: Metrics,
    live: Arc<RwLock<Live>>,
) -> anyhow::Result<Core> {
    let alertmanager = args.alertmanager_url.as_deref();
    let alerts = args.delivery.destinations(alertmanager, &args.public_url)?;
    Ok(Core {
        inbox,
        live,
        metrics,
        n_workers: args.workers,
        rules,
        demo: false,
        behind: true,
        alerts,
        redis: Some(redis),
        cluster,
    })
}

fn lost_process(process: usize) -> anyhow::Error {
    anyhow!(
        "process {process} of the cluster has gone, and no other can go on without it: \
         start all of them again"
    )
}
