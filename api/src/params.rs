//! Query parameters, read strictly: a misspelt filter must not give the unfiltered answer.

use axum::extract::Query;
use axum::http::Uri;

use contracts::Micros;

use crate::filter;
use crate::problem::Problem;

/// The parameters of a request.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the parameters, of which the request may have those in `known`, each once.
    pub(crate) fn of(uri: &Uri, known: &[&str]) -> Result<Params, Problem> {
        let malformed = |_| Problem::bad_request("bad_query", "the query can not be read");
        let Query(params) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(malformed)?;
        for (n, (name, _)) in params.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                if filter::PARAMETERS.contains(&name.as_str()) && !known.is_empty() {
                    let detail =
                        format!("this can not be asked by `{name}`: it can by {}", listed(known));
                    return Err(Problem::bad_request("not_in_view", detail));
                }
                let detail = match known {
                    [] => "there are no parameters here".to_owned(),
                    known => format!("no such parameter: there are {}", listed(known)),
                };
                return Err(Problem::bad_request("unknown_parameter", detail));
            }
            if params[..n].iter().any(|(other, _)| other == name) {
                let detail = format!("`{name}` is given twice: give it once");
                return Err(Problem::bad_request("bad_parameter", detail));
            }
        }
        Ok(Params(params))
    }

    /// A parameter's value; an empty one is none.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(other, _)| other == name);
        value.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A parameter whose values are the names in `known`.
    pub(crate) fn one_of<T: std::str::FromStr>(
        &self,
        name: &str,
        known: &[&str],
    ) -> Result<Option<T>, Problem> {
        let parse = |text: &str| {
            text.parse().map_err(|_| {
                let detail = format!("no such {name}: there are {}", listed(known));
                Problem::bad_request("bad_parameter", detail)
            })
        };
        self.text(name).map(parse).transpose()
    }

    /// A parameter that is a time.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Micros>, Problem> {
        let parse = |text: &str| {
            Micros::parse(text).map_err(|error| {
                let detail = format!("`{name}` is to be like 2026-11-21T10:00:00Z: {error}");
                Problem::bad_request("bad_parameter", detail)
            })
        };
        self.text(name).map(parse).transpose()
    }

    /// `limit`, from 1 to `most`.
    pub(crate) fn limit(&self, default: usize, most: usize) -> Result<usize, Problem> {
        let Some(text) = self.text("limit") else { return Ok(default) };
        text.parse().ok().filter(|limit| (1..=most).contains(limit)).ok_or_else(|| {
            let detail = format!("`limit` must be an integer from 1 to {most}");
            Problem::bad_request("bad_parameter", detail)
        })
    }
}

/// Names in a sentence.
pub(crate) fn listed(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
