//! Paths that the predecessor had: events of a job, and what Alertmanager and Prometheus say.
//!
//! The two are asked at the addresses that this process was started with; nothing in a request has a
//! say in it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use contracts::answers::ArchivedEvent;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::Api;
use crate::guard::hyphenated;
use crate::jobs::{archived, bad_id};
use crate::params::Params;
use crate::problem::Problem;

/// Events of an answer, as it always was.
const EVENTS: usize = 50;

/// How long a neighbour may take, as it always was, and how much it may say.
const PATIENCE: Duration = Duration::from_secs(5);
const MAX_BYTES: u64 = 5 << 20;

/// Servers beside this one, by what their addresses begin with.
#[derive(Clone, Debug, Default)]
pub struct Neighbours {
    pub alertmanager: Option<String>,
    pub prometheus: Option<String>,
}

/// The last events of a job.
pub(crate) async fn events(
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Json<Vec<Box<RawValue>>>, Problem> {
    let params = Params::of(&uri, &["jobId"])?;
    let id = params.text("jobId").and_then(hyphenated).ok_or_else(bad_id)?;
    let told = api.told_of(id).await?;
    let events = told.map(|told| told.events).unwrap_or_default();
    let skipped = events.len().saturating_sub(EVENTS);
    let last = events.into_iter().skip(skipped).filter_map(archived);
    Ok(Json(last.map(|ArchivedEvent { event, .. }| event).collect()))
}

pub(crate) async fn alerts(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    Params::of(&uri, &[])?;
    let base = api.app.neighbours.alertmanager.as_deref();
    passed_on(base, "/api/v2/alerts", "Alertmanager", "--alertmanager-url").await
}

pub(crate) async fn targets(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    Params::of(&uri, &[])?;
    let base = api.app.neighbours.prometheus.as_deref();
    passed_on(base, "/api/v1/targets", "Prometheus", "--prometheus-url").await
}

/// Takes notice of what an Alertmanager sends; our own alerts do not need it.
pub(crate) async fn webhook(body: Bytes) -> Result<Json<Value>, Problem> {
    let sent: Value = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request("bad_json", format!("this is not JSON: {error}")))?;
    let Some(alerts) = sent["alerts"].as_array() else {
        let detail = "`alerts` must be an array, as Alertmanager's webhook sends it";
        return Err(Problem::bad_request("schema", detail));
    };
    tracing::info!(alerts = alerts.len(), "alerts were received");
    Ok(Json(json!({ "received": alerts.len() })))
}

/// What a neighbour answers, if it is JSON.
async fn passed_on(
    base: Option<&str>,
    path: &str,
    who: &'static str,
    flag: &str,
) -> Result<Response, Problem> {
    let Some(base) = base else {
        let detail = format!("no {who} is configured: give {flag}");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_configured", detail));
    };
    let url = format!("{}{path}", base.trim_end_matches('/'));
    let asked = tokio::task::spawn_blocking(move || ask(&url));
    match asked.await {
        Ok(Ok(body)) => Ok(([(CONTENT_TYPE, "application/json")], body).into_response()),
        Ok(Err(ureq::Error::Timeout(_))) => {
            let detail = format!("{who} took longer than {} s", PATIENCE.as_secs());
            Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, "neighbour_slow", detail))
        }
        failed => {
            // Its address stays here: it may have a password in it.
            tracing::debug!(?failed, who, "a neighbour does not answer");
            let detail = format!("{who} does not answer as it should: see that it runs");
            Err(Problem::new(StatusCode::BAD_GATEWAY, "neighbour_away", detail))
        }
    }
}

fn ask(url: &str) -> Result<String, ureq::Error> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .max_redirects(0)
        .proxy(None)
        .build()
        .into();
    let mut answer = agent.get(url).call()?;
    let body = answer.body_mut().with_config().limit(MAX_BYTES).read_to_string()?;
    match serde_json::from_str::<&RawValue>(&body) {
        Ok(_) => Ok(body),
        Err(_) => Err(ureq::Error::BadUri("no JSON".to_owned())),
    }
}
