//! Jobs of Celery that expire before anybody takes them, or are lost with their worker: nobody tells,
//! so it is concluded.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod support;

use contracts::event::{Kind, State, UNTOLD};
use pipeline::Tick;
use pipeline::dataflow::Config;
use pipeline::fact::{Fact, Input};
use pipeline::lives::Sign;
use pipeline::name::Name;
use pipeline::row::Row;
use pipeline::seal::Sealed;
use pipeline::summary::Summary;
use pipeline::views::counts::Cell;
use pipeline::worker::Pipeline;
use proptest::prelude::{any, proptest};
use support::oracle::SECOND;
use support::random::Random;
use support::streams::{BASE, fact};

/// A fact of Celery, so many seconds after [`BASE`].
fn told(event: u128, kind: Kind, seconds: i64) -> Fact {
    Fact { attempt: UNTOLD, ..fact(1, event, kind, BASE + seconds * SECOND) }
}

/// The sending of a job that expires 10 s later.
fn sent(event: u128, seconds: i64) -> Fact {
    Fact { expires_after: 10_000, ..told(event, Kind::Created, seconds) }
}

fn at(seconds: i64) -> Tick {
    (BASE + seconds * SECOND) as Tick
}

/// The graph, and the jobs by state that it shows.
struct Graph {
    pipeline: Pipeline,
    cells: Vec<(State, isize)>,
}

impl Graph {
    fn new() -> Graph {
        Graph::of(1)
    }

    fn of(n_workers: usize) -> Graph {
        let config = Config { grid: 1, keep_records: true, ..Config::default() };
        Graph { pipeline: Pipeline::start(config, n_workers).unwrap(), cells: Vec::new() }
    }

    /// Feeds facts at a tick; gives the records that a store is to keep.
    fn tick(&mut self, tick: Tick, inputs: Vec<Input>) -> Vec<(Summary, Tick)> {
        self.pipeline.tick(tick, inputs).unwrap();
        let mut records = Vec::new();
        loop {
            let Sealed { upper, counts, records: sealed, .. } = self.pipeline.sealed().unwrap();
            for ((cell, n), _, diff) in counts {
                if let Cell::Live { state, .. } = cell {
                    self.cells.push((state, n * diff));
                }
            }
            records.extend(sealed.into_iter().map(|(record, tick, ())| (record.summary, tick)));
            if upper > tick {
                return records;
            }
        }
    }

    fn facts(&mut self, tick: Tick, facts: &[Fact]) -> Vec<(Summary, Tick)> {
        self.tick(tick, facts.iter().cloned().map(Input::Fact).collect())
    }

    /// The state of the only job, or of all.
    fn state(&self) -> State {
        let mut states: Vec<_> = State::ALL
            .into_iter()
            .filter(|state| {
                let cells = self.cells.iter().filter(|(of, _)| of == state);
                cells.map(|(_, n)| n).sum::<isize>() != 0
            })
            .collect();
        assert_eq!(states.len(), 1, "{states:?}");
        states.remove(0)
    }
}

#[test]
fn a_job_that_nobody_took_is_cancelled_when_it_expires() {
    let mut graph = Graph::new();
    graph.facts(at(0), &[sent(1, 0)]);
    graph.facts(at(10) - 1, &[]);
    assert_eq!(graph.state(), State::Pending);
    let records = graph.facts(at(12), &[]);
    assert_eq!(graph.state(), State::Cancelled);
    let [(summary, tick)] = &records[..] else { panic!("{records:?}") };
    let row = Row::of(fact(1, 0, Kind::Created, 0).job, summary, false);
    assert_eq!((row.finished, row.inferred, *tick), (BASE + 10 * SECOND, true, at(10)));
    assert_eq!(Summary::decode(&summary.encode()).as_ref(), Ok(summary));
}

#[test]
fn a_real_event_overrules_whenever_it_comes() {
    for (kind, seconds) in [(Kind::Validated, 9), (Kind::Executed, 20), (Kind::Completed, 5)] {
        let mut graph = Graph::new();
        graph.facts(at(0), &[sent(1, 0)]);
        graph.facts(at(30), &[]);
        assert_eq!(graph.state(), State::Cancelled);
        graph.facts(at(31), &[told(2, kind, seconds)]);
        assert_eq!(graph.state(), kind.state());
    }
}

#[test]
fn what_says_nothing_new_overrules_nothing() {
    let mut graph = Graph::new();
    graph.facts(at(0), &[sent(2, 0)]);
    graph.facts(at(30), &[]);
    graph.facts(at(31), &[sent(2, 0), told(1, Kind::Created, -1)]);
    assert_eq!(graph.state(), State::Cancelled);
}

#[test]
fn a_job_that_was_taken_does_not_expire_and_one_that_is_sent_again_does_anew() {
    let mut graph = Graph::new();
    graph.facts(at(0), &[sent(1, 0), told(2, Kind::Executed, 1)]);
    graph.facts(at(30), &[]);
    assert_eq!(graph.state(), State::Executing);
    graph.facts(at(31), &[told(3, Kind::Retried, 31)]);
    graph.facts(at(32), &[sent(4, 32)]);
    assert_eq!(graph.state(), State::Pending);
    graph.facts(at(42) - 1, &[]);
    assert_eq!(graph.state(), State::Pending);
    graph.facts(at(42), &[]);
    assert_eq!(graph.state(), State::Cancelled);
}

#[test]
fn what_a_restart_finds_expires_at_the_next_tick_and_not_while_it_is_read() {
    let mut graph = Graph::new();
    let records = graph.facts(at(0), &[sent(1, 0)]);
    let stored = pipeline::fact::Record {
        job: fact(1, 0, Kind::Created, 0).job,
        summary: records[0].0.clone(),
        tick: at(0),
        abandoned_at: None,
        retired_at: None,
    };
    let mut graph = Graph::new();
    let read = graph.tick(at(60), vec![Input::Stored(Box::new(stored))]);
    assert_eq!((read.len(), graph.state()), (0, State::Pending));
    assert_eq!(graph.facts(at(61), &[]).len(), 1);
    assert_eq!(graph.state(), State::Cancelled);
}

/// A start at the worker, so many seconds after [`BASE`].
fn begun(event: u128, seconds: i64) -> Fact {
    Fact { worker: Name::new("w1@a"), ..told(event, Kind::Executed, seconds) }
}

/// What a worker says of itself, so many seconds after [`BASE`]: that it has begun nothing yet, or
/// that it has nothing to do.
fn says(seconds: i64, fresh: bool) -> Input {
    Input::Sign(Sign { worker: Name::new("w1@a"), at: BASE + seconds * SECOND, fresh, to: 0 })
}

#[test]
fn what_a_worker_had_begun_is_lost_when_it_begins_anew() {
    let mut graph = Graph::new();
    graph.facts(at(0), &[begun(1, 1)]);
    let records = graph.tick(at(5), vec![says(0, false), says(5, true)]);
    assert_eq!(graph.state(), State::Failed);
    let row = Row::of(begun(1, 1).job, &records[0].0, false);
    assert_eq!((row.finished, row.inferred), (BASE + 5 * SECOND, true));
    assert_eq!(Summary::decode(&records[0].0.encode()).as_ref(), Ok(&records[0].0));
    // Celery delivers it once more, if it was not acknowledged.
    graph.facts(at(6), &[begun(2, 6)]);
    assert_eq!(graph.state(), State::Executing);
    graph.tick(at(7), vec![says(5, true)]);
    assert_eq!(graph.state(), State::Executing, "that was another life");
    graph.facts(at(8), &[told(3, Kind::Completed, 8)]);
    assert_eq!(graph.state(), State::Completed);
    graph.tick(at(9), vec![says(9, true)]);
    assert_eq!(graph.state(), State::Completed);
}

#[test]
fn what_had_ended_without_a_word_is_not_lost_nor_what_is_elsewhere() {
    let mut graph = Graph::new();
    graph.facts(at(0), &[begun(1, 1)]);
    graph.tick(at(5), vec![says(2, false), says(5, true)]);
    assert_eq!(graph.state(), State::Abandoned);
    graph.facts(at(6), &[Fact { worker: Name::new("w2@b"), ..begun(2, 6) }]);
    graph.tick(at(9), vec![says(9, true)]);
    assert_eq!(graph.state(), State::Executing);
}

#[test]
fn what_a_worker_began_that_has_had_nothing_to_do_for_a_while_has_ended_unseen() {
    let mut graph = Graph::new();
    graph.facts(at(0), &[begun(1, 1)]);
    graph.tick(at(3), vec![says(3, false)]);
    graph.tick(at(12), vec![says(12, false)]);
    assert_eq!(graph.state(), State::Executing, "its last word may be on its way");
    let records = graph.tick(at(13), vec![says(13, false)]);
    assert_eq!(graph.state(), State::Abandoned);
    assert_eq!(records.len(), 1);
    assert_eq!(graph.tick(at(33), vec![says(23, false), says(33, false)]).len(), 0, "it is known");
    // What says nothing of its end changes nothing.
    graph.facts(at(34), &[told(2, Kind::Validated, 0)]);
    assert_eq!(graph.state(), State::Abandoned);
    // Delivered once more, it runs again, and may be lost.
    graph.facts(at(36), &[begun(3, 35)]);
    assert_eq!(graph.state(), State::Executing);
    graph.tick(at(40), vec![says(40, true)]);
    assert_eq!(graph.state(), State::Failed);
    graph.facts(at(41), &[told(4, Kind::Completed, 39)]);
    assert_eq!(graph.state(), State::Completed);
}

#[test]
fn what_had_ended_unseen_before_a_restart_is_not_lost_after_it() {
    let mut graph = Graph::new();
    graph.facts(at(0), &[begun(1, 1)]);
    let records = graph.tick(at(13), vec![says(3, false), says(13, false)]);
    assert_eq!(graph.state(), State::Abandoned);
    let stored = pipeline::fact::Record {
        job: begun(1, 1).job,
        summary: records[0].0.clone(),
        tick: at(0),
        abandoned_at: Some(at(13)),
        retired_at: None,
    };
    let mut graph = Graph::new();
    graph.tick(at(60), vec![Input::Stored(Box::new(stored.clone()))]);
    graph.tick(at(70), vec![says(70, true)]);
    assert_eq!(graph.state(), State::Abandoned);
    // One that was still running then is lost.
    let mut graph = Graph::new();
    graph.tick(
        at(60),
        vec![Input::Stored(Box::new(pipeline::fact::Record { abandoned_at: None, ..stored }))],
    );
    assert_eq!(graph.state(), State::Executing);
    graph.tick(at(70), vec![says(70, true)]);
    assert_eq!(graph.state(), State::Failed);
}

#[test]
fn a_task_that_runs_long_is_not_given_up_while_its_worker_is_busy_nor_for_what_was_before() {
    let mut graph = Graph::new();
    graph.tick(at(0), vec![says(-20, false), says(-10, false), says(0, false)]);
    graph.facts(at(1), &[begun(1, 1)]);
    // Of a busy worker there is no sign.
    graph.tick(at(3_600), vec![says(3_600, false)]);
    assert_eq!(graph.state(), State::Executing);
    graph.facts(at(3_601), &[told(2, Kind::Completed, 3_599)]);
    graph.tick(at(3_620), vec![says(3_610, false), says(3_620, false)]);
    assert_eq!(graph.state(), State::Completed);
}

#[test]
fn a_start_that_is_told_after_the_next_life_is_lost_all_the_same_and_one_of_that_life_is_not() {
    let mut graph = Graph::new();
    graph.tick(at(0), vec![says(5, true)]);
    graph.facts(at(6), &[begun(1, 1)]);
    assert_eq!(graph.state(), State::Failed);
    let mut graph = Graph::new();
    graph.tick(at(0), vec![says(5, true)]);
    graph.facts(at(6), &[begun(1, 6)]);
    graph.tick(at(7), vec![says(7, false)]);
    assert_eq!(graph.state(), State::Executing);
}

#[test]
fn a_retry_that_nobody_takes_expires_though_it_was_sent_before_the_attempt_failed() {
    let mut graph = Graph::new();
    graph.facts(at(0), &[told(1, Kind::Created, 0), told(2, Kind::Executed, 1), sent(3, 2)]);
    graph.facts(at(3), &[told(4, Kind::Retried, 3)]);
    assert_eq!(graph.state(), State::Retrying);
    graph.facts(at(12) - 1, &[]);
    assert_eq!(graph.state(), State::Retrying);
    graph.facts(at(12), &[]);
    assert_eq!(graph.state(), State::Cancelled);
}

#[test]
fn a_task_that_was_taken_for_expired_can_still_be_lost() {
    // By its worker's clock it was begun before it was sent.
    let clocks = [begun(2, -1), sent(1, 0)];
    for turned in [false, true] {
        let mut graph = Graph::new();
        let [first, second] =
            if turned { [&clocks[1], &clocks[0]] } else { [&clocks[0], &clocks[1]] };
        graph.facts(at(0), std::slice::from_ref(first));
        graph.facts(at(30), std::slice::from_ref(second));
        graph.tick(at(40), vec![says(40, true)]);
        assert_eq!(graph.state(), State::Failed, "{turned}");
    }
}

#[test]
fn two_workers_lose_what_one_does() {
    let jobs = (1..40).map(|job| {
        Input::Fact(Fact {
            worker: Name::new("w1@a"),
            attempt: UNTOLD,
            ..fact(job, job, Kind::Executed, BASE)
        })
    });
    // Of one that has ended nothing is concluded, though that is told behind its start.
    let ended = Fact { worker: Name::new("w1@a"), ..fact(1, 99, Kind::Completed, BASE + SECOND) };
    let ended = Input::Fact(Fact { attempt: UNTOLD, ..ended });
    let inputs: Vec<Input> = jobs.chain([ended, says(5, true)]).collect();
    let kept = [1, 2].map(|workers| {
        let mut graph = Graph::of(workers);
        let mut records = graph.tick(at(6), inputs.clone());
        records.extend(graph.tick(at(7), Vec::new()));
        records.sort_by_key(|(summary, tick)| (*tick, summary.encode()));
        records
    });
    let failed = kept[0].iter().filter(|(summary, _)| summary.state() == State::Failed).count();
    assert_eq!((kept[0].len(), failed), (39, 38));
    assert_eq!(kept[0], kept[1]);
}

proptest! {
    #![proptest_config(support::cases(4000))]

    #[test]
    fn whether_a_job_has_expired_depends_on_its_facts_and_the_time_only(seed in any::<u64>()) {
        let random = &mut Random::new(seed);
        let mut facts = vec![sent(1, 0)];
        for event in 2..2 + random.below(4) as u128 {
            let seconds = random.between(0, 20);
            let fact = match random.below(3) {
                0 => sent(event, seconds),
                _ => told(event, random.of(&[Kind::Validated, Kind::Executed, Kind::Retried]), seconds),
            };
            facts.push(fact);
        }
        let until = random.between(15, 40);
        let states = [(); 2].map(|()| {
            random.shuffle(&mut facts);
            let mut graph = Graph::new();
            let mut clock = at(0);
            for fact in &facts {
                clock += random.below(3) as Tick * SECOND as Tick / 2 + 1;
                graph.facts(clock, std::slice::from_ref(fact));
            }
            graph.facts(at(until), &[]);
            graph.state()
        });
        assert_eq!(states[0], states[1], "{facts:?} at {until}");
    }
}
