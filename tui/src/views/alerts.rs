//! Alerts: those that are pending or fire, those that were resolved, and the rules that judge.

use contracts::answers::{self, RuleView};
use contracts::snapshot::{AlertRow, AlertState};

use super::waiting;
use crate::app::App;
use crate::filter::Filter;
use crate::http::Trouble;
use crate::look::Tone;
use crate::msg::Ask;
use crate::panel::{Col, Panel, Row};
use crate::spot::Spot;
use crate::words::{clock, count, many, rounded, seconds};

#[derive(Default)]
pub(crate) struct Alerts {
    pub(crate) resolved: Option<Result<answers::Alerts, Trouble>>,
    pub(crate) rules: Option<Result<answers::Rules, Trouble>>,
    changed: bool,
}

impl Alerts {
    /// One that went has been resolved.
    pub(crate) fn changed(&mut self) {
        self.changed = true;
    }

    pub(crate) fn due(&mut self) -> Option<Ask> {
        std::mem::take(&mut self.changed).then_some(Ask::Resolved)
    }
}

const COLS: &[Col] = &[
    Col::left("State", 11),
    Col::left("Alert", 0),
    Col::left("About", 0).from(56),
    Col::right("Value", 8),
    Col::right("Since", 19).from(96),
];

pub(crate) fn panels(app: &App) -> Vec<Panel> {
    vec![now(app), resolved(app), rules(app)]
}

/// Those that are pending or fire.
pub(crate) fn now(app: &App) -> Panel {
    let mut panel = Panel::new("Alerts now", COLS);
    let Some(views) = app.live.views() else {
        panel.words.push(waiting(app));
        return panel;
    };
    let mut alerts: Vec<_> = views.alerts.values().collect();
    // Those that fire before those that are pending, the newest first.
    alerts.sort_by_key(|row| (row.state != AlertState::Firing, std::cmp::Reverse(row.active_at)));
    if alerts.is_empty() {
        panel.words.push(("✓ No alert is pending or fires.".to_owned(), Tone::Good));
    }
    panel.rows = alerts.into_iter().map(|row| alert(app, row)).collect();
    panel
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
            (about(row), Tone::Plain),
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
