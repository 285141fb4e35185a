//! Alerts on their way to Alertmanager.
//!
//! ```text
//!   alerts that are durable ──every second──▶ what fires, and what has ceased lately ──▶ POST /api/v2/alerts
//! ```
//!
//! As Prometheus does, everything that fires is sent again every minute, with an end four minutes
//! ahead: if nobody sends it again, it resolves by itself. What has ceased is sent with its end for
//! a quarter of an hour. So nothing has to be remembered of what Alertmanager was told: it may be
//! away, or forget, and so may we, and an episode is neither lost nor there twice, because the labels
//! and the start say which one it is.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::bail;
use contracts::Micros;
use contracts::snapshot::{AlertRow, AlertState};
use serde_json::{Value, json};
use sinks::live::Live;

use crate::engine::clock;

/// Between two looks at the alerts.
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
    live: Arc<RwLock<Live>>,
    agent: ureq::Agent,
    firing: BTreeMap<Identity, AlertRow>,
    ceased: BTreeMap<Identity, AlertRow>,
    /// When everything was last sent; none if something has changed since.
    sent: Option<Instant>,
    away: bool,
}

impl Delivery {
    /// Sends the alerts of `live`; `ceased` are those that a store says were resolved lately.
    pub(crate) fn new(
        destination: Destination,
        live: Arc<RwLock<Live>>,
        ceased: Vec<AlertRow>,
    ) -> Delivery {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .proxy(None)
            .build()
            .into();
        let now = clock();
        let lately = |row: &AlertRow| row.resolved_at.is_some_and(|at| now.0 - at.0 < CEASED);
        let ceased = ceased.into_iter().filter(lately).map(|row| (identity(&row), row)).collect();
        let (firing, sent, away) = (BTreeMap::new(), None, false);
        Delivery { destination, live, agent, firing, ceased, sent, away }
    }

    /// Runs as long as the process does.
    pub(crate) fn run(mut self) -> ! {
        loop {
            self.look();
            let due = self.sent.is_none_or(|sent| sent.elapsed() >= RESEND);
            let pause = if due && !self.send() { RETRY } else { PACE };
            std::thread::sleep(pause);
        }
    }

    /// Sees what fires now, and what no longer does.
    fn look(&mut self) {
        let alerts = {
            let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
            live.alerts()
        };
        let fires = |row: &AlertRow| row.state == AlertState::Firing;
        let firing: BTreeMap<Identity, AlertRow> =
            alerts.into_iter().filter(fires).map(|row| (identity(&row), row)).collect();
        let began = |(identity, row): (&Identity, &AlertRow)| {
            self.firing.get(identity).map(|known| known.fired_at) != Some(row.fired_at)
        };
        let changed = firing.iter().any(began) || self.firing.len() != firing.len();
        let now = clock();
        for (identity, row) in std::mem::take(&mut self.firing) {
            if !firing.contains_key(&identity) {
                self.ceased.insert(identity, AlertRow { resolved_at: Some(now), ..row });
            }
        }
        self.ceased.retain(|identity, row| {
            let lately = row.resolved_at.is_none_or(|at| now.0 - at.0 < CEASED);
            // What has not been delivered yet stays until it is.
            !firing.contains_key(identity) && (lately || self.sent.is_none())
        });
        self.firing = firing;
        if changed {
            self.sent = None;
        }
    }

    /// Sends everything; whether Alertmanager took it.
    fn send(&mut self) -> bool {
        let now = clock();
        let rows = self.firing.values().chain(self.ceased.values());
        let alerts: Vec<Value> = rows.map(|row| self.destination.alert(row, now)).collect();
        let url = format!("{}/api/v2/alerts", self.destination.alertmanager);
        for alerts in alerts.chunks(BATCH) {
            let request = self.agent.post(&url).header("content-type", "application/json");
            if let Err(error) = request.send(json!(alerts).to_string()) {
                if !std::mem::replace(&mut self.away, true) {
                    tracing::warn!(%error, "alertmanager does not take our alerts; trying again");
                }
                return false;
            }
        }
        if std::mem::take(&mut self.away) {
            tracing::info!("alertmanager has all alerts");
        }
        self.sent = Some(Instant::now());
        true
    }
}

fn identity(row: &AlertRow) -> Identity {
    (row.alert.clone(), row.labels.clone())
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

    #[test]
    fn an_address_that_cannot_be_sent_to_is_refused() {
        assert!(Destination::new("localhost:9093", "http://a").is_err());
        assert!(Destination::new("https://localhost:9093", "http://a").is_err());
        assert!(Destination::new("http://localhost:9093", "ftp://a").is_err());
    }
}
