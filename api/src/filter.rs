//! What a list or a count is asked for: parameters, and `q`, the language of the filter bar.
//!
//! ```text
//!   ?state=FAILED&q=type:email.* age:>5m "timed out"
//!      └── parameters ──┐   └── terms, each with its place ──┐
//!                       └──────────────┬─────────────────────┘
//!                              Asked: sinks' Filter, and what each condition was called
//! ```
//!
//! Everything must hold. What is misspelt is refused: it must not give the unfiltered answer.

use contracts::{Micros, State};
use sinks::query::{Condition, Facet, Filter, Instant, Pattern, Retired};

use crate::params::{Params, listed};
use crate::problem::Problem;

mod terms;

use terms::{Fault, Term};

/// The parameters that filter, with `q`.
pub(crate) const PARAMETERS: [&str; 9] = [
    "state",
    "type",
    "queue",
    "worker",
    "q",
    "createdAfter",
    "finishedAfter",
    "finishedBefore",
    "retired",
];

/// What was asked for.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Asked {
    pub(crate) filter: Filter,
    /// What a cursor is bound to: the same for the same question, whenever it is asked.
    pub(crate) text: String,
}

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// The cube: what it counts jobs by, and nothing else.
    Cube,
    /// The store: everything.
    Store,
}

impl Asked {
    /// Reads the parameters; `now` is what ages are counted back from.
    pub(crate) fn of(params: &Params, answers: Answers, now: Micros) -> Result<Asked, Problem> {
        let mut asked = Asked::default();
        for facet in Facet::ALL {
            let Some(value) = params.text(facet.as_str()) else { continue };
            if facet == Facet::State {
                params.one_of::<State>("state", &State::ALL.map(State::as_str))?;
            }
            // Nothing has it, and a store may refuse it.
            if value.contains(char::is_control) {
                let detail =
                    format!("`{}` has a control character, as no job does", facet.as_str());
                return Err(Problem::bad_request("bad_parameter", detail));
            }
            asked.add(facet.as_str(), value);
            let is = vec![Pattern::Is(value.to_owned())];
            asked.filter.conditions.push(Condition::Facet(facet, is));
        }
        for (name, condition) in TIMES {
            if let Some(at) = params.time(name)? {
                asked.add(name, &at.to_string());
                asked.filter.conditions.push(condition(at));
            }
        }
        match params.text("retired") {
            None | Some("false") => {}
            Some("true") => asked.filter.retired = Retired::Only,
            Some("any") => asked.filter.retired = Retired::Any,
            Some(_) => {
                let detail = "`retired` is `false`, `true` or `any`";
                return Err(Problem::bad_request("bad_parameter", detail));
            }
        }
        asked.add("retired", params.text("retired").unwrap_or("false"));
        if let Some(q) = params.text("q") {
            let terms = terms::parse(q).map_err(|fault| bad_q(&fault))?;
            asked.add("q", q);
            asked.take(terms, answers, now)?;
        }
        Ok(asked)
    }

    fn add(&mut self, name: &str, value: &str) {
        self.text.push_str(&format!("{name}={value:?}&"));
    }

    /// Takes in the terms of `q`. Those of one facet are alternatives.
    fn take(&mut self, terms: Vec<Term>, answers: Answers, now: Micros) -> Result<(), Problem> {
        let mut facets: [Vec<Pattern>; 4] = Default::default();
        for term in terms {
            match term {
                Term::Facet(facet, patterns) => facets[facet as usize].extend(patterns),
                Term::Age { at, .. } | Term::Text { at, .. } if answers == Answers::Cube => {
                    return Err(not_of_cube(&term, at));
                }
                Term::Age { older, micros, .. } => {
                    let then = Micros(now.0.saturating_sub(micros));
                    self.filter.conditions.push(match older {
                        true => Condition::Before(Instant::Created, then),
                        false => Condition::After(Instant::Created, then),
                    });
                }
                Term::Text { text, .. } => self.filter.conditions.push(Condition::Text(text)),
            }
        }
        for (facet, patterns) in Facet::ALL.into_iter().zip(facets) {
            if !patterns.is_empty() {
                self.filter.conditions.push(Condition::Facet(facet, patterns));
            }
        }
        Ok(())
    }
}

/// What is asked for with a time.
type Since = fn(Micros) -> Condition;

/// Parameters that are times, and what they ask for. A window of a view has the jobs that finished
/// after its edge, so `finishedAfter` with that edge has the same.
const TIMES: [(&str, Since); 3] = [
    ("createdAfter", |at| Condition::After(Instant::Created, at)),
    ("finishedAfter", |at| Condition::After(Instant::Finished, at)),
    ("finishedBefore", |at| Condition::Before(Instant::Finished, at)),
];

fn bad_q(fault: &Fault) -> Problem {
    let detail = format!("`q`, at character {}: {}", fault.at + 1, fault.detail);
    Problem::bad_request("bad_q", detail).in_parameter("q", fault.at, &fault.detail)
}

fn not_of_cube(term: &Term, at: usize) -> Problem {
    let what = match term {
        Term::Text { .. } => "text",
        _ => "`age`",
    };
    let names = listed(&Facet::ALL.map(Facet::as_str));
    let detail = format!("counts can not be asked by {what}, but by {names}; the list of jobs can");
    let whole = format!("`q`, at character {}: {detail}", at + 1);
    Problem::bad_request("not_in_view", whole).in_parameter("q", at, &detail)
}

#[cfg(test)]
mod tests {
    use axum::http::Uri;

    use super::*;

    const NOW: Micros = Micros(1_000_000_000);

    fn asked(query: &str) -> Asked {
        let uri: Uri = format!("/jobs?{query}").parse().unwrap();
        let params = Params::of(&uri, &PARAMETERS).unwrap();
        Asked::of(&params, Answers::Store, NOW).unwrap()
    }

    #[test]
    fn a_parameter_and_a_term_must_both_hold_and_terms_of_one_facet_are_alternatives() {
        let asked = asked("state=FAILED&q=type:a+type:b.*");
        let is = |text: &str| Pattern::Is(text.to_owned());
        assert_eq!(
            asked.filter.conditions,
            [
                Condition::Facet(Facet::State, vec![is("FAILED")]),
                Condition::Facet(Facet::Type, vec![is("a"), Pattern::Begins("b.".to_owned())]),
            ]
        );
    }

    #[test]
    fn an_age_is_counted_back_from_now_and_the_question_stays_the_same() {
        let asked = asked("q=age:%3E5m");
        let then = Micros(NOW.0 - 300_000_000);
        assert_eq!(asked.filter.conditions, [Condition::Before(Instant::Created, then)]);
        assert!(asked.text.contains("age:>5m"), "{}", asked.text);
    }

    #[test]
    fn the_text_of_a_question_can_not_be_made_of_another() {
        assert_ne!(asked("type=a&queue=b").text, asked("type=a%22%26queue=%22b").text);
    }
}
