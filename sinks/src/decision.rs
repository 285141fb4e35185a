//! What people decide: rules, acknowledgements and silences, written beside the views by whoever
//! was asked, together with who it was.

use std::collections::BTreeMap;

use contracts::Micros;
use serde::Serialize;

/// Somebody decides something.
#[derive(Clone, Debug)]
pub struct Decision {
    pub at: Micros,
    /// Who; the name of a token, or where it came from.
    pub by: String,
    pub what: What,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// These rules are to be in force.
    Rules { yaml: String },
    /// Somebody looks after an alert, or no longer does.
    Acknowledge {
        alert: String,
        labels: BTreeMap<String, String>,
        active_at: Micros,
        acknowledged: bool,
    },
    /// Nobody is to be told of alerts with these labels; `alertname` is one.
    Silence { matchers: BTreeMap<String, String>, ends_at: Micros, comment: String },
    /// A silence ends now.
    EndSilence { id: i64 },
}

impl What {
    /// Its name in the audit.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            What::Rules { .. } => "rules",
            What::Acknowledge { .. } => "acknowledge",
            What::Silence { .. } => "silence",
            What::EndSilence { .. } => "endSilence",
        }
    }

    /// What the audit says of it.
    pub(crate) fn detail(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What became of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It is durable; a new silence has this id.
    Done { id: i64 },
    /// It was so already.
    Already,
    /// There is no such alert or silence any more.
    Missing,
}

/// A silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    pub id: i64,
    pub matchers: BTreeMap<String, String>,
    pub starts_at: Micros,
    pub ends_at: Micros,
    pub created_by: String,
    pub comment: String,
}

impl Silence {
    /// Whether nobody is told of this alert because of it, at `now`.
    pub fn covers(&self, alert: &str, labels: &BTreeMap<String, String>, now: Micros) -> bool {
        let says = |(name, value): (&String, &String)| match name.as_str() {
            "alertname" => value == alert,
            name => labels.get(name).is_some_and(|label| label == value),
        };
        self.starts_at <= now && now < self.ends_at && self.matchers.iter().all(says)
    }
}

/// Somebody looks after an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    pub alert: String,
    pub labels: BTreeMap<String, String>,
    pub active_at: Micros,
    pub at: Micros,
    pub by: String,
}
