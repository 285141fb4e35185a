//! What workers say of themselves, and what is known of them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::State;
use crate::time::Micros;
use crate::wire::wire_names;

/// What a worker says of whether it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Beat {
    Heartbeat,
    /// It has begun to work, or is connected again.
    Online,
    /// It ends.
    Offline,
}

wire_names!(Beat, "sign of life", {
    Heartbeat => "heartbeat",
    Online => "online",
    Offline => "offline",
});

/// A worker about itself, once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    pub worker: String,
    pub beat: Beat,
    /// By the worker's clock.
    pub at: Micros,
    /// The number of its process, on its machine.
    pub process: Option<u64>,
    /// Seconds until the next.
    pub every: Option<f64>,
    /// What it works on.
    pub active: Option<u64>,
    /// What it has worked on since it began.
    pub processed: Option<u64>,
    /// How many processes wanted a core of its machine, over 1, 5 and 15 minutes.
    #[serde(default)]
    pub load: Vec<f64>,
    pub software: Option<String>,
    pub version: Option<String>,
    pub system: Option<String>,
}

impl Heartbeat {
    /// One that says nothing else.
    pub fn of(worker: &str, beat: Beat, at: Micros) -> Heartbeat {
        Heartbeat {
            worker: worker.to_owned(),
            beat,
            at,
            process: None,
            every: None,
            active: None,
            processed: None,
            load: Vec::new(),
            software: None,
            version: None,
            system: None,
        }
    }
}

/// What is kept of a worker: the last that it said, and when it was heard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnownWorker {
    pub last: Heartbeat,
    /// When we were last told something, by our clock.
    pub heard_at: Micros,
    /// When it last said that it is online, by its own.
    pub online_at: Option<Micros>,
}

/// Heartbeats that may be missed, as those that wait for its event loop are.
const MISSED: f64 = 4.0;

/// Seconds between heartbeats, where they do not say so.
const EVERY: f64 = 2.0;

impl KnownWorker {
    /// What is known after one heartbeat, heard at `heard_at`.
    pub fn of(last: Heartbeat, heard_at: Micros) -> KnownWorker {
        let online_at = (last.beat == Beat::Online).then_some(last.at);
        KnownWorker { last, heard_at, online_at }
    }

    /// Takes in what else is known of the same worker; the order does not matter but for what it said
    /// at one instant, of which the last to come counts.
    pub fn join(&mut self, other: KnownWorker) {
        if other.last.at >= self.last.at {
            self.last = other.last;
        }
        self.heard_at = self.heard_at.max(other.heard_at);
        self.online_at = self.online_at.max(other.online_at);
    }

    /// Whether it is there at a moment.
    pub fn presence(&self, now: Micros) -> Presence {
        let every = self.last.every.filter(|every| *every > 0.0).unwrap_or(EVERY).clamp(1.0, 300.0);
        if self.last.beat == Beat::Offline {
            Presence::Offline
        } else if now.0 - self.heard_at.0 > (every * MISSED * 1e6) as i64 {
            Presence::Silent
        } else {
            Presence::Online
        }
    }
}

/// Whether a worker is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Presence {
    Online,
    /// It has missed several heartbeats: killed, cut off, or too busy to tell.
    Silent,
    /// It has said that it ends.
    Offline,
    /// It says nothing of itself: known by its jobs only.
    Unheard,
}

wire_names!(Presence, "presence", {
    Online => "online",
    Silent => "silent",
    Offline => "offline",
    Unheard => "unheard",
});

/// Workers, those that are there first, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workers {
    pub as_of: Option<Micros>,
    /// Workers that match.
    pub total: u64,
    /// How many there are of each presence, of all workers.
    pub presences: BTreeMap<Presence, u64>,
    pub items: Vec<WorkerView>,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerView {
    pub worker: String,
    pub presence: Presence,
    /// When it was last heard, by our clock.
    pub heard_at: Option<Micros>,
    /// When it came online, by its own.
    pub online_at: Option<Micros>,
    /// What it said last.
    pub last: Option<Heartbeat>,
    /// Its jobs that are not retired, by state; states without any are absent.
    pub jobs: BTreeMap<State, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(beat: Beat, at: i64) -> KnownWorker {
        let last = Heartbeat { every: Some(2.0), ..Heartbeat::of("w1@a", beat, Micros(at)) };
        KnownWorker::of(last, Micros(at))
    }

    #[test]
    fn a_worker_is_silent_when_it_has_missed_four_heartbeats() {
        let worker = known(Beat::Heartbeat, 1_000_000);
        assert_eq!(worker.presence(Micros(9_000_000)), Presence::Online);
        assert_eq!(worker.presence(Micros(9_000_001)), Presence::Silent);
        assert_eq!(known(Beat::Offline, 0).presence(Micros(1)), Presence::Offline);
    }

    #[test]
    fn what_is_known_does_not_depend_on_the_order_of_heartbeats() {
        let heard = [
            known(Beat::Online, 5),
            known(Beat::Heartbeat, 7),
            known(Beat::Heartbeat, 8),
            known(Beat::Offline, 9),
        ];
        let all = |heard: Vec<KnownWorker>| {
            heard
                .into_iter()
                .reduce(|mut known, other| {
                    known.join(other);
                    known
                })
                .map(|known| (known.last.beat, known.last.at, known.heard_at, known.online_at))
        };
        let expected = Some((Beat::Offline, Micros(9), Micros(9), Some(Micros(5))));
        let mut turned = heard.to_vec();
        for _ in 0..heard.len() {
            turned.rotate_left(1);
            assert_eq!(all(turned.clone()), expected);
        }
    }
}
