//! The archive: every event as it was received, in MongoDB.
//!
//! ```text
//!   Accepted ─┐                      ┌─ new
//!   SpillRow ─┴▶ document ──insert──▶├─ E11000 ──compare with the first──▶ repeated
//!                (_id = event id)    │                                 └──▶ conflicting: id:hash
//!                                    └─ no answer by the deadline ──▶ the caller spills
//! ```
//!
//! # A document
//!
//! It has the envelope's fields under their names, in their order, so that it can be queried like
//! the event. Three of them are in their canonical form, as they are what is looked for:
//! `eventId` and `payload.id` in lower case, `occurredAt` in UTC with six digits (so that its
//! order as text is that of time); an envelope that has them elsewhere, or is not an envelope, gets
//! them all the same. Integers are int32 or int64, other numbers doubles. Names that MongoDB does
//! not take or that would be ours are written with look-alikes: `＄`, `．`, `␀`.
//!
//! What is not an envelope's is in `_observatory`: `tick`, `late`, and `body`, the bytes as
//! received. The body is kept always, though most can be made from the fields again: the
//! archive is what `verify` and a replay trust, and must not depend on how this or a later version
//! writes a double, on white space, or on what was escaped above. That doubles a document (1,125
//! bytes instead of 611 for a common event, and 171 instead of 95 on disk, where it is compressed).
//!
//! # Invariants
//!
//! 1. One document per event and content: the second content under one event id has the `_id`
//!    `eventId:hash`, as in the embedded store.
//! 2. An event is archived when [`Archive::insert`] says so: a majority has it in its journal.
//! 3. Inserting again changes nothing, and gives the same answer for what an attempt at the same
//!    tick has left behind.
//! 4. A call returns by its deadline; what it began may still happen.
//!
//! # Cost
//!
//! Some 3 µs per event to make its document, besides the insert itself; a second round trip for
//! events that were there. At most [`BATCH`] documents are on the way per connection, and while a
//! call that missed its deadline has not ended, others fail at once: memory does not grow while
//! nobody answers.

mod document;
mod insert;
mod probe;
mod read;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::{ClientOptions, WriteConcern};
use mongodb::{Client, Collection, IndexModel};
use tokio::sync::OnceCell;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, timeout_at};

pub use probe::{Probe, probe};
pub use read::Bodies;

use crate::commit::{Accepted, SpillRow};
use crate::store::Archived;

/// The collection.
pub const COLLECTION: &str = "job_events";

/// The database, where the URL names none.
pub const DATABASE: &str = "observatory";

/// Documents of one insert: fewer cost more round trips, more gain nothing.
pub const BATCH: usize = 1_000;

/// A server is looked for no longer, unless the URL says otherwise.
const SELECTION: Duration = Duration::from_secs(5);

/// Who reads waits no longer.
const READ: Duration = Duration::from_secs(10);

/// A handle on the archive; clones share its connections.
#[derive(Clone)]
pub struct Archive {
    events: Collection<RawDocumentBuf>,
    /// Calls that have missed their deadline and go on.
    overdue: Arc<AtomicUsize>,
    indexed: Arc<OnceCell<()>>,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client knows its password.
        f.debug_struct("Archive").field("events", &self.events.namespace()).finish_non_exhaustive()
    }
}

/// Why the archive did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text of the URL is left out: it may hold a password.
    #[error("not a URL like mongodb://host:27017/observatory?replicaSet=rs0: {0}")]
    Url(String),
    /// Nobody knows what was done of it: ask again, or spill.
    #[error("mongodb did not answer within {0:?}")]
    Late(Duration),
    /// Nothing was tried, as an earlier call has not ended: ask again later, or spill.
    #[error("mongodb has not answered an earlier call")]
    Busy,
    /// Not reachable, or not able to make it durable now: ask again, or spill.
    #[error("mongodb is away")]
    Away(#[source] mongodb::error::Error),
    /// The same call would meet the same answer.
    #[error("mongodb refused")]
    Refused(#[source] mongodb::error::Error),
    /// The driver has panicked; nobody knows what was done of it.
    #[error("the driver of mongodb failed")]
    Broken(#[source] JoinError),
    /// The archive has a document that it should not have.
    #[error("the archive has a damaged document: {0}")]
    Value(String),
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn passes(&self) -> bool {
        matches!(self, Error::Late(_) | Error::Busy | Error::Away(_) | Error::Broken(_))
    }

    /// Whether the server does not let us in.
    pub fn shut(&self) -> bool {
        let Error::Refused(error) = self else { return false };
        match &*error.kind {
            ErrorKind::Authentication { .. } => true,
            ErrorKind::Command(command) => NOT_LET_IN.contains(&command.code),
            _ => false,
        }
    }
}

/// Codes of the server that say no for good: bad values, no rights, failed login, a document that
/// is too large, a validator of the collection.
const FINAL: [i32; 7] = [2, 9, 13, 18, 72, 121, 10334];

/// Those of them that are about who we are.
const NOT_LET_IN: [i32; 2] = [13, 18];

impl From<mongodb::error::Error> for Error {
    fn from(error: mongodb::error::Error) -> Error {
        match &*error.kind {
            ErrorKind::Authentication { .. }
            | ErrorKind::InvalidArgument { .. }
            | ErrorKind::InvalidTlsConfig { .. }
            | ErrorKind::IncompatibleServer { .. }
            | ErrorKind::Bson(_) => Error::Refused(error),
            ErrorKind::Command(command) if FINAL.contains(&command.code) => Error::Refused(error),
            // Of its documents; what can be done about them has been done.
            ErrorKind::InsertMany(failed) if failed.write_errors.is_some() => Error::Refused(error),
            _ => Error::Away(error),
        }
    }
}

impl Archive {
    /// A handle on the archive at `url`, whose path names the database.
    ///
    /// Does not wait for the server: see [`Archive::prepare`].
    pub async fn connect(url: &str) -> Result<Archive, Error> {
        Archive::connect_within(url, SELECTION).await
    }

    /// The same, on a server that is to be found within `selection`, unless the URL says otherwise.
    async fn connect_within(url: &str, selection: Duration) -> Result<Archive, Error> {
        let mut options = match ClientOptions::parse(url).await {
            Ok(options) => options,
            Err(error) => return Err(Error::Url(reason(&error, url))),
        };
        let short = |given: &mut Option<Duration>, limit| {
            given.get_or_insert(limit);
        };
        // What a call that missed its deadline may still take: a silent server is noticed by the
        // missing answer to a heartbeat, and then what is on the way to it is given up.
        short(&mut options.connect_timeout, Duration::from_secs(2));
        short(&mut options.heartbeat_freq, Duration::from_secs(2));
        short(&mut options.server_selection_timeout, selection);
        options.app_name.get_or_insert_with(|| "observatory".to_owned());
        let database = options.default_database.clone().unwrap_or_else(|| DATABASE.to_owned());
        // An acknowledged event has to survive an election.
        let options_of = mongodb::options::CollectionOptions::builder()
            .write_concern(WriteConcern::majority())
            .build();
        let client = Client::with_options(options)?;
        let events = client.database(&database).collection_with_options(COLLECTION, options_of);
        Ok(Archive { events, overdue: Arc::default(), indexed: Arc::default() })
    }

    /// Makes the indexes, unless they are there. The first insert does it otherwise.
    pub async fn prepare(&self, deadline: Duration) -> Result<(), Error> {
        let archive = self.clone();
        self.within(deadline, async move { archive.indexed().await }).await
    }

    /// Archives events; says how many were new. Nothing is known of what an error is about: it may
    /// be inserted again.
    pub async fn insert(&self, events: &[Accepted], deadline: Duration) -> Result<Archived, Error> {
        insert::insert(self, events.iter().map(insert::Row::of), deadline).await
    }

    /// Archives events that had been put aside.
    pub async fn insert_rows(
        &self,
        rows: &[SpillRow],
        deadline: Duration,
    ) -> Result<Archived, Error> {
        insert::insert(self, rows.iter().map(insert::Row::spilled), deadline).await
    }

    async fn indexed(&self) -> Result<(), Error> {
        let make = async || {
            let index = |keys: Document| IndexModel::builder().keys(keys).build();
            let of_job = index(doc! { "payload.id": 1, "occurredAt": 1 });
            let of_time = index(doc! { "occurredAt": 1 });
            self.events.create_indexes([of_job, of_time]).await?;
            Ok::<(), Error>(())
        };
        self.indexed.get_or_try_init(make).await.copied()
    }

    /// Runs `call` on a task of its own, and waits for it until the deadline. (The futures of the
    /// driver are not to be dropped half-way.)
    async fn within<T: Send + 'static>(
        &self,
        deadline: Duration,
        call: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let by = Instant::now() + deadline;
        let task = self.begin(call)?;
        self.wait(by, deadline, task).await
    }

    fn begin<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<JoinHandle<Result<T, Error>>, Error> {
        match self.overdue.load(Ordering::Acquire) {
            0 => Ok(tokio::spawn(call)),
            _ => Err(Error::Busy),
        }
    }

    async fn wait<T: Send + 'static>(
        &self,
        by: Instant,
        deadline: Duration,
        mut task: JoinHandle<Result<T, Error>>,
    ) -> Result<T, Error> {
        match timeout_at(by, &mut task).await {
            Ok(ended) => result(ended),
            Err(_) => {
                self.overdue.fetch_add(1, Ordering::AcqRel);
                let overdue = Arc::clone(&self.overdue);
                tokio::spawn(async move {
                    // Whatever came of it: nobody waits for it any more.
                    drop(task.await);
                    overdue.fetch_sub(1, Ordering::AcqRel);
                });
                Err(Error::Late(deadline))
            }
        }
    }
}

/// What a task came to.
fn result<T>(ended: Result<Result<T, Error>, JoinError>) -> Result<T, Error> {
    ended.unwrap_or_else(|error| Err(Error::Broken(error)))
}

/// What is wrong with a URL, without quoting it.
fn reason(error: &mongodb::error::Error, url: &str) -> String {
    let text = error.to_string();
    let after = url.split_once("://").map_or(url, |(_, after)| after);
    let quoted = after
        .split(['@', '/', '?', ':', ',', '&', '='])
        .any(|part| part.len() > 2 && text.contains(part));
    match quoted {
        true => "the connection string is not valid".to_owned(),
        false => text,
    }
}
