//! Random views that move as the dataflow's do, in sealed batches.

use std::collections::BTreeMap;

use contracts::snapshot::{AlertState, Window};
use contracts::{Kind, State};
use pipeline::distribution::Quantiles;
use pipeline::fact::{Fact, Record};
use pipeline::name::Name;
use pipeline::seal::{Sealed, Updates};
use pipeline::summary::Summary;
use pipeline::views::alerts::{Alert, Value};
use pipeline::views::counts::Cell;
use pipeline::views::latency::{Latency, MEASURES, WINDOWS};
use pipeline::views::throughput::{Rates, Throughput};
use pipeline::{Diff, Tick};
use uuid::Uuid;

/// µs.
pub(crate) const GRID: Tick = 100_000;

/// Noon of some day, at a grid time.
pub(crate) const START: Tick = 1_795_262_400_000_000;

/// The views at a tick.
pub(crate) struct World {
    rng: fastrand::Rng,
    tick: Tick,
    counts: BTreeMap<Cell, Diff>,
    latency: BTreeMap<usize, Latency>,
    throughput: BTreeMap<usize, Throughput>,
    alerts: BTreeMap<usize, Alert>,
    /// Types, queues and workers: the rows there may be.
    n_names: usize,
}

impl World {
    pub(crate) fn new(seed: u64, n_names: usize) -> World {
        World {
            rng: fastrand::Rng::with_seed(seed),
            tick: START,
            counts: BTreeMap::new(),
            latency: BTreeMap::new(),
            throughput: BTreeMap::new(),
            alerts: BTreeMap::new(),
            n_names,
        }
    }

    /// The next batch, of some ticks within a few steps of the grid, in which up to `n` cells move.
    pub(crate) fn batch(&mut self, n: usize) -> Sealed {
        let mut sealed = Sealed { lower: self.tick, ..Sealed::default() };
        for _ in 0..self.rng.usize(0..4) {
            // As in the pipeline, what moves on the grid moves at its times only.
            self.tick += self.rng.u64(1..GRID * 3 / 4);
            if self.rng.u8(..4) == 0 {
                self.tick = self.tick.next_multiple_of(GRID);
            }
            self.count(n, &mut sealed);
            let coarse = self.tick.next_multiple_of(GRID);
            if self.rng.bool() {
                self.tick = coarse;
                self.coarse(n / 4 + 1, &mut sealed);
            }
        }
        self.tick += self.rng.u64(1..GRID / 2);
        sealed.upper = self.tick;
        sealed
    }

    /// A batch in which nothing moves but time, to the next time of the grid.
    pub(crate) fn idle(&mut self) -> Sealed {
        let lower = self.tick;
        self.tick = (lower + 1).next_multiple_of(GRID) + 1;
        Sealed { lower, upper: self.tick, ..Sealed::default() }
    }

    /// A batch of one tick, for measuring.
    pub(crate) fn tick(&mut self, length: Tick, n: usize) -> Sealed {
        let mut sealed = Sealed { lower: self.tick, ..Sealed::default() };
        let grid_time = self.tick.next_multiple_of(GRID);
        self.tick += length;
        if grid_time < self.tick {
            let tick = std::mem::replace(&mut self.tick, grid_time);
            self.coarse(n, &mut sealed);
            self.tick = tick;
        }
        self.tick -= 1;
        self.count(n, &mut sealed);
        self.tick += 1;
        sealed.upper = self.tick;
        sealed
    }

    fn count(&mut self, n: usize, sealed: &mut Sealed) {
        let mut moved = BTreeMap::new();
        for _ in 0..self.rng.usize(0..=n) {
            let cell = self.cell();
            moved.insert(cell, self.rng.u8(..3) as Diff * self.rng.i8(1..100) as Diff);
            let job = Uuid::from_u128(self.rng.u128(..));
            sealed.records.push((record(job, self.tick), self.tick, ()));
        }
        for (cell, jobs) in moved {
            let new = (jobs > 0).then_some((cell, jobs));
            let old = self.counts.get(&cell).map(|jobs| (cell, *jobs));
            step(&mut self.rng, self.tick, old, new, &mut sealed.counts);
            match new {
                Some((cell, jobs)) => self.counts.insert(cell, jobs),
                None => self.counts.remove(&cell),
            };
        }
    }

    fn coarse(&mut self, n: usize, sealed: &mut Sealed) {
        let tick = self.tick;
        for _ in 0..n {
            let key = self.rng.usize(..self.n_names * 15);
            let new = (self.rng.u8(..3) > 0).then(|| self.a_latency(key));
            change(&mut self.rng, &mut self.latency, tick, key, new, &mut sealed.latency);
            let key = self.rng.usize(..self.n_names * 4);
            let new = (self.rng.u8(..3) > 0).then(|| self.a_throughput(key));
            change(&mut self.rng, &mut self.throughput, tick, key, new, &mut sealed.throughput);
            let key = self.rng.usize(..self.n_names);
            let new = (self.rng.u8(..3) > 0).then(|| self.an_alert(key));
            change(&mut self.rng, &mut self.alerts, tick, key, new, &mut sealed.alerts);
        }
        tidy(&mut sealed.latency);
        tidy(&mut sealed.throughput);
        tidy(&mut sealed.alerts);
    }

    fn cell(&mut self) -> Cell {
        let state = State::ALL[self.rng.usize(..State::ALL.len())];
        let job_type = name("type", self.rng.usize(1..=self.n_names));
        match self.rng.u8(..10) {
            0 => Cell::Skewed,
            1 | 2 => Cell::Retired { state, job_type },
            _ => Cell::Live {
                state,
                job_type,
                queue: name("queue", self.rng.usize(..3)),
                worker: name("worker \"ü\u{1}:[", self.rng.usize(..3)),
            },
        }
    }

    fn a_latency(&mut self, key: usize) -> Latency {
        let at = [(); 5].map(|()| self.rng.u16(..2000));
        Latency {
            job_type: facet(key / 15),
            queue: key.is_multiple_of(2).then(|| name("queue", key % 4)),
            measure: MEASURES[key % 3],
            window: WINDOWS[key / 3 % 5],
            quantiles: Quantiles { samples: self.rng.u64(1..9), at, max: self.rng.u16(..2000) },
        }
    }

    fn a_throughput(&mut self, key: usize) -> Throughput {
        let windows = [Window::M1, Window::M5, Window::M15, Window::H1];
        let rates = Rates { created: self.rng.u64(1..9), finished: self.rng.u64(..9), failed: 0 };
        Throughput { job_type: facet(key / 4), window: windows[key % 4], rates }
    }

    fn an_alert(&mut self, key: usize) -> Alert {
        let fired_at = self.rng.bool().then_some(self.tick);
        Alert {
            alert: format!("Rule{}", key % 3),
            labels: [("type".to_owned(), format!("t{key}"))].into(),
            state: if fired_at.is_some() { AlertState::Firing } else { AlertState::Pending },
            active_at: self.tick - 1,
            fired_at,
            value: Value::new(self.rng.f64()),
            expr: "backlog > 1".to_owned(),
            annotations: [("summary".to_owned(), format!("at {}", self.tick))].into(),
        }
    }
}

/// An update of a key in a map; none of a tick in which it has moved already.
fn change<V: Clone + PartialEq>(
    rng: &mut fastrand::Rng,
    map: &mut BTreeMap<usize, V>,
    tick: Tick,
    key: usize,
    new: Option<V>,
    updates: &mut Updates<V>,
) {
    let old = map.get(&key).cloned();
    if updates.iter().any(|(row, at, _)| *at == tick && (Some(row) == old.as_ref())) {
        return;
    }
    step(rng, tick, old, new.clone(), updates);
    match new {
        Some(new) => map.insert(key, new),
        None => map.remove(&key),
    };
}

/// The old row retracted and the new one added, in any order.
fn step<D: Clone + PartialEq>(
    rng: &mut fastrand::Rng,
    tick: Tick,
    old: Option<D>,
    new: Option<D>,
    updates: &mut Updates<D>,
) {
    if old == new {
        return;
    }
    let at = updates.len();
    updates.extend(old.map(|old| (old, tick, -1)));
    updates.extend(new.map(|new| (new, tick, 1)));
    if rng.bool() {
        updates[at..].reverse();
    }
}

/// What came and went at one tick was never there.
fn tidy<D: PartialEq>(updates: &mut Updates<D>) {
    let mut i = 0;
    while i < updates.len() {
        let (row, tick, diff) = &updates[i];
        let undone = updates[i + 1..]
            .iter()
            .position(|(other, at, back)| other == row && at == tick && *back == -diff);
        match undone {
            Some(j) => {
                updates.remove(i + 1 + j);
                updates.remove(i);
            }
            None => i += 1,
        }
    }
}

fn facet(i: usize) -> Option<Name> {
    (i > 0).then(|| name("type", i))
}

/// Absent for 0.
fn name(what: &str, i: usize) -> Name {
    if i == 0 { Name::NONE } else { Name::new(&format!("{what}{i}")) }
}

fn record(job: Uuid, tick: Tick) -> Record {
    let fact = Fact {
        job,
        event: Uuid::nil(),
        at: tick as i64,
        created_at: tick as i64,
        seq: 0,
        job_type: Name::new("type1"),
        queue: Name::NONE,
        worker: Name::NONE,
        attempt: 1,
        kind: Kind::Created,
        inferred: false,
        expires_after: 0,
    };
    Record { job, summary: Summary::of(&fact), tick, abandoned_at: None, retired_at: None }
}
