//! A job is a join-semilattice: what is known of it depends on the set of its facts only.

mod support;

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use contracts::event::{EventId, JobId, Kind, UNTOLD};
use contracts::retries::MAX_RETRIES;
use contracts::snapshot::Measure;
use differential_dataflow::difference::{IsZero, Semigroup};
use differential_dataflow::input::InputSession;
use differential_dataflow::operators::CountTotal;
use pipeline::fact::{Fact, Input};
use pipeline::job_state::job_states;
use pipeline::name::Name;
use pipeline::row::{Change, Row};
use pipeline::summary::{DecodeError, Standing, Summary, UNKNOWN};
use pipeline::worker::single;
use pipeline::{Diff, Tick};
use proptest::prelude::{Strategy, any, proptest};
use serde::{Deserialize, Serialize};
use support::oracle::{self, HOUR, Job, MINUTE};
use support::random::Random;
use support::streams::{BASE, World, cut, deliver, fact};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::InputHandle;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::probe::Handle as ProbeHandle;
use timely::dataflow::operators::vec::Input as _;
use timely::dataflow::operators::{Operator, Probe};

/// The facts of one job, some of which do not even tell its type.
fn facts_of_a_job(random: &mut Random) -> Vec<Fact> {
    let world = World { n_jobs: 1, span: HOUR, wild_claims: true, ahead: HOUR };
    let mut facts = world.facts(random);
    for fact in &mut facts {
        if random.once_in(4) {
            fact.job_type = Name::NONE;
        }
    }
    facts
}

fn seeds() -> impl Strategy<Value = u64> {
    any::<u64>().no_shrink()
}

/// The join of one fact or more.
fn summary<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Summary {
    let mut summaries = facts.into_iter().map(Summary::of);
    let first = summaries.next().expect("at least one fact");
    summaries.fold(first, join)
}

fn join(mut a: Summary, b: Summary) -> Summary {
    let before = a.clone();
    let changed = a.join(&b);
    assert_eq!(changed, a != before, "the join says whether it learned anything");
    a
}

/// Some of the facts, at least one.
fn part(random: &mut Random, facts: &[Fact]) -> Vec<Fact> {
    let first = facts[random.below(facts.len())].clone();
    let others = facts.iter().filter(|_| random.once_in(2)).cloned();
    [first].into_iter().chain(others).collect()
}

/// A row, in the words of the oracle.
fn read(row: &Row) -> Job {
    let known = |at: i64| (at != UNKNOWN).then_some(at);
    Job {
        id: row.job,
        state: row.state,
        inferred: row.inferred,
        job_type: row.job_type.to_string(),
        queue: row.queue.to_string(),
        worker: row.worker.to_string(),
        created: row.created,
        started: known(row.started),
        run_started: known(row.run_started),
        finished: known(row.finished),
        decided: row.decided,
    }
}

proptest! {
    #![proptest_config(support::cases(20_000))]

    #[test]
    fn join_is_associative_commutative_and_idempotent(seed in seeds()) {
        let random = &mut Random::new(seed);
        let facts = facts_of_a_job(random);
        let [a, b, c] = [(); 3].map(|()| summary(&part(random, &facts)));
        let ab = join(a.clone(), b.clone());
        assert_eq!(join(a.clone(), a.clone()), a);
        assert_eq!(join(b.clone(), a.clone()), ab);
        assert_eq!(join(join(c.clone(), b.clone()), a.clone()), join(ab.clone(), c.clone()));
        assert_eq!(join(a, join(b, c.clone())), join(ab, c));
    }

    #[test]
    fn facts_in_any_order_and_number_make_the_row_of_the_oracle(seed in seeds()) {
        let random = &mut Random::new(seed);
        let facts = facts_of_a_job(random);
        let [wanted] = &oracle::jobs(&facts)[..] else { panic!("these are facts of one job") };
        let mut told = [facts.clone(), part(random, &facts)].concat();
        random.shuffle(&mut told);
        let row = Row::of(wanted.id, &summary(&told), false);
        assert_eq!(read(&row), *wanted);
        let latencies = [row.wait(), row.run(), row.total()];
        assert_eq!(latencies, Measure::ALL.map(|measure| wanted.latency(measure)));
        assert_eq!(row.skewed(), wanted.skewed());
    }

    #[test]
    fn a_summary_read_back_is_one_more_fact(seed in seeds()) {
        let random = &mut Random::new(seed);
        let facts = facts_of_a_job(random);
        let [a, b] = [(); 2].map(|()| summary(&part(random, &facts)));
        let read_back = Summary::decode(&a.encode()).unwrap();
        assert_eq!(read_back, a);
        assert_eq!(read_back.encode(), a.encode());
        assert_eq!(join(read_back, b.clone()), join(a.clone(), b.clone()));
        assert_eq!(join(b.clone(), Summary::decode(&a.encode()).unwrap()), join(b, a));
    }

    #[test]
    fn damaged_bytes_are_an_error_or_another_summary(seed in seeds()) {
        let random = &mut Random::new(seed);
        let whole = summary(&facts_of_a_job(random)).encode();
        for length in 0..whole.len() {
            assert!(Summary::decode(&whole[..length]).is_err(), "{length} bytes of {}", whole.len());
        }
        let longer = [&whole[..], &[0]].concat();
        assert_eq!(Summary::decode(&longer), Err(DecodeError::Damaged(whole.len())));
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 1 << random.below(8);
            if random.once_in(3) {
                let another = random.below(damaged.len());
                damaged[another] = random.next() as u8;
            }
            if let Ok(mut another) = Summary::decode(&damaged) {
                assert_eq!(Summary::decode(&another.encode()).as_ref(), Ok(&another));
                another.join(&summary(&facts_of_a_job(random)));
            }
        }
    }

    #[test]
    fn the_bytes_of_standings_compare_as_standings_do(seed in seeds()) {
        let random = &mut Random::new(seed);
        let any_fact = |random: &mut Random| {
            let at = random.between(-HOUR, HOUR);
            Fact {
                attempt: random.of(&[1, 2, 255, 256, u16::MAX]),
                inferred: random.once_in(2),
                event: EventId::from_u128(u128::from(random.next()) << random.of(&[0, 64])),
                ..fact(1, 0, random.of(&Kind::ALL), random.of(&[0, -1, i64::MIN, i64::MAX, at]))
            }
        };
        let (one, other) = (any_fact(random), any_fact(random));
        // They differ in everything, or in one field only.
        let other = match random.below(6) {
            0 => Fact { attempt: other.attempt, ..one.clone() },
            1 => Fact { inferred: other.inferred, ..one.clone() },
            2 => Fact { kind: other.kind, ..one.clone() },
            3 => Fact { at: other.at, ..one.clone() },
            4 => Fact { event: other.event, ..one.clone() },
            _ => other,
        };
        let (a, b) = (Standing::of(&one), Standing::of(&other));
        assert_eq!(a.to_bytes().cmp(&b.to_bytes()), a.cmp(&b), "{a:?} {b:?}");
    }
}

#[test]
fn a_summary_of_a_newer_program_says_so() {
    let mut bytes = Summary::of(&fact(1, 1, Kind::Created, BASE)).encode();
    bytes[0] = 3;
    assert_eq!(Summary::decode(&bytes), Err(DecodeError::Version(3)));
    assert_eq!(Summary::decode(&[]), Err(DecodeError::Damaged(0)));
}

#[test]
fn ten_thousand_events_of_a_job_take_no_more_room_than_a_few() {
    let random = &mut Random::new(7);
    let long = |letter: &str, n: u64| Name::new(&format!("{n:02}{}", letter.repeat(198)));
    let mut summary = None::<Summary>;
    for event in 1..=10_000 {
        let name = |random: &mut Random, letter| match random.once_in(3) {
            true => long(letter, random.next() % 10),
            false => Name::NONE,
        };
        let fact = Fact {
            attempt: 1 + random.below(usize::from(u16::MAX)) as u16,
            inferred: random.once_in(3),
            job_type: name(random, "t"),
            queue: name(random, "q"),
            worker: name(random, "w"),
            ..fact(1, event, random.of(&Kind::ALL), BASE + random.between(-HOUR, HOUR))
        };
        let learned = Summary::of(&fact);
        match &mut summary {
            Some(summary) => drop(summary.join(&learned)),
            None => summary = Some(learned),
        }
    }
    let summary = summary.unwrap();
    let names = [summary.job_type(), summary.queue(), summary.worker()];
    assert!(names.iter().all(|name| name.text().len() == 200), "all three are known");
    // What is in memory beside the struct itself are the standings, which are encoded last: three
    // at most. All else is of fixed size.
    let bytes = summary.encode();
    let fixed = 1 + 28 + 5 * 8 + 3 * (1 + 200) + 1;
    assert!(bytes.len() <= fixed + 3 * 28, "{} bytes", bytes.len());
    assert!(bytes.len() > fixed, "an attribute is not from the deciding fact");
    assert!(size_of::<Summary>() <= 120, "{} bytes", size_of::<Summary>());
}

/// Facts of one job of which none tells the attempt, and sometimes some do.
fn untold_facts(random: &mut Random) -> Vec<Fact> {
    let mixed = random.once_in(3);
    let mut facts = facts_of_a_job(random);
    for fact in &mut facts {
        if !mixed || random.once_in(2) {
            fact.attempt = UNTOLD;
            fact.inferred &= random.once_in(3);
        }
        // Close to each other, so that retries and ends change places.
        fact.at = BASE + random.between(0, 6);
    }
    facts
}

proptest! {
    #![proptest_config(support::cases(20_000))]

    #[test]
    fn where_attempts_are_not_told_the_join_is_one_all_the_same(seed in seeds()) {
        let random = &mut Random::new(seed);
        let facts = untold_facts(random);
        let [a, b, c] = [(); 3].map(|()| summary(&part(random, &facts)));
        let ab = join(a.clone(), b.clone());
        assert_eq!(join(a.clone(), a.clone()), a);
        assert_eq!(join(b.clone(), a.clone()), ab);
        assert_eq!(join(join(c.clone(), b.clone()), a.clone()), join(ab.clone(), c.clone()));
        assert_eq!(join(a.clone(), join(b.clone(), c.clone())), join(ab, c));
        let read_back = Summary::decode(&a.encode()).unwrap();
        assert_eq!((&read_back, read_back.encode()), (&a, a.encode()));
        assert_eq!(join(b.clone(), read_back), join(b, a));
    }

    #[test]
    fn where_attempts_are_not_told_facts_in_any_order_make_the_row_of_the_oracle(seed in seeds()) {
        let random = &mut Random::new(seed);
        let mut facts = untold_facts(random);
        facts.iter_mut().for_each(|fact| (fact.attempt, fact.inferred) = (UNTOLD, false));
        let [wanted] = &oracle::jobs(&facts)[..] else { panic!("these are facts of one job") };
        let mut told = [facts.clone(), part(random, &facts)].concat();
        random.shuffle(&mut told);
        let summary = summary(&told);
        assert_eq!(read(&Row::of(wanted.id, &summary, false)), *wanted);
        let facts: Vec<&Fact> = facts.iter().collect();
        assert_eq!(summary.top.attempt, oracle::attempt(&facts, wanted.decided));
        let deciding = facts.iter().filter(|fact| summary.decided_by(fact));
        assert!(deciding.clone().count() > 0 && deciding.into_iter().all(|f| f.at == wanted.decided));
    }

    #[test]
    fn damaged_bytes_of_untold_attempts_are_an_error_or_another_summary(seed in seeds()) {
        let random = &mut Random::new(seed);
        let whole = summary(&untold_facts(random)).encode();
        for length in 0..whole.len() {
            assert!(Summary::decode(&whole[..length]).is_err(), "{length} bytes of {}", whole.len());
        }
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 1 << random.below(8);
            if let Ok(mut another) = Summary::decode(&damaged) {
                assert_eq!(Summary::decode(&another.encode()).as_ref(), Ok(&another));
                another.join(&summary(&untold_facts(random)));
            }
        }
    }
}

#[test]
fn a_retry_makes_what_follows_it_the_next_attempt_whenever_it_comes() {
    let untold = |event, kind, at| Fact { attempt: UNTOLD, ..fact(1, event, kind, BASE + at) };
    let mut life = vec![
        untold(1, Kind::Created, 0),
        untold(2, Kind::Executed, 1),
        untold(3, Kind::Executed, 5),
        untold(4, Kind::Failed, 2),
        untold(5, Kind::Completed, 6),
    ];
    assert_eq!((summary(&life).top.kind, summary(&life).top.attempt), (Kind::Completed, 1));
    life.push(untold(6, Kind::Retried, 3));
    let retried = summary(&life);
    assert_eq!((retried.top.kind, retried.top.attempt), (Kind::Completed, 2));
    assert_eq!(retried.run_started, BASE + 5);
    life.push(untold(7, Kind::Retried, 7));
    let again = summary(&life);
    assert_eq!((again.top.kind, again.top.attempt), (Kind::Retried, 2));
    assert_eq!(again.finished(), UNKNOWN, "a retry is later than its end");
}

#[test]
fn ten_thousand_events_without_attempts_take_no_more_room_than_some() {
    let random = &mut Random::new(7);
    let untold = |event, kind, at| Fact {
        attempt: UNTOLD,
        worker: Name::new(&"w".repeat(200)),
        ..fact(1, event, kind, BASE + at)
    };
    let facts: Vec<Fact> = (1..=10_000)
        .map(|event| untold(event, random.of(&Kind::ALL), random.between(0, HOUR)))
        .collect();
    let summary = summary(&facts);
    let retries = summary.retries().unwrap();
    assert!(retries.more() && retries.told_apart().len() == MAX_RETRIES);
    let bytes = summary.encode().len();
    assert!(bytes < 64 * 24 + 7 * 240 + 200, "{bytes} bytes");
}

/// Facts as the difference type: what has been said of a job is added up by joining.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known(Summary);

impl Ord for Known {
    fn cmp(&self, other: &Known) -> Ordering {
        // Equal summaries have equal bytes.
        self.0.encode().cmp(&other.0.encode())
    }
}

impl PartialOrd for Known {
    fn partial_cmp(&self, other: &Known) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl IsZero for Known {
    fn is_zero(&self) -> bool {
        false
    }
}

impl Semigroup for Known {
    fn plus_equals(&mut self, other: &Known) {
        self.0.join(&other.0);
    }
}

/// What an inspected stream has given out.
type Seen<D> = Rc<RefCell<Vec<D>>>;

/// The two forms of the job states, side by side.
struct SideBySide {
    worker: timely::worker::Worker,
    probe: ProbeHandle<Tick>,
    inputs: InputHandle<Tick, CapacityContainerBuilder<Vec<Input>>>,
    differences: InputSession<Tick, JobId, Known>,
    changes: Seen<(Change, Tick)>,
    counts: Seen<((JobId, Known), Tick, Diff)>,
}

impl SideBySide {
    fn new() -> SideBySide {
        let mut worker = single();
        let probe = ProbeHandle::new();
        let mut differences = InputSession::new();
        let (changes, counts) = (Seen::default(), Seen::default());
        let inputs = worker.dataflow(|scope| {
            let (handle, inputs) = scope.new_input();
            let seen = Rc::clone(&changes);
            let operator = job_states(inputs, None, false).changes;
            operator
                .unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(Pipeline, "Seen", |_, _| {
                    move |input, _| {
                        input.for_each(|at, changes| {
                            let changes = changes.iter().map(|change| (change.clone(), *at.time()));
                            seen.borrow_mut().extend(changes);
                        });
                    }
                })
                .probe_with(&probe);

            let seen = Rc::clone(&counts);
            let pure = differences.to_collection(scope).count_total();
            pure.inspect(move |row| seen.borrow_mut().push(row.clone())).probe_with(&probe);
            handle
        });
        SideBySide { worker, probe, inputs, differences, changes, counts }
    }

    fn tick(&mut self, tick: Tick, facts: &[Fact]) {
        self.inputs.advance_to(tick);
        self.differences.advance_to(tick);
        for fact in facts {
            self.inputs.send(Input::Fact(fact.clone()));
            self.differences.update(fact.job, Known(Summary::of(fact)));
        }
        self.inputs.advance_to(tick + 1);
        self.differences.advance_to(tick + 1);
        self.differences.flush();
        while self.probe.less_than(&(tick + 1)) {
            self.worker.step();
        }
    }
}

proptest! {
    #![proptest_config(support::cases(1000))]

    #[test]
    fn the_operator_agrees_with_the_pure_differential_form(seed in seeds(), n_jobs in 1..40_usize) {
        let random = &mut Random::new(seed);
        let world = World { n_jobs, span: 20 * MINUTE, wild_claims: true, ahead: 1000 * HOUR };
        let facts = world.facts(random);
        let deliveries = deliver(random, &world, &facts);
        let ticks = cut(random, &deliveries);
        let mut forms = SideBySide::new();
        let mut rows = BTreeMap::<JobId, Row>::new();
        let mut known = BTreeMap::<(JobId, Known), Diff>::new();
        for (tick, facts) in &ticks {
            forms.tick(*tick, facts);
            let mut changed = BTreeMap::new();
            for (change, at) in forms.changes.take() {
                assert_eq!(at, *tick);
                let Some(row) = change.new.clone() else { panic!("{change:?} without retention") };
                assert!(changed.insert(row.job, at).is_none(), "two changes of {}", row.job);
                assert_ne!(change.old, change.new);
                assert_eq!(rows.insert(row.job, row), change.old, "the row before {tick}");
            }
            for (row, at, diff) in forms.counts.take() {
                assert_eq!(at, *tick);
                *known.entry(row).or_default() += diff;
            }
            known.retain(|_, multiplicity| *multiplicity != 0);
            assert!(known.values().all(|multiplicity| *multiplicity == 1));
            let of = |(job, known): &(JobId, Known)| (*job, Row::of(*job, &known.0, false));
            assert_eq!(known.keys().map(of).collect::<BTreeMap<_, _>>(), rows, "at {tick}");
            assert_eq!(known.len(), rows.len());
        }
    }
}
