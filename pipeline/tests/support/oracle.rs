//! The contract read from scratch: what the views must say of a set of facts at a moment.
//!
//! Everything is computed anew from the plain facts by sorting and scanning; nothing is
//! incremental, and nothing of the dataflow is used.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use contracts::event::{JobId, Kind, State, UNTOLD};
use contracts::retries::MAX_RETRIES;
use contracts::snapshot::{Measure, Window};
use pipeline::fact::{Fact, inference_id};

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// Windows that slide, with their length in µs.
pub(crate) const SLIDING: [(Window, i64); 4] = [
    (Window::M1, MINUTE),
    (Window::M5, 5 * MINUTE),
    (Window::M15, 15 * MINUTE),
    (Window::H1, HOUR),
];

/// One job, as the contract derives it from its facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) state: State,
    pub(crate) inferred: bool,
    pub(crate) job_type: String,
    pub(crate) queue: String,
    pub(crate) worker: String,
    pub(crate) created: i64,
    pub(crate) started: Option<i64>,
    /// Start of the winning attempt.
    pub(crate) run_started: Option<i64>,
    pub(crate) finished: Option<i64>,
    /// Time of the fact that decides the state.
    pub(crate) decided: i64,
}

/// Which of two facts of one job decides: the greater.
fn standing(a: &Fact, b: &Fact) -> Ordering {
    let rank = |kind: Kind| match kind {
        Kind::Created => 0,
        Kind::Validated => 1,
        Kind::Executed => 2,
        Kind::Retried => 3,
        Kind::Completed | Kind::Failed | Kind::Cancelled => 4,
    };
    let key = |fact: &Fact| {
        let reported = !fact.inferred;
        (fact.attempt, reported, rank(fact.kind), fact.at, fact.event, fact.kind)
    };
    key(a).cmp(&key(b))
}

/// What the greatest fact that carries an attribute says of it.
///
/// Facts of equal standing have one event id and differ in this value alone, so the one with the
/// greater body has the greater value, quotes included.
fn attribute(facts: &[&Fact], of: impl Fn(&Fact) -> String) -> String {
    let mut carrying: Vec<&&Fact> = facts.iter().filter(|fact| !of(fact).is_empty()).collect();
    carrying.sort_by(|a, b| {
        let quoted = |fact: &Fact| format!("\"{}\"", of(fact));
        standing(a, b).then_with(|| quoted(a).cmp(&quoted(b)))
    });
    carrying.last().map(|fact| of(fact)).unwrap_or_default()
}

/// The state that a kind decides.
fn state(kind: Kind) -> State {
    match kind {
        Kind::Created => State::Pending,
        Kind::Validated => State::Validated,
        Kind::Executed => State::Executing,
        Kind::Retried => State::Retrying,
        Kind::Completed => State::Completed,
        Kind::Failed => State::Failed,
        Kind::Cancelled => State::Cancelled,
    }
}

fn ended(kind: Kind) -> bool {
    matches!(kind, Kind::Completed | Kind::Failed | Kind::Cancelled)
}

/// What the latest fact that carries an attribute says of it.
fn latest(facts: &[&Fact], of: impl Fn(&Fact) -> String) -> String {
    let carrying = facts.iter().filter(|fact| !of(fact).is_empty());
    let latest = carrying.max_by_key(|fact| (fact.at, format!("{}\"", of(fact))));
    latest.map(|fact| of(fact)).unwrap_or_default()
}

/// The attempt of a fact at `at`, where it follows from the retries of the job.
pub(crate) fn attempt(facts: &[&Fact], at: i64) -> u16 {
    let mut retries: Vec<_> = reported(facts, Kind::Retried).map(|f| (f.at, f.event)).collect();
    retries.sort_unstable();
    retries.dedup();
    let kept = &retries[retries.len().saturating_sub(MAX_RETRIES)..];
    1 + kept.iter().filter(|(retried, _)| *retried < at).count() as u16
}

fn reported<'a>(facts: &'a [&'a Fact], kind: Kind) -> impl Iterator<Item = &'a &'a Fact> {
    facts.iter().filter(move |fact| fact.kind == kind && !fact.inferred)
}

impl Job {
    /// A job whose facts do not tell the attempt: what follows the last retry decides.
    fn untold(facts: &[&Fact]) -> Job {
        let known: Vec<&Fact> = facts.iter().filter(|fact| !fact.inferred).copied().collect();
        let retry = reported(&known, Kind::Retried).max_by_key(|fact| (fact.at, fact.event));
        let retried_at = retry.map_or(i64::MIN, |retry| retry.at);
        let last_end = |wanted: &dyn Fn(i64) -> bool| {
            let ends = known.iter().filter(|fact| ended(fact.kind) && wanted(fact.at));
            ends.max_by_key(|fact| (fact.at, fact.event, fact.kind))
        };
        let other = known
            .iter()
            .filter(|fact| !ended(fact.kind) && fact.kind != Kind::Retried && fact.at > retried_at);
        let decides = last_end(&|at| at > retried_at)
            .or(other.max_by_key(|fact| (fact.kind, fact.at, fact.event)))
            .or(last_end(&|at| at == retried_at))
            .or(retry);
        let inference = facts
            .iter()
            .filter(|fact| fact.inferred)
            .max_by_key(|fact| (fact.created_at, fact.event, fact.kind, fact.at));
        // Before anything is reported, an inference is all there is.
        let overrules = |fact: &Fact| {
            decides.is_none_or(|decides| {
                fact.created_at == decides.at
                    && fact.event == inference_id(decides.event, fact.kind)
            })
        };
        let top = inference.filter(|fact| overrules(fact)).or(decides).expect("there is a fact");
        let decides = decides.unwrap_or(top);

        let earliest = |kind| reported(&known, kind).map(|fact| fact.at).min();
        let claimed = facts.iter().map(|fact| fact.created_at).min();
        let attempt_at = |at| attempt(facts, at);
        let starts =
            [reported(&known, Kind::Executed).map(|fact| fact.at).max(), earliest(Kind::Executed)];
        let of_this_run = |at: &i64| {
            attempt_at(*at) == attempt_at(decides.at) && (!ended(top.kind) || *at <= top.at)
        };
        // Who decides may be told twice, with different workers.
        let same: Vec<&Fact> = known
            .iter()
            .filter(|fact| {
                (fact.at, fact.event, fact.kind) == (decides.at, decides.event, decides.kind)
            })
            .copied()
            .collect();
        let of_decider = latest(&same, |fact| fact.worker.to_string());
        // Of each kind only the latest fact says who works.
        let lasts: Vec<&Fact> = known
            .iter()
            .filter(|fact| {
                let newest = reported(&known, fact.kind).map(|fact| (fact.at, fact.event)).max();
                Some((fact.at, fact.event)) == newest
            })
            .copied()
            .collect();
        let of_others = latest(&lasts, |fact| fact.worker.to_string());
        Job {
            id: top.job,
            state: state(top.kind),
            inferred: top.inferred,
            job_type: latest(facts, |fact| fact.job_type.to_string()),
            queue: latest(facts, |fact| fact.queue.to_string()),
            worker: if of_decider.is_empty() { of_others } else { of_decider },
            created: earliest(Kind::Created).or(claimed).unwrap_or(0),
            started: earliest(Kind::Executed),
            run_started: starts.into_iter().flatten().find(of_this_run),
            finished: ended(top.kind).then_some(top.at),
            decided: top.at,
        }
    }

    fn of(facts: &[&Fact]) -> Job {
        if facts.iter().all(|fact| fact.attempt == UNTOLD) {
            return Job::untold(facts);
        }
        let mut sorted = facts.to_vec();
        sorted.sort_by(|a, b| standing(a, b));
        let top = sorted[sorted.len() - 1];
        let earliest = |wanted: &dyn Fn(&Fact) -> bool| {
            facts.iter().filter(|fact| wanted(fact)).map(|fact| fact.at).min()
        };
        let claimed = facts.iter().map(|fact| fact.created_at).min();
        Job {
            id: top.job,
            state: state(top.kind),
            inferred: top.inferred,
            job_type: attribute(facts, |fact| fact.job_type.to_string()),
            queue: attribute(facts, |fact| fact.queue.to_string()),
            worker: attribute(facts, |fact| fact.worker.to_string()),
            created: earliest(&|fact| fact.kind == Kind::Created).or(claimed).unwrap_or(0),
            started: earliest(&|fact| fact.kind == Kind::Executed),
            run_started: earliest(&|fact| {
                fact.kind == Kind::Executed && fact.attempt == top.attempt
            }),
            finished: ended(top.kind).then_some(top.at),
            decided: top.at,
        }
    }

    pub(crate) fn latency(&self, measure: Measure) -> Option<i64> {
        match measure {
            Measure::Wait => Some(self.started? - self.created),
            Measure::Run => Some(self.finished? - self.run_started?),
            Measure::Total => Some(self.finished? - self.created),
        }
    }

    pub(crate) fn skewed(&self) -> bool {
        Measure::ALL.iter().any(|measure| self.latency(*measure).is_some_and(|micros| micros < 0))
    }
}

/// The jobs that `facts` speak of, in the order of their ids.
pub(crate) fn jobs<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Vec<Job> {
    let mut by_job = BTreeMap::<JobId, Vec<&Fact>>::new();
    for fact in facts {
        by_job.entry(fact.job).or_default().push(fact);
    }
    by_job.values().map(|facts| Job::of(facts)).collect()
}

/// By state, type, queue, worker.
pub(crate) type Cube = BTreeMap<(State, String, String, String), u64>;
/// By state and type.
pub(crate) type Totals = BTreeMap<(State, String), u64>;
/// Per measure, type or all, and window.
pub(crate) type Latencies<V> = BTreeMap<(Measure, Option<String>, Window), V>;
/// Created, finished, failed; per type or all, and window.
pub(crate) type Rates = BTreeMap<(Option<String>, Window), [u64; 3]>;
/// Created, finished, failed, cancelled, waits, their µs, runs, their µs; per minute and type.
pub(crate) type Minutes = BTreeMap<(i64, String), [i64; 8]>;

/// What the views must say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) cube: Cube,
    pub(crate) skewed: u64,
    /// The latencies in µs, sorted.
    pub(crate) latency: Latencies<Vec<i64>>,
    /// The same by queue.
    pub(crate) by_queue: BTreeMap<String, Latencies<Vec<i64>>>,
    pub(crate) throughput: Rates,
    pub(crate) minutes: Minutes,
}

impl Expected {
    /// What the views must say of `jobs` at `as_of`, if none is retired or given up.
    pub(crate) fn of(jobs: &[Job], as_of: i64) -> Expected {
        let mut expected = Expected::default();
        for job in jobs {
            expected.count(job);
            expected.measure(job, as_of);
            expected.tell_minutes(job);
        }
        let of_queues = expected.by_queue.values_mut();
        for latencies in of_queues.chain([&mut expected.latency]).flat_map(BTreeMap::values_mut) {
            latencies.sort_unstable();
        }
        expected
    }

    fn count(&mut self, job: &Job) {
        let Job { state, job_type, queue, worker, .. } = job.clone();
        *self.cube.entry((state, job_type, queue, worker)).or_default() += 1;
        self.skewed += u64::from(job.skewed());
    }

    fn measure(&mut self, job: &Job, as_of: i64) {
        let types = [Some(job.job_type.clone()), None];
        for (window, length) in SLIDING {
            let inside = |at: i64| at > as_of.div_euclid(length / 60) * (length / 60) - length;
            let finished = job.finished.is_some_and(inside);
            let numbers = [inside(job.created), finished, finished && job.state == State::Failed];
            for job_type in &types {
                if numbers.contains(&true) {
                    let rates = self.throughput.entry((job_type.clone(), window)).or_default();
                    rates.iter_mut().zip(numbers).for_each(|(rate, n)| *rate += u64::from(n));
                }
                if finished {
                    self.sample(job, job_type, window);
                }
            }
        }
        if job.finished.is_some() {
            types.iter().for_each(|job_type| self.sample(job, job_type, Window::All));
        }
    }

    fn sample(&mut self, job: &Job, job_type: &Option<String>, window: Window) {
        for measure in Measure::ALL {
            if let Some(micros) = job.latency(measure) {
                let of_queue = self.by_queue.entry(job.queue.clone()).or_default();
                for latencies in [&mut self.latency, of_queue] {
                    let key = (measure, job_type.clone(), window);
                    latencies.entry(key).or_default().push(micros.max(0));
                }
            }
        }
    }

    fn tell_minutes(&mut self, job: &Job) {
        let minute = |at: i64| (at.div_euclid(MINUTE) * MINUTE, job.job_type.clone());
        self.minutes.entry(minute(job.created)).or_default()[0] += 1;
        let Some(finished) = job.finished else { return };
        let stats = self.minutes.entry(minute(finished)).or_default();
        stats[1] += 1;
        stats[2] += i64::from(job.state == State::Failed);
        stats[3] += i64::from(job.state == State::Cancelled);
        for (i, measure) in [(4, Measure::Wait), (6, Measure::Run)] {
            if let Some(micros) = job.latency(measure) {
                stats[i] += 1;
                stats[i + 1] += micros.max(0);
            }
        }
    }
}

/// The value at rank ⌈q·n⌉ of sorted data, `q` in per mille.
pub(crate) fn quantile(sorted: &[i64], per_mille: usize) -> i64 {
    let rank = (sorted.len() * per_mille).div_ceil(1000);
    sorted[rank.max(1) - 1]
}
