//! What makes views of deliveries: the dataflow, the engine that feeds it, and the store thread.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;

use anyhow::{Context, anyhow};
use api::Readiness;
use pipeline::dataflow::Config;
use pipeline::retention::Retention;
use pipeline::rules::Rule;
use pipeline::worker::Pipeline;
use sinks::live::Live;
use sinks::redis::Follower;
use sinks::store::{Reader, Recovery, Store};
use tokio::sync::watch;

use crate::engine::{self, Engine, GRID, Msg};
use crate::keeper::Keeper;
use crate::metrics::Metrics;
use crate::restore::restore;
use crate::rules_file::{self, RulesFile};

/// The threads behind a server, before they are started.
pub(crate) struct Core {
    /// The way to the engine.
    pub(crate) inbox: Sender<Msg>,
    pub(crate) live: Arc<RwLock<Live>>,
    pub(crate) metrics: Metrics,
    /// Threads that run the dataflow.
    pub(crate) n_workers: usize,
}

/// The store to go on from.
pub(crate) struct Stores {
    pub(crate) store: Box<dyn Store>,
    pub(crate) reader: Box<dyn Reader>,
    pub(crate) recovery: Recovery,
}

/// Ready when engine and store thread have ended.
pub(crate) type Ended = tokio::task::JoinHandle<anyhow::Result<()>>;

impl Core {
    /// Restores the state and starts the threads. `follower` is made when the state is shown.
    pub(crate) fn start(
        self,
        stores: Stores,
        msgs: Receiver<Msg>,
        rules: Vec<Rule>,
        follower: impl FnOnce() -> anyhow::Result<Option<Follower>>,
        progress: &watch::Sender<Readiness>,
    ) -> anyhow::Result<Ended> {
        let Stores { mut store, mut reader, recovery } = stores;
        let youngest_retired = recovery.youngest_retired.unwrap_or(Retention::NONE_RETIRED);
        let config = Config {
            retention: Some(Retention { youngest_retired, ..Retention::default() }),
            grid: GRID.as_micros() as u64,
            keep_records: true,
            judge: true,
            ..Config::default()
        };
        let Core { inbox, live, metrics, n_workers } = self;
        let sealed = inbox.clone();
        let pipeline = Pipeline::start_into(config, n_workers, move |batch| {
            sealed.send(Msg::Sealed(batch)).is_ok()
        })?;
        let told = |recovered, of| {
            progress.send_replace(Readiness::Starting { recovered, of });
        };
        let tick = restore(&mut *store, recovery, &mut *reader, &pipeline, &msgs, &live, told)?;
        let follower = follower()?;

        let (groups, received) = mpsc::channel();
        let engine = Engine::new(pipeline, msgs, groups, tick, rules, metrics.clone());
        let keeper = Keeper { store, groups: received, engine: inbox, live, follower, metrics };
        let engine = thread("engine", || engine.run().map_err(anyhow::Error::from))?;
        let keeper = thread("store", || keeper.run().map_err(anyhow::Error::from))?;
        Ok(tokio::task::spawn_blocking(|| join(engine).and(join(keeper))))
    }
}

/// The rules that the program brings along.
pub(crate) const DEFAULT_RULES: &str = include_str!("rules/default.yaml");
pub(crate) const DEMO_RULES: &str = include_str!("rules/demo.yaml");

/// The rules to judge: those given, else those of the last start that was given some, else ours.
pub(crate) fn rules_in_force(
    store: &mut dyn Store,
    given: Option<RulesFile>,
    kept: Option<String>,
    demo: bool,
) -> anyhow::Result<Vec<Rule>> {
    if let Some(file) = given {
        store.keep_rules(engine::now(), &file.yaml)?;
        return Ok(file.rules);
    }
    let (yaml, origin) = match kept {
        Some(yaml) => (yaml, "the rules kept from the last start"),
        None if demo => (DEMO_RULES.to_owned(), "the rules of the demo"),
        None => (DEFAULT_RULES.to_owned(), "the default rules"),
    };
    Ok(rules_file::parse(yaml, origin)?.rules)
}

type Thread = JoinHandle<anyhow::Result<()>>;

fn thread(
    name: &str,
    body: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<Thread> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.spawn(body).with_context(|| format!("cannot start the {name} thread"))
}

fn join(thread: Thread) -> anyhow::Result<()> {
    thread.join().unwrap_or_else(|_| Err(anyhow!("a thread has panicked; its message is above")))
}
