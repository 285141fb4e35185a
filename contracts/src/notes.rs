//! What people say of alerts, and what other alert systems tell us.
//!
//! An acknowledgement says of one episode that somebody has seen it; it stands until the episode is
//! over. A silence says of all alerts that match that nobody is to be told of them for a time. Both are
//! kept for good, with who made and who ended them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::Micros;
use crate::wire::wire_names;

/// What a note is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoteKind {
    Acknowledgement,
    Silence,
}

wire_names!(NoteKind, "kind of note", {
    Acknowledgement => "acknowledgement",
    Silence => "silence",
});

/// What a label is to be, as Alertmanager writes it. The alert's name is the label `alertname`; a
/// label that is not there is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Matcher {
    pub name: String,
    pub value: String,
    /// The value is a regular expression, for the whole of the label.
    #[serde(default)]
    pub is_regex: bool,
    /// False for what does not match.
    #[serde(default = "yes")]
    pub is_equal: bool,
}

fn yes() -> bool {
    true
}

/// What somebody has said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    pub id: Uuid,
    pub kind: NoteKind,
    /// All must hold.
    pub matchers: Vec<Matcher>,
    /// The episode that an acknowledgement is of, by when it began; null of a silence.
    pub active_at: Option<Micros>,
    pub starts_at: Micros,
    /// When it is over by itself; null if with its episode.
    pub ends_at: Option<Micros>,
    pub comment: String,
    /// The name of a token, or an address.
    pub created_by: String,
    /// When somebody ended it before its time, and who.
    pub ended_at: Option<Micros>,
    pub ended_by: Option<String>,
}

impl Note {
    /// Whether it counts at a moment.
    pub fn stands(&self, at: Micros) -> bool {
        self.ended_at.is_none()
            && self.starts_at <= at
            && self.ends_at.is_none_or(|ends_at| at < ends_at)
    }
}

/// What is to be noted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum NewNote {
    /// Of an alert that is pending or fires.
    Acknowledgement {
        alert: String,
        labels: BTreeMap<String, String>,
        #[serde(default)]
        comment: String,
    },
    Silence {
        /// One at least that does not let pass everything.
        matchers: Vec<Matcher>,
        /// Now, unless it is given.
        #[serde(default)]
        starts_at: Option<Micros>,
        ends_at: Micros,
        #[serde(default)]
        comment: String,
    },
}

/// Notes, newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notes {
    /// The moment of the alerts that they are said to cover.
    pub as_of: Option<Micros>,
    pub items: Vec<StandingNote>,
}

/// A note, and the alerts that it is about now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StandingNote {
    #[serde(flatten)]
    pub note: Note,
    pub alerts: Vec<AlertKey>,
}

/// Which alert: that of a rule, for a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlertKey {
    pub alert: String,
    pub labels: BTreeMap<String, String>,
}

/// Alerts that an Alertmanager has told us of, and that are not ours; the newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReceivedAlerts {
    pub items: Vec<ReceivedAlert>,
}

/// An alert that an Alertmanager has told us of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReceivedAlert {
    /// What tells it apart, as the sender has it.
    pub fingerprint: String,
    /// `firing` or `resolved`.
    pub status: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub starts_at: Micros,
    /// Null while it fires.
    pub ends_at: Option<Micros>,
    /// Where its sender shows it, if it said so with an address of the web.
    pub url: Option<String>,
    /// When we were last told.
    pub received_at: Micros,
}
