//! `rules test TESTS`: unit tests of rules, in the manner of promtool.
//!
//! ```yaml
//! rule_files: [rules.yaml]
//! tests:
//!   - name: a few failures are nothing
//!     jobs:
//!       - { type: email.send, queue: mail, count: 20, from: 10s, every: 1s, run: 200ms, ends: failed }
//!     alert_rule_test:
//!       - eval_time: 3m
//!         alertname: JobFailureRateHigh
//!         exp_alerts:
//!           - exp_labels: { severity: warning, type: email.send }
//!             exp_annotations: { summary: all of them fail }
//! ```
//!
//! Each test has a clock that begins at zero. A line of `jobs` makes `count` jobs, the first created
//! at `from` and the others `every` so long after each other; each starts `wait` after it was
//! created, and ends `run` after it started: `completed`, `failed`, `cancelled`, or `never`, or
//! `waits` without ever starting. `exp_alerts` are all alerts of that name that fire at `eval_time`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use contracts::snapshot::AlertState;
use contracts::{EventId, JobId, Kind};
use pipeline::Tick;
use pipeline::backtest::Backtest;
use pipeline::fact::Fact;
use pipeline::name::Name;
use pipeline::rules::{Rule, duration};
use serde::{Deserialize, Serialize};

use crate::cli::Output;
use crate::{exit, rules_file};

/// Where the clocks of tests begin: on a whole hour, so that windows and ages begin there too.
const BEGIN: i64 = 1_767_225_600_000_000;

/// Jobs of one test.
const MOST: usize = 1_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule_files: Vec<PathBuf>,
    tests: Vec<Test>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    name: String,
    #[serde(default)]
    jobs: Vec<Jobs>,
    alert_rule_test: Vec<Expected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Jobs {
    #[serde(rename = "type")]
    job_type: String,
    #[serde(default)]
    queue: String,
    #[serde(default = "one")]
    count: usize,
    #[serde(default)]
    from: Length,
    #[serde(default)]
    every: Length,
    #[serde(default)]
    wait: Length,
    #[serde(default)]
    run: Length,
    #[serde(default)]
    ends: Ends,
}

fn one() -> usize {
    1
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Ends {
    #[default]
    Completed,
    Failed,
    Cancelled,
    Never,
    Waits,
}

/// A length of time, in µs.
#[derive(Clone, Copy, Default)]
struct Length(i64);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Length, D::Error> {
        let text = String::deserialize(deserializer)?;
        let micros = if text == "0" { Some(0) } else { duration(&text) };
        micros.and_then(|micros| i64::try_from(micros).ok()).map(Length).ok_or_else(|| {
            serde::de::Error::custom(format!("`{text}` is not a duration; write 30s, 5m, 1h30m"))
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    eval_time: Length,
    alertname: String,
    #[serde(default)]
    exp_alerts: Vec<Alert>,
}

/// An alert as it is expected, or as it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Alert {
    #[serde(default)]
    exp_labels: BTreeMap<String, String>,
    /// Compared if it is given.
    exp_annotations: Option<BTreeMap<String, String>>,
}

/// What came of a test.
#[derive(Serialize)]
struct Outcome {
    name: String,
    passed: bool,
    faults: Vec<String>,
}

/// Runs the tests of a file; exit 3 if one fails.
pub(super) fn run(path: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let yaml =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    if !yaml.contains("rule_files") {
        bail!(
            "{} has no tests; to try its rules on a recorded stream, add --events STREAM",
            path.display()
        );
    }
    let file: File =
        serde_yaml_ng::from_str(&yaml).map_err(|error| anyhow!("{}: {error}", path.display()))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut rules = Vec::new();
    for named in &file.rule_files {
        rules.extend(rules_file::read(&folder.join(named))?.rules);
    }
    let outcomes: Vec<Outcome> =
        file.tests.iter().map(|test| judge(test, &rules)).collect::<anyhow::Result<_>>()?;
    let passed = outcomes.iter().all(|outcome| outcome.passed);
    output.print(&outcomes, || table(&outcomes))?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::from(exit::CONDITION) })
}

fn table(outcomes: &[Outcome]) -> String {
    let mut lines = Vec::new();
    for Outcome { name, passed, faults } in outcomes {
        lines.push(format!("{}  {name}", if *passed { "ok    " } else { "FAILED" }));
        lines.extend(faults.iter().map(|fault| format!("        {fault}")));
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    lines.push(format!("{} tests, {failed} failed", outcomes.len()));
    lines.join("\n")
}

fn judge(test: &Test, rules: &[Rule]) -> anyhow::Result<Outcome> {
    let mut facts = facts(&test.jobs)?.into_iter().peekable();
    let mut expected: Vec<&Expected> = test.alert_rule_test.iter().collect();
    expected.sort_by_key(|expected| expected.eval_time.0);
    let mut backtest = Backtest::start(rules.to_vec())?;
    // Rules are judged from the beginning on, also where nothing has happened yet.
    backtest.advance(Tick::try_from(BEGIN)?)?;
    let mut faults = Vec::new();
    for expected in expected {
        let at = BEGIN + expected.eval_time.0;
        while let Some(fact) = facts.next_if(|fact| fact.at <= at) {
            backtest.take(fact)?;
        }
        backtest.advance(Tick::try_from(at)?)?;
        let fires = |alert: &&pipeline::views::alerts::Alert| {
            alert.alert == expected.alertname && alert.state == AlertState::Firing
        };
        let mut found: Vec<Alert> = backtest
            .current()
            .filter(fires)
            .map(|alert| Alert {
                exp_labels: alert.labels.clone(),
                exp_annotations: Some(alert.annotations.clone()),
            })
            .collect();
        found.sort();
        let mut wanted = expected.exp_alerts.clone();
        wanted.sort();
        let same = |found: &Alert, wanted: &Alert| {
            found.exp_labels == wanted.exp_labels
                && (wanted.exp_annotations.is_none()
                    || found.exp_annotations == wanted.exp_annotations)
        };
        let all = found.len() == wanted.len()
            && found.iter().zip(&wanted).all(|(found, wanted)| same(found, wanted));
        if !all {
            let said = |alerts: &[Alert]| serde_json::to_string(alerts).unwrap_or_default();
            let after = std::time::Duration::from_micros(expected.eval_time.0.unsigned_abs());
            faults.push(format!(
                "{} after {after:?}: expected {}, found {}",
                expected.alertname,
                said(&wanted),
                said(&found)
            ));
        }
    }
    Ok(Outcome { name: test.name.clone(), passed: faults.is_empty(), faults })
}

/// The facts of made-up jobs, in the order of their times.
fn facts(lines: &[Jobs]) -> anyhow::Result<Vec<Fact>> {
    if lines.iter().map(|jobs| jobs.count).sum::<usize>() > MOST {
        bail!("a test has more than {MOST} jobs");
    }
    let mut facts = Vec::new();
    let mut n: u128 = 0;
    for jobs in lines {
        let queue = if jobs.queue.is_empty() { Name::NONE } else { Name::new(&jobs.queue) };
        for i in 0..jobs.count {
            n += 1;
            let created = BEGIN + jobs.from.0 + jobs.every.0 * i64::try_from(i)?;
            let started = created + jobs.wait.0;
            let end = match jobs.ends {
                Ends::Completed => Some(Kind::Completed),
                Ends::Failed => Some(Kind::Failed),
                Ends::Cancelled => Some(Kind::Cancelled),
                Ends::Never | Ends::Waits => None,
            };
            let starts = !matches!(jobs.ends, Ends::Waits);
            let kinds = [(created, Some(Kind::Created))]
                .into_iter()
                .chain([(started, starts.then_some(Kind::Executed))])
                .chain([(started + jobs.run.0, end)]);
            for (kind, (at, what)) in kinds.enumerate() {
                let Some(what) = what else { continue };
                facts.push(Fact {
                    job: JobId::from_u128(n),
                    event: EventId::from_u128(n << 2 | kind as u128),
                    at,
                    created_at: created,
                    seq: 0,
                    job_type: Name::new(&jobs.job_type),
                    queue,
                    worker: Name::NONE,
                    attempt: 1,
                    kind: what,
                    inferred: false,
                    expires_after: 0,
                });
            }
        }
    }
    facts.sort_by_key(|fact| (fact.at, fact.event));
    Ok(facts)
}
