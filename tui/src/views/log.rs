//! What just changed, the newest first: jobs that moved, alerts, dead letters.
//!
//! Read off the deltas. A delta says which jobs changed and how many are in each state, but not
//! which went where; so it is told as it comes.

use std::collections::VecDeque;

use contracts::snapshot::AlertState;
use contracts::{JobId, Micros};

use super::waiting;
use crate::app::App;
use crate::filter::Filter;
use crate::fold::Change;
use crate::look::Tone;
use crate::panel::{Col, Panel, Row};
use crate::spot::{Spot, View};
use crate::words::{fine_clock, of_reason, of_state};

/// Lines that are kept: some minutes of a busy server.
const KEPT: usize = 1_000;

/// Jobs of one delta that get a line of their own.
const MOST: usize = 20;

#[derive(Default)]
pub(crate) struct Log {
    lines: VecDeque<(Micros, Line)>,
    /// What is shown while all is frozen is what there was.
    n_since: usize,
}

#[derive(Clone, Debug)]
enum Line {
    Change(Change),
    Job(JobId),
    /// So many more jobs changed.
    More(Option<usize>),
    Anew,
}

impl Log {
    pub(crate) fn anew(&mut self, now: Micros) {
        self.push(now, Line::Anew);
    }

    pub(crate) fn add(
        &mut self,
        as_of: Micros,
        changes: Vec<Change>,
        jobs: Vec<JobId>,
        more: bool,
    ) {
        let left = jobs.len().saturating_sub(MOST);
        if more || left > 0 {
            self.push(as_of, Line::More((!more).then_some(left)));
        }
        for job in jobs.into_iter().take(MOST).rev() {
            self.push(as_of, Line::Job(job));
        }
        for change in changes.into_iter().rev() {
            self.push(as_of, Line::Change(change));
        }
    }

    fn push(&mut self, at: Micros, line: Line) {
        self.lines.push_front((at, line));
        self.lines.truncate(KEPT);
        self.n_since = self.n_since.saturating_add(1);
    }

    /// Begins to count what comes while all is frozen.
    pub(crate) fn hold(&mut self) {
        self.n_since = 0;
    }
}

pub(crate) fn panel(app: &App) -> Panel {
    const COLS: &[Col] = &[Col::left("At", 19), Col::left("What", 12), Col::left("", 0)];
    let mut panel = Panel::new("What just changed", COLS);
    panel.note = "UTC, the newest first".to_owned();
    if app.live.views().is_none() {
        panel.words.push(waiting(app));
        return panel;
    }
    let held = if app.live.frozen() { app.log.n_since } else { 0 };
    let lines = app.log.lines.iter().skip(held);
    panel.rows = lines.map(|(at, line)| row(app, *at, line)).collect();
    if panel.rows.len() <= 1 {
        let words = "Nothing has changed since you came: submit a job with n, and it is told here.";
        panel.words.push((words.to_owned(), Tone::Fine));
    }
    panel
}

fn row(app: &App, at: Micros, line: &Line) -> Row {
    let (what, tone, text, to) = told(line);
    let copy = match line {
        Line::Job(id) => id.to_string(),
        _ => format!("{at} {text}"),
    };
    let at = fine_clock(Some(at), app.now);
    let more = format!("{at} UTC: {text}");
    let cells = vec![(at, Tone::Fine), (what, tone), (text, Tone::Plain)];
    Row { cells, to, copy, more, event: None }
}

fn told(line: &Line) -> (String, Tone, String, Option<Spot>) {
    match line {
        Line::Anew => {
            ("snapshot".to_owned(), Tone::Fine, "everything was read anew".to_owned(), None)
        }
        Line::Job(id) => {
            ("· job".to_owned(), Tone::Plain, format!("{id} changed"), Some(Spot::Job(*id)))
        }
        Line::More(n) => {
            let n = n.map_or_else(|| "more".to_owned(), |n| format!("{n} more"));
            let to = Some(Spot::Jobs(Filter::default()));
            ("· jobs".to_owned(), Tone::Fine, format!("{n} jobs changed"), to)
        }
        Line::Change(Change::Jobs { state, job_type, by }) => {
            let (words, filter) = (of_state(*state), Filter::default());
            let to = Spot::Jobs(filter.state(*state).and("type", job_type));
            (
                format!("{} {}", words.sign, words.word),
                words.tone,
                format!("{by:+} {job_type}"),
                Some(to),
            )
        }
        Line::Change(Change::Alert { alert, labels, state }) => {
            let tone = match state {
                AlertState::Firing => Tone::Bad,
                AlertState::Pending => Tone::Warn,
                AlertState::Resolved => Tone::Good,
            };
            let labels = labels.iter().map(|(name, value)| format!("{name} {value}"));
            let about = labels.collect::<Vec<_>>().join(", ");
            let to = Some(Spot::View(View::Alerts));
            (state.to_string(), tone, format!("alert {alert} {about}"), to)
        }
        Line::Change(Change::Letters { reason, by }) => {
            let text = format!("{by:+} {reason}: {}", of_reason(*reason));
            ("✗ letters".to_owned(), Tone::Bad, text, Some(Spot::View(View::Letters)))
        }
        Line::Change(Change::Late { by }) => {
            let text = format!("{by:+} events older than jobs are kept for");
            ("late".to_owned(), Tone::Warn, text, Some(Spot::View(View::Letters)))
        }
    }
}

#[cfg(test)]
mod tests {
    use contracts::event::State;

    use super::*;

    #[test]
    fn a_delta_is_told_by_its_counts_and_then_by_its_jobs() {
        let mut log = Log::default();
        let jobs = vec![JobId::from_u128(1), JobId::from_u128(2)];
        let change = Change::Jobs { state: State::Failed, job_type: "a".to_owned(), by: 2 };
        log.add(Micros::EARLIEST, vec![change], jobs, true);
        let told: Vec<_> = log.lines.iter().map(|(_, line)| told(line).2).collect();
        assert_eq!(
            told,
            [
                "+2 a",
                "00000000-0000-0000-0000-000000000001 changed",
                "00000000-0000-0000-0000-000000000002 changed",
                "more jobs changed",
            ]
        );
    }

    #[test]
    fn no_more_is_kept_than_anybody_reads() {
        let mut log = Log::default();
        for _ in 0..5 {
            log.add(Micros::EARLIEST, Vec::new(), vec![JobId::nil(); 200], false);
        }
        assert_eq!(log.lines.len(), 5 * (MOST + 1));
        for _ in 0..KEPT {
            log.anew(Micros::EARLIEST);
        }
        assert_eq!(log.lines.len(), KEPT);
    }
}
