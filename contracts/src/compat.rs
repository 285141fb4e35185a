//! Whether a schema may replace its last release under the version that it claims.
//!
//! ```text
//!   baseline ─┐
//!   current ──┴─compare─▶ changes, each with the step it needs ──▶ largest ≤ step of `$version`?
//! ```
//!
//! The rules are those of `VERSIONS.md`: a field removed, a constraint added or tightened is a major
//! step; a field added, a constraint relaxed is a minor one; words are a patch.
//!
//! # Invariants
//!
//! 1. A change that is not understood counts as major: the check may ask for too much, never for
//!    too little.
//! 2. A major change passes under a smaller step only by a waiver that names its place and says
//!    why, and a waiver that waives nothing is refused.

mod compare;
mod node;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

pub use compare::changes;

/// How far a version moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    Same,
    Patch,
    Minor,
    Major,
}

/// One difference between two schemas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The step that it needs.
    pub step: Step,
    /// A JSON pointer into the schema.
    pub pointer: String,
    pub what: &'static str,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}: {}", self.step, self.pointer, self.what)
    }
}

/// A major change that is accepted under a smaller step.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// The place of the change.
    pub pointer: String,
    /// Why no document that matters becomes invalid by it.
    pub reason: String,
}

/// Why a schema may not replace its last release.
#[derive(Debug, thiserror::Error)]
pub enum Incompatible {
    #[error("`$version` of the {which} schema is not of the form `major.minor.patch`")]
    NoVersion { which: &'static str },
    #[error("`$version` goes back from {from} to {to}")]
    Backwards { from: String, to: String },
    #[error("from {from} to {to} is less than the {needed:?} step needed:{}", list(changes))]
    StepTooSmall { from: String, to: String, needed: Step, changes: Vec<Change> },
    #[error("nothing major happens at {pointer}: remove the waiver")]
    IdleWaiver { pointer: String },
}

fn list(changes: &[Change]) -> String {
    changes.iter().map(|change| format!("\n  {change}")).collect()
}

/// Checks that `$version` moved at least as far as the changes demand; gives the step that they do.
pub fn check(baseline: &Value, current: &Value, waivers: &[Waiver]) -> Result<Step, Incompatible> {
    let (from, to) = (version(baseline, "baseline")?, version(current, "current")?);
    let mut changes = changes(baseline, current);
    for Waiver { pointer, .. } in waivers {
        let waives = |change: &Change| change.step == Step::Major && change.pointer == *pointer;
        if !changes.iter().any(waives) {
            return Err(Incompatible::IdleWaiver { pointer: pointer.clone() });
        }
        changes.retain(|change| !waives(change));
    }
    // What is waived is still a change.
    let floor = if waivers.is_empty() { Step::Same } else { Step::Minor };
    let needed = changes.iter().map(|change| change.step).fold(floor, Step::max);

    let dotted = |[major, minor, patch]: [u64; 3]| format!("{major}.{minor}.{patch}");
    if to < from {
        return Err(Incompatible::Backwards { from: dotted(from), to: dotted(to) });
    }
    let given = match (from, to) {
        _ if from == to => Step::Same,
        ([a, b, _], [c, d, _]) if (a, b) == (c, d) => Step::Patch,
        ([a, ..], [c, ..]) if a == c => Step::Minor,
        _ => Step::Major,
    };
    if given < needed {
        changes.retain(|change| change.step > given);
        let (from, to) = (dotted(from), dotted(to));
        return Err(Incompatible::StepTooSmall { from, to, needed, changes });
    }
    Ok(needed)
}

fn version(schema: &Value, which: &'static str) -> Result<[u64; 3], Incompatible> {
    let parts = |text: &str| -> Option<[u64; 3]> {
        let parts: Result<Vec<u64>, _> = text.split('.').map(str::parse).collect();
        parts.ok()?.try_into().ok()
    };
    schema
        .get("$version")
        .and_then(Value::as_str)
        .and_then(parts)
        .ok_or(Incompatible::NoVersion { which })
}
