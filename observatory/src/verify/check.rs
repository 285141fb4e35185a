//! What was compared, and how it differs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde_json::{Value, json};

use crate::table::{self, printable};

/// Differences of a check that are shown; all are counted.
const SHOWN: usize = 5;

/// One comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Check {
    /// What was compared with what.
    name: String,
    compared: u64,
    differences: u64,
    first: Vec<Difference>,
    /// What else there is to say, which is no difference.
    note: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) place: String,
    pub(super) expected: String,
    pub(super) found: String,
}

impl Check {
    pub(super) fn new(name: &str) -> Check {
        Check { name: name.to_owned(), ..Check::default() }
    }

    pub(super) fn differs(&self) -> bool {
        self.differences > 0
    }

    /// Counts `n` more things as compared.
    pub(super) fn compared(&mut self, n: u64) {
        self.compared += n;
    }

    pub(super) fn note(&mut self, note: String) {
        self.note = note;
    }

    /// Counts a difference; `place`, what was expected there and what was found are only told of
    /// the first.
    pub(super) fn difference(&mut self, told: impl FnOnce() -> (String, String, String)) {
        self.differences += 1;
        if self.first.len() < SHOWN {
            let (place, expected, found) = told();
            self.first.push(Difference { place, expected, found });
        }
    }

    /// Compares two values.
    pub(super) fn equal<T: PartialEq + Display>(&mut self, place: &str, expected: T, found: T) {
        self.compared += 1;
        if expected != found {
            self.difference(|| (place.to_owned(), expected.to_string(), found.to_string()));
        }
    }

    /// Compares two sets of numbers; one that is not there is 0.
    pub(super) fn numbers<K: Ord, N: Copy + PartialEq + Default>(
        &mut self,
        expected: &BTreeMap<K, N>,
        found: &BTreeMap<K, N>,
        place: impl Fn(&K) -> String,
        shown: impl Fn(N) -> String,
    ) {
        let keys: BTreeSet<&K> = expected.keys().chain(found.keys()).collect();
        self.compared += keys.len() as u64;
        for key in keys {
            let of = |numbers: &BTreeMap<K, N>| numbers.get(key).copied().unwrap_or_default();
            let (expected, found) = (of(expected), of(found));
            if expected != found {
                self.difference(|| (place(key), shown(expected), shown(found)));
            }
        }
    }
}

/// All that was compared, for people.
pub(super) fn table(checks: &[Check]) -> String {
    let mut all = table::table(&["compared", "", "differences", "note"], 1);
    for check in checks {
        all.add_row([
            check.name.clone(),
            check.compared.to_string(),
            check.differences.to_string(),
            check.note.clone(),
        ]);
    }
    let mut parts = vec![all.to_string()];
    let differing: Vec<&Check> = checks.iter().filter(|check| check.differs()).collect();
    if !differing.is_empty() {
        let mut first = table::texts(&["differs", "place", "expected", "found"]);
        for check in &differing {
            for Difference { place, expected, found } in &check.first {
                let cells = [&check.name, place, expected, found];
                first.add_row(cells.map(|text| printable(text)));
            }
        }
        parts.push(first.to_string());
    }
    parts.push(verdict(checks).to_owned());
    parts.join("\n")
}

/// The same, for programs.
pub(super) fn json(checks: &[Check]) -> Value {
    let difference = |difference: &Difference| {
        let Difference { place, expected, found } = difference;
        json!({ "place": place, "expected": expected, "found": found })
    };
    let check = |check: &Check| {
        json!({
            "check": check.name,
            "compared": check.compared,
            "differences": check.differences,
            "first": check.first.iter().map(difference).collect::<Vec<_>>(),
            "note": check.note,
        })
    };
    json!({
        "verdict": verdict(checks),
        "checks": checks.iter().map(check).collect::<Vec<_>>(),
    })
}

fn verdict(checks: &[Check]) -> &'static str {
    if checks.iter().any(Check::differs) { "differs" } else { "equal" }
}

#[cfg(test)]
impl Check {
    pub(super) fn first(&self) -> &[Difference] {
        &self.first
    }

    pub(super) fn n_compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(expected: &[(&str, i64)], found: &[(&str, i64)]) -> Check {
        let map = |numbers: &[(&str, i64)]| -> BTreeMap<String, i64> {
            numbers.iter().map(|(key, n)| ((*key).to_owned(), *n)).collect()
        };
        let mut check = Check::new("numbers");
        check.numbers(&map(expected), &map(found), String::clone, |n| n.to_string());
        check
    }

    #[test]
    fn a_number_that_is_not_there_is_nought() {
        let check = numbers(&[("a", 1), ("b", 2), ("d", 0)], &[("a", 1), ("c", 3)]);
        assert_eq!((check.compared, check.differences), (4, 2));
        let told = |place: &str, expected: &str, found: &str| Difference {
            place: place.to_owned(),
            expected: expected.to_owned(),
            found: found.to_owned(),
        };
        assert_eq!(check.first(), [told("b", "2", "0"), told("c", "0", "3")]);
    }

    #[test]
    fn all_differences_are_counted_and_the_first_are_told() {
        let mut check = Check::new("many");
        (0..100).for_each(|i| check.equal(&format!("place {i}"), 1, 2));
        assert_eq!((check.compared, check.differences, check.first.len()), (100, 100, SHOWN));
        assert_eq!(json(&[check.clone()])["verdict"], "differs");
        assert!(table(&[check]).contains("place 4"));
    }

    #[test]
    fn what_a_store_holds_cannot_steer_a_terminal() {
        let mut check = Check::new("texts");
        check.equal("a\u{1b}[2Jb", "x", "\u{7}");
        assert!(!table(&[check]).contains(['\u{1b}', '\u{7}']));
    }
}
