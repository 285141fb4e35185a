//! What was checked, and what came of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::table::{self, printable};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    Failed,
    /// It can not be so after what has failed before.
    Skipped,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::Skipped => "skipped",
        }
    }
}

#[derive(Debug)]
struct Finding {
    id: String,
    verdict: Verdict,
    seen: String,
    /// What to do about it.
    fix: &'static str,
}

#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Notes the outcome of a check: what was seen, either way. Gives what it found.
    pub(super) fn note<T>(
        &mut self,
        id: &str,
        outcome: Result<(T, String), String>,
        fix: &'static str,
    ) -> Option<T> {
        let id = id.to_owned();
        match outcome {
            Ok((found, seen)) => {
                self.0.push(Finding { id, verdict: Verdict::Passed, seen, fix: "" });
                Some(found)
            }
            Err(seen) => {
                self.0.push(Finding { id, verdict: Verdict::Failed, seen, fix });
                None
            }
        }
    }

    pub(super) fn skip(&mut self, ids: &[&str]) {
        for id in ids {
            let (id, seen) = ((*id).to_owned(), String::new());
            self.0.push(Finding { id, verdict: Verdict::Skipped, seen, fix: "" });
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        match self.0.iter().any(|finding| finding.verdict == Verdict::Failed) {
            true => Verdict::Failed,
            false => Verdict::Passed,
        }
    }

    pub(super) fn table(&self, took: Duration) -> String {
        let mut table = table::texts(&["check", "verdict", "seen", "what to do"]);
        for Finding { id, verdict, seen, fix } in &self.0 {
            table.add_row([id, verdict.as_str(), &printable(seen), fix]);
        }
        let verdict = self.verdict().as_str();
        format!("{table}\n{verdict} in {:.1} s", took.as_secs_f64())
    }

    pub(super) fn json(&self, took: Duration) -> Value {
        let finding = |Finding { id, verdict, seen, fix }: &Finding| json!({ "id": id, "verdict": verdict.as_str(), "seen": seen, "fix": fix });
        json!({
            "verdict": self.verdict().as_str(),
            "seconds": took.as_secs_f64(),
            "checks": self.0.iter().map(finding).collect::<Value>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_is_enough_and_what_is_skipped_is_none() {
        let mut findings = Findings::default();
        let found = findings.note("a", Ok((7, "seven".to_owned())), "never shown");
        findings.skip(&["b", "c"]);
        assert_eq!((found, findings.verdict()), (Some(7), Verdict::Passed));
        let nothing: Option<u8> = findings.note("d", Err("nothing".to_owned()), "do something");
        assert_eq!((nothing, findings.verdict()), (None, Verdict::Failed));
        let json = findings.json(Duration::from_secs(1));
        let told: Vec<_> = json["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["id"].as_str().unwrap(), one["verdict"].as_str().unwrap()))
            .collect();
        assert_eq!(told, [("a", "passed"), ("b", "skipped"), ("c", "skipped"), ("d", "failed")]);
        assert_eq!(
            (&json["checks"][0]["fix"], &json["checks"][3]["fix"]),
            (&json!(""), &json!("do something"))
        );
    }
}
