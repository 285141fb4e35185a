//! What is kept of what tasks are given and give back: nothing, unless it is asked for.
//!
//! Arguments, keyword arguments and results may hold anything, and a monitor outlives the tasks. What
//! may be kept is kept as the text that Celery sends, which is cut already, and cut again here; what
//! a rule of redaction finds in it, or in the words of an exception, is taken out.

use regex::Regex;
use serde_json::{Map, Value};

use super::error::Error;

/// Characters that are kept of a text: Celery itself cuts at about 1,024.
const MAX_CHARS: usize = 1_000;

/// Characters that are kept of a traceback: the innermost calls are at its end.
const MAX_TRACEBACK: usize = 8_000;

/// What takes the place of what is not to be seen.
const REDACTED: &str = "[redacted]";

/// What is kept.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    fields: Vec<&'static str>,
    redact: Vec<Regex>,
}

/// Why what is to be kept cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error("{0:?} is nothing that can be kept; name `args`, `kwargs` or `result`")]
    Field(String),
    #[error("a rule of redaction is no regular expression: {0}")]
    Rule(#[from] regex::Error),
}

/// What is kept only where it is asked for.
const PRIVATE: [&str; 3] = ["args", "kwargs", "result"];

impl Keep {
    /// Keeps `fields`, of `args`, `kwargs` and `result`, without what the regular expressions find.
    pub fn new(fields: &[String], redact: &[String]) -> Result<Keep, KeepError> {
        let known = |name: &String| {
            let found = PRIVATE.into_iter().find(|field| field == name);
            found.ok_or_else(|| KeepError::Field(name.clone()))
        };
        Ok(Keep {
            fields: fields.iter().map(known).collect::<Result<_, _>>()?,
            redact: redact.iter().map(|rule| Regex::new(rule)).collect::<Result<_, _>>()?,
        })
    }

    /// Leaves in an event what may be kept of it.
    pub(super) fn apply(&self, event: &mut Map<String, Value>) {
        for field in PRIVATE {
            if !self.fields.contains(&field) {
                event.remove(field);
            }
        }
        for (name, value) in event {
            let text = match (&**name, &*value) {
                ("args" | "kwargs" | "result" | "exception", Value::String(text)) => {
                    self.text(text)
                }
                // Not as Celery has it: a text that we can cut and look through.
                ("args" | "kwargs" | "result", other) if !other.is_null() => {
                    self.text(&other.to_string())
                }
                ("traceback", Value::String(text)) => {
                    let mut text = self.redacted(text);
                    let from = text.char_indices().rev().nth(MAX_TRACEBACK - 1);
                    text.drain(..from.map_or(0, |(at, _)| at));
                    text
                }
                _ => continue,
            };
            *value = Value::String(text);
        }
    }

    /// An error without what is not to be seen.
    pub(super) fn error(&self, error: Error) -> Value {
        Error { message: self.text(&error.message), ..error }.to_json()
    }

    /// Redacted first: half of a secret is no longer found.
    fn text(&self, text: &str) -> String {
        let text = self.redacted(text);
        match text.char_indices().nth(MAX_CHARS) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }

    fn redacted(&self, text: &str) -> String {
        self.redact.iter().fold(text.to_owned(), |text, rule| {
            match rule.replace_all(&text, REDACTED) {
                std::borrow::Cow::Borrowed(_) => text,
                std::borrow::Cow::Owned(redacted) => redacted,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept(keep: &Keep, event: Value) -> Value {
        let Value::Object(mut event) = event else { panic!("an object") };
        keep.apply(&mut event);
        Value::Object(event)
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn arguments_and_results_are_not_kept_unless_asked_for() {
        let event = json!({ "args": "(1,)", "kwargs": "{}", "result": "2", "name": "a" });
        assert_eq!(kept(&Keep::default(), event.clone()), json!({ "name": "a" }));
        let some = Keep::new(&names(&["kwargs", "result"]), &[]).unwrap();
        assert_eq!(kept(&some, event), json!({ "kwargs": "{}", "result": "2", "name": "a" }));
    }

    #[test]
    fn what_a_rule_finds_is_taken_out_wherever_it_is_kept() {
        let keep = Keep::new(&names(&["kwargs"]), &names(&[r"'password': '[^']*'"])).unwrap();
        let event = json!({
            "kwargs": "{'user': 'ada', 'password': 'lovelace'}",
            "exception": "ValueError({'password': 'lovelace'})",
            "traceback": "File x\nValueError: {'password': 'lovelace'}",
        });
        let expected = json!({
            "kwargs": "{'user': 'ada', [redacted]}",
            "exception": "ValueError({[redacted]})",
            "traceback": "File x\nValueError: {[redacted]}",
        });
        assert_eq!(kept(&keep, event), expected);
        let error = Error { kind: "E".to_owned(), message: "'password': 'x'".to_owned() };
        assert_eq!(keep.error(error), json!({ "kind": "E", "message": "[redacted]" }));
    }

    #[test]
    fn a_long_text_is_cut_and_of_a_traceback_the_end_stays() {
        let keep = Keep::new(&names(&["result"]), &[]).unwrap();
        let event = json!({ "result": "é".repeat(5_000), "traceback": format!("{}end", "é".repeat(9_000)) });
        let event = kept(&keep, event);
        assert_eq!(event["result"].as_str().unwrap().chars().count(), 1_001);
        let traceback = event["traceback"].as_str().unwrap();
        assert!(traceback.ends_with("éend") && traceback.chars().count() == 8_000);
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        assert!(matches!(Keep::new(&names(&["name"]), &[]), Err(KeepError::Field(_))));
        assert!(matches!(Keep::new(&[], &names(&["("])), Err(KeepError::Rule(_))));
    }
}
