//! What a live job takes, with its timers, and the longest pause while jobs come.
//!
//! `cargo run --release -p pipeline --example memory -- [JOBS]`
//!
//! Jobs are created, and started, and stay. Memory is what the process has resident beyond what it
//! had before the first; a pause is what one tick takes: 10 ms of
//! 100,000 facts a second.

use std::time::{Duration, Instant};

use pipeline::Tick;
use pipeline::dataflow::{Config, Graph};
use pipeline::fact::Input;
use pipeline::retention::Retention;
use pipeline::worker::single;

#[path = "../benches/support/mod.rs"]
mod support;

const PER_TICK: usize = 1_000;

/// Resident bytes of this process, as Linux tells them.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    kib.unwrap_or(0_u64) * 1024
}

#[expect(clippy::print_stdout, reason = "it is what this program is for")]
fn main() {
    let arguments = std::env::args().nth(1);
    let n_jobs: usize = arguments.and_then(|jobs| jobs.parse().ok()).unwrap_or(1_000_000);
    let shape = support::Shape::new();
    let mut random = support::Random(42);

    let mut worker = single();
    let config = Config {
        judge: true,
        retention: Some(Retention::default()),
        keep_records: true,
        ..Config::default()
    };
    let mut graph = Graph::build(&mut worker, &config);
    graph.order(support::START as Tick, support::hundred_rules());
    let before = resident();
    let (mut longest, mut at) = (Duration::ZERO, 0);
    let mut created = 0;
    // It is over long before the first timer is due, so every job has its timers ahead.
    for i in 0.. {
        let tick = support::START as Tick + i * support::TICK.as_micros() as Tick;
        let mut inputs = Vec::with_capacity(PER_TICK);
        while inputs.len() < PER_TICK && created < n_jobs {
            let [job, started, _] = shape.job(&mut random, tick as i64);
            inputs.extend([job, started].map(Input::Fact));
            created += 1;
        }
        let begin = Instant::now();
        graph.feed(tick, inputs);
        graph.close(tick);
        worker.step_while(|| graph.behind(tick + 1));
        drop(graph.sealed());
        if begin.elapsed() > longest {
            (longest, at) = (begin.elapsed(), created);
        }
        if created == n_jobs {
            break;
        }
    }
    let per_job = (resident() - before) / n_jobs as u64;
    println!("{n_jobs} jobs: {per_job} bytes each");
    println!("longest tick: {:.1} ms, at {at} jobs", longest.as_secs_f64() * 1e3);
}
