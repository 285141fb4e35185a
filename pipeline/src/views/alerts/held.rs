//! What rules are judged on, and what expressions come to over it.
//!
//! Everything here is aggregated, so an expression is read from scratch: for a reading, one pass over
//! the groups of its measure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use contracts::snapshot::Window;
use contracts::{Reason, State};

use super::Age;
use crate::distribution::{Quantiles, middle};
use crate::name::Name;
use crate::rules::Gauge;
use crate::rules::expr::{Expr, Label, Measure, Op, Rate, Reading, Set, Standing};
use crate::views::latency::Latency;
use crate::views::sliding::Facet;
use crate::views::throughput::{Rates, Throughput};
use crate::{Diff, Tick};

/// Unfinished jobs of one state, type and queue, by the slot of their age.
type Slots = BTreeMap<i64, i64>;

#[derive(Default)]
pub(super) struct Held {
    ages: HashMap<(State, Name, Name), Slots>,
    throughput: HashMap<(Facet, Window), Rates>,
    latency: HashMap<(Facet, contracts::snapshot::Measure, Window), Quantiles>,
    /// Refused deliveries, by when.
    dead_letters: BTreeMap<(Tick, Reason), i64>,
    /// How often each lag is told: every process of a cluster has its own.
    lags: BTreeMap<Tick, Diff>,
    stores: BTreeMap<(String, bool), Diff>,
}

/// What tells the values of an expression apart: its labels, sorted.
pub(super) type Subject = Vec<(Label, String)>;

/// A value of an expression, and the labels that its matchers say.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Valued {
    pub(super) value: f64,
    pub(super) given: BTreeMap<Label, String>,
}

/// What an expression comes to.
enum Values {
    /// A number; none if it is not finite.
    One(Option<f64>),
    Each(BTreeMap<Subject, Valued>),
}

impl Held {
    pub(super) fn age(&mut self, Age { state, job_type, queue, slot }: Age, diff: Diff) {
        let slots = self.ages.entry((state, job_type, queue)).or_default();
        let n = slots.entry(slot).or_default();
        *n += diff as i64;
        if *n == 0 {
            slots.remove(&slot);
            if slots.is_empty() {
                self.ages.remove(&(state, job_type, queue));
            }
        }
    }

    pub(super) fn throughput(&mut self, row: Throughput, diff: Diff) {
        let key = (row.job_type, row.window);
        if diff > 0 {
            self.throughput.insert(key, row.rates);
        } else if self.throughput.get(&key) == Some(&row.rates) {
            self.throughput.remove(&key);
        }
    }

    pub(super) fn latency(&mut self, row: Latency, diff: Diff) {
        let key = (row.job_type, row.measure, row.window);
        if diff > 0 {
            self.latency.insert(key, row.quantiles);
        } else if self.latency.get(&key) == Some(&row.quantiles) {
            self.latency.remove(&key);
        }
    }

    pub(super) fn gauge(&mut self, gauge: Gauge, diff: Diff) {
        match gauge {
            Gauge::DeadLetter { reason, at } => {
                *self.dead_letters.entry((at, reason)).or_default() += diff as i64;
            }
            Gauge::Lag(micros) => {
                *self.lags.entry(micros).or_default() += diff;
                self.lags.retain(|_, n| *n != 0);
            }
            Gauge::Store { name, up } => {
                *self.stores.entry((name, up)).or_default() += diff;
                self.stores.retain(|_, n| *n != 0);
            }
        }
    }

    /// Forgets what no window holds any more.
    pub(super) fn tidy(&mut self, now: Tick) {
        let edge = edge(Window::H1, now);
        while let Some(entry) = self.dead_letters.first_entry()
            && entry.key().0 <= edge
        {
            entry.remove();
        }
    }

    /// The subjects that a condition holds for at `now`.
    pub(super) fn holding(&self, condition: &Expr, now: Tick) -> BTreeMap<Subject, Valued> {
        match self.evaluate(condition, now) {
            Values::Each(values) => values,
            // A condition measures something.
            Values::One(_) => BTreeMap::new(),
        }
    }

    fn evaluate(&self, expr: &Expr, now: Tick) -> Values {
        let valued = |reading: &Reading, subject: Subject, value: f64| {
            let given = reading.given().filter(|(label, _)| !reading.by.contains(label));
            let given = given.map(|(label, text)| (label, text.to_owned())).collect();
            (subject, Valued { value, given })
        };
        match expr {
            Expr::Number(number) => Values::One(Some(number.get())),
            Expr::Reading(reading) => {
                let values = self.read(reading, now).into_iter();
                let values = values.filter_map(|(subject, value)| Some((subject, value?)));
                Values::Each(values.map(|(subject, n)| valued(reading, subject, n)).collect())
            }
            Expr::Absent(reading) => {
                let values = self.read(reading, now).into_iter();
                let absent = values.filter(|(_, value)| value.is_none_or(|value| value == 0.0));
                // As in Prometheus, an absence is one.
                Values::Each(absent.map(|(subject, _)| valued(reading, subject, 1.0)).collect())
            }
            Expr::Both(op, sides) => {
                let [left, right] = &**sides;
                let values = (self.evaluate(left, now), self.evaluate(right, now));
                match values {
                    (Values::Each(ours), Values::Each(theirs)) => {
                        let labels = [left, right].map(|side| side.labels().unwrap_or_default());
                        Values::Each(both(*op, ours, &theirs, &labels))
                    }
                    (Values::One(left), Values::One(right)) => {
                        Values::One(left.zip(right).and_then(|(left, right)| of(*op, left, right)))
                    }
                    (Values::Each(values), Values::One(number)) => {
                        Values::Each(with_number(values, number, |value, n| of(*op, value, n)))
                    }
                    // A comparison keeps what is compared, on whichever side it stands.
                    (Values::One(number), Values::Each(values)) => {
                        Values::Each(with_number(values, number, |value, n| {
                            let kept = of(*op, n, value);
                            if matches!(op, Op::Comparison(_)) { kept.map(|_| value) } else { kept }
                        }))
                    }
                }
            }
        }
    }

    /// The values of a reading, by subject. Without `by` there is one, which may have no value.
    fn read(&self, reading: &Reading, now: Tick) -> BTreeMap<Subject, Option<f64>> {
        match reading.measure {
            Measure::Standing(standing) => self.standing(standing, reading, now),
            Measure::Rate(rate, window) => self.rates(rate, window, reading),
            Measure::Quantile(measure, place, window) => {
                self.quantiles(measure, place, window, reading)
            }
            Measure::DeadLetters(window) => {
                let edge = edge(window, now);
                let inside = self.dead_letters.iter().filter(|((at, _), _)| *at > edge);
                let groups = inside.map(|((_, reason), n)| (reason.as_str(), *n as f64));
                gather(reading, groups, Some(0.0), |sum, n| sum + n)
            }
            Measure::Lag => {
                let longest = self.lags.last_key_value().map(|(&micros, _)| micros as f64 / 1e6);
                BTreeMap::from([(Subject::new(), longest)])
            }
            Measure::StoreUp => {
                let groups = self.stores.keys();
                let groups = groups.map(|(name, up)| (name.as_str(), f64::from(u8::from(*up))));
                gather(reading, groups, None, f64::min)
            }
        }
    }

    fn rates(
        &self,
        rate: Rate,
        window: Window,
        reading: &Reading,
    ) -> BTreeMap<Subject, Option<f64>> {
        // All types together are counted where single ones no longer are.
        if reading.by.is_empty() && reading.matchers.is_empty() {
            let rates = self.throughput.get(&(None, window)).copied().unwrap_or_default();
            return BTreeMap::from([(Subject::new(), rate_value(rate, rates, window))]);
        }
        let mut sums = BTreeMap::<Subject, Rates>::new();
        if reading.by.is_empty() {
            sums.insert(Subject::new(), Rates::default());
        }
        for ((job_type, of_window), rates) in &self.throughput {
            let Some(job_type) = job_type.filter(|_| *of_window == window) else { continue };
            let text = job_type.text();
            if !reading.admits(|_| &text) {
                continue;
            }
            let sum = sums.entry(subject(reading, |_| text.to_string())).or_default();
            sum.created += rates.created;
            sum.finished += rates.finished;
            sum.failed += rates.failed;
        }
        let value = |rates| rate_value(rate, rates, window);
        sums.into_iter().map(|(subject, rates)| (subject, value(rates))).collect()
    }

    fn quantiles(
        &self,
        measure: contracts::snapshot::Measure,
        place: usize,
        window: Window,
        reading: &Reading,
    ) -> BTreeMap<Subject, Option<f64>> {
        let value = |quantiles: &Quantiles| {
            let bucket = quantiles.at.get(place).copied().unwrap_or(quantiles.max);
            middle(bucket) as f64 / 1e6
        };
        if reading.by.is_empty() {
            // One type, or all of them: what would have to be added up has not been read.
            let job_type = reading.given().next().map(|(_, text)| Name::new(text));
            let quantiles = self.latency.get(&(job_type, measure, window));
            return BTreeMap::from([(Subject::new(), quantiles.map(value))]);
        }
        let of_window = self.latency.iter().filter_map(|((job_type, m, w), quantiles)| {
            let job_type = job_type.filter(|_| (*m, *w) == (measure, window))?;
            Some((job_type.text(), quantiles))
        });
        let admitted = of_window.filter(|(text, _)| reading.admits(|_| text));
        admitted
            .map(|(text, quantiles)| {
                (subject(reading, |_| text.to_string()), Some(value(quantiles)))
            })
            .collect()
    }

    fn standing(
        &self,
        standing: Standing,
        reading: &Reading,
        now: Tick,
    ) -> BTreeMap<Subject, Option<f64>> {
        // Before 1970 nothing is unfinished.
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let says_state = reading.matchers.iter().any(|matcher| matcher.label == Label::State);
        let mut sums = BTreeMap::<Subject, Standings>::new();
        if reading.by.is_empty() {
            sums.insert(Subject::new(), Standings::default());
        }
        for (&(state, job_type, queue), slots) in &self.ages {
            let in_state = match standing {
                Standing::Jobs | Standing::OldestAge => true,
                Standing::Backlog => state != State::Executing,
                Standing::Stuck(_) => says_state || state == State::Executing,
            };
            let (job_type, queue) = (job_type.text(), queue.text());
            let text = |label| match label {
                Label::State => state.as_str(),
                Label::Type => &*job_type,
                _ => &*queue,
            };
            if !in_state || !reading.admits(text) {
                continue;
            }
            let sum = sums.entry(subject(reading, |label| text(label).to_owned())).or_default();
            sum.jobs += match standing {
                // An age of exactly so much is not longer.
                Standing::Stuck(longer) => {
                    let before = now.saturating_sub(i64::try_from(longer).unwrap_or(i64::MAX));
                    slots.range(..before).map(|(_, n)| n).sum::<i64>()
                }
                _ => slots.values().sum(),
            };
            let oldest = slots.keys().next().copied();
            sum.oldest = sum.oldest.into_iter().chain(oldest).min();
        }
        let value = |sum: Standings| match standing {
            // Clocks ahead of ours make no negative age.
            Standing::OldestAge => Some((now - sum.oldest?).max(0) as f64 / 1e6),
            _ => Some(sum.jobs as f64),
        };
        sums.into_iter().map(|(subject, sum)| (subject, value(sum))).collect()
    }
}

#[derive(Clone, Copy, Default)]
struct Standings {
    jobs: i64,
    oldest: Option<i64>,
}

/// What `reading` tells a group apart by.
fn subject(reading: &Reading, text: impl Fn(Label) -> String) -> Subject {
    reading.by.iter().map(|&label| (label, text(label))).collect()
}

/// Groups that have one label, by subject; `none` is the value of no group.
fn gather<'a>(
    reading: &Reading,
    groups: impl Iterator<Item = (&'a str, f64)>,
    none: Option<f64>,
    add: impl Fn(f64, f64) -> f64,
) -> BTreeMap<Subject, Option<f64>> {
    let mut values = BTreeMap::new();
    if reading.by.is_empty() {
        values.insert(Subject::new(), none);
    }
    for (text, value) in groups.filter(|(text, _)| reading.admits(|_| text)) {
        let known = values.entry(subject(reading, |_| text.to_owned())).or_insert(none);
        *known = Some(known.map_or(value, |known| add(known, value)));
    }
    values
}

/// What an operator makes of two numbers; a comparison keeps the left.
fn of(op: Op, left: f64, right: f64) -> Option<f64> {
    match op {
        Op::Arithmetic(op) => op.of(left, right),
        Op::Comparison(op) => op.holds(left, right).then_some(left),
        // Its sides are conditions, and so not numbers.
        Op::Set(_) => None,
    }
}

fn with_number(
    mut values: BTreeMap<Subject, Valued>,
    number: Option<f64>,
    of: impl Fn(f64, f64) -> Option<f64>,
) -> BTreeMap<Subject, Valued> {
    values.retain(|_, valued| {
        let result = number.and_then(|number| of(valued.value, number));
        valued.value = result.unwrap_or_default();
        result.is_some()
    });
    values
}

/// What an operator makes of two sides that are told apart by `labels`.
fn both(
    op: Op,
    mut ours: BTreeMap<Subject, Valued>,
    theirs: &BTreeMap<Subject, Valued>,
    labels: &[Vec<Label>; 2],
) -> BTreeMap<Subject, Valued> {
    let [our_labels, their_labels] = labels;
    let common: Vec<Label> =
        our_labels.iter().copied().filter(|label| their_labels.contains(label)).collect();
    match op {
        Op::Set(Set::Or) => {
            for (subject, valued) in theirs {
                ours.entry(subject.clone()).or_insert_with(|| valued.clone());
            }
            ours
        }
        Op::Set(set) => {
            let there: BTreeSet<Subject> =
                theirs.keys().map(|subject| within(subject, &common)).collect();
            let wanted = set == Set::And;
            ours.retain(|subject, _| there.contains(&within(subject, &common)) == wanted);
            ours
        }
        // One side has all labels of the other, so to each of its subjects goes one of the other.
        _ if our_labels.len() >= their_labels.len() => ours
            .into_iter()
            .filter_map(|(subject, our)| {
                let their = theirs.get(&within(&subject, &common))?;
                Some((subject, paired(op, &our, their)?))
            })
            .collect(),
        _ => theirs
            .iter()
            .filter_map(|(subject, their)| {
                let our = ours.get(&within(subject, &common))?;
                Some((subject.clone(), paired(op, our, their)?))
            })
            .collect(),
    }
}

fn paired(op: Op, left: &Valued, right: &Valued) -> Option<Valued> {
    let value = of(op, left.value, right.value)?;
    let mut given = right.given.clone();
    given.extend(left.given.iter().map(|(label, text)| (*label, text.clone())));
    Some(Valued { value, given })
}

/// The part of a subject that has these labels.
fn within(subject: &Subject, labels: &[Label]) -> Subject {
    subject.iter().filter(|(label, _)| labels.contains(label)).cloned().collect()
}

/// What happened until then has left `window`.
fn edge(window: Window, now: Tick) -> Tick {
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    window.edge(now).and_then(|edge| Tick::try_from(edge).ok()).unwrap_or(0)
}

fn rate_value(rate: Rate, rates: Rates, window: Window) -> Option<f64> {
    let Rates { created, finished, failed } = rates;
    Some(match rate {
        Rate::Created => created as f64,
        Rate::Finished => finished as f64,
        Rate::Failed => failed as f64,
        Rate::Throughput => finished as f64 / (window.length_micros()? as f64 / 1e6),
        Rate::FailureRatio if finished == 0 => return None,
        Rate::FailureRatio => failed as f64 / finished as f64,
    })
}
