//! Alerts of others: what an Alertmanager tells us, to be shown beside our own.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::Uri;
use contracts::Micros;
use contracts::notes::{ReceivedAlert, ReceivedAlerts};
use serde::Deserialize;
use serde_json::{Value, json};
use sinks::store::MOST_RECEIVED;

use crate::Api;
use crate::params::Params;
use crate::problem::Problem;

/// An alert of which nobody has told us for so long, in µs, is forgotten: an Alertmanager repeats
/// itself some times a day.
const FORGET: i64 = 24 * 3_600 * 1_000_000;

/// Bytes of a label, an annotation or an address that are kept.
const MAX_TEXT: usize = 1_000;

/// What Alertmanager's webhook sends, version 4, as far as it is needed.
#[derive(Deserialize)]
struct Sent {
    alerts: Vec<SentAlert>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SentAlert {
    status: String,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at: String,
    #[serde(default)]
    ends_at: Option<String>,
    #[serde(default, rename = "generatorURL")]
    generator_url: Option<String>,
    #[serde(default)]
    fingerprint: Option<String>,
}

/// Takes what an Alertmanager sends, and keeps what is not ours.
pub(crate) async fn receive(
    State(api): State<Arc<Api>>,
    uri: Uri,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    Params::of(&uri, &[])?;
    let sent: Sent = serde_json::from_slice(&body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            let detail = format!("this is not what Alertmanager's webhook sends: {error}");
            Problem::bad_request("schema", detail)
        }
        _ => Problem::bad_request("bad_json", format!("this is not JSON: {error}")),
    })?;
    let received = sent.alerts.len();
    let now = api.now();
    let kept = sent.alerts.into_iter().filter(|alert| !ours(alert)).take(MOST_RECEIVED);
    let kept = kept.map(|alert| kept_alert(alert, now)).collect::<Result<Vec<_>, _>>()?;
    let shown = kept.len();
    if shown > 0 {
        let forget = Micros(now.0.saturating_sub(FORGET));
        api.app.readers.read(move |reader| reader.receive(&kept, forget)).await?;
    }
    tracing::debug!(received, shown, "alerts were received");
    Ok(Json(json!({ "received": received, "shown": shown })))
}

/// What we have sent to Alertmanager ourselves comes back with a link to our page.
fn ours(alert: &SentAlert) -> bool {
    let url = alert.generator_url.as_deref().unwrap_or_default();
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    path.is_some_and(|(_, path)| path.contains("ui/jobs?") || path.ends_with("ui/alerts"))
}

fn kept_alert(alert: SentAlert, now: Micros) -> Result<ReceivedAlert, Problem> {
    let time = |text: &str, name: &str| {
        // Alertmanager writes nanoseconds, and offsets.
        Micros::parse(text).map_err(|error| {
            Problem::bad_request("schema", format!("`{name}` of an alert: {error}"))
        })
    };
    let resolved = alert.status == "resolved";
    let short = |texts: BTreeMap<String, String>| -> BTreeMap<String, String> {
        texts.into_iter().map(|(name, text)| (cut(name), cut(text))).collect()
    };
    let labels = short(alert.labels);
    // Without one of the sender's, the labels tell it apart.
    let fingerprint = alert.fingerprint.unwrap_or_else(|| json!(labels).to_string());
    let web = |url: &String| url.starts_with("http://") || url.starts_with("https://");
    Ok(ReceivedAlert {
        fingerprint: cut(fingerprint),
        status: if resolved { "resolved" } else { "firing" }.to_owned(),
        starts_at: time(&alert.starts_at, "startsAt")?,
        ends_at: match alert.ends_at.filter(|_| resolved) {
            Some(text) => Some(time(&text, "endsAt")?),
            None => None,
        },
        labels,
        annotations: short(alert.annotations),
        url: alert.generator_url.filter(web).map(cut),
        received_at: now,
    })
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}

/// Those that are kept.
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Json<ReceivedAlerts>, Problem> {
    Params::of(&uri, &[])?;
    let items = api.app.readers.read(|reader| reader.received(MOST_RECEIVED)).await?;
    Ok(Json(ReceivedAlerts { items }))
}
