//! A process of a cluster that takes in events and leaves what they come to to the first.
//!
//! ```text
//!   broker ──▶ engine ──facts, asides──▶ dataflow ──▶ process 0: views, PostgreSQL
//!                 └──Group──▶ archive ──▶ wait ──▶ settle        │
//!                                          ▲──── durable ◀───────┘
//! ```
//!
//! # Invariants
//!
//! 1. A delivery is settled when its event is archived, by us, and its tick is durable, as the
//!    first process says.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use anyhow::anyhow;
use pipeline::Tick;
use pipeline::cluster::{Gone, Peers};
use pipeline::dataflow::Config;
use pipeline::worker::{Out, Pipeline};
use sinks::mongo::Archive;
use sinks::postgres::Postgres;
use sinks::servers::Outpost;
use sinks::store::{Error, Sink};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::cluster::{self, Place, Start};
use crate::core::{self, Ended};
use crate::engine::{Engine, Group, Msg, Part};
use crate::metrics::Metrics;

/// Between two attempts when neither the archive nor PostgreSQL takes events.
const RETRY: Duration = Duration::from_secs(1);

/// How often it is looked whether there is still anything to do.
const IDLE: Duration = Duration::from_secs(1);

/// What a process that is not the first consists of.
pub(crate) struct Member {
    pub(crate) place: Place,
    pub(crate) gone: Gone,
    pub(crate) postgres: String,
    pub(crate) archive: Archive,
    pub(crate) n_workers: usize,
    pub(crate) inbox: Sender<Msg>,
    pub(crate) metrics: Metrics,
}

impl Member {
    /// Finds the others and starts the threads; blocks, within a tokio runtime.
    pub(crate) fn start(self, msgs: Receiver<Msg>) -> anyhow::Result<Ended> {
        let Member { place, gone, postgres, archive, n_workers, inbox, metrics } = self;
        let runtime = Handle::current();
        let (sockets, Start { tick, generation, youngest_retired }) =
            cluster::connect(&place, n_workers, Start::default())?;
        let spill = Postgres::connect(&postgres, runtime.clone())?.spiller(generation);
        let peers = Peers { index: place.process, sockets, gone };
        let config = Config { cluster: true, ..core::config(youngest_retired) };
        let (told, durable) = watch::channel(0);
        let pipeline =
            Pipeline::start_into(config, n_workers, Some(peers), move |out| match out {
                Out::Sealed(batch) => inbox.send(Msg::Sealed(batch)).is_ok(),
                Out::Durable(upper) => {
                    told.send_replace(upper);
                    true
                }
            })?;
        let (groups, received) = mpsc::channel();
        let part = Part::Other(place.process);
        let mut engine =
            Engine::new(pipeline, msgs, groups, tick, Vec::new(), part, metrics.clone());
        engine.suspend(true);
        let outpost = Outpost::new(spill, archive, runtime.clone());
        let settler = Settler { outpost, groups: received, durable, runtime, metrics };
        let engine = core::thread("engine", || engine.run().map_err(anyhow::Error::from))?;
        let settler = core::thread("archive", || settler.run())?;
        Ok(core::ended(engine, settler))
    }
}

/// The thread that archives events and settles them.
struct Settler {
    outpost: Outpost,
    groups: Receiver<Group>,
    durable: watch::Receiver<Tick>,
    runtime: Handle,
    metrics: Metrics,
}

impl Settler {
    /// Runs until the engine has gone and everything it sent is settled.
    fn run(mut self) -> anyhow::Result<()> {
        loop {
            let mut group = match self.groups.recv_timeout(IDLE) {
                Ok(group) => group,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            while let Ok(more) = self.groups.try_recv() {
                group.extend(more);
            }
            // The first process sees to what has no delivery here.
            if group.receipts.is_empty() {
                continue;
            }
            self.keep(&group)?;
            let upper = group.commit.sealed.upper;
            self.runtime
                .block_on(self.durable.wait_for(|durable| *durable >= upper))
                .map_err(|_| anyhow!("the dataflow has stopped"))?;
            group.receipts.into_iter().for_each(ingress::submit::Receipt::settle);
        }
    }

    /// Archives events, however long it takes.
    fn keep(&mut self, group: &Group) -> Result<(), Error> {
        loop {
            let kept = self.outpost.keep(&group.commit.events);
            let away = self.outpost.archive_is_away();
            self.metrics.sink(Sink { name: "mongodb", away, took: None });
            match kept {
                Ok(archived) => {
                    self.metrics.archived(archived);
                    return Ok(());
                }
                Err(error) if error.passes() => {
                    tracing::error!(%error, "events can not be kept; trying again");
                    std::thread::sleep(RETRY);
                }
                Err(error) => return Err(error),
            }
        }
    }
}
