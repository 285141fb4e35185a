//! What the process tells Prometheus about itself, beside what the API counts.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ingress::amqp::FaultKind;
use ingress::amqp::consumer::Status;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    exponential_buckets,
};
use sinks::store::Archived;

#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) registry: Registry,
    /// Events by what became of them: accepted, repeated, conflicting, late.
    pub(crate) events: IntCounterVec,
    /// Events refused, by reason.
    pub(crate) rejected: IntCounterVec,
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
        let rejected = Opts::new("observatory_rejected_total", "Events refused, by reason.");
        let sizes = HistogramOpts::new("observatory_tick_events", "Events of a tick.")
            .buckets(exponential_buckets(1.0, 4.0, 8)?);
        Ok(Metrics {
            events: register(&registry, IntCounterVec::new(events, &["result"])?)?,
            rejected: register(&registry, IntCounterVec::new(rejected, &["reason"])?)?,
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

impl Metrics {
    /// Counts events by what the archive said of them.
    pub(crate) fn archived(&self, archived: Archived) {
        let Archived { new, repeated, conflicting } = archived;
        let results = [("accepted", new), ("repeated", repeated), ("conflicting", conflicting)];
        for (result, n) in results {
            self.events.with_label_values(&[result]).inc_by(n);
        }
    }
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// Shows how a consumer is doing.
pub(crate) fn consumer(registry: &Registry, status: Arc<Status>) -> Result<(), prometheus::Error> {
    let gauge = |name: &str, help: &str| IntGauge::new(name, help);
    registry.register(Box::new(status.ack_seconds.clone()))?;
    registry.register(Box::new(ConsumerMetrics {
        unacked: gauge("observatory_unacked", "Deliveries that are not acknowledged.")?,
        deliveries: gauge("observatory_deliveries_total", "Deliveries taken.")?,
        redelivered: gauge(
            "observatory_redelivered_total",
            "Deliveries taken not for the first time.",
        )?,
        sessions: gauge("observatory_broker_sessions_total", "Connections made to consume.")?,
        faults: IntGaugeVec::new(
            Opts::new("observatory_broker_faults_total", "What ended a session, by kind."),
            &["kind"],
        )?,
        status,
    }))
}

/// Read from the consumer when asked.
struct ConsumerMetrics {
    status: Arc<Status>,
    unacked: IntGauge,
    deliveries: IntGauge,
    redelivered: IntGauge,
    sessions: IntGauge,
    faults: IntGaugeVec,
}

impl Collector for ConsumerMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = [&self.unacked, &self.deliveries, &self.redelivered, &self.sessions];
        gauges.into_iter().flat_map(Collector::desc).chain(self.faults.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let status = &self.status;
        let pairs = [
            (&self.unacked, &status.unacked),
            (&self.deliveries, &status.deliveries),
            (&self.redelivered, &status.redelivered),
            (&self.sessions, &status.sessions),
        ];
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let mut families = Vec::new();
        for (gauge, n) in pairs {
            gauge.set(number(n.load(Ordering::Relaxed)));
            families.extend(gauge.collect());
        }
        for kind in FaultKind::ALL {
            let gauge = self.faults.with_label_values(&[kind.as_str()]);
            gauge.set(number(status.faults.get(kind)));
        }
        families.extend(self.faults.collect());
        families
    }
}
