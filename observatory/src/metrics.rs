//! What the process tells Prometheus about itself, beside what the API counts.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use api::{About, pull};
use contracts::{Micros, Reason};
use ingress::amqp::FaultKind;
use ingress::amqp::consumer::Status;
use ingress::amqp::publisher::Counters;
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
    exponential_buckets,
};
use rustix::time::{ClockId, clock_gettime};
use sinks::live::Live;
use sinks::redis::Progress;
use sinks::store::{Archived, Sink};
use tokio::sync::watch;

use crate::core::OBSERVED;
use crate::engine;

#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) registry: Registry,
    /// Events by what became of them: accepted, repeated, conflicting, late.
    pub(crate) events: IntCounterVec,
    /// Events refused, by reason.
    pub(crate) rejected: IntCounterVec,
    /// Those of them that were put aside in the broker.
    pub(crate) dead_letters: IntCounterVec,
    /// From the closing of a tick to its commit.
    pub(crate) frontier_lag_seconds: Histogram,
    pub(crate) tick_events: Histogram,
    /// From where an event happened, by its producer's clock, to where it is shown.
    pub(crate) event_to_view_seconds: Histogram,
    commit_seconds: HistogramVec,
    sink_up: IntGaugeVec,
    /// Since when a commit is under way, by the clock of the engine; 0 if none is.
    pub(crate) committing: Arc<AtomicU64>,
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
        let counters = |name: &str, help: &str, label: &str, values: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
            // Whoever asks for a rate needs the 0 before the first.
            values.iter().for_each(|value| drop(counters.with_label_values(&[value])));
            register(&registry, counters)
        };
        let reasons = Reason::ALL.map(Reason::as_str);
        let commits =
            HistogramOpts::new("observatory_sink_commit_seconds", "Time of a commit, by sink.")
                .buckets(exponential_buckets(0.001, 2.0, 16)?);
        // From 1 ms to nine hours, which a backlog may be.
        let delays = HistogramOpts::new(
            "observatory_event_to_view_seconds",
            "From where an event happened, by its producer's clock, to where it is shown.",
        )
        .buckets(exponential_buckets(0.001, 2.0, 26)?);
        let up = Opts::new("observatory_sink_up", "Whether a sink took what it was last sent.");
        process(&registry)?;
        let committing = Arc::<AtomicU64>::default();
        pending(&registry, Arc::clone(&committing))?;
        let sizes = HistogramOpts::new("observatory_tick_events", "Events of a tick.")
            .buckets(exponential_buckets(1.0, 4.0, 8)?);
        Ok(Metrics {
            events: counters(
                "observatory_events_total",
                "Events by what became of them.",
                "result",
                &["accepted", "repeated", "conflicting", "late"],
            )?,
            rejected: counters(
                "observatory_rejected_total",
                "Events refused, by reason.",
                "reason",
                &reasons,
            )?,
            dead_letters: counters(
                "observatory_dead_letters_total",
                "Refused events that were put aside in the broker, by reason.",
                "reason",
                &reasons,
            )?,
            frontier_lag_seconds: seconds(
                "observatory_frontier_lag_seconds",
                "From the time of a tick to its commit.",
            )?,
            tick_events: register(&registry, Histogram::with_opts(sizes)?)?,
            event_to_view_seconds: register(&registry, Histogram::with_opts(delays)?)?,
            commit_seconds: register(&registry, HistogramVec::new(commits, &["sink"])?)?,
            committing,
            sink_up: register(&registry, IntGaugeVec::new(up, &["sink"])?)?,
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

    /// Notes how a sink is doing.
    pub(crate) fn sink(&self, Sink { name, away, took }: Sink) {
        self.sink_up.with_label_values(&[name]).set(i64::from(!away));
        if let Some(took) = took {
            self.commit_seconds.with_label_values(&[name]).observe(took.as_secs_f64());
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
    registry.register(Box::new(status.ack_seconds.clone()))?;
    let about: [About; 7] = [
        ("observatory_unacked", "Deliveries that are not acknowledged.", &[]),
        ("observatory_deliveries_total", "Deliveries taken.", &[]),
        ("observatory_redelivered_total", "Deliveries taken not for the first time.", &[]),
        ("observatory_acked_total", "Deliveries acknowledged.", &[]),
        ("observatory_requeued_total", "Deliveries given back to their queue.", &[]),
        ("observatory_broker_sessions_total", "Connections made to consume.", &[]),
        ("observatory_broker_faults_total", "What ended a session, by kind.", &["kind"]),
    ];
    pull(registry, &about, move |told| {
        let numbers = [
            ("observatory_unacked", &status.unacked),
            ("observatory_deliveries_total", &status.deliveries),
            ("observatory_redelivered_total", &status.redelivered),
            ("observatory_acked_total", &status.acked),
            ("observatory_requeued_total", &status.requeued),
            ("observatory_broker_sessions_total", &status.sessions),
        ];
        for (name, n) in numbers {
            told.set(name, n.load(Ordering::Relaxed) as f64);
        }
        for kind in FaultKind::ALL {
            let n = status.faults.get(kind) as f64;
            told.set_of("observatory_broker_faults_total", &[kind.as_str()], n);
        }
    })
}

/// Shows how the consumer of Celery's events is doing.
pub(crate) fn celery_consumers(
    registry: &Registry,
    watched: Vec<(String, Arc<Status>)>,
) -> Result<(), prometheus::Error> {
    const FAULTS: &str = "observatory_celery_broker_faults_total";
    const OF: &[&str] = &["source"];
    let about: [About; 4] = [
        ("observatory_celery_unacked", "Deliveries of Celery that are not acknowledged.", OF),
        ("observatory_celery_deliveries_total", "Deliveries of Celery taken.", OF),
        ("observatory_celery_acked_total", "Deliveries of Celery acknowledged.", OF),
        (FAULTS, "What ended a session that consumes from Celery, by kind.", &["source", "kind"]),
    ];
    pull(registry, &about, move |told| {
        for (source, status) in &watched {
            let numbers = [
                ("observatory_celery_unacked", &status.unacked),
                ("observatory_celery_deliveries_total", &status.deliveries),
                ("observatory_celery_acked_total", &status.acked),
            ];
            for (name, n) in numbers {
                told.set_of(name, &[source], n.load(Ordering::Relaxed) as f64);
            }
            for kind in FaultKind::ALL {
                told.set_of(FAULTS, &[source, kind.as_str()], status.faults.get(kind) as f64);
            }
        }
    })
}

/// Shows what became of messages that were published.
pub(crate) fn publisher(
    registry: &Registry,
    counters: Arc<Counters>,
) -> Result<(), prometheus::Error> {
    const NAME: &str = "observatory_published_total";
    let about = [(NAME, "Messages published, by what the broker made of them.", &["result"][..])];
    pull(registry, &about, move |told| {
        let results = [
            ("confirmed", &counters.confirmed),
            ("away", &counters.away),
            ("blocked", &counters.blocked),
            ("unroutable", &counters.unroutable),
            ("refused", &counters.refused),
            ("timed_out", &counters.timed_out),
        ];
        for (result, n) in results {
            told.set_of(NAME, &[result], n.load(Ordering::Relaxed) as f64);
        }
    })
}

/// Shows the dataflow of this process, and how far what is durable is behind the clock.
pub(crate) fn pipeline(
    registry: &Registry,
    live: Arc<RwLock<Live>>,
) -> Result<(), prometheus::Error> {
    let about: [About; 6] = [
        (
            "observatory_frontier_behind_seconds",
            "How far the last durable tick is behind the clock.",
            &[],
        ),
        ("observatory_dataflow_records", "Records that operators hold.", &["operator"]),
        (
            "observatory_dataflow_pending_records",
            "Records that wait for their time to be complete.",
            &["operator"],
        ),
        ("observatory_dataflow_pending_bytes", "Bytes that those take.", &["operator"]),
        ("observatory_dataflow_busy_seconds_total", "Time spent in operators.", &["operator"]),
        ("observatory_dataflow_activations_total", "Times operators were run.", &["operator"]),
    ];
    pull(registry, &about, move |told| {
        let as_of = live.read().unwrap_or_else(PoisonError::into_inner).as_of();
        if as_of > Micros(0) {
            let behind = (engine::clock().0 - as_of.0).max(0) as f64 / 1e6;
            told.set("observatory_frontier_behind_seconds", behind);
        }
        let operators = OBSERVED.seen().operators;
        let mut sums: [BTreeMap<String, f64>; 5] = Default::default();
        for (address, operator) in &operators {
            // The time of a scope is that of what is in it; those come right behind it.
            let mut after = operators.range::<[usize], _>((Excluded(&address[..]), Unbounded));
            if after.next().is_some_and(|(next, _)| next.starts_with(address)) {
                continue;
            }
            let numbers = [
                operator.records.max(0) as f64,
                operator.pending_records.max(0) as f64,
                operator.pending_bytes.max(0) as f64,
                operator.busy.as_secs_f64(),
                operator.activations as f64,
            ];
            for (sum, n) in sums.iter_mut().zip(numbers) {
                *sum.entry(operator.name.clone()).or_default() += n;
            }
        }
        // Their names are those of the program's graph.
        for ((name, ..), sum) in about[1..].iter().zip(sums) {
            told.set_all(name, sum);
        }
    })
}

/// Shows how Redis follows.
pub(crate) fn redis(
    registry: &Registry,
    progress: watch::Receiver<Progress>,
    live: Arc<RwLock<Live>>,
) -> Result<(), prometheus::Error> {
    let about: [About; 5] = [
        ("observatory_redis_up", "Whether Redis took what it was last sent.", &[]),
        ("observatory_redis_lag_seconds", "How far Redis is behind what is durable.", &[]),
        ("observatory_redis_writes_total", "Writes to Redis.", &[]),
        ("observatory_redis_rebuilds_total", "Times that everything was written anew.", &[]),
        ("observatory_redis_dropped_total", "Batches that found the queue full.", &[]),
    ];
    pull(registry, &about, move |told| {
        let Progress { tick, connected, writes, rebuilds, dropped } = *progress.borrow();
        let durable = live.read().unwrap_or_else(PoisonError::into_inner).as_of();
        let written = i64::try_from(tick).unwrap_or(i64::MAX);
        told.set("observatory_redis_up", f64::from(u8::from(connected)));
        if tick > 0 {
            let lag = durable.0.saturating_sub(written).max(0) as f64 / 1e6;
            told.set("observatory_redis_lag_seconds", lag);
        }
        told.set("observatory_redis_writes_total", writes as f64);
        told.set("observatory_redis_rebuilds_total", rebuilds as f64);
        told.set("observatory_redis_dropped_total", dropped as f64);
    })
}

/// Shows how long a commit has been under way: a server that stands still refuses nothing.
fn pending(registry: &Registry, committing: Arc<AtomicU64>) -> Result<(), prometheus::Error> {
    const NAME: &str = "observatory_commit_pending_seconds";
    let about: [About; 1] = [(NAME, "How long the commit that is under way has taken.", &[])];
    pull(registry, &about, move |told| {
        let began = committing.load(Ordering::Relaxed);
        let pending = if began > 0 { engine::now().saturating_sub(began) } else { 0 };
        told.set(NAME, pending as f64 / 1e6);
    })
}

/// Shows what the process takes of its machine, under the names that all client libraries have.
fn process(registry: &Registry) -> Result<(), prometheus::Error> {
    let about: [About; 5] = [
        ("process_cpu_seconds_total", "Time on all processors.", &[]),
        ("process_resident_memory_bytes", "Memory in use.", &[]),
        ("process_open_fds", "Files and sockets that are open.", &[]),
        ("process_threads", "Threads.", &[]),
        ("process_start_time_seconds", "When the process began, since the epoch.", &[]),
    ];
    let began = engine::now() as f64 / 1e6;
    pull(registry, &about, move |told| {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        told.set("process_cpu_seconds_total", cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
        told.set("process_start_time_seconds", began);
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            told.set("process_open_fds", open.count() as f64);
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        if let Some(kib) = number("VmRSS:") {
            told.set("process_resident_memory_bytes", kib * 1024.0);
        }
        if let Some(threads) = number("Threads:") {
            told.set("process_threads", threads);
        }
    })
}
