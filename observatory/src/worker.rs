//! `observatory worker`: the reference worker on a queue of its own.
//!
//! ```text
//!   jobs.created ──▶ decode ──▶ ReferenceWorker ──events, confirmed──▶ jobs
//!        ▲                            │
//!        └──── ack when it has ended ◀┘      (stopped before: back into the queue)
//! ```

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use api::Readiness;
use ingress::amqp::consumer::{Raw, Settle};
use ingress::amqp::{self, Consumer, Publisher, topology};
use ingress::gateway;
use ingress::submit::Submitter;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::http::{self, Server};
use crate::metrics::{self, Metrics};
use crate::reference_worker::{Habits, ReferenceWorker};
use crate::servers::Urls;
use crate::signals::Signals;

/// How long running jobs are given to end when the worker stops; then they go back.
const GRACE: Duration = Duration::from_secs(5);

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
    let listener = http::bind(args.listen).await?;
    let metrics = Metrics::new()?;
    let (readiness, ready) = watch::channel(Readiness::Away("the broker"));
    let router = api::health_router(ready, metrics.registry.clone());
    tracing::info!("health and metrics on http://{}", listener.local_addr()?);
    let mut server = Server::start(listener, router);

    let name = "observatory worker";
    let publisher = Publisher::start(amqp::publisher::Config::new(broker.clone(), name));
    let submitter = Submitter::to_broker(publisher);
    let worker = ReferenceWorker::new(
        submitter,
        args.habits.clone(),
        args.concurrency.get().into(),
        metrics.clone(),
    );
    let config = amqp::consumer::Config {
        queue: topology::CREATED.into(),
        prefetch: args.concurrency,
        ..amqp::consumer::Config::new(broker, name)
    };
    let (jobs, mut received) = tokio::sync::mpsc::unbounded_channel();
    let consumer = Consumer::start(config, move |raw, settle| drop(jobs.send((raw, settle))));
    metrics::consumer(&metrics.registry, Arc::clone(consumer.status()))?;
    let mut state = consumer.state();
    let mut running = JoinSet::new();
    let (stop, stopping) = watch::channel(false);
    let failed = loop {
        tokio::select! {
            () = signals.stop() => break None,
            error = server.failed() => break Some(error),
            Ok(()) = state.changed() => {
                let now = match *state.borrow_and_update() {
                    amqp::State::Connected => Readiness::Ready,
                    _ => Readiness::Away("the broker"),
                };
                readiness.send_replace(now);
            }
            Some((raw, settle)) = received.recv() => {
                running.spawn(execute(worker.clone(), raw, settle, stopping.clone()));
            }
            Some(ended) = running.join_next() => drop(ended),
        }
    };
    if let Some(error) = failed {
        return Err(error);
    }
    tracing::info!("stopping: running jobs may end, others go back into the queue");
    readiness.send_replace(Readiness::Draining);
    let drained = async {
        let ended = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            stop.send_replace(true);
            while running.join_next().await.is_some() {}
        }
        while let Ok((_, settle)) = received.try_recv() {
            settle.requeue();
        }
        consumer.stop(Duration::from_secs(1)).await;
        server.stop().await;
    };
    tokio::select! {
        () = drained => Ok(ExitCode::SUCCESS),
        () = signals.stop() => Ok(ExitCode::from(130)),
    }
}

/// Executes the job of a delivery, unless the worker stops or the delivery goes to another.
async fn execute(
    worker: ReferenceWorker,
    raw: Raw,
    settle: Settle,
    mut stopping: watch::Receiver<bool>,
) {
    // The pipeline has the same bodies, and dead-letters those that are not events.
    let Ok(event) = contracts::decode(&raw.body) else { return settle.settle() };
    let work = gateway::work(&event);
    let session = settle.session();
    tokio::select! {
        done = worker.execute(work) => match done {
            Ok(()) => settle.settle(),
            Err(error) => {
                tracing::warn!(%error, "a job goes back into the queue");
                settle.requeue();
            }
        },
        // Another worker gets it.
        () = session.over() => {}
        _ = stopping.wait_for(|stop| *stop) => settle.requeue(),
    }
}
