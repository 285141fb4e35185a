//! Deltas, folded, give what the process that made them shows.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

#[allow(dead_code, reason = "not everyone needs all of it")]
#[path = "support/world.rs"]
mod world;

use contracts::snapshot::{CountRow, Snapshot, TotalRow};
use pipeline::reading::Reading;
use sinks::deltas::{Batch, Deltas, Step};
use sinks::fold::{Entry, Folded, Position};
use sinks::live::Live;
use world::{GRID, World};

/// What follows a process, step by step.
struct Copy {
    deltas: Deltas,
    folded: Folded,
}

impl Copy {
    /// As a reader begins: with all rows at a grid time, and the counts that moved since.
    fn of(live: &Live) -> Copy {
        let (deltas, between) = Deltas::of(live);
        let snapshot = live.snapshot();
        let tick = snapshot.as_of.unwrap().0 as u64;
        let at = Position { generation: 1, tick };
        let mut copy = Copy { deltas, folded: Folded::of(at, snapshot, None) };
        if between.tick > tick {
            copy.fold(between);
        }
        copy
    }

    fn fold(&mut self, step: Step) {
        let previous = Some(self.folded.at());
        let at = Position { generation: 1, tick: step.tick };
        let Step { on_grid, delta, .. } = step;
        assert!(self.folded.fold(Entry { at, previous, on_grid, delta, last_event: None }));
    }
}

fn cells(reading: &Reading) -> (u64, Vec<CountRow>, Vec<TotalRow>) {
    let Snapshot { jobs, counts, totals, .. } = reading.snapshot(None);
    (jobs, counts, totals)
}

fn shown(folded: &Folded) -> (u64, Vec<CountRow>, Vec<TotalRow>) {
    (folded.jobs().1, folded.counts(), folded.totals())
}

#[test]
fn every_step_folded_gives_the_views_of_its_tick() {
    for seed in 0..200 {
        let mut world = World::new(seed, 5);
        let mut live = Live::new(GRID);
        live.apply(&world.batch(20));
        let mut copy = Copy::of(&live);
        for n in 0..60 {
            let sealed = world.batch(20);
            live.apply(&sealed);
            for (step, _) in copy.deltas.advance(Batch::of(&sealed)) {
                if step.changes() || step.on_grid {
                    copy.fold(step);
                }
            }
            assert_eq!(shown(&copy.folded), cells(live.now()), "seed {seed}, batch {n}");
            assert_eq!(copy.folded.snapshot(), live.snapshot(), "seed {seed}, batch {n}");
            // Whoever begins in the middle is where the others are.
            if n % 7 == 0 {
                copy = Copy::of(&live);
                assert_eq!(shown(&copy.folded), cells(live.now()), "seed {seed}, batch {n}");
            }
        }
    }
}

#[test]
fn the_steps_on_the_grid_alone_give_every_snapshot() {
    for seed in 0..200 {
        let mut world = World::new(seed, 5);
        let mut live = Live::new(GRID);
        live.apply(&world.batch(20));
        let mut copy = Copy::of(&live);
        for n in 0..60 {
            let sealed = world.batch(20);
            live.apply(&sealed);
            let steps = copy.deltas.advance(Batch::of(&sealed));
            steps
                .into_iter()
                .filter(|(step, _)| step.on_grid)
                .for_each(|(step, _)| copy.fold(step));
            assert_eq!(copy.folded.snapshot(), live.snapshot(), "seed {seed}, batch {n}");
        }
    }
}

#[test]
fn batches_that_were_gathered_give_the_same_views() {
    for seed in 0..100 {
        let mut world = World::new(seed, 5);
        let mut live = Live::new(GRID);
        live.apply(&world.batch(20));
        let mut copy = Copy::of(&live);
        for _ in 0..20 {
            let mut gathered: Option<Batch> = None;
            for _ in 0..3 {
                let sealed = world.batch(20);
                live.apply(&sealed);
                match &mut gathered {
                    Some(gathered) => gathered.extend(Batch::of(&sealed)),
                    None => gathered = Some(Batch::of(&sealed)),
                }
            }
            let steps = copy.deltas.advance(gathered.unwrap());
            assert!(steps.len() <= 2);
            steps.into_iter().for_each(|(step, _)| copy.fold(step));
            assert_eq!(shown(&copy.folded), cells(live.now()), "seed {seed}");
            assert_eq!(copy.folded.snapshot(), live.snapshot(), "seed {seed}");
        }
    }
}

#[test]
fn a_delta_lists_at_most_200_jobs_and_says_that_there_are_more() {
    let mut world = World::new(1, 5);
    let mut live = Live::new(GRID);
    live.apply(&world.batch(20));
    let mut copy = Copy::of(&live);
    let mut listed = 0;
    for _ in 0..50 {
        for (step, _) in copy.deltas.advance(Batch::of(&world.batch(500))) {
            assert!(step.delta.changed_jobs.len() <= 200);
            listed = listed.max(step.delta.changed_jobs.len());
            assert!(step.delta.more || step.delta.changed_jobs.len() < 200 || step.on_grid);
        }
    }
    assert_eq!(listed, 200);
}

#[test]
fn an_entry_that_does_not_follow_changes_nothing() {
    let mut world = World::new(1, 5);
    let mut live = Live::new(GRID);
    live.apply(&world.batch(20));
    let mut copy = Copy::of(&live);
    let before = copy.folded.clone();
    let at = Position { generation: 1, tick: u64::MAX };
    let stranger = Position { generation: 1, tick: 1 };
    for previous in [None, Some(stranger)] {
        let delta = contracts::snapshot::Delta { jobs: 9, ..Default::default() };
        let entry = Entry { at, previous, on_grid: true, delta, last_event: None };
        assert!(!copy.folded.fold(entry));
        assert_eq!(copy.folded, before);
    }
}
