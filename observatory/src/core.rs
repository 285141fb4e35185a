//! What makes views of deliveries: the dataflow, the engine that feeds it, and the store thread.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use anyhow::{Context, anyhow};
use api::Readiness;
use pipeline::Tick;
use pipeline::cluster::{Gone, Peers};
use pipeline::dataflow::Config;
use pipeline::grid::grid_time;
use pipeline::observed::Observed;
use pipeline::retention::Retention;
use pipeline::worker::{Out, Pipeline};
use sinks::live::Live;
use sinks::redis::{Follower, Writer};
use sinks::store::Reader;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::cluster::{self, Place};
use crate::delivery::{self, Destinations};
use crate::engine::{self, Engine, GRID, Msg, Part};
use crate::foreign::Foreign;
use crate::keeper::Keeper;
use crate::metrics::{self, Metrics};
use crate::restore::restore;
use crate::rules_file::{self, RulesFile};
use crate::rules_watch::{RulesWatch, Watched};
use crate::stores::Stores;

/// The threads behind a server, before they are started.
pub(crate) struct Core {
    /// The way to the engine.
    pub(crate) inbox: Sender<Msg>,
    pub(crate) live: Arc<RwLock<Live>>,
    pub(crate) metrics: Metrics,
    /// Threads that run the dataflow.
    pub(crate) n_workers: usize,
    /// The rules to judge from now on, if they are given.
    pub(crate) rules: Option<RulesFile>,
    /// The jobs are made up, and have rules of their own.
    pub(crate) demo: bool,
    /// There may be events that we have not been given yet: alerts are judged from when
    /// [`Msg::Suspend`] says so.
    pub(crate) behind: bool,
    /// Where alerts are sent.
    pub(crate) alerts: Destinations,
    /// Where the views are shown to other processes.
    pub(crate) redis: Option<String>,
    /// The other processes of the cluster, of which this is the first.
    pub(crate) cluster: Option<(Place, Gone)>,
}

/// Ready when engine and store thread have ended.
pub(crate) type Ended = tokio::task::JoinHandle<anyhow::Result<()>>;

impl Core {
    /// Restores the state and starts the threads; blocks, within a tokio runtime.
    pub(crate) fn start(
        self,
        mut stores: Stores,
        msgs: Receiver<Msg>,
        progress: &watch::Sender<Readiness>,
    ) -> anyhow::Result<Ended> {
        let Core { inbox, live, metrics, n_workers, rules, demo, behind, alerts, redis, cluster } =
            self;
        let Stores { reader, recovery, .. } = &mut stores;
        let rules = rules_in_force(&mut **reader, rules, recovery.rules.take(), demo)?;
        let RulesFile { path, yaml, rules } = rules;
        let generation = recovery.generation;
        let youngest_retired = recovery.youngest_retired.unwrap_or(Retention::NONE_RETIRED);
        // At a grid time, so that the first snapshot has all of it.
        let tick = grid_time(engine::now().max(recovery.frontier), GRID.as_micros() as Tick);
        let (peers, part) = match cluster {
            Some((place, gone)) => {
                let start = cluster::Start { tick, generation, youngest_retired };
                let (sockets, _) = cluster::connect(&place, n_workers, start)?;
                (Some(Peers { index: 0, sockets, gone }), Part::First(Foreign::default()))
            }
            None => (None, Part::Alone),
        };
        let config = Config { cluster: peers.is_some(), ..config(youngest_retired) };
        let sealed = inbox.clone();
        let pipeline = Pipeline::start_into(config, n_workers, peers, move |out| match out {
            Out::Sealed(batch) => sealed.send(Msg::Sealed(batch)).is_ok(),
            // It is we who say so.
            Out::Durable(_) => true,
        })?;
        let herald = config.cluster.then(|| pipeline.herald());
        let told = |recovered, of| {
            progress.send_replace(Readiness::Starting { recovered, of });
        };
        restore(&mut stores, &pipeline, tick, &msgs, &live, told)?;
        let follower = redis.map(|url| follower(&url, generation, &live)).transpose()?;
        if let Some(follower) = &follower {
            metrics::redis(&metrics.registry, follower.watch(), Arc::clone(&live))?;
        }

        let now = live.read().unwrap_or_else(PoisonError::into_inner).alerts();
        let alerts = delivery::start(alerts, now, &stores.open_reader)?;
        let file = path.map(|path| Watched::new(path, &yaml));
        let watch =
            RulesWatch { reader: stores.reader, engine: inbox.clone(), in_force: yaml, file };
        // It ends with the engine, or with the process.
        drop(thread("rules", || {
            watch.run();
            Ok(())
        })?);
        let (groups, received) = mpsc::channel();
        let mut engine = Engine::new(pipeline, msgs, groups, tick, rules, part, metrics.clone());
        engine.suspend(behind);
        let keeper = Keeper {
            store: stores.store,
            groups: received,
            engine: inbox,
            live,
            follower,
            herald,
            alerts,
            metrics,
            durable: tick,
        };
        let engine = thread("engine", || engine.run().map_err(anyhow::Error::from))?;
        let keeper = thread("store", || keeper.run().map_err(anyhow::Error::from))?;
        Ok(ended(engine, keeper))
    }
}

/// The rules that the program brings along.
pub(crate) const DEFAULT_RULES: &str = include_str!("rules/default.yaml");
pub(crate) const DEMO_RULES: &str = include_str!("rules/demo.yaml");

/// The dataflow of this process, for who looks at it.
pub(crate) static OBSERVED: Observed = Observed::new();

/// The graph of the program.
pub(crate) fn config(youngest_retired: i64) -> Config {
    Config {
        retention: Some(Retention { youngest_retired, ..Retention::default() }),
        grid: GRID.as_micros() as u64,
        keep_records: true,
        judge: true,
        observed: Some(&OBSERVED),
        ..Config::default()
    }
}

/// Shows the views to other processes from now on.
fn follower(url: &str, generation: i64, live: &Arc<RwLock<Live>>) -> anyhow::Result<Follower> {
    let (follower, writer) =
        Writer::new(url, generation, Arc::clone(live)).context("--redis-url")?;
    Handle::current().spawn(writer.run());
    Ok(follower)
}

/// The rules to judge: those given, else those of the last start that was given some, else ours.
fn rules_in_force(
    reader: &mut dyn Reader,
    given: Option<RulesFile>,
    kept: Option<String>,
    demo: bool,
) -> anyhow::Result<RulesFile> {
    if let Some(file) = given {
        reader.apply_rules(&file.kept(engine::clock()))?;
        return Ok(file);
    }
    let (yaml, origin) = match kept {
        Some(yaml) => (yaml, "the rules kept from the last start"),
        None if demo => (DEMO_RULES.to_owned(), "the rules of the demo"),
        None => (DEFAULT_RULES.to_owned(), "the default rules"),
    };
    rules_file::parse(yaml, origin)
}

type Thread<T> = JoinHandle<anyhow::Result<T>>;

/// Waits for both. The dataflow is needed until what came out of it is durable.
pub(crate) fn ended(engine: Thread<Pipeline>, keeper: Thread<()>) -> Ended {
    tokio::task::spawn_blocking(|| {
        let pipeline = join(engine);
        let kept = join(keeper);
        pipeline.and(kept)
    })
}

pub(crate) fn thread<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<Thread<T>> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.spawn(body).with_context(|| format!("cannot start the {name} thread"))
}

fn join<T>(thread: Thread<T>) -> anyhow::Result<T> {
    thread.join().unwrap_or_else(|_| Err(anyhow!("a thread has panicked; its message is above")))
}
