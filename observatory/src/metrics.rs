//! What the process tells Prometheus about itself, beside what the API counts.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
    exponential_buckets,
};

#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) registry: Registry,
    /// Events by what became of them: accepted, repeated, conflicting, late.
    pub(crate) events: IntCounterVec,
    /// From the closing of a tick to its commit.
    pub(crate) frontier_lag_seconds: Histogram,
    pub(crate) tick_events: Histogram,
    pub(crate) commit_seconds: Histogram,
    pub(crate) jobs_processed: IntCounter,
    pub(crate) jobs_completed: IntCounter,
    pub(crate) jobs_failed: IntCounter,
    pub(crate) processing_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| register(&registry, IntCounter::new(name, help)?);
        let seconds = |name: &str, help: &str| {
            // From 1 ms to half a minute.
            let buckets = exponential_buckets(0.001, 2.0, 16)?;
            let opts = HistogramOpts::new(name, help).buckets(buckets);
            register(&registry, Histogram::with_opts(opts)?)
        };
        let build = Opts::new("observatory_build_info", "The version that runs; always 1.");
        let build = register(&registry, IntGaugeVec::new(build, &["version"])?)?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let events = Opts::new("observatory_events_total", "Events by what became of them.");
        let sizes = HistogramOpts::new("observatory_tick_events", "Events of a tick.")
            .buckets(exponential_buckets(1.0, 4.0, 8)?);
        Ok(Metrics {
            events: register(&registry, IntCounterVec::new(events, &["result"])?)?,
            frontier_lag_seconds: seconds(
                "observatory_frontier_lag_seconds",
                "From the time of a tick to its commit.",
            )?,
            tick_events: register(&registry, Histogram::with_opts(sizes)?)?,
            commit_seconds: seconds("observatory_sink_commit_seconds", "Time of a commit.")?,
            jobs_processed: counter(
                "processor_jobs_processed_total",
                "Attempts that the reference worker has made.",
            )?,
            jobs_completed: counter(
                "processor_jobs_completed_total",
                "Jobs that the reference worker has completed.",
            )?,
            jobs_failed: counter(
                "processor_jobs_failed_total",
                "Jobs that have failed in the reference worker.",
            )?,
            processing_seconds: seconds(
                "processor_job_processing_seconds",
                "How long attempts ran in the reference worker.",
            )?,
            registry,
        })
    }
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
