//! What Prometheus reads.
//!
//! Labels are bounded: routes are those of the router, methods those of RFC 9110, job types the
//! first [`MAX_VALUES`] seen, and workers as many with the most jobs.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use contracts::snapshot::{AlertState, LatencyRow, Window};
use contracts::workers::{KnownWorker, Presence};
use contracts::{Micros, State as JobState};
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
};
use tokio::sync::watch;

use crate::pulled::{MAX_VALUES, OTHER, pull};
use crate::stream::Stream;
use crate::{Readiness, Views};

type Clock = Arc<dyn Fn() -> Micros + Send + Sync>;

/// Bounds in seconds: from a view in memory to a commit on a slow disk.
const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// The gateway's and the server's own metrics.
pub(crate) struct Metrics {
    lagged: IntCounter,
    submitted: IntCounterVec,
    overflow: IntCounter,
    accepted: IntCounter,
    requests: IntCounterVec,
    durations: HistogramVec,
    types: Mutex<HashSet<String>>,
    heard: IntGaugeVec,
}

impl Metrics {
    /// What there is wherever jobs are submitted.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Metrics> {
        let submitted = IntCounterVec::new(
            Opts::new("gateway_jobs_submitted_total", "Valid jobs submitted, by type."),
            &["type"],
        )?;
        let accepted = IntCounter::new(
            "gateway_jobs_accepted_total",
            "Jobs submitted that became durable and were confirmed.",
        )?;
        let requests = IntCounterVec::new(
            Opts::new("observatory_http_requests_total", "HTTP requests answered."),
            &["method", "route", "status"],
        )?;
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "observatory_http_request_duration_seconds",
                "Time from a request's head to its answer's.",
            )
            .buckets(BUCKETS.to_vec()),
            &["method", "route"],
        )?;
        registry.register(Box::new(submitted.clone()))?;
        registry.register(Box::new(accepted.clone()))?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(durations.clone()))?;
        let lagged = IntCounter::new(
            "observatory_sse_lagged_total",
            "Streams that were ended because their client was too slow.",
        )?;
        let overflows = IntCounterVec::new(
            Opts::new(
                "observatory_label_overflow_total",
                "Times that a label had too many values, and `other` was counted.",
            ),
            &["label"],
        )?;
        registry.register(Box::new(overflows.clone()))?;
        let overflow = overflows.with_label_values(&["type"]);
        let types = Mutex::default();
        let heard = IntGaugeVec::new(
            Opts::new("observatory_workers_heard", "Workers that tell of themselves, by presence."),
            &["presence"],
        )?;
        Ok(Metrics { lagged, submitted, overflow, accepted, requests, durations, types, heard })
    }

    /// What there is where others read.
    pub(crate) fn of_reader(
        &self,
        registry: &Registry,
        shown: &Views,
        clock: &Clock,
        stream: &Arc<Stream>,
    ) -> prometheus::Result<()> {
        registry.register(Box::new(self.lagged.clone()))?;
        registry.register(Box::new(self.heard.clone()))?;
        let stream = Arc::clone(stream);
        let about = [("observatory_sse_clients", "Streams of changes that are open.", &[][..])];
        pull(registry, &about, move |told| {
            told.set("observatory_sse_clients", stream.clients() as f64);
        })?;
        views(registry, shown.clone(), Arc::clone(clock))
    }

    /// What is known of workers at a moment, if anything is.
    pub(crate) fn workers(&self, known: Option<&[KnownWorker]>, now: Micros) {
        let Some(known) = known else { return self.heard.reset() };
        for presence in [Presence::Online, Presence::Silent, Presence::Offline] {
            let so = known.iter().filter(|worker| worker.presence(now) == presence).count();
            self.heard.with_label_values(&[presence.as_str()]).set(so as i64);
        }
    }

    /// A valid job has been submitted.
    pub(crate) fn submitted(&self, job_type: &str) {
        let mut types = self.types.lock().unwrap_or_else(PoisonError::into_inner);
        let label = if types.contains(job_type) {
            job_type
        } else if types.len() < MAX_VALUES {
            types.insert(job_type.to_owned());
            job_type
        } else {
            self.overflow.inc();
            OTHER
        };
        self.submitted.with_label_values(&[label]).inc();
    }

    /// So many jobs have become durable.
    pub(crate) fn accepted(&self, jobs: usize) {
        self.accepted.inc_by(jobs as u64);
    }

    /// A stream has been ended because its client was too slow.
    pub(crate) fn lagged(&self) {
        self.lagged.inc();
    }

    /// A request has been answered; `route` is its pattern, if it has one.
    pub(crate) fn answered(
        &self,
        method: &Method,
        route: Option<&str>,
        status: StatusCode,
        took: Duration,
    ) {
        let method = match *method {
            Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::DELETE
            | Method::OPTIONS
            | Method::PATCH => method.as_str(),
            _ => OTHER,
        };
        let route = route.unwrap_or(OTHER);
        self.requests.with_label_values(&[method, route, status.as_str()]).inc();
        self.durations.with_label_values(&[method, route]).observe(took.as_secs_f64());
    }
}

/// What the views say, for who reads them. Nothing is told before there are any.
fn views(registry: &Registry, views: Views, clock: Clock) -> prometheus::Result<()> {
    let about = [
        ("observatory_jobs", "Jobs that are not retired, by state.", &["state"][..]),
        ("observatory_running_jobs", "Jobs that a worker executes.", &["worker"]),
        ("observatory_workers", "Workers that execute a job.", &[]),
        (
            "observatory_workers_unlisted",
            "Of those, the ones that are counted as `other` and have no series.",
            &[],
        ),
        (
            "observatory_views_behind_seconds",
            "How far what readers are shown is behind the clock: the way of a tick, be it empty, \
             through dataflow, store and, where views are a copy, Redis.",
            &[],
        ),
        ("observatory_skewed_jobs", "Jobs with a latency that came out negative.", &[]),
        ("observatory_alerts", "Alerts of the rules on jobs, by state.", &["state"]),
        (
            "observatory_job_latency_seconds",
            "Latency of the jobs of the last five minutes, by its measure and percentile.",
            &["measure", "percentile"],
        ),
    ];
    pull(registry, &about, move |told| {
        let (as_of, cube) = views.cube();
        if as_of <= Micros(0) {
            return;
        }
        let behind = (clock().0 - as_of.0).max(0) as f64 / 1e6;
        told.set("observatory_views_behind_seconds", behind);
        let mut by_state: BTreeMap<_, u64> =
            JobState::ALL.into_iter().map(|state| (state.as_str().to_owned(), 0)).collect();
        let mut running = BTreeMap::new();
        for ([state, _, _, worker], jobs) in cube {
            if state == JobState::Executing.as_str() && !worker.is_empty() {
                *running.entry(worker).or_default() += jobs as f64;
            }
            *by_state.entry(state).or_default() += jobs;
        }
        for (state, jobs) in by_state {
            told.set_of("observatory_jobs", &[&state], jobs as f64);
        }
        told.set("observatory_workers", running.len() as f64);
        let unlisted = told.set_all("observatory_running_jobs", running);
        told.set("observatory_workers_unlisted", unlisted as f64);

        let snapshot = views.snapshot();
        told.set("observatory_skewed_jobs", snapshot.skewed as f64);
        for state in AlertState::ALL {
            let alerts = snapshot.alerts.iter().filter(|alert| alert.state == state).count();
            told.set_of("observatory_alerts", &[state.as_str()], alerts as f64);
        }
        let all = |row: &&LatencyRow| {
            row.job_type.is_none() && row.queue.is_none() && row.window == Window::M5
        };
        for row in snapshot.latency.iter().filter(all) {
            for (percentile, seconds) in [("50", row.p50), ("95", row.p95), ("99", row.p99)] {
                let labels = [row.measure.as_str(), percentile];
                told.set_of("observatory_job_latency_seconds", &labels, seconds);
            }
        }
    })
}

/// Whether the role does its work, and if not, why.
pub(crate) fn readiness(
    registry: &Registry,
    ready: watch::Receiver<Readiness>,
) -> prometheus::Result<()> {
    const NAME: &str = "observatory_readiness";
    let about = [(NAME, "1 for the state that the role is in, 0 for others.", &["state"][..])];
    pull(registry, &about, move |told| {
        let now = match *ready.borrow() {
            Readiness::Starting { .. } => "starting",
            Readiness::Standby => "standby",
            Readiness::Away(_) => "away",
            Readiness::Ready => "ready",
            Readiness::Draining => "draining",
        };
        for state in ["starting", "standby", "away", "ready", "draining"] {
            told.set_of(NAME, &[state], f64::from(u8::from(state == now)));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_beyond_the_bound_are_counted_together_and_that_is_counted() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        for n in 0..MAX_VALUES + 5 {
            metrics.submitted(&format!("type-{n}"));
        }
        metrics.submitted("type-0");
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert_eq!(text.matches("gateway_jobs_submitted_total{").count(), MAX_VALUES + 1);
        assert!(text.contains("gateway_jobs_submitted_total{type=\"type-0\"} 2\n"), "{text}");
        assert!(text.contains("gateway_jobs_submitted_total{type=\"other\"} 5\n"), "{text}");
        assert!(text.contains("observatory_label_overflow_total{label=\"type\"} 5\n"), "{text}");
    }
}
