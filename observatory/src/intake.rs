//! Events from RabbitMQ, into the engine: our own, and if asked for those of a Celery application.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use contracts::Micros;
use futures_util::future::{join_all, select_all};
use ingress::amqp;
use ingress::amqp::consumer::Config;
use ingress::amqp::events::Events;
use ingress::amqp::publisher::Publisher;
use ingress::celery::{Application, Keep};
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
    /// Watch one on another broker or vhost as well: its workers and queues are NAME/…
    #[arg(
        long,
        env = "OBSERVATORY_CELERY_SOURCE",
        hide_env_values = true,
        value_name = "NAME=URL",
        value_delimiter = ','
    )]
    celery_source: Vec<String>,
    /// What to keep of its tasks, of `args`, `kwargs` and `result`; by default nothing.
    #[arg(long, env = "OBSERVATORY_CELERY_KEEP", value_name = "FIELDS", value_delimiter = ',')]
    celery_keep: Vec<String>,
    /// A regular expression: what it finds in what is kept, errors included, is taken out.
    #[arg(long, env = "OBSERVATORY_CELERY_REDACT", value_name = "REGEX")]
    celery_redact: Vec<String>,
}

/// The name of a source and the broker where it is; nothing is repeated that may be part of a password.
fn source(text: &str) -> anyhow::Result<(&str, amqp::Url)> {
    let form = "give it as NAME=URL, like eu=amqp://USER:PASSWORD@HOST:5672/VHOST";
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let Some((name, url)) = text
        .split_once('=')
        .filter(|(name, _)| (1..=32).contains(&name.len()) && name.chars().all(plain))
    else {
        bail!("it needs a name of 1 to 32 letters, digits, `-`, `_` and `.`: {form}");
    };
    let broker = url.parse().map_err(|error| anyhow!("of {name}: {error}; {form}"))?;
    Ok((name, broker))
}

impl Celery {
    /// The applications that are watched, each with the broker where it is.
    pub(crate) fn applications(
        &self,
        broker: Option<&amqp::Url>,
    ) -> anyhow::Result<Vec<(amqp::Url, Application)>> {
        let keep = Keep::new(&self.celery_keep, &self.celery_redact)?;
        let of = |source: &str| Application { source: source.to_owned(), keep: keep.clone() };
        let mut applications = Vec::new();
        match broker {
            Some(broker) if self.celery => applications.push((broker.clone(), of(""))),
            // What cannot be read is put aside there.
            None if self.celery || !self.celery_source.is_empty() => {
                bail!("Celery is watched with a broker: give --rabbitmq-url, or set RABBITMQ_URL")
            }
            _ => {}
        }
        for text in &self.celery_source {
            let (name, broker) = source(text).context("--celery-source")?;
            let same = |other: &amqp::Url| {
                other.address() == broker.address() && other.vhost() == broker.vhost()
            };
            for (other, application) in &applications {
                if application.source == name {
                    bail!("--celery-source names {name} twice: each needs a name of its own");
                }
                // Each would get a part of the events.
                if same(other) {
                    bail!("--celery-source {name} is a broker and vhost that is watched already");
                }
            }
            applications.push((broker, of(name)));
        }
        if applications.is_empty()
            && !(self.celery_keep.is_empty() && self.celery_redact.is_empty())
        {
            bail!("--celery-keep and --celery-redact are about Celery: give --celery as well");
        }
        Ok(applications)
    }
}

/// The queues that are consumed.
pub(crate) struct Intake(Vec<Events>);

/// Starts to consume. While there is no broker, and until what waited there is in, no alert changes;
/// brokers that are watched beside it do not count.
pub(crate) fn start(
    broker: amqp::Url,
    prefetch: Option<NonZeroU16>,
    mapping: Arc<Mapping>,
    celery: Vec<(amqp::Url, Application)>,
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
    let own = consume(Config::new(broker, name), Vocabulary::Native(mapping));
    metrics::consumer(&metrics.registry, Arc::clone(own.status()))?;
    let (mut watched, mut followed) = (Vec::new(), vec![own.current()]);
    let mut events = vec![own];
    for (broker, application) in celery {
        let source = application.source.clone();
        let celery = consume(Config::celery(broker, name), Vocabulary::Celery(application));
        // One broker of several that is away is a matter of its jobs, and not of all alerts.
        if source.is_empty() {
            followed.push(celery.current());
        }
        watched.push((source, Arc::clone(celery.status())));
        events.push(celery);
    }
    if !watched.is_empty() {
        metrics::celery_consumers(&metrics.registry, watched)?;
    }
    tokio::spawn(follow(followed, inbox.clone()));
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
