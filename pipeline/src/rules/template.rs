//! Texts of annotations that name the value of their alert and its labels, as in Prometheus.
//!
//! ```text
//!   text "{{" argument { "|" function } "}}" text …
//!   argument = "$value" | "$labels." name | "printf" string argument | function argument
//! ```
//!
//! Functions are `humanize`, `humanize1024`, `humanizeDuration`, `humanizePercentage`, `toUpper`,
//! `toLower` and `title`. `printf` takes one verb: `%s`, `%v`, `%d`, `%f`, `%.2f`, `%g` or `%e`.
//! A label that the alert does not have is the empty text.

use std::collections::BTreeMap;

use contracts::nearest;
use serde::{Deserialize, Serialize};

/// A text, and what is to be put into it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Part {
    Text(String),
    Filled(Argument, Vec<Function>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Argument {
    Value,
    Label(String),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Function {
    Humanize,
    Humanize1024,
    HumanizeDuration,
    HumanizePercentage,
    ToUpper,
    ToLower,
    Title,
    Printf { before: String, precision: Option<usize>, verb: char, after: String },
}

const FUNCTIONS: [(&str, Function); 7] = [
    ("humanize", Function::Humanize),
    ("humanize1024", Function::Humanize1024),
    ("humanizeDuration", Function::HumanizeDuration),
    ("humanizePercentage", Function::HumanizePercentage),
    ("toUpper", Function::ToUpper),
    ("toLower", Function::ToLower),
    ("title", Function::Title),
];

/// What is handed from one function to the next.
enum Filling {
    Number(f64),
    Text(String),
}

impl Template {
    /// Reads a text; a fault is told in words.
    pub fn parse(source: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = source;
        while let Some(open) = rest.find("{{") {
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_owned()));
            }
            let inside = &rest[open + 2..];
            let close = inside.find("}}").ok_or("`{{` is not closed by `}}`")?;
            parts.push(filled(inside[..close].trim())?);
            rest = &inside[close + 2..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Template { source: source.to_owned(), parts })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The text about an alert.
    pub fn fill(&self, value: f64, labels: &BTreeMap<String, String>) -> String {
        let mut text = String::with_capacity(self.source.len());
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Filled(argument, functions) => {
                    let filling = match argument {
                        Argument::Value => Filling::Number(value),
                        Argument::Label(name) => {
                            Filling::Text(labels.get(name).cloned().unwrap_or_default())
                        }
                    };
                    let filling =
                        functions.iter().fold(filling, |filling, function| function.of(filling));
                    text.push_str(&filling.text());
                }
            }
        }
        text
    }
}

/// What stands between `{{` and `}}`.
fn filled(inside: &str) -> Result<Part, String> {
    let mut stages = inside.split('|').map(str::trim);
    let first = stages.next().unwrap_or_default();
    let (argument, mut functions) = match first.strip_prefix("printf ") {
        Some(rest) => {
            let rest = rest.trim_start().strip_prefix('"');
            let (format, argument) = rest
                .and_then(|rest| rest.split_once('"'))
                .ok_or_else(|| format!("`{first}`: write printf \"%.2f\" $value"))?;
            (argument.trim(), vec![printf(format)?])
        }
        // As people write it in Go: `humanize $value`.
        None => match first.split_once(char::is_whitespace) {
            Some((name, argument)) if !first.starts_with('$') => {
                (argument.trim(), vec![function(name)?])
            }
            _ => (first, Vec::new()),
        },
    };
    let argument = match argument.strip_prefix("$labels.") {
        _ if argument == "$value" => Argument::Value,
        Some(name) if super::is_label(name) => Argument::Label(name.to_owned()),
        _ => return Err(format!("`{argument}` is not known; there are $value and $labels.NAME")),
    };
    for stage in stages {
        functions.push(function(stage)?);
    }
    Ok(Part::Filled(argument, functions))
}

fn function(name: &str) -> Result<Function, String> {
    let known = FUNCTIONS.iter().find(|(known, _)| *known == name);
    known.map(|(_, function)| function.clone()).ok_or_else(|| {
        let names = FUNCTIONS.each_ref().map(|(name, _)| *name);
        match nearest(name, &names) {
            Some(meant) => format!("`{name}` is not a function; did you mean {meant}?"),
            None => format!("`{name}` is not a function; there are {}", names.join(", ")),
        }
    })
}

/// A format with one verb.
fn printf(format: &str) -> Result<Function, String> {
    let fault = || format!("`{format}` is no format; it is to have one of %s %v %d %f %.2f %g %e");
    let (before, rest) = format.split_once('%').ok_or_else(fault)?;
    let verb_at = rest.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(fault)?;
    let (precision, rest) = rest.split_at(verb_at);
    let precision = match precision.strip_prefix('.') {
        Some(digits) => Some(digits.parse().ok().filter(|n| *n <= 20).ok_or_else(fault)?),
        None if precision.is_empty() => None,
        None => return Err(fault()),
    };
    let verb = rest.chars().next().filter(|verb| "svdfge".contains(*verb)).ok_or_else(fault)?;
    let after = &rest[1..];
    if after.contains('%') {
        return Err(fault());
    }
    Ok(Function::Printf { before: before.to_owned(), precision, verb, after: after.to_owned() })
}

impl Filling {
    fn text(self) -> String {
        match self {
            Filling::Number(value) => format!("{value}"),
            Filling::Text(text) => text,
        }
    }
}

impl Function {
    fn of(&self, filling: Filling) -> Filling {
        let number = match &filling {
            Filling::Number(value) => Some(*value),
            Filling::Text(text) => text.parse().ok(),
        };
        Filling::Text(match (self, number) {
            (Function::Humanize, Some(value)) => scaled(value, 1000.0, &DECIMAL),
            (Function::Humanize1024, Some(value)) => scaled(value, 1024.0, &BINARY),
            (Function::HumanizeDuration, Some(value)) => lasting(value),
            (Function::HumanizePercentage, Some(value)) => {
                format!("{}%", significant(value * 100.0))
            }
            (Function::ToUpper, _) => filling.text().to_uppercase(),
            (Function::ToLower, _) => filling.text().to_lowercase(),
            (Function::Title, _) => title(&filling.text()),
            (Function::Printf { before, precision, verb, after }, number) => {
                let said = match (verb, number) {
                    ('f', Some(n)) => format!("{n:.0$}", precision.unwrap_or(6)),
                    ('e', Some(n)) => format!("{n:.0$e}", precision.unwrap_or(6)),
                    ('d', Some(n)) => format!("{n:.0}"),
                    // Who asks for a number of a text is shown the text.
                    _ => filling.text(),
                };
                format!("{before}{said}{after}")
            }
            // What is no number is left as it is.
            (_, None) => filling.text(),
        })
    }
}

const DECIMAL: [&str; 9] = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"];
const BINARY: [&str; 9] = ["", "ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 9] = ["", "m", "u", "n", "p", "f", "a", "z", "y"];

/// Four significant digits and a prefix.
fn scaled(value: f64, step: f64, prefixes: &[&str]) -> String {
    let mut scaled = value;
    if value.abs() >= 1.0 || step == 1024.0 {
        let mut prefixes = prefixes.iter();
        let mut prefix = prefixes.next().unwrap_or(&"");
        while scaled.abs() >= step
            && let Some(next) = prefixes.next()
        {
            (scaled, prefix) = (scaled / step, next);
        }
        return format!("{}{prefix}", significant(scaled));
    }
    let mut prefix = "";
    for next in SMALL.iter().skip(1) {
        if scaled.abs() >= 1.0 || scaled == 0.0 {
            break;
        }
        (scaled, prefix) = (scaled * 1000.0, next);
    }
    format!("{}{prefix}", significant(scaled))
}

/// Four significant digits, without zeros at the end.
fn significant(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    let text = format!("{value:.0$}", usize::try_from(digits).unwrap_or(0));
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Seconds as days, hours, minutes and seconds.
fn lasting(seconds: f64) -> String {
    if seconds.abs() < 1.0 {
        return format!("{}s", scaled(seconds, 1000.0, &DECIMAL));
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let whole = seconds.abs() as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60);
    let rest = whole % 60;
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", significant(seconds.abs())),
        (0, 0, _) => format!("{sign}{minutes}m {rest}s"),
        (0, _, _) => format!("{sign}{hours}h {minutes}m {rest}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {rest}s"),
    }
}

/// Each word with a capital.
fn title(text: &str) -> String {
    let mut first = true;
    let capital = |c: char| {
        let now = std::mem::replace(&mut first, !c.is_alphanumeric());
        if now { c.to_uppercase().collect::<String>() } else { c.to_string() }
    };
    text.chars().map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(source: &str, value: f64) -> String {
        let labels = BTreeMap::from([("type".to_owned(), "email.send".to_owned())]);
        Template::parse(source).unwrap().fill(value, &labels)
    }

    #[test]
    fn a_text_is_filled_with_its_value_and_labels() {
        let source =
            "{{ $labels.type }}: {{$value}} of {{ $labels.none }}, {{ $value | humanize }}";
        assert_eq!(fill(source, 0.25), "email.send: 0.25 of , 250m");
        assert_eq!(fill("no template, } or {", 1.0), "no template, } or {");
        assert_eq!(fill("{{ $labels.type | toUpper }}", 1.0), "EMAIL.SEND");
        assert_eq!(fill("{{ $labels.type | title }}", 1.0), "Email.Send");
        assert_eq!(fill("{{ printf \"%.2f s\" $value }}", 1.005_1), "1.01 s");
        assert_eq!(fill("{{ printf \"<%s>\" $labels.type | toUpper }}", 1.0), "<EMAIL.SEND>");
        let called = "{{ humanizePercentage  $value }} {{ toUpper $labels.type }}";
        assert_eq!(fill(called, 0.5), "50% EMAIL.SEND");
        // What is no number is left as it is.
        assert_eq!(fill("{{ $labels.type | humanize }}", 1.0), "email.send");
    }

    /// As Prometheus 2 writes them.
    #[test]
    fn numbers_are_written_for_people() {
        for (function, value, text) in [
            ("humanize", 1_234_567.0, "1.235M"),
            ("humanize", 0.001_5, "1.5m"),
            ("humanize", 0.0, "0"),
            ("humanize", -42.0, "-42"),
            ("humanize1024", 1_048_576.0, "1Mi"),
            ("humanizePercentage", 0.123_456, "12.35%"),
            ("humanizePercentage", 1.0, "100%"),
            ("humanizeDuration", 0.25, "250ms"),
            ("humanizeDuration", 12.5, "12.5s"),
            ("humanizeDuration", 61.0, "1m 1s"),
            ("humanizeDuration", 93_784.0, "1d 2h 3m 4s"),
        ] {
            assert_eq!(fill(&format!("{{{{ $value | {function} }}}}"), value), text, "{function}");
        }
    }

    #[test]
    fn a_fault_says_what_there_is() {
        let fault = |source| Template::parse(source).unwrap_err();
        assert_eq!(fault("{{ $value"), "`{{` is not closed by `}}`");
        assert_eq!(fault("{{ value }}"), "`value` is not known; there are $value and $labels.NAME");
        assert_eq!(
            fault("{{ $value | humanise }}"),
            "`humanise` is not a function; did you mean humanize?"
        );
        assert!(fault("{{ printf \"%x\" $value }}").starts_with("`%x` is no format"));
        assert!(fault("{{ humanise $value }}").contains("did you mean humanize?"));
        assert!(fault("{{ printf $value }}").contains("write printf"));
    }
}
