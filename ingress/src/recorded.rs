//! Recorded streams: JSON lines, plain or gzipped, from a file or standard input.
//!
//! ```text
//!   file ──(gunzip)──▶ blocks of whole lines ──decode──▶ Batch { facts, rejected } ──▶ replay
//! ```
//!
//! A line is one event; of Celery it may be a delivery or a list, of CloudEvents a list, and the whole
//! stream one list.
//!
//! Reading and decoding run on a thread of their own, a few batches ahead of who takes them.
//!
//! # Invariants
//!
//! 1. Batches hold the lines in their order; blank lines are skipped, every other is a fact or a
//!    rejection with its line number.
//! 2. Memory is bounded: a line longer than an event may be is rejected without being kept. A stream
//!    that begins as a list is in memory as a whole.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use contracts::{Event, Reason, Rejection};
use flate2::read::MultiGzDecoder;
use serde_json::value::RawValue;

use crate::celery;
use crate::vocabulary::{Entry, Vocabulary};

/// Bytes read at a time: some hundred events, so that a batch is neither a cost nor a wait.
const BLOCK_BYTES: usize = 256 * 1024;

/// Batches decoded ahead. It bounds memory to a few megabytes.
const AHEAD: usize = 4;

/// Why a stream could not be opened or read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot open {}: {source}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("{} is a directory; name a file of JSON lines", .0.display())]
    Directory(PathBuf),
    #[error("standard input is a terminal; name a file, or pipe a stream of JSON lines in")]
    Terminal,
    #[error("{name} ends in the middle of its gzip stream, after {lines} lines; copy it again")]
    Truncated { name: String, lines: u64 },
    #[error("cannot read {name} after {lines} lines: {source}")]
    Read { name: String, lines: u64, source: io::Error },
    #[error("the thread that decodes could not be started: {0}")]
    Thread(io::Error),
}

/// Some lines of a stream, decoded.
#[derive(Debug)]
pub struct Batch<T> {
    pub items: Vec<T>,
    pub rejected: Vec<Rejected>,
}

/// A line that is not an event.
#[derive(Debug)]
pub struct Rejected {
    /// From 1.
    pub line: u64,
    pub rejection: Rejection,
}

/// A recorded stream being decoded.
pub struct Recorded<T> {
    batches: Receiver<Result<Batch<T>, Error>>,
    position: Arc<AtomicU64>,
    length: Option<u64>,
}

impl<T> Recorded<T> {
    /// Bytes of the file read so far, as it lies on the disk.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Bytes of the file; unknown for a pipe.
    pub fn length(&self) -> Option<u64> {
        self.length
    }
}

impl<T> Iterator for Recorded<T> {
    type Item = Result<Batch<T>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batches.recv().ok()
    }
}

/// Opens a recorded stream of events of our own contract, as [`open_as`] does.
pub fn open<T: Send + 'static>(
    path: &Path,
    mut item: impl FnMut(&Event<'_>) -> T + Send + 'static,
) -> Result<Recorded<T>, Error> {
    open_as(path, Vocabulary::default(), move |read| match read {
        Entry::Event(event) => Some(item(event)),
        Entry::Note(_) | Entry::Pulse { .. } => None,
    })
}

/// Opens a recorded stream, `-` for standard input, and begins to decode it.
///
/// `item` is called for each event in order, on the decoding thread. Gzip is recognised by its
/// first bytes, whatever the name.
pub fn open_as<T: Send + 'static>(
    path: &Path,
    format: Vocabulary,
    item: impl FnMut(Entry<'_>) -> Option<T> + Send + 'static,
) -> Result<Recorded<T>, Error> {
    let position = Arc::new(AtomicU64::new(0));
    let (source, name, length): (Box<dyn Read + Send>, _, _) = if path == Path::new("-") {
        if io::stdin().is_terminal() {
            return Err(Error::Terminal);
        }
        (Box::new(io::stdin()), "standard input".to_owned(), None)
    } else {
        let failed = |source| Error::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(Error::Directory(path.to_owned()));
        }
        // A named pipe has no length.
        let length = metadata.is_file().then_some(metadata.len());
        (Box::new(file), path.display().to_string(), length)
    };
    let source = Counted { source, position: Arc::clone(&position) };
    let (sender, batches) = sync_channel(AHEAD);
    std::thread::Builder::new()
        .name("decode".to_owned())
        .spawn(move || decode(source, name, &format, item, &sender))
        .map_err(Error::Thread)?;
    Ok(Recorded { batches, position, length })
}

struct Counted {
    source: Box<dyn Read + Send>,
    position: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.position.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

fn decode<T>(
    source: Counted,
    name: String,
    format: &Vocabulary,
    mut item: impl FnMut(Entry<'_>) -> Option<T>,
    batches: &SyncSender<Result<Batch<T>, Error>>,
) {
    let mut lines = Lines { buffer: Vec::new(), scanned: 0, line: 0, oversized: false };
    let result = gunzip(source).and_then(|mut source| {
        if !matches!(format, Vocabulary::Native(_)) {
            lines.fill(&mut source)?;
            let first = lines.buffer.iter().find(|byte| !byte.is_ascii_whitespace());
            if first == Some(&b'[') {
                source.read_to_end(&mut lines.buffer)?;
                if let Some(text) = one_per_line(&lines.buffer) {
                    lines.buffer = text;
                }
            }
        }
        loop {
            let filled = lines.fill(&mut source)?;
            let batch = lines.decode(filled == 0, format, &mut item);
            let empty = batch.items.is_empty() && batch.rejected.is_empty();
            // Who replays has given up, and says why itself.
            if !empty && batches.send(Ok(batch)).is_err() || filled == 0 {
                return Ok(());
            }
        }
    });
    if let Err(source) = result {
        let lines = lines.line;
        let error = match source.kind() {
            io::ErrorKind::UnexpectedEof => Error::Truncated { name, lines },
            _ => Error::Read { name, lines, source },
        };
        // As above.
        drop(batches.send(Err(error)));
    }
}

/// The elements of a list, a line each; none if it is not one list, but perhaps lines of lists.
fn one_per_line(text: &[u8]) -> Option<Vec<u8>> {
    let elements = serde_json::from_slice::<Vec<&RawValue>>(text).ok()?;
    let mut lines = Vec::with_capacity(text.len());
    for element in elements {
        // Line feeds are between the values of JSON, never in them.
        lines.extend(element.get().bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
        lines.push(b'\n');
    }
    Some(lines)
}

/// Looks at the first two bytes, and unpacks what begins like gzip (RFC 1952).
fn gunzip(source: Counted) -> io::Result<Box<dyn Read>> {
    let mut source = BufReader::with_capacity(BLOCK_BYTES, source);
    let mut magic = Vec::with_capacity(2);
    (&mut source).take(2).read_to_end(&mut magic)?;
    let gzipped = magic == [0x1f, 0x8b];
    let source = io::Cursor::new(magic).chain(source);
    Ok(if gzipped { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) })
}

/// Cuts a stream into lines.
struct Lines {
    /// Whole lines, and the beginning of the next.
    buffer: Vec<u8>,
    /// Bytes of the beginning that hold no line feed.
    scanned: usize,
    /// Lines seen so far.
    line: u64,
    /// The line at hand is longer than an event may be, and its beginning has been dropped.
    oversized: bool,
}

impl Lines {
    /// Reads a block; 0 at the end.
    fn fill(&mut self, source: &mut impl Read) -> io::Result<usize> {
        let old = self.buffer.len();
        self.buffer.resize(old + BLOCK_BYTES, 0);
        let read = loop {
            match source.read(&mut self.buffer[old..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.buffer.truncate(old + *read.as_ref().unwrap_or(&0));
        read
    }

    fn decode<T>(
        &mut self,
        at_end: bool,
        format: &Vocabulary,
        item: &mut impl FnMut(Entry<'_>) -> Option<T>,
    ) -> Batch<T> {
        let mut batch = Batch { items: Vec::with_capacity(512), rejected: Vec::new() };
        let mut start = 0;
        let mut search = self.scanned;
        while let Some(found) = memchr::memchr(b'\n', &self.buffer[search..]) {
            let end = search + found;
            self.line += 1;
            if std::mem::take(&mut self.oversized) {
                batch.rejected.push(Rejected { line: self.line, rejection: oversized(format) });
            } else {
                decode_line(&self.buffer[start..end], self.line, format, item, &mut batch);
            }
            start = end + 1;
            search = start;
        }
        self.buffer.drain(..start);
        if self.buffer.len() > format.longest_line() + 1 {
            self.oversized = true;
            self.buffer.clear();
        }
        self.scanned = self.buffer.len();
        if at_end && (self.oversized || !self.buffer.is_empty()) {
            self.line += 1;
            if self.oversized {
                batch.rejected.push(Rejected { line: self.line, rejection: oversized(format) });
            } else {
                decode_line(&self.buffer, self.line, format, item, &mut batch);
            }
        }
        batch
    }
}

fn decode_line<T>(
    line: &[u8],
    number: u64,
    format: &Vocabulary,
    item: &mut impl FnMut(Entry<'_>) -> Option<T>,
    batch: &mut Batch<T>,
) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.trim_ascii().is_empty() {
        return;
    }
    let rejected = &mut batch.rejected;
    let mut reject = |rejection| rejected.push(Rejected { line: number, rejection });
    let mut take = |element: Result<&[u8], Rejection>| match element
        .and_then(|element| format.read(element, &mut *item))
    {
        Ok(read) => batch.items.extend(read),
        Err(rejection) => reject(rejection),
    };
    match format {
        Vocabulary::Native(_) => take(Ok(line)),
        Vocabulary::Celery(_) => celery::recorded(line, take),
        Vocabulary::CloudEvents(_) => match contracts::elements(line) {
            Ok(batch) => batch.elements().iter().for_each(|element| take(Ok(element))),
            Err(rejection) => take(Err(rejection)),
        },
    }
}

fn oversized(format: &Vocabulary) -> Rejection {
    Rejection {
        reason: Reason::TooLarge,
        pointer: String::new(),
        detail: format!("a line is at most {} bytes", format.longest_line()),
    }
}
