//! Frames: what each view looks like in each state, kept as text in `frames/`.
//!
//! `UPDATE_GOLDEN=1` writes them anew. They are text without colours, which is what is to be
//! readable without colours.

use std::path::Path;
use std::time::Duration;

use contracts::answers::{self, Point, RuleView, Series};
use contracts::event::{ErrorInfo, State};
use contracts::registry::UiRegistry;
use contracts::snapshot::{
    AlertRow, AlertState, CountRow, LatencyRow, Measure, ThroughputRow, Window,
};
use contracts::view::{JobAccepted, Page, ProblemError};
use contracts::{Delta, JobId, JobView, Micros, Reason, Snapshot};
use crossterm::event::{
    Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::app::{App, Due};
use crate::hands::{Check, Task, Verdict};
use crate::http::Trouble;
use crate::keys::{self, Place};
use crate::look::{Look, Theme};
use crate::msg::{Ask, Got, Hand, Msg, Order, Told};
use crate::spot::View;
use crate::stream::News;

/// Sizes that every frame is kept at.
const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (60, 20)];

fn at(text: &str) -> Micros {
    Micros::parse(text).unwrap()
}

fn now() -> Micros {
    at("2026-11-21T10:00:00.4Z")
}

/// The program, and a clock that stands still unless it is moved.
struct Bench {
    app: App,
    now: Micros,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(Look { theme: Theme::Mono, ascii: false, colors: false })
    }

    fn with(look: Look) -> Bench {
        let url = "http://127.0.0.1:8080".to_owned();
        Bench { app: App::new(look, url, "observatory".to_owned(), now()), now: now() }
    }

    /// One that is connected to a server with jobs.
    fn live() -> Bench {
        let mut bench = Bench::new();
        bench.hear(News::Clock(0));
        bench.hear(News::Snapshot(Box::new(snapshot())));
        bench.got(Got::Demo(true));
        bench.got(Got::History(Ok(history())));
        bench.app.orders.clear();
        bench
    }

    fn take(&mut self, msg: Msg) -> Due {
        self.app.update(msg, self.now)
    }

    fn hear(&mut self, news: News) {
        self.take(Msg::News(news));
    }

    fn got(&mut self, got: Got) {
        self.take(Msg::Got(got));
    }

    fn press(&mut self, code: KeyCode) {
        self.take(Msg::Input(Event::Key(KeyEvent::new(code, KeyModifiers::NONE))));
    }

    /// Each character as a key; a capital as terminals send it.
    fn keys(&mut self, text: &str) {
        for c in text.chars() {
            self.press(KeyCode::Char(c));
        }
    }

    fn mouse(&mut self, kind: MouseEventKind, column: u16, row: u16) {
        let modifiers = KeyModifiers::NONE;
        self.take(Msg::Input(Event::Mouse(MouseEvent { kind, column, row, modifiers })));
    }

    fn later(&mut self, by: Duration) {
        self.now = Micros(self.now.0 + i64::try_from(by.as_micros()).unwrap());
        self.app.wait(self.now);
    }

    /// What was asked and ordered since.
    fn orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.app.orders)
    }

    /// The turn of the list that was asked for last.
    fn turn(&mut self) -> u64 {
        let asked = self.orders().into_iter().rev().find_map(|order| match order {
            Order::Ask(Ask::Jobs { turn, .. }) => Some(turn),
            _ => None,
        });
        asked.expect("no list was asked for")
    }

    fn frame(&mut self, (width, height): (u16, u16)) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| crate::draw::draw(&mut self.app, frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let rows = buffer.content().chunks(usize::from(width));
        let line = |cells: &[ratatui::buffer::Cell]| {
            let text: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
            format!("{}\n", text.trim_end())
        };
        rows.map(line).collect()
    }

    /// Compares with what is kept, at every size.
    fn seen(&mut self, name: &str) {
        for (width, height) in SIZES {
            // Once for what is fitted to the size, once more to see that it stays.
            let first = self.frame((width, height));
            let frame = self.frame((width, height));
            assert_eq!(first, frame, "{name} changes when it is drawn again");
            for (n, line) in frame.lines().enumerate() {
                let cells = crate::printable::cells_of(line);
                assert!(cells <= usize::from(width), "line {n} of {name} has {cells} cells");
            }
            kept(&format!("{name}-{width}x{height}"), &frame);
        }
    }
}

fn kept(name: &str, frame: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("frames").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, frame).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == frame, "{} is now\n{frame}and was\n{kept}", path.display());
}

fn row(state: State, job_type: &str, queue: &str, jobs: u64) -> CountRow {
    let (job_type, queue, worker) = (job_type.to_owned(), queue.to_owned(), "w-1".to_owned());
    CountRow { state, job_type, queue, worker, jobs }
}

fn latency(job_type: Option<&str>, measure: Measure, window: Window, p50: f64) -> LatencyRow {
    LatencyRow {
        measure,
        job_type: job_type.map(str::to_owned),
        queue: None,
        window,
        samples: (p50 * 1_000.0) as u64,
        p50,
        p90: p50 * 2.0,
        p95: p50 * 3.0,
        p99: p50 * 8.0,
        p999: p50 * 10.0,
        max: p50 * 12.5,
    }
}

fn alert(alert: &str, state: AlertState) -> AlertRow {
    AlertRow {
        alert: alert.to_owned(),
        state,
        labels: [("severity", "warning"), ("type", "email.send")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        active_at: at("2026-11-21T09:55:00Z"),
        fired_at: (state != AlertState::Pending).then(|| at("2026-11-21T09:57:00Z")),
        resolved_at: None,
        value: 0.123_456,
        expr: String::new(),
        annotations: Default::default(),
        jobs: Some("state=FAILED&type=email.send".to_owned()),
    }
}

fn snapshot() -> Snapshot {
    let types = ["email.send", "report.build", "image.resize"];
    let mut latencies = Vec::new();
    let mut throughput = Vec::new();
    for window in Window::ALL {
        for (i, job_type) in [None].into_iter().chain(types.map(Some)).enumerate() {
            for measure in Measure::ALL {
                latencies.push(latency(job_type, measure, window, 0.12 + i as f64));
            }
            if window != Window::All {
                let job_type = job_type.map(str::to_owned);
                let (created, finished, failed) = (900 + i as u64, 850 - i as u64, i as u64);
                throughput.push(ThroughputRow { job_type, window, created, finished, failed });
            }
        }
    }
    Snapshot {
        as_of: Some(at("2026-11-21T10:00:00Z")),
        jobs: 124_711,
        counts: vec![
            row(State::Pending, "email.send", "default", 41),
            row(State::Executing, "report.build", "slow", 16),
            row(State::Retrying, "email.send", "default", 3),
            row(State::Completed, "email.send", "default", 100_000),
            row(State::Completed, "image.resize", "", 24_000),
            row(State::Failed, "email.send", "default", 611),
            row(State::Cancelled, "report.build", "slow", 30),
            row(State::Abandoned, "report.build", "slow", 10),
        ],
        latency: latencies,
        throughput,
        alerts: vec![
            alert("JobFailureRateHigh", AlertState::Firing),
            alert("QueueWaitsLong", AlertState::Pending),
        ],
        totals: Vec::new(),
        rejected: [(Reason::BadJson, 1), (Reason::Schema, 12)].into(),
        late: 2,
        skewed: 1,
    }
}

fn history() -> answers::History {
    let from = at("2026-11-21T09:00:00Z");
    let point = |i: i64| Point {
        at: Micros(from.0 + i * 60_000_000),
        created: 200,
        finished: u64::try_from(170 + i * 7 % 40).unwrap(),
        failed: u64::try_from(i % 9).unwrap(),
        cancelled: 0,
        waits: 0,
        wait_mean: None,
        runs: 0,
        run_mean: None,
    };
    let points = (0..60).map(point).collect();
    answers::History {
        as_of: Some(now()),
        from,
        to: at("2026-11-21T10:00:00Z"),
        step: 60,
        series: vec![Series { job_type: None, points }],
        other_types: 0,
    }
}

fn id(n: u128) -> JobId {
    JobId::from_u128(0x0193_5a00_0000_7000_8000_0000_0000_0000 + n)
}

fn job(n: u64) -> JobView {
    let state = State::ALL[(n % 8) as usize];
    let at = |s: i64| Micros(now().0 - (600 - s) * 1_000_000 - n as i64 * 10_000);
    let started = n % 8 >= 2;
    JobView {
        id: id(u128::from(n)),
        job_type: ["email.send", "report.build", "image.resize"][(n % 3) as usize].to_owned(),
        status: state,
        state,
        inferred: false,
        created_at: at(0),
        validated_at: None,
        started_at: started.then(|| at(2)),
        finished_at: (n % 8 >= 4).then(|| at(2 + n as i64 % 50)),
        queue: Some("default".to_owned()),
        worker: started.then(|| "w-1".to_owned()),
        attempt: 1 + (n % 3) as u16,
        runtime: None,
        error: (state == State::Failed).then(|| ErrorInfo {
            kind: "Timeout".to_owned(),
            message: "the other side did not answer within 30 s".to_owned(),
        }),
        payload: None,
        metadata: None,
        retired: false,
        attempts: Vec::new(),
        timeline: Vec::new(),
        why: None,
        incomplete: false,
    }
}

/// A page of a list of `total` jobs.
fn page(from: u64, n: u64, total: u64) -> Page<JobView> {
    let more = from + n < total;
    Page {
        as_of: Some(at("2026-11-21T10:00:00Z")),
        total,
        items: (from..from + n).map(job).collect(),
        next_cursor: more.then(|| format!("after-{}", from + n - 1)),
    }
}

fn told() -> Told {
    let text = include_str!("../frames/job.json");
    let job: JobView = serde_json::from_str(text).unwrap();
    let events = serde_json::from_str(include_str!("../frames/events.json")).unwrap();
    let payload = Some(r#"{"to":"ada@example.org","n":12345678901234567890.10}"#.to_owned());
    Told { as_of: Some(at("2026-11-21T10:00:00Z")), job, payload, events }
}

fn away() -> News {
    let again = Duration::from_millis(250);
    News::Lost { trouble: Trouble::new("nothing listens there"), again }
}

fn bad_q() -> Trouble {
    let error = ProblemError {
        pointer: String::new(),
        detail: "there is no key `colour`: state, type, queue, worker and age are known".to_owned(),
        parameter: Some("q".to_owned()),
        position: Some(9),
    };
    Trouble {
        status: 400,
        code: "bad_q".to_owned(),
        errors: vec![error],
        ..Trouble::new("`q`, at character 10: there is no key `colour`")
    }
}

mod behaviour;
mod frames;
