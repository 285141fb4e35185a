//! `observatory gateway`: jobs over HTTP, confirmed by RabbitMQ before they are accepted.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, RwLock};

use anyhow::Context;
use api::{App, Earlier, Hosts, Neighbours, Pace, Readers, Readiness, Views};
use contracts::Reason;
use ingress::amqp::{self, Publisher};
use ingress::submit::Submitter;
use sinks::live::Live;
use sinks::mongo::Archive;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::access;
use crate::cloudevents::CloudEvents;
use crate::engine::{self, GRID};
use crate::http::{self, Server};
use crate::metrics::{self, Metrics};
use crate::servers::{self, Urls};
use crate::signals::Signals;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    urls: Urls,
    /// Where to listen.
    #[arg(long, env = "OBSERVATORY_LISTEN", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    #[command(flatten)]
    access: access::Rights,
    #[command(flatten)]
    cloudevents: CloudEvents,
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
    let mapping = args.cloudevents.mapping()?;
    let archive = match args.urls.mongodb() {
        Ok(url) => Some(Archive::connect(&url).await.context("--mongodb-url")?),
        // Ids that follow from the key make a repeat harmless without it, too.
        Err(_) => None,
    };
    let access = args.access.of(args.listen)?;
    let listener = http::bind(args.listen)?;
    let address = listener.local_addr().context("the socket has no address")?;
    let metrics = Metrics::new()?;
    let publisher = Publisher::start(amqp::publisher::Config::new(broker, "observatory gateway"));
    metrics::publisher(&metrics.registry, Arc::clone(publisher.counters()))?;
    let (readiness, ready) = watch::channel(Readiness::Away("the broker"));
    tokio::spawn(servers::follow_broker(publisher.state(), readiness.clone()));
    let submitter = Submitter::to_broker(publisher);
    let runtime = Handle::current();
    let rejected = metrics.rejected.clone();
    let app = App {
        submitter: submitter.clone(),
        // Nothing is read here.
        views: Views::Here(Arc::new(RwLock::new(Live::new(GRID.as_micros() as u64)))),
        readers: Readers::none(),
        earlier: Some(earlier(archive, runtime)),
        ready,
        work: mpsc::unbounded_channel().0,
        reject: Arc::new(move |reason: Reason| {
            rejected.with_label_values(&[reason.as_str()]).inc();
        }),
        metrics: metrics.registry.clone(),
        mapping,
        default_rules: crate::core::DEFAULT_RULES,
        dataflow: None,
        access,
        neighbours: Neighbours::default(),
        broker: None,
        pace: Pace::default(),
        demo: false,
        clock: Arc::new(engine::clock),
        hosts: Hosts::bound_to(address),
        instance: format!("{}", std::process::id()),
    };
    let mut server = Server::start(listener, api::submissions_router(app));
    tracing::info!("listening on http://{address}");
    tokio::select! {
        () = signals.stop() => {}
        error = server.failed() => return Err(error),
    }
    tracing::info!("stopping: waiting for what is being submitted");
    readiness.send_replace(Readiness::Draining);
    tokio::select! {
        () = server.stop() => Ok(ExitCode::SUCCESS),
        () = signals.stop() => Ok(ExitCode::from(130)),
    }
}

/// Whether an event with an id that a key gave is there already; without the archive nobody knows.
fn earlier(archive: Option<Archive>, runtime: Handle) -> Earlier {
    Arc::new(move |event| {
        let Some(archive) = &archive else { return Ok(None) };
        match runtime.block_on(archive.event(event)) {
            Ok(found) => Ok(found),
            Err(error) if error.passes() => {
                tracing::warn!(%error, "cannot look for a repeat; its ids make it harmless");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    })
}
