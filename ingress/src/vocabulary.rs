//! What bodies are made of: events of our own contract, or those of other programs.

use std::sync::Arc;

use contracts::decode::MAX_BODY_BYTES;
use contracts::{Event, Heartbeat, Rejection};

use crate::celery::{self, Application, Note, Told};
use crate::cloudevents::{self, Mapping};

/// The vocabulary of a queue or a stream.
#[derive(Clone, Debug)]
pub enum Vocabulary {
    /// Events of our own contract; in messages that say so of themselves, CloudEvents.
    Native(Arc<Mapping>),
    /// CloudEvents in structured mode.
    CloudEvents(Arc<Mapping>),
    /// Events of Celery.
    Celery(Application),
}

/// What an element comes to.
#[derive(Debug)]
pub enum Entry<'a> {
    Event(&'a Event<'a>),
    /// Nothing that decides a job's state, and yet to be archived.
    Note(&'a Note),
    /// Nothing to keep: a worker lives.
    Pulse(Heartbeat),
}

impl Default for Vocabulary {
    fn default() -> Vocabulary {
        Vocabulary::Native(Arc::default())
    }
}

impl Vocabulary {
    /// Reads one element of a body, and hands what it comes to to `take`.
    pub fn read<T>(
        &self,
        element: &[u8],
        take: impl FnOnce(Entry<'_>) -> T,
    ) -> Result<T, Rejection> {
        match self {
            Vocabulary::Native(_) => Ok(take(Entry::Event(&contracts::decode(element)?))),
            Vocabulary::CloudEvents(mapping) => {
                let envelope = cloudevents::structured(element, mapping)?;
                Ok(take(Entry::Event(&contracts::decode(&envelope)?)))
            }
            Vocabulary::Celery(of) => match celery::read(element, of)? {
                Told::Job(envelope) => Ok(take(Entry::Event(&contracts::decode(&envelope)?))),
                Told::Note(note) => Ok(take(Entry::Note(&note))),
                Told::Pulse(heartbeat) => Ok(take(Entry::Pulse(heartbeat))),
            },
        }
    }

    /// What the broker is called where it comes from, if it is one of several.
    pub(crate) fn source(&self) -> &str {
        match self {
            Vocabulary::Celery(of) => &of.source,
            Vocabulary::Native(_) | Vocabulary::CloudEvents(_) => "",
        }
    }

    /// Bytes of a line of a recorded stream.
    pub(crate) fn longest_line(&self) -> usize {
        match self {
            Vocabulary::Native(_) => MAX_BODY_BYTES,
            // A recorded delivery is a text in a text, and a list may have many events.
            Vocabulary::Celery(_) | Vocabulary::CloudEvents(_) => 16 * MAX_BODY_BYTES,
        }
    }
}
