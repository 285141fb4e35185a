//! What crosses a boundary of Task Observatory: events, the rows of views, the shapes of the API.
//!
//! Plain data, no I/O. Everything that another program can see is described here once, and the
//! schemas in `schemas/` are generated from these types.

pub mod event;
pub mod time;

pub use event::{Kind, State};
pub use time::Micros;
