//! Whether the process lives, whether it is ready, and what Prometheus reads.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use contracts::view;
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::sync::watch;

use crate::problem::Problem;
use crate::{Api, Readiness};

/// What a role tells about itself.
pub(crate) struct Health {
    pub(crate) ready: watch::Receiver<Readiness>,
    pub(crate) metrics: Registry,
}

/// The predecessor's check: the process answers, and which version it is.
pub(crate) async fn health() -> Json<view::Health> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Json(view::Health { status: "ok".to_owned(), version })
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

/// The same, of a role that has an API.
pub(crate) async fn metrics_of_api(State(api): State<Arc<Api>>) -> Result<Text, Problem> {
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
