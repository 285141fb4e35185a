//! `replay --jobs`: every job of a stream as a line, in the shape of the API, sorted by id.
//!
//! What a job's events said in full is not in the dataflow, so their bodies wait in a temporary
//! file, sixteen bytes of memory for each, until the stream has ended.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use contracts::event::ErrorInfo;
use contracts::view::JobView;
use contracts::{Event, JobId, Micros};
use pipeline::Tick;
use pipeline::fact::Fact;
use pipeline::lives::{Fate, Lives};
use pipeline::row::Row;
use pipeline::summary::{Standing, Summary, UNKNOWN};
use sinks::changes::inferred_error;
use tempfile::NamedTempFile;

/// The bodies of a stream, by job.
pub(crate) struct JobLines {
    out: Out,
    bodies: BufWriter<File>,
    /// Bytes written.
    length: u64,
    by_job: BTreeMap<JobId, Vec<Place>>,
    /// The first failure to write a body.
    failed: Option<io::Error>,
}

/// Where the lines go: a file takes its name when it is whole, so that a replay that fails leaves
/// what was there, and one may write over its own input.
enum Out {
    File {
        beside: NamedTempFile,
        path: PathBuf,
    },
    /// A pipe or a device, which has no earlier content to keep.
    Stream {
        stream: File,
        path: PathBuf,
    },
}

impl Out {
    fn create(path: &Path) -> io::Result<Out> {
        let path = path.to_owned();
        if std::fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Ok(Out::Stream { stream: File::options().write(true).open(&path)?, path });
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let beside = tempfile::Builder::new()
            // As the umask has it, like any file.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder.unwrap_or(Path::new(".")))?;
        Ok(Out::File { beside, path })
    }
}

/// What something is concluded from that nobody tells.
struct Silence {
    /// When the stream ends.
    now: Tick,
    lives: Lives,
}

/// Where a body lies.
#[derive(Clone, Copy)]
struct Place {
    start: u64,
    length: u32,
}

impl JobLines {
    /// Collects for the file `out`, which is created now, so that a bad path is told early.
    pub(crate) fn create(out: &Path) -> anyhow::Result<JobLines> {
        let failed = || format!("cannot write to {}", out.display());
        let bodies = tempfile::tempfile().context("cannot create a temporary file")?;
        Ok(JobLines {
            out: Out::create(out).with_context(failed)?,
            bodies: BufWriter::new(bodies),
            length: 0,
            by_job: BTreeMap::new(),
            failed: None,
        })
    }

    /// Takes an event in.
    pub(crate) fn take(&mut self, event: &Event<'_>) {
        if self.failed.is_some() {
            return;
        }
        // The contract bounds a body at 256 KiB.
        let place = Place { start: self.length, length: event.body.len() as u32 };
        self.by_job.entry(event.job.id).or_default().push(place);
        self.length += event.body.len() as u64;
        self.failed = self.bodies.write_all(event.body).err();
    }

    /// Writes the lines.
    ///
    /// `now` is the time at which the stream ends, and `lives` those of its workers, for what is
    /// concluded from silence.
    pub(crate) fn finish(self, now: Tick, lives: Lives) -> anyhow::Result<()> {
        let JobLines { out, bodies, by_job, failed, .. } = self;
        let silence = Silence { now, lives };
        failed.map_or(Ok(()), Err).context("cannot write to a temporary file")?;
        let bodies = bodies.into_inner().map_err(io::IntoInnerError::into_error);
        let mut bodies = bodies.context("cannot write to a temporary file")?;
        match out {
            Out::Stream { stream, path } => write(by_job, &silence, &mut bodies, stream)
                .with_context(|| format!("cannot write to {}", path.display())),
            Out::File { beside, path } => write(by_job, &silence, &mut bodies, beside.as_file())
                .and_then(|()| Ok(beside.persist(&path).map(drop)?))
                .with_context(|| format!("cannot write to {}", path.display())),
        }
    }
}

fn write(
    by_job: BTreeMap<JobId, Vec<Place>>,
    silence: &Silence,
    bodies: &mut File,
    lines: impl Write,
) -> anyhow::Result<()> {
    let mut lines = BufWriter::new(lines);
    for (job, places) in by_job {
        let found = places.into_iter().map(|place| read(bodies, place));
        if let Some(view) = view(job, silence, &found.collect::<Result<Vec<_>, _>>()?) {
            serde_json::to_writer(&mut lines, &view)?;
            lines.write_all(b"\n")?;
        }
    }
    Ok(lines.flush()?)
}

fn read(file: &mut File, place: Place) -> io::Result<Vec<u8>> {
    let mut body = vec![0; place.length as usize];
    file.seek(SeekFrom::Start(place.start))?;
    file.read_exact(&mut body)?;
    Ok(body)
}

/// The job that these events, all about it, come to.
fn view(job: JobId, silence: &Silence, bodies: &[Vec<u8>]) -> Option<JobView> {
    let events: Vec<Event<'_>> =
        bodies.iter().filter_map(|body| contracts::decode(body).ok()).collect();
    let facts: Vec<Fact> = events.iter().map(|event| Fact::of(event, 0)).collect();
    let mut summary = Summary::of(facts.first()?);
    for fact in &facts {
        summary.join(&Summary::of(fact));
    }
    let Silence { now, lives } = silence;
    let fate = summary.begun().and_then(|(worker, at)| lives.fate(worker, at));
    let lost = match fate {
        Some(Fate::Lost(at)) => summary.lost(job, at),
        Some(Fate::Unseen) | None => None,
    };
    for concluded in summary.expired(job, *now).into_iter().chain(lost) {
        summary.join(&Summary::of(&concluded));
    }
    // The greater body breaks a tie between contents of one event id.
    let deciding = events.iter().zip(&facts).filter(|(_, fact)| summary.decided_by(fact));
    let deciding = deciding.max_by_key(|(event, _)| event.body).map(|(event, _)| event);
    let greatest = |wanted: &dyn Fn(&Event<'_>) -> bool| {
        let both = events.iter().zip(&facts).filter(|(event, _)| wanted(event));
        both.max_by_key(|(event, fact)| (Standing::of(fact), event.body)).map(|(event, _)| event)
    };
    let unseen = fate == Some(Fate::Unseen) && !summary.state().terminal();
    let row = Row::of(job, &summary, unseen);
    let known = |time: i64| (time != UNKNOWN).then_some(Micros(time));
    let text = |name: pipeline::name::Name| name.some().map(|text| text.to_string());
    let mut view = JobView {
        id: job,
        job_type: row.job_type.to_string(),
        status: row.state,
        state: row.state,
        inferred: row.inferred,
        created_at: Micros(row.created),
        validated_at: known(summary.validated),
        started_at: known(row.started),
        finished_at: known(row.finished),
        queue: text(row.queue),
        worker: text(row.worker),
        attempt: summary.top.attempt,
        runtime: None,
        error: match row.inferred && summary.is_untold() {
            true => {
                inferred_error(summary.top.kind).and_then(|error| serde_json::from_str(error).ok())
            }
            false => deciding.and_then(|event| event.job.error.as_ref().map(ErrorInfo::from)),
        },
        payload: None,
        metadata: greatest(&|event| event.job.metadata.is_some())
            .and_then(|event| serde_json::from_str(event.job.metadata?).ok()),
        retired: false,
        attempts: Vec::new(),
        timeline: Vec::new(),
        why: None,
        incomplete: false,
    };
    api::tell(&mut view, bodies);
    Some(view)
}
