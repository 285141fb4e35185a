//! Jobs leave memory, and nothing that anybody counts is lost by it.
//!
//! [`Program`] compares all views with the oracle after every tick: the tests here lead it into
//! the corners, and say what else must be true there.

mod support;

use contracts::event::{JobId, Kind, State};
use contracts::snapshot::{Measure, Window};
use pipeline::Tick;
use pipeline::dataflow::{Config, Kept};
use pipeline::distribution::bucket;
use pipeline::fact::{Answer, Fact, Input, Record};
use pipeline::name::Name;
use pipeline::retention::Retention;
use pipeline::summary::Summary;
use pipeline::views::counts::Cell;
use pipeline::views::latency::{ABSENT, Sample};
use proptest::prelude::{Strategy, any, proptest};
use support::bench::{Bench, inputs};
use support::oracle::{HOUR, MINUTE, SECOND};
use support::random::Random;
use support::shown::Shown;
use support::store::{Program, retiring};
use support::streams::{BASE, World, cut, deliver, fact, run_out};

const RETIRE: Tick = Retention::MIN_RETIRE;
const ABANDON: Tick = 3 * RETIRE;
/// A tick at which jobs are created.
const START: Tick = BASE as Tick;
const JOB: JobId = JobId::from_u128(1);

fn program() -> Program {
    Program::new(Bench::here(&retiring()), retiring(), 0)
}

/// A fact of [`JOB`], created at `BASE`, so many minutes after.
fn told(event: u128, kind: Kind, minutes: i64) -> Fact {
    Fact { created_at: BASE, ..fact(1, event, kind, BASE + minutes * MINUTE) }
}

/// A job that has completed and was retired since.
fn with_retired_job() -> Program {
    let mut program = program();
    program.tick(START, &[told(1, Kind::Created, 0)]);
    program.tick(START + 1, &[told(2, Kind::Executed, 1), told(3, Kind::Completed, 2)]);
    program.tick(START + 2 * RETIRE, &[]);
    assert!(program.store.rows[&JOB].retired_at.is_some());
    assert_eq!(program.shown.cube().len(), 0);
    program
}

fn total(state: State, n: u64) -> support::oracle::Totals {
    [((state, "email.send".to_owned()), n)].into()
}

#[test]
fn retired_jobs_leave_the_cube_and_enter_the_totals_at_one_tick() {
    let mut program = program();
    program.tick(START, &[told(1, Kind::Created, 0), told(2, Kind::Completed, 1)]);
    let due = START + RETIRE;
    program.tick(due - 1, &[]);
    assert_eq!((program.shown.cube().len(), program.shown.totals().len()), (1, 0));
    program.tick(due, &[]);
    assert_eq!(program.shown.cube().len(), 0);
    assert_eq!(program.shown.totals(), total(State::Completed, 1));
    assert_eq!(program.store.rows[&JOB].retired_at, Some(due));
}

#[test]
fn retirement_counts_from_the_last_fact_that_changed_the_job() {
    let mut program = program();
    program.tick(START, &[told(1, Kind::Created, 0), told(2, Kind::Completed, 1)]);
    // Tells nothing new, twice.
    program.tick(START + HOUR as Tick, &[told(2, Kind::Completed, 1)]);
    program.tick(START + RETIRE - 1, &[told(3, Kind::Executed, 0), told(1, Kind::Created, 0)]);
    let due = (START + 2 * RETIRE - 1).next_multiple_of(SECOND as Tick);
    program.tick(due - 1, &[]);
    assert_eq!(program.store.rows[&JOB].retired_at, None);
    program.tick(due, &[]);
    assert_eq!(program.store.rows[&JOB].retired_at, Some(due));
}

#[test]
fn windows_and_the_distribution_of_all_do_not_notice_retirement() {
    let mut program = program();
    program.tick(START, &[told(1, Kind::Created, 0), told(2, Kind::Executed, 1)]);
    // Its producer's clock is ahead: it is in the last hour until after it could be retired.
    program.tick(START + 1, &[told(3, Kind::Completed, 30)]);
    program.tick(START + RETIRE + 1, &[]);
    assert_eq!(program.store.rows[&JOB].retired_at, None, "it is in the window of an hour");
    let due = START + 91 * MINUTE as Tick;
    program.tick(due - 1, &[]);
    let (latency, minutes) = (program.shown.latency(), program.shown.minutes.clone());
    assert!(latency.contains_key(&(Measure::Run, None, Window::All)));
    program.tick(due, &[]);
    assert_eq!(program.store.rows[&JOB].retired_at, Some(due));
    assert_eq!(program.shown.latency(), latency);
    assert_eq!(program.shown.minutes, minutes);
}

#[test]
fn a_fact_of_a_retired_job_brings_it_back_and_out_again() {
    for answers in [(1, true), (1, false), (3, true), (3, false)] {
        let mut program = with_retired_job();
        program.answers = Some(answers);
        program.tick(program.last + 1, &[told(4, Kind::Failed, 3)]);
        assert_eq!(program.shown.totals(), total(State::Completed, 1), "it is looked up first");
        program.settle();
        assert_eq!(program.shown.totals().len(), 0);
        let back = program.last;
        assert_eq!(program.store.rows[&JOB].tick, back);
        program.tick(back + RETIRE + SECOND as Tick, &[]);
        assert_eq!(program.shown.cube().len(), 0);
        assert_eq!(program.shown.totals(), total(State::Failed, 1));
        let samples = program.shown.latency()[&(Measure::Total, None, Window::All)].samples;
        assert_eq!(samples, 1);
    }
}

#[test]
fn a_later_attempt_of_a_retired_job_takes_its_sample_back() {
    let mut program = with_retired_job();
    let again = Fact { attempt: 2, ..told(4, Kind::Executed, 200) };
    program.tick(program.last + 1, &[again]);
    program.settle();
    assert!(program.shown.latency().is_empty(), "it has not finished after all");
    assert_eq!(program.shown.totals().len(), 0);
}

#[test]
fn a_duplicate_of_a_retired_jobs_fact_changes_nothing_in_the_end() {
    let mut program = with_retired_job();
    let before = (program.shown.totals(), program.shown.latency(), program.shown.minutes.clone());
    program.tick(program.last + 1, &[told(3, Kind::Completed, 2)]);
    program.settle();
    program.tick(program.last + RETIRE + SECOND as Tick, &[]);
    assert_eq!(program.shown.cube().len(), 0);
    let after = (program.shown.totals(), program.shown.latency(), program.shown.minutes.clone());
    assert_eq!(after, before);
}

#[test]
fn two_facts_of_a_retired_job_take_it_out_of_the_totals_once() {
    for answers in [(1, true), (2, true), (4, true), (1, false), (2, false), (4, false)] {
        let mut program = with_retired_job();
        let other = Fact { job: JobId::from_u128(2), ..told(8, Kind::Completed, 1) };
        program.tick(program.last + 1, &[other]);
        program.settle();
        program.answers = Some(answers);
        program.tick(program.last + 1, &[told(4, Kind::Failed, 3), told(5, Kind::Validated, 1)]);
        program.tick(program.last + 1, &[told(6, Kind::Failed, 4)]);
        program.tick(program.last + 1, &[told(3, Kind::Completed, 2)]);
        program.settle();
        program.tick(program.last + RETIRE + SECOND as Tick, &[]);
        let mut both = total(State::Failed, 1);
        both.extend(total(State::Completed, 1));
        assert_eq!(program.shown.totals(), both, "answers after {answers:?}");
    }
}

#[test]
fn a_feed_that_stalls_for_longer_than_the_retention_catches_up() {
    let mut program = program();
    let jobs = 1..=20_u128;
    let of = |event, kind, minutes| {
        move |job| Fact { job: JobId::from_u128(job), ..told(event, kind, minutes) }
    };
    let created: Vec<Fact> = jobs.clone().map(of(1, Kind::Created, 0)).collect();
    let completed: Vec<Fact> = jobs.clone().map(of(2, Kind::Completed, 1)).collect();
    let failed: Vec<Fact> = jobs.clone().map(of(3, Kind::Failed, 2)).collect();
    program.tick(START, &created);
    // Of a half the end is known before the feed stalls.
    program.tick(START + 1, &completed[..10]);

    let mut backlog = [created, completed, failed[5..15].to_vec()].concat();
    backlog.extend((21..=25).map(of(1, Kind::Created, 30)));
    Random::new(5).shuffle(&mut backlog);
    program.tick(START + 2 * RETIRE, &backlog);
    assert!(program.n_lookups > 0);
    program.settle();
    program.tick(program.last + 2 * RETIRE + ABANDON, &[]);
    let mut ended = total(State::Completed, 10);
    ended.extend(total(State::Failed, 10));
    ended.extend(total(State::Abandoned, 5));
    assert_eq!(program.shown.totals(), ended);
}

#[test]
fn a_young_fact_never_needs_a_lookup() {
    let mut program = program();
    let tick = START + 5 * RETIRE;
    let youngest_retired = (tick - RETIRE) as i64 + 10 * MINUTE;
    let claiming = |job, created_at| Fact { created_at, ..fact(job, 1, Kind::Executed, BASE) };
    program.tick(tick, &[claiming(1, youngest_retired + 1), claiming(2, tick as i64)]);
    assert_eq!(program.n_lookups, 0);
    assert_eq!(program.shown.cube().values().sum::<u64>(), 2);
    program.tick(tick + 1, &[claiming(3, youngest_retired + 1)]);
    assert_eq!(program.n_lookups, 1, "by now it may have been retired");
}

#[test]
fn an_old_job_that_the_store_does_not_know_becomes_a_job_after_its_lookup() {
    for answers in [(1, true), (3, false)] {
        let mut program = program();
        program.answers = Some(answers);
        let tick = START + 5 * RETIRE;
        program.tick(tick, &[told(2, Kind::Executed, 1)]);
        program.tick(tick + 1, &[told(3, Kind::Completed, 2)]);
        assert_eq!(program.shown.all_time().len(), usize::from(answers.0 == 1));
        program.settle();
        assert_eq!(program.n_lookups, if answers.0 == 1 { 1 } else { 2 });
        assert_eq!(program.shown.all_time(), total(State::Completed, 1));
    }
}

#[test]
fn without_retention_nothing_is_retired_or_looked_up() {
    let config = Config { retention: None, ..retiring() };
    let mut program = Program::new(Bench::here(&config), config, 0);
    program.tick(START, &[told(1, Kind::Created, 0), told(2, Kind::Completed, 1)]);
    let late = Fact { job: JobId::from_u128(2), ..told(3, Kind::Created, 0) };
    program.tick(START + 1000 * ABANDON, &[late]);
    assert_eq!(program.n_lookups, 0);
    assert_eq!(program.shown.cube().values().sum::<u64>(), 2);
}

#[test]
fn an_unfinished_job_is_given_up_then_ended_by_a_later_fact_then_retired() {
    let mut program = program();
    program.tick(START, &[told(1, Kind::Created, 0)]);
    program.tick(START + 1, &[told(2, Kind::Executed, 1)]);
    let due = (START + 1 + ABANDON).next_multiple_of(SECOND as Tick);
    program.tick(due - 1, &[]);
    assert_eq!(program.shown.all_time(), total(State::Executing, 1));
    program.tick(due, &[]);
    assert_eq!(program.shown.all_time(), total(State::Abandoned, 1));
    assert_eq!(program.shown.totals().len(), 0, "it is in memory");

    // What was known already does not end it; what changes the job does.
    program.tick(due + 1, &[told(1, Kind::Created, 0)]);
    assert_eq!(program.shown.all_time(), total(State::Abandoned, 1));
    program.tick(due + 2, &[told(3, Kind::Validated, 1)]);
    assert_eq!(program.shown.all_time(), total(State::Executing, 1));
    program.tick(due + 3, &[told(4, Kind::Completed, 300)]);
    assert_eq!(program.shown.all_time(), total(State::Completed, 1));
    program.tick(due + RETIRE + 2 * SECOND as Tick, &[]);
    assert_eq!(program.shown.totals().len(), 0, "it finished in the future");
    program.tick(due + 3 * RETIRE, &[]);
    assert_eq!(program.shown.totals(), total(State::Completed, 1));
}

#[test]
fn a_job_that_was_given_up_is_retired_if_nothing_more_is_heard() {
    let mut program = program();
    program.tick(START, &[told(1, Kind::Created, 0)]);
    let due = START + ABANDON + RETIRE;
    program.tick(due - 1, &[]);
    assert_eq!(program.shown.totals().len(), 0);
    program.tick(due, &[]);
    assert_eq!(program.shown.totals(), total(State::Abandoned, 1));
    assert_eq!(program.store.rows[&JOB].abandoned_at, Some(START + ABANDON));

    // A duplicate brings it back as it was; news bring it back to life.
    program.tick(due + 1, &[told(1, Kind::Created, 0)]);
    program.settle();
    assert_eq!(program.shown.all_time(), total(State::Abandoned, 1));
    assert_eq!(program.shown.totals().len(), 0);
    program.tick(due + 2 * RETIRE, &[]);
    assert_eq!(program.shown.totals(), total(State::Abandoned, 1));
    program.tick(due + 2 * RETIRE + 1, &[told(2, Kind::Completed, 7)]);
    program.settle();
    assert_eq!(program.shown.all_time(), total(State::Completed, 1));
}

#[test]
fn a_restart_after_retirement_keeps_the_totals_and_all_time_exact() {
    let mut program = with_retired_job();
    let live = Fact { created_at: program.last as i64, ..told(9, Kind::Executed, 141) };
    program.tick(program.last + 1, &[Fact { job: JobId::from_u128(2), ..live }]);
    let before = (program.shown.all_time(), program.shown.latency());
    let tick = program.last + HOUR as Tick;
    assert!(program.restart(Bench::here(&program.config_now()), tick).is_empty());
    assert_eq!((program.shown.all_time(), program.shown.latency()), before);
    // And the retired one is corrected as ever.
    program.tick(tick + 1, &[told(4, Kind::Failed, 3)]);
    program.settle();
    assert_eq!(program.shown.totals().len(), 0);
    program.tick(program.last + 2 * RETIRE, &[]);
    assert_eq!(program.shown.totals(), total(State::Failed, 1));
}

#[test]
fn a_restart_does_not_prolong_the_life_of_what_it_reads_back() {
    let mut program = program();
    program.tick(START, &[told(1, Kind::Created, 0), told(2, Kind::Completed, 1)]);
    let due = START + RETIRE;
    let tick = due - MINUTE as Tick;
    program.restart(Bench::here(&program.config_now()), tick);
    program.tick(due, &[]);
    assert_eq!(program.store.rows[&JOB].retired_at, Some(due));
}

#[test]
fn a_longer_retention_does_not_make_young_again_what_a_shorter_one_has_retired() {
    let mut program = with_retired_job();
    let longer = |retention| Retention {
        retire_after: 24 * RETIRE,
        abandon_after: 48 * RETIRE,
        ..retention
    };
    let config = program.config_now();
    let config = Config { retention: config.retention.map(longer), ..config };
    program.restart(Bench::here(&config), program.last + 1);
    program.tick(program.last + 1, &[told(4, Kind::Failed, 3)]);
    program.settle();
    assert_eq!(program.shown.all_time(), total(State::Failed, 1));
}

#[test]
fn a_producer_whose_clock_is_most_of_an_hour_ahead_does_not_make_its_jobs_twice() {
    let config = Config { retention: Some(Retention::default()), ..retiring() };
    let mut program = Program::new(Bench::here(&config), config, 0);
    let ahead = |event, kind, minutes: i64| Fact {
        created_at: BASE + 50 * MINUTE,
        ..told(event, kind, 50 + minutes)
    };
    let facts = [ahead(1, Kind::Created, 0), ahead(2, Kind::Completed, 1)];
    program.tick(START, &facts);
    for minutes in [119, 121, 150, 180] {
        program.tick(START + minutes * MINUTE as Tick, &facts);
        program.settle();
        assert_eq!(program.shown.all_time(), total(State::Completed, 1), "after {minutes} min");
    }
}

#[test]
fn a_young_claim_that_overtakes_a_lookup_does_not_count_the_job_twice() {
    let program = with_retired_job();
    let record = program.store.read(JOB).expect("it is stored");
    let mut bench = Bench::here(&retiring());
    let mut shown = Shown::default();
    let tick = program.last;
    bench.restore(tick, program.kept());
    // One producer says when the job was created, the other says now.
    let young = Fact { created_at: tick as i64, ..told(5, Kind::Failed, 141) };
    shown.add(&bench.tick(tick, inputs(&[told(4, Kind::Failed, 3)])));
    shown.add(&bench.tick(tick + 1, inputs(&[young])));
    let answer = Answer { fact: told(4, Kind::Failed, 3), record: Some(record), read_at: tick + 1 };
    shown.add(&bench.tick(tick + 2, vec![Input::Answer(Box::new(answer))]));
    assert_eq!(shown.totals().len(), 0);
    assert_eq!(shown.all_time(), total(State::Failed, 1));
    assert_eq!(shown.throughput()[&(None, Window::M5)], [0, 1, 1]);
}

#[test]
fn a_record_read_back_twice_at_one_tick_counts_once() {
    let summary = Summary::of(&told(2, Kind::Completed, 1));
    let record =
        Record { job: JOB, summary, tick: START, abandoned_at: None, retired_at: Some(START + 9) };
    let mut bench = Bench::here(&retiring());
    let job_type = Name::new("email.send");
    let queue = Name::new("default");
    let cell = Cell::Retired { state: State::Completed, job_type };
    let buckets = [ABSENT, ABSENT, bucket(MINUTE)];
    let sample = Sample { job_type, queue, finished: BASE, buckets };
    let tick = START + 3 * RETIRE;
    bench.restore(tick, vec![Kept::Jobs(cell, 1), Kept::Samples(sample, 1)]);
    let stored = Input::Stored(Box::new(record));
    let mut shown = Shown::default();
    shown.add(&bench.tick(tick, vec![stored.clone(), stored.clone()]));
    assert_eq!(shown.all_time(), total(State::Completed, 1));
    assert_eq!(shown.totals().len(), 0);
    shown.add(&bench.tick(tick + 1, vec![stored]));
    assert_eq!(shown.all_time(), total(State::Completed, 1));
}

/// A seed, and a world whose size shrinks when a case fails.
fn worlds() -> impl Strategy<Value = (u64, World)> {
    let spans = proptest::sample::select(vec![5 * MINUTE, HOUR, 6 * HOUR]);
    (any::<u64>().no_shrink(), 1..30_usize, spans).prop_map(|(seed, n_jobs, span)| {
        (seed, World { n_jobs, span, wild_claims: false, ahead: 5 * MINUTE })
    })
}

/// Runs a stream that stalls now and then, for up to so long that all jobs are retired or given up.
fn stall(seed: u64, world: &World, start: fn(&Config) -> Bench) {
    let mut random = Random::new(seed);
    let facts = world.facts(&mut random);
    let deliveries = deliver(&mut random, world, &facts);
    let mut ticks = cut(&mut random, &deliveries);
    let mut stalled = 0;
    for (tick, _) in &mut ticks {
        if random.once_in(12) {
            stalled += random.of(&[MINUTE, HOUR, RETIRE as i64 + 1, 3 * HOUR, ABANDON as i64]);
        }
        *tick += stalled as Tick;
    }
    run_out(&mut random, &mut ticks);
    let mut program = Program::new(start(&retiring()), retiring(), random.next());
    for (tick, facts) in &ticks {
        program.tick(*tick, facts);
    }
    program.settle();
    // In the end all are retired, finished or given up.
    program.tick(program.last + 2 * ABANDON + 2 * RETIRE, &[]);
    assert_eq!(program.shown.cube().len(), 0);
}

proptest! {
    #![proptest_config(support::cases(1000))]

    #[test]
    fn a_stream_that_stalls_loses_nothing_to_retention((seed, world) in worlds()) {
        stall(seed, &world, Bench::here);
    }
}

proptest! {
    #![proptest_config(support::cases(250))]

    #[test]
    fn two_workers_retire_and_recall_as_one_does((seed, world) in worlds()) {
        stall(seed, &world, |config| Bench::threads(config, 2));
    }
}
