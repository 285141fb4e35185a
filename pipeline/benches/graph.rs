//! CPU time per event of the graph alone, for decoded events.
//!
//! `cargo bench -p pipeline --bench graph`: one sample is a whole stream through a fresh graph, and
//! what is measured is the CPU time of the thread, not the wall.

use std::hint::black_box;
use std::time::Duration;

use cpu_time::ThreadTime;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use differential_dataflow::AsCollection;
use pipeline::Tick;
use pipeline::dataflow::{Config, Graph};
use pipeline::fact::Input;
use pipeline::job_state::job_states;
use pipeline::views::counts::counts;
use pipeline::worker::single;
use timely::dataflow::operators::Probe;
use timely::dataflow::operators::generic::operator::empty;
use timely::dataflow::operators::probe::Handle;
use timely::dataflow::operators::vec::Input as _;

mod support;

use support::ticks;

const JOBS: usize = 300_000;

/// Time that this thread has had a core.
struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = ThreadTime;
    type Value = Duration;

    fn start(&self) -> ThreadTime {
        ThreadTime::now()
    }

    fn end(&self, start: ThreadTime) -> Duration {
        start.elapsed()
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

fn full(ticks: Vec<(Tick, Vec<Input>)>) {
    let mut worker = single();
    let config = Config { judge: true, keep_records: true, ..Config::default() };
    let mut graph = Graph::build(&mut worker, &config);
    graph.order(ticks[0].0, support::hundred_rules());
    for (tick, inputs) in ticks {
        graph.feed(tick, inputs);
        graph.close(tick);
        worker.step_while(|| graph.behind(tick + 1));
        black_box(graph.sealed());
    }
}

fn states_and_counts(ticks: Vec<(Tick, Vec<Input>)>) {
    let mut worker = single();
    let probe = Handle::new();
    let mut facts = worker.dataflow::<Tick, _, _>(|scope| {
        let (facts, inputs) = scope.new_input();
        let jobs = job_states(inputs, None, false);
        let retired = empty(scope).as_collection();
        counts(jobs.changes, retired).inner.probe_with(&probe);
        facts
    });
    for (tick, mut inputs) in ticks {
        facts.advance_to(tick);
        facts.send_batch(&mut inputs);
        facts.advance_to(tick + 1);
        worker.step_while(|| probe.less_than(&(tick + 1)));
    }
}

fn graph(criterion: &mut Criterion<CpuTime>) {
    type Run = fn(Vec<(Tick, Vec<Input>)>);
    let graphs: [(&str, Run, &[usize]); 2] =
        [("states+counts", states_and_counts, &[1_000]), ("full", full, &[100, 1_000, 10_000])];
    for (name, run, sizes) in graphs {
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10).throughput(Throughput::Elements(3 * JOBS as u64));
        for &per_tick in sizes {
            let stream = ticks(JOBS, per_tick);
            group.bench_with_input(BenchmarkId::new("per_tick", per_tick), &stream, |b, stream| {
                b.iter_batched(|| stream.clone(), run, criterion::BatchSize::PerIteration);
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = graph
}
criterion_main!(benches);
