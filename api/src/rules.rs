//! The alert rules: which are in force, which were, and others in their place.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::{Extension, Json};
use contracts::Micros;
use contracts::answers::{RuleView, Rules, RulesHistory, RulesTest, RulesVersion};
use pipeline::backtest;
use pipeline::fact::Fact;
use pipeline::rules::{Rule, Template};
use pipeline::worker::Stopped;
use sinks::store::{self, KeptRules, Reader};

use crate::Api;
use crate::access::Who;
use crate::params::Params;
use crate::problem::Problem;
use crate::reads::last_durable;

/// In µs.
const HOUR: i64 = 3_600_000_000;

/// How much of the past a back-test is of, in µs: each of its seconds is judged, whatever happened.
const MAX_SPAN: i64 = 24 * HOUR;

/// Events of a back-test: they are read, and judged twice, while somebody waits.
const MAX_FACTS: usize = 300_000;

/// Episodes in an answer, of each set of rules.
const MAX_EPISODES: usize = 1_000;

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

/// When these rules would have fired over the archived events of a time, beside those in force.
pub(crate) async fn test(
    State(api): State<Arc<Api>>,
    uri: Uri,
    yaml: String,
) -> Result<Json<RulesTest>, Problem> {
    let params = Params::of(&uri, &["from", "to"])?;
    let to = params.time("to")?.unwrap_or_else(|| api.now());
    let from = params.time("from")?.unwrap_or(Micros(to.0 - HOUR));
    if from >= to || to.0 - from.0 > MAX_SPAN {
        let detail = "`from` must be before `to`, and by 24 hours at most";
        return Err(Problem::bad_request("bad_parameter", detail));
    }
    let rules = pipeline::rules::parse(&yaml)
        .map_err(|error| Problem::bad_request("bad_rules", error.to_string()))?;
    let Ok(turn) = Arc::clone(&api.backtest).try_acquire_owned() else {
        let detail = "rules are being tried for somebody else: come back in some seconds";
        let busy = Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail);
        return Err(busy.retry_after(2));
    };
    let (_, kept) = api.app.readers.read(|reader| reader.rules()).await?;
    let in_force = kept.map_or_else(|| api.app.default_rules.to_owned(), |kept| kept.yaml);
    let in_force = pipeline::rules::parse(&in_force).unwrap_or_default();
    // What windows held when the time began came within the hour before.
    let facts = api.app.readers.read(move |reader| facts(reader, Micros(from.0 - HOUR), to));
    let Some(facts) = facts.await? else {
        let detail = format!("there are more than {MAX_FACTS} events in this time: shorten it");
        return Err(Problem::bad_request("too_many_events", detail));
    };
    let events = facts.len();
    let tested = tokio::task::spawn_blocking(move || {
        // Whoever asked may have gone; it takes its core all the same.
        let _turn = turn;
        let until = u64::try_from(to.0).ok();
        let within = |rules: Vec<Rule>| {
            let mut episodes = match rules.is_empty() || facts.is_empty() {
                true => Vec::new(),
                false => backtest::episodes(rules, &facts, until)?,
            };
            episodes.retain(|episode| episode.ended_at.is_none_or(|ended_at| ended_at > from));
            episodes.truncate(MAX_EPISODES);
            Ok::<_, Stopped>(episodes)
        };
        if rules == in_force {
            let episodes = within(rules)?;
            return Ok((episodes.clone(), episodes));
        }
        Ok::<_, Stopped>((within(rules)?, within(in_force)?))
    });
    let (episodes, in_force) = tested.await.ok().and_then(Result::ok).ok_or_else(|| {
        tracing::error!("a back-test has failed");
        Problem::internal()
    })?;
    Ok(Json(RulesTest { from, to, events, episodes, in_force }))
}

/// The facts of the archived events of a time, in its order; none if they are too many.
fn facts(
    reader: &mut dyn Reader,
    from: Micros,
    to: Micros,
) -> Result<Option<Vec<Fact>>, store::Error> {
    let mut facts = Vec::new();
    let all = reader.archived(from, to, MAX_FACTS, &mut |body| {
        // What another program has archived there is not ours to judge.
        facts.extend(contracts::decode(body).ok().map(|event| Fact::of(&event, 0)));
    })?;
    facts.sort_by_key(|fact: &Fact| (fact.at, fact.event));
    Ok(all.then_some(facts))
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
