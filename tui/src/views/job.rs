//! One job: where it stands and why, its attempts, its timeline, its error, its events as they came.

use std::collections::BTreeSet;

use contracts::answers::ArchivedEvent;
use contracts::event::State;
use contracts::view::{AttemptView, EventRef, JobView};
use contracts::{JobId, Kind, Micros};
use serde::Deserialize;

use crate::app::App;
use crate::filter::Filter;
use crate::http::Trouble;
use crate::look::Tone;
use crate::msg::{Ask, Told};
use crate::panel::{Panel, Row};
use crate::pretty::pretty;
use crate::printable::wrap;
use crate::spot::Spot;
use crate::words::{ago, between, fine_clock, many, of_decision, of_error, of_state, seconds};

/// Between two reads of a job that has changed, and of one that has not finished.
const AGAIN: i64 = 500_000;
const AGAIN_OPEN: i64 = 2_000_000;

/// Cells of the picture of an attempt.
const LANE: usize = 40;

#[derive(Default)]
pub(crate) struct Job {
    id: Option<JobId>,
    told: Option<Box<Told>>,
    trouble: Option<Trouble>,
    /// Events that are shown whole.
    open: BTreeSet<usize>,
    asked_at: Micros,
    waits: bool,
    due: bool,
}

impl Job {
    pub(crate) fn set(&mut self, id: JobId) {
        if self.id != Some(id) {
            *self = Job { id: Some(id), ..Job::default() };
        }
    }

    pub(crate) fn read(&mut self, now: Micros) -> Option<Ask> {
        (self.asked_at, self.due, self.waits) = (now, false, true);
        self.id.map(Ask::Job)
    }

    /// These jobs have changed; none for more than can be told.
    pub(crate) fn changed(&mut self, ids: Option<&[JobId]>) {
        self.due |= self.id.is_some_and(|id| ids.is_none_or(|ids| ids.contains(&id)));
    }

    pub(crate) fn due(&mut self, now: Micros) -> Option<Ask> {
        let since = now.0 - self.asked_at.0;
        // It may be so new that nothing of it can be read yet; and an open bar grows.
        let open = self.told.as_ref().is_none_or(|told| open(&told.job));
        let due = self.due && since >= AGAIN || open && since >= AGAIN_OPEN;
        (due && !self.waits).then(|| self.read(now)).flatten()
    }

    pub(crate) fn got(&mut self, id: JobId, found: Result<Box<Told>, Trouble>) {
        if self.id != Some(id) {
            return;
        }
        self.waits = false;
        match found {
            Ok(told) => (self.told, self.trouble) = (Some(told), None),
            Err(trouble) => self.trouble = Some(trouble),
        }
    }

    pub(crate) fn toggle(&mut self, event: usize) {
        if !self.open.remove(&event) {
            self.open.insert(event);
        }
    }
}

fn open(job: &JobView) -> bool {
    matches!(job.state, State::Pending | State::Validated | State::Executing | State::Retrying)
}

pub(crate) fn panel(app: &App) -> Panel {
    let mut panel = Panel::new("Job", &[]);
    let Some(id) = app.job.id else { return panel };
    panel.note = id.to_string();
    if let Some(trouble) = &app.job.trouble {
        panel.words.push(match &app.job.told {
            None => (
                format!("It can not be read: {trouble}. Esc leads back, r tries again."),
                Tone::Bad,
            ),
            Some(_) => (
                format!(
                    "It can not be read again: {trouble}. What is shown is the last that arrived."
                ),
                Tone::Warn,
            ),
        });
    }
    let Some(told) = &app.job.told else {
        if app.job.trouble.is_none() {
            panel.words.push(("Reading the job.".to_owned(), Tone::Fine));
        }
        return panel;
    };
    let mut page = Page { app, width: usize::from(app.size.0).saturating_sub(4), rows: Vec::new() };
    page.head(told);
    page.attempts(&told.job);
    page.error(&told.job);
    page.payload(told);
    page.events(told);
    panel.rows = page.rows;
    panel
}

/// The rows as they are written, from top to bottom.
struct Page<'a> {
    app: &'a App,
    width: usize,
    rows: Vec<Row>,
}

impl Page<'_> {
    fn say(&mut self, cells: Vec<(String, Tone)>, copy: &str) {
        self.rows.push(Row { cells, copy: copy.to_owned(), ..Row::default() });
    }

    fn title(&mut self, text: String, copy: &str) {
        self.say(vec![(String::new(), Tone::Plain)], copy);
        self.say(vec![(text, Tone::Title)], copy);
    }

    fn text(&mut self, text: &str, tone: Tone, copy: &str) {
        for line in wrap(text, self.width, self.app.look.ascii) {
            self.say(vec![(line, tone)], copy);
        }
    }

    fn at(&self, at: Option<Micros>) -> String {
        fine_clock(at, self.app.now)
    }

    fn head(&mut self, told: &Told) {
        let (job, id) = (&told.job, told.job.id.to_string());
        let words = of_state(job.state);
        let mut cells = vec![
            (format!("{} {}", words.sign, words.word), words.tone),
            (format!("  {}", job.job_type), Tone::Title),
        ];
        if job.inferred {
            cells.push(("  inferred: concluded from silence, not reported".to_owned(), Tone::Warn));
        }
        if job.retired {
            cells.push((
                "  retired: in the totals, and no longer in the counts".to_owned(),
                Tone::Fine,
            ));
        }
        self.say(cells, &id);
        if job.incomplete || told.events.incomplete {
            let words = "The archive does not answer: attempts and events may be missing.";
            self.text(words, Tone::Warn, &id);
        }
        if let Some(why) = &job.why {
            let beat = why.beat.as_ref().map_or_else(|| "none".to_owned(), event);
            let text = format!(
                "Why {}? The event {} of attempt {}, of {}, decides. {}",
                words.word.to_lowercase(),
                why.event.event_type,
                why.event.attempt,
                self.at(Some(why.event.occurred_at)),
                of_decision(why.decided_by, &beat)
            );
            self.text(&text, Tone::Plain, &text);
        }
        let link = |key: &str, value: &Option<String>| {
            let shown = value.clone().unwrap_or_else(|| "–".to_owned());
            let filter = value.as_ref().map(|value| Filter::default().and(key, value));
            (shown.clone(), filter.map(Spot::Jobs), shown)
        };
        for (name, key, value) in [
            ("Type   ", "type", &Some(job.job_type.clone())),
            ("Queue  ", "queue", &job.queue),
            ("Worker ", "worker", &job.worker),
        ] {
            let (shown, to, copy) = link(key, value);
            let cells = vec![(name.to_owned(), Tone::Fine), (shown, Tone::Plain)];
            self.rows.push(Row { cells, to, copy, ..Row::default() });
        }
        let fine = |name: &str, value: String| {
            [(format!("{name} "), Tone::Fine), (format!("{value}   "), Tone::Plain)]
        };
        let created =
            format!("{} UTC, {}", self.at(Some(job.created_at)), ago(job.created_at, self.app.now));
        let times = [fine("Created", created), fine("Attempt", job.attempt.to_string())];
        self.say(times.concat(), &id);
        let times = [
            fine("Started", self.at(job.started_at)),
            fine("Ended", self.at(job.finished_at)),
            fine("Wait", seconds(between(Some(job.created_at), job.started_at))),
            fine("Total", seconds(between(Some(job.created_at), job.finished_at))),
        ];
        self.say(times.concat(), &id);
    }

    fn attempts(&mut self, job: &JobView) {
        let id = job.id.to_string();
        self.title(many(job.attempts.len() as u64, "attempt"), &id);
        if job.attempts.is_empty() {
            self.say(vec![("No attempt has begun.".to_owned(), Tone::Fine)], &id);
            return;
        }
        let end = job.attempts.iter().filter_map(|attempt| attempt.finished_at).max();
        let end = if open(job) { Some(self.app.now) } else { end.or(job.finished_at) };
        let span = (job.created_at, end.unwrap_or(job.created_at).max(job.created_at));
        let mut before = Some(job.created_at);
        for attempt in &job.attempts {
            let lane = lane(attempt, before, span, LANE.min(self.width.saturating_sub(40)).max(8));
            let (state, tone) = told_state(attempt);
            let took = seconds(between(attempt.started_at, attempt.finished_at));
            let worker = attempt.worker.clone().unwrap_or_else(|| "–".to_owned());
            self.say(
                vec![
                    (format!("{:>3} ", attempt.attempt), Tone::Plain),
                    (format!("{lane} "), tone),
                    (format!("{state} "), tone),
                    (
                        format!("ran {took} at {worker}, from {} ", self.at(attempt.started_at)),
                        Tone::Plain,
                    ),
                    (attempt.error.as_ref().map(of_error).unwrap_or_default(), Tone::Bad),
                ],
                &id,
            );
            before = attempt.finished_at.or(before);
        }
        self.title("Timeline".to_owned(), &id);
        for entry in &job.timeline {
            let (sign, tone) = of_kind(entry.event_type);
            let since = seconds(between(Some(job.created_at), Some(entry.occurred_at)));
            let worker =
                entry.worker.as_ref().map(|worker| format!(" at {worker}")).unwrap_or_default();
            self.say(
                vec![
                    (format!("{} ", self.at(Some(entry.occurred_at))), Tone::Fine),
                    (format!("{sign} {:<14}", entry.event_type), tone),
                    (format!("+{since}, attempt {}{worker} ", entry.attempt), Tone::Plain),
                    (entry.error.as_ref().map(of_error).unwrap_or_default(), Tone::Bad),
                ],
                &entry.event_id.to_string(),
            );
        }
    }

    fn error(&mut self, job: &JobView) {
        let Some(error) = &job.error else { return };
        let text = of_error(error);
        self.title("Error".to_owned(), &text);
        self.text(&text, Tone::Bad, &text);
    }

    fn payload(&mut self, told: &Told) {
        let Some(payload) = told.payload.as_ref().filter(|payload| *payload != "null") else {
            return;
        };
        let text = pretty(payload);
        self.title("Payload".to_owned(), &text);
        self.text(&text, Tone::Plain, &text);
    }

    fn events(&mut self, told: &Told) {
        let id = told.job.id.to_string();
        self.title(many(told.events.total, "event"), &id);
        for (i, event) in told.events.items.iter().enumerate() {
            let open = self.app.job.open.contains(&i);
            let text = event.event.get();
            let mut cells = vec![(if open { "– " } else { "+ " }.to_owned(), Tone::Fine)];
            cells.extend(self.summary(event));
            let row = Row { cells, copy: pretty(text), event: Some(i), ..Row::default() };
            self.rows.push(row);
            if open {
                let text = pretty(text);
                for line in wrap(&text, self.width.saturating_sub(4), self.app.look.ascii) {
                    let cells = vec![(format!("    {line}"), Tone::Plain)];
                    self.rows.push(Row {
                        cells,
                        copy: text.clone(),
                        event: Some(i),
                        ..Row::default()
                    });
                }
            }
        }
        let as_of = self.at(told.as_of);
        self.say(vec![(format!("As of {as_of} UTC."), Tone::Fine)], &id);
    }

    fn summary(&self, event: &ArchivedEvent) -> Vec<(String, Tone)> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            event_type: Kind,
            occurred_at: Micros,
        }
        let late = event.late.then(|| ("  late: in no view".to_owned(), Tone::Warn));
        let head = match serde_json::from_str::<Head>(event.event.get()) {
            Ok(Head { event_type, occurred_at }) => {
                let (sign, tone) = of_kind(event_type);
                let later = between(Some(occurred_at), Some(event.accepted_at)).map(|s| s.max(0.0));
                vec![
                    (format!("{sign} {event_type:<14} "), tone),
                    (
                        format!(
                            "{}, accepted {} later",
                            self.at(Some(occurred_at)),
                            seconds(later)
                        ),
                        Tone::Plain,
                    ),
                ]
            }
            // Only what decodes is archived; what a later version decodes may be new to us.
            Err(_) => vec![(event.event_id.to_string(), Tone::Plain)],
        };
        head.into_iter().chain(late).collect()
    }
}

fn event(event: &EventRef) -> String {
    format!("{} of attempt {}", event.event_type, event.attempt)
}

fn of_kind(kind: Kind) -> (&'static str, Tone) {
    let words = of_state(kind.state());
    (words.sign, words.tone)
}

/// An attempt that is over, and after which there was to be another, has failed.
fn told_state(attempt: &AttemptView) -> (String, Tone) {
    if attempt.state == State::Retrying && attempt.finished_at.is_some() {
        return ("↻ Failed, to be retried".to_owned(), Tone::Warn);
    }
    let words = of_state(attempt.state);
    (format!("{} {}", words.sign, words.word), words.tone)
}

/// An attempt on the time of its job: what was waited, what was run.
fn lane(
    attempt: &AttemptView,
    before: Option<Micros>,
    span: (Micros, Micros),
    width: usize,
) -> String {
    let (from, length) = (span.0.0, (span.1.0 - span.0.0).max(1));
    let place = |at: Micros| {
        let part = (at.0 - from).clamp(0, length) as f64 / length as f64;
        ((part * width as f64) as usize).min(width)
    };
    let waits = place(before.unwrap_or(span.0));
    let runs = attempt.started_at.map_or(width, place).max(waits);
    let ends = attempt.finished_at.map_or(width, place).max(runs);
    let ends = if attempt.started_at.is_some() { ends.max(runs + 1).min(width) } else { runs };
    let runs = runs.min(ends);
    [
        " ".repeat(waits.min(runs)),
        "·".repeat(runs - waits.min(runs)),
        "█".repeat(ends - runs),
        " ".repeat(width - ends),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_drawn_where_it_waited_and_where_it_ran() {
        let at = |s: i64| Micros(s * 1_000_000);
        let attempt = |from: Option<i64>, to: Option<i64>| AttemptView {
            attempt: 1,
            state: State::Completed,
            worker: None,
            started_at: from.map(at),
            finished_at: to.map(at),
            error: None,
        };
        let span = (at(0), at(10));
        let drawn = |from, to, before| lane(&attempt(from, to), Some(at(before)), span, 10);
        assert_eq!(drawn(Some(2), Some(6), 0), "··████    ");
        assert_eq!(drawn(Some(7), Some(10), 6), "      ·███");
        assert_eq!(drawn(Some(10), Some(10), 6), "      ····");
        assert_eq!(drawn(Some(4), None, 0), "····██████");
        assert_eq!(drawn(None, None, 5), "     ·····");
    }
}
