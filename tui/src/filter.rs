//! Which jobs: the text of the filter bar, `q`, and what a number that was followed asks beside.
//!
//! The grammar is the API's, and it alone reads it: what is wrong, and where, it tells.

use contracts::Micros;
use contracts::event::State;
use contracts::snapshot::Window;

use crate::fold::{Attribute, Views};
use crate::words::{count, many, of_state};

/// Suggestions that are shown: more is not read.
const MOST: usize = 6;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) q: String,
    /// Parameters of the API that `q` has no words for.
    pub(crate) beside: Vec<(&'static str, String)>,
}

impl Filter {
    pub(crate) fn of(q: impl Into<String>) -> Filter {
        Filter { q: q.into(), beside: Vec::new() }
    }

    /// The filter that these parameters of the API say, as far as it is known here.
    pub(crate) fn of_query(query: &str) -> Filter {
        let mut filter = Filter::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            filter = match &*name {
                "q" => {
                    let space = if filter.q.is_empty() { "" } else { " " };
                    Filter { q: format!("{}{space}{value}", filter.q), ..filter }
                }
                "createdAfter" => filter.since("createdAfter", Micros::parse(&value).ok()),
                "finishedAfter" => filter.since("finishedAfter", Micros::parse(&value).ok()),
                "state" | "type" | "queue" => filter.and(&name, &value),
                _ => filter,
            };
        }
        filter
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.q.is_empty() && self.beside.is_empty()
    }

    /// With a condition more. A value that is absent, `""`, is quoted like any other.
    pub(crate) fn and(mut self, key: &str, value: &str) -> Filter {
        let space = if self.q.is_empty() { "" } else { " " };
        self.q = format!("{}{space}{key}:{}", self.q, quoted(value));
        self
    }

    pub(crate) fn state(self, state: State) -> Filter {
        self.and("state", state.as_str())
    }

    pub(crate) fn since(mut self, name: &'static str, at: Option<Micros>) -> Filter {
        self.beside.extend(at.map(|at| (name, at.to_string())));
        self
    }

    /// The retired ones too.
    pub(crate) fn retired(mut self) -> Filter {
        self.beside.push(("retired", "any".to_owned()));
        self
    }

    /// As people read it.
    pub(crate) fn words(&self) -> String {
        let mut parts = Vec::new();
        if !self.q.is_empty() {
            parts.push(self.q.clone());
        }
        for (name, value) in &self.beside {
            let value = value.get(11..19).unwrap_or(value);
            parts.push(match *name {
                "createdAfter" => format!("created after {value}"),
                "finishedAfter" => format!("ended after {value}"),
                _ => "retired or not".to_owned(),
            });
        }
        parts.join(" · ")
    }

    /// The path of a page of the list.
    pub(crate) fn path(&self, limit: usize, cursor: Option<&str>) -> String {
        let mut path = format!("/api/v1/jobs?limit={limit}");
        let q = Some(("q", self.q.as_str())).filter(|(_, q)| !q.is_empty());
        let beside = self.beside.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in q.into_iter().chain(beside).chain(cursor.map(|at| ("cursor", at))) {
            path.push_str(&format!("&{name}="));
            path.extend(form_urlencoded::byte_serialize(value.as_bytes()));
        }
        path
    }
}

/// A value as `q` takes it.
fn quoted(value: &str) -> String {
    let bare = !value.is_empty()
        && !value.chars().any(|c| c.is_whitespace() || matches!(c, ',' | '"' | '*' | '\\'));
    match bare {
        true => value.to_owned(),
        false => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// What may stand where the caret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Suggestion {
    /// Characters before the caret that it takes the place of.
    pub(crate) typed: usize,
    pub(crate) to: String,
    pub(crate) means: String,
    /// A value follows: no space after it.
    pub(crate) open: bool,
}

const KEYS: [(&str, &str); 6] = [
    ("state:", "in this state"),
    ("type:", "of this type; * at the end for all that begin so"),
    ("queue:", "in this queue"),
    ("worker:", "at this worker"),
    ("age:>", "created longer ago than 5m, 2h, 1d"),
    ("age:<", "created since"),
];

pub(crate) fn suggestions(before: &str, views: Option<&Views>) -> Vec<Suggestion> {
    // Within quotes nothing is suggested.
    if before.replace("\\\"", "").matches('"').count() % 2 == 1 {
        return Vec::new();
    }
    let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let Some((key, values)) = word.split_once(':') else {
        let begins = |name: &str| name.starts_with(&word.to_lowercase());
        return KEYS
            .iter()
            .filter(|(name, _)| begins(name))
            .map(|(name, means)| Suggestion {
                typed: word.chars().count(),
                to: (*name).to_owned(),
                means: (*means).to_owned(),
                open: true,
            })
            .collect();
    };
    let part = values.rsplit(',').next().unwrap_or_default();
    let begins = |value: &str| value.to_lowercase().starts_with(&part.to_lowercase());
    let one = |to: String, means: String| Suggestion {
        typed: part.chars().count(),
        to,
        means,
        open: false,
    };
    let mut found: Vec<_> = match key {
        "state" => State::ALL
            .into_iter()
            .filter(|state| begins(state.as_str()))
            .map(|state| {
                let jobs = views.map_or(0, |views| views.in_state(state));
                let means = format!("{} · {}", count(jobs), of_state(state).means);
                one(state.as_str().to_owned(), means)
            })
            .collect(),
        "age" => {
            let (sign, means) = match part.starts_with('<') {
                true => ('<', "or less ago"),
                false => ('>', "or longer ago"),
            };
            let typed = part.trim_start_matches(['<', '>']);
            ["1m", "5m", "15m", "1h", "6h", "1d"]
                .iter()
                .filter(|age| age.starts_with(typed))
                .map(|age| one(format!("{sign}{age}"), means.to_owned()))
                .collect()
        }
        _ => {
            let Some(attribute) = Attribute::named(key) else { return Vec::new() };
            let sums = views.map(|views| views.sums(attribute)).unwrap_or_default();
            let mut values: Vec<_> = sums.into_iter().filter(|(value, _)| begins(value)).collect();
            values.sort_by_key(|(_, jobs)| std::cmp::Reverse(*jobs));
            values.truncate(MOST);
            let row = |(value, jobs): (&str, u64)| {
                let without = if value.is_empty() { " without" } else { "" };
                one(quoted(value), format!("{}{without}", many(jobs, "job")))
            };
            values.into_iter().map(row).collect()
        }
    };
    found.truncate(MOST.max(State::ALL.len()));
    found
}

/// The filter of the jobs behind a latency or an end within a window.
pub(crate) fn ended(type_: Option<&str>, as_of: Option<Micros>, window: Window) -> Filter {
    let filter = match type_ {
        Some(type_) => Filter::default().and("type", type_),
        None => Filter::default(),
    };
    match as_of.and_then(|as_of| crate::spot::window_edge(as_of, window)) {
        Some(edge) => filter.since("finishedAfter", Some(edge)),
        None => {
            let ends = "state:COMPLETED,FAILED,CANCELLED";
            let space = if filter.q.is_empty() { "" } else { " " };
            Filter::of(format!("{}{space}{ends}", filter.q)).retired()
        }
    }
}

#[cfg(test)]
mod tests {
    use contracts::Delta;
    use contracts::snapshot::CountRow;

    use super::*;

    #[test]
    fn a_path_has_the_filter_escaped() {
        let filter = Filter::default()
            .state(State::Failed)
            .and("type", "a b")
            .since("finishedAfter", Some(Micros::EARLIEST));
        assert_eq!(
            filter.path(200, Some("x=")),
            "/api/v1/jobs?limit=200&q=state%3AFAILED+type%3A%22a+b%22&finishedAfter=2000-01-01T00%3A00%3A00.000000Z&cursor=x%3D"
        );
        assert_eq!(filter.words(), "state:FAILED type:\"a b\" · ended after 00:00:00");
    }

    #[test]
    fn a_value_is_quoted_where_the_grammar_needs_it() {
        let quotes = ["a.b", "", "a*", "a\"b\\"].map(quoted);
        assert_eq!(quotes, ["a.b", "\"\"", "\"a*\"", "\"a\\\"b\\\\\""]);
    }

    #[test]
    fn keys_then_values_are_suggested_and_nothing_within_quotes() {
        let row = CountRow {
            state: State::Failed,
            job_type: "email.send".to_owned(),
            queue: String::new(),
            worker: String::new(),
            jobs: 2,
        };
        let mut views = Views::default();
        views.fold(Delta { jobs: 2, counts: vec![row], ..Delta::default() });
        let of = |text: &str| -> Vec<String> {
            suggestions(text, Some(&views)).into_iter().map(|one| one.to).collect()
        };
        assert_eq!(of("ty"), ["type:"]);
        assert_eq!(of("state:FAILED type:em"), ["email.send"]);
        assert_eq!(of("state:failed,re"), ["RETRYING"]);
        assert_eq!(of("queue:"), ["\"\""]);
        assert_eq!(of("age:<1"), ["<1m", "<15m", "<1h", "<1d"]);
        assert_eq!(of("\"type:"), [""; 0]);
        assert_eq!(of("colour:"), [""; 0]);
    }

    #[test]
    fn the_jobs_behind_all_time_are_those_that_ended_retired_or_not() {
        let filter = ended(Some("a"), Some(Micros::EARLIEST), Window::All);
        assert_eq!(filter.words(), "type:a state:COMPLETED,FAILED,CANCELLED · retired or not");
    }
}
