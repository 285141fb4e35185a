//! The expressions of rules: measures of our views, and what is made of them.
//!
//! ```text
//!   expr     = both { "or" both }
//!   both     = compared { ( "and" | "unless" ) compared }
//!   compared = sum { ( ">" | ">=" | "<" | "<=" | "==" | "!=" ) sum }
//!   sum      = product { ( "+" | "-" ) product }
//!   product  = atom { ( "*" | "/" ) atom }
//!   atom     = number | reading | "absent" "(" reading ")" | "(" expr ")"
//!   reading  = measure [ "{" matcher { "," matcher } "}" ] [ "[" window "]" ]
//!              [ "by" "(" label { "," label } ")" ]
//!   matcher  = label ( "=" | "!=" | "=~" | "!~" ) string
//!   window   = "1m" | "5m" | "15m" | "1h"
//! ```
//!
//! | measure | of | labels |
//! |---|---|---|
//! | `created[w]` `finished[w]` `failed[w]` | jobs in the window | type |
//! | `throughput[w]` | jobs finished per second | type |
//! | `failure_ratio[w]` | failed of the finished; nothing while none finished | type |
//! | `wait_seconds` `run_seconds` `total_seconds` with `{quantile="0.95"}`, `[w]` | a quantile | type |
//! | `jobs` | unfinished jobs | state, type, queue |
//! | `backlog` | jobs that wait to be run: PENDING, VALIDATED, RETRYING | state, type, queue |
//! | `oldest_age_seconds` | since the fact that decides the state, of the oldest unfinished job | state, type, queue |
//! | `stuck{longer_than="15m"}` | jobs EXECUTING (or in the `state` given) for longer | state, type, queue |
//! | `dead_letters[w]` | deliveries that were refused | reason |
//! | `lag_seconds` | how far what is durable is behind the clock | |
//! | `store_up` | 1 while a server that follows answers, else 0 | store |
//!
//! Without `by` a reading has one value, and a count is 0 where there is nothing to count; with it
//! there is one for each subject that has something. Ages are exact to ten seconds. Patterns match
//! the whole of a label. The last three measures are of the program and not of the jobs: they are
//! not in a recorded stream, and a restart begins them anew.
//!
//! As in Prometheus a comparison keeps what it holds for, with the value of its left side (or of
//! the side that is not a number), `and` keeps what the right side has too, `unless` what it has
//! not, and `or` adds what only the right side has. Unlike there, nothing has to be said for sides
//! that are told apart by different labels: a subject goes with those that agree in the labels which
//! both have, so `failure_ratio[5m] by (type) > 0.05 and finished[5m] >= 20` asks how many have
//! finished of all types, and `finished[5m] by (type) >= 20` how many of the type that fails.
//! A result that is not a finite number is no value.

use std::fmt;

use contracts::snapshot::{Measure as Latency, Window};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::Tick;

mod parse;
mod scan;
#[cfg(test)]
mod tests;

/// An expression, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Expr {
    Number(Number),
    Reading(Reading),
    /// 1 where the reading has no value, or the value zero.
    Absent(Reading),
    Both(Op, Box<[Expr; 2]>),
}

/// What is made of two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Op {
    Arithmetic(Arithmetic),
    Comparison(Comparison),
    Set(Set),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Set {
    And,
    Unless,
    Or,
}

impl Arithmetic {
    /// The result, if it is a finite number.
    pub fn of(self, left: f64, right: f64) -> Option<f64> {
        let result = match self {
            Arithmetic::Add => left + right,
            Arithmetic::Subtract => left - right,
            Arithmetic::Multiply => left * right,
            Arithmetic::Divide => left / right,
        };
        result.is_finite().then_some(result)
    }
}

impl Comparison {
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Comparison::Greater => left > right,
            Comparison::GreaterOrEqual => left >= right,
            Comparison::Less => left < right,
            Comparison::LessOrEqual => left <= right,
            Comparison::Equal => left == right,
            Comparison::NotEqual => left != right,
        }
    }
}

/// A finite number, kept by its bits so that rules can be compared and hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Number(u64);

impl Number {
    /// None of what is not finite. Minus zero would differ from zero in its bits only.
    fn new(value: f64) -> Option<Number> {
        value.is_finite().then(|| Number((value + 0.0).to_bits()))
    }

    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// What is measured, of which jobs, and told apart by what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reading {
    pub measure: Measure,
    /// Only what all of these let pass; sorted.
    pub matchers: Vec<Matcher>,
    /// Sorted.
    pub by: Vec<Label>,
}

impl Reading {
    /// Whether every matcher lets pass what `text` says of its label.
    pub fn admits<'a>(&self, text: impl Fn(Label) -> &'a str) -> bool {
        self.matchers.iter().all(|matcher| matcher.admits(text(matcher.label)))
    }

    /// The labels whose value the matchers say: they are those of its alerts, too.
    pub fn given(&self) -> impl Iterator<Item = (Label, &str)> {
        self.matchers.iter().filter_map(|matcher| match &matcher.to {
            To::Text(text) if !matcher.negated => Some((matcher.label, text.as_str())),
            _ => None,
        })
    }
}

/// What a label is to be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Matcher {
    pub label: Label,
    /// What does not match passes.
    pub negated: bool,
    pub to: To,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum To {
    Text(String),
    Pattern(Pattern),
}

impl Matcher {
    pub fn admits(&self, text: &str) -> bool {
        let matches = match &self.to {
            To::Text(to) => to == text,
            To::Pattern(pattern) => pattern.is_match(text),
        };
        matches != self.negated
    }
}

/// A regular expression that is to match the whole of a label.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    source: String,
    regex: Regex,
}

/// Bytes that a compiled pattern may take.
const PATTERN_SIZE: usize = 1 << 18;

impl Pattern {
    pub fn new(source: &str) -> Result<Pattern, regex::Error> {
        let whole = format!("^(?:{source})$");
        let regex = RegexBuilder::new(&whole).size_limit(PATTERN_SIZE).build()?;
        Ok(Pattern { source: source.to_owned(), regex })
    }

    pub fn as_str(&self) -> &str {
        &self.source
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = regex::Error;

    fn try_from(source: String) -> Result<Pattern, regex::Error> {
        Pattern::new(&source)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.source
    }
}

// A pattern is what it was read from.
impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Pattern) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pattern {
    fn cmp(&self, other: &Pattern) -> std::cmp::Ordering {
        self.source.cmp(&other.source)
    }
}

impl std::hash::Hash for Pattern {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.source.hash(state);
    }
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Measure {
    Rate(Rate, Window),
    /// The place of the quantile in [`crate::distribution::PER_MILLE`]; one past it is the maximum.
    Quantile(Latency, usize, Window),
    Standing(Standing),
    DeadLetters(Window),
    Lag,
    StoreUp,
}

/// Measures of what happened in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rate {
    Created,
    Finished,
    Failed,
    Throughput,
    FailureRatio,
}

/// Measures of the unfinished jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Standing {
    Jobs,
    Backlog,
    OldestAge,
    /// Longer than so many µs.
    Stuck(Tick),
}

/// What subjects are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Label {
    State,
    Type,
    Queue,
    Reason,
    Store,
}

impl Label {
    const ALL: [Label; 5] = [Label::State, Label::Type, Label::Queue, Label::Reason, Label::Store];

    pub fn as_str(self) -> &'static str {
        match self {
            Label::State => "state",
            Label::Type => "type",
            Label::Queue => "queue",
            Label::Reason => "reason",
            Label::Store => "store",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Label> {
        Label::ALL.into_iter().find(|label| label.as_str() == text)
    }
}

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// From 1, in characters.
    pub column: usize,
    pub problem: String,
    /// The expression.
    pub source: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Error { column, problem, source } = self;
        // The line that the column is in, so that the mark stands below it.
        let before: String = source.chars().take(column.saturating_sub(1)).collect();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = source[start..].lines().next().unwrap_or_default();
        let mark = before[start..].chars().count() + 1;
        write!(f, "column {column}: {problem}\n  {line}\n  {:>mark$}", "^")
    }
}

impl std::error::Error for Error {}

impl Expr {
    /// Reads a condition; a fault is told with its column.
    pub fn parse(source: &str) -> Result<Expr, Error> {
        parse::condition(source).map_err(|(at, problem)| Error {
            column: source[..at].chars().count() + 1,
            problem,
            source: source.to_owned(),
        })
    }

    /// What its values are told apart by, sorted; none for a number.
    pub fn labels(&self) -> Option<Vec<Label>> {
        match self {
            Expr::Number(_) => None,
            Expr::Reading(reading) | Expr::Absent(reading) => Some(reading.by.clone()),
            Expr::Both(Op::Set(_), sides) => sides[0].labels(),
            Expr::Both(_, sides) => {
                // One side has all labels of the other.
                sides.iter().filter_map(Expr::labels).max_by_key(Vec::len)
            }
        }
    }

    /// All that is measured in it.
    pub fn readings(&self) -> Vec<&Reading> {
        match self {
            Expr::Number(_) => Vec::new(),
            Expr::Reading(reading) | Expr::Absent(reading) => vec![reading],
            Expr::Both(_, sides) => sides.iter().flat_map(Expr::readings).collect(),
        }
    }

    /// The reading that gives the value: the first.
    pub fn first(&self) -> Option<&Reading> {
        match self {
            Expr::Number(_) => None,
            Expr::Reading(reading) | Expr::Absent(reading) => Some(reading),
            Expr::Both(_, sides) => sides[0].first().or_else(|| sides[1].first()),
        }
    }
}
