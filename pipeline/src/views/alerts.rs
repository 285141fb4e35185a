//! Which rules hold, for what, and since when.
//!
//! ```text
//!   ages of unfinished jobs ─┐
//!   throughput ──────────────┤
//!   latency ─────────────────┼──▶ Alerts (worker 0) ──▶ alerts (-old, +new)
//!   orders: rules, suspension┤      judges at whole seconds
//!   alerts restored ─────────┘
//! ```
//!
//! The operator holds what rules are judged on, small because it is aggregated, and at each whole
//! second of tick time judges every rule from scratch. A rule that comes, changes or goes takes
//! effect at the next second, over what is held already. While judging is suspended every alert
//! stays as it is; the time that this takes counts.
//!
//! # Invariants
//!
//! 1. At second `s` a rule is judged on exactly the rows at `s`.
//! 2. An alert is `pending` from the second its condition holds, `firing` when it has held for
//!    `for`, and gone when the condition has ceased (and `keep_firing_for` has passed).
//! 3. An alert is told apart by its rule's name and labels and by its subject; a rule whose
//!    expression changes keeps its alerts, and keeps firing those of subjects that it no longer
//!    tells apart.
//!
//! # Cost
//!
//! Per second, O(rules × subjects); per changed job, one update of the ages every grid step.

use std::collections::BTreeMap;

use contracts::State;
use contracts::snapshot::AlertState;
use differential_dataflow::{AsCollection, VecCollection};
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::{Capability, InputCapability};

use super::latency::Latency;
use super::throughput::Throughput;
use crate::name::Name;
use crate::row::{Changes, Row, tally};
use crate::rules::expr::Label;
use crate::rules::{Order, Rule, Template};
use crate::{Diff, Tick};

mod held;

use held::{Held, Valued};

/// µs between two judgements.
const SECOND: Tick = 1_000_000;

/// How long, in µs, alerts that a store kept wait for their rules; then they are over.
const RULES_COME_WITHIN: Tick = 10 * SECOND;

/// Ages are held per slot of so many µs, and taken from the slot's start.
const SLOT: i64 = 10_000_000;

/// Where the slot of an age begins, µs since the epoch, by when the state was decided.
pub(crate) fn slot(decided: i64) -> i64 {
    decided.div_euclid(SLOT) * SLOT
}

/// An alert that is pending or fires.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Alert {
    pub alert: String,
    /// The rule's labels, and the subject's.
    pub labels: BTreeMap<String, String>,
    /// Pending or firing.
    pub state: AlertState,
    /// Since when the condition holds.
    pub active_at: Tick,
    /// Since when it fires.
    pub fired_at: Option<Tick>,
    /// The value when it was last judged to hold.
    pub value: Value,
    /// The expression of its rule, and the texts, when it was last judged to hold.
    pub expr: String,
    pub annotations: BTreeMap<String, String>,
}

/// A finite number, by its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Value(u64);

impl Value {
    pub fn new(value: f64) -> Value {
        Value(value.to_bits())
    }

    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// Where unfinished jobs stand, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Age {
    state: State,
    job_type: Name,
    queue: Name,
    /// Start of the slot in which the deciding fact occurred, µs since the epoch.
    slot: i64,
}

impl Age {
    fn of(row: &Row) -> Option<Age> {
        let Row { state, job_type, queue, decided, .. } = *row;
        let age = Age { state, job_type, queue, slot: slot(decided) };
        (!row.retired && state < State::Completed).then_some(age)
    }
}

/// What the operator is told.
enum Told {
    Age(Age, Diff),
    Throughput(Throughput, Diff),
    Latency(Latency, Diff),
    Order(Order, Diff),
    Restored(Box<Alert>),
}

/// Maintains the alerts of the rules among `orders`.
///
/// `changes` are to come on a coarse grid whose step divides a second, as are the two views;
/// `restored` is what a store kept.
pub fn alerts<'s>(
    changes: Changes<'s>,
    throughput: VecCollection<'s, Tick, Throughput, Diff>,
    latency: VecCollection<'s, Tick, Latency, Diff>,
    orders: VecCollection<'s, Tick, Order, Diff>,
    restored: StreamVec<'s, Tick, (Alert, Tick)>,
) -> VecCollection<'s, Tick, Alert, Diff> {
    let mut builder = OperatorBuilder::new("Alerts".to_owned(), changes.scope());
    // What came and went within a step is nothing to be told.
    let ages = tally(changes, "Ages", |row| [Age::of(row).map(|age| (age, 1))]);
    let mut ages = builder.new_input(ages, to_one());
    let mut throughput = builder.new_input(throughput.inner, to_one());
    let mut latency = builder.new_input(latency.inner, to_one());
    let mut orders = builder.new_input(orders.inner, to_one());
    let mut restored = builder.new_input(restored, to_one());
    let (output, alerts) = builder.new_output();
    let mut output = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(output);

    builder.build(move |initial| {
        drop(initial);
        let mut judge = Judge::default();
        let mut stash = Stash::default();
        move |frontiers| {
            ages.for_each(|capability, updates| {
                stash.take_in(&capability, updates, |(age, tick, diff)| {
                    (Told::Age(age, diff), tick)
                });
            });
            throughput.for_each(|capability, updates| {
                stash.take_in(&capability, updates, |(row, tick, diff)| {
                    (Told::Throughput(row, diff), tick)
                });
            });
            latency.for_each(|capability, updates| {
                // Rules ask for types.
                updates.retain(|(row, _, _)| row.queue.is_none());
                stash.take_in(&capability, updates, |(row, tick, diff)| {
                    (Told::Latency(row, diff), tick)
                });
            });
            orders.for_each(|capability, updates| {
                stash.take_in(&capability, updates, |(order, tick, diff)| {
                    (Told::Order(order, diff), tick)
                });
            });
            restored.for_each(|capability, updates| {
                stash.take_in(&capability, updates, |(alert, tick)| {
                    (Told::Restored(Box::new(alert)), tick)
                });
            });
            let open = frontiers.iter().any(|frontier| !frontier.is_empty());
            let complete =
                |tick: &Tick| !frontiers.iter().any(|frontier| frontier.less_equal(tick));
            let mut output = output.activate();
            loop {
                let told_at = stash.next();
                let judges_at = judge.next.filter(|_| open);
                // What is told at a second counts at it.
                let at_told = told_at.is_some_and(|at| judges_at.is_none_or(|next| at <= next));
                let Some(tick) = (if at_told { told_at } else { judges_at }) else { break };
                if !complete(&tick) {
                    break;
                }
                if at_told {
                    let told = stash.told.remove(&tick).unwrap_or_default();
                    told.into_iter().for_each(|told| judge.learn(told));
                    judge.next.get_or_insert(tick.next_multiple_of(SECOND));
                } else if let Some(held) = &stash.held {
                    let capability = held.delayed(&tick);
                    let mut session = output.session(&capability);
                    if judge.suspended == 0 {
                        judge.judge(tick, |alert, diff| session.give((alert, tick, diff)));
                    }
                    judge.next = judge.has_work().then_some(tick + SECOND);
                }
            }
            let judges_at = judge.next.filter(|_| open);
            match (stash.next().into_iter().chain(judges_at).min(), &mut stash.held) {
                (Some(tick), Some(held)) => held.downgrade(&tick),
                (_, held) => *held = None,
            }
        }
    });
    alerts.as_collection()
}

/// Alerts are judged in one place.
fn to_one<T: 'static>() -> Exchange<T, impl FnMut(&T) -> u64 + 'static> {
    Exchange::new(|_: &T| 0)
}

/// What has been told of ticks that are not complete.
#[derive(Default)]
struct Stash {
    told: BTreeMap<Tick, Vec<Told>>,
    /// At the earliest tick at which something may be given out.
    held: Option<Capability<Tick>>,
}

impl Stash {
    fn take_in<T>(
        &mut self,
        capability: &InputCapability<Tick>,
        updates: &mut Vec<T>,
        tell: impl Fn(T) -> (Told, Tick),
    ) {
        if self.held.as_ref().is_none_or(|held| capability.time() < held.time()) {
            self.held = Some(capability.retain(0));
        }
        for (told, tick) in updates.drain(..).map(tell) {
            self.told.entry(tick).or_default().push(told);
        }
    }

    fn next(&self) -> Option<Tick> {
        self.told.first_key_value().map(|(&tick, _)| tick)
    }
}

/// What rules are judged on, and what has been judged.
#[derive(Default)]
struct Judge {
    held: Held,
    /// How often each has been added: one that goes and comes at one tick may come first.
    rules: BTreeMap<Rule, Diff>,
    /// While it is not 0 nothing is judged.
    suspended: Diff,
    /// Those that are pending or fire.
    active: BTreeMap<Identity, Active>,
    /// Alerts that a store kept, until their rules are judged.
    restored: BTreeMap<Identity, Active>,
    /// The first second that was judged.
    first: Option<Tick>,
    /// The second to judge at next; none while there is nothing to judge.
    next: Option<Tick>,
}

/// The rule's name, and the labels of rule and subject.
type Identity = (String, BTreeMap<String, String>);

#[derive(Clone, Debug, PartialEq)]
struct Active {
    /// The labels of its rule; a store has not kept which of its own they are.
    rule: Option<BTreeMap<String, String>>,
    active_at: Tick,
    fired_at: Option<Tick>,
    /// Since when it fires only because of `keep_firing_for`.
    kept_since: Option<Tick>,
    value: f64,
    expr: String,
    annotations: BTreeMap<String, String>,
}

impl Judge {
    fn learn(&mut self, told: Told) {
        match told {
            Told::Age(age, diff) => self.held.age(age, diff),
            Told::Throughput(row, diff) => self.held.throughput(row, diff),
            Told::Latency(row, diff) => self.held.latency(row, diff),
            Told::Order(Order::Gauge(gauge), diff) => self.held.gauge(gauge, diff),
            Told::Order(Order::Rule(rule), diff) => {
                *self.rules.entry(*rule).or_default() += diff;
                self.rules.retain(|_, n| *n != 0);
            }
            Told::Order(Order::Suspension, diff) => self.suspended += diff,
            Told::Restored(alert) => {
                let Alert { alert, labels, active_at, fired_at, value, expr, annotations, .. } =
                    *alert;
                let value = value.get();
                let (rule, kept_since) = (None, None);
                let active =
                    Active { rule, active_at, fired_at, kept_since, value, expr, annotations };
                self.restored.insert((alert, labels), active);
            }
        }
    }

    /// Whether another second can bring anything.
    fn has_work(&self) -> bool {
        !(self.rules.is_empty() && self.active.is_empty() && self.restored.is_empty())
    }

    /// Judges every rule at `now`, and gives out how the alerts differ from before.
    fn judge(&mut self, now: Tick, mut give: impl FnMut(Alert, Diff)) {
        let mut before = std::mem::take(&mut self.active);
        self.held.tidy(now);
        for rule in self.rules.keys() {
            for (subject, Valued { value, given }) in self.held.holding(&rule.expr, now) {
                let mut labels = rule.labels.clone();
                let told_apart = given.into_iter().chain(subject);
                labels.extend(told_apart.map(|(label, text)| (label.as_str().to_owned(), text)));
                let identity = (rule.alert.clone(), labels);
                let known = before.get(&identity).or_else(|| self.restored.get(&identity));
                let active_at = known.map_or(now, |known| known.active_at);
                let fired_at = known.and_then(|known| known.fired_at);
                let ripe = now - active_at >= rule.hold;
                let fired_at = fired_at.or(ripe.then_some(now));
                let fill = |(name, text): (&String, &Template)| {
                    (name.clone(), text.fill(value, &identity.1))
                };
                let active = Active {
                    rule: Some(rule.labels.clone()),
                    active_at,
                    fired_at,
                    kept_since: None,
                    value,
                    expr: rule.source.clone(),
                    annotations: rule.annotations.iter().map(fill).collect(),
                };
                self.active.insert(identity, active);
            }
        }
        self.keep_firing(now, &before);
        // From here on they are judged like all others, and what has ceased meanwhile is over.
        // Rules come together: while there are none, the alerts wait for theirs.
        let first = *self.first.get_or_insert(now);
        let waits = self.rules.is_empty() && now < first + RULES_COME_WITHIN;
        let active = &self.active;
        self.restored.retain(|identity, old| {
            if !waits && !active.contains_key(identity) {
                give(alert(identity, old), -1);
            }
            waits
        });

        for (identity, new) in &self.active {
            let old = before.remove(identity);
            if old.as_ref().map(|old| alert(identity, old)) != Some(alert(identity, new)) {
                if let Some(old) = old {
                    give(alert(identity, &old), -1);
                }
                give(alert(identity, new), 1);
            }
        }
        for (identity, old) in &before {
            give(alert(identity, old), -1);
        }
    }

    /// What fired before and no longer holds fires on for as long as its rule says.
    fn keep_firing(&mut self, now: Tick, before: &BTreeMap<Identity, Active>) {
        for (identity, known) in before.iter().chain(&self.restored) {
            if self.active.contains_key(identity) || known.fired_at.is_none() {
                continue;
            }
            let Some(rule) = self.rule_of(identity, known) else { continue };
            let since = known.kept_since.unwrap_or(now);
            if now - since < rule.keep_firing {
                let of = Some(rule.labels.clone());
                let kept = Active { rule: of, kept_since: Some(since), ..known.clone() };
                self.active.insert(identity.clone(), kept);
            }
        }
    }

    /// The rule of an alert, whatever its expression is by now.
    fn rule_of(&self, (alert, labels): &Identity, known: &Active) -> Option<&Rule> {
        let mut named = self.rules.keys().filter(|rule| rule.alert == *alert);
        match &known.rule {
            Some(labels) => named.find(|rule| rule.labels == *labels),
            None => named.filter(|rule| may_have(rule, labels)).max_by_key(|rule| {
                rule.labels.iter().filter(|(name, value)| labels.get(*name) == Some(value)).count()
            }),
        }
    }
}

/// Whether an alert of `rule` may have these labels.
///
/// A subject's label takes the place of a rule's, and the subject may be that of an expression
/// which the rule has had before.
fn may_have(rule: &Rule, labels: &BTreeMap<String, String>) -> bool {
    let of_subject = |name: &String| Label::parse(name).is_some();
    rule.labels.iter().all(|(name, value)| {
        labels.get(name).is_some_and(|label| label == value || of_subject(name))
    }) && labels.keys().all(|name| rule.labels.contains_key(name) || of_subject(name))
}

fn alert((name, labels): &Identity, active: &Active) -> Alert {
    Alert {
        alert: name.clone(),
        labels: labels.clone(),
        state: if active.fired_at.is_some() { AlertState::Firing } else { AlertState::Pending },
        active_at: active.active_at,
        fired_at: active.fired_at,
        value: Value::new(active.value),
        expr: active.expr.clone(),
        annotations: active.annotations.clone(),
    }
}
