//! The stores that a pipeline goes on from: the embedded one, or the servers.

use std::ops::ControlFlow;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;
use api::{Readers, Readiness};
use ingress::gateway;
use ingress::work::Work;
use sinks::mongo::Archive;
use sinks::postgres::{Postgres, Waiting};
use sinks::servers::{self, Servers};
use sinks::sqlite;
use sinks::store::{Error, Reader, Recovery, Store};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::data_dir::DataDir;

/// Between two attempts to reach a server at the start.
const RETRY: Duration = Duration::from_secs(1);

/// The store to go on from.
pub(crate) struct Stores {
    pub(crate) store: Box<dyn Store>,
    pub(crate) reader: Box<dyn Reader>,
    /// Opens another reading end.
    pub(crate) open_reader: Open,
    pub(crate) recovery: Recovery,
    /// Jobs whose execution has not ended, where it is up to this process.
    pub(crate) unfinished: Vec<Work>,
}

/// Opens a reading end.
type Open = Box<dyn Fn() -> Result<Box<dyn Reader>, Error> + Send>;

/// Where a pipeline keeps what it knows.
pub(crate) enum Backing {
    Embedded(DataDir),
    Servers { postgres: String, archive: Archive },
}

impl Backing {
    /// The reading ends of the API; they connect when they are first needed.
    pub(crate) fn readers(&self) -> Readers {
        match self {
            Backing::Embedded(data) => {
                let path = data.path().join(sqlite::FILE);
                Readers::new(move || sqlite::Reader::open(&path))
            }
            Backing::Servers { postgres, archive } => {
                readers_of_servers(postgres.clone(), archive.clone())
            }
        }
    }

    /// Takes the store for this process, and waits for it if need be; none if it is told to stop
    /// waiting. Blocks, within a tokio runtime.
    pub(crate) fn open(
        &self,
        progress: &watch::Sender<Readiness>,
    ) -> anyhow::Result<Option<Stores>> {
        match self {
            Backing::Embedded(data) => {
                let mut store = sqlite::Store::open(data.path())?;
                let recovery = store.recover()?;
                let reader = store.reader().context("cannot read the store")?;
                let unfinished = unfinished(&store, &reader)?;
                let (store, reader) = (Box::new(store), Box::new(reader));
                let path = data.path().join(sqlite::FILE);
                let open_reader: Open =
                    Box::new(move || Ok(Box::new(sqlite::Reader::open(&path)?)));
                Ok(Some(Stores { store, reader, open_reader, recovery, unfinished }))
            }
            Backing::Servers { postgres, archive } => take_over(postgres, archive, progress),
        }
    }
}

/// The jobs that the reference worker of an earlier run left, each at its next attempt.
fn unfinished(store: &sqlite::Store, reader: &sqlite::Reader) -> anyhow::Result<Vec<Work>> {
    let mut unfinished = Vec::new();
    for (job, attempt) in store.unfinished_work()? {
        let Some(body) = reader.first_event(job)? else { continue };
        // It was accepted once.
        if let Ok(event) = contracts::decode(&body) {
            unfinished.push(Work { attempt, ..gateway::work(&event) });
        }
    }
    Ok(unfinished)
}

/// Waits to be the one pipeline of the servers.
fn take_over(
    url: &str,
    archive: &Archive,
    progress: &watch::Sender<Readiness>,
) -> anyhow::Result<Option<Stores>> {
    let runtime = Handle::current();
    let away = |error: &sinks::store::Error| {
        tracing::warn!(%error, "PostgreSQL is away; trying again");
        progress.send_replace(Readiness::Away("PostgreSQL"));
    };
    let postgres = loop {
        match Postgres::connect(url, runtime.clone()) {
            Err(error) if error.passes() => {
                away(&error);
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
            Waiting::Away(error) => away(error),
        }
        ControlFlow::Continue(())
    })?;
    let Some(writer) = writer else { return Ok(None) };
    tracing::info!(generation = writer.generation(), "this is the pipeline now");
    let end = (archive.clone(), runtime.clone());
    let open_reader: Open = Box::new(move || {
        let (archive, runtime) = end.clone();
        Ok(Box::new(servers::Reader::new(postgres.reader()?, archive, runtime)))
    });
    let reader = open_reader()?;
    let mut store = Servers::new(writer, archive.clone(), runtime);
    let recovery = store.recover()?;
    let store = Box::new(store);
    // Jobs to be executed wait in the broker.
    Ok(Some(Stores { store, reader, open_reader, recovery, unfinished: Vec::new() }))
}

/// Reading ends of the servers, which connect when they are first needed.
pub(crate) fn readers_of_servers(postgres: String, archive: Archive) -> Readers {
    let runtime = Handle::current();
    let connected = OnceLock::<Postgres>::new();
    Readers::new(move || {
        let postgres = match connected.get() {
            Some(postgres) => postgres,
            None => {
                let postgres = Postgres::connect(&postgres, runtime.clone())?;
                connected.get_or_init(|| postgres)
            }
        };
        Ok(servers::Reader::new(postgres.reader()?, archive.clone(), runtime.clone()))
    })
}
