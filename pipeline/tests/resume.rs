//! Cut anywhere and resumed from what a store holds, the views are as if never cut.

mod support;

use pipeline::dataflow::Config;
use pipeline::fact::Fact;
use proptest::prelude::{Strategy, any, proptest};
use support::bench::Bench;
use support::oracle::{HOUR, MINUTE};
use support::random::Random;
use support::store::{Program, retiring};
use support::streams::{Ticks, World, cut, deliver, run_out};

/// A seed, and a world whose size shrinks when a case fails.
fn worlds() -> impl Strategy<Value = (u64, World)> {
    let spans = proptest::sample::select(vec![5 * MINUTE, HOUR, 6 * HOUR]);
    (any::<u64>().no_shrink(), 1..30_usize, spans).prop_map(|(seed, n_jobs, span)| {
        (seed, World { n_jobs, span, wild_claims: false, ahead: 5 * MINUTE })
    })
}

/// Runs a stream and cuts it `n_cuts` times: the program dies and comes back from its store, and
/// some of what came before comes again.
fn cut_and_resume(
    seed: u64,
    world: &World,
    config: Config,
    n_cuts: usize,
    start: fn(&Config) -> Bench,
) {
    let mut random = Random::new(seed);
    let facts = world.facts(&mut random);
    let deliveries = deliver(&mut random, world, &facts);
    let mut ticks: Ticks = cut(&mut random, &deliveries);
    run_out(&mut random, &mut ticks);

    let mut cuts: Vec<usize> = (0..n_cuts).map(|_| random.below(ticks.len())).collect();
    cuts.sort_unstable();
    let mut program = Program::new(start(&config), config, random.next());
    let mut again: Vec<Fact> = Vec::new();
    for (i, (tick, facts)) in ticks.iter().enumerate() {
        if cuts.contains(&i) {
            again.extend(program.restart(start(&program.config_now()), *tick));
            let before = ticks[..i].iter().flat_map(|(_, facts)| facts);
            again.extend(before.filter(|_| random.once_in(5)).cloned());
            again.extend_from_slice(facts);
            random.shuffle(&mut again);
            continue;
        }
        // They come with the next tick, or one by one.
        let mut facts = facts.clone();
        let n = random.of(&[0, 1, again.len()]).min(again.len());
        facts.extend(again.drain(..n));
        program.tick(*tick, &facts);
    }
    program.tick(program.last + 1, &again);
    program.settle();
}

proptest! {
    #![proptest_config(support::cases(1000))]

    #[test]
    fn a_stream_that_is_cut_and_resumed_ends_as_if_never_cut((seed, world) in worlds()) {
        let config = Config { retention: None, ..retiring() };
        cut_and_resume(seed, &world, config, 1, Bench::here);
    }

    #[test]
    fn what_was_retired_before_the_cut_stays_exact_after_it((seed, world) in worlds()) {
        cut_and_resume(seed, &world, retiring(), 1, Bench::here);
    }
}

proptest! {
    #![proptest_config(support::cases(250))]

    #[test]
    fn many_cuts_are_as_harmless_as_one((seed, world) in worlds()) {
        cut_and_resume(seed, &world, retiring(), 6, Bench::here);
    }

    #[test]
    fn two_workers_resume_what_two_workers_left((seed, world) in worlds()) {
        cut_and_resume(seed, &world, retiring(), 2, |config| Bench::threads(config, 2));
    }
}
