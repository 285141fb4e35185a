//! How long a tick takes at a steady rate: from the moment it is due until it is sealed.
//!
//! `cargo run --release -p pipeline --example latency -- [EVENTS PER SECOND] [SECONDS]`
//!
//! Ticks of 10 ms are fed at the times at which they are due, whether or not the one before has
//! been sealed, so a tick that waits for another is counted with its wait.

use std::time::{Duration, Instant};

use pipeline::dataflow::{Config, Graph};
use pipeline::worker::single;

#[path = "../benches/support/mod.rs"]
mod support;

#[expect(clippy::print_stdout, reason = "it is what this program is for")]
fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let per_second = arguments.next().unwrap_or(50_000);
    let seconds = arguments.next().unwrap_or(20);
    let per_tick = per_second / (1_000 / support::TICK.as_millis() as usize);
    let ticks = support::ticks(per_second * seconds / 3, per_tick);

    let mut worker = single();
    let config = Config { judge: true, keep_records: true, ..Config::default() };
    let mut graph = Graph::build(&mut worker, &config);
    graph.order(ticks[0].0, support::hundred_rules());
    let mut took = Vec::with_capacity(ticks.len());
    let cpu = cpu_time::ThreadTime::now();
    let start = Instant::now();
    for (i, (tick, inputs)) in (0..).zip(ticks) {
        let due = start + support::TICK * i;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        graph.feed(tick, inputs);
        graph.close(tick);
        worker.step_while(|| graph.behind(tick + 1));
        drop(graph.sealed());
        took.push(due.elapsed());
    }
    let cpu = cpu.elapsed();
    took.sort_unstable();
    let at = |per_mille: usize| took[(took.len() * per_mille).div_ceil(1000) - 1];
    let micros_per_event = cpu.as_secs_f64() * 1e6 / (took.len() * per_tick) as f64;
    println!(
        "{} ticks of {per_tick} events, {micros_per_event:.2} µs of CPU per event",
        took.len()
    );
    for (name, per_mille) in [("p50", 500), ("p99", 990), ("p99.9", 999), ("max", 1000)] {
        println!("{name:>6} {:>8.2} ms", at(per_mille).as_secs_f64() * 1e3);
    }
    let late = took.iter().filter(|took| **took > Duration::from_millis(10)).count();
    println!("{late} of them not sealed when the next was due");
}
