//! Reads expressions: recursive descent, by the grammar above, over a text that stays in place so
//! that every fault has one.

use contracts::snapshot::{Measure as Latency, Window};
use contracts::{State, nearest};

use super::scan::Scan;
use super::{
    Arithmetic, Comparison, Expr, Label, Matcher, Measure, Op, Pattern, Rate, Reading, Set,
    Standing, To,
};
use crate::distribution::PER_MILLE;
use crate::rules::duration;

/// Byte offset of a fault, and what it is.
pub(super) type Fault = (usize, String);

/// Parentheses within parentheses.
const DEPTH: usize = 32;

/// Readings and numbers of one expression: each costs at every second.
const OPERANDS: usize = 64;

const MEASURES: [&str; 15] = [
    "backlog",
    "created",
    "dead_letters",
    "failed",
    "failure_ratio",
    "finished",
    "jobs",
    "lag_seconds",
    "oldest_age_seconds",
    "run_seconds",
    "store_up",
    "stuck",
    "throughput",
    "total_seconds",
    "wait_seconds",
];

/// Reads an expression that is a condition, to its end.
pub(super) fn condition(source: &str) -> Result<Expr, Fault> {
    let mut parser = Parser { scan: Scan::new(source), depth: 0, operands: 0 };
    let expr = parser.either()?;
    if !parser.scan.rest().is_empty() {
        return Err((parser.scan.start(), "the expression goes on after its end".to_owned()));
    }
    if !is_condition(&expr) {
        return Err((parser.scan.start(), compare_it(&expr)));
    }
    Ok(expr)
}

/// What to do about something that is no condition.
fn compare_it(expr: &Expr) -> String {
    match expr {
        Expr::Number(_) => "nothing is measured; begin with a measure, such as backlog".to_owned(),
        _ => "expected a comparison: > >= < <= == !=".to_owned(),
    }
}

/// Whether it has values only while something is the matter.
fn is_condition(expr: &Expr) -> bool {
    match expr {
        Expr::Absent(_) => true,
        Expr::Both(Op::Comparison(_) | Op::Set(_), _) => true,
        Expr::Number(_) | Expr::Reading(_) | Expr::Both(Op::Arithmetic(_), _) => false,
    }
}

struct Parser<'a> {
    scan: Scan<'a>,
    depth: usize,
    operands: usize,
}

impl<'a> Parser<'a> {
    fn either(&mut self) -> Result<Expr, Fault> {
        self.set(Parser::both, &[("or", Set::Or)])
    }

    fn both(&mut self) -> Result<Expr, Fault> {
        self.set(Parser::compared, &[("and", Set::And), ("unless", Set::Unless)])
    }

    /// Sides between set operators of one rank.
    fn set(
        &mut self,
        side: fn(&mut Parser<'a>) -> Result<Expr, Fault>,
        ops: &[(&str, Set)],
    ) -> Result<Expr, Fault> {
        let mut left = side(self)?;
        loop {
            let at = self.scan.start();
            let Some((_, set)) = ops.iter().find(|(text, _)| self.scan.accept(text)) else {
                return Ok(left);
            };
            if !is_condition(&left) {
                return Err((at, compare_it(&left)));
            }
            let right = side(self)?;
            if !is_condition(&right) {
                return Err((self.scan.start(), compare_it(&right)));
            }
            left = combine(at, Op::Set(*set), left, right)?;
        }
    }

    fn compared(&mut self) -> Result<Expr, Fault> {
        // The longer ones first.
        let ops = [
            (">=", Comparison::GreaterOrEqual),
            ("<=", Comparison::LessOrEqual),
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            (">", Comparison::Greater),
            ("<", Comparison::Less),
        ];
        self.binary(Parser::sum, &ops, Op::Comparison)
    }

    fn sum(&mut self) -> Result<Expr, Fault> {
        let ops = [("+", Arithmetic::Add), ("-", Arithmetic::Subtract)];
        self.binary(Parser::product, &ops, Op::Arithmetic)
    }

    fn product(&mut self) -> Result<Expr, Fault> {
        let ops = [("*", Arithmetic::Multiply), ("/", Arithmetic::Divide)];
        self.binary(Parser::atom, &ops, Op::Arithmetic)
    }

    /// Sides between operators of one rank, from left to right.
    fn binary<O: Copy>(
        &mut self,
        side: fn(&mut Parser<'a>) -> Result<Expr, Fault>,
        ops: &[(&str, O)],
        op: fn(O) -> Op,
    ) -> Result<Expr, Fault> {
        let mut left = side(self)?;
        loop {
            let at = self.scan.start();
            let Some((_, found)) = ops.iter().find(|(text, _)| self.scan.accept(text)) else {
                return Ok(left);
            };
            let right = side(self)?;
            left = combine(at, op(*found), left, right)?;
        }
    }

    fn atom(&mut self) -> Result<Expr, Fault> {
        let start = self.scan.start();
        self.operands += 1;
        if self.operands > OPERANDS {
            return Err((start, format!("more than {OPERANDS} measures and numbers")));
        }
        if self.scan.accept("(") {
            self.depth += 1;
            if self.depth > DEPTH {
                return Err((start, format!("more than {DEPTH} parentheses within each other")));
            }
            let expr = self.either()?;
            self.scan.expect(")")?;
            self.depth -= 1;
            return Ok(expr);
        }
        if self.scan.rest().starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
            return self.scan.number().map(Expr::Number);
        }
        if self.scan.accept("absent") {
            self.scan.expect("(")?;
            let reading = self.reading()?;
            self.scan.expect(")")?;
            return Ok(Expr::Absent(reading));
        }
        self.reading().map(Expr::Reading)
    }

    fn reading(&mut self) -> Result<Reading, Fault> {
        let start = self.scan.start();
        let name =
            self.scan.word().map_err(|_| (start, "expected a measure or a number".to_owned()))?;
        if !MEASURES.contains(&name) {
            let known = MEASURES.join(", ");
            let problem = match nearest(name, &MEASURES) {
                Some(meant) => format!("`{name}` is not a measure; did you mean {meant}?"),
                None => format!("`{name}` is not a measure; there are {known}"),
            };
            return Err((start, problem));
        }
        let said = self.braces()?;
        let window_at = self.scan.start();
        let window = self.window()?;
        let measure = measure(name, &said, window, window_at)?;
        let allowed: &[Label] = match measure {
            Measure::Standing(_) => &[Label::State, Label::Type, Label::Queue],
            Measure::Rate(..) | Measure::Quantile(..) => &[Label::Type],
            Measure::DeadLetters(_) => &[Label::Reason],
            Measure::StoreUp => &[Label::Store],
            Measure::Lag => &[],
        };
        let label = |at: usize, text: &str| {
            Label::parse(text).filter(|label| allowed.contains(label)).ok_or_else(|| {
                let allowed: Vec<_> = allowed.iter().map(|label| label.as_str()).collect();
                let has = match allowed.is_empty() {
                    true => "it has none".to_owned(),
                    false => format!("it has {}", allowed.join(", ")),
                };
                (at, format!("`{text}` is not a label of {name}; {has}"))
            })
        };
        let mut matchers = Vec::new();
        for Said { at, label: text, matcher } in said {
            if matches!((name, text), ("stuck", "longer_than") | (_, "quantile")) {
                continue;
            }
            let label = label(at, text)?;
            let (negated, to) = matcher;
            if let (Label::State, To::Text(value)) = (label, &to)
                && !unfinished(value)
            {
                return Err((at, format!("`{value}` is not the state of an unfinished job")));
            }
            matchers.push((at, Matcher { label, negated, to }));
        }
        let mut by = Vec::new();
        if self.scan.accept("by") {
            self.scan.expect("(")?;
            loop {
                let at = self.scan.start();
                by.push(label(at, self.scan.word()?)?);
                if !self.scan.accept(",") {
                    break;
                }
            }
            self.scan.expect(")")?;
        }
        by.sort();
        by.dedup();
        // One distribution can be read; several can not be added up from their quantiles.
        let several = |matcher: &Matcher| matcher.negated || matches!(matcher.to, To::Pattern(_));
        if let Measure::Quantile(..) = measure
            && by.is_empty()
            && let Some((at, _)) = matchers.iter().find(|(_, matcher)| several(matcher))
        {
            let problem = "the quantiles of several types do not add up to one; \
                           add by (type), or name one type";
            return Err((*at, problem.to_owned()));
        }
        let mut matchers: Vec<Matcher> = matchers.into_iter().map(|(_, matcher)| matcher).collect();
        matchers.sort();
        matchers.dedup();
        Ok(Reading { measure, matchers, by })
    }

    /// `{label="value", ...}`, each with the place of its label.
    fn braces(&mut self) -> Result<Vec<Said<'a>>, Fault> {
        let mut said = Vec::<Said>::new();
        if !self.scan.accept("{") {
            return Ok(said);
        }
        while !self.scan.accept("}") {
            let at = self.scan.start();
            let label = self.scan.word()?;
            let equals = |(negated, to): &(bool, To)| !negated && matches!(to, To::Text(_));
            let known = said.iter().find(|known| known.label == label);
            let known = known.is_some_and(|known| equals(&known.matcher));
            let (negated, pattern) = self.matching()?;
            let value_at = self.scan.start();
            let text = self.scan.string()?;
            let to = match pattern {
                false => To::Text(text),
                true => To::Pattern(Pattern::new(&text).map_err(|error| (value_at, told(&error)))?),
            };
            if known && equals(&(negated, to.clone())) {
                return Err((at, format!("`{label}` is there twice")));
            }
            said.push(Said { at, label, matcher: (negated, to) });
            if !self.scan.accept(",") {
                self.scan.expect("}")?;
                break;
            }
        }
        Ok(said)
    }

    /// How a label is matched: whether not, and whether by a pattern.
    fn matching(&mut self) -> Result<(bool, bool), Fault> {
        let ops = [("=~", (false, true)), ("!~", (true, true)), ("!=", (true, false))];
        let ops = ops.into_iter().chain([("=", (false, false))]);
        let found = ops.into_iter().find(|(text, _)| self.scan.accept(text));
        found
            .map(|(_, how)| how)
            .ok_or_else(|| (self.scan.start(), "expected one of = != =~ !~".to_owned()))
    }

    fn window(&mut self) -> Result<Option<Window>, Fault> {
        if !self.scan.accept("[") {
            return Ok(None);
        }
        let at = self.scan.start();
        let text = self.scan.word()?;
        let window = text.parse().ok().filter(|window| *window != Window::All);
        let window = window
            .ok_or_else(|| (at, format!("`{text}` is not a window; there are 1m, 5m, 15m, 1h")))?;
        self.scan.expect("]")?;
        Ok(Some(window))
    }
}

/// What stands in braces: a label, how it is matched, and where.
struct Said<'a> {
    at: usize,
    label: &'a str,
    matcher: (bool, To),
}

/// Two sides whose operator is at `at`.
fn combine(at: usize, op: Op, left: Expr, right: Expr) -> Result<Expr, Fault> {
    let (of_left, of_right) = (left.labels(), right.labels());
    let told = |labels: &[Label]| match labels {
        [] => "nothing".to_owned(),
        labels => labels.iter().map(|label| label.as_str()).collect::<Vec<_>>().join(" and "),
    };
    match (&of_left, &of_right) {
        (None, None) if matches!(op, Op::Comparison(_)) => {
            return Err((at, "there are numbers on both sides; nothing is measured".to_owned()));
        }
        (Some(left), Some(right)) => {
            let holds = |all: &[Label], some: &[Label]| some.iter().all(|one| all.contains(one));
            let goes = match op {
                Op::Set(Set::Or) => left == right,
                _ => holds(left, right) || holds(right, left),
            };
            if !goes {
                let (left, right) = (told(left), told(right));
                let problem = format!(
                    "the left side is told apart by {left}, the right side by {right}: \
                     they do not go together"
                );
                return Err((at, problem));
            }
        }
        _ => {}
    }
    Ok(Expr::Both(op, Box::new([left, right])))
}

/// What is wrong with a pattern, in one line.
fn told(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "this pattern is too large".to_owned(),
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            let last = last.trim().trim_start_matches("error: ");
            format!("this is not a pattern: {last}")
        }
    }
}

/// The measure of this name, with what its braces and window say.
fn measure(
    name: &str,
    said: &[Said<'_>],
    window: Option<Window>,
    at: usize,
) -> Result<Measure, Fault> {
    let argument = |label: &str| {
        let said = said.iter().find(|said| said.label == label)?;
        match &said.matcher {
            (false, To::Text(text)) => Some((said.at, text.as_str())),
            // It is told that this is no length and no quantile.
            _ => Some((said.at, "")),
        }
    };
    let standing = match name {
        "jobs" => Some(Measure::Standing(Standing::Jobs)),
        "backlog" => Some(Measure::Standing(Standing::Backlog)),
        "oldest_age_seconds" => Some(Measure::Standing(Standing::OldestAge)),
        "stuck" => {
            let example = "say how long, as in stuck{longer_than=\"15m\"}";
            let (at, text) = argument("longer_than").ok_or((at, example.to_owned()))?;
            let longer = duration(text).ok_or((at, example.to_owned()))?;
            Some(Measure::Standing(Standing::Stuck(longer)))
        }
        "lag_seconds" => Some(Measure::Lag),
        "store_up" => Some(Measure::StoreUp),
        _ => None,
    };
    if let Some(standing) = standing {
        return match window {
            None => Ok(standing),
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
        "dead_letters" => return Ok(Measure::DeadLetters(window)),
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
    let (at, text) = argument("quantile").ok_or_else(missing)?;
    let place = match text {
        "0.5" | "0.50" => 0,
        "0.9" | "0.90" => 1,
        "0.95" => 2,
        "0.99" => 3,
        "0.999" => 4,
        "1" | "1.0" => 5,
        _ => return Err((at, format!("`{text}` is not a quantile that is kept; {known}"))),
    };
    Ok(Measure::Quantile(latency, place, window))
}

const _: () = assert!(PER_MILLE.len() == 5, "the quantiles that expressions name");

fn unfinished(state: &str) -> bool {
    state.parse().is_ok_and(|state: State| state < State::Completed)
}
