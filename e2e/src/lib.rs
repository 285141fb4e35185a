//! Real servers for tests: RabbitMQ, PostgreSQL, Redis and MongoDB, Prometheus and Alertmanager,
//! and Chromium, private to one process.
//!
//! ```text
//!   test ──▶ Servers::shared() ──▶ one broker      ──▶ a vhost of its own
//!                              ├─▶ one PostgreSQL  ──▶ a database of its own
//!                              ├─▶ one mongod      ──▶ a database of its own
//!                              └─▶                     a Redis of its own
//!   test ──▶ Broker::start() ──▶ a broker that it may kill, freeze and start again
//! ```
//!
//! # Invariants
//!
//! 1. A test that uses [`Servers`] sees nothing of other tests, and cannot harm a shared server:
//!    whatever kills or freezes takes `&mut`, which only the owner of a server has.
//! 2. No server outlives the process that started it, however that process ends (`watch.rs`), and
//!    its folder does not outlive it either.
//! 3. Everything listens on 127.0.0.1, on ports that were free, below those that connections get.
//! 4. Nothing of the environment of the tests reaches a server.
//!
//! # Cost
//!
//! The shared set is ready after 19 to 23 s on two cores with a load of ten, nearly all of it the
//! broker's; a database of PostgreSQL is there after two to four. A vhost, a database or a Redis
//! takes some tenths of a second. A mongod takes 300 MB of disk. Hence one test binary for all tests
//! that need servers: every process that uses [`Servers`] pays for a set.
//!
//! Functions here panic when something fails, as they are called by tests; the message has the
//! end of the server's log. They block, also when called from a future.

mod broker;
mod browser;
mod error;
mod home;
mod kept;
mod management;
mod mongo;
mod ports;
mod postgres;
mod processes;
mod prometheus;
mod redis;
mod server;
mod servers;
mod spawner;
mod wait;
mod watch;

pub use broker::Broker;
pub use browser::Browsers;
pub use kept::kept;
pub use management::{Queue, Vhost};
pub use mongo::Mongo;
pub use ports::free as free_ports;
pub use postgres::Postgres;
pub use prometheus::{Alertmanager, Prometheus};
pub use redis::Redis;
pub use server::{Program, Server};
pub use servers::Servers;
