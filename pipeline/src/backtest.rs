//! Rules over a recorded stream, on virtual time: when would they have fired, and over which jobs?
//!
//! ```text
//!   facts, in the order of their times ──▶ dataflow, as it runs live ──▶ alerts ──▶ episodes
//!                                                     └──▶ rows of jobs ───────────▲
//! ```
//!
//! The clock is the stream's. Nothing is retired, so a job is there for as long as the stream goes
//! on; where the program runs for longer than its retention, jobs that finished long ago have left.
//!
//! # Cost
//!
//! That of a replay that is judged at every second, a copy of every job's row, and for the first
//! [`COUNTED`] episodes one pass over the jobs.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use contracts::answers::{EpisodeJobs, EpisodeView};
use contracts::snapshot::AlertState;
use contracts::{JobId, Micros};

use crate::Tick;
use crate::dataflow::Config;
use crate::fact::{Fact, Input, Record};
use crate::row::Row;
use crate::rules::behind::Behind;
use crate::rules::{Expr, Order, Rule};
use crate::seal::Sealed;
use crate::views::alerts::Alert;
use crate::views::sliding::{Steps, Wanted};
use crate::worker::{Pipeline, Stopped};

/// Facts of a tick: enough to make the fixed cost of a tick small beside them.
const TICK_FACTS: usize = 10_000;

/// µs between two judgements.
const SECOND: Tick = 1_000_000;

/// Episodes of which the jobs are looked for; of a rule that fires that often, nobody reads more.
pub const COUNTED: usize = 500;

/// Jobs that an episode names.
pub const NAMED: usize = 10;

/// The rule's name, and the labels of rule and subject.
pub type Identity = (String, BTreeMap<String, String>);

/// An alert, from when it was pending or fired until it was gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// As it was when it began to fire; as it was last, if it never did.
    pub alert: Alert,
    /// As it was last.
    pub latest: Alert,
    /// When it was gone; none if it was there at the end.
    pub ended_at: Option<Tick>,
    /// The jobs behind it when it began to fire.
    pub jobs: Option<EpisodeJobs>,
}

impl Episode {
    /// As people see it.
    pub fn view(&self) -> EpisodeView {
        let Alert { alert, labels, active_at, fired_at, value, annotations, .. } = &self.alert;
        let micros = |tick: Tick| Micros(i64::try_from(tick).unwrap_or(i64::MAX));
        EpisodeView {
            alert: alert.clone(),
            labels: labels.clone(),
            active_at: micros(*active_at),
            fired_at: fired_at.map(micros),
            ended_at: self.ended_at.map(micros),
            value: value.get(),
            annotations: annotations.clone(),
            jobs: self.jobs.clone(),
        }
    }
}

/// When `rules` would have fired over `facts`, which are sorted by their times, and after them up to
/// `until`; without it time ends with the last of them.
pub fn episodes(
    rules: Vec<Rule>,
    facts: &[Fact],
    until: Option<Tick>,
) -> Result<Vec<EpisodeView>, Stopped> {
    let mut backtest = Backtest::start(rules)?;
    facts.iter().try_for_each(|fact| backtest.take(fact.clone()))?;
    if let Some(until) = until {
        backtest.advance(until)?;
    }
    Ok(backtest.finish()?.iter().map(Episode::view).collect())
}

/// A back-test under way.
pub struct Backtest {
    pipeline: Pipeline,
    clock: Tick,
    /// Everything before has come out.
    upper: Tick,
    open: Vec<Input>,
    rules: Vec<Rule>,
    rows: HashMap<JobId, Row>,
    current: BTreeMap<Identity, Episode>,
    ended: Vec<Episode>,
    counted: usize,
}

impl Backtest {
    pub fn start(rules: Vec<Rule>) -> Result<Backtest, Stopped> {
        let config = Config {
            grid: 1,
            steps: Steps::Every,
            wanted: Wanted::by(&rules),
            judge: true,
            keep_records: true,
            ..Config::default()
        };
        Ok(Backtest {
            pipeline: Pipeline::start(config, 1)?,
            clock: 0,
            upper: 0,
            open: Vec::new(),
            rules,
            rows: HashMap::new(),
            current: BTreeMap::new(),
            ended: Vec::new(),
            counted: 0,
        })
    }

    /// Takes the next fact; one that is behind the clock counts from now on.
    pub fn take(&mut self, fact: Fact) -> Result<(), Stopped> {
        self.pass(Tick::try_from(fact.at).unwrap_or(0), TICK_FACTS)?;
        self.open.push(Input::Fact(fact));
        while let Some(sealed) = self.pipeline.sealed_within(Duration::ZERO)? {
            self.read(sealed);
        }
        Ok(())
    }

    /// Lets time pass until `tick`, which is judged.
    pub fn advance(&mut self, tick: Tick) -> Result<(), Stopped> {
        if tick < self.upper {
            return Ok(());
        }
        self.pass(tick, 0)?;
        let clock = self.clock;
        self.pipeline.tick(clock, std::mem::take(&mut self.open))?;
        while self.upper <= clock {
            let sealed = self.pipeline.sealed()?;
            self.read(sealed);
        }
        Ok(())
    }

    /// The alerts as they are.
    pub fn current(&self) -> impl Iterator<Item = &Alert> {
        self.current.values().map(|episode| &episode.latest)
    }

    /// Judges the last whole second, and gives all episodes in the order in which they began.
    pub fn finish(mut self) -> Result<Vec<Episode>, Stopped> {
        let clock = self.clock;
        self.advance(clock)?;
        let mut episodes = self.ended;
        episodes.extend(self.current.into_values());
        let key = |episode: &Episode| {
            let Alert { alert, labels, active_at, .. } = &episode.alert;
            (*active_at, alert.clone(), labels.clone())
        };
        episodes.sort_by_key(key);
        Ok(episodes)
    }

    /// Moves the clock; what is open goes in at where it was if a second ends there, or if there is
    /// as much as that.
    fn pass(&mut self, tick: Tick, at_most: usize) -> Result<(), Stopped> {
        // A tick that is closed takes in nothing more.
        let clock = self.clock.max(tick).max(self.upper);
        let next_second = clock.div_ceil(SECOND) > self.clock.div_ceil(SECOND);
        if !self.open.is_empty() && (self.open.len() >= at_most || next_second) {
            self.pipeline.feed(self.clock, std::mem::take(&mut self.open))?;
        }
        self.clock = clock;
        let rules = std::mem::take(&mut self.rules);
        if !rules.is_empty() {
            let orders = rules.into_iter().map(|rule| (Order::from(rule), 1));
            self.pipeline.orders(clock, orders.collect())?;
        }
        Ok(())
    }

    /// Takes in what came out: at each tick the jobs that changed, then the alerts over them.
    fn read(&mut self, sealed: Sealed) {
        self.upper = sealed.upper;
        let mut records = sealed.records;
        records.sort_by_key(|(_, tick, ())| *tick);
        let mut records = records.into_iter().peekable();
        let mut alerts = sealed.alerts;
        // A retraction before what takes its place.
        alerts.sort_by_key(|(_, tick, diff)| (*tick, *diff));
        let mut changed: Vec<Alert> = Vec::new();
        for (i, (alert, tick, diff)) in alerts.iter().enumerate() {
            while let Some((record, ..)) = records.next_if(|(_, at, ())| at <= tick) {
                self.keep(record);
            }
            let identity = (alert.alert.clone(), alert.labels.clone());
            let last_of_tick = alerts.get(i + 1).is_none_or(|(_, next, _)| next != tick);
            if *diff > 0 {
                changed.push(alert.clone());
            } else if let Some(known) = self.current.get_mut(&identity) {
                known.ended_at = Some(*tick);
            }
            if last_of_tick {
                self.settle(&mut changed);
            }
        }
        records.for_each(|(record, ..)| self.keep(record));
    }

    fn keep(&mut self, record: Record) {
        let row = Row::of(record.job, &record.summary, record.abandoned_at.is_some());
        self.rows.insert(record.job, row);
    }

    /// What was retracted at a tick is over, unless it is there again in another form.
    fn settle(&mut self, changed: &mut Vec<Alert>) {
        for alert in changed.drain(..) {
            let identity = (alert.alert.clone(), alert.labels.clone());
            let fires = alert.state == AlertState::Firing;
            let known = self.current.remove(&identity);
            let known = known.filter(|known| known.alert.active_at == alert.active_at);
            let episode = match known {
                // What it was when it began to fire stays.
                Some(known) if known.alert.state == AlertState::Firing => {
                    Episode { latest: alert, ended_at: None, ..known }
                }
                _ => {
                    let jobs = if fires { self.jobs_behind(&alert) } else { None };
                    Episode { latest: alert.clone(), alert, ended_at: None, jobs }
                }
            };
            self.current.insert(identity, episode);
        }
        let over = self.current.extract_if(.., |_, episode| episode.ended_at.is_some());
        self.ended.extend(over.map(|(_, episode)| episode));
    }

    fn jobs_behind(&mut self, alert: &Alert) -> Option<EpisodeJobs> {
        self.counted += 1;
        if self.counted > COUNTED {
            return None;
        }
        let expr = Expr::parse(&alert.expr).ok()?;
        let at = i64::try_from(alert.fired_at?).ok()?;
        let behind = Behind::of(&expr, &alert.labels, alert.value.get(), at)?;
        let rows = self.rows.values().filter(|row| behind.has(row));
        let mut ids: Vec<JobId> = rows.map(|row| row.job).collect();
        let n = ids.len();
        ids.sort_unstable();
        ids.truncate(NAMED);
        Some(EpisodeJobs { n, ids })
    }
}
