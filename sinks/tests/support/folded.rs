//! A client's copy of the views, folded row by row out of JSON, as a page does it.

use std::collections::BTreeMap;

use serde_json::Value;

/// The views that have rows, and what names a row in each.
const VIEWS: [(&str, &[&str]); 5] = [
    ("counts", &["state", "type", "queue", "worker"]),
    ("latency", &["measure", "type", "window"]),
    ("throughput", &["type", "window"]),
    ("alerts", &["alert", "labels"]),
    ("totals", &["state", "type"]),
];

/// What is beside them.
const NUMBERS: [&str; 4] = ["asOf", "jobs", "late", "skewed"];

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Folded {
    rows: BTreeMap<(&'static str, String), Value>,
    numbers: BTreeMap<&'static str, Value>,
}

impl Folded {
    pub(crate) fn of(snapshot: &Value) -> Folded {
        let mut folded = Folded::default();
        folded.fold(snapshot);
        folded
    }

    /// Replaces what a delta has.
    pub(crate) fn fold(&mut self, delta: &Value) {
        for (view, key) in VIEWS {
            for row in delta[view].as_array().into_iter().flatten() {
                let key: Vec<&Value> = key.iter().map(|name| &row[*name]).collect();
                let key = (view, serde_json::to_string(&key).unwrap());
                match gone(row) {
                    true => self.rows.remove(&key),
                    false => self.rows.insert(key, row.clone()),
                };
            }
        }
        for name in NUMBERS {
            self.numbers.insert(name, delta[name].clone());
        }
        if delta["rejected"].is_object() {
            self.numbers.insert("rejected", delta["rejected"].clone());
        }
    }

    pub(crate) fn as_of(&self) -> &str {
        self.numbers["asOf"].as_str().unwrap_or_default()
    }

    /// What the copy says of jobs, and the sum of its counts, which is to be the same.
    pub(crate) fn jobs(&self) -> (u64, u64) {
        let counts = self.rows.iter().filter(|((view, _), _)| *view == "counts");
        let sum = counts.map(|(_, row)| row["jobs"].as_u64().unwrap()).sum();
        (self.numbers["jobs"].as_u64().unwrap(), sum)
    }

    /// The same, but for the moment.
    pub(crate) fn without_time(mut self) -> Folded {
        self.numbers.remove("asOf");
        self
    }

    /// The rows of the views that `wanted` names.
    pub(crate) fn only(mut self, wanted: &[&str]) -> Folded {
        self.rows.retain(|(view, _), _| wanted.contains(view));
        self.numbers.clear();
        self
    }
}

/// A row of nothing is one that is gone.
fn gone(row: &Value) -> bool {
    let zero = |name: &str| row[name] == 0;
    zero("jobs")
        || zero("samples")
        || row["created"] == 0 && zero("finished") && zero("failed")
        || row["state"] == "resolved"
}
