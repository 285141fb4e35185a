//! Events from RabbitMQ, into the engine: our own, and if asked for those of a Celery application.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::bail;
use contracts::Micros;
use futures_util::future::{join_all, select_all};
use ingress::amqp;
use ingress::amqp::consumer::Config;
use ingress::amqp::events::Events;
use ingress::amqp::publisher::Publisher;
use ingress::celery::Keep;
use ingress::cloudevents::Mapping;
use ingress::vocabulary::Vocabulary;
use tokio::sync::watch;

use crate::engine::{self, Msg};
use crate::metrics::{self, Metrics};

/// What is consumed beside our own events.
#[derive(clap::Args)]
pub(crate) struct Celery {
    /// Watch the Celery application on the broker: its workers need `-E`, and nothing else.
    #[arg(long, env = "OBSERVATORY_CELERY")]
    celery: bool,
    /// What to keep of its tasks, of `args`, `kwargs` and `result`; by default nothing.
    #[arg(
        long,
        env = "OBSERVATORY_CELERY_KEEP",
        value_name = "FIELDS",
        value_delimiter = ',',
        requires = "celery"
    )]
    celery_keep: Vec<String>,
    /// A regular expression: what it finds in what is kept, errors included, is taken out.
    #[arg(long, env = "OBSERVATORY_CELERY_REDACT", value_name = "REGEX", requires = "celery")]
    celery_redact: Vec<String>,
}

impl Celery {
    /// What to keep of the tasks, if any are watched.
    pub(crate) fn keep(&self) -> anyhow::Result<Option<Keep>> {
        let keep = Keep::new(&self.celery_keep, &self.celery_redact)?;
        Ok(self.celery.then_some(keep))
    }

    /// The same for who may be without a broker.
    pub(crate) fn keep_with(&self, broker: Option<&amqp::Url>) -> anyhow::Result<Option<Keep>> {
        if self.celery && broker.is_none() {
            bail!("--celery watches a broker: give --rabbitmq-url, or set RABBITMQ_URL");
        }
        self.keep()
    }
}

/// The queues that are consumed.
pub(crate) struct Intake(Vec<Events>);

/// Starts to consume. While there is no broker, and until what waited there is in, no alert changes.
pub(crate) fn start(
    broker: amqp::Url,
    prefetch: Option<NonZeroU16>,
    mapping: Arc<Mapping>,
    celery: Option<Keep>,
    name: &'static str,
    inbox: &Sender<Msg>,
    metrics: &Metrics,
) -> anyhow::Result<Intake> {
    let publisher = Publisher::start(amqp::publisher::Config::new(broker.clone(), name));
    metrics::publisher(&metrics.registry, Arc::clone(publisher.counters()))?;
    let consume = |config: Config, vocabulary| {
        let prefetch = prefetch.unwrap_or(config.prefetch);
        let (delivered, heard, rejected) = (inbox.clone(), inbox.clone(), inbox.clone());
        let dead_letters = metrics.dead_letters.clone();
        Events::start(
            Config { prefetch, ..config },
            vocabulary,
            publisher.clone(),
            || Micros(i64::try_from(engine::now()).unwrap_or(i64::MAX)),
            // Without an engine the process is about to end, and all of it comes again.
            move |delivery| drop(delivered.send(Msg::Deliver(delivery))),
            move |heartbeat| drop(heard.send(Msg::Heartbeat(Box::new(heartbeat)))),
            move |reason| {
                dead_letters.with_label_values(&[reason.as_str()]).inc();
                drop(rejected.send(Msg::Rejected(reason)));
            },
        )
    };
    let own = consume(Config::new(broker.clone(), name), Vocabulary::Native(mapping));
    metrics::consumer(&metrics.registry, Arc::clone(own.status()))?;
    let mut events = vec![own];
    if let Some(keep) = celery {
        let celery = consume(Config::celery(broker, name), Vocabulary::Celery(keep));
        metrics::celery_consumer(&metrics.registry, Arc::clone(celery.status()))?;
        events.push(celery);
    }
    tokio::spawn(follow(events.iter().map(Events::current).collect(), inbox.clone()));
    Ok(Intake(events))
}

impl Intake {
    /// Takes no more deliveries, acknowledges what is settled within `grace`, and closes.
    pub(crate) async fn stop(self, grace: Duration) {
        join_all(self.0.into_iter().map(|events| events.stop(grace))).await;
    }
}

/// Tells the engine whether it knows what the broker knows.
async fn follow(mut current: Vec<watch::Receiver<bool>>, inbox: Sender<Msg>) {
    loop {
        // All of them, so that each has been seen.
        let known: Vec<bool> =
            current.iter_mut().map(|current| *current.borrow_and_update()).collect();
        let behind = known.contains(&false);
        let changed = current.iter_mut().map(|current| Box::pin(current.changed()));
        if inbox.send(Msg::Suspend(behind)).is_err() || select_all(changed).await.0.is_err() {
            return;
        }
    }
}
