//! What the dataflow shows: its updates added up, strictly, and compared with the oracle.
//!
//! Added up twice: here, where every record must come to a multiplicity of one and every key to
//! one record, and in [`Reading`], as those do who serve the views.

use std::collections::BTreeMap;
use std::fmt::Debug;

use contracts::snapshot::Snapshot;
use pipeline::distribution::{PER_MILLE, Quantiles, middle};
use pipeline::reading::Reading;
use pipeline::seal::{Sealed, Updates};
use pipeline::views::counts::Cell;
use pipeline::views::latency::{Latency, MAX_QUEUES};
use pipeline::views::sliding::Facet;
use pipeline::views::throughput::Throughput;
use pipeline::{Diff, Tick};

use super::oracle::{Cube, Expected, Latencies, Minutes, Rates, Totals, quantile};

/// The views as the updates so far make them.
#[derive(Clone, Default)]
pub(crate) struct Shown {
    counts: BTreeMap<(Cell, Diff), Diff>,
    latency: BTreeMap<Latency, Diff>,
    throughput: BTreeMap<Throughput, Diff>,
    pub(crate) minutes: Minutes,
    reading: Reading,
}

/// Adds `updates` to `map`; what comes to zero is gone.
fn add<D: Ord + Clone>(map: &mut BTreeMap<D, Diff>, updates: &Updates<D>) {
    for (record, _, diff) in updates {
        let multiplicity = map.entry(record.clone()).or_default();
        *multiplicity += diff;
        if *multiplicity == 0 {
            map.remove(record);
        }
    }
}

/// The records as a map, each there once and each key once.
fn unique<D: Debug, K: Ord + Debug, V>(
    map: &BTreeMap<D, Diff>,
    entry: impl Fn(&D) -> (K, V),
) -> BTreeMap<K, V> {
    let mut unique = BTreeMap::new();
    for (record, multiplicity) in map {
        assert_eq!(*multiplicity, 1, "{record:?} is there {multiplicity} times");
        let (key, value) = entry(record);
        assert!(unique.insert(key, value).is_none(), "a second record beside {record:?}");
    }
    unique
}

/// The updates of the views, by tick.
pub(crate) fn by_tick(sealed: Sealed) -> BTreeMap<Tick, Sealed> {
    let mut slices = BTreeMap::<Tick, Sealed>::new();
    macro_rules! split {
        ($($view:ident)*) => {$(
            for update in sealed.$view {
                slices.entry(update.1).or_default().$view.push(update);
            }
        )*};
    }
    split!(lookups records counts latency throughput minutes retired);
    slices
}

impl Shown {
    /// What is shown after a restart: of all views only the minutes are kept by a store.
    pub(crate) fn with_minutes(minutes: Minutes) -> Shown {
        Shown { minutes, ..Shown::default() }
    }

    pub(crate) fn add(&mut self, sealed: &Sealed) {
        add(&mut self.counts, &sealed.counts);
        add(&mut self.latency, &sealed.latency);
        add(&mut self.throughput, &sealed.throughput);
        for (minute, _, stats) in &sealed.minutes {
            let key = (minute.start, minute.job_type.to_string());
            let added = [
                stats.created,
                stats.finished,
                stats.failed,
                stats.cancelled,
                stats.waits,
                stats.wait_micros,
                stats.runs,
                stats.run_micros,
            ];
            let sums = self.minutes.entry(key.clone()).or_default();
            sums.iter_mut().zip(added).for_each(|(sum, n)| *sum += n);
            if *sums == [0; 8] {
                self.minutes.remove(&key);
            }
        }
        self.reading.add_counts(&sealed.counts);
        self.reading.add_latency(&sealed.latency);
        self.reading.add_throughput(&sealed.throughput);
    }

    fn cells(&self) -> BTreeMap<Cell, Diff> {
        unique(&self.counts, |(cell, n)| {
            assert!(*n > 0, "{cell:?} holds {n} jobs");
            (*cell, *n)
        })
    }

    pub(crate) fn cube(&self) -> Cube {
        let named = |(cell, n): (Cell, Diff)| match cell {
            Cell::Live { state, job_type, queue, worker } => {
                let key = (state, job_type.to_string(), queue.to_string(), worker.to_string());
                Some((key, n as u64))
            }
            Cell::Retired { .. } | Cell::Skewed => None,
        };
        self.cells().into_iter().filter_map(named).collect()
    }

    pub(crate) fn totals(&self) -> Totals {
        let named = |(cell, n): (Cell, Diff)| match cell {
            Cell::Retired { state, job_type } => Some(((state, job_type.to_string()), n as u64)),
            Cell::Live { .. } | Cell::Skewed => None,
        };
        self.cells().into_iter().filter_map(named).collect()
    }

    /// Jobs by state and type, in memory or retired.
    pub(crate) fn all_time(&self) -> Totals {
        let mut all_time = self.totals();
        for ((state, job_type, _, _), n) in self.cube() {
            *all_time.entry((state, job_type)).or_default() += n;
        }
        all_time
    }

    pub(crate) fn skewed(&self) -> u64 {
        self.cells().get(&Cell::Skewed).map_or(0, |n| *n as u64)
    }

    pub(crate) fn latency(&self) -> Latencies<Quantiles> {
        self.by_queue().remove(&None).unwrap_or_default()
    }

    /// The latencies of each queue, and of all of them.
    fn by_queue(&self) -> BTreeMap<Option<String>, Latencies<Quantiles>> {
        let text = |name: Facet| name.map(|name| name.to_string());
        let rows = unique(&self.latency, |row| {
            let key = (row.measure, text(row.job_type), row.window);
            ((text(row.queue), key), row.quantiles)
        });
        let mut by_queue = BTreeMap::<_, Latencies<Quantiles>>::new();
        for ((queue, key), quantiles) in rows {
            by_queue.entry(queue).or_default().insert(key, quantiles);
        }
        by_queue
    }

    pub(crate) fn throughput(&self) -> Rates {
        unique(&self.throughput, |row| {
            let rates = [row.rates.created, row.rates.finished, row.rates.failed];
            ((row.job_type.map(|name| name.to_string()), row.window), rates)
        })
    }

    /// The retired share of the cells, as a store keeps it.
    pub(crate) fn retired_cells(&self) -> Vec<(Cell, Diff)> {
        let retired = |(cell, _): &(Cell, Diff)| matches!(cell, Cell::Retired { .. });
        self.cells().into_iter().filter(retired).collect()
    }

    /// Compares what moves at every tick, where no job is retired or given up.
    pub(crate) fn agrees_at_once(&self, expected: &Expected, when: &str) {
        assert_eq!(self.cube(), expected.cube, "counts {when}");
        assert_eq!(self.totals(), Totals::new(), "totals {when}");
        assert_eq!(self.skewed(), expected.skewed, "skewed {when}");
        assert_eq!(self.minutes, expected.minutes, "minutes {when}");
        let snapshot = self.reading.snapshot(None);
        assert_eq!(snapshot.jobs, expected.cube.values().sum::<u64>(), "jobs {when}");
        assert_eq!(snapshot.skewed, expected.skewed, "skewed as read {when}");
        assert_eq!(cube_of(&snapshot), expected.cube, "counts as read {when}");
    }

    /// Compares what moves on the coarse grid.
    pub(crate) fn agrees_on_grid(&self, expected: &Expected, when: &str) {
        let shown = self.throughput();
        assert_eq!(shown, expected.throughput, "throughput {when}");
        let snapshot = self.reading.snapshot(None);
        assert_eq!(rates_of(&snapshot), shown, "throughput as read {when}");

        let by_queue = self.by_queue();
        let of_queues = expected.by_queue.iter().map(|(queue, of)| (Some(queue.clone()), of));
        let wanted: BTreeMap<_, _> = of_queues.chain([(None, &expected.latency)]).collect();
        let wanted = || wanted.iter().filter(|(_, latencies)| !latencies.is_empty());
        // Of more queues than are told apart, which those are depends on which came first; some
        // may be empty again.
        let few = expected.by_queue.len() < MAX_QUEUES / 2;
        let told_apart = |queue: &Option<String>| few || by_queue.contains_key(queue);
        let wanted = || wanted().filter(|(queue, _)| told_apart(queue));
        assert!(by_queue.keys().eq(wanted().map(|(queue, _)| queue)), "which queues {when}");
        for (queue, latencies) in wanted() {
            agree(&by_queue[queue], latencies, &format!("of {queue:?} {when}"));
        }
        let n: usize = by_queue.values().map(BTreeMap::len).sum();
        assert_eq!(snapshot.latency.len(), n, "latencies as read {when}");
        for row in &snapshot.latency {
            let quantiles = by_queue[&row.queue][&(row.measure, row.job_type.clone(), row.window)];
            let seconds = |bucket| middle(bucket) as f64 / 1e6;
            let read = [row.p50, row.p90, row.p95, row.p99, row.p999, row.max];
            let [p50, p90, p95, p99, p999] = quantiles.at;
            let known = [p50, p90, p95, p99, p999, quantiles.max].map(seconds);
            assert_eq!((row.samples, read), (quantiles.samples, known), "{row:?} {when}");
        }
    }

    /// Compares all views, where no job is retired or given up.
    pub(crate) fn agrees(&self, expected: &Expected, when: &str) {
        self.agrees_at_once(expected, when);
        self.agrees_on_grid(expected, when);
    }
}

/// Asserts that a bucket stands for `wanted` within a thousandth.
fn within(bucket: u16, wanted: i64, what: &str) {
    let shown = middle(bucket) as i64;
    assert!((shown - wanted).abs() * 1000 <= wanted, "{what} is {shown} µs, not {wanted}");
}

fn cube_of(snapshot: &Snapshot) -> Cube {
    let cell = |row: &contracts::snapshot::CountRow| {
        let (queue, worker) = (row.queue.clone(), row.worker.clone());
        ((row.state, row.job_type.clone(), queue, worker), row.jobs)
    };
    let cube: Cube = snapshot.counts.iter().map(cell).collect();
    assert_eq!(cube.len(), snapshot.counts.len(), "a cell has two rows");
    cube
}

fn rates_of(snapshot: &Snapshot) -> Rates {
    let rates = |row: &contracts::snapshot::ThroughputRow| {
        ((row.job_type.clone(), row.window), [row.created, row.finished, row.failed])
    };
    let by_key: Rates = snapshot.throughput.iter().map(rates).collect();
    assert_eq!(by_key.len(), snapshot.throughput.len(), "a window has two rows");
    by_key
}

/// Compares distributions with the sorted data.
fn agree(shown: &Latencies<Quantiles>, wanted: &Latencies<Vec<i64>>, when: &str) {
    let (keys, wanted_keys) = (shown.keys().collect::<Vec<_>>(), wanted.keys());
    assert_eq!(keys, wanted_keys.collect::<Vec<_>>(), "which latencies there are {when}");
    for (key, sorted) in wanted {
        let quantiles = shown[key];
        assert_eq!(quantiles.samples, sorted.len() as u64, "samples of {key:?} {when}");
        for (i, per_mille) in PER_MILLE.into_iter().enumerate() {
            let wanted = quantile(sorted, per_mille as usize);
            within(quantiles.at[i], wanted, &format!("p{per_mille} of {key:?} {when}"));
        }
        within(quantiles.max, sorted[sorted.len() - 1], &format!("max of {key:?} {when}"));
    }
}
