//! At every tick the views are what the contract says of the facts so far.

mod support;

use std::collections::BTreeMap;

use contracts::event::Kind;
use pipeline::Tick;
use pipeline::dataflow::Config;
use pipeline::fact::Fact;
use pipeline::name::Name;
use pipeline::views::sliding::Steps;
use proptest::prelude::{Just, Strategy, any, proptest};
use support::bench::{Bench, inputs};
use support::oracle::{Expected, HOUR, Job, MINUTE, SECOND, jobs};
use support::random::Random;
use support::shown::{Shown, by_tick};
use support::streams::{BASE, Ticks, World, cut, deliver, fact, run_out};

/// Every view at every tick.
const FINE: Config =
    Config { retention: None, grid: 1, steps: Steps::Every, keep_records: false, judge: false };

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
    let mut before = None;
    for (tick, facts) in ticks {
        let sealed = bench.tick(*tick, inputs(facts));
        // Grid times since the last tick: the first one carries what that tick changed.
        let mut moments = BTreeMap::new();
        let grid = config.grid;
        let first = before.map(|before: Tick| before.next_multiple_of(grid));
        for moment in first.into_iter().chain([tick / grid * grid]) {
            if before.is_none_or(|before| before < moment) && moment < *tick {
                moments.insert(moment, Default::default());
            }
        }
        moments.extend(by_tick(sealed));
        let now = moments.remove(tick).unwrap_or_default();
        let n_moments = moments.len();
        for (i, (moment, updates)) in moments.into_iter().enumerate() {
            shown.add(&updates);
            if config.steps == Steps::Every || i + 1 == n_moments && grid > 1 {
                let when = format!("at {moment}, before the facts of {tick}");
                shown.agrees_on_grid(&known.at(moment), &when);
            }
        }
        known.learn(facts);
        shown.add(&now);
        let (expected, when) = (known.at(*tick), format!("at {tick}"));
        shown.agrees_at_once(&expected, &when);
        if tick % grid == 0 {
            shown.agrees_on_grid(&expected, &when);
        }
        before = Some(*tick);
    }
    shown
}

/// A seed, and a world whose size shrinks when a case fails.
fn worlds(n_jobs: std::ops::Range<usize>) -> impl Strategy<Value = (u64, World)> {
    let spans = proptest::sample::select(vec![10 * SECOND, 5 * MINUTE, 3 * HOUR]);
    (any::<u64>().no_shrink(), n_jobs, spans, Just(true)).prop_map(
        |(seed, n_jobs, span, wild_claims)| (seed, World { n_jobs, span, wild_claims }),
    )
}

fn stream(random: &mut Random, world: &World) -> Ticks {
    let facts = world.facts(random);
    let deliveries = deliver(random, &facts);
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
}
