//! Where the time goes: the wall time of each operator over a stream, from timely's own logging.
//!
//! `cargo run --release -p pipeline --example operators -- [EVENTS PER TICK] [JOBS]`

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant};

use pipeline::dataflow::{Config, Graph};
use pipeline::worker::single;
use timely::logging::{StartStop, TimelyEvent, TimelyEventBuilder};

#[path = "../benches/support/mod.rs"]
mod support;

/// What the log has told so far.
#[derive(Default)]
struct Seen {
    names: HashMap<usize, String>,
    /// Running, and since when: an operator runs within the scope that holds it.
    running: Vec<(usize, Duration)>,
    /// Time in the operator itself, and how often it ran.
    spent: BTreeMap<usize, (Duration, u64)>,
}

impl Seen {
    fn learn(&mut self, at: Duration, event: TimelyEvent) {
        match event {
            TimelyEvent::Operates(operator) => {
                self.names.insert(operator.id, operator.name);
            }
            TimelyEvent::Schedule(schedule) => {
                if let Some((running, since)) = self.running.last_mut() {
                    self.spent.entry(*running).or_default().0 += at - *since;
                    *since = at;
                }
                match schedule.start_stop {
                    StartStop::Start => self.running.push((schedule.id, at)),
                    StartStop::Stop => {
                        self.running.pop();
                        self.spent.entry(schedule.id).or_default().1 += 1;
                        if let Some((_, since)) = self.running.last_mut() {
                            *since = at;
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

#[expect(clippy::print_stdout, reason = "it is what this program is for")]
fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let per_tick = arguments.next().unwrap_or(1_000);
    let jobs = arguments.next().unwrap_or(300_000);
    let ticks = support::ticks(jobs, per_tick);

    let mut worker = single();
    let seen = Rc::new(RefCell::new(Seen::default()));
    if let Some(mut log) = worker.log_register() {
        let seen = Rc::clone(&seen);
        log.insert::<TimelyEventBuilder, _>("timely", move |_, events| {
            let mut seen = seen.borrow_mut();
            for (at, event) in events.iter_mut().flat_map(|events| events.drain(..)) {
                seen.learn(at, event);
            }
        });
    }
    let config = Config { judge: true, keep_records: true, ..Config::default() };
    let mut graph = Graph::build(&mut worker, &config);
    graph.order(ticks[0].0, support::hundred_rules());
    let start = Instant::now();
    for (tick, inputs) in ticks {
        graph.feed(tick, inputs);
        graph.close(tick);
        worker.step_while(|| graph.behind(tick + 1));
        drop(graph.sealed());
    }
    let took = start.elapsed();
    if let Some(mut log) = worker.log_register() {
        log.flush();
    }

    let events = 3 * jobs as u128;
    println!("{:>10} ns/event  all of it", took.as_nanos() / events);
    let seen = seen.borrow();
    let mut spent: Vec<_> = seen.spent.iter().collect();
    spent.sort_by_key(|(_, (time, _))| std::cmp::Reverse(*time));
    for (id, (time, runs)) in spent {
        let name = seen.names.get(id).map_or("?", String::as_str);
        println!("{:>10} ns/event  {runs:>8} runs  {name}", time.as_nanos() / events);
    }
}
