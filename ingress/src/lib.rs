//! How facts come in.
//!
//! ```text
//!   recorded stream ──▶ facts                                   (recorded)
//!   RabbitMQ ──events──▶ Delivery ─┐                            (amqp)
//!   program ──submit──▶ Delivery ──┴─tick──▶ Ledger ──▶ dataflow  (submit, ledger)
//!                          ▲                    │
//!                          └───── settle ───────┘ when the durable frontier has passed
//! ```

pub mod ahead;
pub mod amqp;
pub mod celery;
pub mod cloudevents;
pub mod gateway;
pub mod ledger;
mod names;
pub mod recorded;
pub mod submit;
pub mod vocabulary;
pub mod work;
