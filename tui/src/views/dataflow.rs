//! The dataflow: its operators, what each holds and how busy it is, and the ways between them.

use std::collections::BTreeMap;

use contracts::Micros;
use contracts::answers::{self, EdgeView, OperatorView};

use crate::app::App;
use crate::http::Trouble;
use crate::look::Tone;
use crate::msg::Ask;
use crate::panel::{Col, Panel, Row};
use crate::words::{clock, count, many, seconds};

/// It is read once a second while it is looked at.
const AGAIN: i64 = 1_000_000;

#[derive(Default)]
pub(crate) struct Dataflow {
    found: Option<answers::Dataflow>,
    trouble: Option<Trouble>,
    /// When it was read, and what there was before.
    read_at: Micros,
    asked_at: Option<Micros>,
    waits: bool,
    /// Of a second: how long an operator was busy, and how many records went a way.
    busy: BTreeMap<String, f64>,
    flow: BTreeMap<Way, f64>,
    by: Sort,
}

type Way = (String, u64, String, u64);

#[derive(Clone, Copy, Default)]
enum Sort {
    #[default]
    Busy,
    Holds,
    Name,
}

fn way(edge: &EdgeView) -> Way {
    (edge.from.clone(), edge.from_port, edge.to.clone(), edge.to_port)
}

impl Dataflow {
    pub(crate) fn next_sort(&mut self) -> String {
        let (by, words) = match self.by {
            Sort::Busy => (Sort::Holds, "Those that hold the most first"),
            Sort::Holds => (Sort::Name, "By name"),
            Sort::Name => (Sort::Busy, "The busiest first"),
        };
        self.by = by;
        words.to_owned()
    }

    pub(crate) fn read(&mut self, now: Micros) -> Ask {
        (self.asked_at, self.waits) = (Some(now), true);
        Ask::Dataflow
    }

    pub(crate) fn due(&mut self, now: Micros) -> Option<Ask> {
        // A server that has none has none the next time.
        let none = self.trouble.as_ref().is_some_and(|trouble| trouble.status == 404);
        let due = !self.waits && !none && self.asked_at.is_none_or(|at| now.0 - at.0 >= AGAIN);
        due.then(|| self.read(now))
    }

    pub(crate) fn got(&mut self, found: Result<answers::Dataflow, Trouble>, at: Micros) {
        self.waits = false;
        let now = match found {
            Ok(found) => found,
            Err(trouble) => {
                self.trouble = Some(trouble);
                return;
            }
        };
        let span = (at.0 - self.read_at.0) as f64 / 1e6;
        if let Some(before) = self.found.take().filter(|_| span > 0.0) {
            let was: BTreeMap<_, _> =
                before.operators.iter().map(|one| (&one.id, one.busy_seconds)).collect();
            self.busy = now
                .operators
                .iter()
                .filter_map(|one| {
                    Some((one.id.clone(), (one.busy_seconds - was.get(&one.id)?).max(0.0) / span))
                })
                .collect();
            let was: BTreeMap<_, _> =
                before.edges.iter().map(|edge| (way(edge), edge.records)).collect();
            self.flow = now
                .edges
                .iter()
                .filter_map(|edge| {
                    let more = edge.records.saturating_sub(*was.get(&way(edge))?);
                    Some((way(edge), more as f64 / span))
                })
                .collect();
        }
        (self.found, self.trouble, self.read_at) = (Some(now), None, at);
    }

    fn share(&self, operator: &OperatorView) -> Option<f64> {
        self.busy.get(&operator.id).copied()
    }
}

pub(crate) fn panels(app: &App) -> Vec<Panel> {
    vec![operators(app), ways(app)]
}

fn operators(app: &App) -> Panel {
    const COLS: &[Col] = &[
        Col::left("Operator", 0),
        Col::right("Busy", 8),
        Col::right("In all", 10),
        Col::right("Turns", 11).from(84),
        Col::right("Holds", 11),
        Col::right("Waiting", 9).from(70),
        Col::right("Bytes", 11).from(100),
    ];
    let (state, mut panel) = (&app.dataflow, Panel::new("Operators", COLS));
    if let Some(trouble) = &state.trouble {
        panel.words.push(match trouble.status {
            404 => (
                "The dataflow can not be seen from here: it is shown by `observatory up`, in which it runs."
                    .to_owned(),
                Tone::Warn,
            ),
            _ => (format!("It can not be read: {trouble}. Trying again."), Tone::Bad),
        });
    }
    let Some(found) = &state.found else {
        if state.trouble.is_none() {
            panel.words.push(("Reading the graph.".to_owned(), Tone::Fine));
        }
        return panel;
    };
    let held: u64 = found.operators.iter().map(|one| one.records).sum();
    panel.words.push((
        format!(
            "lag {} · {} · {} · {} records held",
            seconds(Some(found.lag_seconds)),
            many(found.workers, "worker"),
            many(found.operators.len() as u64, "operator"),
            count(held)
        ),
        Tone::Plain,
    ));
    if let Some(at) = found.as_of {
        panel.note = format!("as of {} UTC", clock(at, app.now));
    }
    // A scope is busy with what is in it, which is listed.
    let scope = |id: &str| found.operators.iter().any(|one| one.scope.as_deref() == Some(id));
    let mut listed: Vec<_> = found.operators.iter().filter(|one| !scope(&one.id)).collect();
    listed.sort_by(|a, b| {
        let busy = |one: &OperatorView| state.share(one).unwrap_or(0.0);
        match state.by {
            Sort::Busy => {
                busy(b).total_cmp(&busy(a)).then_with(|| b.busy_seconds.total_cmp(&a.busy_seconds))
            }
            Sort::Holds => b.records.cmp(&a.records),
            Sort::Name => a.name.cmp(&b.name),
        }
    });
    panel.rows = listed.into_iter().map(|one| operator(state, one)).collect();
    panel
}

fn operator(state: &Dataflow, one: &OperatorView) -> Row {
    let share = state.share(one);
    let tone = if share.is_some_and(|share| share > 0.5) { Tone::Warn } else { Tone::Plain };
    let share = share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0));
    Row {
        cells: vec![
            (format!("{} {}", one.name, one.id), Tone::Plain),
            (share, tone),
            (seconds(Some(one.busy_seconds)), Tone::Plain),
            (count(one.activations), Tone::Plain),
            (count(one.records), Tone::Plain),
            (count(one.pending_records), Tone::Plain),
            (count(one.pending_bytes), Tone::Plain),
        ],
        copy: format!("{} {}", one.name, one.id),
        ..Row::default()
    }
}

fn ways(app: &App) -> Panel {
    const COLS: &[Col] = &[
        Col::left("From", 0),
        Col::left("To", 0),
        Col::right("Records", 13),
        Col::right("A second", 11),
    ];
    let (state, mut panel) = (&app.dataflow, Panel::new("Ways", COLS));
    let Some(found) = &state.found else { return panel };
    let names: BTreeMap<_, _> = found.operators.iter().map(|one| (&one.id, &one.name)).collect();
    let name =
        |id: &String| names.get(id).map_or_else(|| id.clone(), |name| format!("{name} {id}"));
    let flow = |edge: &EdgeView| state.flow.get(&way(edge)).copied().unwrap_or(0.0);
    let mut edges: Vec<_> = found.edges.iter().collect();
    edges.sort_by(|a, b| flow(b).total_cmp(&flow(a)).then_with(|| b.records.cmp(&a.records)));
    panel.rows = edges
        .into_iter()
        .map(|edge| Row {
            cells: vec![
                (name(&edge.from), Tone::Plain),
                (name(&edge.to), Tone::Plain),
                (count(edge.records), Tone::Plain),
                (format!("{:.0}", flow(edge)), Tone::Plain),
            ],
            copy: format!("{} → {}", name(&edge.from), name(&edge.to)),
            ..Row::default()
        })
        .collect();
    panel
}
