//! Tests that need real servers, in one binary, so that they share one set of them.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

#[path = "real/harness.rs"]
mod harness;
#[path = "real/leftovers.rs"]
mod leftovers;
#[path = "real/postgres.rs"]
mod postgres;
#[path = "real/support.rs"]
mod support;
