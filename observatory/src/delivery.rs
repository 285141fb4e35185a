//! Alerts on their way to those who wake people: an Alertmanager, and any server that takes what
//! Alertmanager's webhook sends.
//!
//! ```text
//!   store thread ──alerts that became durable──┬──▶ Alertmanager   everything, again and again
//!                                              └──▶ webhook        each episode once, at its start and end
//!   notes in the store ──▶ silences: made known to Alertmanager, kept to by the webhook
//! ```
//!
//! Each has a thread of its own, so that one that does not answer keeps no other waiting.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use anyhow::{Context, bail};
use contracts::Micros;
use contracts::notes::Note;
use contracts::snapshot::{AlertRow, AlertState};
use pipeline::reading::alert_row;
use pipeline::rules::matching::Cover;
use pipeline::seal::Updates;
use pipeline::views::alerts::Alert;
use sinks::store::{Error, Reader};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::core::thread;

mod alertmanager;
mod webhook;

use alertmanager::Alertmanager;
use webhook::Webhook;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// It is looked this often whether something is to be sent again.
const PACE: Duration = Duration::from_secs(1);

/// Alerts of a request.
const BATCH: usize = 1_000;

/// Alerts that were resolved last, which those who are told may not have heard of.
const CEASED: usize = 1_000;

/// Where alerts are sent.
#[derive(clap::Args, Clone)]
pub(crate) struct WebhookArgs {
    /// A server that is told when an alert begins to fire and when it has ceased, by a POST of what
    /// Alertmanager's webhook sends.
    #[arg(long, env = "OBSERVATORY_ALERT_WEBHOOK", hide_env_values = true, value_name = "URL")]
    alert_webhook: Option<String>,
    /// What is sent to it as `Authorization: Bearer`.
    #[arg(
        long,
        env = "OBSERVATORY_ALERT_WEBHOOK_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        requires = "alert_webhook"
    )]
    alert_webhook_token: Option<String>,
}

impl WebhookArgs {
    /// Where alerts are sent, if anywhere; their links begin with `public`.
    pub(crate) fn destinations(
        &self,
        alertmanager: Option<&str>,
        public: &str,
    ) -> anyhow::Result<Destinations> {
        let webhook = self.alert_webhook.as_deref();
        for (flag, url) in [
            ("--alertmanager-url", alertmanager),
            ("--alert-webhook", webhook),
            ("--public-url", Some(public)),
        ] {
            let web = |url: &str| {
                let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
                rest.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
            };
            if url.is_some_and(|url| !web(url)) {
                // It may hold a password.
                bail!("{flag} is no address of a server; write it like http://localhost:9093");
            }
        }
        let bare = |url: &str| url.trim_end_matches('/').to_owned();
        Ok(Destinations {
            alertmanager: alertmanager.map(bare),
            webhook: webhook.map(str::to_owned),
            token: self.alert_webhook_token.clone(),
            links: Links(bare(public)),
        })
    }
}

/// Where alerts are sent, and where their links lead.
#[derive(Clone)]
pub(crate) struct Destinations {
    /// Without a slash at the end.
    alertmanager: Option<String>,
    webhook: Option<String>,
    token: Option<String>,
    links: Links,
}

/// Links to the page, by what they begin with.
#[derive(Clone)]
struct Links(String);

impl Links {
    /// Where an alert's jobs are shown; if it is about something else, where it is shown itself.
    fn of(&self, row: &AlertRow) -> String {
        match &row.jobs {
            Some(jobs) => format!("{}/ui/jobs?{jobs}", self.0),
            None => format!("{}/ui/alerts", self.0),
        }
    }
}

/// Starts the threads that send; each ends when it is given nothing any more.
pub(crate) fn start(
    destinations: Destinations,
    alerts: Vec<AlertRow>,
    open: &dyn Fn() -> Result<Box<dyn Reader>, Error>,
) -> anyhow::Result<Vec<Sender<Updates<Alert>>>> {
    let Destinations { alertmanager, webhook, token, links } = destinations;
    let mut senders = Vec::new();
    if let Some(url) = alertmanager {
        let mut reader = open()?;
        let followed = Followed::new(alerts.clone(), reader.resolved(CEASED)?.1);
        let sends = Alertmanager::new(url, links.clone(), followed, reader);
        senders.push(begin("alertmanager", move |durable| sends.run(durable))?);
    }
    if let Some(url) = webhook {
        let mut reader = open()?;
        let followed = Followed::new(alerts, reader.resolved(CEASED)?.1);
        let told = reader.notified(2 * CEASED).context("cannot read what was told")?;
        let sends = Webhook::new(url, token, links, followed, &told, reader);
        senders.push(begin("webhook", move |durable| sends.run(durable))?);
    }
    Ok(senders)
}

/// Starts a thread that sends what it is given.
fn begin(
    name: &str,
    send: impl FnOnce(&Receiver<Updates<Alert>>) + Send + 'static,
) -> anyhow::Result<Sender<Updates<Alert>>> {
    let (durable, received) = mpsc::channel();
    drop(thread(name, move || {
        send(&received);
        Ok(())
    })?);
    Ok(durable)
}

/// A client for these servers, which trusts whom this machine trusts.
fn agent() -> ureq::Agent {
    let found = rustls_native_certs::load_native_certs().certs;
    let roots: Vec<_> =
        found.iter().map(|root| Certificate::from_der(root.as_ref()).to_owned()).collect();
    let tls = TlsConfig::builder().root_certs(RootCerts::from(roots)).build();
    ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .max_redirects(0)
        .proxy(None)
        .tls_config(tls)
        .build()
        .into()
}

type Identity = (String, BTreeMap<String, String>);

fn identity(row: &AlertRow) -> Identity {
    (row.alert.clone(), row.labels.clone())
}

/// What fires, and what has ceased.
struct Followed {
    firing: BTreeMap<Identity, AlertRow>,
    /// Oldest first.
    ceased: Vec<AlertRow>,
}

impl Followed {
    fn new(alerts: Vec<AlertRow>, mut resolved: Vec<AlertRow>) -> Followed {
        let firing = alerts.into_iter().filter(|row| row.state == AlertState::Firing);
        resolved.retain(|row| row.fired_at.is_some());
        resolved.reverse();
        Followed { firing: firing.map(|row| (identity(&row), row)).collect(), ceased: resolved }
    }

    /// Sees what began to fire, and what no longer does; whether anything did.
    fn take(&mut self, mut updates: Updates<Alert>) -> bool {
        let fired_at = |firing: &BTreeMap<Identity, AlertRow>| -> Vec<_> {
            firing.iter().map(|(identity, row)| (identity.clone(), row.fired_at)).collect()
        };
        let (before, n_ceased) = (fired_at(&self.firing), self.ceased.len());
        let mut retracted = Vec::<(AlertRow, Micros)>::new();
        // A retraction before what takes its place.
        updates.sort_by_key(|(_, tick, diff)| (*tick, *diff));
        for (alert, tick, diff) in updates {
            let row = alert_row(&alert);
            if diff > 0 && alert.state == AlertState::Firing {
                // What was taken back at the same tick goes on.
                retracted.retain(|(old, _)| {
                    identity(old) != identity(&row) || old.fired_at != row.fired_at
                });
                self.firing.insert(identity(&row), row);
            } else if diff < 0
                && let Some(row) = self.firing.remove(&identity(&row))
            {
                retracted.push((row, Micros(i64::try_from(tick).unwrap_or(i64::MAX))));
            }
        }
        let ended = retracted.into_iter();
        self.ceased.extend(ended.map(|(row, at)| AlertRow { resolved_at: Some(at), ..row }));
        fired_at(&self.firing) != before || self.ceased.len() != n_ceased
    }
}

/// The silences that stand at a moment; while the store is away, those that are known.
struct Silences(Vec<(Cover, Note)>);

impl Silences {
    fn read(&mut self, reader: &mut dyn Reader, now: Micros) {
        use contracts::notes::NoteKind;
        use sinks::store::WhichNotes;

        match reader.notes(WhichNotes::Standing { now, since: now }) {
            Ok(notes) => {
                let silences = notes.into_iter().filter(|note| note.kind == NoteKind::Silence);
                self.0 = silences.map(|note| (Cover::of(&note), note)).collect();
            }
            Err(error) => tracing::debug!(%error, "cannot look for silences"),
        }
    }

    fn cover(&self, row: &AlertRow, now: Micros) -> bool {
        let covers = |(cover, note): &(Cover, Note)| {
            note.stands(now) && cover.has(&row.alert, &row.labels, row.active_at)
        };
        self.0.iter().any(covers)
    }
}

#[cfg(test)]
mod tests {
    use pipeline::views::alerts::Value;
    use pipeline::{Diff, Tick};

    use super::*;

    /// An alert that fired at second 1, told at another.
    fn update(name: &str, second: u64, diff: Diff) -> (Alert, Tick, Diff) {
        let alert = Alert {
            alert: name.to_owned(),
            labels: BTreeMap::new(),
            state: AlertState::Firing,
            active_at: 1_000_000,
            fired_at: Some(1_000_000),
            value: Value::new(second as f64),
            expr: String::new(),
            annotations: BTreeMap::new(),
        };
        (alert, second * 1_000_000, diff)
    }

    #[test]
    fn only_what_begins_or_ceases_is_news_and_no_episode_is_too_short() {
        let mut followed = Followed::new(Vec::new(), Vec::new());
        assert!(followed.take(vec![update("A", 1, 1)]));
        // Its value has changed.
        assert!(!followed.take(vec![update("A", 2, 1), update("A", 2, -1)]));
        assert!(followed.ceased.is_empty());
        // Another comes and goes before anybody looks.
        assert!(followed.take(vec![update("B", 3, 1), update("A", 4, -1), update("B", 4, -1)]));
        assert!(followed.firing.is_empty());
        let ended: Vec<_> = followed.ceased.iter().map(|row| row.resolved_at).collect();
        assert_eq!(ended, [Some(Micros(4_000_000)); 2]);
    }

    #[test]
    fn an_address_that_cannot_be_sent_to_is_refused() {
        let args = |webhook: &str| WebhookArgs {
            alert_webhook: Some(webhook.to_owned()),
            alert_webhook_token: None,
        };
        let good = "http://a";
        assert!(args("https://hooks.example/x?y").destinations(Some(good), good).is_ok());
        assert!(args(good).destinations(Some("localhost:9093"), good).is_err());
        assert!(args(good).destinations(None, "ftp://a").is_err());
        assert!(args("http:///x").destinations(None, good).is_err());
    }
}
