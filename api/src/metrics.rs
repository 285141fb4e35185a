//! What Prometheus reads.
//!
//! Labels are bounded: routes are those of the router, methods those of RFC 9110, job types the
//! first [`MAX_TYPES`] seen.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use contracts::State as JobState;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::Views;
use crate::stream::Stream;

/// Values of the label `type`; those that come later are counted as [`OTHER`].
const MAX_TYPES: usize = 200;
const OTHER: &str = "other";

/// Bounds in seconds: from a view in memory to a commit on a slow disk.
const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// The gateway's and the server's own metrics.
pub(crate) struct Metrics {
    lagged: IntCounter,
    submitted: IntCounterVec,
    accepted: IntCounter,
    requests: IntCounterVec,
    durations: HistogramVec,
    types: Mutex<HashSet<String>>,
}

impl Metrics {
    pub(crate) fn register(
        registry: &Registry,
        views: &Views,
        stream: &Arc<Stream>,
    ) -> prometheus::Result<Metrics> {
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
        registry.register(Box::new(JobsByState::new(views.clone())?))?;
        let lagged = IntCounter::new(
            "observatory_sse_lagged_total",
            "Streams that were ended because their client was too slow.",
        )?;
        registry.register(Box::new(lagged.clone()))?;
        registry.register(Box::new(StreamClients::new(Arc::clone(stream))?))?;
        Ok(Metrics { lagged, submitted, accepted, requests, durations, types: Mutex::default() })
    }

    /// A valid job has been submitted.
    pub(crate) fn submitted(&self, job_type: &str) {
        let mut types = self.types.lock().unwrap_or_else(PoisonError::into_inner);
        let label = if types.contains(job_type) {
            job_type
        } else if types.len() < MAX_TYPES {
            types.insert(job_type.to_owned());
            job_type
        } else {
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

/// Streams that are open: counted where they are, read when asked.
struct StreamClients {
    stream: Arc<Stream>,
    gauge: IntGauge,
}

impl StreamClients {
    fn new(stream: Arc<Stream>) -> prometheus::Result<StreamClients> {
        let gauge = IntGauge::new("observatory_sse_clients", "Streams of changes that are open.")?;
        Ok(StreamClients { stream, gauge })
    }
}

impl Collector for StreamClients {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauge.set(i64::try_from(self.stream.clients()).unwrap_or(i64::MAX));
        self.gauge.collect()
    }
}

/// Jobs not retired, by state: read from the views when asked.
struct JobsByState {
    views: Views,
    gauge: IntGaugeVec,
    /// Two that ask at once would mix their moments.
    turn: Mutex<()>,
}

impl JobsByState {
    fn new(views: Views) -> prometheus::Result<JobsByState> {
        let gauge = IntGaugeVec::new(
            Opts::new("observatory_jobs", "Jobs that are not retired, by state."),
            &["state"],
        )?;
        Ok(JobsByState { views, gauge, turn: Mutex::default() })
    }
}

impl Collector for JobsByState {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = self.views.by_state();
        for state in JobState::ALL {
            let jobs = jobs.get(&state).copied().unwrap_or_default();
            let jobs = i64::try_from(jobs).unwrap_or(i64::MAX);
            self.gauge.with_label_values(&[state.as_str()]).set(jobs);
        }
        self.gauge.collect()
    }
}
