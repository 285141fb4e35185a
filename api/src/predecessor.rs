//! Paths that the predecessor had: events of a job, and what Alertmanager and Prometheus say.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use contracts::answers::ArchivedEvent;
use serde_json::value::RawValue;

use crate::Api;
use crate::guard::hyphenated;
use crate::jobs::{archived, bad_id};
use crate::neighbours::passed_on;
use crate::params::Params;
use crate::problem::Problem;

/// Events of an answer, as it always was.
const EVENTS: usize = 50;

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
