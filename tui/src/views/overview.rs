//! How many jobs are in which state, how fast they come and go, how long they take, what is wrong.

use contracts::Micros;
use contracts::answers::History;
use contracts::event::State;
use contracts::snapshot::{LatencyRow, Measure, ThroughputRow, Window};

use super::{alerts, waiting};
use crate::app::App;
use crate::filter::{Filter, ended};
use crate::fold::Views;
use crate::http::Trouble;
use crate::look::{Tone, moves, spark};
use crate::msg::Ask;
use crate::panel::{Col, Panel, Row};
use crate::printable::wrap;
use crate::spot::Spot;
use crate::words::{count, many, of_state, seconds};

/// The history moves once a minute; its last step moves all the time.
const AGAIN: i64 = 10_000_000;

/// How far back the lines of throughput look.
const BACK: i64 = 3_600_000_000;

/// Types that have a row: more than anybody reads.
const MOST: usize = 200;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Name,
    Samples,
    Slowest,
}

pub(crate) struct Overview {
    window: Window,
    measure: Measure,
    sort: Sort,
    history: Option<History>,
    asked_at: Option<Micros>,
}

impl Default for Overview {
    fn default() -> Overview {
        let (window, measure, sort) = (Window::M5, Measure::Run, Sort::Name);
        Overview { window, measure, sort, history: None, asked_at: None }
    }
}

impl Overview {
    pub(crate) fn next_window(&mut self) -> String {
        let at = (self.window as usize + 1) % Window::ALL.len();
        self.window = Window::ALL[at];
        format!("Window: {}", self.window)
    }

    pub(crate) fn next_measure(&mut self) -> String {
        let at = (self.measure as usize + 1) % Measure::ALL.len();
        self.measure = Measure::ALL[at];
        format!("{}: {}", self.measure, means(self.measure))
    }

    pub(crate) fn next_sort(&mut self) -> String {
        let (sort, words) = match self.sort {
            Sort::Name => (Sort::Samples, "Most samples first"),
            Sort::Samples => (Sort::Slowest, "The greatest p95 first"),
            Sort::Slowest => (Sort::Name, "By name"),
        };
        self.sort = sort;
        words.to_owned()
    }

    pub(crate) fn read(&mut self, now: Micros) -> Ask {
        self.asked_at = Some(now);
        Ask::History { from: Micros(now.0 - BACK) }
    }

    pub(crate) fn due(&mut self, now: Micros) -> Option<Ask> {
        let due = self.asked_at.is_none_or(|at| now.0 - at.0 >= AGAIN);
        due.then(|| self.read(now))
    }

    pub(crate) fn got(&mut self, found: Result<History, Trouble>) {
        // What was drawn stays; the bar above says how things stand.
        if let Ok(history) = found {
            self.history = Some(history);
        }
    }

    /// Throughput is not kept for all time.
    fn rate_window(&self) -> Window {
        if self.window == Window::All { Window::H1 } else { self.window }
    }
}

fn means(measure: Measure) -> &'static str {
    match measure {
        Measure::Wait => "from creation to the start of the first attempt",
        Measure::Run => "from the start of the last attempt to its end",
        Measure::Total => "from creation to the end",
    }
}

pub(crate) fn panels(app: &App) -> Vec<Panel> {
    vec![states(app), throughput(app), latency(app), alerts::now(app)]
}

/// What must always hold, said in full where there is room.
pub(crate) fn conserved(app: &App, width: usize) -> (String, Tone) {
    let Some(views) = app.live.views() else { return waiting(app) };
    let (sum, jobs) = (views.sum(), views.jobs);
    let (sign, tone) = if sum == jobs { ("✓", Tone::Good) } else { ("✗", Tone::Bad) };
    let (verb, jobs) = (if jobs == 1 { "is" } else { "are" }, many(jobs, "job"));
    let long = format!("{sign} The states add up to {}, and there {verb} {jobs}.", count(sum));
    let fits = long.chars().count() <= width;
    let short = || format!("{sign} states: {} · {jobs}", count(sum));
    (if fits { long } else { short() }, tone)
}

fn states(app: &App) -> Panel {
    const COLS: &[Col] = &[Col::left("", 11), Col::right("", 10), Col::left("", 0)];
    let mut panel = Panel::new("Jobs by state", COLS);
    let views = app.live.views();
    // The line is as long as the half of the screen leaves it room.
    let width = usize::from(app.size.0 / 2).saturating_sub(27);
    panel.rows = State::ALL
        .into_iter()
        .map(|state| {
            let words = of_state(state);
            let jobs = views.map(|views| views.in_state(state));
            let number = jobs.map_or_else(|| "…".to_owned(), count);
            Row {
                cells: vec![
                    (format!("{} {}", words.sign, words.word), words.tone),
                    (number.clone(), if jobs == Some(0) { Tone::Mute } else { Tone::Title }),
                    (moves(&app.live.samples(state), width), words.tone),
                ],
                to: Some(Spot::Jobs(Filter::default().state(state))),
                copy: format!("{state} {number}"),
                ..Row::default()
            }
        })
        .collect();
    panel
}

fn throughput(app: &App) -> Panel {
    const COLS: &[Col] = &[
        Col::left("Type", 0),
        Col::right("Created", 8),
        Col::right("Ended", 8),
        Col::right("Failed", 7),
        Col::right("A second", 9).from(46),
    ];
    let window = app.overview.rate_window();
    let mut panel = Panel::new("Throughput", COLS);
    panel.note = window.to_string();
    let Some(views) = app.live.views() else {
        panel.words.push(waiting(app));
        return panel;
    };
    panel.words.extend(lines(app));
    let mut rows: Vec<_> = views
        .throughput
        .range((window, None)..)
        .take_while(|((of, _), _)| *of == window)
        .map(|(_, row)| row)
        .collect();
    sort(
        app.overview.sort,
        &mut rows,
        |row| &row.job_type,
        |row| row.created + row.finished,
        |row| row.finished as f64,
    );
    if rows.is_empty() {
        let words = format!("Nothing came or ended within {window}: t for longer, or wait.");
        panel.words.push((words, Tone::Fine));
    }
    panel.rows = rows.into_iter().map(|row| rate(views, row)).collect();
    panel
}

fn rate(views: &Views, row: &ThroughputRow) -> Row {
    let length = row.window.length_micros().unwrap_or(1) as f64 / 1e6;
    let failed = if row.failed > 0 { Tone::Bad } else { Tone::Mute };
    let filter = ended(row.job_type.as_deref(), views.as_of, row.window);
    Row {
        cells: vec![
            named(row.job_type.as_deref()),
            (count(row.created), Tone::Plain),
            (count(row.finished), Tone::Plain),
            (count(row.failed), failed),
            (format!("{:.2}", row.finished as f64 / length), Tone::Plain),
        ],
        to: Some(Spot::Jobs(filter)),
        copy: format!(
            "{} {}: created {}, ended {}, failed {}",
            named(row.job_type.as_deref()).0,
            row.window,
            row.created,
            row.finished,
            row.failed
        ),
        ..Row::default()
    }
}

/// What came and what ended, minute by minute.
fn lines(app: &App) -> Vec<(String, Tone)> {
    let points = app.overview.history.as_ref().and_then(|history| history.series.first());
    let Some(points) = points.map(|series| &series.points) else { return Vec::new() };
    let step = app.overview.history.as_ref().map_or(60, |history| history.step);
    // A step that is not over yet would look like a fall.
    let over = |at: Micros| at.0 + i64::try_from(step).unwrap_or(60) * 1_000_000 <= app.now.0;
    let points: Vec<_> = points.iter().filter(|point| over(point.at)).collect();
    let width = usize::from(app.size.0 / 2).saturating_sub(20).clamp(4, 60);
    let line = |name: &str, tone, values: Vec<u64>| {
        let last = values.last().copied().unwrap_or(0);
        (format!("{name} {} {}/min", spark(&values, width), count(last)), tone)
    };
    vec![
        line("ended ", Tone::Good, points.iter().map(|point| point.finished).collect()),
        line("failed", Tone::Bad, points.iter().map(|point| point.failed).collect()),
    ]
}

fn latency(app: &App) -> Panel {
    const COLS: &[Col] = &[
        Col::left("Type", 0),
        Col::right("Samples", 9),
        Col::right("p50", 9),
        Col::right("p95", 9),
        Col::right("p99", 9).from(56),
        Col::right("max", 9).from(66),
    ];
    let (measure, window) = (app.overview.measure, app.overview.window);
    let mut panel = Panel::new(format!("Latency: {measure}"), COLS);
    panel.note = format!("{} · {window}", means(measure));
    let Some(views) = app.live.views() else {
        panel.words.push(waiting(app));
        return panel;
    };
    if views.jobs == 0 && views.totals.is_empty() {
        panel.title = "No jobs yet".to_owned();
        panel.note.clear();
        panel.cols = &[];
        let words =
            "Submit one, and it appears here within a second: with n, or with this (y copies it):";
        panel.words.push((words.to_owned(), Tone::Plain));
        let (curl, width) = (curl(app), usize::from(app.size.0).saturating_sub(2));
        let line =
            |line| Row { cells: vec![(line, Tone::Title)], copy: curl.clone(), ..Row::default() };
        panel.rows = wrap(&curl, width, app.look.ascii).into_iter().map(line).collect();
        return panel;
    }
    let mut rows: Vec<_> = views
        .latency
        .range((measure, window, None)..)
        .take_while(|((of, within, _), _)| (*of, *within) == (measure, window))
        .map(|(_, row)| row)
        .collect();
    sort(app.overview.sort, &mut rows, |row| &row.job_type, |row| row.samples, |row| row.p95);
    if rows.is_empty() {
        let words = "No job ended in this window: t chooses a longer one, or wait.";
        panel.words.push((words.to_owned(), Tone::Fine));
    }
    panel.rows = rows.into_iter().map(|row| measured(views, row)).collect();
    panel
}

fn measured(views: &Views, row: &LatencyRow) -> Row {
    let mut cells = vec![named(row.job_type.as_deref()), (count(row.samples), Tone::Plain)];
    let quantiles = [row.p50, row.p95, row.p99, row.max];
    cells.extend(quantiles.map(|s| (seconds(Some(s)), Tone::Plain)));
    Row {
        cells,
        to: Some(Spot::Jobs(ended(row.job_type.as_deref(), views.as_of, row.window))),
        copy: format!(
            "{} {} {}: {} samples, p50 {}, p95 {}, p99 {}, max {}",
            named(row.job_type.as_deref()).0,
            row.measure,
            row.window,
            row.samples,
            row.p50,
            row.p95,
            row.p99,
            row.max
        ),
        ..Row::default()
    }
}

/// All types together first, then in the order that was chosen.
fn sort<T>(
    by: Sort,
    rows: &mut Vec<&T>,
    name: impl Fn(&T) -> &Option<String>,
    size: impl Fn(&T) -> u64,
    slow: impl Fn(&T) -> f64,
) {
    rows.sort_by(|a, b| {
        let first = name(b).is_none().cmp(&name(a).is_none());
        first
            .then_with(|| match by {
                Sort::Name => std::cmp::Ordering::Equal,
                Sort::Samples => size(b).cmp(&size(a)),
                Sort::Slowest => slow(b).total_cmp(&slow(a)),
            })
            .then_with(|| name(a).cmp(name(b)))
    });
    rows.truncate(MOST);
}

fn named(job_type: Option<&str>) -> (String, Tone) {
    match job_type {
        Some(name) => (name.to_owned(), Tone::Plain),
        None => ("all types".to_owned(), Tone::Title),
    }
}

fn curl(app: &App) -> String {
    format!(
        "curl -X POST {}/jobs -H 'content-type: application/json' -d '{{\"type\": \"email.send\"}}'",
        app.url
    )
}
