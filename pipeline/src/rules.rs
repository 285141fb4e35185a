//! Alert rules: what should worry us, as data that is fed into the dataflow.
//!
//! A rules file has the shape of Prometheus's: groups of rules, each with `alert`, `expr`, `for`,
//! `keep_firing_for`, `labels` and `annotations`. Expressions are over our views; see [`expr`].

use std::collections::{BTreeMap, BTreeSet};

use contracts::Reason;
use serde::{Deserialize, Serialize};

pub mod behind;
pub mod expr;
pub mod matching;
mod template;

pub use expr::Expr;
pub use template::Template;

use crate::Tick;

/// One rule; its identity is its name and its labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rule {
    pub alert: String,
    /// What it was read from, for people.
    pub source: String,
    pub expr: Expr,
    /// How long the condition must hold before the alert fires, in µs.
    pub hold: Tick,
    /// How long it keeps firing after the condition has ceased, in µs.
    pub keep_firing: Tick,
    /// Given to its alerts, beside the labels of their subject.
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, Template>,
}

/// What decides which alerts there are, beside the jobs: a collection, fed into the dataflow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Order {
    /// To be judged.
    Rule(Box<Rule>),
    /// While it is there nothing is judged, and every alert stays as it is: what is known of the
    /// jobs is known to be behind.
    Suspension,
    /// What is known of the program itself.
    Gauge(Gauge),
}

/// What rules can measure beside jobs; how often it is there counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Gauge {
    /// A delivery was refused at `at`, µs since the epoch. It is not taken back.
    DeadLetter { reason: Reason, at: Tick },
    /// What is durable is so many µs behind the clock.
    Lag(Tick),
    /// Whether a server that follows answers.
    Store { name: String, up: bool },
}

impl From<Rule> for Order {
    fn from(rule: Rule) -> Order {
        Order::Rule(Box::new(rule))
    }
}

/// What is wrong with a rules file, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not YAML, or not the shape of a rules file; the text gives line and column.
    #[error("{0}")]
    Shape(String),
    /// A value within it; the place is a path into the file.
    #[error("{place}: {problem}")]
    Value { place: String, problem: String },
    /// An expression.
    #[error("{place}: {error}")]
    Expr { place: String, error: expr::Error },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    #[serde(default)]
    rules: Vec<RuleEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    alert: String,
    expr: String,
    #[serde(rename = "for")]
    hold: Option<String>,
    keep_firing_for: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Reads a rules file. Either all of it is good, or the first fault is told with its place.
pub fn parse(yaml: &str) -> Result<Vec<Rule>, Error> {
    // An empty document is an empty file, not a fault.
    let file: Option<File> =
        serde_yaml_ng::from_str(yaml).map_err(|error| Error::Shape(error.to_string()))?;
    let mut rules = Vec::new();
    let mut names = BTreeSet::new();
    let mut identities = BTreeSet::new();
    for (g, group) in file.map(|file| file.groups).unwrap_or_default().into_iter().enumerate() {
        let value = |place: String, problem: String| Error::Value { place, problem };
        if group.name.is_empty() || !names.insert(group.name.clone()) {
            let problem = "group names must be given and differ".to_owned();
            return Err(value(format!("groups[{g}].name"), problem));
        }
        for (r, entry) in group.rules.into_iter().enumerate() {
            let place = |field: &str| format!("groups[{g}].rules[{r}].{field}");
            if entry.alert.is_empty() || entry.alert.chars().any(char::is_control) {
                let problem = "an alert needs a name, without control characters";
                return Err(value(place("alert"), problem.to_owned()));
            }
            for (name, text) in &entry.labels {
                label(name, text).map_err(|problem| value(place("labels"), problem))?;
            }
            let annotations = annotations(entry.annotations)
                .map_err(|(name, problem)| value(place(&format!("annotations.{name}")), problem))?;
            let duration = |field: &str, text: Option<String>| match text {
                Some(text) => duration(&text).ok_or_else(|| {
                    let problem = format!("`{text}` is not a duration; write 30s, 5m, 1h30m");
                    value(place(field), problem)
                }),
                None => Ok(0),
            };
            let expr = Expr::parse(&entry.expr)
                .map_err(|error| Error::Expr { place: place("expr"), error })?;
            let rule = Rule {
                hold: duration("for", entry.hold)?,
                keep_firing: duration("keep_firing_for", entry.keep_firing_for)?,
                alert: entry.alert,
                source: entry.expr,
                expr,
                labels: entry.labels,
                annotations,
            };
            if !identities.insert((rule.alert.clone(), rule.labels.clone())) {
                let problem = format!(
                    "`{}` is there twice with the same labels; tell them apart",
                    rule.alert
                );
                return Err(value(place("alert"), problem));
            }
            rules.push(rule);
        }
    }
    Ok(rules)
}

/// Whether this can be the name of a label, as in Prometheus.
fn is_label(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Labels tell alerts apart, here and wherever they are sent.
fn label(name: &str, text: &str) -> Result<(), String> {
    if !is_label(name) {
        return Err(format!("`{name}` is not the name of a label: letters, digits and _"));
    }
    if name == "alertname" {
        return Err("`alertname` is the name of the alert wherever it is sent".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err(format!("`{name}` has control characters"));
    }
    if text.contains("{{") {
        return Err(format!("`{name}` tells alerts apart, and so has no template in it"));
    }
    Ok(())
}

/// Reads the texts of annotations; a fault is told with the name of its annotation.
fn annotations(
    texts: BTreeMap<String, String>,
) -> Result<BTreeMap<String, Template>, (String, String)> {
    let mut annotations = BTreeMap::new();
    for (name, text) in texts {
        if !is_label(&name) || text.contains('\0') {
            let problem = "annotations have names of letters, digits and _, and no NUL in them";
            return Err((name, problem.to_owned()));
        }
        match Template::parse(&text) {
            Ok(template) => drop(annotations.insert(name, template)),
            Err(problem) => return Err((name, problem)),
        }
    }
    Ok(annotations)
}

/// A duration as Prometheus writes it, in µs: `90s`, `5m`, `1h30m`, `500ms`, `7d`, `1w`.
pub fn duration(text: &str) -> Option<Tick> {
    let mut rest = text;
    let mut total: Tick = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let n: Tick = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let micros: Tick = match &rest[..letters] {
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            "w" => 604_800_000_000,
            _ => return None,
        };
        rest = &rest[letters..];
        total = total.checked_add(n.checked_mul(micros)?)?;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
groups:
  - name: jobs
    rules:
      - alert: JobFailureRateHigh
        expr: failure_ratio[5m] by (type) > 0.05
        for: 2m
        keep_firing_for: 1m30s
        labels: { severity: warning }
        annotations: { summary: too many failures }
"#;

    #[test]
    fn a_rule_is_read_whole() {
        let rules = parse(GOOD).unwrap();
        let [rule] = rules.as_slice() else { panic!("one rule") };
        assert_eq!(rule.alert, "JobFailureRateHigh");
        assert_eq!((rule.hold, rule.keep_firing), (120_000_000, 90_000_000));
        assert_eq!(rule.labels["severity"], "warning");
        assert_eq!(rule.annotations["summary"].as_str(), "too many failures");
    }

    #[test]
    fn an_empty_file_has_no_rules() {
        assert_eq!(parse(""), Ok(vec![]));
        assert_eq!(parse("groups: []"), Ok(vec![]));
    }

    #[test]
    fn a_fault_is_told_with_its_place() {
        let told = |from: &str, to: &str| parse(&GOOD.replace(from, to)).unwrap_err().to_string();
        assert_eq!(
            told("for: 2m", "for: soon"),
            "groups[0].rules[0].for: `soon` is not a duration; write 30s, 5m, 1h30m",
        );
        assert!(told("for: 2m", "four: 2m").contains("unknown field `four`"));
        assert!(told("for: 2m", "four: 2m").contains("line"));
        assert!(told("> 0.05", "> much").starts_with("groups[0].rules[0].expr: column 31:"));
        assert!(told("alert: JobFailureRateHigh", "alert: ''").contains("rules[0].alert"));
        assert!(told("severity: warning", "se-verity: warning").contains("rules[0].labels: `se-"));
        assert!(told("severity: warning", "alertname: a").contains("rules[0].labels: `alertname`"));
        assert!(told("severity: warning", "severity: '{{ $value }}'").contains("no template"));
        assert!(told("too many failures", "'{{ value }}'").contains("annotations.summary:"));
        assert!(told("alert: Job", "alert: \"a\\0b\" #").contains("rules[0].alert: "));
    }

    #[test]
    fn durations_are_those_of_prometheus() {
        assert_eq!(duration("1h30m"), Some(5_400_000_000));
        assert_eq!(duration("500ms"), Some(500_000));
        for bad in ["", "5", "m", "5 m", "-5m", "5x", "99999999999999999999s"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
