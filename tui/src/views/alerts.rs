//! Alerts: those that are pending or fire, those that were resolved, and the rules that judge.

use contracts::Micros;
use contracts::answers::{self, RuleView};
use contracts::notes::{Matcher, NewNote, Note, NoteKind, Notes, ReceivedAlerts, StandingNote};
use contracts::snapshot::{AlertRow, AlertState};

use super::waiting;
use crate::app::App;
use crate::filter::Filter;
use crate::http::Trouble;
use crate::look::Tone;
use crate::msg::Ask;
use crate::over::{Over, Then};
use crate::panel::{Col, Panel, Row};
use crate::spot::Spot;
use crate::words::{clock, count, many, rounded, seconds};

#[derive(Default)]
pub(crate) struct Alerts {
    pub(crate) resolved: Option<Result<answers::Alerts, Trouble>>,
    pub(crate) rules: Option<Result<answers::Rules, Trouble>>,
    /// What people have said of alerts, and alerts of others.
    pub(crate) notes: Option<Result<(Notes, ReceivedAlerts), Trouble>>,
    changed: bool,
    /// When it was last asked what people say.
    asked: Micros,
}

/// Between two questions for what people say, in µs: it is in no stream.
const AGAIN: i64 = 5_000_000;

/// How long a silence lasts, in µs; others are made on the page.
const SILENT: i64 = 3_600_000_000;

impl Alerts {
    /// One that went has been resolved.
    pub(crate) fn changed(&mut self) {
        self.changed = true;
    }

    pub(crate) fn due(&mut self, now: Micros) -> Option<Ask> {
        if std::mem::take(&mut self.changed) {
            self.asked = Micros(0);
            return Some(Ask::Resolved);
        }
        if now.0 - self.asked.0 < AGAIN {
            return None;
        }
        self.asked = now;
        Some(Ask::Notes)
    }

    /// The notes that are known.
    fn known(&self) -> &[StandingNote] {
        match &self.notes {
            Some(Ok((notes, _))) => &notes.items,
            _ => &[],
        }
    }

    /// What people say of an alert.
    fn said(&self, row: &AlertRow, now: Micros) -> Option<String> {
        let about = |note: &&StandingNote| {
            note.alerts.iter().any(|key| key.alert == row.alert && key.labels == row.labels)
        };
        let said = self.known().iter().filter(about).map(|StandingNote { note, .. }| {
            let Note { kind, ends_at, created_by, .. } = note;
            match (kind, ends_at) {
                (NoteKind::Silence, Some(at)) => format!("silent until {}", clock(*at, now)),
                _ => format!("seen by {created_by}"),
            }
        });
        let said = said.collect::<Vec<_>>().join(", ");
        (!said.is_empty()).then_some(said)
    }
}

const COLS: &[Col] = &[
    Col::left("State", 11),
    Col::left("Alert", 0),
    Col::left("About", 0).from(56),
    Col::right("Value", 8),
    Col::right("Since", 19).from(96),
];

/// The part of what people say.
const NOTES: usize = 1;

pub(crate) fn panels(app: &App) -> Vec<Panel> {
    let others = received(app);
    let mut panels = vec![now(app), notes(app), resolved(app), rules(app)];
    panels.extend(others.filter(|panel| !panel.rows.is_empty()));
    panels
}

/// Says that somebody is at the selected alert, if that is confirmed.
pub(crate) fn acknowledge(app: &mut App) {
    let Some(row) = selected(app) else { return };
    let AlertRow { alert, labels, .. } = row.clone();
    let what = format!("{alert} {}", about(row));
    let note = NewNote::Acknowledgement { alert, labels, comment: String::new() };
    say(app, "Acknowledge this?", what, &note);
}

/// Silences the selected alert for an hour, if that is confirmed.
pub(crate) fn silence(app: &mut App) {
    let Some(row) = selected(app) else { return };
    let matcher = |(name, value): (&str, &String)| Matcher {
        name: name.to_owned(),
        value: value.clone(),
        is_regex: false,
        is_equal: true,
    };
    let labels = row.labels.iter().map(|(name, value)| (name.as_str(), value));
    let matchers = std::iter::once(("alertname", &row.alert)).chain(labels).map(matcher).collect();
    let what = format!("{} {}", row.alert, about(row));
    let ends_at = Micros(app.now.0 + SILENT);
    let note = NewNote::Silence { matchers, starts_at: None, ends_at, comment: String::new() };
    say(app, "Silence this for an hour?", what, &note);
}

fn say(app: &mut App, question: &'static str, what: String, note: &NewNote) {
    let body = serde_json::to_string(note).unwrap_or_default();
    app.over = Some(Over::confirm(question, what, Then::Ask(Ask::Note { body })));
}

/// Takes back the selected note, if that is confirmed.
pub(crate) fn unsay(app: &mut App) {
    if app.marks().focus != NOTES {
        app.say("Go to what was said first: Tab", Tone::Warn);
        return;
    }
    let at = app.cursor(NOTES).at;
    let Some(note) = app.alerts.known().get(at).map(|standing| standing.note.clone()) else {
        return;
    };
    let (what, then) = (of(&note), Then::Ask(Ask::EndNote(note.id)));
    app.over = Some(Over::confirm("End this?", what, then));
}

/// The alert that is selected among those that there are.
fn selected(app: &mut App) -> Option<&AlertRow> {
    if app.marks().focus != 0 {
        app.say("Go to an alert of now first: Tab", Tone::Warn);
        return None;
    }
    let at = app.cursor(0).at;
    sorted(app).get(at).copied()
}

/// Those that fire before those that are pending, the newest first.
fn sorted(app: &App) -> Vec<&AlertRow> {
    let mut alerts: Vec<_> =
        app.live.views().map(|views| views.alerts.values().collect()).unwrap_or_default();
    alerts.sort_by_key(|row: &&AlertRow| {
        (row.state != AlertState::Firing, std::cmp::Reverse(row.active_at))
    });
    alerts
}

/// Those that are pending or fire.
pub(crate) fn now(app: &App) -> Panel {
    let mut panel = Panel::new("Alerts now", COLS);
    if app.live.views().is_none() {
        panel.words.push(waiting(app));
        return panel;
    }
    let alerts = sorted(app);
    if alerts.is_empty() {
        panel.words.push(("✓ No alert is pending or fires.".to_owned(), Tone::Good));
    }
    panel.rows = alerts.into_iter().map(|row| alert(app, row)).collect();
    panel
}

/// What a note is about.
fn of(note: &Note) -> String {
    let matcher = |matcher: &Matcher| {
        let op = match (matcher.is_equal, matcher.is_regex) {
            (true, false) => "=",
            (false, false) => "!=",
            (true, true) => "=~",
            (false, true) => "!~",
        };
        format!("{}{op}{}", matcher.name, matcher.value)
    };
    note.matchers.iter().map(matcher).collect::<Vec<_>>().join(", ")
}

fn notes(app: &App) -> Panel {
    const COLS: &[Col] = &[
        Col::left("Said", 13),
        Col::left("Of", 0),
        Col::left("By", 16).from(56),
        Col::right("Until", 19),
    ];
    let mut panel = Panel::new("Silences and acknowledgements", COLS);
    match &app.alerts.notes {
        None => panel.words.push(("Reading what was said.".to_owned(), Tone::Fine)),
        Some(Err(trouble)) => panel.words.push(unread(trouble)),
        Some(Ok((notes, _))) if notes.items.is_empty() => {
            panel.words.push(("Nothing is silent or acknowledged.".to_owned(), Tone::Fine));
        }
        Some(Ok((notes, _))) => {
            panel.rows = notes
                .items
                .iter()
                .map(|StandingNote { note, .. }| {
                    let (kind, until) = match note.ends_at {
                        Some(at) => ("⊘ silence", clock(at, app.now)),
                        None => ("✓ seen", "it is over".to_owned()),
                    };
                    let by = note.created_by.clone();
                    Row {
                        cells: vec![
                            (kind.to_owned(), Tone::Plain),
                            (of(note), Tone::Title),
                            (by.clone(), Tone::Plain),
                            (until, Tone::Plain),
                        ],
                        copy: of(note),
                        more: format!("{} by {by}: {}", of(note), note.comment),
                        ..Row::default()
                    }
                })
                .collect();
        }
    }
    panel
}

/// Alerts of others.
fn received(app: &App) -> Option<Panel> {
    let Some(Ok((_, received))) = &app.alerts.notes else { return None };
    let mut panel = Panel::new("From Alertmanager", COLS);
    panel.rows = received
        .items
        .iter()
        .map(|alert| {
            let firing = alert.status == "firing";
            let state = if firing { AlertState::Firing } else { AlertState::Resolved };
            let mut labels = alert.labels.clone();
            let name = labels.remove("alertname").unwrap_or_default();
            let about = labels.iter().map(|(name, value)| format!("{name} {value}"));
            let about = about.collect::<Vec<_>>().join(", ");
            let since = clock(alert.ends_at.unwrap_or(alert.starts_at), app.now);
            Row {
                cells: vec![
                    mark(state),
                    (name.clone(), Tone::Title),
                    (about.clone(), Tone::Plain),
                    (String::new(), Tone::Plain),
                    (since, Tone::Plain),
                ],
                copy: alert.url.clone().unwrap_or_else(|| format!("{name} {about}")),
                more: alert.annotations.get("summary").cloned().unwrap_or_default(),
                ..Row::default()
            }
        })
        .collect();
    Some(panel)
}

fn resolved(app: &App) -> Panel {
    let mut panel = Panel::new("Resolved", COLS);
    match &app.alerts.resolved {
        None => panel.words.push(("Reading those that were resolved.".to_owned(), Tone::Fine)),
        Some(Err(trouble)) => panel.words.push(unread(trouble)),
        Some(Ok(found)) if found.alerts.is_empty() => {
            panel.words.push(("None was resolved yet.".to_owned(), Tone::Fine));
        }
        Some(Ok(found)) => {
            panel.note = format!("the newest {}", count(found.alerts.len() as u64));
            panel.rows = found.alerts.iter().map(|row| alert(app, row)).collect();
        }
    }
    panel
}

fn unread(trouble: &Trouble) -> (String, Tone) {
    (format!("They can not be read: {trouble}. r tries again."), Tone::Bad)
}

fn mark(state: AlertState) -> (String, Tone) {
    match state {
        AlertState::Firing => ("▲ firing".to_owned(), Tone::Bad),
        AlertState::Pending => ("△ pending".to_owned(), Tone::Warn),
        AlertState::Resolved => ("✓ resolved".to_owned(), Tone::Good),
    }
}

fn about(row: &AlertRow) -> String {
    let labels = row.labels.iter().map(|(name, value)| format!("{name} {value}"));
    labels.collect::<Vec<_>>().join(", ")
}

/// What an alert is about, and before it what people say of it.
fn told(app: &App, row: &AlertRow) -> String {
    match app.alerts.said(row, app.now).filter(|_| row.state != AlertState::Resolved) {
        Some(said) => format!("[{said}] {}", about(row)),
        None => about(row),
    }
}

/// The jobs that an alert is about; all of them, if it is about something else.
fn behind(row: &AlertRow) -> Filter {
    row.jobs.as_deref().map(Filter::of_query).unwrap_or_default()
}

fn alert(app: &App, row: &AlertRow) -> Row {
    let since = row.resolved_at.or(row.fired_at).unwrap_or(row.active_at);
    let since = clock(since, app.now);
    Row {
        cells: vec![
            mark(row.state),
            (row.alert.clone(), Tone::Title),
            (told(app, row), Tone::Plain),
            (rounded(row.value), Tone::Plain),
            (since.clone(), Tone::Plain),
        ],
        to: Some(Spot::Jobs(behind(row))),
        copy: format!("{} {} {}", row.alert, row.state, about(row)),
        more: format!(
            "{} is {} since {since} UTC. Its value is {}.\n{}\n{}",
            row.alert,
            row.state,
            rounded(row.value),
            row.annotations.get("summary").map_or("", String::as_str),
            about(row)
        ),
        event: None,
    }
}

fn rules(app: &App) -> Panel {
    const COLS: &[Col] = &[Col::left("Rule", 0), Col::left("Expression", 0), Col::right("For", 9)];
    let mut panel = Panel::new("Rules", COLS);
    match &app.alerts.rules {
        None => panel.words.push(("Reading the rules.".to_owned(), Tone::Fine)),
        Some(Err(trouble)) => panel.words.push(unread(trouble)),
        Some(Ok(found)) => {
            panel.title = many(found.rules.len() as u64, "rule");
            panel.note = match found.applied_at {
                Some(at) => format!("in force since {} UTC", clock(at, app.now)),
                None => "those that the program brings along".to_owned(),
            };
            panel.rows = found.rules.iter().map(rule).collect();
        }
    }
    panel
}

fn rule(rule: &RuleView) -> Row {
    let labels = rule.labels.iter().map(|(name, value)| format!("{name} {value}"));
    let mut more = format!("{}\n{}", rule.alert, rule.expr);
    more.push_str(&match rule.hold > 0.0 {
        true => format!("\nMust hold for {}.", seconds(Some(rule.hold))),
        false => "\nFires at once.".to_owned(),
    });
    if rule.keep_firing_for > 0.0 {
        more.push_str(&format!(" Keeps firing for {}.", seconds(Some(rule.keep_firing_for))));
    }
    more.push_str(&format!(" {}", labels.collect::<Vec<_>>().join(", ")));
    if let Some(summary) = rule.annotations.get("summary") {
        more.push_str(&format!("\n{summary}"));
    }
    Row {
        cells: vec![
            (rule.alert.clone(), Tone::Title),
            (rule.expr.clone(), Tone::Plain),
            (seconds(Some(rule.hold)), Tone::Plain),
        ],
        copy: rule.expr.clone(),
        more,
        ..Row::default()
    }
}
