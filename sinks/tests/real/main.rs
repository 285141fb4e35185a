//! The followers against real servers.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod mongo;
mod redis;
mod servers;
#[path = "../support/world.rs"]
mod world;
