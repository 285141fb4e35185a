//! What crosses a boundary of Task Observatory: events, the rows of views, the shapes of the API.
//!
//! ```text
//!   bytes ──elements──▶ bytes of one event ──decode──▶ Event ──▶ the pipeline
//!                            │ Rejection
//!                            ▼
//!                       dead letter
//!
//!   Snapshot, Delta, JobView, Page, … ──serde──▶ JSON ──▶ page, terminal, curl, files
//! ```
//!
//! Plain data, no I/O. Everything that another program can see is described here once; the files in
//! `schemas/` are generated from these types, and [`compat`] keeps them compatible with the last
//! release.

mod json;
mod nearest;
mod wire;

pub mod answers;
pub mod compat;
pub mod decode;
pub mod event;
pub mod notes;
pub mod openapi;
pub mod registry;
pub mod retries;
pub mod schema;
pub mod snapshot;
pub mod time;
pub mod view;
pub mod workers;

pub use decode::{Batch, Reason, Rejection, decode, elements};
pub use event::{Envelope, Event, EventId, JobId, Kind, State};
pub use nearest::nearest;
pub use snapshot::{Delta, Snapshot};
pub use time::{Micros, TimeError};
pub use view::JobView;
pub use wire::UnknownName;
pub use workers::Heartbeat;
