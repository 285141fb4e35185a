//! Which of our events a CloudEvent of another vocabulary is, and where in it the parts stand.

use std::borrow::Cow;

use contracts::event::Kind;
use contracts::{Reason, Rejection};
use serde::Deserialize;
use serde_json::Value;

/// Vocabularies beside our own, as a file has them:
///
/// ```yaml
/// events:
///   - type: com.example.report.*      # a type, or all that begin so
///     event: job.executed
///     id: /data/report/id             # a JSON pointer into the event in its structured form,
///     jobType: report                 # or a text that does not begin with a slash
///     queue: /data/lane
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    events: Vec<Rule>,
}

/// Why a mapping cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    #[error("not a mapping: {0}")]
    Shape(#[from] serde_yaml_ng::Error),
    #[error("the type {0:?} is mapped twice")]
    Twice(String),
    #[error("{0:?} is no type: a star may stand at its end only")]
    Star(String),
}

/// What an event of a type is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Rule {
    #[serde(rename = "type")]
    event_type: String,
    pub(super) event: Kind,
    pub(super) id: Place,
    pub(super) job_type: Place,
    pub(super) queue: Option<Place>,
    pub(super) worker: Option<Place>,
    pub(super) attempt: Option<Place>,
    #[serde(default = "time")]
    pub(super) time: Place,
    pub(super) created_at: Option<Place>,
    pub(super) error: Option<Place>,
    pub(super) payload: Option<Place>,
    pub(super) metadata: Option<Place>,
    /// Without an id, the subject is it.
    #[serde(skip)]
    pub(super) or_subject: bool,
}

/// A JSON pointer into an event, or a text that is meant itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Place(String);

fn time() -> Place {
    Place("/time".to_owned())
}

impl Mapping {
    /// Reads a file.
    pub fn parse(yaml: &str) -> Result<Mapping, MappingError> {
        let mapping: Mapping = serde_yaml_ng::from_str(yaml)?;
        for (i, Rule { event_type, .. }) in mapping.events.iter().enumerate() {
            let stem = event_type.strip_suffix('*').unwrap_or(event_type);
            if stem.contains('*') {
                return Err(MappingError::Star(event_type.clone()));
            }
            if mapping.events[..i].iter().any(|other| other.event_type == *event_type) {
                return Err(MappingError::Twice(event_type.clone()));
            }
        }
        Ok(mapping)
    }

    /// What an event of that type is: as it is mapped, by the longest name; else what our own
    /// contract says of it.
    pub(super) fn rule(&self, event_type: &str) -> Option<Cow<'_, Rule>> {
        let mapped = self.events.iter().filter(|rule| match rule.event_type.strip_suffix('*') {
            Some(stem) => event_type.starts_with(stem),
            None => rule.event_type == event_type,
        });
        // A name without a star is longer than one that stands for it.
        let longest =
            mapped.max_by_key(|rule| (!rule.event_type.ends_with('*'), rule.event_type.len()));
        longest.map(Cow::Borrowed).or_else(|| Some(Cow::Owned(Rule::own(event_type.parse().ok()?))))
    }
}

impl Rule {
    /// An event of our own contract: its data is the job.
    fn own(event: Kind) -> Rule {
        let place = |name: &str| Place(format!("/data/{name}"));
        Rule {
            event_type: event.to_string(),
            event,
            id: place("id"),
            job_type: place("type"),
            queue: Some(place("queue")),
            worker: Some(place("worker")),
            attempt: Some(place("attempt")),
            time: time(),
            created_at: Some(place("createdAt")),
            error: Some(place("error")),
            payload: Some(place("payload")),
            metadata: Some(place("metadata")),
            or_subject: true,
        }
    }
}

impl Place {
    /// What stands there.
    pub(super) fn value<'a>(&self, event: &'a Value) -> Option<&'a Value> {
        event.pointer(&self.0)
    }

    /// The text that stands there, or is meant; a number counts as one, null as nothing.
    pub(super) fn text(&self, event: &Value) -> Result<Option<String>, Rejection> {
        if !self.0.starts_with('/') {
            return Ok(Some(self.0.clone()));
        }
        match self.value(event) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(Rejection::new(Reason::Schema, &*self.0, "must be a text or a number")),
        }
    }

    /// That nothing stands there.
    pub(super) fn missing(&self, what: &str) -> Rejection {
        let detail = format!("is missing: an event must tell {what}");
        Rejection::new(Reason::Schema, &*self.0, detail)
    }
}
