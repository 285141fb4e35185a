//! Workers: who is there, what each says of itself, and where its jobs are.

use contracts::Micros;
use contracts::event::State;
use contracts::workers::{Presence, WorkerView, Workers as Found};

use crate::app::App;
use crate::filter::Filter;
use crate::http::Trouble;
use crate::look::Tone;
use crate::msg::Ask;
use crate::panel::{Cell, Col, Panel, Row};
use crate::spot::Spot;
use crate::words::{ago, clock, count, many, of_state, rounded};

/// They are read once a second while they are looked at.
const AGAIN: i64 = 1_000_000;

#[derive(Default)]
pub(crate) struct Workers {
    found: Option<Found>,
    trouble: Option<Trouble>,
    asked_at: Option<Micros>,
    waits: bool,
}

impl Workers {
    pub(crate) fn read(&mut self, now: Micros) -> Ask {
        (self.asked_at, self.waits) = (Some(now), true);
        Ask::Workers
    }

    pub(crate) fn due(&mut self, now: Micros) -> Option<Ask> {
        let due = !self.waits && self.asked_at.is_none_or(|at| now.0 - at.0 >= AGAIN);
        due.then(|| self.read(now))
    }

    pub(crate) fn got(&mut self, found: Result<Found, Trouble>) {
        self.waits = false;
        match found {
            Ok(found) => (self.found, self.trouble) = (Some(found), None),
            Err(trouble) => self.trouble = Some(trouble),
        }
    }
}

fn of_presence(presence: Presence) -> Cell {
    let (sign, tone) = match presence {
        Presence::Online => ("●", Tone::Good),
        Presence::Silent => ("○", Tone::Bad),
        Presence::Offline => ("⊘", Tone::Mute),
        Presence::Unheard => ("·", Tone::Mute),
    };
    (format!("{sign} {presence}"), tone)
}

pub(crate) fn panel(app: &App) -> Panel {
    const COLS: &[Col] = &[
        Col::left("Worker", 0),
        Col::left("Presence", 10),
        Col::right("Active", 6),
        Col::right("▶", 7),
        Col::right("✓", 9),
        Col::right("✗", 7),
        Col::right("All", 9).from(70),
        Col::right("Processed", 10).from(84),
        Col::right("Load", 7).from(96),
        Col::right("Heard", 17).from(110),
    ];
    let (state, mut panel) = (&app.workers, Panel::new("Workers", COLS));
    if let Some(trouble) = &state.trouble {
        panel.words.push((format!("They can not be read: {trouble}. Trying again."), Tone::Bad));
    }
    let Some(found) = &state.found else {
        if state.trouble.is_none() {
            panel.words.push(("Reading the workers.".to_owned(), Tone::Fine));
        }
        return panel;
    };
    if let Some(at) = found.as_of {
        panel.note = format!("as of {} UTC", clock(at, app.now));
    }
    if found.items.is_empty() {
        let words = [
            "No worker has been heard of. Workers of Celery are, if they run with -E and their broker is",
            "watched with --celery; others as soon as an event of a job names them.",
        ];
        panel.words.extend(words.map(|words| (words.to_owned(), Tone::Fine)));
        return panel;
    }
    let so_many = |(presence, n): (&Presence, &u64)| format!("{} {presence}", count(*n));
    let presences: Vec<String> = found.presences.iter().map(so_many).collect();
    let shown = match found.total > found.items.len() as u64 {
        true => format!(
            "{}; the first {}",
            presences.join(", "),
            many(found.items.len() as u64, "worker")
        ),
        false => presences.join(", "),
    };
    panel.words.push((shown, Tone::Plain));
    let as_of = found.as_of.unwrap_or(app.now);
    panel.rows = found.items.iter().map(|worker| row(worker, as_of)).collect();
    panel
}

fn row(worker: &WorkerView, now: Micros) -> Row {
    let jobs = |state| worker.jobs.get(&state).copied().unwrap_or(0);
    let tone = |n: u64, tone| if n > 0 { tone } else { Tone::Mute };
    let of = |state, of_some| (count(jobs(state)), tone(jobs(state), of_some));
    let dash = || ("–".to_owned(), Tone::Mute);
    let said = |n: Option<u64>| n.map_or_else(dash, |n| (count(n), Tone::Plain));
    let last = worker.last.as_ref();
    let load = last.and_then(|last| last.load.first());
    Row {
        cells: vec![
            (worker.worker.clone(), Tone::Title),
            of_presence(worker.presence),
            said(last.and_then(|last| last.active)),
            of(State::Executing, Tone::Plain),
            of(State::Completed, Tone::Good),
            of(State::Failed, Tone::Bad),
            (count(worker.jobs.values().sum()), Tone::Plain),
            said(last.and_then(|last| last.processed)),
            load.map_or_else(dash, |load| (rounded(*load), Tone::Plain)),
            worker.heard_at.map_or_else(dash, |at| (ago(at, now), Tone::Fine)),
        ],
        to: Some(Spot::Jobs(Filter::default().and("worker", &worker.worker))),
        copy: worker.worker.clone(),
        more: more(worker, now),
        ..Row::default()
    }
}

/// What there is no room for: all states, and what the worker is.
fn more(worker: &WorkerView, now: Micros) -> String {
    let states = worker.jobs.iter().map(|(state, n)| {
        let words = of_state(*state);
        format!("{} {} {}", words.sign, words.word, count(*n))
    });
    let mut lines = vec![states.collect::<Vec<_>>().join("  ")];
    if let Some(last) = &worker.last {
        let software = [&last.software, &last.version, &last.system].into_iter().flatten();
        let mut parts: Vec<String> = software.cloned().collect();
        parts.extend(last.process.map(|process| format!("process {process}")));
        parts.extend(last.every.map(|every| format!("a heartbeat every {} s", rounded(every))));
        parts.extend(worker.online_at.map(|at| format!("online since {} UTC", clock(at, now))));
        lines.push(parts.join(" · "));
    }
    lines.join("\n")
}
