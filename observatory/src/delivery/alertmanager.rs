//! Alerts on their way to Alertmanager.
//!
//! As Prometheus does, everything that fires is sent again every minute, with an end four minutes
//! ahead: if nobody sends it again, it resolves by itself. What has ceased is sent with its end for
//! a quarter of an hour. So nothing has to be remembered of what Alertmanager was told: it may be
//! away, or forget, and so may we, and an episode is neither lost nor there twice, because the labels
//! and the start say which one it is.
//!
//! Silences are made there, too, so that whoever is silent here is silent there: an alert that was
//! not sent would be resolved, which it is not. Ours are known by their comment.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use contracts::Micros;
use contracts::notes::Note;
use contracts::snapshot::AlertRow;
use pipeline::seal::Updates;
use pipeline::views::alerts::Alert;
use serde::Deserialize;
use serde_json::{Value, json};
use sinks::store::Reader;

use super::{BATCH, Followed, Links, PACE, Silences, agent};
use crate::engine::clock;

/// What fires is sent again after so long, and resolves by itself after four times as long.
const RESEND: Duration = Duration::from_secs(60);
const LASTS: i64 = 4 * 60 * 1_000_000;

/// For so many µs what has ceased is sent again.
const CEASED: i64 = 15 * 60 * 1_000_000;

/// Between two attempts while Alertmanager is away.
const RETRY: Duration = Duration::from_secs(5);

/// What the comment of a silence of ours begins with, before the id of its note.
const OURS: &str = "observatory ";

/// The thread that sends.
pub(super) struct Alertmanager {
    /// Without a slash at the end.
    url: String,
    links: Links,
    agent: ureq::Agent,
    reader: Box<dyn Reader>,
    followed: Followed,
    silences: Silences,
    /// Those that were made there when it was last looked, by note.
    made: Option<BTreeMap<String, String>>,
    /// When everything was last sent; none if something has changed since.
    sent: Option<Instant>,
    /// When it was last tried in vain; none if it was not.
    failed: Option<Instant>,
}

impl Alertmanager {
    pub(super) fn new(
        url: String,
        links: Links,
        followed: Followed,
        reader: Box<dyn Reader>,
    ) -> Alertmanager {
        Alertmanager {
            url,
            links,
            agent: agent(),
            reader,
            followed,
            silences: Silences(Vec::new()),
            made: None,
            sent: None,
            failed: None,
        }
    }

    /// Sends what comes until nothing comes any more.
    pub(super) fn run(mut self, durable: &Receiver<Updates<Alert>>) {
        loop {
            match durable.recv_timeout(PACE) {
                Ok(updates) => self.take(updates),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while let Ok(updates) = durable.try_recv() {
                self.take(updates);
            }
            let now = clock();
            self.silences.read(&mut *self.reader, now);
            let since = |at: Option<Instant>, pause| at.is_none_or(|at| at.elapsed() >= pause);
            let again = since(self.sent, RESEND);
            if (again || self.unsilenced(now)) && since(self.failed, RETRY) {
                let done = self.silence(now, again).and_then(|()| match again {
                    true => self.send(now),
                    false => Ok(()),
                });
                self.tell(done);
            }
        }
    }

    fn take(&mut self, updates: Updates<Alert>) {
        if self.followed.take(updates) {
            self.sent = None;
        }
    }

    fn tell(&mut self, done: Result<(), ureq::Error>) {
        match done {
            Ok(()) => {
                if self.failed.take().is_some() {
                    tracing::info!("alertmanager has all alerts");
                }
            }
            Err(error) => {
                // It may have forgotten everything when it comes back.
                self.made = None;
                if self.failed.replace(Instant::now()).is_none() {
                    tracing::warn!(%error, "alertmanager does not take our alerts; trying again");
                }
            }
        }
    }

    /// Whether the silences there are not those here, as far as is known.
    fn unsilenced(&self, now: Micros) -> bool {
        let ours: Vec<String> = self.standing(now).map(|note| note.id.to_string()).collect();
        match &self.made {
            None => !ours.is_empty(),
            Some(made) => made.len() != ours.len() || ours.iter().any(|id| !made.contains_key(id)),
        }
    }

    fn standing(&self, now: Micros) -> impl Iterator<Item = &Note> {
        self.silences.0.iter().map(|(_, note)| note).filter(move |note| note.stands(now))
    }

    /// Makes the silences there those that are here; looks whether they are, if it is time to.
    fn silence(&mut self, now: Micros, look: bool) -> Result<(), ureq::Error> {
        let url = format!("{}/api/v2/silences", self.url);
        let made = match (&self.made, look) {
            (Some(made), false) => made.clone(),
            _ => {
                let mut answer = self.agent.get(&url).call()?;
                let text = answer.body_mut().read_to_string()?;
                known(&text).ok_or_else(|| ureq::Error::BadUri("no list of silences".to_owned()))?
            }
        };
        let mut now_made = BTreeMap::new();
        for note in self.standing(now) {
            let id = note.id.to_string();
            let there = match made.get(&id) {
                Some(there) => there.clone(),
                None => {
                    let request = self.agent.post(&url).header("content-type", "application/json");
                    let mut answer = request.send(silence(note).to_string())?;
                    let text = answer.body_mut().read_to_string()?;
                    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
                    answer["silenceID"].as_str().unwrap_or_default().to_owned()
                }
            };
            now_made.insert(id, there);
        }
        for (id, there) in &made {
            if !now_made.contains_key(id) {
                let url = format!("{}/api/v2/silence/{there}", self.url);
                self.agent.delete(&url).call()?;
            }
        }
        self.made = Some(now_made);
        Ok(())
    }

    /// Sends everything.
    fn send(&mut self, now: Micros) -> Result<(), ureq::Error> {
        // What has not been delivered yet stays until it is.
        if self.sent.is_some() || self.failed.is_none() {
            self.followed.ceased.retain(|row| lately(row, now));
        }
        let firing = &self.followed.firing;
        // Of a subject that fires again the new episode is sent, and of several that have ceased the
        // last: to Alertmanager they are one alert.
        let mut last = BTreeMap::new();
        for row in &self.followed.ceased {
            let identity = super::identity(row);
            if !firing.contains_key(&identity) {
                last.insert(identity, row);
            }
        }
        let rows = firing.values().chain(last.into_values());
        let alerts: Vec<Value> = rows.map(|row| alert(row, &self.links, now)).collect();
        let url = format!("{}/api/v2/alerts", self.url);
        for alerts in alerts.chunks(BATCH) {
            let request = self.agent.post(&url).header("content-type", "application/json");
            request.send(json!(alerts).to_string())?;
        }
        self.sent = Some(Instant::now());
        Ok(())
    }
}

fn lately(row: &AlertRow, now: Micros) -> bool {
    row.resolved_at.is_some_and(|at| now.0 - at.0 < CEASED)
}

/// A silence as Alertmanager lists it.
#[derive(Deserialize)]
struct Listed {
    id: String,
    comment: String,
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    state: String,
}

/// Our silences that have not expired, by the ids of their notes.
fn known(text: &str) -> Option<BTreeMap<String, String>> {
    let listed: Vec<Listed> = serde_json::from_str(text).ok()?;
    let ours = listed.into_iter().filter(|silence| silence.status.state != "expired");
    let note = |silence: Listed| {
        let note = silence.comment.strip_prefix(OURS)?.split(':').next()?.to_owned();
        Some((note, silence.id))
    };
    Some(ours.filter_map(note).collect())
}

fn silence(note: &Note) -> Value {
    let Note { id, matchers, starts_at, ends_at, comment, created_by, .. } = note;
    json!({
        "matchers": matchers,
        "startsAt": starts_at,
        "endsAt": ends_at,
        "createdBy": if created_by.is_empty() { "observatory" } else { created_by },
        "comment": format!("{OURS}{id}: {comment}"),
    })
}

/// An alert as Alertmanager's API, version 2, takes it.
fn alert(row: &AlertRow, links: &Links, now: Micros) -> Value {
    let mut labels = row.labels.clone();
    // Alertmanager refuses empty labels: to it they are absent.
    labels.retain(|_, value| !value.is_empty());
    labels.insert("alertname".to_owned(), row.alert.clone());
    json!({
        "labels": labels,
        "annotations": row.annotations,
        "startsAt": row.fired_at.unwrap_or(row.active_at),
        "endsAt": row.resolved_at.unwrap_or(Micros(now.0 + LASTS)),
        "generatorURL": links.of(row),
    })
}

#[cfg(test)]
mod tests {
    use contracts::snapshot::AlertState;

    use super::*;

    #[test]
    fn an_alert_says_when_it_began_when_it_ends_and_where_its_jobs_are() {
        let links = Links("https://jobs.example".to_owned());
        let at = |text| Micros::parse(text).unwrap();
        let row = AlertRow {
            alert: "Failing".to_owned(),
            state: AlertState::Firing,
            labels: [("type", "a"), ("queue", "")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            active_at: at("2026-11-21T10:00:00Z"),
            fired_at: Some(at("2026-11-21T10:02:00Z")),
            resolved_at: None,
            value: 0.5,
            expr: String::new(),
            annotations: [("summary".to_owned(), "half".to_owned())].into(),
            jobs: Some("state=FAILED&type=a".to_owned()),
        };
        let now = at("2026-11-21T10:03:00Z");
        let expected = json!({
            "labels": { "alertname": "Failing", "type": "a" },
            "annotations": { "summary": "half" },
            "startsAt": "2026-11-21T10:02:00.000000Z",
            "endsAt": "2026-11-21T10:07:00.000000Z",
            "generatorURL": "https://jobs.example/ui/jobs?state=FAILED&type=a",
        });
        assert_eq!(alert(&row, &links, now), expected);
        let over = AlertRow { resolved_at: Some(now), jobs: None, ..row };
        let over = alert(&over, &links, now);
        assert_eq!(over["endsAt"], "2026-11-21T10:03:00.000000Z");
        assert_eq!(over["generatorURL"], "https://jobs.example/ui/alerts");
    }

    #[test]
    fn of_the_silences_there_only_ours_that_have_not_expired_are_known() {
        let listed = |id: &str, comment: &str, state: &str| json!({ "id": id, "comment": comment, "status": { "state": state } });
        let text = json!([
            listed("1", "observatory n1: night", "active"),
            listed("2", "observatory n2: day", "expired"),
            listed("3", "somebody else's", "active"),
        ]);
        let known = known(&text.to_string()).unwrap();
        assert_eq!(known, [("n1".to_owned(), "1".to_owned())].into());
    }
}
