use proptest::prelude::*;

use super::*;

use Verdict::{Requeued, Settled};

fn delivered(n: u64) -> LowWater<Tag> {
    let mut low_water = LowWater::default();
    for tag in 1..=n {
        assert_eq!(low_water.deliver(tag), tag);
    }
    low_water
}

#[test]
fn the_mark_waits_for_the_slowest() {
    let mut low_water = delivered(4);
    for tag in [2, 3, 4] {
        low_water.decide(tag, Settled);
        assert!(low_water.take_mark().is_empty());
    }
    low_water.decide(1, Settled);
    assert_eq!(low_water.take_mark(), [1, 2, 3, 4]);
    assert!(low_water.take_mark().is_empty());
    assert_eq!(low_water.n_unacked(), 0);
}

#[test]
fn the_mark_is_never_on_what_was_requeued() {
    let mut low_water = delivered(3);
    assert_eq!(low_water.decide(3, Requeued), Some(3));
    assert_eq!(low_water.decide(1, Requeued), Some(1));
    assert!(low_water.take_mark().is_empty());
    low_water.decide(2, Settled);
    assert_eq!(low_water.take_mark(), [2]);
    assert!(low_water.is_settled());
}

#[test]
fn a_delivery_is_decided_once() {
    let mut low_water = delivered(2);
    low_water.decide(2, Settled);
    assert_eq!(low_water.decide(2, Requeued), None);
    low_water.decide(1, Settled);
    assert_eq!(low_water.decide(1, Requeued), None);
    assert_eq!(low_water.decide(7, Settled), None);
    assert_eq!(low_water.take_mark(), [1, 2]);
}

/// What a broker knows of a channel, and what it does with what it is told.
#[derive(Default)]
struct Broker {
    ready: Vec<u32>,
    unacked: Vec<(Tag, u32)>,
    acked: Vec<u32>,
}

impl Broker {
    fn ack_up_to(&mut self, tag: Tag) {
        // A real one closes the channel.
        assert!(self.unacked.iter().any(|(known, _)| *known == tag), "{tag} is not known");
        let (acked, rest) = self.unacked.iter().partition(|(known, _)| *known <= tag);
        self.unacked = rest;
        let acked: Vec<(Tag, u32)> = acked;
        self.acked.extend(acked.into_iter().map(|(_, message)| message));
    }

    fn requeue(&mut self, tag: Tag) {
        let at = self.unacked.iter().position(|(known, _)| *known == tag).unwrap();
        self.ready.push(self.unacked.remove(at).1);
    }

    fn session_ends(&mut self) {
        self.ready.extend(self.unacked.drain(..).map(|(_, message)| message));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Deliver,
    /// One of the deliveries that somebody has, of whichever session.
    Decide(prop::sample::Index, Verdict),
    Ack,
    SessionEnds,
}

fn step() -> impl Strategy<Value = Step> {
    let decide = |verdict| move |at| Step::Decide(at, verdict);
    prop_oneof![
        8 => Just(Step::Deliver),
        8 => any::<prop::sample::Index>().prop_map(decide(Settled)),
        1 => any::<prop::sample::Index>().prop_map(decide(Requeued)),
        2 => Just(Step::Ack),
        1 => Just(Step::SessionEnds),
    ]
}

proptest! {
    /// A message is acknowledged only if it was settled in the session that acknowledges it, never
    /// twice, and in the end all are.
    #[test]
    fn nothing_is_acknowledged_that_was_not_settled(
        steps in prop::collection::vec(step(), 0..300),
        n in 1u32..60,
    ) {
        const PREFETCH: usize = 20;
        let mut broker = Broker { ready: (0..n).collect(), ..Broker::default() };
        let mut low_water = LowWater::default();
        let mut session = 0;
        let mut n_delivered: Tag = 0;
        let mut held: Vec<(u32, Tag, u32)> = Vec::new();
        let mut settled_now: Vec<u32> = Vec::new();
        let finally = std::iter::repeat_n([Step::Deliver, Step::Ack], 3 * n as usize).flatten();
        let finally = finally.chain(std::iter::once(Step::Ack));
        let n_random = steps.len();
        for (at, step) in steps.into_iter().chain(finally).enumerate() {
            match step {
                Step::Deliver if broker.unacked.len() < PREFETCH => {
                    if let Some(message) = broker.ready.pop() {
                        n_delivered += 1;
                        let tag = low_water.deliver(n_delivered);
                        prop_assert_eq!(tag, n_delivered);
                        broker.unacked.push((tag, message));
                        held.push((session, tag, message));
                    }
                }
                Step::Deliver => {}
                Step::Decide(which, verdict) if !held.is_empty() => {
                    let (of, tag, message) = held.swap_remove(which.index(held.len()));
                    // What is of an older session goes to a channel that nobody reads.
                    if of == session {
                        match low_water.decide(tag, verdict) {
                            Some(acker) => {
                                prop_assert_eq!((acker, verdict), (tag, Requeued));
                                broker.requeue(acker);
                            }
                            None => settled_now.push(message),
                        }
                    }
                }
                Step::Decide(..) => {}
                Step::Ack => {
                    let settled = low_water.take_mark();
                    if let Some(&tag) = settled.last() {
                        let before = broker.acked.len();
                        broker.ack_up_to(tag);
                        let acked = &broker.acked[before..];
                        prop_assert_eq!(acked.len(), settled.len());
                        prop_assert!(acked.iter().all(|message| settled_now.contains(message)));
                    }
                }
                Step::SessionEnds => {
                    broker.session_ends();
                    low_water = LowWater::default();
                    n_delivered = 0;
                    settled_now.clear();
                    session += 1;
                }
            }
            prop_assert_eq!(low_water.n_unacked(), broker.unacked.len() as u64);
            // From here on everything is settled at once.
            if at >= n_random {
                for (of, tag, message) in held.drain(..) {
                    if of == session {
                        prop_assert_eq!(low_water.decide(tag, Settled), None);
                        settled_now.push(message);
                    }
                }
            }
        }
        broker.acked.sort_unstable();
        prop_assert_eq!(broker.acked, (0..n).collect::<Vec<_>>());
    }
}
