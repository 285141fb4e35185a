//! When to use colours, and which: they repeat what the words say, and carry nothing by themselves.

use std::io::IsTerminal;
use std::sync::OnceLock;

use clap::{ColorChoice, ValueEnum};
use comfy_table::{Cell, Color};
use contracts::State;
use contracts::snapshot::AlertState;

/// What `--color` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless `NO_COLOR` is set; `CLICOLOR_FORCE` has them everywhere.
    #[default]
    Auto,
    Always,
    Never,
}

/// Said once, before anything is printed: it holds for the process, as its terminal does.
static WHEN: OnceLock<When> = OnceLock::new();

pub(crate) fn set(when: When) {
    WHEN.get_or_init(|| when);
}

/// Whether what goes to this stream is to have colours.
pub(crate) fn on(stream: &impl IsTerminal) -> bool {
    let when = WHEN.get().copied().unwrap_or_default();
    wanted(when, &|name| std::env::var(name).ok(), stream.is_terminal())
}

/// By <https://no-color.org> and <https://bixense.com/clicolors>.
fn wanted(when: When, env: &dyn Fn(&str) -> Option<String>, terminal: bool) -> bool {
    let set = |name| env(name).is_some_and(|value| !value.is_empty());
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto if set("NO_COLOR") => false,
        When::Auto if set("CLICOLOR_FORCE") && env("CLICOLOR_FORCE").as_deref() != Some("0") => {
            true
        }
        When::Auto => terminal && env("TERM").as_deref() != Some("dumb"),
    }
}

/// The same, for the help and the errors of the command line.
pub(crate) fn of_help(when: When) -> ColorChoice {
    match when {
        When::Auto => ColorChoice::Auto,
        When::Always => ColorChoice::Always,
        When::Never => ColorChoice::Never,
    }
}

/// A mark on standard error, as `error:`.
pub(crate) fn mark(text: &str, red: bool) -> String {
    match on(&std::io::stderr()) {
        true if red => format!("\u{1b}[1;31m{text}\u{1b}[0m"),
        true => format!("\u{1b}[1m{text}\u{1b}[0m"),
        false => text.to_owned(),
    }
}

/// The state of a job.
pub(crate) fn state(state: State) -> Cell {
    let cell = Cell::new(state.as_str());
    match state {
        State::Completed => cell.fg(Color::Green),
        State::Failed | State::Abandoned => cell.fg(Color::Red),
        State::Executing => cell.fg(Color::Blue),
        State::Retrying => cell.fg(Color::Yellow),
        State::Pending | State::Validated | State::Cancelled => cell,
    }
}

/// The state of an alert.
pub(crate) fn alert(state: AlertState) -> Cell {
    let cell = Cell::new(state.as_str());
    match state {
        AlertState::Firing => cell.fg(Color::Red),
        AlertState::Pending => cell.fg(Color::Yellow),
        AlertState::Resolved => cell.fg(Color::Green),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_unless_somebody_wants_it_otherwise() {
        for (when, set, terminal, expected) in [
            (When::Auto, "", true, true),
            (When::Auto, "", false, false),
            (When::Auto, "NO_COLOR=1", true, false),
            (When::Auto, "NO_COLOR=", true, true),
            (When::Auto, "CLICOLOR_FORCE=1", false, true),
            (When::Auto, "CLICOLOR_FORCE=0", false, false),
            (When::Auto, "NO_COLOR=1 CLICOLOR_FORCE=1", true, false),
            (When::Auto, "TERM=dumb", true, false),
            (When::Always, "NO_COLOR=1", false, true),
            (When::Never, "CLICOLOR_FORCE=1", true, false),
        ] {
            let env = |name: &str| {
                let mut pairs = set.split(' ').filter_map(|pair| pair.split_once('='));
                pairs.find(|(other, _)| *other == name).map(|(_, value)| value.to_owned())
            };
            assert_eq!(wanted(when, &env, terminal), expected, "{when:?} {set} {terminal}");
        }
    }
}
