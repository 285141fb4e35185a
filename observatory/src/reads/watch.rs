//! Following what changes: the stream of the API says when to read again.
//!
//! ```text
//!   thread: /api/v1/stream ──snapshot, delta──▶ channel ──all that waits, at once──▶ read, print
//!              └── ends: again, later each time
//! ```
//!
//! What is printed is an answer of the API as any other, so a filter means here what it means there.
//!
//! # Cost
//!
//! One read for all that happened since the last one began, five a second at most.

use std::collections::HashSet;
use std::io::{BufRead, IsTerminal, Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};

use super::print::{json_line, said};
use super::{Answer, Format};
use crate::client::{self, Client};
use crate::exit;

/// After the first attempt in vain, and the most.
const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(5);

/// Between two reads: faster than anybody reads.
const PAUSE: Duration = Duration::from_millis(200);

/// Bytes of an event: a snapshot of a hundred thousand rows has some 20 MB.
const MAX_EVENT: u64 = 100 << 20;

/// The stream of a server, for as long as somebody listens.
pub(crate) struct Changes {
    news: Receiver<Result<(), client::Error>>,
    client: Client,
    heard: bool,
    lost: bool,
}

impl Changes {
    pub(crate) fn follow(client: &Client) -> anyhow::Result<Changes> {
        let (told, news) = channel();
        let of = client.clone();
        let follow = move || {
            let mut pause = SHORTEST;
            loop {
                let ended = match of.stream("/api/v1/stream") {
                    Ok(lines) => match read(lines, &mut || told.send(Ok(())).is_ok()) {
                        Heard::Nobody => return,
                        Heard::Something => {
                            pause = SHORTEST;
                            continue;
                        }
                        Heard::Nothing => Ok(()),
                    },
                    Err(error) => told.send(Err(error)),
                };
                if ended.is_err() {
                    return;
                }
                thread::sleep(pause);
                pause = (pause * 2).min(LONGEST);
            }
        };
        thread::Builder::new().name("stream".to_owned()).spawn(follow).context("no threads")?;
        Ok(Changes { news, client: client.clone(), heard: false, lost: false })
    }

    /// Waits until something may have changed, and gives what `read` finds then.
    ///
    /// A server that has answered once may go and come back. One that never did is not waited for.
    pub(crate) fn next<T>(
        &mut self,
        read: impl Fn(&Client) -> Result<T, client::Error>,
    ) -> anyhow::Result<T> {
        loop {
            let Ok(mut told) = self.news.recv() else { bail!("the stream is not read any more") };
            // Whatever happened meanwhile is in what is read now.
            while told.is_ok()
                && let Ok(more) = self.news.try_recv()
            {
                told = more;
            }
            match told.and_then(|()| read(&self.client)) {
                Ok(found) => {
                    (self.heard, self.lost) = (true, false);
                    return Ok(found);
                }
                Err(error) if !self.heard || !exit::passes(&error) => return Err(error.into()),
                Err(error) => self.say_lost(&error),
            }
        }
    }

    /// Waits no longer than this; none if nothing has changed by then.
    pub(crate) fn next_within<T>(
        &mut self,
        limit: Duration,
        read: impl Fn(&Client) -> Result<T, client::Error>,
    ) -> anyhow::Result<Option<T>> {
        match self.news.recv_timeout(limit) {
            Ok(Err(error)) if !self.heard || !exit::passes(&error) => Err(error.into()),
            Ok(Err(_)) | Err(_) => Ok(None),
            Ok(Ok(())) => {
                while self.news.try_recv().is_ok() {}
                self.heard = true;
                match read(&self.client) {
                    Err(error) if !exit::passes(&error) => Err(error.into()),
                    found => Ok(found.ok()),
                }
            }
        }
    }

    /// Says once that there is nothing to be heard.
    fn say_lost(&mut self, error: &client::Error) {
        if !std::mem::replace(&mut self.lost, true) {
            tracing::warn!("{}; trying again", tui::printable(&error.to_string(), false));
        }
    }
}

const NO_CSV: &str = "--watch prints a table, or lines of JSON: take --output jsonl";

/// Prints what `read` gives, and again whenever it changes.
pub(super) fn show<A: Answer>(
    client: &Client,
    output: Option<Format>,
    read: impl Fn(&Client) -> Result<A, client::Error>,
) -> anyhow::Result<A> {
    let mut stdout = std::io::stdout().lock();
    let terminal = stdout.is_terminal();
    let table = match output {
        None => terminal,
        Some(Format::Table) => true,
        Some(Format::Json | Format::Jsonl) => false,
        Some(Format::Csv) => return Err(exit::Usage::new(NO_CSV).into()),
    };
    let mut changes = Changes::follow(client)?;
    let mut before = Vec::new();
    let mut first = true;
    loop {
        let answer = changes.next(&read)?;
        let rows = answer.rows().iter().map(json_line).collect::<Result<Vec<_>, _>>()?;
        let changed = first || rows != before;
        match table {
            true if terminal => redraw(&mut stdout, &answer.table(), first)?,
            true if changed => said(writeln!(stdout, "{}\n", answer.table()))?,
            false if changed && A::EACH => {
                let known: HashSet<&String> = before.iter().collect();
                let mut news = rows.iter().filter(|row| !known.contains(row));
                news.try_for_each(|row| said(writeln!(stdout, "{row}")))?;
            }
            false if changed => said(writeln!(stdout, "{}", json_line(&answer)?))?,
            _ => {}
        }
        said(stdout.flush())?;
        (before, first) = (rows, false);
        thread::sleep(PAUSE);
    }
}

/// Draws over what was drawn before, as far as the screen goes.
fn redraw(out: &mut impl Write, text: &str, first: bool) -> anyhow::Result<()> {
    let (_, height) = crossterm::terminal::size().unwrap_or((80, 24));
    // A line that is too long is cut by the terminal: wrapped, it would take the place of another.
    let mut screen =
        String::from(if first { "\u{1b}[?7l\u{1b}[2J\u{1b}[H" } else { "\u{1b}[?7l\u{1b}[H" });
    let lines: Vec<_> = text.lines().take(usize::from(height).saturating_sub(1)).collect();
    // Each line ends what was longer before.
    screen.push_str(&lines.join("\u{1b}[K\r\n"));
    screen.push_str("\u{1b}[K\r\n\u{1b}[J\u{1b}[?7h");
    said(out.write_all(screen.as_bytes()))
}

/// What came of a stream that has ended.
enum Heard {
    Nothing,
    Something,
    /// Who was told has gone.
    Nobody,
}

/// Reads a stream to its end.
fn read(mut lines: impl BufRead, tell: &mut dyn FnMut() -> bool) -> Heard {
    let (mut event, mut heard) = (tui::Event::default(), Heard::Nothing);
    loop {
        let mut line = Vec::new();
        let n = lines.by_ref().take(MAX_EVENT).read_until(b'\n', &mut line);
        if !n.is_ok_and(|n| n > 0) {
            return heard;
        }
        let Some(whole) = event.take(&String::from_utf8_lossy(&line)) else { continue };
        if !matches!(whole.name.as_str(), "snapshot" | "delta") {
            continue;
        }
        heard = Heard::Something;
        if !tell() {
            return Heard::Nobody;
        }
    }
}
