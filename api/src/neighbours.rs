//! Servers beside this one, of which some paths pass on what they say.
//!
//! They are asked at the addresses that this process was started with; nothing in a request has a
//! say in it.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::value::RawValue;

use crate::problem::Problem;

/// How long a neighbour may take, and how much it may say.
const PATIENCE: Duration = Duration::from_secs(5);
const MAX_BYTES: u64 = 5 << 20;

/// Servers beside this one, by what their addresses begin with.
#[derive(Clone, Debug, Default)]
pub struct Neighbours {
    pub alertmanager: Option<String>,
    pub prometheus: Option<String>,
    /// The pipeline's health port, where its dataflow is to be seen.
    pub pipeline: Option<String>,
}

/// What a neighbour answers, if it is JSON.
pub(crate) async fn passed_on(
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
