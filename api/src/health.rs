//! Whether the process lives, whether it is ready, and what Prometheus reads.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use contracts::{EventId, Micros, view};
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::problem::Problem;
use crate::{Api, Readiness};

/// What a role tells about itself.
pub(crate) struct Health {
    pub(crate) ready: watch::Receiver<Readiness>,
    pub(crate) metrics: Registry,
}

/// How long a server is given to show that it is there.
const PATIENCE: Duration = Duration::from_secs(1);

/// The predecessor's check: the process answers, and which version it is.
pub(crate) async fn health() -> Json<view::Health> {
    Json(told(Vec::new()))
}

/// The same where others read: what is away is told, and whatever does not need it still works.
pub(crate) async fn servers(State(api): State<Arc<Api>>) -> Json<view::Health> {
    let readers = &api.app.readers;
    let store = timeout(PATIENCE, readers.read(|reader| reader.archive_stats()));
    // Whichever event is asked for, the archive has to be there.
    let archive = timeout(PATIENCE, readers.read(|reader| reader.event(EventId::nil())));
    let (store, archive) = tokio::join!(store, archive);
    let away = [
        ("views", api.app.views.stale_since().is_some()),
        ("store", !matches!(store, Ok(Ok(_)))),
        ("archive", !matches!(archive, Ok(Ok(_)))),
    ];
    Json(told(away.into_iter().filter_map(|(name, away)| away.then_some(name)).collect()))
}

fn told(away: Vec<&str>) -> view::Health {
    view::Health {
        status: if away.is_empty() { "ok" } else { "degraded" }.to_owned(),
        away: away.into_iter().map(str::to_owned).collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// Whether the role does its work; while it starts, how far it has come.
pub(crate) async fn readyz(State(health): State<Arc<Health>>) -> Result<&'static str, Problem> {
    is_ready(*health.ready.borrow())
}

/// The same, of a role that has an API.
pub(crate) async fn readyz_of_api(State(api): State<Arc<Api>>) -> Result<&'static str, Problem> {
    is_ready(api.readiness())
}

fn is_ready(readiness: Readiness) -> Result<&'static str, Problem> {
    match readiness {
        Readiness::Ready => Ok("ok\n"),
        not_yet => Err(Problem::not_ready(not_yet)),
    }
}

type Text = ([(HeaderName, &'static str); 1], Vec<u8>);

/// All metrics of the process, in Prometheus' text format.
pub(crate) async fn metrics(State(health): State<Arc<Health>>) -> Result<Text, Problem> {
    written(&health.metrics)
}

/// The same, of a gateway.
pub(crate) async fn metrics_of_gateway(State(api): State<Arc<Api>>) -> Result<Text, Problem> {
    written(&api.app.metrics)
}

/// The same, of who reads: what workers there are is in the store, and is left out while that is away.
pub(crate) async fn metrics_of_reader(State(api): State<Arc<Api>>) -> Result<Text, Problem> {
    let known = timeout(PATIENCE, api.app.readers.read(|reader| reader.workers())).await;
    // Before there is a view there is no moment to judge them at.
    let now = api.app.views.as_of();
    let known = known.ok().and_then(Result::ok).filter(|_| now > Micros(0));
    api.metrics.workers(known.as_deref(), now);
    written(&api.app.metrics)
}

fn written(metrics: &Registry) -> Result<Text, Problem> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&metrics.gather(), &mut text).map_err(|error| {
        tracing::error!(%error, "cannot write the metrics");
        Problem::internal()
    })?;
    Ok(([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text))
}
