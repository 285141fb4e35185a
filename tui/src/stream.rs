//! The stream of the API: a thread that reads it, and opens it again when it ends.
//!
//! ```text
//!   GET /api/v1/session ──clock──▶ GET /api/v1/stream ──snapshot, delta, reset──▶ News
//!        ▲                               │ ends
//!        └── waits, longer each time ◀───┴── `?after=` the last id, at once
//! ```
//!
//! # Invariants
//!
//! 1. A delta is handed on only after what it builds on; what came before a `reset` is no base.
//! 2. While nobody answers, the time between two attempts doubles, up to [`LONGEST`].

use std::io::BufRead;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::{Duration, SystemTime};

use contracts::{Delta, Snapshot};

use crate::http::{Address, Client, Server, Trouble, parse};
use crate::msg::Msg;

/// After the first attempt in vain, and the most.
const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(5);

/// Bytes of an event: a snapshot of a hundred thousand rows has some 20 MB.
const MAX_EVENT: u64 = 100 << 20;

/// What is heard.
#[derive(Debug)]
pub(crate) enum News {
    /// What the server's clock is behind ours, in µs.
    Clock(i64),
    Snapshot(Box<Snapshot>),
    Delta(Box<Delta>),
    /// There is no connection; the next attempt comes after this time.
    Lost {
        trouble: Trouble,
        again: Duration,
    },
}

/// Begins to read. Whatever comes through `wake` has it try again at once.
pub(crate) fn start(server: Server, news: Sender<Msg>, wake: Receiver<()>) {
    let name = thread::Builder::new().name("stream".to_owned());
    // Without threads there is nothing to be done; the screen then says that it is not connected.
    drop(name.spawn(move || follow(&server, &news, &wake)));
}

fn follow(server: &Server, news: &Sender<Msg>, wake: &Receiver<()>) {
    let (mut pause, mut last) = (SHORTEST, None::<(Address, String)>);
    // The screen is gone with the receiver.
    loop {
        let address = server.address();
        // An id is good for the server that it came from.
        last = last.filter(|(of, _)| *of == address);
        let mut id = last.take().map(|(_, id)| id);
        let heard = read(server, news, &mut id);
        let (heard, trouble) = match heard {
            Ok(heard) => (heard, Trouble::new("the connection has ended")),
            Err(trouble) => (false, trouble),
        };
        last = id.map(|id| (address, id));
        if heard {
            pause = SHORTEST;
            continue;
        }
        if news.send(Msg::News(News::Lost { trouble, again: pause })).is_err() {
            return;
        }
        match wake.recv_timeout(pause) {
            Ok(()) => {
                // Once is enough, however often it was said.
                while wake.try_recv().is_ok() {}
                pause = SHORTEST;
            }
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => pause = (pause * 2).min(LONGEST),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Reads until the stream ends; whether anything was heard.
fn read(server: &Server, news: &Sender<Msg>, id: &mut Option<String>) -> Result<bool, Trouble> {
    let client = Client::new(server.clone());
    let answer = client.get("/api/v1/session")?;
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    if let Some(date) = answer.date.as_deref().and_then(http_date) {
        let skew = i64::try_from(now.as_micros()).unwrap_or(i64::MAX).saturating_sub(date);
        drop(news.send(Msg::News(News::Clock(skew))));
    }
    let path = match id {
        Some(id) => format!("/api/v1/stream?after={id}"),
        None => "/api/v1/stream".to_owned(),
    };
    let mut lines = client.stream(&path)?;
    let address = server.address();
    let (mut event, mut heard) = (Event::default(), false);
    loop {
        let mut line = Vec::new();
        let n = std::io::Read::take(&mut lines, MAX_EVENT).read_until(b'\n', &mut line);
        // However it ended: what is not whole is not taken.
        if !n.is_ok_and(|n| n > 0) || !line.ends_with(b"\n") {
            return Ok(heard);
        }
        let Some(whole) = event.take(&String::from_utf8_lossy(&line)) else { continue };
        // Somebody went to another server meanwhile.
        if server.address() != address {
            *id = None;
            return Ok(true);
        }
        let told = match whole.name.as_str() {
            "snapshot" => News::Snapshot(Box::new(parse(&whole.data)?)),
            "delta" => News::Delta(Box::new(parse(&whole.data)?)),
            "reset" => {
                *id = None;
                continue;
            }
            // We were too slow; from the last id on there may still be a way.
            "lagged" => return Ok(heard),
            _ => continue,
        };
        if !whole.id.is_empty() {
            *id = Some(whole.id);
        }
        heard = true;
        if news.send(Msg::News(told)).is_err() {
            return Ok(false);
        }
    }
}

/// An event of a stream, as its lines come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    pub id: String,
    pub name: String,
    pub data: String,
}

impl Event {
    /// Takes a line; the event, if it ends there.
    pub fn take(&mut self, line: &str) -> Option<Event> {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            let whole = std::mem::take(self);
            return (!whole.data.is_empty()).then_some(whole);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => value.clone_into(&mut self.id),
            "event" => value.clone_into(&mut self.name),
            "data" => self.data.push_str(value),
            // A comment keeps the connection; when to come again we decide.
            _ => {}
        }
        None
    }
}

/// Microseconds since the epoch of a date like `Sat, 21 Nov 2026 10:00:00 GMT`.
fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<_> = text.split_ascii_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = parts[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let at = format!("{year}-{month:02}-{day}T{time}Z");
    contracts::Micros::parse(&at).ok().map(|at| at.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_its_lines_up_to_an_empty_one() {
        let mut event = Event::default();
        let lines = ["retry: 1000", "", ": nothing", "", "id: 1-2", "event: delta", "data: {}", ""];
        let whole: Vec<_> = lines.iter().filter_map(|line| event.take(line)).collect();
        let delta = Event { id: "1-2".into(), name: "delta".into(), data: "{}".into() };
        assert_eq!(whole, [delta]);
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        let at = contracts::Micros::parse("2026-11-21T10:00:00Z").unwrap();
        assert_eq!(http_date("Sat, 21 Nov 2026 10:00:00 GMT"), Some(at.0));
        assert_eq!(http_date("Sat Nov 21 10:00:00 2026"), None);
    }

    /// A server that gives each stream one of these texts, and tells the path that was asked for.
    fn server(streams: Vec<&'static str>) -> (String, Receiver<String>) {
        use std::io::{BufReader, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (told, paths) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let mut streams = streams.into_iter();
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
                let Some(Ok(first)) = lines.next() else { continue };
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                let path = first.split(' ').nth(1).unwrap().to_owned();
                let body = match path.starts_with("/api/v1/stream") {
                    true => {
                        told.send(path).unwrap();
                        let Some(body) = streams.next() else { return };
                        body
                    }
                    false => "{}",
                };
                let head =
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ndate: Sat, 21 Nov 2026 10:00:00 GMT";
                write!(socket, "{head}\r\n\r\n{body}").unwrap();
            }
        });
        (url, paths)
    }

    #[test]
    fn a_stream_that_ends_is_read_on_from_its_last_event_and_a_reset_begins_anew() {
        const FIRST: &str = "id: 1-2\nevent: snapshot\ndata: SNAPSHOT\n\nid: 1-3\nevent: delta\ndata: DELTA\n\nid: 1-4\nevent: delta\ndata: {\"cut";
        let snapshot = serde_json::to_string(&Snapshot::default()).unwrap();
        let delta = serde_json::to_string(&Delta::default()).unwrap();
        let first = FIRST.replace("SNAPSHOT", &snapshot).replace("DELTA", &delta);
        let second =
            format!("event: reset\ndata: {{}}\n\nid: 2-1\nevent: snapshot\ndata: {snapshot}\n\n");
        let (url, paths) = server(vec![first.leak(), second.leak(), "event: lagged\ndata: {}\n\n"]);
        let (news, heard) = std::sync::mpsc::channel();
        let (_wake, woken) = std::sync::mpsc::channel();
        start(Server::new(url, None), news, woken);

        let told = |msg| match msg {
            Msg::News(News::Clock(_)) => None,
            Msg::News(News::Snapshot(_)) => Some("snapshot".to_owned()),
            Msg::News(News::Delta(_)) => Some("delta".to_owned()),
            Msg::News(News::Lost { trouble, .. }) => Some(trouble.detail),
            _ => None,
        };
        let news: Vec<_> = heard.iter().filter_map(told).take(4).collect();
        assert_eq!(news, ["snapshot", "delta", "snapshot", "the connection has ended"]);
        let asked: Vec<_> = paths.iter().take(3).collect();
        let path = "/api/v1/stream";
        assert_eq!(
            asked,
            [path.to_owned(), format!("{path}?after=1-3"), format!("{path}?after=2-1")]
        );
    }
}
