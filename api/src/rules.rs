//! The alert rules that are kept.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use contracts::answers::{RuleView, Rules};

use crate::Api;
use crate::params::Params;
use crate::problem::Problem;
use crate::reads::last_durable;

/// The rules of the last file that was given, or those that the program brings along.
pub(crate) async fn rules(State(api): State<Arc<Api>>, uri: Uri) -> Result<Json<Rules>, Problem> {
    Params::of(&uri, &[])?;
    let seen = api.app.views.as_of();
    let (frontier, kept) = api.app.readers.read(|reader| reader.rules()).await?;
    let applied_at = kept.as_ref().map(|kept| kept.applied_at);
    let yaml = kept.map_or_else(|| api.app.default_rules.to_owned(), |kept| kept.yaml);
    let rules = pipeline::rules::parse(&yaml).map_err(|error| {
        tracing::error!(%error, "the rules in the store can not be read");
        Problem::internal()
    })?;
    let seconds = |micros: u64| micros as f64 / 1e6;
    let view = |rule: pipeline::rules::Rule| RuleView {
        alert: rule.alert,
        expr: rule.source,
        hold: seconds(rule.hold),
        keep_firing_for: seconds(rule.keep_firing),
        labels: rule.labels,
        annotations: rule.annotations,
    };
    let rules = rules.into_iter().map(view).collect();
    Ok(Json(Rules { as_of: last_durable(seen, frontier), applied_at, rules, yaml }))
}
