//! What lies over the view: a box in the middle, or a prompt at the bottom.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::symbols::border;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};
use tui_input::Input;

use crate::app::{App, Hit};
use crate::cursor::Cursor;
use crate::keys::{self, Place};
use crate::look::{Look, Tone};
use crate::over::form::{Form, Value};
use crate::over::{Entry, Launcher, Over, named, suggested};
use crate::panel::{self, Col, Panel, Row, Stance};
use crate::printable::{cells_of, printable, wrap};

/// Rows of suggestions above a prompt.
const SUGGESTED: usize = 8;

pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    // What lies over the view may look at all that is known.
    let Some(mut over) = app.over.take() else { return };
    // A click beside it is for nobody.
    app.hits.clear();
    let place = over.place();
    let look = app.look;
    match &mut over {
        Over::Help(cursor) => {
            let filters =
                "Filters: state:failed,retrying type:email.* queue:\"\" age:>5m \"timed out\"";
            let words = vec![(filters.to_owned(), Tone::Fine)];
            let panel = Panel { words, rows: super::help(app), ..Panel::default() };
            let within = area.width.min(80).saturating_sub(4);
            let rows = panel.rows.len() + panel.n_lines_beside(within, look.ascii) + 2;
            list(app, frame, (place, "Keys"), boxed(area, 80, rows), &panel, cursor, false);
        }
        Over::Launcher(launcher) => draw_launcher(app, frame, area, launcher),
        Over::Output(cursor) => {
            let output = &app.doctor.output;
            let mut panel = Panel::default();
            panel.words.push((format!("$ {}", output.command), Tone::Title));
            let plain = |line: &String| vec![(line.clone(), Tone::Plain)];
            panel.rows = output
                .said
                .lines()
                .map(|line| Row { cells: plain(line), ..Row::default() })
                .collect();
            let (text, tone) = match &output.ended {
                None => ("… it runs".to_owned(), Tone::Busy),
                Some(Ok(0)) => ("✓ it has ended, and nothing went wrong".to_owned(), Tone::Good),
                Some(Ok(code)) => (format!("✗ it has ended with {code}"), Tone::Bad),
                Some(Err(why)) => (format!("✗ {why}"), Tone::Bad),
            };
            panel.rows.push(Row { cells: vec![(text, tone)], ..Row::default() });
            // Whoever has not scrolled sees the last line.
            let rows = panel.rows.len();
            if cursor.at + 2 >= rows {
                cursor.at = rows - 1;
            }
            list(
                app,
                frame,
                (place, "Running"),
                boxed(area, 100, usize::from(area.height)),
                &panel,
                cursor,
                true,
            );
        }
        Over::Confirm { question, command, .. } => {
            let inner = frame_of(frame, &look, place, boxed(area, 70, 8), question);
            let mut lines = vec![Line::default()];
            let text = wrap(&format!("$ {command}"), usize::from(inner.width), look.ascii);
            lines.extend(text.iter().map(|line| Line::from(look.span(line, Tone::Title))));
            frame.render_widget(Paragraph::new(lines), inner);
        }
        Over::Form(form) => draw_form(app, frame, area, form),
        Over::Entry { entry, input, fault } => {
            let (title, hint) = match entry {
                Entry::Url => ("Go to another address", "like http://127.0.0.1:8080"),
                Entry::Token => {
                    ("A token is needed", "This server shows its jobs to holders of a token.")
                }
            };
            let inner = frame_of(frame, &look, place, boxed(area, 66, 7), title);
            let shown = match entry {
                Entry::Url => input.clone(),
                // Nobody else is to read it.
                Entry::Token => Input::new("*".repeat(input.value().chars().count()))
                    .with_cursor(input.cursor()),
            };
            frame.render_widget(
                Line::from(look.fitted(hint, usize::from(inner.width), Tone::Fine)),
                inner,
            );
            let line = Rect { y: inner.y + 2, height: 1, ..inner };
            typed(frame, &look, line, "> ", &shown);
            if let Some(fault) = fault {
                let below = Rect { y: inner.y + 3, height: 1, ..inner };
                frame.render_widget(
                    Line::from(look.fitted(fault, usize::from(inner.width), Tone::Bad)),
                    below,
                );
            }
        }
        Over::Command { input, chosen } => {
            let rows: Vec<_> = named(input.value())
                .into_iter()
                .map(|(name, _)| (name.to_owned(), String::new()))
                .collect();
            prompt(app, frame, area, place, ":", input, &rows, Some(*chosen), None);
        }
        Over::Filter { input, chosen, fault } => {
            app.over = Some(Over::filter(input.value().to_owned(), None));
            if let Some(Over::Filter { input: copy, .. }) = &mut app.over {
                *copy = input.clone();
            }
            let found = if fault.is_none() { suggested(app) } else { Vec::new() };
            let rows: Vec<_> = found.into_iter().map(|one| (one.to, one.means)).collect();
            app.over = None;
            prompt(app, frame, area, place, "/", input, &rows, *chosen, fault.as_ref());
        }
    }
    app.over = Some(over);
}

fn boxed(area: Rect, width: u16, rows: usize) -> Rect {
    let width = width.min(area.width);
    let height = u16::try_from(rows).unwrap_or(u16::MAX).min(area.height.saturating_sub(2)).max(5);
    let (x, y) = ((area.width - width) / 2, (area.height - height.min(area.height)) / 2);
    Rect { x: area.x + x, y: area.y + y, width, height: height.min(area.height) }
}

/// Draws a box with the keys of the place at its bottom; what is within.
fn frame_of(frame: &mut Frame<'_>, look: &Look, place: Place, area: Rect, title: &str) -> Rect {
    let sign = |text: &'static str, ascii: &'static str| if look.ascii { ascii } else { text };
    let set = border::Set {
        top_left: sign("┌", "+"),
        top_right: sign("┐", "+"),
        bottom_left: sign("└", "+"),
        bottom_right: sign("┘", "+"),
        vertical_left: sign("│", "|"),
        vertical_right: sign("│", "|"),
        horizontal_top: sign("─", "-"),
        horizontal_bottom: sign("─", "-"),
    };
    let block = Block::bordered()
        .border_set(set)
        .title(look.span(&format!(" {title} "), Tone::Title))
        .title_bottom(Line::from(look.fitted(
            &hints(place),
            usize::from(area.width.saturating_sub(2)),
            Tone::Fine,
        )));
    let inner = block.inner(area);
    frame.render_widget(Clear, area);
    frame.buffer_mut().set_style(area, look.base());
    frame.render_widget(block, area);
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}

/// All keys of a place, what closes it first.
pub(crate) fn hints(place: Place) -> String {
    let mut bound: Vec<_> = keys::bound(place).collect();
    bound.sort_by_key(|one| one.action != keys::Action::Close);
    // Both ways of closing say the same.
    bound.dedup_by_key(|one| one.action);
    let (moves, others): (Vec<_>, Vec<_>) = bound.into_iter().partition(|one| one.moves());
    let mut told: Vec<_> =
        others.iter().map(|one| format!("{} {}", one.name(), one.words)).collect();
    if !moves.is_empty() {
        let names: Vec<_> = moves.iter().map(|one| one.name()).collect();
        told.push(format!("{} move", names.join(" ")));
    }
    format!(" {} ", told.join(" · "))
}

fn list(
    app: &mut App,
    frame: &mut Frame<'_>,
    (place, title): (Place, &str),
    area: Rect,
    panel: &Panel,
    cursor: &mut Cursor,
    selected: bool,
) {
    let look = app.look;
    let inner = frame_of(frame, &look, place, area, title);
    let stance = Stance { focused: true, cursor: selected };
    let rows = panel::draw(frame, inner, &look, panel, cursor, stance);
    app.hits.extend(rows.into_iter().map(|(area, at)| (area, Hit::Over(at))));
}

fn draw_launcher(app: &mut App, frame: &mut Frame<'_>, area: Rect, launcher: &mut Launcher) {
    const COLS: &[Col] =
        &[Col::left("Page", 20), Col::left("Address", 0), Col::left("What it is", 0).from(60)];
    let mut panel = Panel::new("", COLS);
    match &launcher.found {
        None => panel.words.push(("Reading the list.".to_owned(), Tone::Fine)),
        Some(Err(trouble)) => {
            panel.words.push((format!("The list can not be read: {trouble}."), Tone::Bad));
        }
        Some(Ok(found)) => {
            panel.rows = found
                .entries
                .iter()
                .map(|entry| Row {
                    cells: vec![
                        (entry.name.clone(), Tone::Title),
                        (found.url(entry), Tone::Plain),
                        (entry.description.clone(), Tone::Fine),
                    ],
                    ..Row::default()
                })
                .collect();
        }
    }
    if let Some((url, why)) = &launcher.unopened {
        panel.words.push((format!("Not opened: {why}. y copies the address:"), Tone::Warn));
        panel.words.push((url.clone(), Tone::Title));
    }
    let rows = panel.rows.len() + panel.words.len() + 4;
    list(
        app,
        frame,
        (Place::Launcher, "Other pages"),
        boxed(area, 100, rows),
        &panel,
        &mut launcher.cursor,
        true,
    );
}

fn draw_form(app: &mut App, frame: &mut Frame<'_>, area: Rect, form: &Form) {
    let look = app.look;
    let inner = frame_of(frame, &look, Place::Form, boxed(area, 76, 18), "Add a task");
    let width = usize::from(inner.width);
    let line = |y: u16| Rect { y: inner.y + y, height: 1, ..inner };
    for (i, field) in form.fields.iter().enumerate() {
        let y = u16::try_from(i * 2).unwrap_or(0);
        if y + 1 >= inner.height {
            break;
        }
        let here = i == form.focus;
        let label = format!("{} {:<9} ", if here { "▸" } else { " " }, field.label);
        match &field.value {
            Value::Text(input) if here => typed(frame, &look, line(y), &label, input),
            Value::Text(input) => {
                let text = format!("{label}{}", input.value());
                frame.render_widget(Line::from(look.fitted(&text, width, Tone::Plain)), line(y));
            }
            Value::Yes(yes) => {
                let text = format!(
                    "{label}[{}] {}",
                    if *yes { "x" } else { " " },
                    if *yes { "yes" } else { "no" }
                );
                let tone = if here { Tone::Title } else { Tone::Plain };
                frame.render_widget(Line::from(look.fitted(&text, width, tone)), line(y));
            }
        }
        let (text, tone) = match &field.fault {
            Some(fault) => (format!("            ✗ {fault}"), Tone::Bad),
            None => (format!("            {}", field.hint), Tone::Fine),
        };
        frame.render_widget(Line::from(look.fitted(&text, width, tone)), line(y + 1));
        app.hits.push((Rect { height: 2, ..line(y) }, Hit::Over(i)));
    }
    let (text, tone) = match (&form.trouble, form.sending) {
        (_, true) => ("Adding …".to_owned(), Tone::Busy),
        (Some(trouble), _) => (trouble.clone(), Tone::Bad),
        (None, _) if !form.known.is_empty() => {
            (format!("Types that are known: {}", form.known.join(", ")), Tone::Fine)
        }
        (None, _) => (String::new(), Tone::Fine),
    };
    let y = 12.min(inner.height.saturating_sub(1));
    for (i, text) in (0..).zip(wrap(&text, width, look.ascii).iter().take(2)) {
        if y + i < inner.height {
            frame.render_widget(Line::from(look.span(text, tone)), line(y + i));
        }
    }
}

/// What is typed, with the caret; of a long text the part around it.
fn typed(frame: &mut Frame<'_>, look: &Look, area: Rect, label: &str, input: &Input) {
    let room = usize::from(area.width).saturating_sub(cells_of(label) + 1).max(1);
    let before: String = input.value().chars().take(input.cursor()).collect();
    let before = printable(&before, look.ascii);
    let scroll = cells_of(&before).saturating_sub(room);
    let text = printable(input.value(), look.ascii);
    let (mut skipped, mut at) = (0, 0);
    for (i, c) in text.char_indices() {
        if skipped >= scroll {
            break;
        }
        skipped += cells_of(c.encode_utf8(&mut [0; 4]));
        at = i + c.len_utf8();
    }
    let shown = look.fitted(&text[at..], room + 1, Tone::Plain);
    frame.render_widget(Line::from(vec![look.span(label, Tone::Title), shown]), area);
    let caret = cells_of(label) + cells_of(&before).saturating_sub(skipped);
    let x = area
        .x
        .saturating_add(u16::try_from(caret).unwrap_or(u16::MAX))
        .min(area.right().saturating_sub(1));
    frame.set_cursor_position(Position { x, y: area.y });
}

#[expect(
    clippy::too_many_arguments,
    reason = "both prompts are drawn here, and in two places only"
)]
fn prompt(
    app: &mut App,
    frame: &mut Frame<'_>,
    area: Rect,
    place: Place,
    sign: &str,
    input: &Input,
    rows: &[(String, String)],
    chosen: Option<usize>,
    fault: Option<&(usize, String)>,
) {
    let look = app.look;
    let first = chosen.map_or(0, |at| at.saturating_sub(SUGGESTED - 1));
    let shown = rows.iter().enumerate().skip(first).take(SUGGESTED);
    let mut lines: Vec<Line<'static>> = Vec::new();
    let mut places = Vec::new();
    let width = usize::from(area.width);
    for (i, (name, means)) in shown {
        let here = chosen == Some(i);
        let text = format!("{} {name:<24} {means}", if here { "▸" } else { " " });
        let mut line = Line::from(look.fitted(&text, width, Tone::Plain));
        if here {
            line.push_span(Span::raw(" ".repeat(width.saturating_sub(line.width()))));
            line = line.patch_style(look.selected());
        }
        places.push((lines.len(), i));
        lines.push(line);
    }
    if let Some((at, fault)) = fault {
        // Below what is wrong there would be no room; above it the arrow points down.
        let text = format!("At character {}: {fault}", at + 1);
        let text = wrap(&text, width, look.ascii);
        lines.extend(text.iter().take(3).map(|line| Line::from(look.span(line, Tone::Bad))));
        let before: String = input.value().chars().take(*at).collect();
        let indent = cells_of(&printable(&before, look.ascii)) + 2;
        let arrow = if look.ascii { "v" } else { "↓" };
        if indent < width {
            lines.push(Line::from(vec![
                Span::raw(" ".repeat(indent)),
                Span::styled(arrow, look.style(Tone::Bad)),
            ]));
        }
    }
    let height = u16::try_from(lines.len() + 3).unwrap_or(3).min(area.height);
    let whole = Rect { y: area.bottom() - height, height, ..area };
    frame.render_widget(Clear, whole);
    frame.buffer_mut().set_style(whole, look.base());
    let rule = if look.ascii { "-" } else { "─" }.repeat(width);
    lines.insert(0, Line::from(Span::styled(rule, look.style(Tone::Fine))));
    for (row, i) in places {
        let y = whole.y + 1 + u16::try_from(row).unwrap_or(0);
        app.hits.push((Rect { y, height: 1, ..whole }, Hit::Over(i)));
    }
    frame.render_widget(Paragraph::new(lines), Rect { height: height - 2, ..whole });
    typed(
        frame,
        &look,
        Rect { y: whole.bottom() - 2, height: 1, ..whole },
        &format!("{sign} "),
        input,
    );
    let below = Rect { y: whole.bottom() - 1, height: 1, ..whole };
    frame.render_widget(
        Line::from(look.fitted(hints(place).trim_start(), width, Tone::Fine)),
        below,
    );
}
