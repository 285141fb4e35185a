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
    pub(crate) clause: Clause,
    pub(crate) also: Option<(Joint, Clause)>,
    /// `for` and `keep_firing_for`, in µs.
    pub(crate) hold: i64,
    pub(crate) keep_firing: i64,
}

/// What is worth an alert.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Clause {
    pub(crate) of: Of,
    pub(crate) filter: Vec<(&'static str, Match)>,
    pub(crate) by: BTreeSet<&'static str>,
    pub(crate) when: When,
}

/// How a further clause goes with the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Joint {
    And,
    Unless,
    Or,
}

/// What a label is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Match {
    Is(&'static str),
    Not(&'static str),
    /// One of [`PATTERNS`].
    Like(&'static str),
    Unlike(&'static str),
}

/// Patterns of which [`Match::admits`] knows what they mean.
pub(crate) const PATTERNS: [&str; 5] = ["email.*", "report|thumbnail", "mail!?", ".+", "mail"];

impl Match {
    pub(crate) fn admits(self, text: &str) -> bool {
        let like = |pattern| match pattern {
            "email.*" => text.starts_with("email"),
            "report|thumbnail" => text == "report" || text == "thumbnail",
            "mail!?" => text == "mail" || text == "mail!",
            ".+" => !text.is_empty(),
            "mail" => text == "mail",
            _ => panic!("nobody has said what {pattern} means"),
        };
        match self {
            Match::Is(value) => text == value,
            Match::Not(value) => text != value,
            Match::Like(pattern) => like(pattern),
            Match::Unlike(pattern) => !like(pattern),
        }
    }
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
    /// Compared with so many times another measure, of everything.
    Times(&'static str, f64, Of),
    Absent,
}

impl Watch {
    /// A rule of this name that says nothing more, for tests that say the rest themselves.
    pub(crate) fn new(alert: &str, of: Of, op: &'static str, threshold: f64) -> Watch {
        Watch {
            id: (alert.to_owned(), Labels::new()),
            clause: Clause::new(of, op, threshold),
            also: None,
            hold: 0,
            keep_firing: 0,
        }
    }

    pub(crate) fn by(mut self, label: &'static str) -> Watch {
        self.clause.by.insert(label);
        self
    }

    pub(crate) fn matching(mut self, label: &'static str, matched: Match) -> Watch {
        self.clause.filter.push((label, matched));
        self
    }

    pub(crate) fn when(mut self, when: When) -> Watch {
        self.clause.when = when;
        self
    }

    pub(crate) fn also(mut self, joint: Joint, clause: Clause) -> Watch {
        self.also = Some((joint, clause));
        self
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

impl Clause {
    pub(crate) fn new(of: Of, op: &'static str, threshold: f64) -> Clause {
        let (filter, by) = (Vec::new(), BTreeSet::new());
        Clause { of, filter, by, when: When::Is(op, threshold) }
    }
}

/// Its expression.
impl Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.also {
            None => self.clause.fmt(f),
            Some((Joint::And, also)) => write!(f, "{} and {also}", self.clause),
            Some((Joint::Unless, also)) => write!(f, "{} unless {also}", self.clause),
            Some((Joint::Or, also)) => write!(f, "({}) or {also}", self.clause),
        }
    }
}

impl Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut filter: Vec<String> = Vec::new();
        for (label, matched) in &self.filter {
            let (op, value) = match matched {
                Match::Is(value) => ("=", value),
                Match::Not(value) => ("!=", value),
                Match::Like(pattern) => ("=~", pattern),
                Match::Unlike(pattern) => ("!~", pattern),
            };
            filter.push(format!("{label}{op}\"{value}\""));
        }
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
            When::Times(op, factor, of) => {
                let all = Clause { of, when: When::Absent, ..Clause::new(of, "", 0.0) }.to_string();
                let all = all.trim_start_matches("absent(").trim_end_matches(')');
                write!(f, "{reading} {op} {factor} * {all}")
            }
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
    let clause = random_clause(random);
    let also = random.once_in(3).then(|| {
        let joint = random.of(&[Joint::And, Joint::Unless, Joint::Or]);
        let mut other = random_clause(random);
        let labels = labels_of(other.of);
        match joint {
            // They must be told apart by the same.
            Joint::Or if clause.by.iter().all(|label| labels.contains(label)) => {
                other.by.clone_from(&clause.by);
            }
            Joint::Or => {
                other.by.clear();
                readable(&mut other);
                return (Joint::And, other);
            }
            // One by all that the other is.
            Joint::And | Joint::Unless => {
                let goes = other.by.is_subset(&clause.by) || clause.by.is_subset(&other.by);
                if !goes {
                    other.by.clear();
                }
            }
        }
        readable(&mut other);
        (joint, other)
    });
    Watch {
        id: rule_id(place),
        clause,
        also,
        hold: random_hold(random),
        keep_firing: random.of(&[0, 0, 1, 500, 1001, 5000, 10_000, 30_000, 90_000]) * 1000,
    }
}

fn random_of(random: &mut Random) -> Of {
    let window = |random: &mut Random| {
        let [(m1, _), (m5, _), (m15, _), (h1, _)] = SLIDING;
        random.of(&[m1, m1, m1, m5, m5, m15, h1])
    };
    match random.below(12) {
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
    }
}

fn labels_of(of: Of) -> &'static [&'static str] {
    match of {
        Of::Jobs | Of::Backlog | Of::OldestAge | Of::Stuck(_) => &["state", "type", "queue"],
        _ => &["type"],
    }
}

fn random_clause(random: &mut Random) -> Clause {
    let of = random_of(random);
    let mut filter = Vec::new();
    let mut by = BTreeSet::new();
    for name in labels_of(of).iter().copied() {
        if random.once_in(6) {
            let values: &[&str] = match name {
                "state" => &["PENDING", "VALIDATED", "EXECUTING", "RETRYING"],
                "type" => &["email.send", "report", "thumbnail", "", "nobody"],
                _ => &["mail", "mail!", "", "nobody"],
            };
            let (value, pattern) = (random.of(values), random.of(&PATTERNS));
            filter.push((
                name,
                random.of(&[Match::Is(value), Match::Is(value), Match::Like(pattern)]),
            ));
        }
        if random.once_in(8) {
            filter.push((
                name,
                random.of(&[Match::Unlike("mail"), Match::Not("RETRYING"), Match::Not("report")]),
            ));
            // Of a state it is asked whether there is such a one.
            filter.retain(|(label, matched)| *label != "state" || *matched != Match::Not("report"));
        }
        if random.once_in(3) {
            by.insert(name);
        }
    }
    let when = random_when(random, of);
    let mut clause = Clause { of, filter, by, when };
    readable(&mut clause);
    clause
}

/// Quantiles of several types are read by type only.
fn readable(clause: &mut Clause) {
    let several = |(_, matched): &(_, Match)| !matches!(matched, Match::Is(_));
    if matches!(clause.of, Of::Latency(..)) && clause.by.is_empty() {
        clause.filter.retain(|matched| !several(matched));
    }
}

/// A condition that holds now and then.
fn random_when(random: &mut Random, of: Of) -> When {
    if random.once_in(10) {
        return When::Absent;
    }
    // What equals a number now does not for long.
    let op = random.of(&[">", ">=", "<", "<=", "==", "==", "==", "!="]);
    if random.once_in(5) {
        return When::Times(op, random.of(&[0.5, 1.0, 2.0]), random_of(random));
    }
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
        2 => watch.clone().when(random_when(random, watch.clause.of)),
        // By the type, which every measure has.
        3 if watch.also.is_none() => {
            let mut watch = watch.clone();
            if !watch.clause.by.remove("type") {
                watch.clause.by.insert("type");
            }
            readable(&mut watch.clause);
            watch
        }
        // To the letter as it was.
        4 => watch.clone(),
        _ => other,
    }
}
