//! Inserts, and what their answers mean.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use contracts::JobId;
use mongodb::bson::doc;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::error::ErrorKind;
use pipeline::Tick;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Archive, BATCH, Error, document};
use crate::commit::{Accepted, SpillRow};
use crate::store::Archived;

/// Inserts of one call that are on their way side by side: while the server works on one, the next
/// is being sent.
const SIDE_BY_SIDE: usize = 2;

/// The server has a document with this key.
const DUPLICATE_KEY: i32 = 11000;

/// What a document is made of.
pub(super) struct Row<'a> {
    /// The event's id, or `id:hash`.
    key: std::borrow::Cow<'a, str>,
    pub(super) job: JobId,
    pub(super) occurred_at: i64,
    pub(super) tick: Tick,
    pub(super) late: bool,
    pub(super) body: &'a [u8],
}

impl<'a> Row<'a> {
    pub(super) fn of(accepted: &'a Accepted) -> Row<'a> {
        let Accepted { tick, event, late } = accepted;
        Row {
            key: event.fact.event.to_string().into(),
            job: event.fact.job,
            occurred_at: event.fact.at,
            tick: *tick,
            late: *late,
            body: &event.body,
        }
    }

    pub(super) fn spilled(row: &'a SpillRow) -> Row<'a> {
        let SpillRow { key, job, occurred_at, tick, late, body } = row;
        let (job, occurred_at, tick, late) = (*job, *occurred_at, *tick, *late);
        Row { key: key.into(), job, occurred_at, tick, late, body }
    }

    /// The event's id.
    pub(super) fn event(&self) -> &str {
        self.key.split(':').next().unwrap_or_default()
    }

    /// The key of this content if another has the event's id.
    fn second_key(&self) -> String {
        second_key(self.event(), self.body)
    }
}

/// As in the embedded store.
fn second_key(event: &str, body: &[u8]) -> String {
    format!("{event}:{:016x}", xxhash_rust::xxh3::xxh3_64(body))
}

/// A document on its way, and its key.
struct Item {
    key: String,
    document: RawDocumentBuf,
}

/// Makes documents while those made before are on their way.
pub(super) async fn insert<'a>(
    archive: &Archive,
    rows: impl Iterator<Item = Row<'a>>,
    deadline: Duration,
) -> Result<Archived, Error> {
    // Making the documents counts, too.
    let by = Instant::now() + deadline;
    let (batches, made) = mpsc::unbounded_channel();
    let task = archive.begin(insert_all(archive.clone(), made))?;
    let repeated = documents(rows, |batch| {
        // If it has ended, it says why.
        drop(batches.send(batch));
    });
    drop(batches);
    let archived = archive.wait(by, deadline, task).await?;
    Ok(Archived { repeated: archived.repeated + repeated, ..archived })
}

/// Documents under keys of one kind.
enum Batch {
    /// The events' ids.
    First(Vec<Item>),
    /// The keys of further contents.
    Second(Vec<Item>),
}

/// Makes the documents, each key once; gives the number of repeats among the rows.
fn documents<'a>(rows: impl Iterator<Item = Row<'a>>, mut send: impl FnMut(Batch)) -> u64 {
    let mut repeated = 0;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let mut bodies = HashMap::<String, &[u8]>::with_capacity(rows.size_hint().0);
    for row in rows {
        let mut key = row.key.to_string();
        if bodies.get(&key).is_some_and(|first| *first != row.body) {
            key = row.second_key();
        }
        if bodies.contains_key(&key) {
            repeated += 1;
            continue;
        }
        let item = Item { document: document::of(&row, &key), key: key.clone() };
        bodies.insert(key, row.body);
        match item.key.contains(':') {
            false => first.push(item),
            true => second.push(item),
        }
        if first.len() == BATCH {
            send(Batch::First(std::mem::take(&mut first)));
        }
    }
    if !first.is_empty() {
        send(Batch::First(first));
    }
    if !second.is_empty() {
        send(Batch::Second(second));
    }
    repeated
}

async fn insert_all(
    archive: Archive,
    mut made: UnboundedReceiver<Batch>,
) -> Result<Archived, Error> {
    let mut archived = Archived::default();
    let mut second = Vec::new();
    let mut inserts = JoinSet::new();
    let mut done = Ok(());
    while let Some(batch) = made.recv().await {
        let batch = match batch {
            Batch::First(batch) => batch,
            Batch::Second(batch) => {
                second.extend(batch);
                continue;
            }
        };
        if done.is_ok() {
            done = archive.indexed().await;
        }
        if inserts.len() == SIDE_BY_SIDE
            && let Some(ended) = inserts.join_next().await
        {
            done = done.and(add(super::result(ended), &mut archived, &mut second));
        }
        // What has begun is waited for all the same: it must not be dropped half-way.
        if done.is_ok() {
            let archive = archive.clone();
            inserts.spawn(async move { insert_first(&archive, batch).await });
        }
    }
    while let Some(ended) = inserts.join_next().await {
        done = done.and(add(super::result(ended), &mut archived, &mut second));
    }
    done?;
    let mut second = second.into_iter().peekable();
    while second.peek().is_some() {
        archive.indexed().await?;
        let found = insert_second(&archive, second.by_ref().take(BATCH).collect()).await?;
        archived.conflicting += found.conflicting;
        archived.repeated += found.repeated;
    }
    Ok(archived)
}

fn add(
    found: Result<(Archived, Vec<Item>), Error>,
    archived: &mut Archived,
    second: &mut Vec<Item>,
) -> Result<(), Error> {
    let (found, others) = found?;
    archived.new += found.new;
    archived.repeated += found.repeated;
    second.extend(others);
    Ok(())
}

/// Inserts documents under their events' ids; gives those whose id has another content, under the
/// key of a further one.
async fn insert_first(archive: &Archive, batch: Vec<Item>) -> Result<(Archived, Vec<Item>), Error> {
    let there = insert_batch(archive, &batch).await?;
    let mut archived = Archived { new: (batch.len() - there.len()) as u64, ..Archived::default() };
    if there.is_empty() {
        return Ok((archived, Vec::new()));
    }
    let firsts = find(archive, there.iter().map(|i| batch[*i].key.as_str())).await?;
    let mut others = Vec::new();
    for i in there {
        let Item { key, document } = &batch[i];
        let Some(first) = firsts.get(key) else {
            // Deleted between the two calls: there is nothing to be sure of.
            return Err(Error::Busy);
        };
        let ours = document::ours(document);
        match (ours, document::ours(first)) {
            // An attempt whose answer was lost.
            (ours, first) if ours == first => archived.new += 1,
            (Some((_, ours)), Some((_, first))) if ours == first => archived.repeated += 1,
            (ours, _) => {
                let body = ours.map_or(&[][..], |(_, body)| body);
                let key = second_key(key, body);
                others.push(Item { document: document::renamed(document, &key), key });
            }
        }
    }
    Ok((archived, others))
}

/// Inserts documents under the keys of further contents.
async fn insert_second(archive: &Archive, mut batch: Vec<Item>) -> Result<Archived, Error> {
    let mut archived = Archived::default();
    // A row that was put aside may have come in as the first after all.
    let event = |key: &str| key.split(':').next().unwrap_or_default().to_owned();
    let events: Vec<_> = batch.iter().map(|item| event(&item.key)).collect();
    let firsts = find(archive, events.iter().map(String::as_str)).await?;
    batch.retain(|item| {
        let first = firsts.get(&event(&item.key));
        let first = first.and_then(|first| document::ours(first));
        let same = first.map(|(_, body)| body) == document::ours(&item.document).map(|o| o.1);
        archived.repeated += u64::from(same);
        !same
    });
    if batch.is_empty() {
        return Ok(archived);
    }
    let there = insert_batch(archive, &batch).await?;
    archived.conflicting += (batch.len() - there.len()) as u64;
    let known = find(archive, there.iter().map(|i| batch[*i].key.as_str())).await?;
    for i in there {
        let Item { key, document } = &batch[i];
        let left = known.get(key).is_some_and(|known| {
            document::ours(known).map(|o| o.0) == document::ours(document).map(|o| o.0)
        });
        archived.conflicting += u64::from(left);
        archived.repeated += u64::from(!left);
    }
    Ok(archived)
}

/// Inserts; gives the places of those whose keys are there.
async fn insert_batch(archive: &Archive, batch: &[Item]) -> Result<Vec<usize>, Error> {
    let documents = batch.iter().map(|item| &item.document);
    let error = match archive.events.insert_many(documents).ordered(false).await {
        Ok(_) => return Ok(Vec::new()),
        Err(error) => error,
    };
    let ErrorKind::InsertMany(failed) = &*error.kind else { return Err(error.into()) };
    // Written, and not known to be where a majority is: also what was there already.
    if failed.write_concern_error.is_some() {
        return Err(Error::Away(error));
    }
    let errors = failed.write_errors.iter().flatten();
    if errors.clone().any(|error| error.code != DUPLICATE_KEY) {
        return Err(error.into());
    }
    Ok(errors.map(|error| error.index).collect())
}

/// What is ours of the documents with these keys.
async fn find(
    archive: &Archive,
    keys: impl Iterator<Item = &str>,
) -> Result<BTreeMap<String, RawDocumentBuf>, Error> {
    let keys: Vec<&str> = keys.collect();
    let mut found = BTreeMap::new();
    if keys.is_empty() {
        return Ok(found);
    }
    let only = doc! { "_observatory.tick": 1, "_observatory.body": 1 };
    let mut cursor = archive.events.find(doc! { "_id": { "$in": keys } }).projection(only).await?;
    while cursor.advance().await? {
        let document = cursor.current();
        let key = document.get_str("_id").map_err(|error| Error::Value(error.to_string()))?;
        found.insert(key.to_owned(), document.to_owned());
    }
    Ok(found)
}
