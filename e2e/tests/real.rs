//! Tests that need real servers, in one binary, so that they share one set of them.

#[path = "real/harness.rs"]
mod harness;
#[path = "real/leftovers.rs"]
mod leftovers;
#[path = "real/support.rs"]
mod support;
