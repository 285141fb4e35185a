//! The servers, each read by itself.

use contracts::snapshot::Snapshot;
use contracts::{JobId, State};
use ingress::amqp::publisher::Config;
use ingress::amqp::{self, Message, Publisher, Visit, topology};
use sinks::mongo::Archive;
use sinks::postgres::Postgres;
use sinks::store::Reader;
use tokio::runtime::Handle;

use super::journey::GATE;
use crate::servers::Urls;

/// What the broker shows of us.
const NAME: &str = "observatory gate";

pub(super) struct Stores {
    runtime: Handle,
    broker: amqp::Url,
    postgres: String,
    redis: String,
    mongodb: String,
}

impl Stores {
    pub(super) fn new(urls: &Urls, runtime: &Handle) -> anyhow::Result<Stores> {
        Ok(Stores {
            runtime: runtime.clone(),
            broker: urls.rabbitmq()?,
            postgres: urls.postgres()?,
            redis: urls.redis()?,
            mongodb: urls.mongodb()?,
        })
    }

    /// The state of a job in PostgreSQL.
    pub(super) fn row(&self, job: JobId) -> Result<State, String> {
        let postgres = Postgres::connect(&self.postgres, self.runtime.clone());
        let reader = postgres.and_then(|postgres| postgres.reader());
        let found = reader.and_then(|mut reader| reader.job(job)).map_err(told)?;
        found.map(|found| found.view.state).ok_or_else(|| "no such row".to_owned())
    }

    /// The events of a job in MongoDB.
    pub(super) fn events(&self, job: JobId) -> Result<Vec<Vec<u8>>, String> {
        self.runtime.block_on(async {
            let archive = Archive::connect(&self.mongodb).await.map_err(told)?;
            let events = archive.events(job).await.map_err(told)?;
            Ok(events.into_iter().map(|event| event.body).collect())
        })
    }

    /// Completed jobs of the gate in Redis.
    pub(super) fn shown(&self) -> Result<u64, String> {
        let held = self.runtime.block_on(sinks::redis::read(&self.redis)).map_err(told)?;
        let views = held.views.ok_or_else(|| "no observatory:snapshot".to_owned())?;
        Ok(completed(&views.snapshot()))
    }

    /// Publishes an event, and waits until the broker has it.
    pub(super) fn publish(&self, routing_key: &'static str, body: &[u8]) -> Result<(), String> {
        self.runtime.block_on(async {
            // It says why there is no broker; a publisher would go on trying.
            Visit::begin(&self.broker, NAME).await.map_err(told)?.end().await;
            let publisher = Publisher::start(Config::new(self.broker.clone(), NAME));
            let mut state = publisher.state();
            let connected = state.wait_for(|state| *state == amqp::State::Connected);
            drop(connected.await.map_err(told)?);
            let message = Message {
                exchange: topology::JOBS.into(),
                routing_key: routing_key.into(),
                body: body.into(),
                ..Message::default()
            };
            publisher.publish(message).await.map_err(told)
        })
    }
}

/// Completed jobs of the gate in a snapshot.
pub(super) fn completed(snapshot: &Snapshot) -> u64 {
    let rows = snapshot.counts.iter();
    let ours = rows.filter(|row| row.job_type == GATE && row.state == State::Completed);
    ours.map(|row| row.jobs).sum()
}

/// An error, with what caused it.
fn told(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::from(error))
}
