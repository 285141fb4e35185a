//! Windows that slide: aggregates over the points of the last minute, five, fifteen, and hour.
//!
//! ```text
//!   points (+1/-1) ──exchange by facet──▶ Sliding ──▶ rows (-old, +new) of the facets that changed
//!                                         │  ▲
//!                                         ▼  │ the point's time + window, rounded up to the step
//!                                        waiting
//! ```
//!
//! A window W moves in steps of g = W/60: at `asOf` it holds the points with
//! `at > floor(asOf, g) - W`, so a point leaves at `ceil(at, g) + W`. Membership depends on the
//! point and the tick alone, so a correction takes back exactly what is still there.
//!
//! A point waits in one place: for the shortest window that it is still in. When it leaves that
//! one it moves on to the next, which is possible because each step is a multiple of the one before.
//!
//! # Invariants
//!
//! 1. At every tick at which something was given out, the rows are the function of the points and
//!    that tick.
//! 2. A window empties itself as ticks pass without input.
//! 3. When the input closes, time stops.
//!
//! # Cost
//!
//! Five updates of an aggregate per point that enters and four as it ages; rows are made only for
//! facets that changed. Waiting takes 16 bytes for a point and facet, up to an hour.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;
use std::ops::Range;

use differential_dataflow::{AsCollection, ExchangeData, VecCollection};
use hashbrown::HashMap;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::{Capability, Operator};

use crate::distribution::N_WINDOWS;
use crate::name::Name;
use crate::rules::Rule;
use crate::rules::expr::Measure;
use crate::{Diff, Tick};

/// µs of a second: the step of the shortest window.
pub const SECOND: i64 = 1_000_000;

/// Length and step of the windows that slide, in µs, shortest first.
const WINDOWS: [(i64, i64); 4] = [
    (60 * SECOND, SECOND),
    (300 * SECOND, 5 * SECOND),
    (900 * SECOND, 15 * SECOND),
    (3600 * SECOND, 60 * SECOND),
];

/// The window that nothing leaves: the last, after those that slide.
pub const ALL: usize = WINDOWS.len();

const _: () = assert!(N_WINDOWS == ALL + 1);

/// The types that have rows of their own; more are counted, and left out. All types together are
/// always exact. Bounds the memory for distributions.
pub const MAX_FACETS: usize = 1000;

/// The tick at which a point at `at` leaves the window.
fn leaves(at: i64, (length, step): (i64, i64)) -> Tick {
    let edge = at.saturating_add(step - 1).div_euclid(step).saturating_mul(step);
    Tick::try_from(edge.saturating_add(length)).unwrap_or(0)
}

/// What rows are about: a job type, or all types together.
pub type Facet = Option<Name>;

/// Something that counts in windows from its time on.
pub trait Point: ExchangeData + Hash {
    /// What is kept per facet.
    type Aggregate: Default + 'static;
    /// What a point adds, so compact that it can wait an hour.
    type Share: Copy + Ord + 'static;
    /// What is given out.
    type Row: ExchangeData;

    /// The producer's time, µs since the epoch.
    fn at(&self) -> i64;
    /// What it adds to the aggregate of `facet`.
    fn share(&self, facet: Facet, aggregate: &mut Self::Aggregate) -> Self::Share;
    /// Adds `share` to some windows, `diff` times.
    fn update(
        aggregate: &mut Self::Aggregate,
        share: Self::Share,
        windows: Range<usize>,
        diff: i64,
    );
    /// Gives out how the rows of the facet differ from those given out before, as far as they are
    /// wanted.
    fn rows(
        facet: Facet,
        aggregate: &mut Self::Aggregate,
        wanted: Wanted,
        give: impl FnMut(Self::Row, Diff),
    );
}

/// The rows that somebody reads; others are not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Bit `window`, of the throughput.
    pub rates: u32,
    /// Bit `measure * N_WINDOWS + window`, of the latencies.
    pub quantiles: u32,
    /// Single queues.
    pub queues: bool,
}

impl Wanted {
    pub const ALL: Wanted = Wanted { rates: u32::MAX, quantiles: u32::MAX, queues: true };

    /// Those that these rules read.
    pub fn by(rules: &[Rule]) -> Wanted {
        let mut wanted = Wanted { rates: 0, quantiles: 0, queues: false };
        for reading in rules.iter().flat_map(|rule| rule.expr.readings()) {
            match reading.measure {
                Measure::Rate(_, window) => wanted.rates |= 1 << window as u32,
                Measure::Quantile(measure, _, window) => {
                    wanted.quantiles |= 1 << (measure as usize * N_WINDOWS + window as usize);
                }
                Measure::Standing(_)
                | Measure::DeadLetters(_)
                | Measure::Lag
                | Measure::StoreUp => {}
            }
        }
        wanted
    }
}

/// How often rows are given out when time jumps over several steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// At each: for those who judge every second.
    Every,
    /// At the last: for those who look only at the end.
    Last,
}

struct Kept<A> {
    facet: Facet,
    aggregate: A,
    dirty: bool,
}

/// The place of a facet, what is to be taken from it, and how often.
type Waiting<P> = Vec<(u32, <P as Point>::Share, i32)>;

/// The aggregates of one worker's facets, without the dataflow around them.
struct Sliding<P: Point> {
    facets: Vec<Kept<P::Aggregate>>,
    index: HashMap<Facet, u32>,
    /// Types beyond [`MAX_FACETS`].
    left_out: HashSet<Facet>,
    /// Per window, what leaves it at which tick: facet, share, how many.
    waiting: [BTreeMap<Tick, Waiting<P>>; ALL],
    dirty: Vec<u32>,
    wanted: Wanted,
}

impl<P: Point> Sliding<P> {
    fn new(wanted: Wanted) -> Self {
        Sliding {
            wanted,
            facets: Vec::new(),
            index: HashMap::new(),
            left_out: HashSet::new(),
            waiting: Default::default(),
            dirty: Vec::new(),
        }
    }

    /// The tick at which the next point leaves a window.
    fn next(&self) -> Option<Tick> {
        self.waiting.iter().filter_map(|leaving| Some(*leaving.first_key_value()?.0)).min()
    }

    fn index(&mut self, facet: Facet) -> Option<u32> {
        if let Some(&index) = self.index.get(&facet) {
            return Some(index);
        }
        // One more for all types together. Never freed: who is in stays in, so that no type is
        // taken back that was never added.
        if self.facets.len() > MAX_FACETS && facet.is_some() {
            self.left_out.insert(facet);
            return None;
        }
        let index = self.facets.len() as u32;
        self.facets.push(Kept { facet, aggregate: P::Aggregate::default(), dirty: false });
        self.index.insert(facet, index);
        Some(index)
    }

    fn touch(&mut self, index: u32) -> &mut P::Aggregate {
        let facet = &mut self.facets[index as usize];
        if !facet.dirty {
            facet.dirty = true;
            self.dirty.push(index);
        }
        &mut facet.aggregate
    }

    fn apply(&mut self, tick: Tick, facet: Facet, point: &P, diff: Diff) {
        let Some(index) = self.index(facet) else { return };
        let aggregate = self.touch(index);
        let share = point.share(facet, aggregate);
        // A window that it is still in, and with it all longer ones.
        let mut leaving = WINDOWS.into_iter().map(|shape| leaves(point.at(), shape)).enumerate();
        let shortest = leaving.find(|(_, leaves)| *leaves > tick);
        let from = shortest.map_or(ALL, |(window, _)| window);
        P::update(aggregate, share, from..N_WINDOWS, diff as i64);
        if let Some((window, leaves)) = shortest {
            let waiting = self.waiting[window].entry(leaves).or_default();
            waiting.push((index, share, diff as i32));
        }
    }

    /// Lets go what leaves a window at `tick`.
    fn expire(&mut self, tick: Tick) {
        for (window, (length, _)) in WINDOWS.into_iter().enumerate() {
            let Some(mut leaving) = self.waiting[window].remove(&tick) else { continue };
            // What was taken back before it left must not be seen leaving.
            consolidate(&mut leaving);
            for &(index, share, n) in &leaving {
                P::update(self.touch(index), share, window..window + 1, -i64::from(n));
            }
            if let Some(&longer) = WINDOWS.get(window + 1) {
                let edge = tick as i64 - length;
                self.waiting[window + 1]
                    .entry(leaves(edge, longer))
                    .or_default()
                    .append(&mut leaving);
            }
        }
    }

    fn give(&mut self, mut give: impl FnMut(P::Row, Diff)) {
        for index in self.dirty.drain(..) {
            let facet = &mut self.facets[index as usize];
            facet.dirty = false;
            P::rows(facet.facet, &mut facet.aggregate, self.wanted, &mut give);
        }
    }
}

fn consolidate<S: Copy + Ord>(waiting: &mut Vec<(u32, S, i32)>) {
    waiting.sort_unstable();
    waiting.dedup_by(|next, kept| {
        let same = (next.0, next.1) == (kept.0, kept.1);
        if same {
            kept.2 += next.2;
        }
        same
    });
    waiting.retain(|&(_, _, n)| n != 0);
}

/// Maintains the rows of `points`, which are to come on a coarse grid.
pub fn sliding<'s, P: Point>(
    points: VecCollection<'s, Tick, (Facet, P), Diff>,
    name: &str,
    steps: Steps,
    wanted: Wanted,
) -> VecCollection<'s, Tick, P::Row, Diff> {
    let by_facet =
        Exchange::new(|((facet, _), _, _): &((Facet, P), Tick, Diff)| facet.map_or(0, Name::route));
    let rows = points.inner.unary_frontier::<CapacityContainerBuilder<_>, _, _, _>(
        by_facet,
        name,
        |initial, _| {
            drop(initial);
            let mut sliding = Sliding::<P>::new(wanted);
            let mut stash = BTreeMap::<Tick, Vec<(Facet, P, Diff)>>::new();
            let mut held: Option<Capability<Tick>> = None;
            move |(input, frontier), output| {
                input.for_each(|capability, points| {
                    if held.as_ref().is_none_or(|held| capability.time() < held.time()) {
                        held = Some(capability.retain(0));
                    }
                    for ((facet, point), tick, diff) in points.drain(..) {
                        stash.entry(tick).or_default().push((facet, point, diff));
                    }
                });
                let pending = |stash: &BTreeMap<Tick, _>, sliding: &Sliding<P>| {
                    let points_at = stash.first_key_value().map(|(&tick, _)| tick);
                    let leaves_at = sliding.next().filter(|_| !frontier.is_empty());
                    points_at.into_iter().chain(leaves_at).min()
                };
                while let Some(tick) = pending(&stash, &sliding)
                    && !frontier.less_equal(&tick)
                {
                    sliding.expire(tick);
                    for (facet, point, diff) in stash.remove(&tick).unwrap_or_default() {
                        sliding.apply(tick, facet, &point, diff);
                    }
                    let more =
                        pending(&stash, &sliding).is_some_and(|next| !frontier.less_equal(&next));
                    if let Some(held) = &held
                        && (steps == Steps::Every || !more)
                    {
                        let capability = held.delayed(&tick);
                        let mut session = output.session(&capability);
                        sliding.give(|row, diff| session.give((row, tick, diff)));
                    }
                }
                match (pending(&stash, &sliding), &mut held) {
                    (Some(tick), Some(held)) => held.downgrade(&tick),
                    _ => held = None,
                }
            }
        },
    );
    rows.as_collection()
}
