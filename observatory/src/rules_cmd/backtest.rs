//! `rules test FILE --events STREAM`: when the rules would have fired over a recorded stream.
//!
//! The stream is ordered by `occurredAt` and event id first: what would have fired does not depend
//! on how it was recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use contracts::Micros;
use contracts::answers::EpisodeView;
use ingress::recorded::{self, Batch};
use pipeline::backtest;
use pipeline::fact::Fact;
use pipeline::rules::Rule;
use serde::Serialize;

use super::unit;
use crate::cli::Output;
use crate::rules_file;
use crate::table::printable;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rules to try, or a file of unit tests.
    file: PathBuf,
    /// A recorded stream: JSON lines, one event each, plain or gzipped; `-` is standard input.
    #[arg(long, value_name = "STREAM")]
    events: Option<PathBuf>,
    /// Show what FILE adds to what these rules would have fired, and what it misses.
    #[arg(long, value_name = "OTHER", requires = "events")]
    against: Option<PathBuf>,
    /// How to print the result: a table for people, JSON for programs.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(events) = &args.events else {
        return unit::run(&args.file, args.output);
    };
    let rules = rules_file::read(&args.file)?.rules;
    let others = args.against.as_deref().map(rules_file::read).transpose()?;
    let (facts, rejected) = facts_of(events)?;
    if rejected > 0 {
        tell(&format!("{rejected} lines are no events, and are left out"));
    }
    let episodes = episodes(rules, &facts)?;
    match others {
        None => {
            let report = Report { events: facts.len(), episodes };
            args.output.print(&report, || table(&report.episodes, "no alert"))?;
        }
        Some(others) => {
            let comparison = compare(facts.len(), episodes, self::episodes(others.rules, &facts)?);
            args.output.print(&comparison, || comparison.table())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(text: &str) {
    use std::io::Write;
    // The result is the same whether or not anybody reads this.
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// The facts of a stream in the order of their times, and how many lines were none.
fn facts_of(path: &Path) -> anyhow::Result<(Vec<Fact>, usize)> {
    let (mut facts, mut n_rejected) = (Vec::new(), 0);
    for batch in recorded::open(path, |event| Fact::of(event, 0))? {
        let Batch { items, rejected } = batch?;
        facts.extend(items);
        n_rejected += rejected.len();
    }
    facts.sort_by_key(|fact| (fact.at, fact.event));
    Ok((facts, n_rejected))
}

fn episodes(rules: Vec<Rule>, facts: &[Fact]) -> anyhow::Result<Vec<EpisodeView>> {
    if rules.is_empty() {
        bail!("there are no rules in the file");
    }
    backtest::episodes(rules, facts, None).context("the back-test has stopped")
}

#[derive(Serialize)]
struct Report {
    events: usize,
    episodes: Vec<EpisodeView>,
}

/// What one file fires and the other does not.
#[derive(Serialize)]
struct Comparison {
    events: usize,
    /// Episodes of both, whenever each began.
    same: usize,
    /// That only the first has.
    added: Vec<EpisodeView>,
    /// That only the other has.
    missed: Vec<EpisodeView>,
}

/// Episodes that fired are the same if they are of one alert and subject, and overlap.
fn compare(events: usize, ours: Vec<EpisodeView>, theirs: Vec<EpisodeView>) -> Comparison {
    let fired = |episodes: Vec<EpisodeView>| -> Vec<EpisodeView> {
        episodes.into_iter().filter(|episode| episode.fired_at.is_some()).collect()
    };
    let (ours, theirs) = (fired(ours), fired(theirs));
    let only = |some: &[EpisodeView], others: &[EpisodeView]| -> Vec<EpisodeView> {
        let mut known = BTreeMap::<_, Vec<&EpisodeView>>::new();
        for other in others {
            known.entry((&other.alert, subject(other))).or_default().push(other);
        }
        let alone = |episode: &&EpisodeView| {
            let known = known.get(&(&episode.alert, subject(episode)));
            known.is_none_or(|known| !known.iter().any(|other| overlap(episode, other)))
        };
        some.iter().filter(alone).cloned().collect()
    };
    let (added, missed) = (only(&ours, &theirs), only(&theirs, &ours));
    Comparison { events, same: ours.len() - added.len(), added, missed }
}

/// The labels that say what an alert is about: a changed severity makes no other episode.
fn subject(episode: &EpisodeView) -> BTreeSet<(&String, &String)> {
    let subject = ["state", "type", "queue"];
    episode.labels.iter().filter(|(name, _)| subject.contains(&name.as_str())).collect()
}

fn overlap(one: &EpisodeView, other: &EpisodeView) -> bool {
    let before = |one: &EpisodeView, other: &EpisodeView| {
        one.ended_at.is_some_and(|ended_at| Some(ended_at) < other.fired_at)
    };
    !before(one, other) && !before(other, one)
}

impl Comparison {
    fn table(&self) -> String {
        let Comparison { same, added, missed, .. } = self;
        [
            format!("{same} episodes as before"),
            format!("added: {}", table(added, "none")),
            format!("missed: {}", table(missed, "none")),
        ]
        .join("\n")
    }
}

/// Episodes in lines; `none` for nothing.
fn table(episodes: &[EpisodeView], none: &str) -> String {
    if episodes.is_empty() {
        return none.to_owned();
    }
    let header = ["pending from", "firing", "gone", "alert", "labels", "value", "jobs"];
    let mut table = crate::table::table(&header, 5);
    for episode in episodes {
        let after = |at: Option<Micros>, none: &str| match at {
            Some(at) => format!("+{} s", (at.0 - episode.active_at.0) / 1_000_000),
            None => none.to_owned(),
        };
        let labels = episode.labels.iter().map(|(name, value)| format!("{name}={value}"));
        table.add_row([
            episode.active_at.to_string().replace(".000000Z", "Z"),
            after(episode.fired_at, "never"),
            after(episode.ended_at, "still there"),
            printable(&episode.alert),
            printable(&labels.collect::<Vec<_>>().join(" ")),
            format!("{:.4}", episode.value),
            episode.jobs.as_ref().map_or_else(|| "·".to_owned(), |jobs| jobs.n.to_string()),
        ]);
    }
    format!("{} episodes\n{table}", episodes.len())
}
