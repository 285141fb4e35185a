//! The alert rules: which are in force, which were, and others in their place.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::{Extension, Json};
use contracts::answers::{RuleView, Rules, RulesHistory, RulesVersion};
use pipeline::rules::{Rule, Template};
use sinks::store::KeptRules;

use crate::Api;
use crate::access::Who;
use crate::params::Params;
use crate::problem::Problem;
use crate::reads::last_durable;

/// Earlier rules in an answer.
const VERSIONS: usize = 20;
const MAX_VERSIONS: usize = 200;

/// The rules that were last given, or those that the program brings along.
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
    let rules = rules.iter().map(view).collect();
    Ok(Json(Rules { as_of: last_durable(seen, frontier), applied_at, rules, yaml }))
}

/// Puts other rules in force: all of the file or, if anything in it is wrong, nothing.
pub(crate) async fn apply(
    State(api): State<Arc<Api>>,
    Extension(Who(by)): Extension<Who>,
    uri: Uri,
    yaml: String,
) -> Result<Json<Rules>, Problem> {
    Params::of(&uri, &[])?;
    if yaml.trim().is_empty() {
        let detail = "there are no rules in the request; to judge none, put `groups: []`";
        return Err(Problem::bad_request("bad_rules", detail));
    }
    pipeline::rules::parse(&yaml)
        .map_err(|error| Problem::bad_request("bad_rules", error.to_string()))?;
    let rules = KeptRules { applied_at: api.now(), applied_by: by, yaml };
    api.app.readers.read(move |reader| reader.apply_rules(&rules)).await?;
    self::rules(State(api), Uri::from_static("/")).await
}

/// The rules that were given, newest first.
pub(crate) async fn history(
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Json<RulesHistory>, Problem> {
    let params = Params::of(&uri, &["limit"])?;
    let limit = params.limit(VERSIONS, MAX_VERSIONS)?;
    let versions = api.app.readers.read(move |reader| reader.rules_history(limit)).await?;
    let version = |kept: KeptRules| RulesVersion {
        applied_at: kept.applied_at,
        applied_by: kept.applied_by,
        yaml: kept.yaml,
    };
    Ok(Json(RulesHistory { items: versions.into_iter().map(version).collect() }))
}

fn view(rule: &Rule) -> RuleView {
    let seconds = |micros: u64| micros as f64 / 1e6;
    let text = |(name, text): (&String, &Template)| (name.clone(), text.as_str().to_owned());
    RuleView {
        alert: rule.alert.clone(),
        expr: rule.source.clone(),
        hold: seconds(rule.hold),
        keep_firing_for: seconds(rule.keep_firing),
        labels: rule.labels.clone(),
        annotations: rule.annotations.iter().map(text).collect(),
    }
}
