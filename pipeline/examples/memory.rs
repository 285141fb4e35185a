//! What a live job takes, with its timers, and the longest pause while jobs come.
//!
//! `cargo run --release -p pipeline --example memory -- [JOBS]`
//!
//! Jobs are created, and started, and stay. Memory is what the process has resident beyond what it
//! had before the first; a pause is what one tick takes: 10 ms of 100,000 facts a second. Beside it
//! is the CPU time of that tick: what is more than that, the machine has taken for something else.

use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use pipeline::Tick;
use pipeline::dataflow::{Config, Graph};
use pipeline::fact::Input;
use pipeline::retention::Retention;
use pipeline::worker::single;

#[path = "../benches/support/mod.rs"]
mod support;

const PER_TICK: usize = 1_000;

/// Of the longest ticks.
const SHOWN: usize = 5;

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
    let mut longest = Vec::new();
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
        let (begin, cpu) = (Instant::now(), ThreadTime::now());
        graph.feed(tick, inputs);
        graph.close(tick);
        worker.step_while(|| graph.behind(tick + 1));
        drop(graph.sealed());
        longest.push((begin.elapsed(), cpu.elapsed(), created));
        longest.sort_unstable_by_key(|(wall, ..)| std::cmp::Reverse(*wall));
        longest.truncate(SHOWN);
        if created == n_jobs {
            break;
        }
    }
    let per_job = (resident() - before) / n_jobs as u64;
    println!("{n_jobs} jobs: {per_job} bytes each");
    for (wall, cpu, at) in longest {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!("a tick of {:.1} ms, {:.1} of CPU, at {at} jobs", ms(wall), ms(cpu));
    }
}
