//! What was archived, read back.

use contracts::{EventId, JobId, Micros};
use mongodb::Cursor;
use mongodb::bson::doc;
use mongodb::bson::raw::{RawDocument, RawDocumentBuf};
use tokio::time::timeout;

use super::{Archive, BATCH, Error, READ, document};
use crate::store::ArchivedEvent;

fn event(document: &RawDocument) -> Result<ArchivedEvent, Error> {
    let damaged = |error: mongodb::bson::error::Error| Error::Value(error.to_string());
    let key = document.get_str("_id").map_err(damaged)?;
    let (tick, body) =
        document::ours(document).ok_or_else(|| Error::Value(format!("{key} has no body")))?;
    let ours = document.get_document("_observatory").map_err(damaged)?;
    let late = ours.get_bool("late").map_err(damaged)?;
    Ok(ArchivedEvent { key: key.to_owned(), tick, late, body: body.to_owned() })
}

impl Archive {
    /// A job's events, in the order of arrival.
    pub async fn events(&self, job: JobId) -> Result<Vec<ArchivedEvent>, Error> {
        let archive = self.clone();
        let call = async move {
            let mut events = Vec::new();
            let mut cursor = archive.events.find(doc! { "payload.id": job.to_string() }).await?;
            while cursor.advance().await? {
                let document = cursor.current();
                let at = document.get_str("occurredAt").unwrap_or_default().to_owned();
                events.push((at, event(document)?));
            }
            events.sort_by(|(at_a, a), (at_b, b)| {
                (a.tick, at_a, &a.key).cmp(&(b.tick, at_b, &b.key))
            });
            Ok(events.into_iter().map(|(_, event)| event).collect())
        };
        read(call).await
    }

    /// The body of the event that was archived first under this id.
    pub async fn event(&self, id: EventId) -> Result<Option<Vec<u8>>, Error> {
        let archive = self.clone();
        let call = async move {
            let found = archive.events.find_one(doc! { "_id": id.to_string() }).await?;
            found.map(|document| Ok(event(&document)?.body)).transpose()
        };
        read(call).await
    }

    /// When the newest event occurred.
    pub async fn newest(&self) -> Result<Option<Micros>, Error> {
        let archive = self.clone();
        let call = async move {
            let only = doc! { "occurredAt": 1, "_id": 0 };
            let newest = archive.events.find_one(doc! { "_observatory.tick": { "$exists": true } });
            let newest = newest.sort(doc! { "occurredAt": -1 }).projection(only).await?;
            let Some(newest) = newest else { return Ok(None) };
            let text = newest.get_str("occurredAt");
            let text = text.map_err(|error| Error::Value(error.to_string()))?;
            Micros::parse(text).map(Some).map_err(|error| Error::Value(error.to_string()))
        };
        read(call).await
    }

    /// How many documents there are, about; exactly after a clean stop.
    pub async fn count(&self) -> Result<u64, Error> {
        let archive = self.clone();
        read(async move { Ok(archive.events.estimated_document_count().await?) }).await
    }

    /// The events that occurred from `from` up to `to`.
    pub async fn between(&self, from: Micros, to: Micros) -> Result<Bodies, Error> {
        let archive = self.clone();
        let call = async move {
            // As text in their order, as they all have the same digits.
            let within = doc! { "$gte": from.to_string(), "$lt": to.to_string() };
            let ours = doc! { "occurredAt": within, "_observatory.tick": { "$exists": true } };
            let only = doc! { "_observatory": 1 };
            let find = archive.events.find(ours).projection(only);
            Ok(Bodies(find.batch_size(BATCH as u32).await?))
        };
        read(call).await
    }

    /// All events, in the order of their keys.
    pub async fn all(&self) -> Result<Bodies, Error> {
        let archive = self.clone();
        let call = async move {
            let ours = doc! { "_observatory.tick": { "$exists": true } };
            let only = doc! { "_observatory": 1 };
            let find = archive.events.find(ours).sort(doc! { "_id": 1 }).projection(only);
            Ok(Bodies(find.batch_size(BATCH as u32).await?))
        };
        read(call).await
    }
}

/// Runs a call that reads on a task of its own, as for writes; who reads gets no [`Error::Busy`],
/// and keeps no write from being tried.
async fn read<T: Send + 'static>(
    call: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    match timeout(READ, tokio::spawn(call)).await {
        Ok(ended) => super::result(ended),
        Err(_) => Err(Error::Late(READ)),
    }
}

/// Events, read some at a time.
pub struct Bodies(Cursor<RawDocumentBuf>);

impl Bodies {
    /// The next event; none after the last.
    pub async fn next(&mut self) -> Result<Option<ArchivedEvent>, Error> {
        // Whoever misses the deadline has to begin again anyhow, so the cursor may break.
        match timeout(READ, self.0.advance()).await {
            Ok(Ok(true)) => event(self.0.current()).map(Some),
            Ok(Ok(false)) => Ok(None),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Error::Late(READ)),
        }
    }
}
