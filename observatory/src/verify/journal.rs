//! What a producer wrote down, against what is in the archive.
//!
//! ```text
//!   in the journal:  confirmed ──┬── archived              good
//!                                └── not archived          lost
//!   attempted only:  ────────────┬── archived              recovered: the confirm was lost
//!                                └── not archived          allowed
//!   neither:         ──────────────── archived             unexpected
//! ```
//!
//! # Cost
//!
//! 24 bytes for each line.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, bail};
use contracts::EventId;
use sinks::store::ArchivedEvent;

use super::check::Check;

/// What is known of an event that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Published {
    content: u64,
    confirmed: bool,
    archived: bool,
}

pub(super) struct Journal {
    events: HashMap<EventId, Published>,
    /// What is not in the journal was never published.
    complete: bool,
    altered: Check,
    unexpected: Check,
}

impl Journal {
    /// Reads the events that were confirmed, and those that were attempted, if they are known.
    pub(super) fn read(confirmed: &Path, attempted: Option<&Path>) -> anyhow::Result<Journal> {
        let mut journal = Journal {
            events: HashMap::new(),
            complete: attempted.is_some(),
            altered: Check::new("journal: archived as published"),
            unexpected: Check::new("journal: nothing archived that was never published"),
        };
        if let Some(attempted) = attempted {
            journal.read_file(attempted, false)?;
        }
        journal.read_file(confirmed, true)?;
        Ok(journal)
    }

    fn read_file(&mut self, path: &Path, confirmed: bool) -> anyhow::Result<()> {
        let reading = || format!("cannot read {}", path.display());
        let mut lines = BufReader::new(File::open(path).with_context(reading)?);
        let mut line = Vec::new();
        for number in 1u64.. {
            line.clear();
            lines.read_until(b'\n', &mut line).with_context(reading)?;
            // A line that was not finished is of an event that nobody was told of.
            let Some(event) = line.strip_suffix(b"\n") else { break };
            let read = contracts::decode(event);
            let Ok(read) = read else {
                bail!("line {number} of {} is no event: name what loadgen wrote", path.display())
            };
            let content = content(event);
            let published = Published { content, confirmed: false, archived: false };
            self.events.entry(read.event_id).or_insert(published).confirmed |= confirmed;
        }
        Ok(())
    }

    /// Takes an archived event in.
    pub(super) fn take(&mut self, archived: &ArchivedEvent) {
        let id = archived.key.split(':').next().and_then(|id| EventId::try_parse(id).ok());
        self.unexpected.compared(u64::from(self.complete));
        let Some(published) = id.and_then(|id| self.events.get_mut(&id)) else {
            if self.complete {
                let never = "never published".to_owned();
                let found = "archived".to_owned();
                self.unexpected.difference(|| (format!("event {}", archived.key), never, found));
            }
            return;
        };
        published.archived = true;
        self.altered.compared(1);
        if published.content != content(&archived.body) {
            let expected = "the bytes that were published".to_owned();
            let found = "others".to_owned();
            self.altered.difference(|| (format!("event {}", archived.key), expected, found));
        }
    }

    /// What came of it, when all of the archive has been taken in.
    pub(super) fn finish(self) -> Vec<Check> {
        let mut lost = Check::new("journal: nothing lost that was confirmed");
        let mut recovered = 0u64;
        for (id, published) in &self.events {
            lost.compared(u64::from(published.confirmed));
            if published.confirmed && !published.archived {
                let expected = "archived".to_owned();
                lost.difference(|| (format!("event {id}"), expected, "nowhere".to_owned()));
            }
            recovered += u64::from(published.archived && !published.confirmed);
        }
        if recovered > 0 {
            lost.note(format!(
                "{recovered} recovered: archived, though their confirm was not seen"
            ));
        }
        let mut checks = vec![lost, self.altered];
        checks.extend(self.complete.then_some(self.unexpected));
        checks
    }
}

fn content(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tempfile::NamedTempFile;

    use super::*;

    fn event(n: u8) -> String {
        format!(
            r#"{{"contractVersion":"1.1.0","eventType":"job.created","eventId":"01936a3e-0000-7000-8000-0000000000{n:02x}","occurredAt":"2026-11-21T10:00:00Z","producer":{{"service":"s","instanceId":"i","version":"1"}},"correlationId":"01936a3e-0000-7000-8000-000000000002","idempotencyKey":"k","payload":{{"id":"01936a3e-0000-7000-8000-000000000003","type":"t","status":"PENDING","createdAt":"2026-11-21T10:00:00Z"}}}}"#
        )
    }

    fn file(events: impl IntoIterator<Item = u8>) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        events.into_iter().for_each(|n| writeln!(file, "{}", event(n)).unwrap());
        file
    }

    fn archived(n: u8) -> ArchivedEvent {
        let body = event(n).into_bytes();
        let key = format!("01936a3e-0000-7000-8000-0000000000{n:02x}");
        ArchivedEvent { key, tick: 1, late: false, body }
    }

    /// Differences by the end of the name of their check.
    fn checked(
        confirmed: &[u8],
        attempted: &[u8],
        in_archive: &[ArchivedEvent],
    ) -> Vec<(usize, String)> {
        let (confirmed, attempted) =
            (file(confirmed.iter().copied()), file(attempted.iter().copied()));
        let mut journal = Journal::read(confirmed.path(), Some(attempted.path())).unwrap();
        in_archive.iter().for_each(|body| journal.take(body));
        let told = |check: &Check| {
            let places = check.first().iter().map(|first| first.place.clone());
            (check.first().len(), places.collect::<Vec<_>>().join(" "))
        };
        journal.finish().iter().map(told).collect()
    }

    #[test]
    fn what_was_confirmed_and_is_there_is_good() {
        let there: Vec<ArchivedEvent> = (1..4).map(archived).collect();
        let none = (0, String::new());
        assert_eq!(checked(&[1, 2, 3], &[1, 2, 3], &there), vec![none; 3]);
    }

    #[test]
    fn what_was_confirmed_and_is_nowhere_is_lost() {
        let checks = checked(&[1, 2], &[1, 2], &[archived(1)]);
        assert_eq!(checks[0].0, 1);
        assert!(checks[0].1.ends_with("02"), "{checks:?}");
    }

    #[test]
    fn what_was_attempted_and_never_confirmed_may_be_there_or_not() {
        let checks = checked(&[1], &[1, 2, 3], &[archived(1), archived(2)]);
        assert!(checks.iter().all(|(differences, _)| *differences == 0), "{checks:?}");
    }

    #[test]
    fn what_was_never_attempted_is_unexpected() {
        let checks = checked(&[1], &[1], &[archived(1), archived(9)]);
        assert_eq!(checks[2].0, 1);
        assert!(checks[2].1.ends_with("09"), "{checks:?}");
    }

    #[test]
    fn other_bytes_than_were_published_are_told() {
        let mut other = archived(1);
        other.body.push(b' ');
        assert_eq!(checked(&[1], &[1], &[other])[1].0, 1);
    }

    #[test]
    fn the_line_that_a_killed_producer_did_not_finish_is_left_out() {
        let mut confirmed = file([1]);
        write!(confirmed, "{}", &event(2)[..100]).unwrap();
        let mut journal = Journal::read(confirmed.path(), None).unwrap();
        journal.take(&archived(1));
        assert!(journal.finish().iter().all(|check| !check.differs()));
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let mut other = NamedTempFile::new().unwrap();
        writeln!(other, "{{}}").unwrap();
        let error = Journal::read(other.path(), None).map(drop).unwrap_err();
        assert!(error.to_string().starts_with("line 1 of "), "{error}");
    }
}
