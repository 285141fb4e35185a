//! The last deltas, encoded: what a client that is a little behind, or comes again, still gets.

use std::collections::VecDeque;

use axum::body::Bytes;
use sinks::fold::Position;

/// Bytes of deltas that are kept, whatever their number. A large one may be all that there is.
const MAX_BYTES: usize = 16 << 20;

/// What is given to a client at a time: bounds what waits in front of its socket.
const MAX_GIVEN: usize = 64 << 10;

pub(super) struct Ring {
    /// Deltas that are kept.
    most: usize,
    /// How often it has begun anew; nothing is in it before it first has.
    pub(super) epoch: u64,
    /// The deltas lead on from here.
    base: Position,
    deltas: VecDeque<(Position, Bytes)>,
    bytes: usize,
}

impl Ring {
    pub(super) fn new(most: usize) -> Ring {
        let (base, deltas) = (Position::default(), VecDeque::new());
        Ring { most, epoch: 0, base, deltas, bytes: 0 }
    }

    /// Forgets everything: the next deltas build on the snapshot at `base`.
    pub(super) fn begin(&mut self, base: Position) {
        *self = Ring { epoch: self.epoch + 1, base, ..Ring::new(self.most) };
    }

    pub(super) fn push(&mut self, at: Position, delta: Bytes) {
        self.bytes += delta.len();
        self.deltas.push_back((at, delta));
        while self.deltas.len() > self.most || self.bytes > MAX_BYTES && self.deltas.len() > 1 {
            let Some((at, delta)) = self.deltas.pop_front() else { return };
            self.bytes -= delta.len();
            self.base = at;
        }
    }

    /// Whether the deltas lead on from `at`.
    pub(super) fn leads_on_from(&self, at: Position) -> bool {
        self.epoch > 0 && at.generation == self.base.generation && at.tick >= self.base.tick
    }

    /// Some of the deltas after `at`, and where they lead to; nothing while there are none.
    pub(super) fn after(&self, at: Position) -> Option<(Position, Bytes)> {
        let begin = self.deltas.partition_point(|(other, _)| *other <= at);
        let (mut to, first) = self.deltas.get(begin)?.clone();
        if self.deltas.len() == begin + 1 {
            return Some((to, first));
        }
        let mut given = first.to_vec();
        for (at, delta) in self.deltas.iter().skip(begin + 1) {
            if given.len() + delta.len() > MAX_GIVEN {
                break;
            }
            given.extend_from_slice(delta);
            to = *at;
        }
        Some((to, given.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 15;

    fn at(tick: u64) -> Position {
        Position { generation: 1, tick }
    }

    fn ring(ticks: std::ops::Range<u64>) -> Ring {
        let mut ring = Ring::new(MOST);
        ring.begin(at(ticks.start - 1));
        ticks.for_each(|tick| ring.push(at(tick), format!("{tick} ").into()));
        ring
    }

    #[test]
    fn a_client_gets_what_is_after_its_place() {
        let ring = ring(10..20);
        assert_eq!(ring.after(at(16)).unwrap(), (at(19), "17 18 19 ".into()));
        assert_eq!(ring.after(at(18)).unwrap(), (at(19), "19 ".into()));
        assert_eq!(ring.after(at(19)), None);
    }

    #[test]
    fn deltas_lead_on_from_where_they_began_and_from_each_that_has_gone() {
        let mut ring = ring(10..20);
        assert!(ring.leads_on_from(at(9)) && !ring.leads_on_from(at(8)));
        assert!(!ring.leads_on_from(Position { generation: 2, tick: 15 }));
        for tick in 20..(20 + MOST as u64) {
            ring.push(at(tick), "".into());
        }
        assert!(ring.leads_on_from(at(19)) && !ring.leads_on_from(at(18)));
        ring.begin(at(1_000));
        assert!(!ring.leads_on_from(at(999)));
        assert!(!Ring::new(MOST).leads_on_from(at(0)));
    }

    #[test]
    fn what_is_kept_and_what_is_given_at_a_time_are_bounded_in_bytes() {
        let mut ring = Ring::new(MOST);
        ring.begin(at(0));
        let large = Bytes::from(vec![b'x'; MAX_BYTES / 4]);
        (1..=9).for_each(|tick| ring.push(at(tick), large.clone()));
        assert_eq!((ring.deltas.len(), ring.bytes), (4, MAX_BYTES));
        let (to, given) = ring.after(at(5)).unwrap();
        assert_eq!((to, given.len()), (at(6), large.len()));
        ring.push(at(10), vec![b'x'; 2 * MAX_BYTES].into());
        assert_eq!(ring.deltas.len(), 1);
    }
}
