//! Which key does what, and where: the one table that keys are dispatched by and `?` is made of.
//!
//! ```text
//!   key ──(place, key)──▶ BINDINGS ──▶ Action ──▶ App
//!                            └──(place)──▶ the lines of `?`, the hints at the bottom
//! ```
//!
//! # Invariants
//!
//! 1. In a place a key means one thing.
//! 2. A key that does something is listed where it does it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::spot::View;

/// Where keys go: the view, or what lies over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    View(View),
    Help,
    /// `:`
    Command,
    /// `/`
    Filter,
    Form,
    Launcher,
    Confirm,
    Output,
    /// An address or a token is typed.
    Entry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Down,
    Up,
    PageDown,
    PageUp,
    Top,
    Bottom,
    In,
    Back,
    NextPart,
    PrevPart,
    Go(View),
    Command,
    Filter,
    Help,
    Freeze,
    Expand,
    Sort,
    Window,
    Measure,
    Copy,
    Theme,
    NewTask,
    Acknowledge,
    Silence,
    /// Takes back what was said of alerts.
    Unsay,
    Launcher,
    Refresh,
    Suspend,
    Quit,
    /// Takes the suggestion.
    Complete,
    Toggle,
    Accept,
    Close,
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    code: KeyCode,
    ctrl: bool,
}

pub(crate) struct Binding {
    pub(crate) keys: &'static [Key],
    pub(crate) action: Action,
    pub(crate) places: &'static [Place],
    pub(crate) words: &'static str,
    /// It is among the hints at the bottom of a view.
    pub(crate) hint: &'static str,
}

const fn c(c: char) -> Key {
    Key { code: KeyCode::Char(c), ctrl: false }
}

const fn ctrl(c: char) -> Key {
    Key { code: KeyCode::Char(c), ctrl: true }
}

const fn k(code: KeyCode) -> Key {
    Key { code, ctrl: false }
}

const fn on(
    keys: &'static [Key],
    action: Action,
    places: &'static [Place],
    words: &'static str,
) -> Binding {
    Binding { keys, action, places, words, hint: "" }
}

impl Binding {
    const fn hint(self, hint: &'static str) -> Binding {
        Binding { hint, ..self }
    }
}

const OVERVIEW: Place = Place::View(View::Overview);
const JOBS: Place = Place::View(View::Jobs);
const JOB: Place = Place::View(View::Job);
const ALERTS: Place = Place::View(View::Alerts);
const DATAFLOW: Place = Place::View(View::Dataflow);
const LETTERS: Place = Place::View(View::Letters);
const LOG: Place = Place::View(View::Log);
const DOCTOR: Place = Place::View(View::Doctor);
const SERVER: Place = Place::View(View::Server);
const WORKERS: Place = Place::View(View::Workers);

/// Every view.
pub(crate) const VIEWS: &[Place] =
    &[OVERVIEW, JOBS, ALERTS, DATAFLOW, LETTERS, LOG, DOCTOR, SERVER, WORKERS, JOB];
/// Views of more than one part.
const PARTS: &[Place] = &[OVERVIEW, ALERTS, DATAFLOW];
const SCROLLED: &[Place] = &[
    OVERVIEW,
    JOBS,
    ALERTS,
    DATAFLOW,
    LETTERS,
    LOG,
    DOCTOR,
    SERVER,
    JOB,
    Place::Help,
    Place::Launcher,
    Place::Output,
];
const TYPED: &[Place] = &[Place::Command, Place::Filter, Place::Form, Place::Entry];

/// What is there for all of them, last what is special to one.
pub(crate) const BINDINGS: &[Binding] = &[
    on(&[c('j'), k(KeyCode::Down)], Action::Down, SCROLLED, "down"),
    on(&[c('k'), k(KeyCode::Up)], Action::Up, SCROLLED, "up"),
    on(&[c('g'), k(KeyCode::Home)], Action::Top, SCROLLED, "to the first"),
    on(&[c('G'), k(KeyCode::End)], Action::Bottom, SCROLLED, "to the last"),
    on(&[ctrl('d'), k(KeyCode::PageDown)], Action::PageDown, SCROLLED, "half a page down"),
    on(&[ctrl('u'), k(KeyCode::PageUp)], Action::PageUp, SCROLLED, "half a page up"),
    on(&[k(KeyCode::Enter)], Action::In, &[OVERVIEW, ALERTS], "the jobs behind it").hint("jobs"),
    on(&[k(KeyCode::Enter)], Action::In, &[JOBS], "the job").hint("job"),
    on(&[k(KeyCode::Enter), c('e')], Action::Expand, &[JOB], "the event; jobs like it")
        .hint("event"),
    on(&[k(KeyCode::Enter)], Action::In, &[LETTERS], "copy how to list them").hint("copy"),
    on(&[k(KeyCode::Enter)], Action::In, &[LOG], "what is behind it").hint("in"),
    on(&[k(KeyCode::Enter)], Action::In, &[DOCTOR], "run the fix, if confirmed").hint("fix"),
    on(&[k(KeyCode::Enter)], Action::In, &[SERVER], "do it").hint("do"),
    on(&[k(KeyCode::Tab)], Action::NextPart, PARTS, "the next part").hint("part"),
    on(&[k(KeyCode::BackTab)], Action::PrevPart, PARTS, "the part before"),
    on(&[c('e')], Action::Expand, &[OVERVIEW], "only this part, or all").hint("expand"),
    on(&[c('e')], Action::Expand, &[JOBS, ALERTS, LOG, DOCTOR, WORKERS], "all of the row")
        .hint("expand"),
    on(&[c('s')], Action::Sort, &[OVERVIEW, JOBS, DATAFLOW], "sort by something else").hint("sort"),
    on(&[c('t')], Action::Window, &[OVERVIEW], "another window of time").hint("window"),
    on(&[c('m')], Action::Measure, &[OVERVIEW], "another latency").hint("measure"),
    on(&[c('a')], Action::Acknowledge, &[ALERTS], "say that you are at it").hint("seen"),
    on(&[c('s')], Action::Silence, &[ALERTS], "silence it for an hour").hint("silence"),
    on(&[c('x')], Action::Unsay, &[ALERTS], "take back, or end a silence"),
    on(&[c('/')], Action::Filter, VIEWS, "filter the jobs").hint("filter"),
    on(&[c(':')], Action::Command, VIEWS, "go to a view by its name").hint("view"),
    on(&[k(KeyCode::Esc)], Action::Back, VIEWS, "back to where you were"),
    on(&[c('f')], Action::Freeze, VIEWS, "freeze, and go on").hint("freeze"),
    on(&[c('n'), c('9')], Action::NewTask, VIEWS, "add a task").hint("new"),
    on(&[c('y')], Action::Copy, VIEWS, "copy what is selected"),
    on(&[c('r')], Action::Refresh, VIEWS, "read again; connect again"),
    on(&[c('u')], Action::Launcher, VIEWS, "other pages, in a browser"),
    on(&[c('T')], Action::Theme, VIEWS, "another theme"),
    on(&[c('1')], Action::Go(View::Overview), VIEWS, "overview"),
    on(&[c('2')], Action::Go(View::Jobs), VIEWS, "jobs"),
    on(&[c('3')], Action::Go(View::Alerts), VIEWS, "alerts"),
    on(&[c('4')], Action::Go(View::Dataflow), VIEWS, "dataflow"),
    on(&[c('5')], Action::Go(View::Letters), VIEWS, "dead letters"),
    on(&[c('6')], Action::Go(View::Log), VIEWS, "log of what just changed"),
    on(&[c('7')], Action::Go(View::Doctor), VIEWS, "doctor"),
    on(&[c('8')], Action::Go(View::Server), VIEWS, "the server"),
    on(&[c('0')], Action::Go(View::Workers), VIEWS, "workers"),
    on(&[c('?')], Action::Help, VIEWS, "these keys").hint("keys"),
    on(&[ctrl('z')], Action::Suspend, VIEWS, "stop; `fg` goes on"),
    on(&[c('q'), ctrl('c')], Action::Quit, VIEWS, "quit").hint("quit"),
    on(&[k(KeyCode::Esc), c('?'), c('q')], Action::Close, &[Place::Help], "close"),
    on(&[k(KeyCode::Enter)], Action::Accept, &[Place::Command], "go there"),
    on(&[k(KeyCode::Enter)], Action::Accept, &[Place::Filter], "filter"),
    on(&[k(KeyCode::Enter)], Action::Accept, &[Place::Form], "send"),
    on(&[k(KeyCode::Enter)], Action::Accept, &[Place::Entry], "take it"),
    on(&[k(KeyCode::Tab)], Action::Complete, &[Place::Command, Place::Filter], "complete"),
    on(&[k(KeyCode::Down)], Action::Down, &[Place::Command, Place::Filter], "next"),
    on(&[k(KeyCode::Up)], Action::Up, &[Place::Command, Place::Filter], "before"),
    on(&[k(KeyCode::Tab), k(KeyCode::Down)], Action::NextPart, &[Place::Form], "next"),
    on(&[k(KeyCode::BackTab), k(KeyCode::Up)], Action::PrevPart, &[Place::Form], "before"),
    on(&[c(' ')], Action::Toggle, &[Place::Form], "yes or no"),
    on(&[k(KeyCode::Enter)], Action::In, &[Place::Launcher], "open"),
    on(&[c('y')], Action::Copy, &[Place::Launcher], "copy the address"),
    on(&[k(KeyCode::Esc), c('u'), c('q')], Action::Close, &[Place::Launcher], "close"),
    on(&[c('y')], Action::Accept, &[Place::Confirm], "yes"),
    on(&[c('n'), k(KeyCode::Esc), c('q')], Action::Close, &[Place::Confirm], "no"),
    on(&[c('x')], Action::Stop, &[Place::Output], "stop it"),
    on(&[c('y')], Action::Copy, &[Place::Output], "copy all of it"),
    on(&[k(KeyCode::Esc), c('q')], Action::Close, &[Place::Output], "close; it goes on"),
    on(&[k(KeyCode::Esc)], Action::Close, TYPED, "close"),
    on(
        &[ctrl('c')],
        Action::Close,
        &[
            Place::Help,
            Place::Command,
            Place::Filter,
            Place::Form,
            Place::Launcher,
            Place::Confirm,
            Place::Output,
            Place::Entry,
        ],
        "close",
    ),
];

/// What a key does in a place.
pub(crate) fn action(place: Place, event: &KeyEvent) -> Option<Action> {
    let key = Key::of(event);
    BINDINGS
        .iter()
        .find(|binding| binding.places.contains(&place) && binding.keys.contains(&key))
        .map(|binding| binding.action)
}

/// What is bound in a place.
pub(crate) fn bound(place: Place) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |binding| binding.places.contains(&place))
}

impl Key {
    fn of(event: &KeyEvent) -> Key {
        // A capital comes as itself, with or without the shift that made it.
        let KeyEvent { code, modifiers, .. } = *event;
        Key { code, ctrl: modifiers.contains(KeyModifiers::CONTROL) }
    }

    pub(crate) fn name(self) -> String {
        match self.code {
            KeyCode::Char(' ') => "Space".to_owned(),
            KeyCode::Char(c) if self.ctrl => format!("Ctrl-{c}"),
            KeyCode::Char(c) => c.to_string(),
            KeyCode::PageDown => "PgDn".to_owned(),
            KeyCode::PageUp => "PgUp".to_owned(),
            KeyCode::BackTab => "Shift-Tab".to_owned(),
            code => format!("{code:?}"),
        }
    }
}

impl Binding {
    /// Its keys, as they are written.
    pub(crate) fn names(&self) -> String {
        self.keys.iter().map(|key| key.name()).collect::<Vec<_>>().join(" ")
    }

    /// It moves in a list, as the same keys do everywhere.
    pub(crate) fn moves(&self) -> bool {
        use Action::{Bottom, Down, PageDown, PageUp, Top, Up};
        matches!(self.action, Down | Up | PageDown | PageUp | Top | Bottom)
    }

    /// The first of them.
    pub(crate) fn name(&self) -> String {
        self.keys.first().map(|key| key.name()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const OVER: &[Place] = &[
        Place::Help,
        Place::Command,
        Place::Filter,
        Place::Form,
        Place::Launcher,
        Place::Confirm,
        Place::Output,
        Place::Entry,
    ];

    fn event(key: Key) -> KeyEvent {
        let modifiers = if key.ctrl { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
        KeyEvent::new(key.code, modifiers)
    }

    #[test]
    fn in_a_place_a_key_means_one_thing_and_no_binding_is_out_of_reach() {
        for place in VIEWS.iter().chain(OVER) {
            let mut seen = BTreeSet::new();
            for binding in bound(*place) {
                for key in binding.keys {
                    assert!(seen.insert(key.name()), "{} twice in {place:?}", key.name());
                    assert_eq!(action(*place, &event(*key)), Some(binding.action));
                }
            }
        }
        for binding in BINDINGS {
            assert!(!binding.places.is_empty() && !binding.keys.is_empty(), "{}", binding.words);
        }
    }

    #[test]
    fn a_key_that_types_is_not_taken_where_something_is_typed() {
        for place in TYPED {
            for key in ['a', 'q', 'y', '?', ':', '/', '1', 'j'] {
                assert_eq!(action(*place, &event(c(key))), None, "{key} in {place:?}");
            }
        }
    }

    #[test]
    fn every_view_can_be_left_and_every_place_closed() {
        let esc = event(k(KeyCode::Esc));
        for place in VIEWS {
            assert_eq!(action(*place, &esc), Some(Action::Back));
            assert_eq!(action(*place, &event(c('q'))), Some(Action::Quit));
        }
        for place in OVER {
            assert_eq!(action(*place, &esc), Some(Action::Close));
        }
    }

    #[test]
    fn a_capital_is_known_with_and_without_its_shift() {
        for modifiers in [KeyModifiers::NONE, KeyModifiers::SHIFT] {
            let key = KeyEvent::new(KeyCode::Char('G'), modifiers);
            assert_eq!(action(JOBS, &key), Some(Action::Bottom));
        }
    }
}
