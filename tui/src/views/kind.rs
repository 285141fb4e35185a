//! The cluster that `kind-up` makes, as its lines of progress tell: a JSON object each, beside what
//! the programs say that it calls.

use serde::Deserialize;

use crate::look::Tone;
use crate::panel::Row;
use crate::views::said::Said;

#[derive(Default)]
pub(crate) struct Kind {
    pub(crate) started: bool,
    /// Each phase as it was last heard of, and every failure.
    steps: Vec<Progress>,
    said: Said,
    ended: Option<Result<i32, String>>,
}

#[derive(Deserialize)]
struct Progress {
    phase: String,
    state: State,
    text: String,
    fix: Option<String>,
    #[serde(default)]
    pages: Vec<Page>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Started,
    Done,
    Skipped,
    Failed,
}

#[derive(Deserialize)]
struct Page {
    name: String,
    url: String,
}

impl Kind {
    pub(crate) fn begin() -> Kind {
        Kind { started: true, ..Kind::default() }
    }

    /// Takes a line; says whether all of it is up.
    pub(crate) fn line(&mut self, line: String) -> bool {
        let Ok(progress) = serde_json::from_str::<Progress>(&line) else {
            self.said.add(line);
            return false;
        };
        let up = !progress.pages.is_empty();
        match self.steps.last_mut() {
            Some(last) if last.phase == progress.phase && last.state != State::Failed => {
                *last = progress
            }
            _ => self.steps.push(progress),
        }
        up
    }

    pub(crate) fn ended(&mut self, ended: Result<i32, String>) {
        (self.started, self.ended) = (false, Some(ended));
    }

    /// How far it has come; nothing if nobody has asked for it.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let title = match &self.ended {
            _ if self.started => "The cluster is being made:".to_owned(),
            Some(Ok(0)) => "The cluster is up:".to_owned(),
            Some(Ok(_)) => "The cluster is not up; once mended, it may be made again:".to_owned(),
            Some(Err(why)) => format!("The cluster can not be made: {why}."),
            None => return Vec::new(),
        };
        let mut rows = vec![text(String::new(), Tone::Plain), text(title, Tone::Title)];
        for step in &self.steps {
            let (sign, tone) = match step.state {
                State::Started => ("…", Tone::Busy),
                State::Done => ("✓", Tone::Good),
                State::Skipped => ("·", Tone::Mute),
                State::Failed => ("✗", Tone::Bad),
            };
            rows.push(text(format!("{sign} {}: {}", step.phase, step.text), tone));
            if let Some(fix) = &step.fix {
                rows.push(Row { copy: fix.clone(), ..text(format!("  fix: {fix}"), Tone::Plain) });
            }
            let pages = step.pages.iter();
            rows.extend(pages.map(|Page { name, url }| Row {
                copy: url.clone(),
                ..text(format!("  {name}: {url}"), Tone::Plain)
            }));
        }
        rows.extend(self.said.lines().map(|line| text(line.clone(), Tone::Fine)));
        rows
    }
}

fn text(line: String, tone: Tone) -> Row {
    Row { copy: line.clone(), cells: vec![(line, tone)], ..Row::default() }
}
