//! The comparison itself: both schemas walked together, keyword by keyword.

use std::collections::BTreeSet;

use serde_json::Value;

use super::node::{
    ASIDE, LOWER, Node, OPAQUE, TREATED, UPPER, WORDS, only_alternatives, reference, resolved,
    strings, types, values,
};
use super::{Change, Step};

/// Bytes of a place in a schema; only a schema that contains itself has one so long.
const MAX_POINTER_BYTES: usize = 1024;

/// Every difference between two schemas, with the step it needs.
pub fn changes(baseline: &Value, current: &Value) -> Vec<Change> {
    let mut comparison =
        Comparison { old: baseline, new: current, open: Vec::new(), changes: Vec::new() };
    if baseline.get("$id") != current.get("$id") {
        comparison.push(Step::Major, "/$id", "references to it no longer find it");
    }
    comparison.nodes("", baseline, current);
    let mut changes = comparison.changes;
    if changes.is_empty() && without_version(baseline) != without_version(current) {
        let what = "spelled differently, to the same effect";
        changes.push(Change { step: Step::Patch, pointer: String::new(), what });
    }
    changes
}

fn without_version(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("$version");
    }
    schema
}

struct Comparison<'a> {
    /// The documents in which references are looked up.
    old: &'a Value,
    new: &'a Value,
    /// Pairs of references being compared, so that a recursive schema ends.
    open: Vec<(String, String)>,
    changes: Vec<Change>,
}

impl Comparison<'_> {
    fn push(&mut self, step: Step, pointer: &str, what: &'static str) {
        self.changes.push(Change { step, pointer: pointer.to_owned(), what });
    }

    fn nodes(&mut self, at: &str, old: &Value, new: &Value) {
        let references = (reference(old), reference(new));
        let (old, new) = (resolved(self.old, old), resolved(self.new, new));
        let nothing = old.is_empty() && new.is_empty();
        if nothing || self.open.contains(&references) {
            return;
        }
        // One side alone may be recursive too: its other side ends, or accepts anything for ever.
        if at.len() > MAX_POINTER_BYTES {
            self.push(Step::Major, at, "nested too deeply to compare");
            return;
        }
        let follows = !references.0.is_empty() && !references.1.is_empty();
        if follows {
            self.open.push(references);
        }
        self.words(at, &old, &new);
        // Where a schema is nothing but alternatives, what the other says is compared with those.
        if !only_alternatives(&old) && !only_alternatives(&new) {
            self.constraints(at, &old, &new);
        }
        self.alternatives(at, &old, &new);
        if follows {
            self.open.pop();
        }
    }

    fn constraints(&mut self, at: &str, old: &Node, new: &Node) {
        self.types(at, old, new);
        self.values(at, old, new);
        self.bounds(at, old, new);
        self.required(at, old, new);
        self.properties(at, old, new);
        for keyword in ["additionalProperties", "items"] {
            let free = Value::Bool(true);
            let (old, new) = (old.get(keyword).unwrap_or(&free), new.get(keyword).unwrap_or(&free));
            self.nodes(&format!("{at}/{keyword}"), old, new);
        }
        self.opaque(at, old, new);
    }

    fn words(&mut self, at: &str, old: &Node, new: &Node) {
        for keyword in WORDS {
            if old.get(keyword) != new.get(keyword) {
                self.push(Step::Patch, &format!("{at}/{keyword}"), "other words");
            }
        }
        let at = format!("{at}/default");
        match (old.get("default"), new.get("default")) {
            (None, Some(_)) => self.push(Step::Patch, &at, "a default is stated"),
            (old, new) if old != new => {
                self.push(Step::Major, &at, "what a missing field means has changed");
            }
            _ => {}
        }
    }

    fn types(&mut self, at: &str, old: &Node, new: &Node) {
        let at = format!("{at}/type");
        let (old, new) = (types(old), types(new));
        if !old.is_subset(&new) {
            self.push(Step::Major, &at, "a type is no longer accepted");
        } else if old != new {
            self.push(Step::Minor, &at, "more types are accepted");
        }
    }

    fn values(&mut self, at: &str, old: &Node, new: &Node) {
        let at = format!("{at}/enum");
        match (values(old), values(new)) {
            (None, None) => {}
            (None, Some(_)) => self.push(Step::Major, &at, "only listed values are accepted"),
            (Some(_), None) => self.push(Step::Minor, &at, "any value is accepted"),
            (Some(old), Some(new)) => {
                if old.iter().any(|value| !new.contains(value)) {
                    self.push(Step::Major, &at, "a value is no longer accepted");
                } else if old.len() < new.len() {
                    self.push(Step::Minor, &at, "more values are accepted");
                }
            }
        }
    }

    fn bounds(&mut self, at: &str, old: &Node, new: &Node) {
        let lower = LOWER.map(|keyword| (keyword, 1.0));
        let upper = UPPER.map(|keyword| (keyword, -1.0));
        for (keyword, sign) in lower.into_iter().chain(upper) {
            // As a lower bound, so that higher is tighter.
            let bound = |node: &Node| {
                let bound = node.get(keyword).and_then(Value::as_f64);
                bound.map_or(f64::NEG_INFINITY, |bound| bound * sign)
            };
            let (old, new) = (bound(old), bound(new));
            if new > old {
                self.push(Step::Major, &format!("{at}/{keyword}"), "a bound is tighter");
            } else if new < old {
                self.push(Step::Minor, &format!("{at}/{keyword}"), "a bound is relaxed");
            }
        }
    }

    fn required(&mut self, at: &str, old: &Node, new: &Node) {
        let (old, new) = (strings(old.get("required")), strings(new.get("required")));
        for field in new.difference(&old) {
            self.push(Step::Major, &format!("{at}/required/{field}"), "a field became required");
        }
        for field in old.difference(&new) {
            self.push(Step::Minor, &format!("{at}/required/{field}"), "a field became optional");
        }
    }

    fn properties(&mut self, at: &str, old: &Node, new: &Node) {
        let none = Node::new();
        let fields = |node: &Node| {
            node.get("properties").and_then(Value::as_object).unwrap_or(&none).clone()
        };
        let (old, new) = (fields(old), fields(new));
        for (field, old) in &old {
            let at = format!("{at}/properties/{field}");
            match new.get(field) {
                Some(new) => self.nodes(&at, old, new),
                None => self.push(Step::Major, &at, REMOVED),
            }
        }
        for field in new.keys().filter(|field| !old.contains_key(*field)) {
            self.push(Step::Minor, &format!("{at}/properties/{field}"), "a field is new");
        }
    }

    /// `anyOf`: each old alternative must be covered by a new one.
    fn alternatives(&mut self, at: &str, old: &Node, new: &Node) {
        let branches = |node: &Node| node.get("anyOf").and_then(Value::as_array).cloned();
        let whole = |node: &Node| Value::Object(node.clone());
        // An alternative beside other keywords may leave the fields to them.
        let alone = only_alternatives(old) || only_alternatives(new);
        let silent: &[&str] = if alone { &[] } else { &[REMOVED] };
        let step = match (branches(old), branches(new)) {
            (None, None) => Step::Same,
            // A schema without `anyOf` is its own only alternative.
            (None, Some(news)) => self.covered(&[whole(old)], &news, silent).max(Step::Minor),
            (Some(olds), None) => self.covered(&olds, &[whole(new)], silent).max(Step::Minor),
            (Some(olds), Some(news)) => {
                let more = if news.len() > olds.len() { Step::Minor } else { Step::Same };
                self.covered(&olds, &news, &[]).max(more)
            }
        };
        let what = match step {
            Step::Same => return,
            Step::Patch => "other words in an alternative",
            Step::Minor => "other alternatives, none lost",
            Step::Major => "an alternative is lost or tighter",
        };
        self.push(step, &format!("{at}/anyOf"), what);
    }

    /// The step from each old alternative to the nearest new one; the largest of these.
    fn covered(&self, olds: &[Value], news: &[Value], ignored: &[&str]) -> Step {
        let step = |old: &Value, new: &Value| {
            let mut inner = Comparison { open: self.open.clone(), changes: Vec::new(), ..*self };
            inner.nodes("", old, new);
            let counted = inner.changes.iter().filter(|change| !ignored.contains(&change.what));
            counted.map(|change| change.step).max().unwrap_or(Step::Same)
        };
        let nearest = |old| news.iter().map(|new| step(old, new)).min().unwrap_or(Step::Major);
        olds.iter().map(nearest).max().unwrap_or(Step::Same)
    }

    fn opaque(&mut self, at: &str, old: &Node, new: &Node) {
        let keywords: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for keyword in keywords {
            let keyword = keyword.as_str();
            let treated = [&WORDS[..], &LOWER, &UPPER, &TREATED, &ASIDE];
            if treated.iter().any(|list| list.contains(&keyword)) {
                continue;
            }
            let at = format!("{at}/{keyword}");
            match (old.get(keyword), new.get(keyword)) {
                (Some(_), None) if OPAQUE.contains(&keyword) => {
                    self.push(Step::Minor, &at, "a constraint is gone");
                }
                (None, Some(_)) => self.push(Step::Major, &at, "a constraint is new"),
                (old, new) if old != new => self.push(Step::Major, &at, "a constraint is another"),
                _ => {}
            }
        }
    }
}

const REMOVED: &str = "a field is gone";
