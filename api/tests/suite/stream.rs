//! The stream of changes over HTTP, under load: whoever reads has all of it, whoever does not is
//! nobody's burden.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::folded::Folded;
use super::suite::Service;

/// How long anything may take on a busy machine; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(90);

/// A client of the stream.
struct Client {
    lines: BufReader<TcpStream>,
    folded: Folded,
    id: String,
}

fn connect(address: &str, last: Option<&str>) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let last = last.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
    let head = format!("GET /api/v1/stream HTTP/1.1\r\nHost: {address}\r\n{last}\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    socket
}

impl Client {
    fn start(address: &str) -> Client {
        Client {
            lines: BufReader::new(connect(address, None)),
            folded: Folded::default(),
            id: String::new(),
        }
    }

    /// The same client, on a connection of its own again.
    fn again(self, address: &str) -> Client {
        Client { lines: BufReader::new(connect(address, Some(&self.id))), ..self }
    }

    /// Folds the next event; its name, or none if the stream has ended.
    fn next(&mut self) -> Option<String> {
        let (mut name, mut id) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // What the transfer encoding puts between is neither of these.
            let Some((field, value)) = line.trim_end().split_once(": ") else { continue };
            match field {
                "event" => name = value.to_owned(),
                "id" => id = value.to_owned(),
                "data" => {
                    let data: Value = value.parse().unwrap();
                    match name.as_str() {
                        "snapshot" => self.folded = Folded::of(&data),
                        "delta" => self.folded.fold(&data),
                        _ => return Some(name),
                    }
                    let (jobs, sum) = self.folded.jobs();
                    assert_eq!(jobs, sum, "at {id}");
                    self.id = id;
                    return Some(name);
                }
                _ => {}
            }
        }
    }

    /// Folds until it has come to `as_of`.
    fn until(&mut self, as_of: &str) {
        while self.folded.as_of() < as_of {
            let name = self.next().expect("the stream goes on");
            assert!(["snapshot", "delta"].contains(&name.as_str()), "{name}");
        }
    }
}

/// Jobs that come and go in a service.
fn load(service: &Service, round: u64) {
    let event = |n: u64| {
        let id = format!("0193d5a9-{round:04}-7000-8000-{:012}", n / 2);
        let kind = ["job.created", "job.completed"][n as usize % 2];
        let now = now();
        json!({
            "contractVersion": "1.1.0", "eventType": kind, "occurredAt": now,
            "eventId": format!("0193d5aa-{round:04}-7000-8000-{n:012}"),
            "producer": { "service": "suite", "instanceId": "i", "version": "1" },
            "correlationId": id, "idempotencyKey": "k",
            "payload": {
                "id": id, "type": format!("type-{}", n % 7), "status": "?", "createdAt": now,
                "queue": format!("queue-{}", round % 5),
            },
        })
    };
    service.send(&(0..200).map(event).collect::<Vec<_>>());
}

fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    contracts::Micros(i64::try_from(since.as_micros()).unwrap()).to_string()
}

/// What does not move when nothing happens.
const RESTING: [&str; 2] = ["counts", "totals"];

/// `n` clients read while events come, `stalled` more do not; one comes and goes.
pub(crate) fn clients_that_read_have_all_of_it_whatever_the_others_do(
    service: &Service,
    address: &str,
    n: usize,
    stalled: usize,
) {
    load(service, 0);
    let idle: Vec<TcpStream> = (0..stalled).map(|_| connect(address, None)).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading: Vec<_> = (0..n)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::start(address);
                    while !done.load(Ordering::Acquire) {
                        let name = client.next().expect("the stream goes on");
                        assert_ne!(name, "reset");
                    }
                    client
                })
            })
            .collect();
        let restless = scope.spawn(|| {
            let mut client = Client::start(address);
            while !done.load(Ordering::Acquire) {
                for _ in 0..5 {
                    assert_ne!(client.next().expect("the stream goes on"), "reset");
                }
                client = client.again(address);
            }
            client
        });
        let began = Instant::now();
        let mut round = 1;
        while began.elapsed() < Duration::from_secs(5) {
            load(service, round);
            round += 1;
        }
        done.store(true, Ordering::Release);
        let clients = reading.into_iter().chain([restless]);
        let mut clients: Vec<_> = clients.map(|client| client.join().unwrap()).collect();
        // Everything that was sent is shown, at the latest, in what is asked for now.
        let wanted = loop {
            let snapshot = service.get("/api/v1/snapshot");
            if snapshot["jobs"] == 100 * round {
                break snapshot;
            }
            assert!(began.elapsed() < PATIENCE, "{} of {}", snapshot["jobs"], 100 * round);
        };
        let as_of = wanted["asOf"].as_str().unwrap();
        let wanted = Folded::of(&wanted).only(&RESTING);
        for client in &mut clients {
            client.until(as_of);
            assert!(client.folded.clone().only(&RESTING) == wanted, "at {}", client.id);
        }
        the_whole_view_is_that_of_its_moment(service, clients.pop().unwrap());
    });
    those_that_stalled_are_cut(service, idle);
}

/// A folded copy and a snapshot of one moment are the same, windows and latencies included.
fn the_whole_view_is_that_of_its_moment(service: &Service, mut client: Client) {
    let began = Instant::now();
    loop {
        let snapshot = service.get("/api/v1/snapshot");
        let as_of = snapshot["asOf"].as_str().unwrap();
        client.until(as_of);
        // The copy may have gone past it; then the next one.
        let wanted = Folded::of(&snapshot).without_time();
        if client.folded.clone().without_time() == wanted {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "the copy is never what is shown");
    }
}

/// Who does not read is not kept for ever.
fn those_that_stalled_are_cut(service: &Service, idle: Vec<TcpStream>) {
    let began = Instant::now();
    let mut round = 1_000;
    let clients = || {
        let Value::String(metrics) = service.get("/metrics") else { panic!("text") };
        let lines = metrics.lines();
        let line = lines.filter_map(|line| line.strip_prefix("observatory_sse_clients ")).next();
        line.unwrap().parse::<usize>().unwrap()
    };
    // What is sent to them has to fill what the kernel keeps before it can be seen.
    while clients() > 0 {
        assert!(began.elapsed() < PATIENCE, "{} are there still", clients());
        load(service, round);
        round += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
    for mut socket in idle {
        // What was on its way comes, and then the end; it may come as a reset.
        drop(socket.read_to_end(&mut Vec::new()));
    }
}
