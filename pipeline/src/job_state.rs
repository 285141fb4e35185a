//! The state of every job: one row per job, the join of its facts.
//!
//! ```text
//!   facts, records read back ──exchange by job──▶ JobStates ──▶ changes   (old row, new row)
//!                                                          ├──▶ records   what a store keeps
//!                                                          └──▶ lookups   facts of jobs not here
//! ```
//!
//! A tick's facts are joined into the table as soon as every earlier tick is complete, and the net
//! change of each job leaves when the tick itself is. So a tick may hold any number of facts: what
//! waits is one old row per job touched.
//!
//! # Invariants
//!
//! 1. At every tick a job has at most one change, from the row it had before the tick.
//! 2. The rows after a tick depend on the *set* of facts up to it (retention and signs of workers
//!    aside).
//! 3. A fact about a job that is not here, and may have been retired, never makes a row by itself:
//!    it leaves on `lookups`, to come back at a later tick with what the store knows. If the job
//!    was here in between and has been retired again, the store knows more by now: the fact leaves
//!    once more.
//! 4. Retiring and recalling a job are changes of its row's `retired`, so every view that counts
//!    both sides of it is untouched.
//! 5. A job of Celery that expires before anybody takes it is cancelled, by an inference; whether it
//!    has expired depends on its facts and the tick, not on the order in which they came.
//! 6. A job of Celery whose worker began anew before it told the end has failed, by an inference,
//!    whichever of the two is heard of first; one that has ended unseen is given up at once (see
//!    [`crate::lives`]).
//! 7. When the input closes, time stops: no timer fires.
//!
//! # Cost
//!
//! O(1) per fact; a sign of a worker costs what that has begun and not ended. Memory is that of
//! [`crate::job_table`] and 16 to 32 bytes per job in the wheel; of Celery's jobs, some 60 more for one
//! that waits and may expire, and some 40 for one that is begun.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use contracts::event::{JobId, UNTOLD};
use hashbrown::{HashMap, HashSet};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{StreamVec, operators::InputCapability};

use crate::Tick;
use crate::fact::{Answer, Fact, Input, Record};
use crate::job_table::{Entry, Index, JobTable};
use crate::lives::{Fate, Lives, Sign};
use crate::name::Name;
use crate::retention::Retention;
use crate::row::{Change, Changes, Row};
use crate::summary::{Summary, UNKNOWN};
use crate::wheel::Wheel;

/// What the operator gives out.
pub struct Jobs<'s> {
    pub changes: Changes<'s>,
    pub records: StreamVec<'s, Tick, (Record, Tick, ())>,
    pub lookups: StreamVec<'s, Tick, (Fact, Tick, ())>,
}

/// Longest window plus its step, in µs: a finished job stays until it has left every window.
const IN_WINDOWS: i64 = 3_660_000_000;

/// How long it is remembered that a job was retired, in µs; an older answer is not believed.
const REMEMBERED: Tick = 60_000_000;

/// A job that may expire is looked at this often at least, in µs, so that those that end meanwhile do
/// not wait here for weeks.
const LOOK: Tick = 3_600_000_000;

/// Jobs looked for before the first of them is touched.
const AHEAD: usize = 16;

/// The jobs retired in the last [`REMEMBERED`].
#[derive(Default)]
struct RetiredLately {
    at: HashMap<JobId, Tick>,
    in_order: VecDeque<(Tick, JobId)>,
}

impl RetiredLately {
    fn add(&mut self, tick: Tick, job: JobId) {
        self.at.insert(job, tick);
        self.in_order.push_back((tick, job));
        while let Some(&(at, job)) = self.in_order.front()
            && at + REMEMBERED < tick
        {
            self.in_order.pop_front();
            // It may have been retired again since.
            if self.at.get(&job) == Some(&at) {
                self.at.remove(&job);
            }
        }
    }

    /// Whether `job` was retired at `since` or later.
    fn contains(&self, job: JobId, since: Tick) -> bool {
        self.at.get(&job).is_some_and(|&at| at >= since)
    }
}

/// The states of the jobs of one worker, without the dataflow around them.
struct JobStates {
    /// Without it nothing is retired, given up or looked up.
    retention: Option<Retention>,
    keep_records: bool,
    table: JobTable,
    wheel: Wheel,
    /// Jobs of Celery to be looked at, by when: to the µs, so that what has expired at a tick does not
    /// depend on when it was told.
    looks: BTreeMap<Tick, Vec<JobId>>,
    /// When each of them is looked at next.
    looking: HashMap<JobId, Tick>,
    /// What was heard of the workers of Celery.
    lives: Lives,
    /// The jobs of Celery that each worker has begun and not ended, as far as is reported.
    begun: HashMap<Name, HashSet<JobId>>,
    /// The jobs touched in the tick at hand, each with its row before.
    touched: Vec<(Index, Option<Row>)>,
    /// Rows that a record read back takes out of the totals, for jobs already here.
    recalled: Vec<Change>,
    lookups: Vec<(Fact, Tick, ())>,
    retired_lately: RetiredLately,
    /// The latest `createdAt` of a job that has been retired.
    youngest_retired: i64,
}

impl JobStates {
    fn new(retention: Option<Retention>, keep_records: bool) -> JobStates {
        JobStates {
            retention,
            keep_records,
            table: JobTable::new(),
            wheel: Wheel::default(),
            looks: BTreeMap::new(),
            looking: HashMap::new(),
            lives: Lives::default(),
            begun: HashMap::new(),
            touched: Vec::new(),
            recalled: Vec::new(),
            lookups: Vec::new(),
            retired_lately: RetiredLately::default(),
            youngest_retired: retention
                .map_or(Retention::NONE_RETIRED, |retention| retention.youngest_retired),
        }
    }

    /// Takes in `inputs`, in their order, and leaves none of them.
    fn apply(&mut self, tick: Tick, inputs: &mut Vec<Input>) {
        let mut found = [None; AHEAD];
        let mut inputs = inputs.drain(..);
        loop {
            // Finding a job is waiting for memory. Looking for several in a row lets the
            // processor wait for all of them at once.
            let ahead = inputs.as_slice();
            let n = ahead.len().min(AHEAD);
            for (found, input) in found.iter_mut().zip(ahead) {
                *found = self.find(input.job());
            }
            for (input, found) in inputs.by_ref().take(n).zip(found) {
                match input {
                    Input::Fact(fact) => self.learn(tick, fact, found),
                    Input::Stored(record) => self.recall(tick, *record),
                    Input::Answer(answer) => self.answered(tick, *answer),
                    Input::Sign(sign) => self.hear(tick, &sign),
                }
            }
            if n < AHEAD {
                return;
            }
        }
    }

    fn find(&self, job: JobId) -> Option<Index> {
        self.table.find(self.table.place(job), job)
    }

    /// Joins `fact` into its job, which is at `found` unless it has come since.
    fn learn(&mut self, tick: Tick, fact: Fact, found: Option<Index>) {
        let Some(index) = found.or_else(|| self.find(fact.job)) else {
            let youngest_retired = self.youngest_retired;
            let young =
                |retention: Retention| retention.young(fact.created_at, youngest_retired, tick);
            // Where the attempt is untold, so is when the job was created.
            let tells = fact.attempt != UNTOLD;
            if self.retention.is_none_or(|retention| tells && young(retention)) {
                self.begin(tick, &fact);
            } else {
                self.lookups.push((fact, tick, ()));
            }
            return;
        };
        let before = self.table.get(index).summary.begun();
        if self.join(tick, index, &fact) && self.table.get(index).summary.is_untold() {
            self.moved(fact.job, before, index);
            self.conclude(tick, index);
        }
    }

    /// Joins `fact` into the job at `index`; whether it was news.
    fn join(&mut self, tick: Tick, index: Index, fact: &Fact) -> bool {
        let entry = self.table.get_mut(index);
        let old = (!entry.touched).then(|| row(entry));
        let news = entry.summary.join(&Summary::of(fact));
        if news {
            entry.tick = tick;
            entry.abandoned_at = 0;
            entry.unsaved = true;
            if let Some(old) = old {
                entry.touched = true;
                self.touched.push((index, Some(old)));
            }
        }
        news
    }

    /// Notes where a job is begun.
    fn moved(&mut self, job: JobId, before: Option<(Name, i64)>, index: Index) {
        let now = self.table.get(index).summary.begun();
        let [before, now] = [before, now].map(|begun| begun.map(|(worker, _)| worker));
        if let Some(worker) = before.filter(|_| before != now) {
            self.ended(job, worker);
        }
        if let Some(worker) = now {
            self.begun.entry(worker).or_default().insert(job);
        }
    }

    fn ended(&mut self, job: JobId, worker: Name) {
        if let Some(jobs) = self.begun.get_mut(&worker) {
            jobs.remove(&job);
            if jobs.is_empty() {
                self.begun.remove(&worker);
            }
        }
    }

    /// Takes in a sign of a worker: what it had begun before may be lost.
    fn hear(&mut self, tick: Tick, sign: &Sign) {
        if !self.lives.hear(sign) {
            return;
        }
        let jobs: Vec<JobId> =
            self.begun.get(&sign.worker).into_iter().flatten().copied().collect();
        for job in jobs {
            if let Some(index) = self.find(job) {
                self.conclude(tick, index);
            }
        }
    }

    /// What became of the job at `entry`, if its worker has begun it and told nothing more.
    fn fate(&self, entry: &Entry) -> Option<(Name, Fate)> {
        let (worker, at) = entry.summary.begun()?;
        Some((worker, self.lives.fate(worker, at)?))
    }

    /// Takes in what follows, of a job of Celery, from what is not told: that it was lost, has ended,
    /// or has expired. It is looked at again when it may have.
    fn conclude(&mut self, tick: Tick, index: Index) {
        let entry = self.table.get(index);
        let job = entry.job;
        let fate = self.fate(entry);
        let given_up = |retention: Retention| entry.tick + retention.abandon_after;
        let unseen = entry.abandoned_at != 0
            && self.retention.map(given_up).is_none_or(|given_up| entry.abandoned_at < given_up);
        if unseen && matches!(fate, Some((_, Fate::Lost(_)))) {
            // It had ended before, by a sign that came before a restart.
            return;
        }
        let fact = match fate {
            Some((_, Fate::Lost(at))) => entry.summary.lost(job, at),
            Some((_, Fate::Unseen)) => None,
            None => entry.summary.expired(job, tick),
        };
        let due = entry.summary.expiry();
        if let Some((worker, fate)) = fate {
            // Unless more is heard of it, nothing is to be concluded any more.
            self.ended(job, worker);
            if fate == Fate::Unseen {
                self.give_up(tick, index);
            }
        }
        if let Some(fact) = fact {
            self.join(tick, index, &fact);
        } else if let Some(due) = due {
            self.look(job, due.min(tick + LOOK));
        }
    }

    /// Has a job looked at by `due`.
    fn look(&mut self, job: JobId, due: Tick) {
        let next = self.looking.entry(job).or_insert(Tick::MAX);
        if due < *next {
            *next = due;
            self.looks.entry(due).or_default().push(job);
        }
    }

    /// Nothing more is expected to be heard of the job at `index`.
    fn give_up(&mut self, tick: Tick, index: Index) {
        let entry = self.table.get_mut(index);
        // It has been before, or has been told of in the same breath.
        if entry.abandoned_at != 0 || entry.summary.state().terminal() {
            return;
        }
        if !entry.touched {
            entry.touched = true;
            self.touched.push((index, Some(row(entry))));
        }
        entry.unsaved = true;
        entry.abandoned_at = tick;
    }

    /// The next tick at which a timer is due.
    fn next_timer(&self) -> Option<Tick> {
        let look = self.looks.first_key_value().map(|(&due, _)| due);
        self.wheel.next().into_iter().chain(look).min()
    }

    fn answered(&mut self, tick: Tick, Answer { fact, record, read_at }: Answer) {
        if self.find(fact.job).is_none() {
            let retired_since = self.retired_lately.contains(fact.job, read_at);
            if retired_since || tick.saturating_sub(read_at) > REMEMBERED {
                self.lookups.push((fact, tick, ()));
                return;
            }
            if record.is_none() {
                self.begin(tick, &fact);
                return;
            }
        }
        if let Some(record) = record {
            self.recall(tick, record);
        }
        self.learn(tick, fact, None);
    }

    /// Adds a job that its first fact has made.
    fn begin(&mut self, tick: Tick, fact: &Fact) {
        let index = self.insert(tick, fact.job, Summary::of(fact));
        if fact.attempt == UNTOLD {
            self.moved(fact.job, None, index);
            self.conclude(tick, index);
        }
        if let Some(retention) = &self.retention {
            self.wheel.enter(Wheel::slot(tick + retention.retire_after), fact.job);
        }
    }

    fn recall(&mut self, tick: Tick, record: Record) {
        let retired = record.retired_at.is_some();
        let old = || {
            let row = Row::of(record.job, &record.summary, record.abandoned_at.is_some());
            Row { retired: true, ..row }
        };
        if let Some(index) = self.find(record.job) {
            let entry = self.table.get_mut(index);
            if !entry.touched {
                self.touched.push((index, Some(row(entry))));
                entry.touched = true;
            }
            let before = entry.summary.begun();
            entry.summary.join(&record.summary);
            // The store may lack what was here, or still have it as retired.
            entry.unsaved = true;
            if retired && !entry.recalled {
                self.recalled.push(Change { old: Some(old()), new: None });
            }
            entry.recalled = true;
            if entry.summary.is_untold() {
                self.moved(record.job, before, index);
                self.look(record.job, tick + 1);
            }
            return;
        }
        let before = retired.then(old);
        let index = self.insert(tick, record.job, record.summary);
        if let Some((_, old)) = self.touched.last_mut() {
            *old = before;
        }
        let entry = self.table.get_mut(index);
        entry.tick = record.tick;
        entry.abandoned_at = record.abandoned_at.unwrap_or(0);
        entry.recalled = true;
        if entry.summary.is_untold() {
            self.moved(record.job, None, index);
            let entry = self.table.get(index);
            if entry.summary.expiry().is_some() || self.fate(entry).is_some() {
                // Not while it is read: what that tick seals is not written.
                self.look(record.job, tick + 1);
            }
        }
        let entry = self.table.get_mut(index);
        // Read back at a restart, it is just what the store has.
        entry.unsaved = retired;
        if let Some(retention) = &self.retention {
            // It goes on from where it was, but not at this tick: a restart does not write it.
            let due = due(entry, retention).clamp(tick + 1, tick + retention.retire_after);
            self.wheel.enter(Wheel::slot(due), record.job);
        }
    }

    /// Adds a job that is not here, as touched and without a row before.
    fn insert(&mut self, tick: Tick, job: JobId, summary: Summary) -> Index {
        let entry = Entry {
            job,
            summary,
            tick,
            abandoned_at: 0,
            touched: true,
            retiring: false,
            recalled: false,
            unsaved: true,
        };
        let place = self.table.place(job);
        let index = self.table.insert(place, entry);
        self.touched.push((index, None));
        index
    }

    /// Looks at the jobs due at `tick`: gives up, retires, or enters them again.
    fn fire(&mut self, tick: Tick) {
        while let Some(look) = self.looks.first_entry().filter(|due| *due.key() <= tick) {
            let due = *look.key();
            for job in look.remove() {
                // It may have been looked at sooner.
                if self.looking.get(&job) != Some(&due) {
                    continue;
                }
                self.looking.remove(&job);
                if let Some(index) = self.find(job) {
                    self.conclude(tick, index);
                }
            }
        }
        let Some(retention) = self.retention else { return };
        while self.wheel.next().is_some_and(|due| due <= tick) {
            let Some((_, jobs)) = self.wheel.take() else { return };
            for job in jobs {
                let Some(index) = self.find(job) else { continue };
                let entry = self.table.get_mut(index);
                let due = due(entry, &retention);
                if due > tick {
                    let again = due.min(tick + retention.retire_after);
                    self.wheel.enter(Wheel::slot(again), job);
                    continue;
                }
                if !(entry.summary.state().terminal() || entry.abandoned_at != 0) {
                    self.give_up(tick, index);
                    self.wheel.enter(Wheel::slot(tick + retention.retire_after), job);
                    continue;
                }
                if !entry.touched {
                    entry.touched = true;
                    self.touched.push((index, Some(row(entry))));
                }
                entry.unsaved = true;
                entry.retiring = true;
            }
        }
    }

    /// Ends a tick: the net change of every job touched, and what a store is to keep of them.
    fn close(&mut self, tick: Tick) -> (Vec<Change>, Vec<(Record, Tick, ())>) {
        let mut changes = Vec::with_capacity(self.touched.len());
        let mut records =
            Vec::with_capacity(if self.keep_records { self.touched.len() } else { 0 });
        let mut retired = Vec::new();
        for (index, old) in self.touched.drain(..) {
            let entry = self.table.get_mut(index);
            entry.touched = false;
            let new = Row { retired: entry.retiring, ..row(entry) };
            if self.keep_records && std::mem::take(&mut entry.unsaved) {
                let record = Record {
                    job: entry.job,
                    summary: entry.summary.clone(),
                    tick: entry.tick,
                    abandoned_at: (entry.abandoned_at != 0).then_some(entry.abandoned_at),
                    retired_at: entry.retiring.then_some(tick),
                };
                records.push((record, tick, ()));
            }
            if entry.retiring {
                retired.push(entry.job);
                self.youngest_retired = self.youngest_retired.max(entry.summary.claimed());
            }
            if old.as_ref() != Some(&new) {
                changes.push(Change { old, new: Some(new) });
            }
        }
        changes.append(&mut self.recalled);
        // Only now: a removal moves entries, and the indices above must hold.
        for job in retired {
            if let Some(index) = self.find(job) {
                if let Some((worker, _)) = self.table.get(index).summary.begun() {
                    self.ended(job, worker);
                }
                self.table.remove(index);
                self.retired_lately.add(tick, job);
            }
        }
        (changes, records)
    }
}

fn row(entry: &Entry) -> Row {
    Row::of(entry.job, &entry.summary, entry.abandoned_at != 0)
}

/// When something is to be done about a job that no further fact changes.
fn due(entry: &Entry, retention: &Retention) -> Tick {
    if entry.abandoned_at != 0 {
        return entry.abandoned_at + retention.retire_after;
    }
    if !entry.summary.state().terminal() {
        return entry.tick + retention.abandon_after;
    }
    let finished = entry.summary.finished();
    let left_windows = if finished == UNKNOWN { 0 } else { finished.saturating_add(IN_WINDOWS) };
    (entry.tick + retention.retire_after).max(Tick::try_from(left_windows).unwrap_or(0))
}

/// The capabilities for the three outputs, at the earliest tick for which something may come.
#[derive(Default)]
struct Held(Option<[Capability<Tick>; 3]>);

impl Held {
    fn observe(&mut self, capability: &InputCapability<Tick>) {
        let tick = capability.time();
        if self.0.as_ref().is_none_or(|held| held[0].time() > tick) {
            self.0 = Some([0, 1, 2].map(|port| capability.delayed(tick, port)));
        }
    }

    fn downgrade(&mut self, next: Option<Tick>) {
        match (next, &mut self.0) {
            (Some(tick), Some(held)) => held.iter_mut().for_each(|held| held.downgrade(&tick)),
            (None, _) => self.0 = None,
            (Some(_), None) => {}
        }
    }
}

/// Maintains the state of every job that `inputs` speak of.
///
/// Without `retention` every job stays for ever and no fact is looked up, as in a replay.
/// `keep_records` is for those who have a store: without it `records` stays empty.
pub fn job_states<'s>(
    inputs: StreamVec<'s, Tick, Input>,
    retention: Option<Retention>,
    keep_records: bool,
) -> Jobs<'s> {
    let mut builder = OperatorBuilder::new("JobStates".to_owned(), inputs.scope());
    let exchange = Exchange::new(|input: &Input| match input {
        Input::Sign(sign) => sign.to,
        input => route(input.job()),
    });
    let mut input = builder.new_input(inputs, exchange);
    let (changes, change_stream) = builder.new_output();
    let (records, record_stream) = builder.new_output();
    let (lookups, lookup_stream) = builder.new_output();
    let mut changes = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(changes);
    let mut records = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(records);
    let mut lookups = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(lookups);

    builder.build(move |initial| {
        drop(initial);
        let mut states = JobStates::new(retention, keep_records);
        let mut held = Held::default();
        // A tick stays here until it is complete, also when its facts have been applied.
        let mut stash = BTreeMap::<Tick, Vec<Input>>::new();
        move |frontiers| {
            let frontier = &frontiers[0];
            input.for_each(|capability, facts| {
                held.observe(&capability);
                let waiting = stash.entry(*capability.time()).or_default();
                if waiting.is_empty() {
                    *waiting = std::mem::take(facts);
                } else {
                    waiting.append(facts);
                }
            });
            let (mut changes, mut records, mut lookups) =
                (changes.activate(), records.activate(), lookups.activate());
            loop {
                let facts_at = stash.first_key_value().map(|(&tick, _)| tick);
                let Some(tick) = facts_at.into_iter().chain(states.next_timer()).min() else {
                    break;
                };
                if frontier.less_than(&tick) {
                    break;
                }
                if facts_at == Some(tick)
                    && let Some(facts) = stash.get_mut(&tick)
                {
                    states.apply(tick, facts);
                }
                if frontier.less_equal(&tick) || (frontier.is_empty() && facts_at.is_none()) {
                    break;
                }
                stash.remove(&tick);
                states.fire(tick);
                let Held(Some([at_changes, at_records, at_lookups])) = &held else { break };
                let (changed, mut recorded) = states.close(tick);
                changes.session(&at_changes.delayed(&tick)).give_container(&mut Rc::new(changed));
                records.session(&at_records.delayed(&tick)).give_container(&mut recorded);
                let looked_up = &mut states.lookups;
                lookups.session(&at_lookups.delayed(&tick)).give_container(looked_up);
            }
            let facts_at = stash.first_key_value().map(|(&tick, _)| tick);
            let timer_at = states.next_timer().filter(|_| !frontier.is_empty());
            held.downgrade(facts_at.into_iter().chain(timer_at).min());
        }
    });
    Jobs { changes: change_stream, records: record_stream, lookups: lookup_stream }
}

/// The worker that has a job: the same in every process.
fn route(job: JobId) -> u64 {
    let (high, low) = job.as_u64_pair();
    (high ^ low).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}
