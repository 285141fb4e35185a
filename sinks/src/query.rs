//! What a list of jobs is asked for, in words that every store understands.
//!
//! ```text
//!   parameters, q ──▶ Filter ──┬── matches a cell of the cube ──▶ counts
//!                              └── Sql: a WHERE for either store ──▶ lists, totals
//! ```
//!
//! # Invariants
//!
//! 1. What is asked for is only ever a parameter of a statement, never its text.
//! 2. A filter that the cube can answer has its total from the cube of the same transaction.

use contracts::{JobId, Micros};

/// A page of a list: what matches, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    pub filter: Filter,
    /// The last job of the page before.
    pub after: Option<Place>,
    pub limit: usize,
}

/// Where a job is in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub created_at: Micros,
    pub id: JobId,
}

/// What a job must be like: all of the conditions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    pub conditions: Vec<Condition>,
    pub retired: Retired,
}

/// Whether jobs that have left memory are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retired {
    #[default]
    No,
    Only,
    Any,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// One of these.
    Facet(Facet, Vec<Pattern>),
    /// Later than this.
    After(Instant, Micros),
    /// Earlier than this.
    Before(Instant, Micros),
    /// Somewhere in its id, type, queue, worker or error, whatever the case of ASCII letters; the
    /// error as it was received.
    Text(String),
}

/// What the cube counts jobs by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facet {
    State,
    Type,
    Queue,
    Worker,
}

impl Facet {
    pub const ALL: [Facet; 4] = [Facet::State, Facet::Type, Facet::Queue, Facet::Worker];

    /// Its name in the API, and of the column that every store has of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Facet::State => "state",
            Facet::Type => "type",
            Facet::Queue => "queue",
            Facet::Worker => "worker",
        }
    }
}

/// A value of a facet, or how it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    Is(String),
    Begins(String),
}

impl Pattern {
    fn matches(&self, value: &str) -> bool {
        match self {
            Pattern::Is(wanted) => value == wanted,
            Pattern::Begins(wanted) => value.starts_with(wanted.as_str()),
        }
    }
}

/// A time in a job's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instant {
    Created,
    Finished,
}

impl Instant {
    fn column(self) -> &'static str {
        match self {
            Instant::Created => "created_at",
            Instant::Finished => "finished_at",
        }
    }
}

impl Filter {
    /// Whether the cube has all that this asks for.
    pub fn of_cube(&self) -> bool {
        let facets = |condition: &Condition| matches!(condition, Condition::Facet(..));
        self.retired == Retired::No && self.conditions.iter().all(facets)
    }

    /// Whether the jobs of a cell match, by the values of its facets in the order of [`Facet::ALL`].
    pub fn matches_cell(&self, cell: &[&str; 4]) -> bool {
        self.conditions.iter().all(|condition| match condition {
            Condition::Facet(facet, patterns) => {
                patterns.iter().any(|pattern| pattern.matches(cell[*facet as usize]))
            }
            Condition::After(..) | Condition::Before(..) | Condition::Text(_) => false,
        })
    }
}

/// A parameter of a statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
    Time(Micros),
    Id(JobId),
}

/// How a store writes what the standard leaves to it.
#[derive(Clone, Copy)]
pub(crate) struct Dialect {
    /// What a parameter's number is written behind.
    pub(crate) sign: char,
    /// The function that says where a text is in another.
    pub(crate) position: &'static str,
}

/// A condition under construction, with its parameters.
pub(crate) struct Sql {
    dialect: Dialect,
    pub(crate) parameters: Vec<Value>,
}

impl Sql {
    pub(crate) fn new(dialect: Dialect) -> Sql {
        Sql { dialect, parameters: Vec::new() }
    }

    /// A parameter, as it is written in the text.
    pub(crate) fn parameter(&mut self, value: Value) -> String {
        self.parameters.push(value);
        format!("{}{}", self.dialect.sign, self.parameters.len())
    }

    /// What must hold of a row of `jobs`, or, if the cube has it, of a row of `counts`.
    pub(crate) fn filter(&mut self, filter: &Filter, jobs: bool) -> String {
        let mut all = vec!["true".to_owned()];
        match filter.retired {
            _ if !jobs => {}
            Retired::No => all.push("retired_at IS NULL".to_owned()),
            Retired::Only => all.push("retired_at IS NOT NULL".to_owned()),
            Retired::Any => {}
        }
        all.extend(filter.conditions.iter().map(|condition| self.condition(condition)));
        all.join(" AND ")
    }

    /// What must hold of the jobs behind `place`.
    pub(crate) fn behind(&mut self, place: Place) -> String {
        let created = self.parameter(Value::Time(place.created_at));
        let id = self.parameter(Value::Id(place.id));
        // The first part is for the index.
        format!(
            "created_at <= {created} AND (created_at < {created} OR created_at = {created} AND id > {id})"
        )
    }

    fn condition(&mut self, condition: &Condition) -> String {
        match condition {
            Condition::Facet(facet, patterns) => {
                let column = facet.as_str();
                let any = patterns.iter().map(|pattern| self.pattern(column, pattern));
                any_of(any.collect())
            }
            Condition::After(instant, at) => {
                format!("{} > {}", instant.column(), self.parameter(Value::Time(*at)))
            }
            Condition::Before(instant, at) => {
                format!("{} < {}", instant.column(), self.parameter(Value::Time(*at)))
            }
            Condition::Text(text) => self.text(text),
        }
    }

    fn pattern(&mut self, column: &str, pattern: &Pattern) -> String {
        match pattern {
            Pattern::Is(value) => {
                format!("{column} = {}", self.parameter(Value::Text(value.clone())))
            }
            Pattern::Begins(value) => {
                let length = i64::try_from(value.chars().count()).unwrap_or(i64::MAX);
                let length = self.parameter(Value::Number(length));
                let value = self.parameter(Value::Text(value.clone()));
                format!("substr({column}, 1, {length}) = {value}")
            }
        }
    }

    fn text(&mut self, text: &str) -> String {
        let wanted = self.parameter(Value::Text(text.to_ascii_lowercase()));
        let position = self.dialect.position;
        let columns = ["type", "queue", "worker", "error"];
        let within = columns.map(|column| format!("{position}(lower({column}), {wanted}) > 0"));
        let mut any = within.to_vec();
        if let Ok(id) = JobId::try_parse(text) {
            any.push(format!("id = {}", self.parameter(Value::Id(id))));
        }
        any_of(any)
    }
}

/// Rows to read of a page: one more than it has says whether another follows.
pub(crate) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// One alternative at least; none is never true.
fn any_of(alternatives: Vec<String>) -> String {
    match alternatives.as_slice() {
        [] => "false".to_owned(),
        [one] => one.clone(),
        several => format!("({})", several.join(" OR ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIALECT: Dialect = Dialect { sign: '?', position: "instr" };

    fn filter(conditions: Vec<Condition>) -> Filter {
        Filter { conditions, retired: Retired::No }
    }

    #[test]
    fn what_is_asked_for_is_a_parameter_and_never_text() {
        let hostile = "x' OR 1=1 --".to_owned();
        let filter = filter(vec![
            Condition::Facet(Facet::Type, vec![Pattern::Is(hostile.clone())]),
            Condition::Facet(Facet::Queue, vec![Pattern::Begins(hostile.clone())]),
            Condition::Text(hostile.clone()),
        ]);
        let mut sql = Sql::new(DIALECT);
        let text = sql.filter(&filter, true);
        assert!(!text.contains("1=1"), "{text}");
        assert_eq!(sql.parameters.len(), 4);
    }

    #[test]
    fn a_cell_matches_when_each_facet_has_one_of_its_patterns() {
        let filter = filter(vec![
            Condition::Facet(
                Facet::Type,
                vec![Pattern::Begins("email.".into()), Pattern::Is("sms".into())],
            ),
            Condition::Facet(Facet::Queue, vec![Pattern::Is(String::new())]),
        ]);
        assert!(filter.matches_cell(&["FAILED", "email.send", "", "w"]));
        assert!(filter.matches_cell(&["FAILED", "sms", "", ""]));
        assert!(!filter.matches_cell(&["FAILED", "sms.send", "", ""]));
        assert!(!filter.matches_cell(&["FAILED", "sms", "fast", ""]));
    }

    #[test]
    fn the_cube_answers_for_facets_of_jobs_in_memory_and_nothing_else() {
        let state = Condition::Facet(Facet::State, vec![Pattern::Is("FAILED".into())]);
        assert!(filter(vec![]).of_cube());
        assert!(filter(vec![state.clone()]).of_cube());
        assert!(!filter(vec![state.clone(), Condition::Text("x".into())]).of_cube());
        assert!(!filter(vec![Condition::After(Instant::Finished, Micros(1))]).of_cube());
        assert!(!Filter { conditions: vec![state], retired: Retired::Any }.of_cube());
    }
}
