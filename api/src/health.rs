//! Whether the process lives, and whether it is ready.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use contracts::view::Health;

use crate::problem::Problem;
use crate::{Api, Readiness};

/// The predecessor's check: the process answers, and which version it is.
pub(crate) async fn health() -> Json<Health> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Json(Health { status: "ok".to_owned(), version })
}

pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// Whether submissions are taken; while it starts, how far it has come.
pub(crate) async fn readyz(State(api): State<Arc<Api>>) -> Result<&'static str, Problem> {
    match api.readiness() {
        Readiness::Ready => Ok("ok\n"),
        not_yet => Err(Problem::not_ready(not_yet)),
    }
}
