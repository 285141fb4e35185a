//! At every second the alerts are what the rules make of the facts so far.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use contracts::event::Kind;
use contracts::snapshot::Window;
use pipeline::dataflow::{Config, Kept};
use pipeline::fact::Fact;
use pipeline::name::Name;
use pipeline::reading::{Reading, alert_row};
use pipeline::rules::Order;
use pipeline::seal::Updates;
use pipeline::views::alerts::Alert;
use pipeline::views::sliding::{Steps, Wanted};
use pipeline::{Diff, Tick};
use proptest::prelude::{Strategy, any, proptest};
use support::alerts::{Alerts, Judge, Seen};
use support::bench::{Bench, inputs};
use support::oracle::{Job, MINUTE, jobs};
use support::random::Random;
use support::rules::{Clause, Joint, Match, N_RULES, Of, Watch, When, changed, random_watch};
use support::streams::{BASE, Deliveries, World, cut, fact};

/// Every rule at every second, over views that move at every tick.
const FINE: Config = Config {
    retention: None,
    grid: 1,
    steps: Steps::Every,
    wanted: Wanted::ALL,
    keep_records: false,
    judge: true,
    cluster: false,
    observed: None,
};

/// The same over views that move as in the program.
const COARSE: Config = Config { grid: 100_000, ..FINE };

const SECOND: Tick = 1_000_000;

/// What happens at a tick.
#[derive(Clone, Default)]
struct Step {
    tick: Tick,
    /// The program dies before this tick and comes back at it, with the alerts that it gave out.
    restart: bool,
    /// Rules that go and come, in any order.
    rules: Vec<(Watch, Diff)>,
    /// Judging is suspended from here on, or goes on.
    suspended: Option<bool>,
    facts: Vec<Fact>,
}

/// The alerts as a store has them.
#[derive(Default)]
struct Table {
    alerts: Alerts,
    /// Those of an earlier run that this one has not spoken of.
    earlier: BTreeSet<(String, BTreeMap<String, String>)>,
    /// What a reader sees who came with this run.
    reading: Reading,
}

impl Table {
    /// Takes in what was given out at one second.
    fn add(&mut self, updates: &Updates<Alert>, when: &str) {
        let identity = |alert: &Alert| (alert.alert.clone(), alert.labels.clone());
        for (alert, _, _) in updates.iter().filter(|update| update.2 < 0) {
            let known = self.alerts.remove(&identity(alert));
            assert_eq!(known.as_ref(), Some(alert), "what is retracted {when}");
            self.earlier.remove(&identity(alert));
        }
        for (alert, _, _) in updates.iter().filter(|update| update.2 > 0) {
            let known = self.alerts.insert(identity(alert), alert.clone());
            // An alert of an earlier run is written over.
            let earlier = self.earlier.remove(&identity(alert));
            assert!(known.is_none() || earlier, "{alert:?} is there twice {when}");
        }
        assert!(updates.iter().all(|update| update.2.abs() == 1), "{updates:?} {when}");
        self.reading.add_alerts(updates);
    }

    /// What a restart finds; all that it shows begins anew.
    fn restart(&mut self) -> Vec<Kept> {
        self.earlier = self.alerts.keys().cloned().collect();
        self.reading = Reading::default();
        self.alerts.values().cloned().map(Kept::Alert).collect()
    }

    fn agrees(&self, expected: &Alerts, when: &str) {
        let apart = |one: &Alerts, other: &Alerts| -> Vec<Alert> {
            let differs = |(key, alert): &(&_, &Alert)| other.get(*key) != Some(*alert);
            one.iter().filter(differs).map(|(_, alert)| alert.clone()).collect()
        };
        let (wrong, missing) = (apart(&self.alerts, expected), apart(expected, &self.alerts));
        assert!(wrong.is_empty() && missing.is_empty(), "{wrong:#?}, not {missing:#?} {when}");
        if self.earlier.is_empty() {
            let rows = expected.values().map(alert_row).collect::<Vec<_>>();
            assert_eq!(self.reading.snapshot(None).alerts, rows, "alerts as read {when}");
        }
    }
}

/// Runs `steps` through the dataflow and compares at each second; gives what was seen of the
/// alerts, and those that are left.
fn follow(mut start: impl FnMut() -> Bench, steps: &[Step]) -> (Seen, Alerts) {
    let mut bench = start();
    let (mut judge, mut table) = (Judge::default(), Table::default());
    let (mut rules, mut facts) = (Vec::<Watch>::new(), Vec::<Fact>::new());
    let mut known = Vec::<Job>::new();
    let mut judged = steps.first().map_or(0, |step| step.tick.div_ceil(SECOND));
    let mut suspended = false;
    for Step { tick, restart, rules: updates, suspended: turned, facts: now } in steps {
        let mut fed = now.clone();
        if *restart {
            bench = start();
            bench.restore(*tick, table.restart());
            // In its own way the store knows all facts so far.
            fed.extend_from_slice(&facts);
            rules.clear();
            suspended = false;
            judged = tick.div_ceil(SECOND);
            judge.restart();
        }
        let mut orders: Vec<(Order, Diff)> =
            updates.iter().map(|(watch, diff)| (watch.rule().into(), *diff)).collect();
        let turned = turned.filter(|turned| *turned != suspended);
        orders.extend(turned.map(|on| (Order::Suspension, if on { 1 } else { -1 })));
        bench.orders(*tick, orders);
        let mut moments = BTreeMap::<Tick, Updates<Alert>>::new();
        for update in bench.tick(*tick, inputs(&fed)).alerts {
            moments.entry(update.1).or_default().push(update);
        }
        let mut at = |second: Tick, suspended: bool, rules: &[Watch], jobs: &[Job]| {
            let (now, when) = (second * SECOND, format!("at second {second}"));
            if !suspended {
                judge.judge(now, rules, jobs);
            }
            table.add(&moments.remove(&now).unwrap_or_default(), &when);
            table.agrees(&judge.alerts(), &when);
        };
        // What was fed before counts until just before this tick.
        while judged * SECOND < *tick {
            at(judged, suspended, &rules, &known);
            judged += 1;
        }
        suspended = turned.unwrap_or(suspended);
        for (watch, _) in updates.iter().filter(|(_, diff)| *diff < 0) {
            let place = rules.iter().position(|known| known == watch);
            rules.remove(place.expect("a rule that is there"));
        }
        rules.extend(updates.iter().filter(|(_, diff)| *diff > 0).map(|(watch, _)| watch.clone()));
        if !now.is_empty() {
            facts.extend_from_slice(now);
            known = jobs(&facts);
        }
        if judged * SECOND == *tick {
            at(judged, suspended, &rules, &known);
            judged += 1;
        }
        assert!(moments.is_empty(), "given out between seconds: {moments:?}");
    }
    (judge.seen, table.alerts)
}

/// A seed, and a world whose size shrinks when a case fails.
fn worlds() -> impl Strategy<Value = (u64, World)> {
    let spans = proptest::sample::select(vec![MINUTE / 2, 3 * MINUTE, 8 * MINUTE]);
    (any::<u64>().no_shrink(), 1..40_usize, spans).prop_map(|(seed, n_jobs, span)| {
        (seed, World { n_jobs, span, wild_claims: true, ahead: 0 })
    })
}

/// Facts arrive soon after they occurred, or at any time at all; some twice.
fn deliver(random: &mut Random, world: &World, facts: Vec<Fact>) -> Deliveries {
    let mut deliveries = Deliveries::new();
    for fact in facts {
        let any_time = BASE + random.between(0, world.span);
        let soon = fact.at + random.between(0, 300_000);
        let on_time = soon <= BASE + world.span && !random.once_in(6);
        deliveries.push((if on_time { soon } else { any_time }, fact.clone()));
        while random.once_in(6) {
            deliveries.push((BASE + random.between(0, world.span), fact.clone()));
        }
    }
    deliveries.sort_by_key(|(at, _)| *at);
    deliveries
}

/// A stream with rules that come, change and go, and restarts in its midst.
fn stream(random: &mut Random, world: &World, n_restarts: usize) -> Vec<Step> {
    let facts = world.facts(random);
    let deliveries = deliver(random, world, facts);
    let mut steps: Vec<Step> = cut(random, &deliveries)
        .into_iter()
        .map(|(tick, facts)| Step { tick, facts, ..Step::default() })
        .collect();
    // Then time passes, and windows run empty.
    let mut clock = steps.last().map_or(BASE as Tick, |step| step.tick);
    let to_the_end = random.once_in(16);
    for pause in [1, SECOND, 7 * SECOND, 60 * SECOND - 1, 6 * 60 * SECOND, 61 * 60 * SECOND] {
        if pause <= 6 * 60 * SECOND || to_the_end {
            clock += pause;
            steps.push(Step { tick: clock, ..Step::default() });
        }
    }

    let restarts: BTreeSet<usize> =
        (0..n_restarts).map(|_| 1 + random.below(steps.len() - 1)).collect();
    let change_once_in = random.of(&[2, 5, 20]);
    let mut rules: BTreeMap<usize, Watch> = BTreeMap::new();
    for place in 0..N_RULES {
        if !random.once_in(3) {
            rules.insert(place, random_watch(random, place));
        }
    }
    // Rules come at the start, and after each restart some time later.
    let mut due = Some(0);
    for (i, step) in steps.iter_mut().enumerate() {
        if restarts.contains(&i) {
            step.restart = true;
            due = Some(step.tick + random.of(&[0, 1, 3, 9, 10, 11]) * SECOND);
        }
        match due {
            Some(tick) if tick <= step.tick => {
                due = None;
                step.rules = rules.values().map(|watch| (watch.clone(), 1)).collect();
            }
            // Nobody can change them, but in their file.
            Some(_) => {
                if random.once_in(8) {
                    change(random, &mut rules);
                }
            }
            None => {
                if random.once_in(change_once_in) {
                    let before = rules.clone();
                    change(random, &mut rules);
                    let gone = before.into_values().map(|watch| (watch, -1));
                    let come = rules.values().map(|watch| (watch.clone(), 1));
                    step.rules = gone.chain(come).collect();
                    if random.once_in(2) {
                        random.shuffle(&mut step.rules);
                    }
                }
            }
        }
    }
    steps
}

/// One rule comes, changes or goes.
fn change(random: &mut Random, rules: &mut BTreeMap<usize, Watch>) {
    let place = random.below(N_RULES);
    match rules.get(&place) {
        Some(_) if random.once_in(4) => drop(rules.remove(&place)),
        Some(watch) => drop(rules.insert(place, changed(random, watch, place))),
        None => drop(rules.insert(place, random_watch(random, place))),
    }
}

proptest! {
    #![proptest_config(support::cases(300))]

    #[test]
    fn alerts_are_at_every_second_what_the_rules_make_of_the_facts((seed, world) in worlds()) {
        let steps = stream(&mut Random::new(seed), &world, 0);
        follow(|| Bench::here(&FINE), &steps);
    }

    #[test]
    fn alerts_over_coarse_views_are_the_same((seed, world) in worlds()) {
        let steps = stream(&mut Random::new(seed), &world, 0);
        follow(|| Bench::here(&COARSE), &steps);
    }

    #[test]
    fn alerts_are_the_same_over_views_of_which_only_what_the_rules_read_is_made(
        (seed, world) in worlds()
    ) {
        let steps = stream(&mut Random::new(seed), &world, 0);
        let rules = steps.iter().flat_map(|step| &step.rules).map(|(watch, _)| watch.rule());
        let wanted = Wanted::by(&rules.collect::<Vec<_>>());
        follow(|| Bench::here(&Config { wanted, ..FINE }), &steps);
    }

    #[test]
    fn alerts_go_on_over_restarts((seed, world) in worlds()) {
        let mut random = Random::new(seed);
        let n_restarts = random.of(&[1, 2, 5]);
        let steps = stream(&mut random, &world, n_restarts);
        follow(|| Bench::here(random.of(&[&FINE, &COARSE])), &steps);
    }

    #[test]
    fn alerts_stay_as_they_are_while_judging_is_suspended((seed, world) in worlds()) {
        let mut random = Random::new(seed);
        let n_restarts = random.below(3);
        let mut steps = stream(&mut random, &world, n_restarts);
        for step in &mut steps {
            // As the broker goes and comes back; at a start it is not there yet.
            step.suspended = random.once_in(8).then(|| random.once_in(2)).or(step.restart.then_some(true));
        }
        follow(|| Bench::here(random.of(&[&FINE, &COARSE])), &steps);
    }
}

proptest! {
    #![proptest_config(support::cases(150))]

    #[test]
    fn two_workers_alert_as_one_does((seed, world) in worlds()) {
        let steps = stream(&mut Random::new(seed), &world, 2);
        follow(|| Bench::threads(&FINE, 2), &steps);
    }

    #[test]
    fn two_workers_alert_as_one_does_over_coarse_views((seed, world) in worlds()) {
        let steps = stream(&mut Random::new(seed), &world, 2);
        follow(|| Bench::threads(&COARSE, 2), &steps);
    }
}

/// The tick so many seconds after [`BASE`].
fn at(seconds: Tick) -> Tick {
    BASE as Tick + seconds * SECOND
}

/// Nothing but time.
fn until(seconds: Tick) -> Step {
    Step { tick: at(seconds), ..Step::default() }
}

fn comes(seconds: Tick, watch: &Watch) -> Step {
    Step { rules: vec![(watch.clone(), 1)], ..until(seconds) }
}

fn changes(seconds: Tick, from: &Watch, to: &Watch) -> Step {
    Step { rules: vec![(from.clone(), -1), (to.clone(), 1)], ..until(seconds) }
}

fn happens(seconds: Tick, facts: &[Fact]) -> Step {
    Step { facts: facts.to_vec(), ..until(seconds) }
}

/// A job that was created at so many seconds.
fn created(job: u128, seconds: Tick) -> Fact {
    fact(job, 1, Kind::Created, at(seconds) as i64)
}

/// Its end.
fn ended(job: u128, kind: Kind, seconds: Tick) -> Fact {
    fact(job, 2, kind, at(seconds) as i64)
}

/// The alerts that are left after `steps`, which [`follow`] has agreed with at each second.
fn left(steps: &[Step]) -> Alerts {
    follow(|| Bench::here(&FINE), steps).1
}

/// When the only alert was active, and when it fired, in seconds after [`BASE`].
fn times(alerts: &Alerts) -> (Tick, Option<Tick>) {
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let seconds = |tick: Tick| (tick - BASE as Tick) / SECOND;
    let alert = alerts.values().next().expect("one");
    (seconds(alert.active_at), alert.fired_at.map(seconds))
}

/// Holds while a job is unfinished; for five seconds, and kept firing for ten.
fn waiting() -> Watch {
    let (hold, keep_firing) = (5 * SECOND as i64, 10 * SECOND as i64);
    Watch { hold, keep_firing, ..Watch::new("Waiting", Of::Jobs, ">", 0.0) }
}

#[test]
fn random_streams_come_to_everything_that_can_happen_to_an_alert() {
    let world = World { n_jobs: 40, span: 3 * MINUTE, wild_claims: true, ahead: 0 };
    let mut sum = [0; 8];
    for seed in 0..24 {
        let steps = stream(&mut Random::new(seed), &world, 3);
        let (seen, _) = follow(|| Bench::here(&COARSE), &steps);
        let Seen { dropped, ripened, kept, returned, let_go, abandoned, survived, lost } = seen;
        let each = [dropped, ripened, kept, returned, let_go, abandoned, survived, lost];
        sum.iter_mut().zip(each).for_each(|(sum, n)| *sum += n);
    }
    assert!(sum.iter().all(|n| *n > 0), "{sum:?}");
}

#[test]
fn an_alert_is_pending_then_fires_then_is_kept_firing_then_is_gone() {
    let mut steps = vec![comes(0, &waiting()), happens(10, &[created(1, 10)]), until(14)];
    assert_eq!(times(&left(&steps)), (10, None));
    steps.push(until(15));
    assert_eq!(times(&left(&steps)), (10, Some(15)));
    steps.extend([happens(20, &[ended(1, Kind::Completed, 20)]), until(29)]);
    assert_eq!(times(&left(&steps)), (10, Some(15)));
    steps.push(until(30));
    assert_eq!(left(&steps), Alerts::new());
}

#[test]
fn a_condition_that_ceases_before_it_fires_begins_anew() {
    let steps = [
        comes(0, &waiting()),
        happens(10, &[created(1, 10)]),
        happens(14, &[ended(1, Kind::Completed, 14)]),
        happens(15, &[created(2, 15)]),
        until(19),
    ];
    assert_eq!(times(&left(&steps)), (15, None));
}

#[test]
fn what_holds_again_while_it_is_kept_firing_has_never_ceased() {
    let steps = [
        comes(0, &waiting()),
        happens(10, &[created(1, 10)]),
        happens(20, &[ended(1, Kind::Completed, 20)]),
        happens(29, &[created(2, 29)]),
        happens(30, &[ended(2, Kind::Completed, 30)]),
        until(39),
    ];
    assert_eq!(times(&left(&steps)), (10, Some(15)));
}

#[test]
fn a_window_that_runs_empty_resolves_without_input() {
    let failing = Watch::new("Failing", Of::FailureRatio(Window::M1), ">", 0.5);
    let mut steps = vec![comes(0, &failing), happens(2, &[ended(1, Kind::Failed, 1)]), until(60)];
    assert_eq!(times(&left(&steps)), (2, Some(2)));
    steps.push(until(61));
    assert_eq!(left(&steps), Alerts::new());
}

#[test]
fn an_age_grows_without_input() {
    // An age counts from the ten seconds in which it began.
    let old = Watch::new("Old", Of::OldestAge, ">=", 60.0);
    let mut steps = vec![comes(0, &old), happens(19, &[created(1, 19)]), until(69)];
    assert_eq!(left(&steps), Alerts::new());
    steps.push(until(70));
    assert_eq!(times(&left(&steps)), (70, Some(70)));
}

#[test]
fn a_rule_is_judged_over_what_is_there_already() {
    let steps = [happens(3, &[created(1, 0)]), comes(7, &waiting()), until(11)];
    assert_eq!(times(&left(&steps)), (7, None));
}

#[test]
fn a_rule_that_changes_keeps_its_alerts() {
    let patient = Watch { hold: 60 * SECOND as i64, ..waiting() };
    let steps = [
        comes(0, &patient),
        happens(10, &[created(1, 10)]),
        changes(30, &patient, &waiting()),
        changes(35, &waiting(), &patient),
        until(36),
    ];
    // What fires does not become pending again.
    assert_eq!(times(&left(&steps)), (10, Some(30)));
}

#[test]
fn a_rule_that_tells_apart_by_something_else_keeps_firing_what_it_told_apart_before() {
    let by_type = waiting().by("type");
    for (from, to) in [(waiting(), by_type.clone()), (by_type, waiting())] {
        let mut steps = vec![
            comes(0, &from),
            happens(10, &[created(1, 10)]),
            changes(20, &from, &to),
            until(29),
        ];
        // The new one has come to fire beside the old one.
        assert_eq!(left(&steps).len(), 2);
        steps.push(until(30));
        assert_eq!(times(&left(&steps)), (20, Some(25)));
    }
}

#[test]
fn a_rule_that_goes_takes_its_alerts_along() {
    let gone = Step { rules: vec![(waiting(), -1)], ..until(20) };
    let steps = [comes(0, &waiting()), happens(10, &[created(1, 10)]), gone];
    assert_eq!(left(&steps), Alerts::new());
}

#[test]
fn a_rule_that_comes_and_goes_at_one_tick_is_as_it_was() {
    for order in [[1, -1], [-1, 1]] {
        let rules = order.map(|diff| (waiting(), diff)).to_vec();
        let same = Step { rules, ..until(20) };
        let steps = [comes(0, &waiting()), happens(10, &[created(1, 10)]), same, until(30)];
        assert_eq!(times(&left(&steps)), (10, Some(15)));
    }
}

#[test]
fn what_runs_is_no_backlog_even_if_asked_for() {
    let running = Watch::new("Backlog", Of::Backlog, ">", 0.0);
    let running = running.matching("state", Match::Is("EXECUTING"));
    let steps = [comes(0, &running), happens(10, &[ended(1, Kind::Executed, 9)]), until(12)];
    assert_eq!(left(&steps), Alerts::new());
}

#[test]
fn an_absence_has_the_value_one() {
    let absent = Watch::new("Silent", Of::Finished(Window::M1), "", 0.0).when(When::Absent);
    let steps = [comes(3, &absent), until(4)];
    let alerts = left(&steps);
    assert_eq!(times(&alerts), (3, Some(3)));
    assert!(alerts.values().all(|alert| alert.value.get() == 1.0));
}

#[test]
fn a_second_clause_is_asked_of_the_same_subject_if_it_tells_apart_by_it() {
    let failing = Watch::new("Failing", Of::FailureRatio(Window::M1), ">", 0.5).by("type");
    let often = Clause::new(Of::Finished(Window::M1), ">=", 2.0);
    let of_type = Clause { by: BTreeSet::from(["type"]), ..often.clone() };
    let report = Fact { job_type: Name::new("report"), ..ended(2, Kind::Failed, 9) };
    let facts = [ended(1, Kind::Failed, 9), report];
    let holds = |watch: Watch| left(&[comes(0, &watch), happens(10, &facts), until(11)]).len();
    assert_eq!(holds(failing.clone()), 2);
    assert_eq!(holds(failing.clone().also(Joint::And, often.clone())), 2);
    assert_eq!(holds(failing.clone().also(Joint::And, of_type.clone())), 0);
    assert_eq!(holds(failing.clone().also(Joint::Unless, of_type)), 2);
    assert_eq!(holds(failing.also(Joint::Unless, often)), 0);
}

#[test]
fn a_measure_can_be_compared_with_another() {
    let slower = Watch::new("Slower", Of::Throughput(Window::M1), "", 0.0).when(When::Times(
        "<",
        0.5,
        Of::Throughput(Window::M5),
    ));
    let facts: Vec<Fact> = (1..=60).map(|job| ended(job, Kind::Completed, 1)).collect();
    let mut steps = vec![comes(0, &slower), happens(2, &facts), until(60)];
    assert_eq!(left(&steps), Alerts::new());
    steps.push(until(62));
    assert_eq!(times(&left(&steps)), (61, Some(61)));
}

#[test]
fn the_time_that_a_restart_takes_counts() {
    let patient = Watch { hold: 60 * SECOND as i64, ..waiting() };
    let restart = Step { restart: true, ..until(65) };
    let mut steps = vec![comes(0, &patient), happens(10, &[created(1, 10)]), until(20), restart];
    // Nobody has judged it yet.
    assert_eq!(times(&left(&steps)), (10, None));
    steps.push(comes(70, &patient));
    assert_eq!(times(&left(&steps)), (10, Some(70)));
}

#[test]
fn what_has_ceased_over_a_restart_begins_to_be_kept_firing() {
    let ended = vec![ended(1, Kind::Completed, 40)];
    let restart = Step { restart: true, facts: ended, ..comes(65, &waiting()) };
    let mut steps =
        vec![comes(0, &waiting()), happens(10, &[created(1, 10)]), until(20), restart, until(74)];
    assert_eq!(times(&left(&steps)), (10, Some(15)));
    steps.push(until(75));
    assert_eq!(left(&steps), Alerts::new());
}

#[test]
fn the_time_for_which_judging_is_suspended_counts() {
    let suspend = Step { suspended: Some(true), ..until(12) };
    let ended = happens(20, &[ended(1, Kind::Completed, 20)]);
    let mut steps = vec![comes(0, &waiting()), happens(10, &[created(1, 10)]), suspend];
    let resume = |seconds| Step { suspended: Some(false), ..until(seconds) };
    steps.push(until(40));
    // It would have fired long ago.
    assert_eq!(times(&left(&steps)), (10, None));
    let (mut held, mut ceased) = (steps.clone(), steps.clone());
    held.push(resume(50));
    assert_eq!(times(&left(&held)), (10, Some(50)));
    ceased.insert(3, ended);
    ceased.push(resume(50));
    assert_eq!(left(&ceased), Alerts::new());
}

#[test]
fn alerts_whose_rules_do_not_come_back_are_over_after_ten_seconds() {
    let restart = Step { restart: true, ..until(65) };
    let mut steps =
        vec![comes(0, &waiting()), happens(10, &[created(1, 10)]), until(20), restart, until(74)];
    assert_eq!(times(&left(&steps)), (10, Some(15)));
    let mut in_time = steps.clone();
    in_time.push(comes(75, &waiting()));
    assert_eq!(times(&left(&in_time)), (10, Some(15)));
    steps.push(until(75));
    assert_eq!(left(&steps), Alerts::new());
}
