//! The program as a value: what is known, where somebody is, and what a message makes of it.
//!
//! ```text
//!   Msg ──update──▶ App ──draw──▶ frame
//!                    └──orders──▶ the other threads
//! ```
//!
//! Nothing here waits, reads a clock or touches the terminal: a test drives it by messages.

use std::collections::BTreeMap;

use contracts::Micros;
use crossterm::event::{Event, KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use crate::cursor::Cursor;
use crate::filter::Filter;
use crate::hands::Task;
use crate::keys::{self, Action, Place};
use crate::live::{Live, Standing};
use crate::look::{Look, Tone};
use crate::msg::{Ask, Got, Hand, Msg, Order};
use crate::over::{Entry, Over, Then};
use crate::panel::{Panel, Row};
use crate::spot::{Spot, View};
use crate::stream::News;
use crate::views::{
    self, alerts, dataflow, doctor, job, jobs, kind, log, overview, server, workers,
};

/// Places that Esc leads back to.
const BACK: usize = 64;

/// How long something that was said stays at the bottom.
const SAID: i64 = 6_000_000;

/// Rows that a turn of the wheel moves by.
const WHEEL: isize = 3;

pub(crate) struct App {
    pub(crate) now: Micros,
    pub(crate) look: Look,
    pub(crate) url: String,
    /// The program whose `up` and `doctor` are run.
    pub(crate) program: String,
    /// The script that makes a cluster in kind, if it is at hand.
    pub(crate) kind_up: Option<String>,
    pub(crate) live: Live,
    spot: Spot,
    back: Vec<Spot>,
    pub(crate) over: Option<Over>,
    marks: BTreeMap<View, Marks>,
    pub(crate) overview: overview::Overview,
    pub(crate) jobs: jobs::Jobs,
    pub(crate) job: job::Job,
    pub(crate) alerts: alerts::Alerts,
    pub(crate) dataflow: dataflow::Dataflow,
    pub(crate) workers: workers::Workers,
    pub(crate) log: log::Log,
    pub(crate) doctor: doctor::Doctor,
    pub(crate) server: server::Server,
    pub(crate) kind: kind::Kind,
    pub(crate) orders: Vec<Order>,
    said: Option<(String, Tone, Micros)>,
    /// What a click means, as it was drawn last.
    pub(crate) hits: Vec<(Rect, Hit)>,
    /// Cells of the last frame.
    pub(crate) size: (u16, u16),
    /// The exit code, once it is to end.
    pub(crate) quit: Option<u8>,
    /// We were brought to the server's view because there is none.
    sent: bool,
    /// A token was asked for, and not given.
    declined: bool,
}

/// Where somebody is within a view.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    pub(crate) focus: usize,
    pub(crate) cursors: Vec<Cursor>,
    /// Only the part in focus is shown.
    pub(crate) alone: bool,
    /// What there is no room for in the selected row is shown.
    pub(crate) telling: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hit {
    View(View),
    /// A row of a part.
    Row(usize, usize),
    /// A part beside its rows.
    Part(usize),
    /// A row of what lies over the view.
    Over(usize),
}

/// How soon a frame is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    Never,
    /// With the next frame that data may have.
    Soon,
    AtOnce,
}

impl App {
    pub(crate) fn new(look: Look, url: String, program: String, now: Micros) -> App {
        App {
            now,
            look,
            url,
            program,
            kind_up: None,
            live: Live::default(),
            spot: Spot::View(View::Overview),
            back: Vec::new(),
            over: None,
            marks: BTreeMap::new(),
            overview: overview::Overview::default(),
            jobs: jobs::Jobs::default(),
            job: job::Job::default(),
            alerts: alerts::Alerts::default(),
            dataflow: dataflow::Dataflow::default(),
            workers: workers::Workers::default(),
            log: log::Log::default(),
            doctor: doctor::Doctor::default(),
            server: server::Server::default(),
            kind: kind::Kind::default(),
            orders: Vec::new(),
            said: None,
            hits: Vec::new(),
            size: (80, 24),
            quit: None,
            sent: false,
            declined: false,
        }
    }

    pub(crate) fn view(&self) -> View {
        self.spot.view()
    }

    pub(crate) fn place(&self) -> Place {
        self.over.as_ref().map_or(Place::View(self.view()), Over::place)
    }

    pub(crate) fn standing(&self) -> Standing {
        self.live.standing(self.now)
    }

    pub(crate) fn marks(&self) -> Marks {
        self.marks.get(&self.view()).cloned().unwrap_or_default()
    }

    pub(crate) fn marks_mut(&mut self) -> &mut Marks {
        self.marks.entry(self.view()).or_default()
    }

    /// The cursor of a part of the view.
    pub(crate) fn cursor_mut(&mut self, part: usize) -> &mut Cursor {
        let marks = self.marks_mut();
        if marks.cursors.len() <= part {
            marks.cursors.resize(part + 1, Cursor::default());
        }
        &mut marks.cursors[part]
    }

    pub(crate) fn cursor(&self, part: usize) -> Cursor {
        self.marks
            .get(&self.view())
            .and_then(|marks| marks.cursors.get(part))
            .copied()
            .unwrap_or_default()
    }

    /// Says something at the bottom for a while.
    pub(crate) fn say(&mut self, text: impl Into<String>, tone: Tone) {
        self.said = Some((text.into(), tone, self.now));
    }

    pub(crate) fn said(&self) -> Option<(&str, Tone)> {
        let (text, tone, at) = self.said.as_ref()?;
        (self.now.0 - at.0 < SAID).then_some((text.as_str(), *tone))
    }

    pub(crate) fn order(&mut self, order: Order) {
        self.orders.push(order);
    }

    pub(crate) fn ask(&mut self, ask: Ask) {
        self.orders.push(Order::Ask(ask));
    }

    /// Takes a message in.
    pub(crate) fn update(&mut self, msg: Msg, now: Micros) -> Due {
        self.now = now;
        let due = match msg {
            Msg::Input(event) => self.input(&event),
            Msg::Hangup => self.end(129),
            Msg::Signal(signal) => {
                self.end(128_u8.saturating_add(u8::try_from(signal).unwrap_or(0)))
            }
            Msg::News(news) => self.heard(news),
            Msg::Got(got) => self.got(got),
            Msg::Hand(hand) => self.hand(hand),
        };
        self.tick();
        due
    }

    /// Time has gone by; whether that is to be seen.
    pub(crate) fn wait(&mut self, now: Micros) -> Due {
        self.now = now;
        self.live.sample(now);
        self.tick();
        Due::Soon
    }

    fn end(&mut self, code: u8) -> Due {
        self.quit = Some(code);
        Due::Never
    }

    fn input(&mut self, event: &Event) -> Due {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                self.key(key);
                Due::AtOnce
            }
            Event::Mouse(mouse) => self.mouse(mouse),
            Event::Paste(text) => {
                if let Some(input) = self.over.as_mut().and_then(Over::input) {
                    crate::over::paste(input, text);
                }
                Due::AtOnce
            }
            Event::Resize(..) => Due::AtOnce,
            _ => Due::Never,
        }
    }

    fn key(&mut self, key: &KeyEvent) {
        // What was said has been read.
        self.said = None;
        match keys::action(self.place(), key) {
            Some(action) if self.over.is_some() => crate::over::act(self, action),
            Some(action) => self.act(action),
            None => crate::over::typed(self, key),
        }
    }

    fn mouse(&mut self, mouse: &MouseEvent) -> Due {
        let at = Position::new(mouse.column, mouse.row);
        // What was drawn last lies on top.
        let hit = self.hits.iter().rev().find(|(area, _)| area.contains(at)).map(|(_, hit)| *hit);
        match (mouse.kind, hit) {
            (MouseEventKind::Down(MouseButton::Left), Some(Hit::View(view))) => {
                self.over = None;
                self.go(Spot::View(view));
            }
            (MouseEventKind::Down(MouseButton::Left), Some(Hit::Row(part, at)))
                if self.over.is_none() =>
            {
                let again = self.marks().focus == part && self.cursor(part).at == at;
                self.marks_mut().focus = part;
                self.cursor_mut(part).at = at;
                if again {
                    let key = if self.view() == View::Job { Action::Expand } else { Action::In };
                    self.act(key);
                }
            }
            (MouseEventKind::Down(MouseButton::Left), Some(Hit::Part(part)))
                if self.over.is_none() =>
            {
                self.marks_mut().focus = part;
            }
            (MouseEventKind::Down(MouseButton::Left), Some(Hit::Over(at))) => {
                crate::over::clicked(self, at);
            }
            (MouseEventKind::ScrollDown | MouseEventKind::ScrollUp, hit) => {
                if let (None, Some(Hit::Row(part, _) | Hit::Part(part))) = (&self.over, hit) {
                    self.marks_mut().focus = part;
                }
                let down = mouse.kind == MouseEventKind::ScrollDown;
                self.step(if down { WHEEL } else { -WHEEL });
            }
            // Most of what a mouse says is that it moves.
            _ => return Due::Never,
        }
        Due::AtOnce
    }

    /// Moves in what lies over the view, or in the part in focus.
    fn step(&mut self, by: isize) {
        if self.over.is_some() {
            crate::over::step(self, by);
            return;
        }
        let part = self.marks().focus;
        let rows = self.rows(part);
        let first = if self.view() == View::Jobs { self.jobs.n_before() } else { 0 };
        let cursor = self.cursor_mut(part);
        cursor.step(by, rows);
        cursor.at = cursor.at.max(first);
        self.moved();
    }

    /// Rows of a part that there are to be selected.
    fn rows(&self, part: usize) -> usize {
        match self.view() {
            View::Jobs => self.jobs.n_loaded(),
            _ => views::panels(self).get(part).map_or(0, Panel::n_rows),
        }
    }

    /// The list of jobs reads on where somebody comes near its end.
    fn moved(&mut self) {
        if self.view() == View::Jobs {
            let cursor = self.cursor(0);
            let ask = self.jobs.near(cursor);
            self.orders.extend(ask.map(Order::Ask));
        }
    }

    /// The selected row.
    pub(crate) fn selected(&self) -> Option<Row> {
        let part = self.marks().focus;
        let at = self.cursor(part).at;
        views::panels(self).get(part)?.row(at).cloned()
    }

    /// Does what a command names.
    pub(crate) fn perform(&mut self, action: Action) {
        self.act(action);
    }

    fn act(&mut self, action: Action) {
        let part = self.marks().focus;
        let cursor = self.cursor(part);
        match action {
            Action::Down => self.step(1),
            Action::Up => self.step(-1),
            Action::PageDown => self.step(cursor.half()),
            Action::PageUp => self.step(-cursor.half()),
            Action::Top if self.view() == View::Jobs => {
                self.cursor_mut(0).at = 0;
                let ask = self.jobs.run_to_top(self.now);
                self.orders.extend(ask.map(Order::Ask));
            }
            Action::Bottom if self.view() == View::Jobs => {
                let end = self.jobs.n_loaded().saturating_sub(1);
                self.cursor_mut(0).at = end;
                let ask = self.jobs.run_to_end();
                self.orders.extend(ask.map(Order::Ask));
            }
            Action::Top => self.cursor_mut(part).at = 0,
            Action::Bottom => self.cursor_mut(part).at = self.rows(part).saturating_sub(1),
            Action::In => self.enter(),
            Action::Back => self.leave(),
            Action::NextPart | Action::PrevPart => {
                let parts = views::panels(self).len().max(1);
                let by = if action == Action::NextPart { 1 } else { parts - 1 };
                self.marks_mut().focus = (part + by) % parts;
            }
            Action::Go(view) => self.go(Spot::View(view)),
            Action::Command => self.over = Some(Over::command()),
            Action::Filter => {
                let q = if self.view() == View::Jobs {
                    self.jobs.filter.q.clone()
                } else {
                    String::new()
                };
                self.over = Some(Over::filter(q, None));
            }
            Action::Help => self.over = Some(Over::Help(Cursor::default())),
            Action::Freeze => {
                self.live.freeze();
                self.log.hold();
                match (self.live.frozen(), self.live.views()) {
                    (true, _) => self.say("Frozen; f goes on", Tone::Warn),
                    (false, None) => self.say("There is nothing to freeze yet", Tone::Warn),
                    (false, Some(_)) => self.say("It goes on", Tone::Good),
                }
            }
            Action::Expand => self.expand(),
            Action::Sort => self.sort(),
            Action::Window => {
                let said = self.overview.next_window();
                self.say(said, Tone::Fine);
            }
            Action::Measure => {
                let said = self.overview.next_measure();
                self.say(said, Tone::Fine);
            }
            Action::Copy => match self.selected().filter(|row| !row.copy.is_empty()) {
                Some(row) => self.order(Order::Copy(row.copy)),
                None => self.say("There is nothing to copy here", Tone::Warn),
            },
            Action::Theme => {
                self.look.next_theme();
                let said = match self.look.colors {
                    true => format!("Theme: {}", self.look.theme.word()),
                    false => {
                        "Colours are off: by --color never, NO_COLOR or the terminal".to_owned()
                    }
                };
                self.say(said, Tone::Fine);
            }
            Action::Acknowledge => alerts::acknowledge(self),
            Action::Silence => alerts::silence(self),
            Action::Unsay => alerts::unsay(self),
            Action::NewTask => self.over = Some(Over::form(self.live.views())),
            Action::Launcher => {
                self.over = Some(Over::launcher());
                self.ask(Ask::Registry);
            }
            Action::Refresh => {
                self.order(Order::Wake);
                self.read();
                self.say("Reading again", Tone::Fine);
            }
            Action::Suspend => self.order(Order::Suspend),
            Action::Quit => self.quit = Some(0),
            // They belong to what lies over a view.
            Action::Complete | Action::Toggle | Action::Accept | Action::Close | Action::Stop => {}
        }
    }

    fn enter(&mut self) {
        let Some(row) = self.selected() else { return };
        match (self.view(), row.to) {
            (_, Some(to)) => self.go(to),
            (View::Letters, None) if !row.copy.is_empty() => self.order(Order::Copy(row.copy)),
            (View::Doctor, None) => match row.copy.is_empty() {
                true => self.say("Nothing is to be repaired there", Tone::Fine),
                false => self.over = Some(Over::confirm("Run this?", row.copy, Then::Run)),
            },
            (View::Server, None) => server::chosen(self),
            _ => {}
        }
    }

    fn expand(&mut self) {
        match self.view() {
            View::Overview => {
                let marks = self.marks_mut();
                marks.alone = !marks.alone;
            }
            View::Job => {
                let Some(row) = self.selected() else { return };
                match (row.event, row.to) {
                    (Some(event), _) => self.job.toggle(event),
                    (None, Some(to)) => self.go(to),
                    (None, None) => {}
                }
            }
            _ => {
                let marks = self.marks_mut();
                marks.telling = !marks.telling;
            }
        }
    }

    fn sort(&mut self) {
        let said = match self.view() {
            View::Overview => self.overview.next_sort(),
            View::Dataflow => self.dataflow.next_sort(),
            _ => {
                *self.cursor_mut(0) = Cursor::default();
                let said = self.jobs.next_sort();
                let ask = self.jobs.begin(self.now);
                self.ask(ask);
                said
            }
        };
        self.say(said, Tone::Fine);
    }

    /// Goes to a place; Esc leads back.
    pub(crate) fn go(&mut self, to: Spot) {
        let here = match &self.spot {
            Spot::View(View::Jobs) => Spot::Jobs(self.jobs.filter.clone()),
            spot => spot.clone(),
        };
        if here != to {
            self.back.push(here);
            if self.back.len() > BACK {
                self.back.remove(0);
            }
        }
        self.arrive(to);
    }

    fn leave(&mut self) {
        let to = self.back.pop().unwrap_or(Spot::View(View::Overview));
        self.arrive(to);
    }

    fn arrive(&mut self, to: Spot) {
        self.spot = to.clone();
        let filter = match &to {
            Spot::Jobs(filter) => Some(filter.clone()),
            // The list by its name is the whole list.
            Spot::View(View::Jobs) => Some(Filter::default()),
            _ => None,
        };
        if let Some(filter) =
            filter.filter(|filter| *filter != self.jobs.filter || !self.jobs.read())
        {
            self.jobs.set(filter);
            *self.cursor_mut(0) = Cursor::default();
        }
        if let Spot::Job(id) = to {
            self.job.set(id);
            self.marks.remove(&View::Job);
        }
        // Whoever comes back to an older page finds it as they left it.
        if self.view() == View::Jobs && self.jobs.read() && self.jobs.deep(self.cursor(0)) {
            return;
        }
        self.read();
    }

    /// Reads what the view shows.
    fn read(&mut self) {
        let asks = match self.view() {
            View::Overview => vec![self.overview.read(self.now)],
            View::Jobs => vec![self.jobs.begin(self.now)],
            View::Job => self.job.read(self.now).into_iter().collect(),
            View::Alerts => vec![Ask::Resolved, Ask::Rules, Ask::Notes],
            View::Dataflow => vec![self.dataflow.read(self.now)],
            View::Workers => vec![self.workers.read(self.now)],
            View::Doctor => {
                doctor::run(self);
                Vec::new()
            }
            View::Letters | View::Log | View::Server => Vec::new(),
        };
        self.orders.extend(asks.into_iter().map(Order::Ask));
    }

    /// Asks what is due. While it is frozen, or nobody answers, nothing is.
    fn tick(&mut self) {
        if self.live.frozen() || !self.live.connected {
            return;
        }
        let top = self.cursor(0);
        let ask = match self.view() {
            View::Overview => self.overview.due(self.now),
            View::Jobs => self.jobs.due(top, self.now),
            View::Job => self.job.due(self.now),
            View::Dataflow => self.dataflow.due(self.now),
            View::Workers => self.workers.due(self.now),
            View::Alerts => self.alerts.due(self.now),
            View::Letters | View::Log | View::Doctor | View::Server => None,
        };
        self.orders.extend(ask.map(Order::Ask));
    }

    fn heard(&mut self, news: News) -> Due {
        match news {
            News::Clock(skew) => self.live.clock(skew),
            News::Snapshot(snapshot) => {
                let first = !self.live.connected;
                self.live.snapshot(*snapshot, self.now);
                let as_of = self.live.views().and_then(|views| views.as_of);
                self.log.anew(as_of.unwrap_or(self.now));
                self.jobs.changed();
                self.job.changed(None);
                self.alerts.changed();
                if first {
                    self.ask(Ask::Demo);
                }
                if std::mem::take(&mut self.sent) && self.view() == View::Server {
                    self.back.clear();
                    self.arrive(Spot::View(View::Overview));
                }
            }
            News::Delta(delta) => {
                let ids = (!delta.more).then(|| delta.changed_jobs.clone());
                if ids.as_ref().is_none_or(|ids| !ids.is_empty()) {
                    self.jobs.changed();
                    self.job.changed(ids.as_deref());
                }
                let as_of = delta.as_of.unwrap_or(self.now);
                let (jobs, more) = (delta.changed_jobs.clone(), delta.more);
                let changes = self.live.delta(*delta, self.now);
                if changes.iter().any(|change| matches!(change, crate::fold::Change::Alert { .. }))
                {
                    self.alerts.changed();
                }
                self.log.add(as_of, changes, jobs, more);
            }
            News::Lost { trouble, again } => {
                let again_at = Micros(self.now.0 + i64::try_from(again.as_micros()).unwrap_or(0));
                let (status, first) = (trouble.status, self.live.views().is_none());
                self.live.lost(trouble, again_at);
                match status {
                    401 | 403 if self.over.is_none() && !self.declined => {
                        self.over = Some(Over::entry(Entry::Token));
                    }
                    0 if first
                        && self.spot == Spot::View(View::Overview)
                        && self.back.is_empty() =>
                    {
                        self.sent = true;
                        self.spot = Spot::View(View::Server);
                    }
                    _ => {}
                }
            }
        }
        Due::Soon
    }

    fn got(&mut self, got: Got) -> Due {
        match got {
            Got::Jobs { turn, page, found } => {
                let cursor = self.cursor(0);
                let taken = self.jobs.got(turn, page, found, cursor);
                if self.view() == View::Jobs {
                    if let Some(at) = taken.cursor {
                        self.cursor_mut(0).at = at;
                    }
                    if let (Some((at, fault)), None) = (taken.fault, &self.over) {
                        let q = self.jobs.filter.q.clone();
                        self.over = Some(Over::filter(q, Some((at, fault))));
                    }
                }
                self.orders.extend(taken.ask.map(Order::Ask));
            }
            Got::Job { id, found } => self.job.got(id, found),
            Got::Resolved(found) => self.alerts.resolved = Some(found),
            Got::Rules(found) => self.alerts.rules = Some(found),
            Got::Notes(found) => self.alerts.notes = Some(found),
            Got::Noted(done) => {
                match done {
                    Ok(()) => self.say("Everybody sees it now", Tone::Good),
                    Err(trouble) => self.say(format!("Not done: {trouble}"), Tone::Bad),
                }
                self.ask(Ask::Notes);
            }
            Got::Workers(found) => self.workers.got(found),
            Got::Dataflow { found, at } => self.dataflow.got(found, at),
            Got::History(found) => self.overview.got(found),
            Got::Registry(found) => {
                if let Some(Over::Launcher(launcher)) = &mut self.over {
                    launcher.found = Some(found);
                }
            }
            Got::Demo(demo) => self.live.demo = demo,
            Got::Submitted(found) => crate::over::form::submitted(self, found),
        }
        Due::Soon
    }

    fn hand(&mut self, hand: Hand) -> Due {
        match hand {
            Hand::Line(Task::Demo, line) => {
                self.server.line(line);
                // It may be there by now.
                if !self.live.connected {
                    self.order(Order::Wake);
                }
            }
            Hand::Ended(Task::Demo, ended) => self.server.ended(ended),
            Hand::Line(Task::Kind, line) => {
                if self.kind.line(line) && !self.live.connected {
                    self.order(Order::Wake);
                }
            }
            Hand::Ended(Task::Kind, ended) => self.kind.ended(ended),
            Hand::Line(_, line) => self.doctor.output.line(line),
            Hand::Ended(_, ended) => {
                self.doctor.output.end(ended);
                doctor::run(self);
            }
            Hand::Checked(checked) => self.doctor.got(checked),
            Hand::Said(text) => self.say(text, Tone::Good),
            Hand::Unopened { url, why } => match &mut self.over {
                Some(Over::Launcher(launcher)) => launcher.unopened = Some((url, why)),
                _ => self.say(format!("{why}: open {url} yourself"), Tone::Warn),
            },
        }
        Due::Soon
    }

    /// Goes to another server, or to the same with a token.
    pub(crate) fn connect(&mut self, url: Option<String>, token: Option<String>) {
        if let Some(url) = url.filter(|url| *url != self.url) {
            self.url = url;
            self.live.leave();
            self.log = log::Log::default();
            self.sent = true;
        }
        self.declined = false;
        self.order(Order::Move { url: self.url.clone(), token });
        self.order(Order::Wake);
    }

    pub(crate) fn decline(&mut self) {
        self.declined = true;
    }
}
