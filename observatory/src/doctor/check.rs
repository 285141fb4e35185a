//! What was looked at, what was seen, and what to do about it.

use comfy_table::{Cell, Color};
use serde::Serialize;

use crate::table::{self, printable};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    id: String,
    seen: String,
    verdict: Verdict,
    /// The command that repairs it.
    fix: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Pass,
    /// It works, and not as well as it could.
    Warn,
    Fail,
    /// Not named, not needed, or of no use to look at.
    Skipped,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Checks {
    checks: Vec<Check>,
}

impl Checks {
    pub(super) fn note(
        &mut self,
        id: &str,
        verdict: Verdict,
        seen: impl Into<String>,
        fix: Option<String>,
    ) {
        self.checks.push(Check { id: id.to_owned(), seen: seen.into(), verdict, fix });
    }

    pub(super) fn pass(&mut self, id: &str, seen: impl Into<String>) {
        self.note(id, Verdict::Pass, seen, None);
    }

    pub(super) fn fail(&mut self, id: &str, seen: impl Into<String>, fix: impl Into<String>) {
        self.note(id, Verdict::Fail, seen, Some(fix.into()));
    }

    pub(super) fn skip(&mut self, ids: &[&str], why: &str) {
        for id in ids {
            self.note(id, Verdict::Skipped, why, None);
        }
    }

    pub(super) fn extend(&mut self, others: Checks) {
        self.checks.extend(others.checks);
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.checks.iter().filter(|check| check.verdict == verdict).count()
    }

    pub(super) fn failed(&self) -> usize {
        self.count(Verdict::Fail)
    }

    pub(super) fn table(&self) -> String {
        let mut table = table::texts(&["check", "verdict", "seen", "fix"]);
        for Check { id, seen, verdict, fix } in &self.checks {
            table.add_row([
                Cell::new(id),
                verdict.cell(),
                Cell::new(printable(seen)),
                Cell::new(printable(fix.as_deref().unwrap_or_default())),
            ]);
        }
        let [pass, warn, fail, skipped] =
            [Verdict::Pass, Verdict::Warn, Verdict::Fail, Verdict::Skipped].map(|v| self.count(v));
        format!("{table}\n{pass} passed, {warn} warnings, {fail} failed, {skipped} skipped")
    }
}

impl Verdict {
    fn cell(self) -> Cell {
        match self {
            Verdict::Pass => Cell::new("pass").fg(Color::Green),
            Verdict::Warn => Cell::new("warn").fg(Color::Yellow),
            Verdict::Fail => Cell::new("fail").fg(Color::Red),
            Verdict::Skipped => Cell::new("skipped"),
        }
    }
}

/// A name as a word of a shell, whatever is in it.
pub(super) fn word(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    match !name.is_empty() && name.chars().all(plain) {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', r"'\''")),
    }
}

/// How to start a server of this machine; how to see whether one of another can be reached.
pub(super) fn start(host: &str, port: u16, unit: &str) -> String {
    let here = matches!(host, "localhost" | "127.0.0.1" | "::1" | "[::1]") || host.starts_with('/');
    match here {
        true => format!("sudo systemctl start {unit}"),
        false => format!("nc -vz {} {port}", word(host)),
    }
}

/// Host and port of a URL, as far as they can be made out.
pub(super) fn place(url: &str, port: u16) -> (String, u16) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Of several servers the first.
    let first = authority.rsplit('@').next().unwrap_or_default();
    let first = first.split(',').next().unwrap_or_default();
    match first.rsplit_once(':') {
        Some((host, digits)) if !host.is_empty() && !digits.ends_with(']') => {
            (host.to_owned(), digits.parse().unwrap_or(port))
        }
        _ => (first.to_owned(), port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_out_of_a_url_runs_nothing_in_a_shell() {
        assert_eq!(word("jobs.failed-1"), "jobs.failed-1");
        assert_eq!(word("a; rm -rf ~"), "'a; rm -rf ~'");
        assert_eq!(word("it's $(here)"), r"'it'\''s $(here)'");
        assert_eq!(word(""), "''");
    }

    #[test]
    fn a_place_is_found_in_a_url_and_the_password_is_no_part_of_it() {
        for (url, host, port) in [
            ("amqp://ada:s3cret@broker:5673/v", "broker", 5673),
            ("redis://here", "here", 1),
            ("mongodb://a:2,b:3/?replicaSet=rs", "a", 2),
            ("postgres://u:p@[::1]:7/db", "[::1]", 7),
            ("postgres://u:p@[::1]/db", "[::1]", 1),
        ] {
            assert_eq!(place(url, 1), (host.to_owned(), port), "{url}");
        }
        assert_eq!(start("127.0.0.1", 1, "x"), "sudo systemctl start x");
        assert_eq!(start("far", 1, "x"), "nc -vz far 1");
    }
}
