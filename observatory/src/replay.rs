//! `observatory replay`: a recorded stream through the same dataflow, on virtual time.
//!
//! ```text
//!   decoding thread ──Batch──▶ this thread: clock, ticks ──▶ dataflow thread ──Sealed──▶ Reading
//! ```
//!
//! The clock is the greatest `occurredAt` so far, in the order of the file, and so is `asOf`. No
//! wall clock enters the result: two runs give the same bytes.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use clap::ValueEnum;
use contracts::{EventId, Micros, Reason, Snapshot};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ingress::celery::{Application, Note};
use ingress::recorded::{self, Batch, Recorded, Rejected};
use ingress::vocabulary::{Entry, Vocabulary};
use pipeline::Tick;
use pipeline::dataflow::Config;
use pipeline::fact::{Fact, Input};
use pipeline::lives::{Lives, Sign, Signs};
use pipeline::reading::Reading;
use pipeline::rules::Rule;
use pipeline::seal::Sealed;
use pipeline::views::sliding::Steps;
use pipeline::worker::Pipeline;

use crate::cli::Output;
use crate::cloudevents::CloudEvents;
use crate::job_lines::JobLines;
use crate::{rules_file, table};

/// Facts of a tick: enough to make the fixed cost of a tick small beside them.
const TICK_FACTS: usize = 10_000;

/// µs between two judgements of the rules.
const SECOND: Tick = 1_000_000;

/// Rejected lines that are shown; all are counted.
const SHOWN: u64 = 5;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// JSON lines, one event each, plain or gzipped; `-` is standard input.
    file: PathBuf,
    /// Judge the rules of this file, at every whole second of the stream's time.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Order the stream by `occurredAt` first. Only alerts depend on the order.
    #[arg(long)]
    sort: bool,
    /// Write every job to this file, a line of JSON each, sorted by id.
    #[arg(long, value_name = "OUT")]
    jobs: Option<PathBuf>,
    /// What the lines are.
    #[arg(long, value_enum, default_value = "native")]
    format: Format,
    #[command(flatten)]
    cloudevents: CloudEvents,
    /// How to print the result: a table for people, JSON for programs.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    /// Threads that run the dataflow.
    #[arg(long, env = "OBSERVATORY_WORKERS", default_value_t = 1)]
    workers: usize,
}

/// What a stream is made of.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Events of our own contract.
    Native,
    /// Celery's events: recorded deliveries (`{"body": …}`), events, or lists of events.
    Celery,
    /// CloudEvents 1.0 in structured mode, one or a list on each line.
    #[value(name = "cloudevents")]
    CloudEvents,
}

/// What a line comes to.
enum Item {
    Fact(Fact),
    /// A worker of Celery says something of itself.
    Sign(Sign),
    /// Nothing but the time at which something happened, µs since the epoch.
    Time(i64),
}

impl Item {
    fn at(&self) -> i64 {
        match self {
            Item::Fact(fact) => fact.at,
            Item::Sign(sign) => sign.at,
            Item::Time(at) => *at,
        }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let rules = args.rules.as_deref().map(rules_file::read).transpose()?;
    let format = match args.format {
        Format::Native => Vocabulary::default(),
        Format::CloudEvents => Vocabulary::CloudEvents(args.cloudevents.mapping()?),
        Format::Celery => Vocabulary::Celery(Application::default()),
    };
    let canonical = |path: &PathBuf| path.canonicalize().ok();
    if let Some(out) = args.jobs.as_ref().and_then(canonical)
        && canonical(&args.file).is_some_and(|file| file == out)
    {
        bail!("--jobs would write over the stream itself; name another file");
    }
    let lines = args.jobs.as_deref().map(JobLines::create).transpose()?;
    let lines = Arc::new(Mutex::new(lines));
    let decoding = Arc::clone(&lines);
    let stream = recorded::open_as(&args.file, format, move |read| {
        Some(match read {
            Entry::Event(event) => {
                let mut lines = decoding.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(lines) = &mut *lines {
                    lines.take(event);
                }
                Item::Fact(Fact::of(event, 0))
            }
            Entry::Note(Note { heartbeat, at, .. }) => {
                let sign = heartbeat.as_ref().and_then(Sign::of);
                sign.map_or(Item::Time(at.0), Item::Sign)
            }
            Entry::Pulse(heartbeat) => {
                Sign::of(&heartbeat).map_or(Item::Time(heartbeat.at.0), Item::Sign)
            }
        })
    })?;
    let bar = progress_bar(&stream);
    let mut replay = Replay::start(args.workers, rules.map(|file| file.rules))?;
    let outcome = replay.take_all(stream, args.sort, &bar);
    bar.finish_and_clear();
    outcome?;
    let now = replay.clock;
    let (snapshot, lives) = replay.finish()?;
    if let Some(lines) = lines.lock().unwrap_or_else(PoisonError::into_inner).take() {
        lines.finish(now, lives)?;
    }
    args.output.print(&snapshot, || table::snapshot(&snapshot))?;
    Ok(ExitCode::SUCCESS)
}

/// A replay under way.
struct Replay {
    pipeline: Pipeline,
    reading: Reading,
    /// Greatest `occurredAt` so far, µs since the epoch; zero before the first.
    clock: Tick,
    /// Facts of the tick at hand.
    open: Vec<Input>,
    /// Judged at every whole second, so no tick reaches over one.
    rules: Option<Vec<Rule>>,
    judges: bool,
    rejected: BTreeMap<Reason, u64>,
    n_facts: u64,
    /// What was heard of the workers of Celery: it is told at the end, when all of it is known.
    signs: Signs,
}

impl Replay {
    fn start(n_workers: usize, rules: Option<Vec<Rule>>) -> anyhow::Result<Replay> {
        // Nothing is retired in a replay, and without rules only its end is looked at.
        let judges = rules.is_some();
        let steps = if judges { Steps::Every } else { Steps::Last };
        let config = Config { grid: 1, steps, judge: judges, ..Config::default() };
        Ok(Replay {
            pipeline: Pipeline::start(config, n_workers)?,
            reading: Reading::default(),
            clock: 0,
            open: Vec::new(),
            rules,
            judges,
            rejected: BTreeMap::new(),
            n_facts: 0,
            signs: Signs::default(),
        })
    }

    fn take_all(
        &mut self,
        mut stream: Recorded<Item>,
        sort: bool,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        let mut unsorted = Vec::new();
        while let Some(batch) = stream.next() {
            let Batch { items, rejected } = batch?;
            self.n_facts += items.len() as u64;
            if sort {
                unsorted.extend(items);
            } else {
                items.into_iter().try_for_each(|item| self.take(item))?;
            }
            for rejected in rejected {
                self.reject(&rejected, bar);
            }
            while let Some(sealed) = self.pipeline.sealed_within(Duration::ZERO)? {
                self.read(&sealed);
            }
            bar.set_position(stream.position());
            bar.set_message(rate(self.n_facts, bar.elapsed()));
        }
        unsorted.sort_by_key(|item| match item {
            Item::Fact(fact) => (fact.at, fact.event),
            Item::Sign(_) | Item::Time(_) => (item.at(), EventId::nil()),
        });
        unsorted.into_iter().try_for_each(|item| self.take(item))
    }

    fn take(&mut self, item: Item) -> anyhow::Result<()> {
        // The contract bounds times to this century, so none is negative.
        let clock = self.clock.max(u64::try_from(item.at()).unwrap_or(0));
        let next_second = clock.div_ceil(SECOND) > self.clock.div_ceil(SECOND);
        if self.open.len() >= TICK_FACTS || self.judges && next_second {
            self.feed()?;
        }
        self.clock = clock;
        if let Some(rules) = self.rules.take() {
            self.pipeline
                .orders(clock, rules.into_iter().map(|rule| (rule.into(), 1)).collect())?;
        }
        match item {
            Item::Fact(fact) => self.open.push(Input::Fact(fact)),
            Item::Sign(sign) => self.signs.add(&sign),
            Item::Time(_) => {}
        }
        Ok(())
    }

    /// Feeds what is open at the clock; more may follow, for the clock moves with the stream only.
    fn feed(&mut self) -> anyhow::Result<()> {
        if !self.open.is_empty() {
            self.pipeline.feed(self.clock, std::mem::take(&mut self.open))?;
        }
        Ok(())
    }

    fn reject(&mut self, rejected: &Rejected, bar: &ProgressBar) {
        let Rejected { line, rejection } = rejected;
        let shown: u64 = self.rejected.values().sum();
        *self.rejected.entry(rejection.reason).or_default() += 1;
        let told = match shown {
            shown if shown < SHOWN => format!("line {line}: {rejection}"),
            SHOWN => "more rejected lines are only counted".to_owned(),
            _ => return,
        };
        // The result counts them, whether or not anybody reads this.
        drop(bar.suspend(|| writeln!(io::stderr(), "{told}")));
    }

    fn read(&mut self, sealed: &Sealed) {
        self.reading.add_counts(&sealed.counts);
        self.reading.add_latency(&sealed.latency);
        self.reading.add_throughput(&sealed.throughput);
        self.reading.add_alerts(&sealed.alerts);
    }

    /// Closes the last tick, and gives the snapshot at it, and the lives of Celery's workers.
    fn finish(mut self) -> anyhow::Result<(Snapshot, Lives)> {
        let clock = self.clock;
        let signs = self.signs.in_order();
        let lives = Lives::of(&signs);
        self.open.extend(signs.into_iter().map(Input::Sign));
        self.pipeline.tick(clock, std::mem::take(&mut self.open))?;
        loop {
            let sealed = self.pipeline.sealed()?;
            self.read(&sealed);
            if sealed.upper > clock {
                break;
            }
        }
        let as_of = (self.n_facts > 0).then_some(Micros(clock as i64));
        let snapshot = self.reading.snapshot(as_of).over_queues();
        Ok((Snapshot { rejected: self.rejected, ..snapshot }, lives))
    }
}

fn progress_bar(stream: &Recorded<Item>) -> ProgressBar {
    let bar = match stream.length() {
        Some(length) => ProgressBar::new(length).with_style(
            ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}  {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        ),
        None => ProgressBar::new_spinner().with_style(
            ProgressStyle::with_template("{spinner} {bytes} read  {msg}  {elapsed}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        ),
    };
    if !io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

fn rate(n_facts: u64, elapsed: Duration) -> String {
    let per_second = n_facts as f64 / elapsed.as_secs_f64().max(1e-3);
    format!("{n_facts} events, {per_second:.0}/s")
}
