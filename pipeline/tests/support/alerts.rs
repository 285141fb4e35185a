//! The alerts read from scratch: what rules must make of a set of facts, second by second.
//!
//! At each second every rule is judged by scanning the jobs; nothing of that is remembered. What
//! is remembered from one second to the next is what Prometheus remembers of an alert: since when
//! it is active, since when it fires, and since when it fires only because it is kept firing.

use std::collections::BTreeMap;

use contracts::event::State;
use contracts::snapshot::{AlertState, Window};
use pipeline::Tick;
use pipeline::distribution::{bucket, middle};
use pipeline::views::alerts::{Alert, Value};

use super::oracle::{Job, SECOND, SLIDING, quantile};
use super::rules::{Clause, Joint, Labels, Match, Of, RuleId, Watch, When};

/// Alerts by name and labels.
pub(crate) type Alerts = BTreeMap<(String, Labels), Alert>;

/// The alerts of all rules, by rule and by their own labels.
#[derive(Default)]
pub(crate) struct Judge {
    known: BTreeMap<(RuleId, Labels), Known>,
    /// Since a restart no rules have been judged.
    restarted: bool,
    /// The first second after it at which they could have been.
    first: Option<Tick>,
    pub(crate) seen: Seen,
}

/// What is remembered of an alert.
struct Known {
    active_at: Tick,
    fired_at: Option<Tick>,
    ceased_at: Option<Tick>,
    restored: bool,
    value: f64,
    /// Of the rule that it last held for.
    expr: String,
}

/// How often what happened.
#[derive(Default, Debug)]
pub(crate) struct Seen {
    /// It was pending, and ceased before it fired.
    pub(crate) dropped: usize,
    /// It fired some time after it was active.
    pub(crate) ripened: usize,
    /// It fired, and began to be kept firing.
    pub(crate) kept: usize,
    /// It held again while it was kept firing.
    pub(crate) returned: usize,
    /// It was no longer kept firing.
    pub(crate) let_go: usize,
    /// Its rule had gone.
    pub(crate) abandoned: usize,
    /// It held after a restart.
    pub(crate) survived: usize,
    /// Nothing of it held after a restart.
    pub(crate) lost: usize,
}

impl Judge {
    /// What a store keeps is all that is left.
    pub(crate) fn restart(&mut self) {
        (self.restarted, self.first) = (true, None);
        for known in self.known.values_mut() {
            known.restored = true;
            known.ceased_at = None;
        }
    }

    /// Judges `rules` at the second `now`, over all `jobs` then known.
    pub(crate) fn judge(&mut self, now: Tick, rules: &[Watch], jobs: &[Job]) {
        // Whoever restarts is given time to say by which rules.
        let first = *self.first.get_or_insert(now);
        if self.restarted && rules.is_empty() && now < first + 10 * SECOND as Tick {
            return;
        }
        self.restarted = false;
        let seen = &mut self.seen;
        let n_before = self.known.len();
        self.known.retain(|(id, _), _| rules.iter().any(|watch| watch.id == *id));
        seen.abandoned += n_before - self.known.len();
        for watch in rules {
            let holds = holding(watch, jobs, now as i64);
            let (hold, keep_firing) = (watch.hold as Tick, watch.keep_firing as Tick);
            self.known.retain(|(id, labels), known| {
                if *id != watch.id || holds.contains_key(labels) {
                    return true;
                }
                if known.fired_at.is_none() {
                    seen.dropped += 1;
                    seen.lost += usize::from(known.restored);
                    return false;
                }
                let ceased_at = *known.ceased_at.get_or_insert(now);
                let stays = now - ceased_at < keep_firing;
                seen.kept += usize::from(stays && now == ceased_at);
                seen.let_go += usize::from(!stays && now != ceased_at);
                seen.lost += usize::from(known.restored && !stays);
                known.restored = false;
                stays
            });
            for (labels, value) in holds {
                let known = self.known.entry((watch.id.clone(), labels)).or_insert(Known {
                    active_at: now,
                    fired_at: None,
                    ceased_at: None,
                    restored: false,
                    value,
                    expr: String::new(),
                });
                seen.survived += usize::from(known.restored);
                seen.returned += usize::from(known.ceased_at.is_some());
                known.restored = false;
                known.ceased_at = None;
                known.value = value;
                known.expr = watch.to_string();
                if known.fired_at.is_none() && now - known.active_at >= hold {
                    seen.ripened += usize::from(now > known.active_at);
                    known.fired_at = Some(now);
                }
            }
        }
    }

    /// What must be shown.
    pub(crate) fn alerts(&self) -> Alerts {
        let mut alerts = Alerts::new();
        for (((alert, _), labels), known) in &self.known {
            let fires = known.fired_at.is_some();
            let row = Alert {
                alert: alert.clone(),
                labels: labels.clone(),
                state: if fires { AlertState::Firing } else { AlertState::Pending },
                active_at: known.active_at,
                fired_at: known.fired_at,
                value: Value::new(known.value),
                expr: known.expr.clone(),
                annotations: BTreeMap::new(),
            };
            let identity = (alert.clone(), labels.clone());
            assert!(alerts.insert(identity, row).is_none(), "two rules share {alert} {labels:?}");
        }
        alerts
    }
}

/// The labels for which `watch` holds, with the value.
fn holding(watch: &Watch, jobs: &[Job], now: i64) -> BTreeMap<Labels, f64> {
    let mut holds = told_apart(&watch.clause, jobs, now);
    if let Some((joint, also)) = &watch.also {
        let others = told_apart(also, jobs, now);
        // Subjects go together unless they differ in a label that both have.
        let agree = |one: &Subject, other: &Subject| {
            one.iter().all(|(name, value)| other.get(name).is_none_or(|theirs| theirs == value))
        };
        let goes = |subject: &Subject| others.keys().any(|other| agree(subject, other));
        match joint {
            Joint::And => holds.retain(|subject, _| goes(subject)),
            Joint::Unless => holds.retain(|subject, _| !goes(subject)),
            Joint::Or => {
                for (subject, value) in others {
                    holds.entry(subject).or_insert(value);
                }
            }
        }
    }
    let owned = |(name, value): (&&str, &String)| ((*name).to_owned(), value.clone());
    let mut holding = BTreeMap::new();
    for (subject, (value, given)) in holds {
        let mut labels = watch.id.1.clone();
        labels.extend(given.iter().map(owned));
        labels.extend(subject.iter().map(owned));
        holding.insert(labels, value);
    }
    holding
}

type Subject = BTreeMap<&'static str, String>;

fn label<'a>(job: &'a Job, name: &str) -> &'a str {
    match name {
        "state" => job.state.as_str(),
        "type" => &job.job_type,
        _ => &job.queue,
    }
}

/// What a clause holds for, by what it tells apart; with the value, and the labels that it names.
fn told_apart(clause: &Clause, jobs: &[Job], now: i64) -> BTreeMap<Subject, (f64, Subject)> {
    let given: Subject = clause
        .filter
        .iter()
        .filter_map(|(name, matched)| match matched {
            Match::Is(value) => Some((*name, (*value).to_owned())),
            _ => None,
        })
        .collect();
    let mut subjects = BTreeMap::<Subject, Vec<&Job>>::new();
    if clause.by.is_empty() {
        subjects.insert(Subject::new(), Vec::new());
    }
    for job in jobs.iter().filter(|job| concerned(clause, job, now)) {
        if clause.filter.iter().all(|(name, matched)| matched.admits(label(job, name))) {
            let subject = clause.by.iter().map(|name| (*name, label(job, name).to_owned()));
            subjects.entry(subject.collect()).or_default().push(job);
        }
    }
    let mut holding = BTreeMap::new();
    for (subject, of_subject) in subjects {
        let value = measure(clause.of, &of_subject, now);
        let when = match clause.when {
            When::Times(op, factor, of) => {
                let all = Clause::new(of, "", 0.0);
                let concerned =
                    jobs.iter().filter(|job| concerned(&all, job, now)).collect::<Vec<_>>();
                match measure(of, &concerned, now) {
                    Some(all) => When::Is(op, factor * all),
                    None => continue,
                }
            }
            when => when,
        };
        if let Some(value) = worth_an_alert(when, value) {
            holding.insert(subject, (value, given.clone()));
        }
    }
    holding
}

/// Whether there is anything to be measured of `job`.
fn concerned(clause: &Clause, job: &Job, now: i64) -> bool {
    let unfinished = job.finished.is_none();
    match clause.of {
        Of::Created(window)
        | Of::Finished(window)
        | Of::Failed(window)
        | Of::Throughput(window)
        | Of::FailureRatio(window) => inside(job.created, window, now) || ended(job, window, now),
        Of::Latency(measure, _, window) => {
            ended(job, window, now) && job.latency(measure).is_some()
        }
        Of::Jobs | Of::OldestAge => unfinished,
        Of::Backlog => unfinished && job.state != State::Executing,
        // The state is EXECUTING, unless a filter says something of it.
        Of::Stuck(_) if clause.filter.iter().any(|(name, _)| *name == "state") => unfinished,
        Of::Stuck(_) => job.state == State::Executing,
    }
}

fn length(window: Window) -> i64 {
    SLIDING.iter().find(|(known, _)| *known == window).expect("it slides").1
}

/// Whether a window that moves in sixtieths holds what happened at `at`.
fn inside(at: i64, window: Window, now: i64) -> bool {
    let step = length(window) / 60;
    at > now.div_euclid(step) * step - length(window)
}

fn ended(job: &Job, window: Window, now: i64) -> bool {
    job.finished.is_some_and(|at| inside(at, window, now))
}

/// The value over the jobs of a subject, if they have one.
fn measure(of: Of, jobs: &[&Job], now: i64) -> Option<f64> {
    let count =
        |counts: &dyn Fn(&Job) -> bool| jobs.iter().filter(|job| counts(job)).count() as f64;
    let finished = |window| count(&|job| ended(job, window, now));
    let failed = |window| count(&|job| job.state == State::Failed && ended(job, window, now));
    // Ages are taken from the ten seconds of the wall clock in which the state was decided.
    let age = |job: &Job| now - job.decided.div_euclid(10 * SECOND) * 10 * SECOND;
    match of {
        Of::Created(window) => Some(count(&|job| inside(job.created, window, now))),
        Of::Finished(window) => Some(finished(window)),
        Of::Failed(window) => Some(failed(window)),
        Of::Throughput(window) => Some(finished(window) / (length(window) / SECOND) as f64),
        Of::FailureRatio(window) => {
            Some(failed(window) / finished(window)).filter(|ratio| !ratio.is_nan())
        }
        Of::Latency(measure, per_mille, _) => {
            let mut sorted: Vec<i64> =
                jobs.iter().filter_map(|job| job.latency(measure)).map(|n| n.max(0)).collect();
            sorted.sort_unstable();
            let known = (!sorted.is_empty()).then(|| quantile(&sorted, per_mille));
            // As near as any latency is shown.
            known.map(|micros| middle(bucket(micros)) as f64 / 1e6)
        }
        Of::Jobs | Of::Backlog => Some(jobs.len() as f64),
        Of::OldestAge => jobs.iter().map(|job| age(job).max(0)).max().map(|age| age as f64 / 1e6),
        Of::Stuck(longer) => Some(count(&|job| age(job) > longer)),
    }
}

/// The value of the alert, if there is to be one.
fn worth_an_alert(when: When, value: Option<f64>) -> Option<f64> {
    match (when, value) {
        (When::Absent, value) => value.is_none_or(|value| value == 0.0).then_some(1.0),
        (When::Is(op, threshold), Some(value)) => {
            let order = value.total_cmp(&threshold);
            let holds = match op {
                ">" => order.is_gt(),
                ">=" => order.is_ge(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                "==" => order.is_eq(),
                _ => order.is_ne(),
            };
            holds.then_some(value)
        }
        (When::Is(..), None) => None,
        (When::Times(..), _) => unreachable!("it has been worked out"),
    }
}
