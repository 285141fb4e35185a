//! The expressions of rules: a measure of our views, compared with a number.
//!
//! ```text
//!   expr     = reading op number | "absent" "(" reading ")"
//!   reading  = measure [ "{" label "=" string { "," label "=" string } "}" ] [ "[" window "]" ]
//!              [ "by" "(" label { "," label } ")" ]
//!   op       = ">" | ">=" | "<" | "<=" | "==" | "!="
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
//!
//! Without `by` a reading has one value, and a count is 0 where there is nothing to count; with it
//! there is one for each subject that has something. Ages are exact to ten seconds.

use std::fmt;

use contracts::State;
use contracts::snapshot::{Measure as Latency, Window};
use serde::{Deserialize, Serialize};

use super::duration;
use crate::Tick;

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Expr {
    pub reading: Reading,
    pub condition: Condition,
}

/// When a reading is worth an alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Condition {
    Compare(Op, Threshold),
    /// It has no value, or the value zero.
    Absent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Op {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
}

/// A finite number, kept by its bits so that rules can be compared and hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Threshold(u64);

impl Threshold {
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl Condition {
    /// Whether `value` is worth an alert.
    pub fn holds(&self, value: Option<f64>) -> bool {
        match (self, value) {
            (Condition::Absent, value) => value.is_none_or(|value| value == 0.0),
            (Condition::Compare(..), None) => false,
            (Condition::Compare(op, threshold), Some(value)) => {
                let threshold = threshold.get();
                match op {
                    Op::Greater => value > threshold,
                    Op::GreaterOrEqual => value >= threshold,
                    Op::Less => value < threshold,
                    Op::LessOrEqual => value <= threshold,
                    Op::Equal => value == threshold,
                    Op::NotEqual => value != threshold,
                }
            }
        }
    }
}

/// What is measured, of which jobs, and told apart by what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reading {
    pub measure: Measure,
    /// Only what has these values; sorted by label.
    pub filter: Vec<(Label, String)>,
    /// Sorted.
    pub by: Vec<Label>,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Measure {
    Rate(Rate, Window),
    /// The place of the quantile in [`crate::distribution::PER_MILLE`]; one past it is the maximum.
    Quantile(Latency, usize, Window),
    Standing(Standing),
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

/// What jobs are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Label {
    State,
    Type,
    Queue,
}

impl Label {
    pub fn as_str(self) -> &'static str {
        match self {
            Label::State => "state",
            Label::Type => "type",
            Label::Queue => "queue",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Label> {
        [Label::State, Label::Type, Label::Queue].into_iter().find(|label| label.as_str() == text)
    }
}

const MEASURES: [&str; 12] = [
    "backlog",
    "created",
    "failed",
    "failure_ratio",
    "finished",
    "jobs",
    "oldest_age_seconds",
    "run_seconds",
    "stuck",
    "throughput",
    "total_seconds",
    "wait_seconds",
];

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
        write!(f, "column {column}: {problem}\n  {source}\n  {:>column$}", "^")
    }
}

impl std::error::Error for Error {}

impl Expr {
    /// Reads an expression; a fault is told with its column.
    pub fn parse(source: &str) -> Result<Expr, Error> {
        let mut parser = Parser { source, at: 0 };
        let expr = parser.expr().map_err(|(at, problem)| Error {
            column: source[..at].chars().count() + 1,
            problem,
            source: source.to_owned(),
        })?;
        Ok(expr)
    }
}

/// Byte offset of a fault, and what it is.
type Fault = (usize, String);

struct Parser<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn expr(&mut self) -> Result<Expr, Fault> {
        let start = self.start();
        let expr = if self.word()? == "absent" {
            self.expect("(")?;
            let reading = self.reading()?;
            self.expect(")")?;
            Expr { reading, condition: Condition::Absent }
        } else {
            self.at = start;
            let reading = self.reading()?;
            let op = self.op()?;
            Expr { reading, condition: Condition::Compare(op, self.number()?) }
        };
        let rest = self.start();
        match self.source[rest..].is_empty() {
            true => Ok(expr),
            false => Err((rest, "the expression goes on after its end".to_owned())),
        }
    }

    fn reading(&mut self) -> Result<Reading, Fault> {
        let start = self.start();
        let name = self.word()?;
        if !MEASURES.contains(&name) {
            let known = MEASURES.join(", ");
            return Err((start, format!("`{name}` is not a measure; there are {known}")));
        }
        let labels = self.filter()?;
        let window_at = self.start();
        let window = self.window()?;
        let measure = measure(name, &labels, window, window_at)?;
        let allowed: &[Label] = match measure {
            Measure::Standing(_) => &[Label::State, Label::Type, Label::Queue],
            Measure::Rate(..) | Measure::Quantile(..) => &[Label::Type],
        };
        let label = |at: usize, text: &str| {
            Label::parse(text).filter(|label| allowed.contains(label)).ok_or_else(|| {
                let allowed: Vec<_> = allowed.iter().map(|label| label.as_str()).collect();
                let allowed = allowed.join(", ");
                (at, format!("`{text}` is not a label of {name}; it has {allowed}"))
            })
        };
        let mut filter = Vec::new();
        for (at, text, value) in labels {
            if matches!((name, text), ("stuck", "longer_than") | (_, "quantile")) {
                continue;
            }
            let label = label(at, text)?;
            if label == Label::State && !unfinished(&value) {
                return Err((at, format!("`{value}` is not the state of an unfinished job")));
            }
            filter.push((label, value));
        }
        filter.sort();
        let mut by = Vec::new();
        if self.accept("by") {
            self.expect("(")?;
            loop {
                let at = self.start();
                by.push(label(at, self.word()?)?);
                if !self.accept(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        by.sort();
        by.dedup();
        Ok(Reading { measure, filter, by })
    }

    /// `{label="value", ...}`, each with the place of its label.
    fn filter(&mut self) -> Result<Vec<(usize, &'a str, String)>, Fault> {
        let mut labels = Vec::new();
        if !self.accept("{") {
            return Ok(labels);
        }
        while !self.accept("}") {
            let at = self.start();
            let label = self.word()?;
            if labels.iter().any(|(_, known, _)| *known == label) {
                return Err((at, format!("`{label}` is there twice")));
            }
            let op = self.start();
            if ["=~", "!=", "!~"].iter().any(|other| self.source[op..].starts_with(other)) {
                return Err((op, "only `=` can be matched".to_owned()));
            }
            self.expect("=")?;
            labels.push((at, label, self.string()?));
            if !self.accept(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(labels)
    }

    fn window(&mut self) -> Result<Option<Window>, Fault> {
        if !self.accept("[") {
            return Ok(None);
        }
        let at = self.start();
        let text = self.word()?;
        let window = text.parse().ok().filter(|window| *window != Window::All);
        let window = window
            .ok_or_else(|| (at, format!("`{text}` is not a window; there are 1m, 5m, 15m, 1h")))?;
        self.expect("]")?;
        Ok(Some(window))
    }

    fn op(&mut self) -> Result<Op, Fault> {
        // The longer ones first.
        let ops = [
            (">=", Op::GreaterOrEqual),
            ("<=", Op::LessOrEqual),
            ("==", Op::Equal),
            ("!=", Op::NotEqual),
            (">", Op::Greater),
            ("<", Op::Less),
        ];
        for (text, op) in ops {
            if self.accept(text) {
                return Ok(op);
            }
        }
        Err((self.start(), "expected a comparison: > >= < <= == !=".to_owned()))
    }

    fn number(&mut self) -> Result<Threshold, Fault> {
        let start = self.start();
        let rest = &self.source[start..];
        let number = |c: char| c.is_ascii_alphanumeric() || ".+-_".contains(c);
        let end = rest.find(|c: char| !number(c)).unwrap_or(rest.len());
        self.at = start + end;
        let value = rest[..end].parse().ok().filter(|value: &f64| value.is_finite());
        // Minus zero would differ from zero in its bits only.
        let value = value.map(|value| Threshold((value + 0.0).to_bits()));
        value.ok_or_else(|| (start, "expected a number, such as 0.05".to_owned()))
    }

    fn string(&mut self) -> Result<String, Fault> {
        let start = self.start();
        let rest = &self.source[start..];
        let quote = rest.chars().next().filter(|c| "\"'".contains(*c));
        let Some(quote) = quote else {
            return Err((start, "expected a value in quotes".to_owned()));
        };
        let mut value = String::new();
        let mut chars = rest.char_indices().skip(1);
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, c)) => value.push(c),
                    None => break,
                },
                c if c == quote => {
                    self.at = start + i + c.len_utf8();
                    return Ok(value);
                }
                c => value.push(c),
            }
        }
        Err((start, "this quote is not closed".to_owned()))
    }

    fn word(&mut self) -> Result<&'a str, Fault> {
        let start = self.start();
        let rest = &self.source[start..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end == 0 {
            return Err((start, "expected a name".to_owned()));
        }
        self.at = start + end;
        Ok(&rest[..end])
    }

    fn expect(&mut self, text: &str) -> Result<(), Fault> {
        match self.accept(text) {
            true => Ok(()),
            false => Err((self.start(), format!("expected `{text}`"))),
        }
    }

    fn accept(&mut self, text: &str) -> bool {
        let start = self.start();
        let rest = &self.source[start..];
        // `by` is not the beginning of `bytes`.
        let whole_word = |rest: &str| {
            !text.ends_with(|c: char| c.is_alphabetic())
                || !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        };
        let accepted = rest.strip_prefix(text).is_some_and(whole_word);
        if accepted {
            self.at = start + text.len();
        }
        accepted
    }

    /// Where the next thing starts, behind white space.
    fn start(&self) -> usize {
        let rest = &self.source[self.at..];
        self.at + rest.len() - rest.trim_start().len()
    }
}

/// The measure of this name, with what its labels and window say.
fn measure(
    name: &str,
    labels: &[(usize, &str, String)],
    window: Option<Window>,
    at: usize,
) -> Result<Measure, Fault> {
    let argument = |label: &str| labels.iter().find(|(_, known, _)| *known == label);
    let standing = match name {
        "jobs" => Some(Standing::Jobs),
        "backlog" => Some(Standing::Backlog),
        "oldest_age_seconds" => Some(Standing::OldestAge),
        "stuck" => {
            let example = "say how long, as in stuck{longer_than=\"15m\"}";
            let (at, _, text) = argument("longer_than").ok_or((at, example.to_owned()))?;
            Some(Standing::Stuck(duration(text).ok_or((*at, example.to_owned()))?))
        }
        _ => None,
    };
    if let Some(standing) = standing {
        return match window {
            None => Ok(Measure::Standing(standing)),
            Some(_) => Err((at, format!("`{name}` is about now; it has no window"))),
        };
    }
    let window = window.ok_or_else(|| (at, format!("say over which window: {name}[5m]")))?;
    let rate = match name {
        "created" => Some(Rate::Created),
        "finished" => Some(Rate::Finished),
        "failed" => Some(Rate::Failed),
        "throughput" => Some(Rate::Throughput),
        "failure_ratio" => Some(Rate::FailureRatio),
        _ => None,
    };
    if let Some(rate) = rate {
        return Ok(Measure::Rate(rate, window));
    }
    let latency = match name {
        "wait_seconds" => Latency::Wait,
        "run_seconds" => Latency::Run,
        _ => Latency::Total,
    };
    let known = "there are 0.5, 0.9, 0.95, 0.99, 0.999 and 1 (the maximum)";
    let missing =
        || (at, format!("say which quantile, as in {name}{{quantile=\"0.95\"}}; {known}"));
    let (at, _, text) = argument("quantile").ok_or_else(missing)?;
    let place = match text.as_str() {
        "0.5" | "0.50" => 0,
        "0.9" | "0.90" => 1,
        "0.95" => 2,
        "0.99" => 3,
        "0.999" => 4,
        "1" | "1.0" => 5,
        _ => return Err((*at, format!("`{text}` is not a quantile that is kept; {known}"))),
    };
    Ok(Measure::Quantile(latency, place, window))
}

fn unfinished(state: &str) -> bool {
    state.parse().is_ok_and(|state: State| state < State::Completed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(source: &str) -> String {
        let Error { column, problem, .. } = Expr::parse(source).unwrap_err();
        format!("{column}: {problem}")
    }

    #[test]
    fn a_reading_with_everything_is_read() {
        let expr =
            Expr::parse(r#" run_seconds{ quantile = "0.95", type='a b' }[5m] by(type)>=1.5 "#);
        let reading = Reading {
            measure: Measure::Quantile(Latency::Run, 2, Window::M5),
            filter: vec![(Label::Type, "a b".to_owned())],
            by: vec![Label::Type],
        };
        let condition = Condition::Compare(Op::GreaterOrEqual, Threshold(1.5_f64.to_bits()));
        assert_eq!(expr, Ok(Expr { reading, condition }));
    }

    #[test]
    fn every_measure_is_read() {
        for source in [
            "created[1m] > 0",
            "finished{type=\"a\"}[15m] < 1",
            "failed[1h] by (type) != 3",
            "throughput[1m] by (type) <= 1e-3",
            "failure_ratio[5m] == 1",
            "wait_seconds{quantile=\"1\"}[1m] > 2",
            "total_seconds{quantile=\"0.999\"}[1m] > 2",
            "jobs{state=\"RETRYING\"} by (queue, type) > 5",
            "backlog by (queue) > 100",
            "oldest_age_seconds{state=\"PENDING\"} > 600",
            "stuck{longer_than=\"15m\"} by (type) > 0",
            "absent(finished{type=\"nightly\"}[1h])",
        ] {
            assert!(Expr::parse(source).is_ok(), "{source}: {:?}", Expr::parse(source));
        }
    }

    #[test]
    fn a_fault_is_told_with_its_column() {
        let told = [
            ("", "1: expected a name"),
            ("backlogs > 1", "1: `backlogs` is not a measure; there are "),
            ("backlog[5m] > 1", "8: `backlog` is about now; it has no window"),
            ("finished > 1", "10: say over which window: finished[5m]"),
            ("finished[2m] > 1", "10: `2m` is not a window; there are 1m, 5m, 15m, 1h"),
            ("finished[all] > 1", "10: `all` is not a window"),
            (
                "finished{queue=\"q\"}[5m] > 1",
                "10: `queue` is not a label of finished; it has type",
            ),
            ("backlog{type=~\"a.*\"} > 1", "13: only `=` can be matched"),
            ("backlog{type=\"a} > 1", "14: this quote is not closed"),
            ("backlog{state=\"FAILED\"} > 1", "9: `FAILED` is not the state of an unfinished job"),
            (
                "backlog by (worker) > 1",
                "13: `worker` is not a label of backlog; it has state, type, queue",
            ),
            ("backlog 1", "9: expected a comparison: > >= < <= == !="),
            ("backlog > many", "11: expected a number, such as 0.05"),
            ("backlog > inf", "11: expected a number, such as 0.05"),
            ("backlog > 1 and jobs > 1", "13: the expression goes on after its end"),
            ("stuck > 1", "7: say how long, as in stuck{longer_than=\"15m\"}"),
            ("run_seconds{quantile=\"0.75\"}[5m] > 1", "13: `0.75` is not a quantile that is kept"),
            ("absent(backlog", "15: expected `)`"),
        ];
        for (source, expected) in told {
            assert!(problem(source).starts_with(expected), "{source}: {}", problem(source));
        }
    }

    #[test]
    fn nothing_compares_with_no_value_but_absence() {
        let holds = |source: &str, value| Expr::parse(source).unwrap().condition.holds(value);
        assert!(!holds("failure_ratio[5m] < 1", None));
        assert!(holds("failure_ratio[5m] < 1", Some(0.0)));
        assert!(holds("absent(finished[1h])", Some(0.0)) && holds("absent(finished[1h])", None));
        assert!(!holds("absent(finished[1h])", Some(3.0)));
    }
}
