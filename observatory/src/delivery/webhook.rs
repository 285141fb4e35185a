//! Alerts on their way to a server of the operator's choice, as Alertmanager's webhook would send
//! them (version 4 of its format), so that what receives those receives these.
//!
//! ```text
//!   firing, not told ──┐
//!                      ├─ not silenced ──▶ POST ──2xx──▶ kept in the store as told
//!   ceased, start told ┘                    │ else: again after 1 s, 2 s, … 1 min
//! ```
//!
//! An episode is told when it begins to fire and when it has ceased. What was told is kept, so a
//! restart tells nothing twice, but for a crash between the answer and its being kept. A silence holds
//! back what begins under it until it is over; whoever was told of a start is told of the end whatever
//! is silenced. One that began and ended while nobody could be told is told with its end.
//!
//! A server that says no for good (a status of 400 and above, but 408 and 429) is not asked again
//! about the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use contracts::Micros;
use contracts::snapshot::AlertRow;
use pipeline::seal::Updates;
use pipeline::views::alerts::Alert;
use serde_json::{Value, json};
use sinks::store::{Episode, Notified, Reader};
use uuid::Uuid;

use super::{Followed, Links, PACE, Silences, agent};
use crate::engine::clock;

/// Between two attempts, at first and at most.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Alerts of a request: receivers make a message of it.
const TOGETHER: usize = 100;

/// At a start, what has ceased for longer, in µs, is no news.
const NEWS: i64 = 15 * 60 * 1_000_000;

/// Fingerprints are UUIDs of labels in this space.
const FINGERPRINTS: Uuid = Uuid::from_u128(0x6f5d_5d0c_7c3b_4c1e_9e1a_77b1_26f0_9a3d);

/// The thread that sends.
pub(super) struct Webhook {
    url: String,
    token: Option<String>,
    links: Links,
    agent: ureq::Agent,
    reader: Box<dyn Reader>,
    followed: Followed,
    silences: Silences,
    /// Episodes that fire and of which the start was told.
    begun: BTreeSet<Episode>,
    /// What was told, and is not kept yet.
    unkept: Vec<(Episode, Notified)>,
    /// When to try again, and the pause before that; none if all went well.
    again: Option<(Instant, Duration)>,
}

impl Webhook {
    pub(super) fn new(
        url: String,
        token: Option<String>,
        links: Links,
        mut followed: Followed,
        told: &[(Episode, Notified)],
        reader: Box<dyn Reader>,
    ) -> Webhook {
        let told: BTreeMap<&Episode, Notified> =
            told.iter().map(|(episode, notified)| (episode, *notified)).collect();
        let now = clock();
        followed.ceased.retain(|row| match told.get(&Episode::of(row)) {
            Some(Notified::Firing) => true,
            Some(Notified::Resolved) => false,
            None => row.resolved_at.is_some_and(|at| now.0 - at.0 < NEWS),
        });
        let begun = told.iter().filter(|(_, notified)| **notified == Notified::Firing);
        let begun = begun.map(|(episode, _)| (*episode).clone()).collect();
        Webhook {
            url,
            token,
            links,
            agent: agent(),
            reader,
            followed,
            silences: Silences(Vec::new()),
            begun,
            unkept: Vec::new(),
            again: None,
        }
    }

    /// Sends what comes until nothing comes any more.
    pub(super) fn run(mut self, durable: &Receiver<Updates<Alert>>) {
        loop {
            match durable.recv_timeout(PACE) {
                Ok(updates) => drop(self.followed.take(updates)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while let Ok(updates) = durable.try_recv() {
                self.followed.take(updates);
            }
            self.keep();
            let due = self.again.is_none_or(|(at, _)| at <= Instant::now());
            if due && self.has_news() {
                let now = clock();
                self.silences.read(&mut *self.reader, now);
                self.send(now);
            }
        }
    }

    fn has_news(&self) -> bool {
        let untold = |row: &AlertRow| !self.begun.contains(&Episode::of(row));
        !self.followed.ceased.is_empty() || self.followed.firing.values().any(untold)
    }

    /// Tells what is news and not silenced.
    fn send(&mut self, now: Micros) {
        let firing = self.followed.firing.values();
        let firing = firing.filter(|row| !self.begun.contains(&Episode::of(row)));
        let firing: Vec<AlertRow> =
            firing.filter(|row| !self.silences.cover(row, now)).cloned().collect();
        let (silences, begun) = (&self.silences, &self.begun);
        // What came and went in silence is over.
        self.followed
            .ceased
            .retain(|row| begun.contains(&Episode::of(row)) || !silences.cover(row, now));
        let ceased = self.followed.ceased.clone();
        for (rows, notified) in [(firing, Notified::Firing), (ceased, Notified::Resolved)] {
            for rows in rows.chunks(TOGETHER) {
                if !self.post(rows, notified) {
                    return;
                }
                self.told(rows, notified);
            }
        }
        self.keep();
    }

    /// Whether the server has taken it, or has said for good that it does not.
    fn post(&mut self, rows: &[AlertRow], notified: Notified) -> bool {
        let body = message(rows, notified, &self.links).to_string();
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        match request.send(body) {
            Ok(_) => {
                if self.again.take().is_some() {
                    tracing::info!("the webhook takes our alerts again");
                }
                true
            }
            Err(ureq::Error::StatusCode(status @ 400..500)) if ![408, 429].contains(&status) => {
                let n = rows.len();
                tracing::error!(status, n, "the webhook refuses alerts; they are not sent again");
                self.again = None;
                true
            }
            Err(error) => {
                let pause = self.again.map_or(FIRST, |(_, pause)| (2 * pause).min(LONGEST));
                if self.again.replace((Instant::now() + pause, pause)).is_none() {
                    // Its address may be a secret.
                    let error = told_without_address(&error);
                    tracing::warn!(error, "the webhook does not take our alerts; trying again");
                }
                false
            }
        }
    }

    fn told(&mut self, rows: &[AlertRow], notified: Notified) {
        for row in rows {
            let episode = Episode::of(row);
            match notified {
                Notified::Firing => drop(self.begun.insert(episode.clone())),
                Notified::Resolved => {
                    self.begun.remove(&episode);
                    self.followed.ceased.retain(|other| Episode::of(other) != episode);
                }
            }
            self.unkept.push((episode, notified));
        }
    }

    /// Keeps what was told, for the next start.
    fn keep(&mut self) {
        if self.unkept.is_empty() {
            return;
        }
        match self.reader.notify(&self.unkept) {
            Ok(()) => self.unkept.clear(),
            Err(error) => tracing::debug!(%error, "cannot keep what the webhook was told; later"),
        }
    }
}

fn told_without_address(error: &ureq::Error) -> String {
    match error {
        ureq::Error::StatusCode(status) => format!("it answers {status}"),
        ureq::Error::Timeout(_) => "it does not answer".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        _ => "it can not be reached".to_owned(),
    }
}

/// What is sent: a group of alerts.
fn message(rows: &[AlertRow], notified: Notified, links: &Links) -> Value {
    let alerts: Vec<Value> = rows.iter().map(|row| alert(row, notified, links)).collect();
    json!({
        "version": "4",
        "groupKey": "observatory",
        "truncatedAlerts": 0,
        "status": notified.as_str(),
        "receiver": "observatory",
        "groupLabels": {},
        "commonLabels": common(&alerts, "labels"),
        "commonAnnotations": common(&alerts, "annotations"),
        "externalURL": links.0,
        "alerts": alerts,
    })
}

/// What all of them say alike.
fn common(alerts: &[Value], field: &str) -> Value {
    let Some((first, others)) = alerts.split_first() else { return json!({}) };
    let mut common = first[field].as_object().cloned().unwrap_or_default();
    common.retain(|name, text| others.iter().all(|other| other[field].get(name) == Some(&*text)));
    Value::Object(common)
}

fn alert(row: &AlertRow, notified: Notified, links: &Links) -> Value {
    let mut labels = row.labels.clone();
    labels.insert("alertname".to_owned(), row.alert.clone());
    let text = serde_json::to_string(&labels).unwrap_or_default();
    let ends_at = match notified {
        Notified::Firing => "0001-01-01T00:00:00Z".to_owned(),
        Notified::Resolved => row.resolved_at.unwrap_or(row.active_at).to_string(),
    };
    json!({
        "status": notified.as_str(),
        "labels": labels,
        "annotations": row.annotations,
        "startsAt": row.fired_at.unwrap_or(row.active_at),
        "endsAt": ends_at,
        "generatorURL": links.of(row),
        "fingerprint": Uuid::new_v5(&FINGERPRINTS, text.as_bytes()).simple().to_string()[..16],
    })
}
