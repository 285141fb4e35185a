//! The API from outside: requests in, answers out, with a real store and dataflow behind.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic where they fail")]

mod access;
mod cloud_events;
mod errors;
#[allow(dead_code, reason = "not everyone needs all of it")]
#[path = "../../../sinks/tests/support/folded.rs"]
mod folded;
mod lists;
mod openapi;
mod predecessor;
mod reads;
mod stream;
mod submissions;
mod support;
