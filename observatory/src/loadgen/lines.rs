//! The files that loadgen leaves: an event a line.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::parcel::Parcel;

/// Where events are written down, each if it is wanted.
pub(super) struct Journals {
    confirmed: Option<Lines>,
    attempted: Option<Lines>,
}

impl Journals {
    pub(super) fn create(
        confirmed: Option<&Path>,
        attempted: Option<&Path>,
    ) -> anyhow::Result<Journals> {
        Ok(Journals {
            confirmed: confirmed.map(Lines::create).transpose()?,
            attempted: attempted.map(Lines::create).transpose()?,
        })
    }

    /// Writes down what is about to be published; it is in the file when this returns.
    pub(super) fn attempt(&mut self, parcels: &[Parcel]) -> anyhow::Result<()> {
        let Some(lines) = &mut self.attempted else { return Ok(()) };
        parcels.iter().try_for_each(|parcel| lines.write(parcel))?;
        lines.flush()
    }

    /// Writes down what was confirmed; [`Journals::flush`] puts it into the file.
    pub(super) fn confirm(&mut self, parcel: &Parcel) -> anyhow::Result<()> {
        self.confirmed.as_mut().map_or(Ok(()), |lines| lines.write(parcel))
    }

    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        self.confirmed.as_mut().map_or(Ok(()), Lines::flush)
    }
}

/// A file of lines.
struct Lines {
    out: BufWriter<File>,
    path: PathBuf,
}

impl Lines {
    fn create(path: &Path) -> anyhow::Result<Lines> {
        let file =
            File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Lines { out: BufWriter::new(file), path: path.to_owned() })
    }

    fn write(&mut self, parcel: &Parcel) -> anyhow::Result<()> {
        // A line goes out in one piece: a buffer that is full is written before it.
        let written = parcel.events().try_for_each(|event| {
            let line = [event, b"\n"].concat();
            self.out.write_all(&line)
        });
        self.told(written)
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let flushed = self.out.flush();
        self.told(flushed)
    }

    fn told(&self, done: io::Result<()>) -> anyhow::Result<()> {
        done.with_context(|| format!("cannot write to {}", self.path.display()))
    }
}
