//! At every tick the views are what the contract says of the facts so far.

mod support;

use std::collections::BTreeSet;

use contracts::event::Kind;
use contracts::snapshot::{Measure, Window};
use pipeline::Tick;
use pipeline::dataflow::Config;
use pipeline::fact::Fact;
use pipeline::name::Name;
use pipeline::views::sliding::{MAX_FACETS, Steps, Wanted};
use proptest::prelude::{Strategy, any, proptest};
use support::bench::{Bench, inputs};
use support::oracle::{Expected, HOUR, Job, MINUTE, SECOND, jobs};
use support::random::Random;
use support::shown::{Shown, by_tick};
use support::streams::{BASE, Ticks, World, cut, deliver, fact, run_out};

/// Every view at every tick.
const FINE: Config = Config {
    retention: None,
    grid: 1,
    steps: Steps::Every,
    wanted: Wanted::ALL,
    keep_records: false,
    judge: false,
    cluster: false,
    observed: None,
};

/// The coarse cadence of the program, in µs.
const GRID: Tick = 100_000;

/// What the oracle knows while a stream goes by.
#[derive(Default)]
struct Known {
    facts: Vec<Fact>,
    jobs: Vec<Job>,
}

impl Known {
    fn learn(&mut self, facts: &[Fact]) {
        if !facts.is_empty() {
            self.facts.extend_from_slice(facts);
            self.jobs = jobs(&self.facts);
        }
    }

    fn at(&self, tick: Tick) -> Expected {
        Expected::of(&self.jobs, tick as i64)
    }
}

/// Runs `ticks` through the dataflow and compares after each, and at each step between.
fn follow(mut bench: Bench, config: &Config, ticks: &Ticks) -> Shown {
    let mut known = Known::default();
    let mut shown = Shown::default();
    let mut before: Option<Tick> = None;
    for (tick, facts) in ticks {
        let sealed = bench.tick(*tick, inputs(facts));
        let mut moments = by_tick(sealed);
        let grid_time = tick / config.grid * config.grid;
        if let Some(before) = before {
            // What that tick changed shows at the first grid time after it.
            for moment in [before.next_multiple_of(config.grid), grid_time] {
                if before < moment && moment < *tick {
                    moments.entry(moment).or_default();
                }
            }
        }
        let now = moments.remove(tick).unwrap_or_default();
        for (moment, updates) in moments {
            shown.add(&updates);
            if config.steps == Steps::Every {
                let when = format!("at {moment}, before the facts of {tick}");
                shown.agrees_on_grid(&known.at(moment), &when);
            }
        }
        shown.add(&now);
        if config.steps == Steps::Last && before < Some(grid_time) && grid_time < *tick {
            let when = format!("at {grid_time}, before the facts of {tick}");
            shown.agrees_on_grid(&known.at(grid_time), &when);
        }
        known.learn(facts);
        let (expected, when) = (known.at(*tick), format!("at {tick}"));
        shown.agrees_at_once(&expected, &when);
        if *tick == grid_time {
            shown.agrees_on_grid(&expected, &when);
        }
        before = Some(*tick);
    }
    shown
}

/// A seed, and a world whose size shrinks when a case fails.
fn worlds(n_jobs: std::ops::Range<usize>) -> impl Strategy<Value = (u64, World)> {
    let spans = proptest::sample::select(vec![10 * SECOND, 5 * MINUTE, 3 * HOUR]);
    (any::<u64>().no_shrink(), n_jobs, spans).prop_map(|(seed, n_jobs, span)| {
        (seed, World { n_jobs, span, wild_claims: true, ahead: 1000 * HOUR })
    })
}

fn stream(random: &mut Random, world: &World) -> Ticks {
    let facts = world.facts(random);
    let deliveries = deliver(random, world, &facts);
    let mut ticks = cut(random, &deliveries);
    run_out(random, &mut ticks);
    ticks
}

proptest! {
    #![proptest_config(support::cases(1000))]

    #[test]
    fn every_view_is_at_every_tick_what_the_facts_say((seed, world) in worlds(1..40)) {
        let ticks = stream(&mut Random::new(seed), &world);
        follow(Bench::here(&FINE), &FINE, &ticks);
    }

    #[test]
    fn whoever_looks_only_at_the_end_of_a_jump_sees_the_same((seed, world) in worlds(1..40)) {
        let config = Config { steps: Steps::Last, ..FINE };
        let ticks = stream(&mut Random::new(seed), &world);
        follow(Bench::here(&config), &config, &ticks);
    }

    #[test]
    fn coarse_views_are_at_each_grid_time_what_the_facts_say((seed, world) in worlds(1..40)) {
        let config = Config { grid: GRID, ..FINE };
        let ticks = stream(&mut Random::new(seed), &world);
        follow(Bench::here(&config), &config, &ticks);
    }

    #[test]
    fn coarse_views_of_the_last_step_are_what_the_facts_say((seed, world) in worlds(1..40)) {
        let config = Config { grid: GRID, steps: Steps::Last, ..FINE };
        let ticks = stream(&mut Random::new(seed), &world);
        follow(Bench::here(&config), &config, &ticks);
    }

    #[test]
    fn how_a_stream_is_cut_into_ticks_does_not_matter_in_the_end((seed, world) in worlds(1..40)) {
        let mut random = Random::new(seed);
        let facts = world.facts(&mut random);
        let deliveries = deliver(&mut random, &world, &facts);
        let [mut one, mut other] = [(); 2].map(|()| cut(&mut random, &deliveries));
        let last = |ticks: &Ticks| ticks.last().map_or(0, |(tick, _)| *tick);
        let end = last(&one).max(last(&other)) + 1;
        for ticks in [&mut one, &mut other] {
            ticks.push((end, Vec::new()));
        }
        let [one, other] = [one, other].map(|ticks| follow(Bench::here(&FINE), &FINE, &ticks));
        assert_eq!(one.cube(), other.cube());
        assert_eq!(one.latency(), other.latency());
        assert_eq!(one.throughput(), other.throughput());
        assert_eq!(one.minutes, other.minutes);
    }
}

proptest! {
    #![proptest_config(support::cases(250))]

    #[test]
    fn a_worker_on_its_own_thread_shows_the_same((seed, world) in worlds(1..40)) {
        let ticks = stream(&mut Random::new(seed), &world);
        follow(Bench::threads(&FINE, 1), &FINE, &ticks);
    }

    #[test]
    fn two_workers_show_what_one_does((seed, world) in worlds(1..40)) {
        let ticks = stream(&mut Random::new(seed), &world);
        follow(Bench::threads(&FINE, 2), &FINE, &ticks);
    }

    #[test]
    fn two_processes_show_what_one_does((seed, world) in worlds(1..40)) {
        let mut random = Random::new(seed);
        let n_workers = random.of(&[1, 2]);
        let ticks = stream(&mut random, &world);
        follow(Bench::cluster(&FINE, 2, n_workers), &FINE, &ticks);
    }

    #[test]
    fn two_workers_agree_on_the_grid((seed, world) in worlds(1..40)) {
        let config = Config { grid: GRID, ..FINE };
        let ticks = stream(&mut Random::new(seed), &world);
        follow(Bench::threads(&config, 2), &config, &ticks);
    }
}

proptest! {
    #![proptest_config(support::cases(60))]

    #[test]
    fn ticks_of_ten_thousand_facts_are_like_any_other((seed, world) in worlds(2000..3000)) {
        let mut random = Random::new(seed);
        let facts = world.facts(&mut random);
        let mut deliveries = deliver(&mut random, &world, &facts);
        let mut ticks = Ticks::new();
        while !deliveries.is_empty() {
            let size = random.of(&[1, 10, 1_000, 10_000]).min(deliveries.len());
            let now: Vec<Fact> = deliveries.drain(..size).map(|(_, fact)| fact).collect();
            let latest = ticks.last().map_or(BASE, |(tick, _)| *tick as i64);
            ticks.push(((latest + random.between(1, 20 * MINUTE)) as Tick, now));
        }
        ticks.push((ticks[ticks.len() - 1].0 + 2 * HOUR as Tick, Vec::new()));
        let config = Config { steps: Steps::Last, ..FINE };
        follow(Bench::threads(&config, 2), &config, &ticks);
    }
}

/// A job that was created at `BASE` and completed `micros` later.
fn completed(job: u128, micros: i64) -> [Fact; 2] {
    let created = fact(job, 1, Kind::Created, BASE);
    let completed = fact(job, 2, Kind::Completed, BASE + micros);
    [created, completed]
}

/// The ticks at which something happens to the windows of a point at `at`, and those just before.
fn edges(at: i64) -> Vec<i64> {
    let leaves = |length: i64| {
        let step = length / 60;
        (at + step - 1).div_euclid(step) * step + length
    };
    let lengths = [MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR];
    lengths.into_iter().flat_map(|length| [leaves(length) - 1, leaves(length)]).collect()
}

#[test]
fn a_job_leaves_each_window_at_the_edge_and_not_a_microsecond_sooner() {
    for beside in [-1, 0, 1, SECOND - 1, SECOND, 7 * SECOND, MINUTE - 1, MINUTE] {
        let mut ticks = vec![((BASE + 2 * MINUTE) as Tick, completed(1, MINUTE + beside).to_vec())];
        let mut moments = edges(BASE + MINUTE + beside);
        moments.extend(edges(BASE));
        moments.sort_unstable();
        moments.dedup();
        moments.retain(|moment| *moment > BASE + 2 * MINUTE);
        ticks.extend(moments.into_iter().map(|moment| (moment as Tick, Vec::new())));
        let shown = follow(Bench::here(&FINE), &FINE, &ticks);
        assert_eq!(shown.throughput().len(), 0);
        assert!(shown.latency().keys().all(|(_, _, window)| *window == Window::All));
    }
}

#[test]
fn a_job_that_finishes_in_the_future_is_in_every_window_until_it_leaves() {
    let at = BASE + 30 * MINUTE;
    let mut ticks = vec![(BASE as Tick, completed(1, 30 * MINUTE).to_vec())];
    ticks.extend(edges(at).into_iter().map(|moment| (moment as Tick, Vec::new())));
    follow(Bench::here(&FINE), &FINE, &ticks);
}

#[test]
fn a_correction_takes_a_sample_out_of_the_middle_of_every_window() {
    let completions = (0..40).flat_map(|job| completed(job, MINUTE + job as i64 * SECOND));
    let first: Vec<Fact> = completions.collect();
    let at = |minutes: i64| (BASE + minutes * MINUTE) as Tick;
    for corrected_at in [3, 6, 14, 50, 90] {
        let moved = fact(7, 3, Kind::Failed, BASE + 2 * MINUTE);
        // A second attempt under way: the job has not finished after all.
        let reopened = Fact { attempt: 2, ..fact(8, 3, Kind::Executed, BASE + MINUTE) };
        let mut renamed = fact(9, 3, Kind::Completed, BASE + MINUTE + 10 * SECOND);
        renamed.job_type = Name::new("report");
        let ticks = vec![
            (at(2), first.clone()),
            (at(corrected_at), vec![moved, reopened, renamed]),
            (at(corrected_at) + 1, Vec::new()),
            (at(corrected_at + 4), Vec::new()),
            (at(corrected_at + 70), Vec::new()),
        ];
        follow(Bench::here(&FINE), &FINE, &ticks);
    }
}

#[test]
fn a_tick_may_be_fed_in_parts() {
    let mut bench = Bench::threads(&FINE, 2);
    let facts: Vec<Fact> = (0..100).flat_map(|job| completed(job, MINUTE)).collect();
    let tick = (BASE + HOUR / 2) as Tick;
    let mut shown = Shown::default();
    bench.feed(tick, inputs(&facts[..30]));
    bench.feed(tick, Vec::new());
    bench.feed(tick, inputs(&facts[20..150]));
    shown.add(&bench.tick(tick, inputs(&facts[100..])));
    shown.agrees(&Expected::of(&jobs(&facts), tick as i64), "after the last part");
}

#[test]
fn a_tick_whose_last_part_is_empty_is_sealed_all_the_same() {
    for n_workers in [1, 2] {
        for n_jobs in 1..5 {
            let mut bench = Bench::threads(&FINE, n_workers);
            let mut shown = Shown::default();
            let facts: Vec<Fact> = (0..n_jobs).flat_map(|job| completed(job, MINUTE)).collect();
            for (i, fact) in facts.iter().enumerate() {
                let tick = (BASE + i as i64) as Tick;
                bench.feed(tick, inputs([fact]));
                shown.add(&bench.tick(tick, Vec::new()));
                shown.agrees(&Expected::of(&jobs(&facts[..=i]), tick as i64), "in parts");
            }
        }
    }
}

#[test]
fn types_beyond_the_bound_are_left_out_and_all_together_stay_exact() {
    let n_types = MAX_FACETS as u128 + 20;
    let typed =
        |job: u128, fact: Fact| Fact { job_type: Name::new(&format!("type-{job}")), ..fact };
    let facts: Vec<Fact> = (0..n_types)
        .flat_map(|job| completed(job, MINUTE + job as i64).map(|fact| typed(job, fact)))
        .collect();
    // Each finishes later after all: what was left out must not be taken back from what was not.
    let failed = |job| typed(job, fact(job, 9, Kind::Failed, BASE + 2 * MINUTE));
    let corrections: Vec<Fact> = (0..n_types).map(failed).collect();

    let mut bench = Bench::here(&FINE);
    let mut shown = Shown::default();
    let mut known = Known::default();
    for (minutes, facts) in [(2, &facts), (3, &corrections), (4, &Vec::new()), (90, &Vec::new())] {
        let tick = (BASE + minutes * MINUTE) as Tick;
        shown.add(&bench.tick(tick, inputs(facts)));
        known.learn(facts);
        let expected = known.at(tick);
        shown.agrees_at_once(&expected, "with many types");
        let (throughput, wanted) = (shown.throughput(), expected.throughput);
        for (key, rates) in wanted.iter().filter(|(key, _)| key.0.is_none()) {
            assert_eq!(throughput.get(key), Some(rates), "{key:?} at {minutes} min");
        }
        assert!(throughput.iter().all(|(key, rates)| wanted[key] == *rates));
        for (key, quantiles) in shown.latency() {
            assert_eq!(quantiles.samples, expected.latency[&key].len() as u64, "{key:?}");
        }
        let types: BTreeSet<_> = shown.latency().into_keys().filter_map(|key| key.1).collect();
        assert_eq!(types.len(), MAX_FACETS);
    }
}

#[test]
fn a_type_with_more_queues_than_are_told_apart_is_as_exact_as_any_other() {
    let in_queue = |job: u128, mut fact: Fact| {
        fact.queue = Name::new(&format!("queue-{job}"));
        fact
    };
    let n_queues = 1020;
    let facts: Vec<Fact> = (0..n_queues)
        .flat_map(|job| completed(job, MINUTE + job as i64).map(|fact| in_queue(job, fact)))
        .collect();
    // Some go to another queue after all, told apart or not; some had never ended.
    let moved = (0..n_queues).step_by(7).map(|job| {
        in_queue(n_queues - 1 - job, fact(job, 9, Kind::Completed, BASE + MINUTE + SECOND))
    });
    let reopened = (1..n_queues).step_by(7).map(|job| Fact {
        attempt: 2,
        ..in_queue(job, fact(job, 9, Kind::Executed, BASE + MINUTE))
    });
    let ticks = vec![
        ((BASE + 2 * MINUTE) as Tick, facts),
        ((BASE + 3 * MINUTE) as Tick, moved.chain(reopened).collect()),
        ((BASE + 2 * HOUR) as Tick, Vec::new()),
    ];
    let config = Config { steps: Steps::Last, ..FINE };
    follow(Bench::here(&config), &config, &ticks);
}

#[test]
fn a_job_whose_type_nobody_told_counts_once_among_all_types() {
    let untyped = |mut fact: Fact| {
        fact.job_type = Name::NONE;
        fact
    };
    let facts = completed(1, MINUTE).map(untyped).to_vec();
    let mut bench = Bench::here(&FINE);
    let mut shown = Shown::default();
    shown.add(&bench.tick((BASE + 2 * MINUTE) as Tick, inputs(&facts)));
    let all = shown.latency()[&(Measure::Total, None, Window::All)];
    assert_eq!(all.samples, 1);
    assert_eq!(shown.throughput()[&(None, Window::M5)], [1, 1, 0]);
}
