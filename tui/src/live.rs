//! What is known of the views, and how fresh it is.
//!
//! While somebody has frozen the screen they see a copy; the views behind it move on.

use std::collections::VecDeque;

use contracts::event::State;
use contracts::{Micros, Snapshot};

use crate::fold::{Change, Views};
use crate::http::Trouble;

/// Older than this, it is said to be stale.
const STALE: i64 = 5_000_000;

/// The server's clock is told to the second.
const SECOND: i64 = 1_000_000;

/// Values of a state's line, one a second: what a wide screen has room for.
const SAMPLES: usize = 240;

#[derive(Default)]
pub(crate) struct Live {
    views: Option<Views>,
    frozen: Option<Box<Views>>,
    pub(crate) connected: bool,
    /// Why there is no connection, as far as that is known, and when the next attempt is.
    pub(crate) trouble: Option<Trouble>,
    pub(crate) again_at: Option<Micros>,
    pub(crate) demo: bool,
    /// The least that an event was ever younger here than its moment there, and what the server's
    /// clock says of ours: the first is the more exact, the second knows of views that stand still.
    least: Option<i64>,
    skew: Option<i64>,
    samples: [VecDeque<u64>; State::ALL.len()],
    sampled_at: Micros,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Frozen,
    /// Nothing was ever heard.
    Connecting,
    /// Older than it should be, connected or not.
    Stale,
    Away,
    Live,
}

impl Live {
    /// What is to be shown.
    pub(crate) fn views(&self) -> Option<&Views> {
        self.frozen.as_deref().or(self.views.as_ref())
    }

    /// Freezes what is shown, or lets it go on.
    pub(crate) fn freeze(&mut self) {
        self.frozen = match self.frozen.take() {
            Some(_) => None,
            None => self.views.clone().map(Box::new),
        };
    }

    pub(crate) fn frozen(&self) -> bool {
        self.frozen.is_some()
    }

    pub(crate) fn clock(&mut self, skew: i64) {
        self.skew = Some(skew);
    }

    pub(crate) fn snapshot(&mut self, snapshot: Snapshot, now: Micros) {
        self.least = None;
        self.views = Some(Views::begin(snapshot));
        self.heard(now);
    }

    /// Takes a delta in; what it changed.
    pub(crate) fn delta(&mut self, delta: contracts::Delta, now: Micros) -> Vec<Change> {
        // Nothing to fold it onto.
        let Some(views) = &mut self.views else { return Vec::new() };
        let changes = views.fold(delta);
        self.heard(now);
        changes
    }

    fn heard(&mut self, now: Micros) {
        (self.connected, self.trouble, self.again_at) = (true, None, None);
        if let Some(as_of) = self.views.as_ref().and_then(|views| views.as_of) {
            let behind = now.0 - as_of.0;
            self.least = Some(self.least.map_or(behind, |least| least.min(behind)));
        }
        self.sample(now);
    }

    pub(crate) fn lost(&mut self, trouble: Trouble, again_at: Micros) {
        (self.connected, self.trouble, self.again_at) = (false, Some(trouble), Some(again_at));
    }

    /// Forgets everything: another server is gone to.
    pub(crate) fn leave(&mut self) {
        *self = Live::default();
    }

    /// A value a second for each state's line.
    pub(crate) fn sample(&mut self, now: Micros) {
        let Some(views) = &self.views else { return };
        if now.0 - self.sampled_at.0 < SECOND {
            return;
        }
        self.sampled_at = now;
        for (state, samples) in State::ALL.into_iter().zip(&mut self.samples) {
            samples.push_back(views.in_state(state));
            if samples.len() > SAMPLES {
                samples.pop_front();
            }
        }
    }

    pub(crate) fn samples(&self, state: State) -> Vec<u64> {
        self.samples[state as usize].iter().copied().collect()
    }

    /// How old what is shown is, in µs.
    pub(crate) fn age(&self, now: Micros) -> Option<i64> {
        let as_of = self.views()?.as_of?;
        let offset = match (self.least, self.skew) {
            (Some(least), Some(skew)) => least.min(skew + SECOND),
            (least, skew) => least.or(skew).unwrap_or(0),
        };
        Some((now.0 - as_of.0 - offset).max(0))
    }

    pub(crate) fn standing(&self, now: Micros) -> Standing {
        match self.age(now) {
            _ if self.frozen() => Standing::Frozen,
            _ if self.views.is_none() => Standing::Connecting,
            Some(age) if age > STALE => Standing::Stale,
            _ if self.connected => Standing::Live,
            _ => Standing::Away,
        }
    }
}

#[cfg(test)]
mod tests {
    use contracts::Delta;

    use super::*;

    const NOW: Micros = Micros(1_000_000_000_000_000);

    fn after(ms: i64) -> Micros {
        Micros(NOW.0 + ms * 1_000)
    }

    fn live() -> Live {
        let mut live = Live::default();
        live.snapshot(Snapshot { as_of: Some(NOW), ..Snapshot::default() }, after(100));
        live
    }

    #[test]
    fn what_is_heard_is_as_old_as_the_time_since_then_whatever_the_clocks_say() {
        let mut live = live();
        assert_eq!(live.age(after(500)), Some(400_000));
        // The server's clock is ten seconds behind, and that is no age.
        live.snapshot(Snapshot { as_of: Some(NOW), ..Snapshot::default() }, after(10_000));
        assert_eq!(live.age(after(10_250)), Some(250_000));
        // Its clock says the same, but its views stood still before we came.
        live.clock(0);
        assert_eq!(live.age(after(10_250)), Some(9_250_000));
        assert_eq!(live.standing(after(10_250)), Standing::Stale);
    }

    #[test]
    fn a_lost_connection_is_told_before_the_age_is() {
        let mut live = live();
        assert_eq!(live.standing(after(200)), Standing::Live);
        live.lost(Trouble::new("nothing listens there"), after(1_000));
        assert_eq!(live.standing(after(300)), Standing::Away);
        assert_eq!(live.standing(after(5_200)), Standing::Stale);
        live.delta(Delta { as_of: Some(after(5_300)), ..Delta::default() }, after(5_400));
        assert_eq!(live.standing(after(5_400)), Standing::Live);
        assert_eq!(live.trouble, None);
    }

    #[test]
    fn what_is_frozen_stays_and_goes_on_where_the_views_are() {
        let mut live = live();
        live.freeze();
        live.delta(Delta { as_of: Some(after(50)), jobs: 3, ..Delta::default() }, after(150));
        assert_eq!(live.views().map(|views| views.jobs), Some(0));
        assert_eq!(live.standing(after(200)), Standing::Frozen);
        live.freeze();
        assert_eq!(live.views().map(|views| views.jobs), Some(3));
    }

    #[test]
    fn a_delta_without_a_snapshot_is_no_view() {
        let mut live = Live::default();
        assert_eq!(live.delta(Delta { jobs: 3, ..Delta::default() }, NOW), []);
        assert_eq!(live.standing(NOW), Standing::Connecting);
    }
}
