//! The servers that roles work with, by their URLs.
//!
//! A URL may hold a password, so none is ever shown.

use std::time::Duration;

use anyhow::{Context, bail};
use api::Readiness;
use ingress::amqp::{self, Publisher};
use ingress::submit::Submitter;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A server was not named.
#[derive(Debug, thiserror::Error)]
#[error("{flag} is needed here: give it, or set {variable}")]
pub(crate) struct Missing {
    pub(crate) flag: String,
    pub(crate) variable: String,
}

#[derive(clap::Args, Clone)]
pub(crate) struct Urls {
    /// RabbitMQ: amqp://USER:PASSWORD@HOST:5672/%2f
    #[arg(long, env = "RABBITMQ_URL", hide_env_values = true, value_name = "URL")]
    rabbitmq_url: Option<String>,
    /// PostgreSQL: postgres://USER:PASSWORD@HOST:5432/DATABASE
    #[arg(long, env = "POSTGRES_URL", hide_env_values = true, value_name = "URL")]
    postgres_url: Option<String>,
    /// Redis: redis://HOST:6379
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    redis_url: Option<String>,
    /// MongoDB: mongodb://HOST:27017/?replicaSet=rs0
    #[arg(long, env = "MONGODB_URL", hide_env_values = true, value_name = "URL")]
    mongodb_url: Option<String>,
}

/// The URLs that are given, as they are.
pub(crate) struct Named {
    pub(crate) rabbitmq: Option<String>,
    pub(crate) postgres: Option<String>,
    pub(crate) redis: Option<String>,
    pub(crate) mongodb: Option<String>,
}

impl Named {
    pub(crate) fn any(&self) -> bool {
        let Named { rabbitmq, postgres, redis, mongodb } = self;
        [rabbitmq, postgres, redis, mongodb].into_iter().any(Option::is_some)
    }
}

impl Urls {
    pub(crate) fn named(&self) -> Named {
        Named {
            rabbitmq: given(&self.rabbitmq_url),
            postgres: given(&self.postgres_url),
            redis: given(&self.redis_url),
            mongodb: given(&self.mongodb_url),
        }
    }

    pub(crate) fn rabbitmq(&self) -> anyhow::Result<amqp::Url> {
        let url = needed(&self.rabbitmq_url, "RABBITMQ_URL", "--rabbitmq-url")?;
        url.parse().context("--rabbitmq-url")
    }

    /// The same, for whoever can do without.
    pub(crate) fn rabbitmq_if_given(&self) -> anyhow::Result<Option<amqp::Url>> {
        let Some(url) = given(&self.rabbitmq_url) else { return Ok(None) };
        url.parse().map(Some).context("--rabbitmq-url")
    }

    pub(crate) fn postgres(&self) -> anyhow::Result<String> {
        needed(&self.postgres_url, "POSTGRES_URL", "--postgres-url")
    }

    pub(crate) fn redis(&self) -> anyhow::Result<String> {
        needed(&self.redis_url, "REDIS_URL", "--redis-url")
    }

    pub(crate) fn mongodb(&self) -> anyhow::Result<String> {
        needed(&self.mongodb_url, "MONGODB_URL", "--mongodb-url")
    }
}

/// The servers of a process that does without those that are not named.
pub(crate) struct Optional {
    pub(crate) broker: Option<amqp::Url>,
    /// PostgreSQL and MongoDB, which are one store.
    pub(crate) stores: Option<(String, String)>,
    pub(crate) redis: Option<String>,
}

impl Urls {
    /// Whichever are given.
    pub(crate) fn optional(&self) -> anyhow::Result<Optional> {
        let Urls { postgres_url, redis_url, mongodb_url, .. } = self;
        let broker = self.rabbitmq_if_given()?;
        let postgres = given(postgres_url);
        let stores = match (postgres, given(mongodb_url)) {
            (Some(postgres), Some(mongodb)) => Some((postgres, mongodb)),
            (None, None) => None,
            (Some(_), None) => bail!(
                "PostgreSQL keeps no events: give --mongodb-url too, or neither for the embedded store"
            ),
            (None, Some(_)) => bail!(
                "MongoDB keeps events alone: give --postgres-url too, or neither for the embedded store"
            ),
        };
        Ok(Optional { broker, stores, redis: given(redis_url) })
    }
}

fn needed(url: &Option<String>, variable: &str, flag: &str) -> anyhow::Result<String> {
    let missing = || Missing { flag: flag.to_owned(), variable: variable.to_owned() };
    given(url).ok_or_else(|| missing().into())
}

/// A URL, wherever it was given; an empty one is none.
fn given(url: &Option<String>) -> Option<String> {
    url.clone().filter(|url| !url.is_empty())
}

/// How long a role that also reads waits for the broker before it is ready without.
const WITHOUT_BROKER: Duration = Duration::from_secs(3);

/// A way to the broker, and a task that ends when there is a connection, or none for so long that
/// reading should not wait for it.
pub(crate) fn submitter(broker: amqp::Url, name: &'static str) -> (Submitter, JoinHandle<()>) {
    let publisher = Publisher::start(amqp::publisher::Config::new(broker, name));
    let mut state = publisher.state();
    let connected = tokio::spawn(async move {
        let connected = state.wait_for(|state| *state == amqp::State::Connected);
        drop(tokio::time::timeout(WITHOUT_BROKER, connected).await);
    });
    (Submitter::to_broker(publisher), connected)
}

/// Keeps a role ready while the broker is there.
pub(crate) async fn follow_broker(
    mut state: watch::Receiver<amqp::State>,
    readiness: watch::Sender<Readiness>,
) {
    loop {
        let now = match *state.borrow_and_update() {
            amqp::State::Connected => Readiness::Ready,
            amqp::State::Blocked => Readiness::Away("the broker, which blocks publishers,"),
            amqp::State::Away(_) => Readiness::Away("the broker"),
        };
        readiness.send_if_modified(|readiness| {
            let changes = *readiness != Readiness::Draining && *readiness != now;
            if changes {
                *readiness = now;
            }
            changes
        });
        if state.changed().await.is_err() {
            return;
        }
    }
}
