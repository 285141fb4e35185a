//! What `observatory doctor` finds, and the commands that repair it.
//!
//! ```text
//!   doctor --json --api URL ──▶ Vec<Check { id, seen, verdict, fix }> ──▶ rows
//!                                                   Enter, `y` to the question ──▶ sh -c FIX ──▶ Output
//! ```

use crate::app::App;
use crate::hands::{Check, Task, Verdict};
use crate::look::Tone;
use crate::msg::Order;
use crate::panel::{Col, Panel, Row};
use crate::views::said::Said;

#[derive(Default)]
pub(crate) struct Doctor {
    found: Option<Result<Vec<Check>, String>>,
    running: bool,
    pub(crate) output: Output,
}

/// What a program that was run has said.
#[derive(Default)]
pub(crate) struct Output {
    pub(crate) command: String,
    pub(crate) said: Said,
    /// Its exit code, or why it could not be run.
    pub(crate) ended: Option<Result<i32, String>>,
}

impl Output {
    pub(crate) fn begin(command: String) -> Output {
        Output { command, ..Output::default() }
    }

    pub(crate) fn line(&mut self, line: String) {
        self.said.add(line);
    }

    pub(crate) fn end(&mut self, ended: Result<i32, String>) {
        self.ended = Some(ended);
    }
}

impl Doctor {
    pub(crate) fn got(&mut self, found: Result<Vec<Check>, String>) {
        self.running = false;
        self.found = Some(found.map(|mut checks| {
            checks.sort_by_key(|check| check.verdict);
            checks
        }));
    }
}

/// Has the checks made, unless that is under way.
pub(crate) fn run(app: &mut App) {
    if !app.doctor.running {
        app.doctor.running = true;
        let words = ["doctor", "--json", "--api", &app.url].map(str::to_owned);
        let command = [vec![app.program.clone()], words.to_vec()].concat();
        app.order(Order::Run(Task::Doctor, command));
    }
}

pub(crate) fn panel(app: &App) -> Panel {
    const COLS: &[Col] = &[
        Col::left("Verdict", 9),
        Col::left("Check", 20),
        Col::left("Seen", 0),
        Col::left("Fix", 0).from(90),
    ];
    let mut panel = Panel::new("Doctor", COLS);
    if app.doctor.running {
        panel.note = "checking".to_owned();
    }
    match &app.doctor.found {
        None => panel.words.push(("Checking what is needed here.".to_owned(), Tone::Fine)),
        Some(Err(why)) => {
            panel.words.push((format!("The checks can not be made: {why}."), Tone::Bad));
            panel.words.push((
                format!("They are those of `{} doctor`; r tries again.", app.program),
                Tone::Fine,
            ));
        }
        Some(Ok(checks)) => {
            let wrong = checks.iter().filter(|check| check.verdict == Verdict::Fail).count();
            panel.words.push(match wrong {
                0 => ("✓ Nothing that is needed is missing.".to_owned(), Tone::Good),
                n => (
                    format!("✗ {n} of {} checks failed: Enter repairs, y copies.", checks.len()),
                    Tone::Bad,
                ),
            });
            panel.rows = checks.iter().map(row).collect();
        }
    }
    panel
}

fn row(check: &Check) -> Row {
    let (mark, tone) = match check.verdict {
        Verdict::Fail => ("✗ fail", Tone::Bad),
        Verdict::Warn => ("△ warn", Tone::Warn),
        Verdict::Pass => ("✓ pass", Tone::Good),
        Verdict::Skip => ("· skip", Tone::Mute),
    };
    let fix = check.fix.clone().unwrap_or_default();
    let more = match fix.is_empty() {
        true => format!("{}: {}", check.id, check.seen),
        false => format!("{}: {}\nfix: {fix}", check.id, check.seen),
    };
    Row {
        cells: vec![
            (mark.to_owned(), tone),
            (check.id.clone(), Tone::Title),
            (check.seen.clone(), Tone::Plain),
            (fix.clone(), Tone::Plain),
        ],
        copy: fix,
        more,
        ..Row::default()
    }
}
