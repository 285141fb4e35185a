//! The list of jobs, of any length: a window of some pages is held, the rest is asked for by cursor.
//!
//! ```text
//!   page:     0 … 41   42   43   44   45 … 499
//!                      └── held ──┘
//!   starts:  a cursor for each page that was ever reached: the way back
//! ```
//!
//! Rows, total and moment are of one read. While the first rows are looked at, the list is read
//! again when jobs change, at most every two seconds; an older page stays as it was read.
//!
//! # Invariants
//!
//! 1. At most [`HELD`] pages are in memory, and only rows that are seen are laid out.
//! 2. An answer to a question that is no longer asked changes nothing.
//!
//! The API lists the newest first and knows no other order. Sorted otherwise, the list is the newest
//! [`SORTED`] that match, and says so.

use std::cmp::Reverse;
use std::collections::VecDeque;

use contracts::view::Page;
use contracts::{JobView, Micros};

use crate::app::App;
use crate::cursor::Cursor;
use crate::filter::Filter;
use crate::http::Trouble;
use crate::look::Tone;
use crate::msg::Ask;
use crate::panel::{Col, Panel, Row};
use crate::spot::Spot;
use crate::words::{between, clock, count, of_error, of_state, seconds};

/// Rows of a page: some screens.
const PAGE: usize = 200;
/// Pages that are held.
const HELD: usize = 3;
/// Rows that are sorted here: the most that the API gives at once.
const SORTED: usize = 1_000;
/// Between two reads of the same page.
const AGAIN: i64 = 2_000_000;

#[derive(Default)]
pub(crate) struct Jobs {
    pub(crate) filter: Filter,
    sort: Sort,
    pages: VecDeque<Vec<JobView>>,
    /// The number of the first page that is held.
    first: usize,
    starts: Vec<Option<String>>,
    pub(crate) total: Option<u64>,
    pub(crate) as_of: Option<Micros>,
    pub(crate) trouble: Option<Trouble>,
    /// Counts what was asked for anew.
    turn: u64,
    /// The page that is asked for.
    asked: Option<usize>,
    asked_at: Micros,
    due: bool,
    /// It reads on until there is no more.
    running: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sort {
    #[default]
    Newest,
    Longest,
    Waited,
    Type,
    State,
}

impl Sort {
    fn words(self) -> &'static str {
        match self {
            Sort::Newest => "newest first",
            Sort::Longest => "those that took longest first",
            Sort::Waited => "those that waited longest first",
            Sort::Type => "by type",
            Sort::State => "by state",
        }
    }
}

/// What an answer leads to.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) ask: Option<Ask>,
    /// Where the cursor is now.
    pub(crate) cursor: Option<usize>,
    /// The filter can not be read: where, and why.
    pub(crate) fault: Option<(usize, String)>,
}

impl Jobs {
    /// Another list.
    pub(crate) fn set(&mut self, filter: Filter) {
        let turn = self.turn + 1;
        *self = Jobs { filter, sort: self.sort, turn, ..Jobs::default() };
    }

    /// Whether anything was read of it.
    pub(crate) fn read(&self) -> bool {
        self.total.is_some() || self.trouble.is_some()
    }

    pub(crate) fn changed(&mut self) {
        self.due = true;
    }

    pub(crate) fn next_sort(&mut self) -> String {
        self.sort = match self.sort {
            Sort::Newest => Sort::Longest,
            Sort::Longest => Sort::Waited,
            Sort::Waited => Sort::Type,
            Sort::Type => Sort::State,
            Sort::State => Sort::Newest,
        };
        self.pages.clear();
        self.sort.words().to_owned()
    }

    /// Asks from the beginning.
    pub(crate) fn begin(&mut self, now: Micros) -> Ask {
        self.turn += 1;
        (self.asked_at, self.due, self.running) = (now, false, false);
        self.ask(0)
    }

    fn ask(&mut self, page: usize) -> Ask {
        self.asked = Some(page);
        let cursor = if page == 0 { None } else { self.starts.get(page).cloned().flatten() };
        let limit = if self.sort == Sort::Newest { PAGE } else { SORTED };
        Ask::Jobs { turn: self.turn, page, path: self.filter.path(limit, cursor.as_deref()) }
    }

    /// Reads again what is looked at, if it has changed.
    pub(crate) fn due(&mut self, cursor: Cursor, now: Micros) -> Option<Ask> {
        // A filter that can not be read is not read better the next time.
        let hopeless = self.trouble.as_ref().is_some_and(|trouble| trouble.status == 400);
        let top = self.first == 0 && cursor.at + cursor.height < PAGE;
        let late = now.0 - self.asked_at.0 >= AGAIN;
        (self.due && late && top && !hopeless && self.asked.is_none()).then(|| self.begin(now))
    }

    pub(crate) fn n_loaded(&self) -> usize {
        self.first * PAGE + self.pages.iter().map(Vec::len).sum::<usize>()
    }

    /// Whether somebody has gone down so far that they would lose their place.
    pub(crate) fn deep(&self, cursor: Cursor) -> bool {
        self.first > 0 || cursor.at + cursor.height >= PAGE
    }

    /// Rows before those that are held.
    pub(crate) fn n_before(&self) -> usize {
        self.first * PAGE
    }

    /// What is to be read for the cursor: the pages around it.
    pub(crate) fn near(&mut self, cursor: Cursor) -> Option<Ask> {
        if self.asked.is_some() || self.sort != Sort::Newest {
            return None;
        }
        // Two screens ahead.
        let margin = 2 * cursor.height.max(10);
        let next = self.first + self.pages.len();
        if cursor.at + margin >= self.n_loaded()
            && self.starts.get(next).is_some_and(Option::is_some)
        {
            return Some(self.ask(next));
        }
        (self.first > 0 && cursor.at < self.first * PAGE + margin).then(|| self.ask(self.first - 1))
    }

    pub(crate) fn run_to_top(&mut self, now: Micros) -> Option<Ask> {
        self.running = false;
        (self.first > 0).then(|| {
            self.pages.clear();
            self.first = 0;
            self.begin(now)
        })
    }

    /// Reads on until the last row is there. There is no other way to it than through all of them.
    pub(crate) fn run_to_end(&mut self) -> Option<Ask> {
        self.running = self.sort == Sort::Newest;
        let next = self.first + self.pages.len();
        let more = self.starts.get(next).is_some_and(Option::is_some);
        (self.asked.is_none() && self.running && more).then(|| self.ask(next))
    }

    pub(crate) fn got(
        &mut self,
        turn: u64,
        page: usize,
        found: Result<Page<JobView>, Trouble>,
        cursor: Cursor,
    ) -> Taken {
        if turn != self.turn {
            return Taken::default();
        }
        self.asked = None;
        let mut found = match found {
            Ok(found) => found,
            Err(trouble) => {
                self.running = false;
                let bad = trouble.code == "bad_q";
                let fault =
                    trouble.errors.iter().find(|error| error.parameter.as_deref() == Some("q"));
                let fault = fault.map(|error| (error.position.unwrap_or(0), error.detail.clone()));
                let fault = fault.or_else(|| bad.then(|| (0, trouble.detail.clone())));
                self.trouble = Some(trouble);
                return Taken { fault: fault.filter(|_| bad), ..Taken::default() };
            }
        };
        (self.total, self.as_of, self.trouble) = (Some(found.total), found.as_of, None);
        self.sorted(&mut found.items);
        let mut taken = Taken::default();
        if page == 0 {
            // Whoever looks at a job goes on looking at it; at the top the newest is looked at.
            let selected = self.row(cursor.at).filter(|_| cursor.at > 0).map(|job| job.id);
            let place = selected.and_then(|id| found.items.iter().position(|job| job.id == id));
            taken.cursor = place.or_else(|| (cursor.at >= found.items.len()).then_some(0));
            (self.first, self.pages) = (0, VecDeque::from([found.items]));
            self.starts = vec![None, found.next_cursor];
            return taken;
        }
        if page + 1 == self.first {
            self.pages.push_front(found.items);
            self.first = page;
            self.pages.truncate(HELD);
        } else {
            self.pages.push_back(found.items);
            self.starts.truncate(page + 1);
            self.starts.push(found.next_cursor);
            if self.pages.len() > HELD {
                self.pages.pop_front();
                self.first += 1;
            }
        }
        if self.running {
            taken.cursor = Some(self.n_loaded().saturating_sub(1));
            taken.ask = self.run_to_end();
            self.running = taken.ask.is_some();
        }
        taken
    }

    fn sorted(&self, jobs: &mut [JobView]) {
        let took = |job: &JobView| between(job.started_at, job.finished_at).map(micros);
        let waited = |job: &JobView| between(Some(job.created_at), job.started_at).map(micros);
        match self.sort {
            Sort::Newest => {}
            Sort::Longest => jobs.sort_by_key(|job| Reverse(took(job))),
            Sort::Waited => jobs.sort_by_key(|job| Reverse(waited(job))),
            Sort::Type => jobs.sort_by(|a, b| a.job_type.cmp(&b.job_type)),
            Sort::State => jobs.sort_by_key(|job| job.state),
        }
    }

    fn row(&self, at: usize) -> Option<&JobView> {
        let mut at = at.checked_sub(self.first * PAGE)?;
        for page in &self.pages {
            if let Some(job) = page.get(at) {
                return Some(job);
            }
            at -= page.len();
        }
        None
    }

    /// How many rows are seen of how many.
    pub(crate) fn shown(&self, cursor: Cursor) -> Option<String> {
        let total = self.total?;
        let (from, to) = (cursor.top + 1, (cursor.top + cursor.height).min(self.n_loaded()));
        Some(match total {
            0 => "0 jobs".to_owned(),
            _ if to < from => format!("of {}", count(total)),
            _ => format!("rows {}–{} of {}", count(from as u64), count(to as u64), count(total)),
        })
    }
}

fn micros(s: f64) -> i64 {
    (s * 1e6) as i64
}

const COLS: &[Col] = &[
    Col::left("Job", 9),
    Col::left("State", 12),
    Col::left("Type", 0),
    Col::left("Queue", 10).from(104),
    Col::left("Worker", 12).from(116),
    Col::right("Att", 3).from(64),
    Col::right("Created", 11),
    Col::right("Wait", 11).from(96),
    Col::right("Took", 11),
    Col::left("Error", 0).from(76),
];

pub(crate) fn panel(app: &App) -> Panel {
    let jobs = &app.jobs;
    let mut panel = Panel::new("Jobs", COLS);
    panel.note = jobs.sort.words().to_owned();
    panel.telling = app.marks().telling;
    panel.words = words(app);
    let cursor = app.cursor(0);
    // Those that are seen, and as the cursor may have moved since, some more.
    let from = cursor.top.min(cursor.at);
    let to =
        (cursor.top + cursor.height + 1).max(cursor.at + 1).max(from + usize::from(app.size.1));
    panel.first = from;
    panel.total = jobs.n_loaded();
    panel.rows = (from..to).map_while(|at| jobs.row(at)).map(|job| row(app, job)).collect();
    panel
}

fn words(app: &App) -> Vec<(String, Tone)> {
    let jobs = &app.jobs;
    let mut words = Vec::new();
    match (&jobs.trouble, jobs.total) {
        (Some(trouble), _) if trouble.code == "bad_q" => words.push((
            format!("The filter can not be read, so nothing is listed: {trouble}. / corrects it."),
            Tone::Bad,
        )),
        (Some(trouble), None) => words.push((
            format!("The list can not be read: {trouble}. r tries again, 2 is the whole list."),
            Tone::Bad,
        )),
        (Some(trouble), Some(_)) => words.push((
            format!("It can not be read again: {trouble}. What is shown is the last that arrived."),
            Tone::Warn,
        )),
        (None, None) => words.push(("Reading the list.".to_owned(), Tone::Fine)),
        (None, Some(0)) if jobs.filter.is_empty() => {
            words.push(("No jobs yet: n adds the first.".to_owned(), Tone::Plain));
        }
        (None, Some(0)) => words.push((
            "No job matches this filter: / changes it, 2 shows all jobs.".to_owned(),
            Tone::Warn,
        )),
        (None, Some(total)) => {
            let matches = if total == 1 { "job matches" } else { "jobs match" };
            let as_of = jobs.as_of.map(|at| clock(at, app.now)).unwrap_or_default();
            let mut text = format!("{} {matches}, as of {as_of} UTC.", count(total));
            if jobs.sort != Sort::Newest && total > SORTED as u64 {
                text.push_str(&format!(" Sorted are the newest {}.", count(SORTED as u64)));
            }
            if jobs.running {
                text.push_str(&format!(
                    " Reading on to the last: {}; g stops.",
                    count(jobs.n_loaded() as u64)
                ));
            } else if jobs.first > 0 {
                text.push_str(" Not read again here; g: the newest.");
            }
            words.push((text, Tone::Fine));
        }
    }
    words
}

fn row(app: &App, job: &JobView) -> Row {
    let words = of_state(job.state);
    let id = job.id.to_string();
    // The end of an id tells jobs apart; the beginning of most is the time.
    let tail = id.get(28..).unwrap_or(&id);
    let error = job.error.as_ref().map(of_error).unwrap_or_default();
    let created = clock(job.created_at, app.now);
    // Of another day: its day and its minute.
    let created = created.get(5..16).map_or(created.clone(), str::to_owned);
    let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
    let inferred = if job.inferred { " (inferred)" } else { "" };
    Row {
        cells: vec![
            (format!("…{tail}"), Tone::Plain),
            (format!("{} {}", words.sign, words.word), words.tone),
            (job.job_type.clone(), Tone::Plain),
            (or(&job.queue), Tone::Plain),
            (or(&job.worker), Tone::Plain),
            (job.attempt.to_string(), Tone::Plain),
            (created, Tone::Plain),
            (seconds(between(Some(job.created_at), job.started_at)), Tone::Plain),
            (seconds(between(job.started_at, job.finished_at)), Tone::Plain),
            (error.clone(), Tone::Bad),
        ],
        to: Some(Spot::Job(job.id)),
        more: format!(
            "{id}\n{} {}{inferred}: {}. Type {}, queue {}, worker {}, attempt {}.\n{error}",
            words.sign,
            words.word,
            words.means,
            job.job_type,
            or(&job.queue),
            or(&job.worker),
            job.attempt
        ),
        copy: id,
        event: None,
    }
}
