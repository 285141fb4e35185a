//! Alerts on their way to Alertmanager.
//!
//! ```text
//!   store thread ──alerts that became durable──▶ what fires, what has ceased lately ──▶ POST /api/v2/alerts
//! ```
//!
//! As Prometheus does, everything that fires is sent again every minute, with an end four minutes
//! ahead: if nobody sends it again, it resolves by itself. What has ceased is sent with its end for
//! a quarter of an hour. So nothing has to be remembered of what Alertmanager was told: it may be
//! away, or forget, and so may we, and an episode is neither lost nor there twice, because the labels
//! and the start say which one it is.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::bail;
use contracts::Micros;
use contracts::snapshot::{AlertRow, AlertState};
use pipeline::reading::alert_row;
use pipeline::seal::Updates;
use pipeline::views::alerts::Alert;
use serde_json::{Value, json};

use crate::engine::clock;

/// It is looked this often whether something is to be sent again.
const PACE: Duration = Duration::from_secs(1);

/// What fires is sent again after so long, and resolves by itself after four times as long.
const RESEND: Duration = Duration::from_secs(60);
const LASTS: i64 = 4 * 60 * 1_000_000;

/// For so many µs what has ceased is sent again.
const CEASED: i64 = 15 * 60 * 1_000_000;

/// Between two attempts while Alertmanager is away.
const RETRY: Duration = Duration::from_secs(5);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Alerts of a request.
const BATCH: usize = 1_000;

/// Where alerts are sent, and where their links lead.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    /// Without a slash at the end.
    alertmanager: String,
    public: String,
}

impl Destination {
    pub(crate) fn new(alertmanager: &str, public: &str) -> anyhow::Result<Destination> {
        for (flag, url) in [("--alertmanager-url", alertmanager), ("--public-url", public)] {
            let http = url.starts_with("http://");
            // The client that we send with has no TLS; a link may lead anywhere.
            let link = flag == "--public-url" && url.starts_with("https://");
            if !(http || link) {
                bail!(
                    "{flag} {url} is no address of a server; write it like http://localhost:9093"
                );
            }
        }
        let bare = |url: &str| url.trim_end_matches('/').to_owned();
        Ok(Destination { alertmanager: bare(alertmanager), public: bare(public) })
    }
}

type Identity = (String, BTreeMap<String, String>);

/// The thread that sends.
pub(crate) struct Delivery {
    destination: Destination,
    agent: ureq::Agent,
    firing: BTreeMap<Identity, AlertRow>,
    ceased: BTreeMap<Identity, AlertRow>,
    /// When everything was last sent; none if something has changed since.
    sent: Option<Instant>,
    /// When it was last tried in vain; none if it was not.
    failed: Option<Instant>,
}

impl Delivery {
    /// Goes on from the alerts that there are, and those that were resolved last.
    pub(crate) fn new(
        destination: Destination,
        alerts: Vec<AlertRow>,
        resolved: Vec<AlertRow>,
    ) -> Delivery {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .proxy(None)
            .build()
            .into();
        let now = clock();
        let by_identity =
            |rows: Vec<AlertRow>, wanted: &dyn Fn(&AlertRow) -> bool| -> BTreeMap<_, _> {
                let rows = rows.into_iter().filter(wanted);
                rows.map(|row| ((row.alert.clone(), row.labels.clone()), row)).collect()
            };
        let firing = by_identity(alerts, &|row| row.state == AlertState::Firing);
        let ceased = by_identity(resolved, &|row| lately(row, now));
        Delivery { destination, agent, firing, ceased, sent: None, failed: None }
    }

    /// Sends what comes until nothing comes any more.
    pub(crate) fn run(mut self, durable: &Receiver<Updates<Alert>>) {
        loop {
            match durable.recv_timeout(PACE) {
                Ok(updates) => self.take(updates),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while let Ok(updates) = durable.try_recv() {
                self.take(updates);
            }
            let since = |at: Option<Instant>, pause| at.is_none_or(|at| at.elapsed() >= pause);
            if since(self.sent, RESEND) && since(self.failed, RETRY) {
                self.send();
            }
        }
    }

    /// Sees what began to fire, and what no longer does.
    fn take(&mut self, mut updates: Updates<Alert>) {
        let fired_at = |firing: &BTreeMap<Identity, AlertRow>| -> Vec<_> {
            firing.iter().map(|(identity, row)| (identity.clone(), row.fired_at)).collect()
        };
        let before = fired_at(&self.firing);
        // A retraction before what takes its place.
        updates.sort_by_key(|(_, tick, diff)| (*tick, *diff));
        for (alert, tick, diff) in updates {
            let identity = (alert.alert.clone(), alert.labels.clone());
            if diff > 0 && alert.state == AlertState::Firing {
                self.ceased.remove(&identity);
                self.firing.insert(identity, alert_row(&alert));
            } else if diff < 0
                && let Some(row) = self.firing.remove(&identity)
            {
                let resolved_at = Some(Micros(i64::try_from(tick).unwrap_or(i64::MAX)));
                self.ceased.insert(identity, AlertRow { resolved_at, ..row });
            }
        }
        if fired_at(&self.firing) != before {
            self.sent = None;
        }
    }

    /// Sends everything.
    fn send(&mut self) {
        let now = clock();
        // What has not been delivered yet stays until it is.
        if self.sent.is_some() {
            self.ceased.retain(|_, row| lately(row, now));
        }
        let rows = self.firing.values().chain(self.ceased.values());
        let alerts: Vec<Value> = rows.map(|row| self.destination.alert(row, now)).collect();
        let url = format!("{}/api/v2/alerts", self.destination.alertmanager);
        for alerts in alerts.chunks(BATCH) {
            let request = self.agent.post(&url).header("content-type", "application/json");
            if let Err(error) = request.send(json!(alerts).to_string()) {
                if self.failed.replace(Instant::now()).is_none() {
                    tracing::warn!(%error, "alertmanager does not take our alerts; trying again");
                }
                return;
            }
        }
        if self.failed.take().is_some() {
            tracing::info!("alertmanager has all alerts");
        }
        self.sent = Some(Instant::now());
    }
}

fn lately(row: &AlertRow, now: Micros) -> bool {
    row.resolved_at.is_some_and(|at| now.0 - at.0 < CEASED)
}

impl Destination {
    /// An alert as Alertmanager's API, version 2, takes it.
    fn alert(&self, row: &AlertRow, now: Micros) -> Value {
        let mut labels = row.labels.clone();
        // Alertmanager refuses empty labels: to it they are absent.
        labels.retain(|_, value| !value.is_empty());
        labels.insert("alertname".to_owned(), row.alert.clone());
        let link = match &row.jobs {
            Some(jobs) => format!("{}/ui/jobs?{jobs}", self.public),
            None => format!("{}/ui/alerts", self.public),
        };
        json!({
            "labels": labels,
            "annotations": row.annotations,
            "startsAt": row.fired_at.unwrap_or(row.active_at),
            "endsAt": row.resolved_at.unwrap_or(Micros(now.0 + LASTS)),
            "generatorURL": link,
        })
    }
}

#[cfg(test)]
mod tests {
    use pipeline::views::alerts::Value as Measured;
    use pipeline::{Diff, Tick};

    use super::*;

    #[test]
    fn an_alert_says_when_it_began_when_it_ends_and_where_its_jobs_are() {
        let destination = Destination::new("http://am:9093/", "https://jobs.example/").unwrap();
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
        assert_eq!(destination.alert(&row, now), expected);
        let over = AlertRow { resolved_at: Some(now), jobs: None, ..row };
        let over = destination.alert(&over, now);
        assert_eq!(over["endsAt"], "2026-11-21T10:03:00.000000Z");
        assert_eq!(over["generatorURL"], "https://jobs.example/ui/alerts");
    }

    /// An alert that fired at second 1, told at another.
    fn update(name: &str, second: u64, diff: Diff) -> (Alert, Tick, Diff) {
        let alert = Alert {
            alert: name.to_owned(),
            labels: BTreeMap::new(),
            state: AlertState::Firing,
            active_at: 1_000_000,
            fired_at: Some(1_000_000),
            value: Measured::new(second as f64),
            expr: String::new(),
            annotations: BTreeMap::new(),
        };
        (alert, second * 1_000_000, diff)
    }

    #[test]
    fn only_what_begins_or_ceases_is_news_and_no_episode_is_too_short() {
        let destination = Destination::new("http://am:9093", "http://a").unwrap();
        let mut delivery = Delivery::new(destination, Vec::new(), Vec::new());
        delivery.take(vec![update("A", 1, 1)]);
        delivery.sent = Some(Instant::now());
        // Its value has changed.
        delivery.take(vec![update("A", 2, 1), update("A", 2, -1)]);
        assert!(delivery.sent.is_some() && delivery.ceased.is_empty());
        // Another comes and goes before anybody looks.
        delivery.take(vec![update("B", 3, 1), update("A", 4, -1), update("B", 4, -1)]);
        assert!(delivery.sent.is_none() && delivery.firing.is_empty());
        let ended: Vec<_> = delivery.ceased.values().map(|row| row.resolved_at).collect();
        assert_eq!(ended, [Some(Micros(4_000_000)); 2]);
    }

    #[test]
    fn an_address_that_cannot_be_sent_to_is_refused() {
        assert!(Destination::new("localhost:9093", "http://a").is_err());
        assert!(Destination::new("https://localhost:9093", "http://a").is_err());
        assert!(Destination::new("http://localhost:9093", "ftp://a").is_err());
    }
}
