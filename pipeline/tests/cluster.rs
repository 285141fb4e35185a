//! What the processes of a cluster tell each other beside facts.

mod support;

use contracts::Reason;
use contracts::event::Kind;
use pipeline::Tick;
use pipeline::aside::{Aside, Heard};
use pipeline::dataflow::Config;
use pipeline::fact::Input;
use pipeline::seal::Sealed;
use pipeline::worker::Out;
use support::bench::{Process, processes};
use support::streams::{BASE, fact};

const AT: Tick = BASE as Tick;

fn cluster(n: usize) -> Vec<Process> {
    processes(&Config { keep_records: true, ..Config::default() }, n, 1)
}

/// Closes a tick in all of them.
fn pass(processes: &[Process], tick: Tick) {
    for process in processes {
        process.pipeline.tick(tick, Vec::new()).expect("it runs");
    }
}

/// What the first gives out up to `upper`.
fn sealed(processes: &[Process], upper: Tick) -> Sealed {
    let mut all = Sealed::default();
    while all.upper < upper {
        if let Out::Sealed(sealed) = processes[0].next() {
            all.extend(sealed);
        }
    }
    all
}

/// Waits until a process hears that the ticks before `upper` are durable; gives what it heard on
/// the way.
fn durable(process: &Process, upper: Tick) -> Vec<Tick> {
    let mut heard = Vec::new();
    while heard.last() != Some(&upper) {
        if let Out::Durable(durable) = process.next() {
            heard.push(durable);
        }
    }
    heard
}

#[test]
fn what_the_first_has_made_durable_all_processes_hear_and_nothing_more() {
    let processes = cluster(3);
    for tick in [AT, AT + 10, AT + 20] {
        pass(&processes, tick);
    }
    sealed(&processes, AT + 21);
    let herald = processes[0].pipeline.herald();
    herald.durable(AT + 11);
    for process in &processes {
        let heard = durable(process, AT + 11);
        assert!(heard.is_sorted());
    }
    herald.durable(AT + 21);
    for process in &processes {
        assert_eq!(durable(process, AT + 21), [AT + 21]);
    }
}

#[test]
fn nothing_is_durable_that_a_process_may_still_add_to() {
    let processes = cluster(2);
    pass(&processes, AT);
    // The second is behind.
    processes[0].pipeline.tick(AT + 10, Vec::new()).unwrap();
    processes[0].pipeline.herald().durable(AT + 11);
    assert_eq!(durable(&processes[1], AT + 1).last(), Some(&(AT + 1)));
    processes[1].pipeline.tick(AT + 10, Vec::new()).unwrap();
    assert_eq!(durable(&processes[1], AT + 11), [AT + 11]);
}

#[test]
fn what_another_process_says_comes_to_the_first_with_its_tick() {
    let processes = cluster(2);
    let created = fact(1, 1, Kind::Created, BASE);
    let heard = Heard {
        fact: created.clone(),
        body: b"{}".to_vec(),
        error: None,
        metadata: Some("{}".to_owned()),
        late: false,
    };
    let said = vec![
        Aside::Event(Box::new(heard)),
        Aside::Newest(created.at),
        Aside::Rejected(Reason::BadJson, 3),
    ];
    processes[1].pipeline.tell(AT, said.clone()).unwrap();
    processes[1].pipeline.tick(AT, vec![Input::Fact(created)]).unwrap();
    processes[0].pipeline.tick(AT, Vec::new()).unwrap();
    pass(&processes, AT + 1);
    let sealed = sealed(&processes, AT + 2);
    let asides: Vec<_> = sealed.asides.into_iter().map(|(aside, tick, ())| (tick, aside)).collect();
    assert_eq!(asides, said.into_iter().map(|aside| (AT, aside)).collect::<Vec<_>>());
    assert_eq!(sealed.records.len(), 1);
    assert_eq!(sealed.records[0].1, AT);
}

#[test]
fn a_connection_that_ends_is_told_to_whoever_is_left() {
    use std::sync::mpsc::channel;
    let (told, gone) = channel();
    let peers = support::bench::peers(2, move |index| told.send(index).unwrap_or_default());
    let [first, second] = <[_; 2]>::try_from(peers).ok().unwrap();
    let config = Config { cluster: true, ..Config::default() };
    let out = |_| true;
    let sockets: Vec<_> = second.sockets.iter().flatten().map(|s| s.try_clone().unwrap()).collect();
    let kept = [first, second]
        .map(|peers| pipeline::worker::Pipeline::start_into(config, 1, Some(peers), out).unwrap());
    for socket in sockets {
        socket.shutdown(std::net::Shutdown::Both).unwrap();
    }
    let mut heard = [gone.recv().unwrap(), gone.recv().unwrap()];
    heard.sort_unstable();
    assert_eq!(heard, [0, 1]);
    drop(kept);
}
