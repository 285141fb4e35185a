//! Whether the process lives, whether it is ready, and what Prometheus reads.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use contracts::view;
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::sync::watch;

use crate::Readiness;
use crate::problem::Problem;

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
    let readiness = *health.ready.borrow();
    match readiness {
        Readiness::Ready => Ok("ok\n"),
        not_yet => Err(Problem::not_ready(not_yet)),
    }
}

/// All metrics of the process, in Prometheus' text format.
pub(crate) async fn metrics(
    State(health): State<Arc<Health>>,
) -> Result<([(HeaderName, &'static str); 1], Vec<u8>), Problem> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&health.metrics.gather(), &mut text).map_err(|error| {
        tracing::error!(%error, "cannot write the metrics");
        Problem::internal()
    })?;
    Ok(([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text))
}
