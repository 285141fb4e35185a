//! What lies over a view while it is wanted: prompts, forms, questions, lists.

use contracts::registry::UiRegistry;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tui_input::{Input, InputRequest};

use crate::app::App;
use crate::cursor::Cursor;
use crate::filter::{Filter, suggestions};
use crate::fold::Views;
use crate::hands::Task;
use crate::http::{Trouble, address};
use crate::keys::{Action, Place};
use crate::look::Tone;
use crate::msg::{Ask, Order};
use crate::spot::{Spot, View};
use crate::views::doctor::Output;

pub(crate) mod form;

use form::Form;

/// Characters that a field holds: an event may have 256 KiB, and nobody types that.
const MOST: usize = 64 << 10;

pub(crate) enum Over {
    Help(Cursor),
    Command {
        input: Input,
        chosen: usize,
    },
    Filter {
        input: Input,
        chosen: Option<usize>,
        fault: Option<(usize, String)>,
    },
    Form(Box<Form>),
    Launcher(Launcher),
    /// Whether a command is to be run.
    Confirm {
        question: &'static str,
        /// What would be done.
        command: String,
        then: Then,
    },
    /// What it says, as it says it.
    Output(Cursor),
    Entry {
        entry: Entry,
        input: Input,
        fault: Option<&'static str>,
    },
}

/// What is done when somebody says yes.
#[derive(Clone, PartialEq)]
pub(crate) enum Then {
    /// The command is run.
    Run,
    Ask(Ask),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Url,
    Token,
}

#[derive(Default)]
pub(crate) struct Launcher {
    pub(crate) found: Option<Result<UiRegistry, Trouble>>,
    pub(crate) cursor: Cursor,
    /// The address that no browser could be opened with, and why.
    pub(crate) unopened: Option<(String, String)>,
}

/// Where `:` leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Named {
    View(View),
    Do(Action),
}

const NAMES: [(&str, Named); 16] = [
    ("overview", Named::View(View::Overview)),
    ("jobs", Named::View(View::Jobs)),
    ("alerts", Named::View(View::Alerts)),
    ("workers", Named::View(View::Workers)),
    ("dataflow", Named::View(View::Dataflow)),
    ("dead letters", Named::View(View::Letters)),
    ("dlq", Named::View(View::Letters)),
    ("log", Named::View(View::Log)),
    ("doctor", Named::View(View::Doctor)),
    ("server", Named::View(View::Server)),
    ("add a task", Named::Do(Action::NewTask)),
    ("pages", Named::Do(Action::Launcher)),
    ("freeze", Named::Do(Action::Freeze)),
    ("theme", Named::Do(Action::Theme)),
    ("help", Named::Do(Action::Help)),
    ("quit", Named::Do(Action::Quit)),
];

impl Over {
    pub(crate) fn command() -> Over {
        Over::Command { input: Input::default(), chosen: 0 }
    }

    /// With what was typed; a fault has the caret where it is.
    pub(crate) fn filter(q: String, fault: Option<(usize, String)>) -> Over {
        let input = Input::new(q);
        let at = fault.as_ref().map_or(usize::MAX, |(at, _)| *at);
        Over::Filter { input: input.with_cursor(at), chosen: None, fault }
    }

    pub(crate) fn form(views: Option<&Views>) -> Over {
        Over::Form(Box::new(Form::new(views)))
    }

    pub(crate) fn launcher() -> Over {
        Over::Launcher(Launcher::default())
    }

    pub(crate) fn confirm(question: &'static str, command: String, then: Then) -> Over {
        Over::Confirm { question, command, then }
    }

    pub(crate) fn entry(entry: Entry) -> Over {
        Over::Entry { entry, input: Input::default(), fault: None }
    }

    pub(crate) fn place(&self) -> Place {
        match self {
            Over::Help(_) => Place::Help,
            Over::Command { .. } => Place::Command,
            Over::Filter { .. } => Place::Filter,
            Over::Form(_) => Place::Form,
            Over::Launcher(_) => Place::Launcher,
            Over::Confirm { .. } => Place::Confirm,
            Over::Output(_) => Place::Output,
            Over::Entry { .. } => Place::Entry,
        }
    }

    /// Where what is typed goes.
    pub(crate) fn input(&mut self) -> Option<&mut Input> {
        match self {
            Over::Command { input, .. }
            | Over::Filter { input, .. }
            | Over::Entry { input, .. } => Some(input),
            Over::Form(form) => form.input(),
            Over::Help(_) | Over::Launcher(_) | Over::Confirm { .. } | Over::Output(_) => None,
        }
    }
}

/// Those whose name has the letters of `typed` in their order; the closest first.
pub(crate) fn named(typed: &str) -> Vec<(&'static str, Named)> {
    let typed = typed.trim().to_lowercase();
    let mut found: Vec<_> =
        NAMES.iter().filter_map(|(name, to)| Some((distance(name, &typed)?, *name, *to))).collect();
    found.sort_by_key(|(distance, name, _)| (*distance, name.len()));
    found.into_iter().map(|(_, name, to)| (name, to)).collect()
}

/// How many letters lie before and between those that were typed; none if they are not all there.
fn distance(name: &str, typed: &str) -> Option<usize> {
    let (mut left, mut skipped) = (name.chars(), 0);
    for c in typed.chars().filter(|c| !c.is_whitespace()) {
        skipped += left.by_ref().position(|other| other == c)?;
    }
    Some(skipped)
}

/// A key that is bound to nothing: it types, where something is typed.
pub(crate) fn typed(app: &mut App, key: &KeyEvent) {
    let Some(input) = app.over.as_mut().and_then(Over::input) else { return };
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    let request = match key.code {
        KeyCode::Char('a') if ctrl => InputRequest::GoToStart,
        KeyCode::Char('e') if ctrl => InputRequest::GoToEnd,
        KeyCode::Char('u') if ctrl => InputRequest::DeleteLine,
        KeyCode::Char('k') if ctrl => InputRequest::DeleteTillEnd,
        KeyCode::Char('w') if ctrl => InputRequest::DeletePrevWord,
        KeyCode::Char(c) if !ctrl && !alt && input.value().len() < MOST => {
            InputRequest::InsertChar(c)
        }
        KeyCode::Backspace => InputRequest::DeletePrevChar,
        KeyCode::Delete => InputRequest::DeleteNextChar,
        KeyCode::Left if ctrl => InputRequest::GoToPrevWord,
        KeyCode::Right if ctrl => InputRequest::GoToNextWord,
        KeyCode::Left => InputRequest::GoToPrevChar,
        KeyCode::Right => InputRequest::GoToNextChar,
        KeyCode::Home => InputRequest::GoToStart,
        KeyCode::End => InputRequest::GoToEnd,
        _ => return,
    };
    input.handle(request);
    changed(app);
}

/// What is pasted is typed at once; line ends would send it.
pub(crate) fn paste(input: &mut Input, text: &str) {
    let room = MOST.saturating_sub(input.value().len());
    for c in text.chars().take(room) {
        let c = if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c };
        if !c.is_control() {
            input.handle(InputRequest::InsertChar(c));
        }
    }
}

/// What was found for the text before is not for this.
fn changed(app: &mut App) {
    match &mut app.over {
        Some(Over::Command { chosen, .. }) => *chosen = 0,
        Some(Over::Filter { chosen, fault, .. }) => (*chosen, *fault) = (None, None),
        Some(Over::Entry { fault, .. }) => *fault = None,
        Some(Over::Form(form)) => form.changed(),
        _ => {}
    }
}

pub(crate) fn act(app: &mut App, action: Action) {
    match action {
        Action::Close => close(app),
        Action::Down => step(app, 1),
        Action::Up => step(app, -1),
        Action::PageDown | Action::PageUp => {
            let half = list(app).map_or(1, |(cursor, _)| cursor.half());
            step(app, if action == Action::PageDown { half } else { -half });
        }
        Action::Top => step(app, isize::MIN / 2),
        Action::Bottom => step(app, isize::MAX / 2),
        Action::NextPart | Action::PrevPart | Action::Toggle => {
            if let Some(Over::Form(form)) = &mut app.over {
                form.act(action);
            }
        }
        Action::Complete => complete(app),
        Action::Accept => accept(app),
        Action::In => open(app),
        Action::Copy => copy(app),
        Action::Stop => {
            app.order(Order::Stop(Task::Fix));
            app.say("It is asked to stop", Tone::Warn);
        }
        // They belong to views.
        _ => {}
    }
}

fn close(app: &mut App) {
    if let Some(Over::Entry { entry: Entry::Token, .. }) = app.over.take() {
        app.decline();
    }
}

/// The list of what lies over the view: its cursor, and how many rows there are.
fn list(app: &mut App) -> Option<(&mut Cursor, usize)> {
    let n_help = crate::draw::help(app).len();
    let n_output = app.doctor.output.said.lines().len() + 2;
    match app.over.as_mut()? {
        Over::Help(cursor) => Some((cursor, n_help)),
        Over::Launcher(launcher) => {
            let n = launcher.found.as_ref().and_then(|found| found.as_ref().ok());
            Some((&mut launcher.cursor, n.map_or(0, |found| found.entries.len())))
        }
        Over::Output(cursor) => Some((cursor, n_output)),
        _ => None,
    }
}

pub(crate) fn step(app: &mut App, by: isize) {
    let n_suggested = suggested(app).len();
    match &mut app.over {
        Some(Over::Command { input, chosen }) => {
            let n = named(input.value()).len();
            *chosen = chosen.saturating_add_signed(by).min(n.saturating_sub(1));
        }
        Some(Over::Filter { chosen, .. }) if n_suggested > 0 => {
            let next = chosen.map_or(if by > 0 { 0 } else { n_suggested - 1 }, |at| {
                at.saturating_add_signed(by).min(n_suggested - 1)
            });
            *chosen = Some(next);
        }
        Some(Over::Form(form)) => {
            form.act(if by > 0 { Action::NextPart } else { Action::PrevPart })
        }
        Some(Over::Launcher(launcher)) => {
            launcher.unopened = None;
            if let Some((cursor, rows)) = list(app) {
                cursor.step(by, rows);
            }
        }
        _ => {
            if let Some((cursor, rows)) = list(app) {
                cursor.step(by, rows);
            }
        }
    }
}

pub(crate) fn suggested(app: &App) -> Vec<crate::filter::Suggestion> {
    let Some(Over::Filter { input, .. }) = &app.over else { return Vec::new() };
    let before: String = input.value().chars().take(input.cursor()).collect();
    suggestions(&before, app.live.views())
}

fn complete(app: &mut App) {
    let suggested = suggested(app);
    match &mut app.over {
        Some(Over::Command { input, chosen }) => {
            if let Some((name, _)) = named(input.value()).get(*chosen) {
                *input = Input::new((*name).to_owned());
            }
        }
        Some(Over::Filter { input, chosen, .. }) => {
            let Some(taken) = suggested.get(chosen.unwrap_or(0)) else { return };
            for _ in 0..taken.typed {
                input.handle(InputRequest::GoToPrevChar);
                input.handle(InputRequest::DeleteNextChar);
            }
            let end = if taken.open { "" } else { " " };
            for c in taken.to.chars().chain(end.chars()) {
                input.handle(InputRequest::InsertChar(c));
            }
            *chosen = None;
        }
        _ => {}
    }
}

fn accept(app: &mut App) {
    if matches!(app.over, Some(Over::Filter { chosen: Some(_), .. })) {
        complete(app);
        return;
    }
    match app.over.take() {
        Some(Over::Command { input, chosen }) => command(app, input.value(), chosen),
        Some(Over::Filter { input, .. }) => {
            // What a number that was followed asked beside stays.
            let beside = match app.view() {
                View::Jobs => app.jobs.filter.beside.clone(),
                _ => Vec::new(),
            };
            let q = input.value().trim().to_owned();
            let beside = if q.is_empty() { Vec::new() } else { beside };
            app.go(Spot::Jobs(Filter { q, beside }));
        }
        Some(Over::Form(form)) => form::send(app, form),
        Some(Over::Confirm { then: Then::Ask(ask), .. }) => app.ask(ask),
        Some(Over::Confirm { command, .. }) => {
            app.doctor.output = Output::begin(command.clone());
            app.over = Some(Over::Output(Cursor::default()));
            let command = ["sh", "-c", &command].map(str::to_owned).to_vec();
            app.order(Order::Run(Task::Fix, command));
        }
        Some(Over::Entry { entry, input, .. }) => match entry {
            Entry::Token if input.value().trim().is_empty() => app.decline(),
            Entry::Token => app.connect(None, Some(input.value().trim().to_owned())),
            Entry::Url => match address(input.value()) {
                // A token is for one server.
                Ok(url) => app.connect(Some(url), None),
                Err(fault) => app.over = Some(Over::Entry { entry, input, fault: Some(fault) }),
            },
        },
        other => app.over = other,
    }
}

/// `jobs` and a filter behind it is a list that is filtered.
fn command(app: &mut App, text: &str, chosen: usize) {
    if let Some(q) = text.trim().strip_prefix("jobs ") {
        app.go(Spot::Jobs(Filter::of(q.trim())));
        return;
    }
    match named(text).get(chosen) {
        Some((_, Named::View(view))) => app.go(Spot::View(*view)),
        Some((_, Named::Do(action))) => app.perform(*action),
        None => app.say(format!("There is no view “{}”: : lists them", text.trim()), Tone::Warn),
    }
}

/// The address of the selected page, if it is one of the web.
fn page(app: &App) -> Option<Result<String, String>> {
    let Some(Over::Launcher(launcher)) = &app.over else { return None };
    let found = launcher.found.as_ref()?.as_ref().ok()?;
    let url = found.url(found.entries.get(launcher.cursor.at)?);
    let web = url.starts_with("http://") || url.starts_with("https://");
    let plain = !url.contains(|c: char| c.is_control() || c.is_whitespace());
    Some(if web && plain { Ok(url) } else { Err(url) })
}

fn open(app: &mut App) {
    match page(app) {
        Some(Ok(url)) => app.order(Order::Open(url)),
        Some(Err(_)) => app.say("Its address is not of the web", Tone::Bad),
        None => {}
    }
}

fn copy(app: &mut App) {
    let text = match &app.over {
        Some(Over::Output(_)) => Some(
            app.doctor
                .output
                .said
                .lines()
                .fold(app.doctor.output.command.clone(), |text, line| format!("{text}\n{line}")),
        ),
        _ => page(app).and_then(Result::ok),
    };
    if let Some(text) = text {
        app.order(Order::Copy(text));
    }
}

pub(crate) fn clicked(app: &mut App, at: usize) {
    let again = match &mut app.over {
        Some(Over::Command { chosen, .. }) => {
            *chosen = at;
            true
        }
        Some(Over::Filter { chosen, .. }) => {
            *chosen = Some(at);
            true
        }
        Some(Over::Launcher(launcher)) => {
            let again = launcher.cursor.at == at;
            launcher.cursor.at = at;
            again
        }
        Some(Over::Form(form)) => {
            form.focus(at);
            false
        }
        _ => false,
    };
    match app.over {
        Some(Over::Launcher(_)) if again => open(app),
        Some(Over::Command { .. } | Over::Filter { .. }) if again => accept(app),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_found_by_some_of_its_letters_and_the_closest_comes_first() {
        let first = |typed: &str| named(typed).first().map(|(name, _)| *name);
        assert_eq!(first("ov"), Some("overview"));
        assert_eq!(first("j"), Some("jobs"));
        assert_eq!(first("dl"), Some("dlq"));
        assert_eq!(first("DEAD"), Some("dead letters"));
        assert_eq!(first("doc"), Some("doctor"));
        assert_eq!(first("xyz"), None);
        assert_eq!(named("").len(), NAMES.len());
    }
}
