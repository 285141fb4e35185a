//! A program around the dataflow, with a store: what drives it when nothing fails but time.
//!
//! ```text
//!   facts ──▶ Program ──▶ bench ──Sealed──▶ Store: records, totals, samples, minutes
//!                ▲                    │
//!                └──── lookups ◀──────┘   answered some ticks later, behind what the store knows
//! ```
//!
//! After every tick all views are compared with the oracle: a job counts in the cube or in the
//! totals as the store says, and everything else as if nothing were ever retired.

use std::collections::{BTreeMap, HashMap};

use contracts::event::{JobId, State};
use pipeline::dataflow::{Config, Kept};
use pipeline::distribution::Bucket;
use pipeline::fact::{Answer, Fact, Input, Record};
use pipeline::name::Name;
use pipeline::retention::Retention;
use pipeline::seal::Sealed;
use pipeline::summary::Summary;
use pipeline::views::latency::{ABSENT, MEASURES, Sample};
use pipeline::views::sliding::{Steps, Wanted};
use pipeline::{Diff, Tick};

use super::bench::Bench;
use super::oracle::{Cube, Expected, Job, MINUTE, SECOND, Totals, jobs};
use super::random::Random;
use super::shown::{Shown, by_tick};

/// A job's row in the store: the summary as bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    summary: Vec<u8>,
    pub(crate) tick: Tick,
    pub(crate) abandoned_at: Option<Tick>,
    pub(crate) retired_at: Option<Tick>,
}

/// What outlives the dataflow.
#[derive(Clone, Default)]
pub(crate) struct Store {
    pub(crate) rows: HashMap<JobId, Row>,
    /// The retired share of the distributions: by type, queue, place of the measure, bucket.
    samples: BTreeMap<(Name, Name, usize, Bucket), Diff>,
    /// The first tick that is not in it.
    upper: Tick,
    youngest_retired: Option<i64>,
}

impl Store {
    fn write(&mut self, sealed: &Sealed) {
        self.youngest_retired = self.youngest_retired.max(sealed.youngest_retired());
        let mut written = HashMap::new();
        for (record, tick, ()) in &sealed.records {
            let Record { job, summary, tick: changed, abandoned_at, retired_at } = record.clone();
            let summary = summary.encode();
            self.rows.insert(job, Row { summary, tick: changed, abandoned_at, retired_at });
            assert!(written.insert((job, *tick), ()).is_none(), "two records of {job} at {tick}");
        }
        for (sample, _, diff) in &sealed.retired {
            for (measure, bucket) in sample.buckets.into_iter().enumerate() {
                if bucket != ABSENT {
                    let key = (sample.job_type, sample.queue, measure, bucket);
                    let n = self.samples.entry(key).or_default();
                    *n += diff;
                    if *n == 0 {
                        self.samples.remove(&key);
                    }
                }
            }
        }
    }

    /// The record of `job`.
    pub(crate) fn read(&self, job: JobId) -> Option<Record> {
        let Row { summary, tick, abandoned_at, retired_at } = self.rows.get(&job)?.clone();
        let summary = Summary::decode(&summary).expect("what was encoded");
        Some(Record { job, summary, tick, abandoned_at, retired_at })
    }

    /// What there is to say of a fact's job.
    fn answer(&self, fact: Fact) -> Answer {
        Answer { record: self.read(fact.job), fact, read_at: self.upper }
    }

    /// The jobs not retired.
    fn live(&self) -> Vec<Input> {
        let mut live: Vec<&JobId> = self
            .rows
            .iter()
            .filter(|(_, row)| row.retired_at.is_none())
            .map(|(id, _)| id)
            .collect();
        live.sort();
        let records = live.into_iter().filter_map(|job| self.read(*job));
        records.map(|record| Input::Stored(Box::new(record))).collect()
    }

    fn kept_samples(&self) -> impl Iterator<Item = Kept> {
        assert!(self.samples.values().all(|n| *n > 0), "{:?}", self.samples);
        self.samples.iter().map(|(&(job_type, queue, measure, bucket), &n)| {
            let mut buckets = [ABSENT; MEASURES.len()];
            buckets[measure] = bucket;
            Kept::Samples(Sample { job_type, queue, finished: 0, buckets }, n)
        })
    }
}

/// A fact whose job is looked up.
struct Lookup {
    fact: Fact,
    /// What the store said, if it was asked at once; else it is asked when the fact is fed.
    answer: Option<Answer>,
    /// Ticks to wait.
    waits: usize,
}

/// A dataflow, its store, and what the oracle knows.
pub(crate) struct Program {
    pub(crate) config: Config,
    bench: Bench,
    pub(crate) store: Store,
    pub(crate) shown: Shown,
    /// The facts that the views are about.
    pub(crate) facts: Vec<Fact>,
    jobs: Vec<Job>,
    lookups: Vec<Lookup>,
    /// The last tick at which a job was read back.
    recalled: HashMap<JobId, Tick>,
    random: Random,
    /// How many ticks a lookup waits, and whether the store is asked before; else at random.
    pub(crate) answers: Option<(usize, bool)>,
    pub(crate) last: Tick,
    pub(crate) n_lookups: usize,
}

/// Every view at every tick, all records kept, and jobs retired as soon as may be.
pub(crate) fn retiring() -> Config {
    let retire_after = Retention::MIN_RETIRE;
    Config {
        retention: Some(Retention {
            retire_after,
            abandon_after: 3 * retire_after,
            ..Retention::default()
        }),
        grid: 1,
        steps: Steps::Every,
        wanted: Wanted::ALL,
        keep_records: true,
        ..Config::default()
    }
}

impl Program {
    /// Runs on `bench`, which was built with `config`; the seed decides when lookups are answered.
    pub(crate) fn new(bench: Bench, config: Config, seed: u64) -> Program {
        Program {
            config,
            bench,
            store: Store::default(),
            shown: Shown::default(),
            facts: Vec::new(),
            jobs: Vec::new(),
            lookups: Vec::new(),
            recalled: HashMap::new(),
            random: Random::new(seed),
            answers: None,
            last: 0,
            n_lookups: 0,
        }
    }

    /// Runs it all through one tick, and compares after every moment of it.
    ///
    /// Answers may grow as old as they like before they are fed.
    pub(crate) fn tick(&mut self, tick: Tick, facts: &[Fact]) {
        let mut learned = facts.to_vec();
        let mut inputs = Vec::new();
        for lookup in &mut self.lookups {
            lookup.waits = lookup.waits.saturating_sub(1);
        }
        for lookup in self.lookups.extract_if(.., |lookup| lookup.waits == 0) {
            let fact = lookup.fact;
            let answer = lookup.answer.unwrap_or_else(|| self.store.answer(fact.clone()));
            if answer.record.is_some() {
                self.recalled.insert(fact.job, tick);
            }
            inputs.push(Input::Answer(Box::new(answer)));
            learned.push(fact);
        }
        inputs.extend(facts.iter().cloned().map(Input::Fact));

        let mut moments = by_tick(self.bench.tick(tick, inputs));
        let now = moments.remove(&tick).unwrap_or_default();
        for (moment, updates) in moments {
            assert!(updates.lookups.is_empty(), "no fact came at {moment}");
            self.store.write(&updates);
            self.shown.add(&updates);
            self.agrees(moment);
        }
        self.store.write(&now);
        self.store.upper = tick + 1;
        self.shown.add(&now);
        for (fact, _, ()) in now.lookups {
            let place = learned.iter().position(|learned| *learned == fact);
            learned.remove(place.expect("only facts of this tick are looked up"));
            self.n_lookups += 1;
            // Whatever is retired by now is committed before the store is asked.
            let at_random = (1 + self.random.below(3), self.random.once_in(2));
            let (waits, at_once) = self.answers.unwrap_or(at_random);
            let answer = at_once.then(|| self.store.answer(fact.clone()));
            self.lookups.push(Lookup { fact, answer, waits });
        }
        if !learned.is_empty() {
            self.facts.append(&mut learned);
            self.jobs = jobs(&self.facts);
        }
        self.agrees(tick);
        self.last = tick;
    }

    /// Ticks until every lookup is answered.
    pub(crate) fn settle(&mut self) {
        while !self.lookups.is_empty() {
            self.tick(self.last + 1, &[]);
        }
    }

    /// What the store keeps of the retired jobs.
    pub(crate) fn kept(&self) -> Vec<Kept> {
        let cells = self.shown.retired_cells();
        let jobs = cells.into_iter().map(|(cell, n)| Kept::Jobs(cell, n));
        jobs.chain(self.store.kept_samples()).collect()
    }

    /// The configuration for a restart, with what the store knows.
    pub(crate) fn config_now(&self) -> Config {
        let youngest_retired = self.store.youngest_retired.unwrap_or(Retention::NONE_RETIRED);
        let retention = self.config.retention;
        let retention = retention.map(|retention| Retention { youngest_retired, ..retention });
        Config { retention, ..self.config }
    }

    /// Dies, and comes back on `bench` with what the store holds, read at a tick of its own.
    ///
    /// Gives back the facts that were not settled, which the broker delivers again.
    pub(crate) fn restart(&mut self, mut bench: Bench, tick: Tick) -> Vec<Fact> {
        bench.restore(tick, self.kept());
        // The minutes are the store's; all other views begin anew.
        self.shown = Shown::with_minutes(std::mem::take(&mut self.shown.minutes));
        for some in self.store.live().chunks(7) {
            self.recalled.extend(some.iter().map(|input| (input.job(), tick)));
            bench.feed(tick, some.to_vec());
        }
        let mut sealed = bench.tick(tick, Vec::new());
        assert!(sealed.records.is_empty(), "the store knows {:?}", sealed.records);
        assert!(sealed.retired.is_empty(), "the store knows {:?}", sealed.retired);
        // What this tick seals is in the store already.
        sealed.minutes.clear();
        self.shown.add(&sealed);
        self.bench = bench;
        self.agrees(tick);
        self.last = tick;
        self.lookups.drain(..).map(|lookup| lookup.fact).collect()
    }

    /// Compares all views with the oracle at `moment`.
    fn agrees(&self, moment: Tick) {
        let when = format!("at {moment}");
        let expected = Expected::of(&self.jobs, moment as i64);
        let (mut cube, mut totals, mut skewed) = (Cube::new(), Totals::new(), 0);
        for job in &self.jobs {
            let row = &self.store.rows[&job.id];
            self.kept_as_long_as_due(job, row, moment);
            let state = if row.abandoned_at.is_some() { State::Abandoned } else { job.state };
            let (job_type, queue) = (job.job_type.clone(), job.queue.clone());
            if row.retired_at.is_some() {
                *totals.entry((state, job_type)).or_default() += 1;
            } else {
                let cell = (state, job_type, queue, job.worker.clone());
                *cube.entry(cell).or_default() += 1;
                skewed += u64::from(job.skewed());
            }
        }
        assert_eq!(self.store.rows.len(), self.jobs.len(), "jobs in the store {when}");
        assert_eq!(self.shown.cube(), cube, "counts {when}");
        assert_eq!(self.shown.totals(), totals, "totals {when}");
        assert_eq!(self.shown.skewed(), skewed, "skewed {when}");
        assert_eq!(self.shown.minutes, expected.minutes, "minutes {when}");
        self.shown.agrees_on_grid(&expected, &when);
    }

    /// A job leaves memory, or is given up, when it is due: not before, and at most a second after.
    fn kept_as_long_as_due(&self, job: &Job, row: &Row, moment: Tick) {
        let Some(retention) = self.config.retention else {
            assert_eq!((row.retired_at, row.abandoned_at), (None, None), "{job:?}");
            return;
        };
        let at_least = |since: Tick, after: Tick, then: Tick| {
            assert!(since + after <= then, "{job:?} {row:?} left too early");
        };
        // Whoever is overdue when it is read back leaves at the next second.
        let read_back = self.recalled.get(&job.id).map_or(0, |tick| tick + 1);
        let at_most = |due: Tick| {
            let latest = due.max(read_back).next_multiple_of(SECOND as Tick);
            assert!(moment < latest, "{job:?} {row:?} is overdue");
        };
        let ended = job.finished.is_some();
        assert!(!ended || row.abandoned_at.is_none(), "{job:?} was given up");
        if let Some(given_up) = row.abandoned_at {
            at_least(row.tick, retention.abandon_after, given_up);
        }
        match (row.retired_at, row.abandoned_at) {
            (Some(retired_at), Some(given_up)) => {
                at_least(given_up, retention.retire_after, retired_at);
            }
            (Some(retired_at), None) => {
                assert!(ended, "{job:?} was retired unfinished");
                at_least(row.tick, retention.retire_after, retired_at);
            }
            (None, Some(given_up)) => at_most(given_up + retention.retire_after),
            (None, None) if ended => {
                let left_windows = job.finished.unwrap_or(0) + 61 * MINUTE;
                let left_windows = Tick::try_from(left_windows).unwrap_or(0);
                at_most(left_windows.max(row.tick + retention.retire_after));
            }
            (None, None) => at_most(row.tick + retention.abandon_after),
        }
    }
}
