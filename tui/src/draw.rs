//! A frame: how things stand, the views, the panels of one of them, what lies over it, the keys.
//!
//! ```text
//!   Task Observatory  DEMO  ● live · as of 0.4 s ago    late 0 · dead letters 3   the state of it all
//!   1 Overview  2 Jobs  3 Alerts ▲1 …                                             where one can be
//!   ! what is wrong, if anything is
//!   ── panels ──────────────────────
//!   / state:FAILED · rows 1–17 of 4,711                                           what is shown of it
//!   Enter job  / filter  s sort …                                                 what can be done
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::app::{App, Hit};
use crate::keys::{self, Place};
use crate::live::Standing;
use crate::look::Tone;
use crate::panel::{self, Panel, Row, Stance};
use crate::spot::View;
use crate::views::{self, overview};
use crate::words::{age, count};

mod over;

/// Below this nothing can be read.
const NARROWEST: u16 = 40;
const LOWEST: u16 = 10;

/// Lines that a part has more room for while its selected row tells all of itself.
const TOLD: usize = 6;

/// Below this the parts of a view are shown one at a time.
const STACKED: u16 = 56;

pub(crate) fn draw(app: &mut App, frame: &mut Frame<'_>) {
    let area = frame.area();
    app.size = (area.width, area.height);
    app.hits.clear();
    frame.buffer_mut().set_style(area, app.look.base());
    if area.width < NARROWEST || area.height < LOWEST {
        let words = format!("At least {NARROWEST} columns and {LOWEST} rows are needed");
        let lines = crate::printable::wrap(&words, usize::from(area.width), app.look.ascii);
        let lines: Vec<_> = lines.iter().map(|line| Line::from(line.clone())).collect();
        frame.render_widget(Paragraph::new(lines), area);
        return;
    }
    let notice = notice(app);
    let [head, tabs, wrong, body, state, hints] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(u16::from(notice.is_some())),
        Constraint::Min(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(header(app, usize::from(head.width)), head);
    draw_tabs(app, frame, tabs);
    if let Some((text, tone)) = notice {
        let text = format!("! {text}");
        frame.render_widget(
            Line::from(app.look.fitted(&text, usize::from(wrong.width), tone)),
            wrong,
        );
    }
    draw_view(app, frame, body);
    if app.standing() == Standing::Stale {
        // Old numbers do not look like new ones.
        frame
            .buffer_mut()
            .set_style(body, ratatui::style::Style::new().add_modifier(Modifier::DIM));
    }
    frame.render_widget(state_line(app, usize::from(state.width)), state);
    frame.render_widget(hint_line(app, usize::from(hints.width)), hints);
    over::draw(app, frame, area);
}

/// How it stands, in a word, with its sign.
pub(crate) fn standing(standing: Standing) -> (&'static str, &'static str, Tone) {
    match standing {
        Standing::Live => ("●", "live", Tone::Good),
        Standing::Connecting => ("○", "connecting", Tone::Warn),
        Standing::Away => ("↻", "reconnecting", Tone::Warn),
        Standing::Stale => ("▲", "STALE", Tone::Bad),
        Standing::Frozen => ("‖", "FROZEN", Tone::Warn),
    }
}

fn header(app: &App, width: usize) -> Line<'static> {
    let look = &app.look;
    let (sign, word, tone) = standing(app.standing());
    let as_of = app.live.age(app.now).map_or_else(|| "–".to_owned(), age);
    let mut left =
        vec![look.span(if width < 76 { "Observatory " } else { "Task Observatory " }, Tone::Title)];
    if app.live.demo {
        let span = look.span(" DEMO ", Tone::Warn).patch_style(Modifier::REVERSED);
        left.extend([span, Span::raw(" ")]);
    }
    let as_of = if width < 76 { as_of } else { format!("as of {as_of}") };
    left.push(look.span(&format!("{sign} {word} "), tone));
    left.push(look.span(&as_of, Tone::Plain));
    let right = app.live.views().map_or_else(Vec::new, |views| {
        let letters = views.letters();
        let (late, dead) = (format!("late {}", count(views.late)), count(letters));
        let dead = if width < 76 { format!("dead {dead}") } else { format!("dead letters {dead}") };
        let tone = |n: u64| if n > 0 { Tone::Warn } else { Tone::Fine };
        vec![
            look.span(&late, tone(views.late)),
            look.span(" · ", Tone::Fine),
            look.span(&dead, tone(letters)),
        ]
    });
    let mut line = Line::from(left);
    let right = Line::from(right);
    let gap = width.saturating_sub(line.width() + right.width()).max(1);
    line.push_span(Span::raw(" ".repeat(gap)));
    line.spans.extend(right.spans);
    line
}

fn draw_tabs(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let firing = app.live.views().map_or(0, crate::fold::Views::firing);
    let (mut spans, mut x) = (Vec::new(), area.x);
    for (i, view) in View::NUMBERED.into_iter().enumerate() {
        let name = match (area.width, view) {
            (..80, _) | (..90, View::Dataflow | View::Letters) => view.short(),
            _ => view.title(),
        };
        let here = app.view() == view || view == View::Jobs && app.view() == View::Job;
        let digit = if view == View::Workers { 0 } else { i + 1 };
        let mut tab = vec![app.look.span(&format!("{digit} "), Tone::Fine)];
        let name = app.look.span(name, if here { Tone::Title } else { Tone::Plain });
        tab.push(if here { name.patch_style(app.look.selected()) } else { name });
        if view == View::Alerts && firing > 0 {
            tab.push(app.look.span(&format!("▲{firing}"), Tone::Bad));
        }
        let width = u16::try_from(tab.iter().map(Span::width).sum::<usize>()).unwrap_or(0);
        app.hits.push((Rect { x, width, ..area }, Hit::View(view)));
        x = x.saturating_add(width + 1);
        spans.extend(tab);
        spans.push(Span::raw(" "));
    }
    frame.render_widget(Line::from(spans), area);
}

/// What is wrong, and what becomes of it.
fn notice(app: &App) -> Option<(String, Tone)> {
    let reason = app.live.trouble.as_ref().map(ToString::to_string);
    let reason = reason.unwrap_or_else(|| "the server does not answer".to_owned());
    match app.standing() {
        Standing::Stale if app.live.connected => {
            Some(("These numbers are older than 5 s: the views do not move.".to_owned(), Tone::Bad))
        }
        Standing::Stale | Standing::Away if app.live.trouble.is_some() => {
            Some((format!("The last that arrived: {reason}. Trying again; r at once."), Tone::Bad))
        }
        Standing::Connecting if app.live.trouble.is_some() && app.view() != View::Server => Some((
            format!("Nothing can be shown yet: {reason}. Trying again; 8 says more."),
            Tone::Bad,
        )),
        _ => None,
    }
}

fn draw_view(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let view = app.view();
    let mut panels = views::panels(app);
    let marks = app.marks();
    let focus = marks.focus.min(panels.len().saturating_sub(1));
    if let Some(panel) = panels.get_mut(focus) {
        panel.telling = marks.telling && view != View::Overview;
    }
    let alone = marks.alone || panels.len() > 1 && area.width < STACKED;
    let places: Vec<_> = match (alone, view) {
        (true, _) => vec![(focus, area)],
        (false, View::Overview) => {
            let needed = panels.get(2).map_or(0, |panel| {
                panel.n_lines_beside(area.width, app.look.ascii) + panel.n_rows()
            });
            let (places, line) = arranged(area, needed);
            let (text, tone) = overview::conserved(app, usize::from(line.width));
            let line_of = Line::from(app.look.fitted(&text, usize::from(line.width), tone));
            frame.render_widget(line_of, line);
            places
        }
        (false, _) => stacked(area, &panels, app.look.ascii).into_iter().enumerate().collect(),
    };
    if view == View::Jobs {
        // The rows that are laid out are those that will be seen.
        let (height, rows) = (area.height, app.jobs.n_loaded());
        let beside =
            panels.first().map_or(0, |panel| panel.n_lines_beside(area.width, app.look.ascii));
        app.cursor_mut(0).fit(usize::from(height).saturating_sub(beside), rows);
        panels = views::panels(app);
        panels[0].telling = marks.telling;
    }
    for (part, place) in places {
        let Some(panel) = panels.get(part) else { continue };
        app.hits.push((place, Hit::Part(part)));
        let mut cursor = app.cursor(part);
        let stance = Stance { focused: part == focus, cursor: true };
        let rows = panel::draw(frame, place, &app.look, panel, &mut cursor, stance);
        *app.cursor_mut(part) = cursor;
        app.hits.extend(rows.into_iter().map(|(area, at)| (area, Hit::Row(part, at))));
    }
}

/// The parts of the overview, and where the line is that must always hold.
///
/// The lowest has the `needed` lines, if the others have what they need: a title and a row for each
/// state.
fn arranged(area: Rect, needed: usize) -> (Vec<(usize, Rect)>, Rect) {
    let needed = u16::try_from(needed + 1).unwrap_or(u16::MAX);
    let upper = area.height.saturating_sub(needed).clamp(9, 9.max(area.height * 2 / 3));
    let upper = upper.min(area.height.saturating_sub(4));
    let [above, line, below] =
        Layout::vertical([Constraint::Length(upper), Constraint::Length(1), Constraint::Min(0)])
            .areas(area);
    let [left, _, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(1), Constraint::Fill(1)])
            .areas(above);
    // Of throughput a title, two lines, the head and all types; of alerts what is left.
    let throughput = if upper > 11 { upper / 2 + 1 } else { upper.saturating_sub(4).max(3) };
    let [rates, alerts] =
        Layout::vertical([Constraint::Length(throughput), Constraint::Min(0)]).areas(right);
    (vec![(0, left), (1, rates), (2, below), (3, alerts)], line)
}

/// One below the other: each as high as it needs to be, and the first has what is left.
fn stacked(area: Rect, panels: &[Panel], ascii: bool) -> Vec<Rect> {
    let n = u16::try_from(panels.len()).unwrap_or(1).max(1);
    let most = area.height / n;
    let others = panels.iter().skip(1).map(|panel| {
        let (more, most) = if panel.telling { (TOLD, most * 2) } else { (0, most) };
        let lines = panel.n_lines_beside(area.width, ascii) + panel.n_rows() + more;
        Constraint::Length(u16::try_from(lines + 1).unwrap_or(u16::MAX).min(most))
    });
    let parts: Vec<_> = std::iter::once(Constraint::Min(most)).chain(others).collect();
    Layout::vertical(parts).split(area).to_vec()
}

/// What was said last; else the filter in force, and how much is shown of what there is.
fn state_line(app: &App, width: usize) -> Line<'static> {
    if let Some((text, tone)) = app.said() {
        return Line::from(app.look.fitted(text, width, tone));
    }
    let mut parts = Vec::new();
    match app.view() {
        View::Jobs => {
            let filter = &app.jobs.filter;
            let words = filter.words();
            parts.push(if filter.is_empty() {
                "no filter".to_owned()
            } else {
                format!("/ {words}")
            });
            parts.extend(app.jobs.shown(app.cursor(0)));
        }
        view => {
            parts.push(view.title().to_owned());
            let part = app.marks().focus;
            if let Some(panel) = views::panels(app).get(part).filter(|panel| panel.n_rows() > 0) {
                let cursor = app.cursor(part);
                let to = (cursor.top + cursor.height).min(panel.n_rows());
                let (from, rows) = (cursor.top + 1, panel.n_rows());
                parts.push(format!("{}: rows {from}–{} of {rows}", panel.title, to.max(from)));
            }
        }
    }
    Line::from(app.look.fitted(&parts.join(" · "), width, Tone::Fine))
}

/// The keys that matter here, as many as there is room for; `?` has all of them.
fn hint_line(app: &App, width: usize) -> Line<'static> {
    let place = Place::View(app.view());
    let hints: Vec<_> = keys::bound(place).filter(|one| !one.hint.is_empty()).collect();
    // The last two lead to the others and out.
    let (rest, last) = hints.split_at(hints.len().saturating_sub(2));
    let cells = |one: &keys::Binding| one.name().chars().count() + one.hint.len() + 3;
    let mut room = width.saturating_sub(last.iter().map(|one| cells(one)).sum());
    let fitting = rest.iter().take_while(|one| {
        let fits = cells(one) <= room;
        room = room.saturating_sub(cells(one));
        fits
    });
    let mut spans = Vec::new();
    for one in fitting.collect::<Vec<_>>().into_iter().chain(last) {
        spans.push(app.look.span(&one.name(), Tone::Title));
        spans.push(app.look.span(&format!(" {}  ", one.hint), Tone::Fine));
    }
    Line::from(spans)
}

/// The keys of the view, two in a row where there is room.
pub(crate) fn help(app: &App) -> Vec<Row> {
    let place = Place::View(app.view());
    let one = |binding: &keys::Binding| format!("{:<11} {}", binding.names(), binding.words);
    let mut told: Vec<_> = keys::bound(place).map(one).collect();
    // What is special to a view comes before what is the same everywhere.
    let special = |binding: &keys::Binding| binding.places.len() < keys::VIEWS.len();
    let order: Vec<_> = keys::bound(place).map(special).collect();
    let mut indexed: Vec<_> = order.into_iter().zip(told.drain(..)).collect();
    indexed.sort_by_key(|(special, _)| !special);
    let told: Vec<_> = indexed.into_iter().map(|(_, text)| text).collect();
    let per_row = if app.size.0 >= 80 { 2 } else { 1 };
    let rows = told.len().div_ceil(per_row);
    (0..rows)
        .map(|row| {
            let texts = told.iter().skip(row).step_by(rows);
            let text: String = texts.map(|text| format!("{text:<37}")).collect();
            Row { cells: vec![(text, Tone::Plain)], ..Row::default() }
        })
        .collect()
}
