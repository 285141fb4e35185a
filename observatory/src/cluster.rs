//! Several pipelines that are one: the processes of a timely cluster find each other.
//!
//! ```text
//!   process 2 ──hello──▶ process 0     the higher calls the lower, which says hello too;
//!             ──hello──▶ process 1     twice; the caller compares clocks, and says if it stays
//! ```
//!
//! Process 0 is the one that writes. It listens when it has the store, so until then the others
//! wait, and with its hello it says from which tick on.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use pipeline::Tick;

use crate::engine::now;

/// The first port if no addresses are given, as timely has it.
const FIRST_PORT: usize = 2101;

/// Clocks may differ by so much, in µs: ticks are the clock's, and the frontier is the slowest's.
const APART: u64 = 1_000_000;

/// Between two calls of a process that does not answer yet.
const RETRY: Duration = Duration::from_millis(200);

/// Whoever has called and says nothing for so long is no process of ours.
const SILENCE: Duration = Duration::from_secs(5);

/// Says that it is us, and in which words.
const MAGIC: u64 = u64::from_be_bytes(*b"observ01");

#[derive(clap::Args, Clone)]
pub(crate) struct Cluster {
    /// Processes that share the work, each with as many workers.
    #[arg(long, env = "OBSERVATORY_PROCESSES", default_value_t = 1)]
    processes: usize,
    /// The place of this process among them: 0 is the one that writes.
    #[arg(long, env = "OBSERVATORY_PROCESS", default_value_t = 0)]
    process: usize,
    /// Their addresses, a line host:port for each; by default ports from 2101 on of this machine.
    #[arg(long, env = "OBSERVATORY_HOSTFILE", value_name = "FILE")]
    hostfile: Option<PathBuf>,
}

/// Where a process is in its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) process: usize,
    addresses: Vec<String>,
}

impl Cluster {
    /// The place that is meant; none if this process is alone.
    pub(crate) fn place(&self) -> anyhow::Result<Option<Place>> {
        let Cluster { processes, process, hostfile } = self;
        ensure!(
            process < processes,
            "--process is to be less than --processes, which is {processes}"
        );
        if *processes == 1 {
            return Ok(None);
        }
        let addresses = match hostfile {
            None => (0..*processes).map(|i| format!("localhost:{}", FIRST_PORT + i)).collect(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read the hostfile {}", path.display()))?;
                addresses(&text)
            }
        };
        ensure!(
            addresses.len() >= *processes,
            "the hostfile has {} addresses, for {processes} processes",
            addresses.len()
        );
        let addresses = addresses.into_iter().take(*processes).collect();
        Ok(Some(Place { process: *process, addresses }))
    }
}

fn addresses(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// What process 0 tells the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// The tick at which it restores what the store kept; facts come after it.
    pub(crate) tick: Tick,
    pub(crate) generation: i64,
    /// `createdAt` of the youngest job that has been retired, µs since the epoch.
    pub(crate) youngest_retired: i64,
}

/// What a process says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hello {
    processes: u64,
    workers: u64,
    process: u64,
    /// Its clock, µs since the epoch.
    clock: u64,
    start: Start,
}

/// Bytes of a hello: eight numbers.
const HELLO: usize = 64;

impl Hello {
    fn encode(self) -> [u8; HELLO] {
        let Hello { processes, workers, process, clock, start } = self;
        let Start { tick, generation, youngest_retired } = start;
        let (generation, youngest) = (generation.cast_unsigned(), youngest_retired.cast_unsigned());
        let numbers = [MAGIC, processes, workers, process, clock, tick, generation, youngest];
        let mut bytes = [0; HELLO];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    fn read(socket: &mut TcpStream) -> io::Result<Hello> {
        let mut numbers = [0; 8];
        for number in &mut numbers {
            let mut bytes = [0; 8];
            socket.read_exact(&mut bytes)?;
            *number = u64::from_be_bytes(bytes);
        }
        let [magic, processes, workers, process, clock, tick, generation, youngest] = numbers;
        if magic != MAGIC {
            return Err(io::Error::other("it is not an observatory of this version"));
        }
        let (generation, youngest_retired) = (generation.cast_signed(), youngest.cast_signed());
        let start = Start { tick, generation, youngest_retired };
        Ok(Hello { processes, workers, process, clock, start })
    }
}

/// Connections to the others, in their order, and what process 0 said.
pub(crate) type Connected = (Vec<Option<TcpStream>>, Start);

/// Finds the others; blocks until all of them are there. `mine` is what process 0 tells.
pub(crate) fn connect(place: &Place, n_workers: usize, mine: Start) -> anyhow::Result<Connected> {
    let Place { process, addresses } = place;
    let hello = || Hello {
        processes: addresses.len() as u64,
        workers: n_workers as u64,
        process: *process as u64,
        clock: now(),
        start: mine,
    };
    // Before others are called, so that nobody has to call twice.
    let own = &addresses[*process];
    let listener = TcpListener::bind(own)
        .with_context(|| format!("cannot listen on {own}, the address of process {process}"))?;
    let mut sockets: Vec<Option<TcpStream>> = addresses.iter().map(|_| None).collect();
    let mut start = mine;
    for (peer, address) in addresses.iter().enumerate().take(*process) {
        tracing::info!("waiting for process {peer} at {address}");
        let (socket, theirs) = call(address, &hello)
            .with_context(|| format!("process {peer} at {address} does not fit"))?;
        if peer == 0 {
            start = theirs.start;
        }
        sockets[peer] = Some(socket);
    }
    while let Some(missing) = (process + 1..addresses.len()).find(|peer| sockets[*peer].is_none()) {
        tracing::info!("waiting for process {missing}");
        let (socket, from) = listener.accept().context("cannot take connections")?;
        match answer(socket, &hello) {
            Ok((socket, peer)) if peer > *process && peer < sockets.len() => {
                sockets[peer] = Some(socket);
            }
            Ok((_, peer)) => tracing::warn!(%from, peer, "a process that should not call us"),
            Err(error) => tracing::warn!(%from, "a caller is turned away: {error:#}"),
        }
    }
    for socket in sockets.iter().flatten() {
        socket.set_read_timeout(None)?;
        socket.set_nodelay(true)?;
    }
    Ok((sockets, start))
}

/// Calls a process until it answers, and compares clocks.
fn call(address: &str, hello: &dyn Fn() -> Hello) -> anyhow::Result<(TcpStream, Hello)> {
    loop {
        let Ok(mut socket) = TcpStream::connect(address) else {
            std::thread::sleep(RETRY);
            continue;
        };
        let mut called = now();
        let theirs = socket
            .write_all(&hello().encode())
            // It may be waiting for others before it answers.
            .and_then(|()| Hello::read(&mut socket))
            .and_then(|_| {
                called = now();
                socket.write_all(&hello().encode())
            })
            // This one comes at once, and so its clock can be compared.
            .and_then(|()| Hello::read(&mut socket));
        let theirs = match theirs {
            Ok(theirs) => theirs,
            // It has ended, or has turned us away: it says why.
            Err(error) => {
                tracing::warn!(%address, %error, "no hello from there; trying again");
                std::thread::sleep(RETRY);
                continue;
            }
        };
        let fits = fits(hello(), theirs, called);
        socket.write_all(&[u8::from(fits.is_ok())])?;
        fits?;
        return Ok((socket, theirs));
    }
}

/// Whether `theirs`, the answer to a call at `called`, is that of a process of the same cluster.
fn fits(mine: Hello, theirs: Hello, called: Tick) -> anyhow::Result<()> {
    same_cluster(mine, theirs)?;
    // It answered at some time in between.
    let (early, late) = (called.saturating_sub(APART), mine.clock.saturating_add(APART));
    if !(early..=late).contains(&theirs.clock) {
        let apart = theirs.clock.abs_diff(mine.clock) as f64 / 1e6;
        bail!("its clock and ours are {apart:.3} s apart, more than a second: set them right");
    }
    Ok(())
}

fn same_cluster(mine: Hello, theirs: Hello) -> anyhow::Result<()> {
    ensure!(
        (theirs.processes, theirs.workers) == (mine.processes, mine.workers),
        "it has --processes {} and --workers {}, and we have {} and {}",
        theirs.processes,
        theirs.workers,
        mine.processes,
        mine.workers
    );
    Ok(())
}

/// Says hello to a caller; gives its place.
fn answer(mut socket: TcpStream, hello: &dyn Fn() -> Hello) -> anyhow::Result<(TcpStream, usize)> {
    socket.set_read_timeout(Some(SILENCE))?;
    let theirs = Hello::read(&mut socket)?;
    socket.write_all(&hello().encode())?;
    Hello::read(&mut socket)?;
    let mine = hello();
    socket.write_all(&mine.encode())?;
    same_cluster(mine, theirs)?;
    let mut stays = [0];
    socket.read_exact(&mut stays)?;
    ensure!(stays == [1], "process {} finds that we do not fit: see there", theirs.process);
    Ok((socket, usize::try_from(theirs.process)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(clock: u64) -> Hello {
        let start = Start { tick: 7, generation: 3, youngest_retired: i64::MIN };
        Hello { processes: 2, workers: 1, process: 1, clock, start }
    }

    fn place(process: usize, addresses: &[String]) -> Place {
        Place { process, addresses: addresses.to_vec() }
    }

    /// Addresses that nobody listens on.
    fn free(n: usize) -> Vec<String> {
        let listeners: Vec<_> = (0..n).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        listeners.iter().map(|l| l.local_addr().unwrap().to_string()).collect()
    }

    #[test]
    fn processes_find_each_other_and_learn_where_the_first_begins() {
        let addresses = free(3);
        let first = Start { tick: 42, generation: 5, youngest_retired: -1 };
        let found = std::thread::scope(|scope| {
            let start = |process: usize| {
                let place = place(process, &addresses);
                let mine = if process == 0 { first } else { Start::default() };
                scope.spawn(move || connect(&place, 2, mine).unwrap())
            };
            // Whoever comes first waits.
            [2, 1, 0].map(start).map(|thread| thread.join().unwrap())
        });
        for (process, (sockets, start)) in [2, 1, 0].into_iter().zip(&found) {
            assert_eq!(*start, first);
            let there: Vec<bool> = sockets.iter().map(Option::is_some).collect();
            let others: Vec<bool> = (0..3).map(|peer| peer != process).collect();
            assert_eq!(there, others);
        }
        let (mut from, mut to) = (found[1].0[2].as_ref().unwrap(), found[0].0[1].as_ref().unwrap());
        from.write_all(b"x").unwrap();
        to.read_exact(&mut [0]).unwrap();
    }

    #[test]
    fn a_clock_that_is_more_than_a_second_off_is_not_taken() {
        let called = 1_000_000_000;
        let answered = hello(called + 200_000);
        for (theirs, taken) in [
            (called - 1_000_000, true),
            (called - 1_000_001, false),
            (called + 1_200_000, true),
            (called + 1_200_001, false),
        ] {
            assert_eq!(fits(answered, hello(theirs), called).is_ok(), taken, "{theirs}");
        }
    }

    #[test]
    fn a_process_that_counts_others_is_not_taken() {
        let other = Hello { processes: 3, ..hello(0) };
        let error = fits(hello(0), other, 0).unwrap_err().to_string();
        assert_eq!(error, "it has --processes 3 and --workers 1, and we have 2 and 1");
    }

    #[test]
    fn somebody_else_who_calls_does_not_disturb() {
        let addresses = free(2);
        std::thread::scope(|scope| {
            let first = place(0, &addresses);
            let waiting = scope.spawn(move || connect(&first, 1, Start::default()).unwrap());
            let mut stranger = loop {
                if let Ok(stranger) = TcpStream::connect(&addresses[0]) {
                    break stranger;
                }
            };
            stranger.write_all(&[b'x'; HELLO]).unwrap();
            let second = place(1, &addresses);
            connect(&second, 1, Start::default()).unwrap();
            waiting.join().unwrap();
        });
    }

    #[test]
    fn a_hostfile_has_an_address_on_each_line() {
        assert_eq!(addresses("a:1\n\n # no\n b:2 \n"), ["a:1", "b:2"]);
    }

    #[test]
    fn the_place_of_a_process_must_be_among_them() {
        let args = |processes, process| Cluster { processes, process, hostfile: None };
        assert_eq!(args(1, 0).place().unwrap(), None);
        assert!(args(2, 2).place().is_err());
        let place = args(2, 1).place().unwrap().unwrap();
        assert_eq!(place.addresses, ["localhost:2101", "localhost:2102"]);
    }
}
