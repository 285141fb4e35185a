//! Random rules: what their authors mean, and the text that says so.
//!
//! The oracle judges what is meant; the dataflow is fed what the text is read as.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use contracts::snapshot::{Measure, Window};
use pipeline::rules::{Rule, parse};

use super::oracle::{SECOND, SLIDING};
use super::random::Random;

pub(crate) type Labels = BTreeMap<String, String>;

/// What tells rules apart: the name, and the labels.
pub(crate) type RuleId = (String, Labels);

/// A rule, as its author means it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Watch {
    pub(crate) id: RuleId,
    pub(crate) of: Of,
    pub(crate) filter: BTreeMap<&'static str, &'static str>,
    pub(crate) by: BTreeSet<&'static str>,
    pub(crate) when: When,
    /// `for` and `keep_firing_for`, in µs.
    pub(crate) hold: i64,
    pub(crate) keep_firing: i64,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Of {
    Created(Window),
    Finished(Window),
    Failed(Window),
    Throughput(Window),
    FailureRatio(Window),
    /// A quantile, in per mille.
    Latency(Measure, usize, Window),
    Jobs,
    Backlog,
    OldestAge,
    /// For longer than so many µs.
    Stuck(i64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum When {
    Is(&'static str, f64),
    Absent,
}

impl Watch {
    /// A rule of this name that says nothing more, for tests that say the rest themselves.
    pub(crate) fn new(alert: &str, of: Of, op: &'static str, threshold: f64) -> Watch {
        Watch {
            id: (alert.to_owned(), Labels::new()),
            of,
            filter: BTreeMap::new(),
            by: BTreeSet::new(),
            when: When::Is(op, threshold),
            hold: 0,
            keep_firing: 0,
        }
    }

    /// What the program reads in a file that says so.
    pub(crate) fn rule(&self) -> Rule {
        let quoted = |(name, value): (&String, &String)| format!("{name}: '{value}'");
        let (alert, labels) = &self.id;
        let labels: Vec<String> = labels.iter().map(quoted).collect();
        let yaml = format!(
            "groups: [{{ name: g, rules: [{{ alert: '{alert}', expr: '{self}', for: {}ms, \
             keep_firing_for: {}ms, labels: {{ {} }} }}] }}]",
            self.hold / 1000,
            self.keep_firing / 1000,
            labels.join(", "),
        );
        let mut rules = parse(&yaml).unwrap_or_else(|error| panic!("{error} in {yaml}"));
        rules.pop().expect("one rule")
    }
}

/// Its expression.
impl Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut filter: Vec<String> =
            self.filter.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let (name, window) = match self.of {
            Of::Created(window) => ("created".to_owned(), Some(window)),
            Of::Finished(window) => ("finished".to_owned(), Some(window)),
            Of::Failed(window) => ("failed".to_owned(), Some(window)),
            Of::Throughput(window) => ("throughput".to_owned(), Some(window)),
            Of::FailureRatio(window) => ("failure_ratio".to_owned(), Some(window)),
            Of::Latency(measure, per_mille, window) => {
                filter.push(format!("quantile=\"{}\"", per_mille as f64 / 1000.0));
                (format!("{}_seconds", measure.as_str()), Some(window))
            }
            Of::Jobs => ("jobs".to_owned(), None),
            Of::Backlog => ("backlog".to_owned(), None),
            Of::OldestAge => ("oldest_age_seconds".to_owned(), None),
            Of::Stuck(longer) => {
                filter.push(format!("longer_than=\"{}ms\"", longer / 1000));
                ("stuck".to_owned(), None)
            }
        };
        let filter = filter.join(", ");
        let window = window.map(|window| format!("[{}]", window.as_str())).unwrap_or_default();
        let by: Vec<&str> = self.by.iter().copied().collect();
        let by = if by.is_empty() { String::new() } else { format!(" by ({})", by.join(", ")) };
        let reading = format!("{name}{{{filter}}}{window}{by}");
        match self.when {
            When::Is(op, threshold) => write!(f, "{reading} {op} {threshold}"),
            When::Absent => write!(f, "absent({reading})"),
        }
    }
}

/// How many rules there can be at a time.
pub(crate) const N_RULES: usize = 6;

/// Rules that share names and labels, each with a difference; one of them has a label that a
/// subject may have as well.
pub(crate) fn rule_id(place: usize) -> RuleId {
    let (alert, labels): (&str, &[(&str, &str)]) = match place {
        0 => ("Slow", &[]),
        1 => ("Slow", &[("severity", "warning")]),
        2 => ("Slow", &[("severity", "critical"), ("type", "every")]),
        3 => ("Stuck", &[("severity", "warning")]),
        4 => ("Stuck", &[("severity", "warning"), ("team", "über")]),
        _ => ("Failing", &[("page", "")]),
    };
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    (alert.to_owned(), labels.iter().map(owned).collect())
}

/// A rule for this place.
pub(crate) fn random_watch(random: &mut Random, place: usize) -> Watch {
    let window = |random: &mut Random| {
        let [(m1, _), (m5, _), (m15, _), (h1, _)] = SLIDING;
        random.of(&[m1, m1, m1, m5, m5, m15, h1])
    };
    let of = match random.below(12) {
        0 => Of::Created(window(random)),
        1 => Of::Finished(window(random)),
        2 => Of::Failed(window(random)),
        3 => Of::Throughput(window(random)),
        4 | 5 => Of::FailureRatio(window(random)),
        6 | 7 => {
            let per_mille = random.of(&[500, 900, 950, 990, 999, 1000]);
            Of::Latency(random.of(&Measure::ALL), per_mille, window(random))
        }
        8 => Of::Jobs,
        9 => Of::Backlog,
        10 => Of::OldestAge,
        _ => Of::Stuck(random.of(&[0, SECOND, 10 * SECOND, 25 * SECOND, 60 * SECOND])),
    };
    let standing = matches!(of, Of::Jobs | Of::Backlog | Of::OldestAge | Of::Stuck(_));
    let names: &[&str] = if standing { &["state", "type", "queue"] } else { &["type"] };
    let mut filter = BTreeMap::new();
    let mut by = BTreeSet::new();
    for name in names.iter().copied() {
        if random.once_in(6) {
            let values: &[&str] = match name {
                "state" => &["PENDING", "VALIDATED", "EXECUTING", "RETRYING"],
                "type" => &["email.send", "report", "thumbnail", "", "nobody"],
                _ => &["mail", "mail!", "", "nobody"],
            };
            filter.insert(name, random.of(values));
        }
        if random.once_in(3) {
            by.insert(name);
        }
    }
    Watch {
        id: rule_id(place),
        of,
        filter,
        by,
        when: random_when(random, of),
        hold: random_hold(random),
        keep_firing: random.of(&[0, 0, 1, 500, 1001, 5000, 10_000, 30_000, 90_000]) * 1000,
    }
}

/// A condition that holds now and then.
fn random_when(random: &mut Random, of: Of) -> When {
    if random.once_in(10) {
        return When::Absent;
    }
    // What equals a number now does not for long.
    let op = random.of(&[">", ">=", "<", "<=", "==", "==", "==", "!="]);
    let threshold = match of {
        Of::FailureRatio(_) => random.of(&[0.0, 0.25, 0.5, 1.0]),
        Of::Throughput(_) => random.of(&[0.0, 1.0 / 60.0, 0.05, 0.1]),
        Of::Latency(..) => random.of(&[0.0, 0.001, 1.0, 10.0, 30.0, 300.0]),
        Of::OldestAge => random.of(&[0.0, 5.0, 10.0, 30.0, 60.0, 300.0]),
        _ => random.of(&[0.0, 1.0, 2.0, 3.0, 5.0]),
    };
    When::Is(op, threshold)
}

/// Mostly short, or few alerts would come to fire.
fn random_hold(random: &mut Random) -> i64 {
    random.of(&[0, 0, 1, 500, 1000, 1001, 2000, 5000, 10_000, 30_000, 90_000]) * 1000
}

/// The same rule, but for something that its author has thought over.
pub(crate) fn changed(random: &mut Random, watch: &Watch, place: usize) -> Watch {
    let other = random_watch(random, place);
    match random.below(6) {
        0 => Watch { hold: other.hold, ..watch.clone() },
        1 => Watch { keep_firing: other.keep_firing, ..watch.clone() },
        2 => Watch { when: random_when(random, watch.of), ..watch.clone() },
        // By the type, which every measure has.
        3 => {
            let mut by = watch.by.clone();
            if !by.remove("type") {
                by.insert("type");
            }
            Watch { by, ..watch.clone() }
        }
        // To the letter as it was.
        4 => watch.clone(),
        _ => other,
    }
}
