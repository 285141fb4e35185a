//! Somebody who looks at the API all the time, and compares what it says with itself.
//!
//! Whatever moment two answers are of, if it is the same one they must agree; no answer may go back
//! in time, or contradict itself. That servers are away is no excuse but for a 503.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::Value;

/// Jobs by state, without those of which there are none.
type Counts = BTreeMap<String, u64>;

/// Moments that are kept to be compared with.
const KEPT: usize = 500;

/// Rows that a list shows at most.
const LIMIT: u64 = 100;

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Answers, other than that none can be given now.
    pub(crate) answers: u64,
    /// Those that were compared with another of the same moment.
    pub(crate) compared: u64,
    /// Where each kind of answer has come to.
    as_of: BTreeMap<&'static str, String>,
    moments: BTreeMap<String, Counts>,
}

pub(crate) struct Onlooker {
    enough: Arc<AtomicBool>,
    looking: JoinHandle<Seen>,
}

impl Onlooker {
    /// Begins to look at the API at `address`.
    pub(crate) fn start(address: &str) -> Onlooker {
        let enough = Arc::new(AtomicBool::new(false));
        let (told, address) = (Arc::clone(&enough), address.to_owned());
        let looking = std::thread::spawn(move || {
            let mut seen = Seen::default();
            let states = ["PENDING", "EXECUTING", "RETRYING", "COMPLETED", "FAILED"];
            for state in states.iter().cycle() {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                seen.snapshot(&address);
                seen.counts(&address);
                seen.list(&address, state);
            }
            seen
        });
        Onlooker { enough, looking }
    }

    /// Stops to look; panics with what did not agree.
    #[track_caller]
    pub(crate) fn finish(self) -> Seen {
        self.enough.store(true, Ordering::Relaxed);
        self.looking.join().unwrap_or_else(|_| panic!("the API contradicts itself, see above"))
    }
}

impl Seen {
    /// An answer, if one can be given now; its moment must not be before that of the one before.
    fn ask(&mut self, kind: &'static str, address: &str, path: &str) -> Option<Value> {
        let asked = ureq::get(format!("http://{address}{path}"))
            .config()
            .http_status_as_error(false)
            .build()
            .call();
        let mut answer = asked.unwrap_or_else(|error| panic!("{path}: {error}"));
        let text = answer.body_mut().read_to_string().unwrap();
        match answer.status().as_u16() {
            200 => {}
            503 => return None,
            status => panic!("{path}: {status}: {text}"),
        }
        let answer: Value = serde_json::from_str(&text).unwrap();
        let as_of = answer["asOf"].as_str().unwrap_or_else(|| panic!("{path}: {text}")).to_owned();
        let before = self.as_of.insert(kind, as_of.clone()).unwrap_or_default();
        assert!(before <= as_of, "{path} goes back from {before} to {as_of}");
        self.answers += 1;
        Some(answer)
    }

    /// Compares the jobs by state with what another answer has said of the same moment.
    fn moment(&mut self, answer: &Value, counts: Counts) {
        let as_of = answer["asOf"].as_str().unwrap();
        match self.moments.get(as_of) {
            Some(other) => {
                self.compared += 1;
                assert_eq!(&counts, other, "as of {as_of}");
            }
            None => {
                self.moments.insert(as_of.to_owned(), counts);
            }
        }
        if self.moments.len() > KEPT {
            self.moments.pop_first();
        }
    }

    fn snapshot(&mut self, address: &str) {
        let Some(snapshot) = self.ask("snapshot", address, "/api/v1/snapshot") else { return };
        let counts = by_state(&snapshot);
        assert_eq!(snapshot["jobs"], counts.values().sum::<u64>(), "{snapshot}");
        // Whatever is told by type adds up to what is told of all types.
        for (view, number) in [("throughput", "finished"), ("latency", "samples")] {
            let mut sums = BTreeMap::<(&str, &str), [u64; 2]>::new();
            for row in snapshot[view].as_array().unwrap() {
                let text = |name: &str| row[name].as_str().unwrap_or_default();
                let sum = sums.entry((text("measure"), text("window"))).or_default();
                sum[usize::from(row["type"].is_null())] += row[number].as_u64().unwrap();
            }
            assert!(sums.values().all(|[types, all]| types == all), "{view}: {sums:?}");
        }
        self.moment(&snapshot, counts);
    }

    fn counts(&mut self, address: &str) {
        let Some(answer) = self.ask("counts", address, "/api/v1/counts?by=state") else { return };
        let counts = by_state(&answer);
        assert_eq!(answer["jobs"], counts.values().sum::<u64>(), "{answer}");
        self.moment(&answer, counts);
    }

    fn list(&mut self, address: &str, state: &str) {
        let path = format!("/api/v1/jobs?state={state}&limit={LIMIT}");
        let Some(list) = self.ask("list", address, &path) else { return };
        let (total, items) = (list["total"].as_u64().unwrap(), list["items"].as_array().unwrap());
        assert_eq!(items.len() as u64, total.min(LIMIT), "{path}");
        assert!(items.iter().all(|job| job["state"] == state), "{path}: {list}");
        if let Some(counts) = self.moments.get(list["asOf"].as_str().unwrap()) {
            self.compared += 1;
            assert_eq!(counts.get(state).copied().unwrap_or(0), total, "{path}: {}", list["asOf"]);
        }
    }
}

fn by_state(answer: &Value) -> Counts {
    let mut counts = Counts::new();
    for row in answer["counts"].as_array().unwrap() {
        let state = row["state"].as_str().unwrap().to_owned();
        *counts.entry(state).or_default() += row["jobs"].as_u64().unwrap();
    }
    counts.retain(|_, jobs| *jobs > 0);
    counts
}
