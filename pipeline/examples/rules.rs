//! What rules take: a back-test, and an edit while jobs are held.
//!
//! `cargo run --release -p pipeline --example rules -- RULES [JOBS]`
//!
//! The back-test is of the rules in the file over 90 minutes of the stream, three events a job. The
//! edit comes while as many jobs as that have finished or are under way, a second before it is to
//! be judged: what is told is how long the dataflow takes from the order to the first verdict, once
//! that second is there.

use std::time::Instant;

use pipeline::Tick;
use pipeline::backtest::Backtest;
use pipeline::dataflow::{Config, Graph};
use pipeline::fact::Fact;
use pipeline::rules::{self, Rule};
use pipeline::worker::single;

#[path = "../benches/support/mod.rs"]
mod support;

const SECOND: Tick = 1_000_000;

/// Over which the events of a back-test are spread, in µs.
const SPAN: i64 = 90 * 60 * 1_000_000;

#[expect(clippy::print_stdout, reason = "it is what this program is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("name a rules file")?;
    let n_jobs: i64 = arguments.next().map_or(Ok(333_334), |jobs| jobs.parse())?;
    let rules = rules::parse(&std::fs::read_to_string(&file)?)?;

    let mut random = support::Random(42);
    let shape = support::Shape::new();
    let mut facts: Vec<Fact> = (0..n_jobs)
        .flat_map(|i| shape.job(&mut random, support::START + i * (SPAN / n_jobs)))
        .collect();
    facts.sort_by_key(|fact| fact.at);
    let n_facts = facts.len();
    let began = Instant::now();
    let n_rules = rules.len();
    let mut backtest = Backtest::start(rules.clone())?;
    facts.into_iter().try_for_each(|fact| backtest.take(fact))?;
    let episodes = backtest.finish()?.len();
    let took = began.elapsed().as_secs_f64();
    println!("{n_rules} rules over {n_facts} events: {episodes} episodes, {took:.1} s");

    edit(rules, n_jobs as usize);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it is what this program is for")]
fn edit(rules: Vec<Rule>, n_jobs: usize) {
    let mut worker = single();
    let config = Config { judge: true, keep_records: true, ..Config::default() };
    let mut graph = Graph::build(&mut worker, &config);
    let mut last = 0;
    for (tick, inputs) in support::ticks(n_jobs, 1_000) {
        graph.feed(tick, inputs);
        graph.close(tick);
        worker.step_while(|| graph.behind(tick + 1));
        drop(graph.sealed());
        last = tick;
    }
    let second = last.next_multiple_of(SECOND) + SECOND;
    graph.order(second - 1, rules.into_iter().map(|rule| (rule.into(), 1)).collect());
    graph.close(second - 1);
    worker.step_while(|| graph.behind(second));
    let began = Instant::now();
    graph.close(second);
    worker.step_while(|| graph.behind(second + 1));
    let alerts = graph.sealed().map_or(0, |sealed| sealed.alerts.len());
    let took = began.elapsed().as_secs_f64() * 1e3;
    println!("an edit with {n_jobs} jobs held: {alerts} alerts in {took:.1} ms");
}
