//! What bodies are made of: events of our own contract, or those of another program.

use contracts::decode::MAX_BODY_BYTES;
use contracts::{Event, Rejection};

use crate::celery::{self, Keep, Note, Told};

/// The vocabulary of a queue or a stream.
#[derive(Clone, Debug, Default)]
pub enum Vocabulary {
    /// Events of our own contract.
    #[default]
    Native,
    /// Events of Celery.
    Celery(Keep),
}

/// What an element comes to.
#[derive(Debug)]
pub enum Entry<'a> {
    Event(&'a Event<'a>),
    /// Nothing that decides a job's state, and yet to be archived.
    Note(&'a Note),
    /// Nothing to keep, at a time: a worker lives.
    Pulse(contracts::Micros),
}

impl Vocabulary {
    /// Reads one element of a body, and hands what it comes to to `take`.
    pub fn read<T>(
        &self,
        element: &[u8],
        take: impl FnOnce(Entry<'_>) -> T,
    ) -> Result<T, Rejection> {
        match self {
            Vocabulary::Native => Ok(take(Entry::Event(&contracts::decode(element)?))),
            Vocabulary::Celery(keep) => match celery::read(element, keep, None)? {
                Told::Job(envelope) => Ok(take(Entry::Event(&contracts::decode(&envelope)?))),
                Told::Note(note) => Ok(take(Entry::Note(&note))),
                Told::Pulse(at) => Ok(take(Entry::Pulse(at))),
            },
        }
    }

    /// Bytes of a line of a recorded stream.
    pub(crate) fn longest_line(&self) -> usize {
        match self {
            Vocabulary::Native => MAX_BODY_BYTES,
            // A recorded delivery is a text in a text, and a list may have many events.
            Vocabulary::Celery(_) => 16 * MAX_BODY_BYTES,
        }
    }
}
