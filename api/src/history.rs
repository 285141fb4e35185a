//! What happened, minute by minute: the series that charts are drawn from.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use contracts::Micros;
use contracts::answers::{History, Point, Series};
use pipeline::views::minutes::{MINUTE, MinuteStats};
use sinks::store::{Span, StepStats};

use crate::Api;
use crate::params::Params;
use crate::problem::Problem;
use crate::reads::last_durable;

/// How far back it goes unless asked otherwise.
const HOUR: i64 = 60 * MINUTE;
/// Points of a series: more than a screen is wide helps nobody.
const MAX_POINTS: i64 = 1_500;
/// Types that get a series of their own.
const MAX_SERIES: usize = 50;

pub(crate) async fn history(
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Json<History>, Problem> {
    let params = Params::of(&uri, &["from", "to", "step", "type", "by"])?;
    let by_type = match params.text("by") {
        None => false,
        Some("type") => true,
        Some(_) => {
            let detail = "the history can be had by `type` only";
            return Err(Problem::bad_request("not_in_view", detail));
        }
    };
    let span = Span {
        job_type: params.text("type").map(str::to_owned),
        by_type,
        ..span(&params, api.now())?
    };
    let Span { from, to, step, .. } = span;
    let (only, seen) = (span.job_type.clone(), api.app.views.as_of());
    let happened = api.app.readers.read(move |reader| reader.history(&span)).await?;
    let (series, other_types) = series(happened.steps, from, to, step, only);
    Ok(Json(History {
        as_of: last_durable(seen, happened.frontier),
        from,
        to,
        step: step.unsigned_abs() / 1_000_000,
        series,
        other_types,
    }))
}

/// The range that is asked for, widened to whole steps.
fn span(params: &Params, now: Micros) -> Result<Span, Problem> {
    let to = params.time("to")?.unwrap_or(now);
    let from = params.time("from")?.unwrap_or(Micros(to.0 - HOUR));
    if from >= to {
        let detail = "`from` must be before `to`";
        return Err(Problem::bad_request("bad_parameter", detail));
    }
    let smallest = (to.0 - from.0).div_euclid(MAX_POINTS * MINUTE) + 1;
    let step = match params.text("step") {
        None => smallest * MINUTE,
        Some(text) => {
            let seconds = text.parse::<i64>().ok().filter(|step| *step > 0 && step % 60 == 0);
            let step = seconds.and_then(|seconds| seconds.checked_mul(1_000_000));
            step.filter(|step| *step >= smallest * MINUTE).ok_or_else(|| {
                let detail = format!(
                    "`step` is in seconds, a multiple of 60, and here at least {}: an answer has at most {MAX_POINTS} points",
                    60 * smallest
                );
                Problem::bad_request("bad_parameter", detail)
            })?
        }
    };
    let from = Micros(from.0.div_euclid(step) * step);
    // The last step is the one that `to` is in; if it begins there, the one before.
    let to = Micros((to.0 - 1).div_euclid(step).saturating_add(1).saturating_mul(step));
    Ok(Span { from, to, step, job_type: None, by_type: false })
}

/// The series over all types, then those of the types in which most happened; and how many types
/// there are besides.
fn series(
    steps: Vec<StepStats>,
    from: Micros,
    to: Micros,
    step: i64,
    only: Option<String>,
) -> (Vec<Series>, u64) {
    let mut all = BTreeMap::<i64, MinuteStats>::new();
    let mut types = BTreeMap::<String, BTreeMap<i64, MinuteStats>>::new();
    for StepStats { job_type, at, stats } in steps {
        *all.entry(at.0).or_default() += stats;
        if let Some(job_type) = job_type {
            types.entry(job_type).or_default().insert(at.0, stats);
        }
    }
    let dense = |job_type, found: &BTreeMap<i64, MinuteStats>| {
        let steps = (0..).map(|n| from.0 + n * step).take_while(|at| *at < to.0);
        let points = steps.map(|at| point(at, found.get(&at).copied().unwrap_or_default()));
        Series { job_type, points: points.collect() }
    };
    let mut series = vec![dense(only, &all)];
    let mut types: Vec<_> = types.into_iter().collect();
    let happened = |found: &BTreeMap<i64, MinuteStats>| -> i64 {
        found.values().map(|stats| stats.created + stats.finished).sum()
    };
    // Stable: of the same number in the order of their names.
    types.sort_by_key(|(_, found)| std::cmp::Reverse(happened(found)));
    let others = types.len().saturating_sub(MAX_SERIES) as u64;
    let most = types.into_iter().take(MAX_SERIES);
    series.extend(most.map(|(job_type, found)| dense(Some(job_type), &found)));
    (series, others)
}

fn point(at: i64, stats: MinuteStats) -> Point {
    let number = |n: i64| u64::try_from(n).unwrap_or(0);
    let mean = |micros: i64, n: i64| (n > 0).then(|| micros as f64 / n as f64 / 1e6);
    Point {
        at: Micros(at),
        created: number(stats.created),
        finished: number(stats.finished),
        failed: number(stats.failed),
        cancelled: number(stats.cancelled),
        waits: number(stats.waits),
        wait_mean: mean(stats.wait_micros, stats.waits),
        runs: number(stats.runs),
        run_mean: mean(stats.run_micros, stats.runs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str, now: i64) -> Result<Span, Problem> {
        let uri: Uri = format!("/history?{query}").parse().unwrap();
        span(&Params::of(&uri, &["from", "to", "step"]).unwrap(), Micros(now))
    }

    #[test]
    fn a_range_is_widened_to_whole_steps() {
        let span = asked("", 100 * MINUTE + 1).unwrap();
        assert_eq!((span.from.0, span.to.0), (40 * MINUTE, 101 * MINUTE));
        let span = asked("step=3600", 120 * MINUTE).unwrap();
        assert_eq!((span.from.0, span.to.0), (60 * MINUTE, 120 * MINUTE));
    }

    #[test]
    fn a_long_range_has_long_steps_and_refuses_short_ones() {
        let year = "from=2025-01-01T00:00:00Z&to=2026-01-01T00:00:00Z";
        let span = asked(year, 0).unwrap();
        assert!((span.to.0 - span.from.0) / span.step <= MAX_POINTS + 1);
        assert!(asked(&format!("{year}&step=60"), 0).is_err());
        assert!(asked(&format!("{year}&step=86400"), 0).is_ok());
    }

    #[test]
    fn a_series_has_no_gap_and_all_types_are_the_sum() {
        let stats = |finished| MinuteStats { finished, ..MinuteStats::default() };
        let step = |job_type: &str, minute, n| StepStats {
            job_type: Some(job_type.to_owned()),
            at: Micros(minute * MINUTE),
            stats: stats(n),
        };
        let steps = vec![step("a", 0, 1), step("b", 0, 2), step("b", 2, 3)];
        let (series, others) = series(steps, Micros(0), Micros(3 * MINUTE), MINUTE, None);
        let finished = |series: &Series| -> Vec<u64> {
            series.points.iter().map(|point| point.finished).collect()
        };
        let told: Vec<_> = series.iter().map(|s| (s.job_type.as_deref(), finished(s))).collect();
        assert_eq!(
            told,
            [(None, vec![3, 0, 3]), (Some("b"), vec![2, 0, 3]), (Some("a"), vec![1, 0, 0])]
        );
        assert_eq!(others, 0);
    }
}
