//! RabbitMQ: how events come in from it, and how messages go out to it.
//!
//! ```text
//!   jobs ──job.#──▶ observatory.events ──▶ Consumer ──▶ events ──good──▶ deliver ─┐
//!    ▲                                        │           └──bad──▶ Publisher     │
//!    │                                        │                       │ jobs.dlx  │
//!    │               ack up to the mark ◀─────┴──── Settle ◀──────────┴───────────┘
//!    └──────────────────────────────────────────── Publisher ◀── gateway, worker
//! ```
//!
//! A [`Publisher`] and a [`Consumer`] each own a task that connects, [declares the
//! topology](topology::declare), works until something goes wrong, and begins anew. The client
//! library has a recovery of its own; it is off, because it hides from a consumer that delivery
//! tags have begun at 1 again.
//!
//! # Invariants
//!
//! 1. A delivery is acknowledged only when it, and all before it in its session, have been settled.
//! 2. An ack never outlives its session: what an older session delivered comes again.
//! 3. [`Publisher::publish`] says `Ok` only for a message that the broker has in a queue.
//! 4. No error, log line or `Debug` has the password of a [`Url`].

mod backoff;
mod cloud_event;
mod connection;
pub mod consumer;
pub mod dead_letter;
pub mod events;
mod greeting;
mod letters;
pub mod publisher;
pub mod topology;
mod url;
mod visit;

pub use cloud_event::is_attribute;
pub use connection::{Fault, FaultKind, Faults, State};
pub use consumer::Consumer;
pub use greeting::{Greeting, greeting};
pub use letters::{look_at_dead_letters, reason_of};
pub use publisher::{Message, PublishError, Publisher};
pub use url::{Url, UrlError};
pub use visit::{Form, Letter, Letters, Visit};
