//! Numbers that are read where they are when Prometheus asks, and kept nowhere else.
//!
//! A series is there if what it tells of is there at that moment: nobody has to remember to remove
//! those of a worker that is gone.

use std::collections::{BTreeMap, HashMap};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Registry, Result};

/// Values that one label may have; what is beyond is told as [`OTHER`].
pub(crate) const MAX_VALUES: usize = 200;
pub(crate) const OTHER: &str = "other";

/// A metric: its name, what it is, and the names of its labels. One whose name ends in `_total` is
/// a counter, any other a gauge.
pub type About = (&'static str, &'static str, &'static [&'static str]);

/// Registers metrics that `read` tells when they are asked for.
pub fn pull(
    registry: &Registry,
    metrics: &[About],
    read: impl Fn(&mut Told) + Send + Sync + 'static,
) -> Result<()> {
    let desc = |(name, help, labels): &About| {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        Desc::new((*name).to_owned(), (*help).to_owned(), labels, HashMap::new())
    };
    let descs = metrics.iter().map(desc).collect::<Result<_>>()?;
    registry.register(Box::new(Pulled { descs, read: Box::new(read) }))
}

/// What is told when Prometheus asks.
#[derive(Default)]
pub struct Told(HashMap<&'static str, Vec<(Vec<String>, f64)>>);

impl Told {
    /// A number without labels.
    pub fn set(&mut self, name: &'static str, value: f64) {
        self.set_of(name, &[], value);
    }

    /// The same with the values of its labels, in their order.
    pub fn set_of(&mut self, name: &'static str, labels: &[&str], value: f64) {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        self.0.entry(name).or_default().push((labels, value));
    }

    /// Numbers by the values of the one label, the largest [`MAX_VALUES`]; the others are told
    /// together. Says how many those are.
    pub fn set_all(&mut self, name: &'static str, values: BTreeMap<String, f64>) -> usize {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let beyond = values.split_off(values.len().min(MAX_VALUES));
        for (label, value) in values {
            self.set_of(name, &[&label], value);
        }
        if !beyond.is_empty() {
            self.set_of(name, &[OTHER], beyond.iter().map(|(_, value)| value).sum());
        }
        beyond.len()
    }
}

struct Pulled {
    descs: Vec<Desc>,
    read: Box<dyn Fn(&mut Told) + Send + Sync>,
}

impl Collector for Pulled {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut told = Told::default();
        (self.read)(&mut told);
        let family = |desc: &Desc| {
            let samples = told.0.remove(desc.fq_name.as_str()).unwrap_or_default();
            let counts = desc.fq_name.ends_with("_total");
            let mut family = MetricFamily::default();
            family.set_name(desc.fq_name.clone());
            family.set_help(desc.help.clone());
            family.set_field_type(if counts { MetricType::COUNTER } else { MetricType::GAUGE });
            let metric = |(labels, value)| metric(&desc.variable_labels, labels, value, counts);
            family.set_metric(samples.into_iter().map(metric).collect());
            family
        };
        self.descs.iter().map(family).collect()
    }
}

fn metric(names: &[String], values: Vec<String>, value: f64, counts: bool) -> Metric {
    let pair = |(name, value): (&String, String)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.clone());
        pair.set_value(value);
        pair
    };
    let mut metric = Metric::from_label(names.iter().zip(values).map(pair).collect());
    if counts {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use prometheus::TextEncoder;

    use super::*;

    fn text(registry: &Registry) -> String {
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    #[test]
    fn a_series_goes_with_what_it_tells_of() {
        let registry = Registry::new();
        let workers = Arc::new(AtomicU64::new(3));
        let there = Arc::clone(&workers);
        pull(&registry, &[("jobs", "Jobs.", &["worker"])], move |told| {
            for worker in 0..there.load(Ordering::Relaxed) {
                told.set_of("jobs", &[&worker.to_string()], 1.0);
            }
        })
        .unwrap();
        assert!(text(&registry).contains("# TYPE jobs gauge\njobs{worker=\"0\"} 1\n"));
        assert_eq!(text(&registry).matches("worker=").count(), 3);
        workers.store(1, Ordering::Relaxed);
        assert_eq!(text(&registry).matches("worker=").count(), 1);
    }

    #[test]
    fn beyond_the_bound_the_smallest_are_told_together() {
        let registry = Registry::new();
        let about: [About; 2] = [("jobs", "Jobs.", &["worker"]), ("more_total", "More.", &[])];
        pull(&registry, &about, |told| {
            let jobs = (0..MAX_VALUES + 3).map(|n| (format!("w{n}"), n as f64)).collect();
            let beyond = told.set_all("jobs", jobs);
            told.set("more_total", beyond as f64);
        })
        .unwrap();
        let text = text(&registry);
        assert_eq!(text.matches("worker=").count(), MAX_VALUES + 1);
        assert!(text.contains("jobs{worker=\"other\"} 3\n"), "0 and 1 and 2: {text}");
        assert!(text.contains("# TYPE more_total counter\nmore_total 3\n"), "{text}");
    }
}
