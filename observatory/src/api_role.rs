//! `observatory api`: what the pipeline wrote, over HTTP.
//!
//! Views come from Redis, lists and jobs from PostgreSQL, their events from MongoDB; jobs that are
//! submitted go to RabbitMQ, if its URL is given.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use api::{App, Hosts, Pace, Readiness, Views};
use contracts::Reason;
use ingress::submit::{SubmitError, Submitter};
use sinks::mongo::Archive;
use sinks::redis::View;
use tokio::sync::{mpsc, watch};

use crate::access;
use crate::engine;
use crate::http::{self, Server};
use crate::metrics::Metrics;
use crate::servers::{self, Urls};
use crate::signals::Signals;
use crate::stores::readers_of_servers;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    urls: Urls,
    /// Where to listen.
    #[arg(long, env = "OBSERVATORY_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[command(flatten)]
    access: access::Rights,
    #[command(flatten)]
    beside: access::Beside,
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
    let view = View::open(&args.urls.redis()?).context("--redis-url")?;
    let archive = Archive::connect(&args.urls.mongodb()?).await.context("--mongodb-url")?;
    let broker = args.urls.rabbitmq().ok();
    let (submitter, connected) = match broker.clone() {
        Some(broker) => servers::submitter(broker, "observatory api"),
        // Jobs are submitted elsewhere.
        None => (Submitter::new(|_| Err(SubmitError::Stopped)), tokio::spawn(async {})),
    };
    let access = args.access.of(args.listen)?;
    let listener = http::bind(args.listen)?;
    let address = listener.local_addr().context("the socket has no address")?;
    let metrics = Metrics::new()?;
    let rejected = metrics.rejected.clone();
    let (readiness, ready) = watch::channel(Readiness::Away("the broker"));
    let app = App {
        submitter,
        views: Views::Copy(Arc::new(view)),
        readers: readers_of_servers(args.urls.postgres()?, archive),
        earlier: None,
        ready,
        work: mpsc::unbounded_channel().0,
        reject: Arc::new(move |reason: Reason| {
            rejected.with_label_values(&[reason.as_str()]).inc();
        }),
        metrics: metrics.registry.clone(),
        mapping: Arc::default(),
        default_rules: crate::core::DEFAULT_RULES,
        dataflow: None,
        access,
        neighbours: args.beside.neighbours(),
        broker,
        pace: Pace::default(),
        demo: false,
        clock: Arc::new(engine::clock),
        hosts: Hosts::bound_to(address),
        instance: format!("{}", std::process::id()),
    };
    let mut server = Server::start(listener, api::router(app));
    tracing::info!("listening on http://{address}");
    let becomes = readiness.clone();
    let becoming = tokio::spawn(async move {
        drop(connected.await);
        becomes.send_replace(Readiness::Ready);
    });
    tokio::select! {
        () = signals.stop() => {}
        error = server.failed() => return Err(error),
    }
    becoming.abort();
    readiness.send_replace(Readiness::Draining);
    tokio::select! {
        () = server.stop() => Ok(ExitCode::SUCCESS),
        () = signals.stop() => Ok(ExitCode::from(130)),
    }
}
