//! `observatory worker`: the reference worker in a process of its own.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use api::Readiness;
use tokio::sync::watch;

use crate::http::{self, Server};
use crate::metrics::{self, Metrics};
use crate::queue_worker::QueueWorker;
use crate::reference_worker::Habits;
use crate::servers::{self, Urls};
use crate::signals::Signals;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    urls: Urls,
    /// Where health and metrics are served.
    #[arg(long, env = "OBSERVATORY_LISTEN", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Jobs executed at a time.
    #[arg(long, env = "OBSERVATORY_CONCURRENCY", default_value = "16")]
    concurrency: NonZeroU16,
    #[command(flatten)]
    habits: Habits,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    crate::log::start();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let done = runtime.block_on(serve(args));
    runtime.shutdown_background();
    done
}

async fn serve(args: &Args) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let broker = args.urls.rabbitmq()?;
    let listener = http::bind(args.listen)?;
    let metrics = Metrics::new()?;
    let (readiness, ready) = watch::channel(Readiness::Away("the broker"));
    let router = api::health_router(ready, metrics.registry.clone());
    tracing::info!("health and metrics on http://{}", listener.local_addr()?);
    let mut server = Server::start(listener, router);

    let habits = args.habits.clone();
    let worker =
        QueueWorker::start(broker, "observatory worker", args.concurrency, habits, metrics.clone());
    metrics::consumer(&metrics.registry, Arc::clone(worker.status()))?;
    tokio::spawn(servers::follow_broker(worker.state(), readiness.clone()));
    tokio::select! {
        () = signals.stop() => {}
        error = server.failed() => return Err(error),
    }
    tracing::info!("stopping: running jobs may end, others go back into the queue");
    readiness.send_replace(Readiness::Draining);
    let drained = async {
        worker.stop().await;
        server.stop().await;
    };
    tokio::select! {
        () = drained => Ok(ExitCode::SUCCESS),
        () = signals.stop() => Ok(ExitCode::from(130)),
    }
}
