//! The servers that all tests of a process share.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::thread;

use crate::error::{Error, or_panic};
use crate::{Broker, Mongo, Postgres, Redis, Vhost};

/// One broker, one PostgreSQL and one mongod. Each test gets a part of its own.
pub struct Servers {
    broker: Shared<Broker>,
    postgres: Shared<Postgres>,
    mongo: Shared<Mongo>,
}

/// A server, or why there is none, which every test is told that asks for it.
type Shared<T> = OnceLock<Result<T, Error>>;

impl Servers {
    /// Those of this process. The first call starts all of them side by side and does not wait;
    /// who asks for a part of one waits for that one.
    #[must_use]
    pub fn shared() -> &'static Servers {
        static SERVERS: Servers =
            Servers { broker: OnceLock::new(), postgres: OnceLock::new(), mongo: OnceLock::new() };
        static STARTED: OnceLock<()> = OnceLock::new();
        STARTED.get_or_init(|| {
            // Nobody waits for the threads, but for what they make. The broker takes longest.
            thread::spawn(|| SERVERS.broker.get_or_init(Broker::try_start).is_ok());
            thread::spawn(|| SERVERS.postgres.get_or_init(Postgres::try_start).is_ok());
            thread::spawn(|| SERVERS.mongo.get_or_init(Mongo::try_start).is_ok());
        });
        &SERVERS
    }

    /// A new virtual host of RabbitMQ, whose name begins with `name`.
    #[track_caller]
    #[must_use]
    pub fn vhost(&self, name: &str) -> Vhost {
        or_panic(self.broker.get_or_init(Broker::try_start).as_ref()).vhost(name)
    }

    /// Where Prometheus reads the broker.
    #[track_caller]
    #[must_use]
    pub fn broker_metrics(&self) -> SocketAddr {
        or_panic(self.broker.get_or_init(Broker::try_start).as_ref()).metrics()
    }

    /// The URL of a new database of PostgreSQL.
    #[track_caller]
    #[must_use]
    pub fn database(&self) -> String {
        or_panic(self.postgres.get_or_init(Postgres::try_start).as_ref()).database()
    }

    /// The URL of a new database of MongoDB, whose name is its path.
    #[track_caller]
    #[must_use]
    pub fn mongo_database(&self) -> String {
        or_panic(self.mongo.get_or_init(Mongo::try_start).as_ref()).database()
    }

    /// A Redis of the caller's own: it starts faster than one could be cleaned.
    #[track_caller]
    #[must_use]
    pub fn redis(&self) -> Redis {
        Redis::start()
    }
}

/// Runs a future to its end on a thread and runtime of its own, as the caller may be in another.
pub(crate) fn block_on<F>(future: F) -> F::Output
where
    F: Future<Output: Send> + Send,
{
    thread::scope(|scope| {
        let running = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            // It fails for want of file descriptors, and then so does everything else.
            runtime
                .unwrap_or_else(|error| panic!("cannot make a runtime: {error}"))
                .block_on(future)
        });
        running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
