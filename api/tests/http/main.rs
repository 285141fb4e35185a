//! The API from outside: requests in, answers out, with a real store and dataflow behind.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic where they fail")]

mod errors;
mod reads;
mod submissions;
mod support;
