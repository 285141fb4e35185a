//! `observatory pipeline`: RabbitMQ in, PostgreSQL, MongoDB and Redis out.
//!
//! ```text
//!   standby ──lock──▶ restore ──▶ consume ──▶ engine ──▶ dataflow ──▶ store thread ──▶ Redis
//!                                    ▲                                     │
//!                                    └────────────── acks ◀── durable ◀────┘
//! ```

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::{Context, anyhow};
use api::Readiness;
use contracts::Micros;
use ingress::amqp;
use ingress::amqp::events::Events;
use ingress::amqp::publisher::Publisher;
use sinks::live::Live;
use sinks::mongo::Archive;
use sinks::postgres::{Postgres, Waiting};
use sinks::redis::Writer;
use sinks::servers::{Reader, Servers};
use sinks::store::Store;
use tokio::sync::watch;

use crate::core::{Core, Ended, Stores, rules_in_force};
use crate::engine::{self, GRID, Msg};
use crate::http::{self, Server};
use crate::metrics::{self, Metrics};
use crate::rules_file::{self, RulesFile};
use crate::servers::Urls;
use crate::signals::Signals;

/// How long a stop may take; what is not durable then is delivered again.
const DRAIN: Duration = Duration::from_secs(8);

/// Between two attempts to reach a server at the start.
const RETRY: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    urls: Urls,
    /// Where health and metrics are served.
    #[arg(long, env = "OBSERVATORY_LISTEN", default_value = "127.0.0.1:9100")]
    listen: SocketAddr,
    /// Rules to judge, as YAML; kept for later starts.
    #[arg(long, env = "OBSERVATORY_RULES", value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Threads that run the dataflow.
    #[arg(long, env = "OBSERVATORY_WORKERS", default_value_t = 1)]
    workers: usize,
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
    let broker = args.urls.rabbitmq()?;
    let (postgres, redis, mongodb) =
        (args.urls.postgres()?, args.urls.redis()?, args.urls.mongodb()?);
    let listener = http::bind(args.listen).await?;
    let (readiness, ready) = watch::channel(Readiness::Starting { recovered: 0, of: 0 });
    let metrics = Metrics::new()?;
    let router = api::health_router(ready, metrics.registry.clone());
    tracing::info!("health and metrics on http://{}", listener.local_addr()?);
    let mut server = Server::start(listener, router);

    let archive = Archive::connect(&mongodb).await.context("--mongodb-url")?;
    let (inbox, msgs) = mpsc::channel();
    let live = Arc::new(RwLock::new(Live::new(GRID.as_micros() as u64)));
    let core =
        Core { inbox: inbox.clone(), live, metrics: metrics.clone(), n_workers: args.workers };
    let opening = Opening { postgres, redis, archive, progress: readiness.clone() };
    let start = tokio::task::spawn_blocking(move || opening.start(core, msgs, rules));
    let mut ended = tokio::select! {
        started = start => match started.context("the start has failed")?? {
            Some(ended) => ended,
            None => return Ok(ExitCode::SUCCESS),
        },
        () = signals.stop() => return Ok(ExitCode::SUCCESS),
    };

    let publisher =
        Publisher::start(amqp::publisher::Config::new(broker.clone(), "observatory pipeline"));
    let consumer = amqp::consumer::Config {
        prefetch: args.prefetch,
        ..amqp::consumer::Config::new(broker, "observatory pipeline")
    };
    let (delivered, rejected) = (inbox.clone(), inbox.clone());
    let events = Events::start(
        consumer,
        publisher,
        || Micros(i64::try_from(engine::now()).unwrap_or(i64::MAX)),
        // Without an engine the process is about to end, and all of it comes again.
        move |delivery| drop(delivered.send(Msg::Deliver(delivery))),
        move |reason| drop(rejected.send(Msg::Rejected(reason))),
    );
    metrics::consumer(&metrics.registry, Arc::clone(events.status()))?;
    readiness.send_replace(Readiness::Ready);

    let failed = tokio::select! {
        () = signals.stop() => None,
        result = &mut ended => Some(result.context("the engine has stopped").flatten()),
        error = server.failed() => Some(Err(error)),
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
        () = signals.stop() => Ok(ExitCode::from(130)),
    }
}

/// What the start needs of the servers.
pub(crate) struct Opening {
    pub(crate) postgres: String,
    pub(crate) redis: String,
    pub(crate) archive: Archive,
    pub(crate) progress: watch::Sender<Readiness>,
}

impl Opening {
    /// Waits to be the one pipeline, restores the state, and starts the threads; blocks.
    pub(crate) fn start(
        self,
        core: Core,
        msgs: Receiver<Msg>,
        rules: Option<RulesFile>,
    ) -> anyhow::Result<Option<Ended>> {
        let Opening { postgres, redis, archive, progress } = self;
        let runtime = tokio::runtime::Handle::current();
        let postgres = loop {
            match Postgres::connect(&postgres, runtime.clone()) {
                Err(error) if error.passes() => {
                    tracing::warn!(%error, "PostgreSQL is away; trying again");
                    progress.send_replace(Readiness::Away("PostgreSQL"));
                    std::thread::sleep(RETRY);
                }
                connected => break connected?,
            }
        };
        let mut waits = false;
        let writer = postgres.take_over(&mut |waiting| {
            match waiting {
                Waiting::Standby => {
                    if !std::mem::replace(&mut waits, true) {
                        tracing::info!("another pipeline is at work; standing by");
                    }
                    progress.send_replace(Readiness::Standby);
                }
                Waiting::Away(error) => {
                    tracing::warn!(%error, "PostgreSQL is away; trying again");
                    progress.send_replace(Readiness::Away("PostgreSQL"));
                }
            }
            ControlFlow::Continue(())
        })?;
        let Some(writer) = writer else { return Ok(None) };
        let generation = writer.generation();
        tracing::info!(generation, "this is the pipeline now");
        let reader = Reader::new(postgres.reader()?, archive.clone(), runtime.clone());
        let mut store = Servers::new(writer, archive, runtime.clone());
        let mut recovery = store.recover()?;
        let rules = rules_in_force(&mut store, rules, recovery.rules.take(), false)?;
        let live = Arc::clone(&core.live);
        let stores = Stores { store: Box::new(store), reader: Box::new(reader), recovery };
        let follower = move || {
            let (follower, writer) =
                Writer::new(&redis, generation, live).context("--redis-url")?;
            runtime.spawn(writer.run());
            Ok(Some(follower))
        };
        core.start(stores, msgs, rules, follower, &progress).map(Some)
    }
}
