//! MongoDB: one mongod that is a replica set by itself, as transactions need one.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use rustix::process::Signal;

use crate::error::{Cause, Error};
use crate::kept::kept;
use crate::server::{Place, Program, Server, command};
use crate::servers::block_on;

/// A mongod without authentication.
pub type Mongo = Server<Mongod>;

impl Mongo {
    /// Where clients reach a new database, whose name is the path of this URL.
    #[must_use]
    pub fn database(&self) -> String {
        static N_DATABASES: AtomicUsize = AtomicUsize::new(0);
        // A database is made by what is first written to it.
        let name = format!("test_{}", 1 + N_DATABASES.fetch_add(1, Ordering::Relaxed));
        database_url(&self.place, &name)
    }
}

#[doc(hidden)]
pub struct Mongod;

impl Program for Mongod {
    const NAME: &'static str = "mongod";
    const N_PORTS: usize = 1;

    fn prepare(place: &Place) -> Result<Self, Error> {
        let data = place.path("data");
        let what = format!("make {}", data.display());
        std::fs::create_dir(data).map_err(Error::io(what))?;
        Ok(Mongod)
    }

    fn command(&self, place: &Place) -> Result<Command, Error> {
        let mut command = command(program(), Signal::KILL, None)?;
        command.arg("--dbpath").arg(place.path("data"));
        command.args(["--port", &place.ports[0].to_string(), "--bind_ip", "127.0.0.1"]);
        // As little memory and disk as it takes.
        command.args(["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64"]);
        command.args(["--replSet", "rs0", "--nounixsocket"]);
        command.args(["--setParameter", "diagnosticDataCollectionEnabled=false"]);
        Ok(command)
    }

    fn answers(&self, place: &Place) -> Result<(), Cause> {
        place.connect(0)?;
        let address = format!("127.0.0.1:{}", place.ports[0]);
        block_on(async {
            let url = format!("mongodb://{address}/?directConnection=true");
            let mut options = ClientOptions::parse(url).await?;
            options.server_selection_timeout = Some(Duration::from_secs(5));
            let admin = Client::with_options(options)?.database("admin");
            let hello = admin.run_command(doc! { "hello": 1 }).await?;
            if hello.get_bool("isWritablePrimary").unwrap_or(false) {
                return Ok(());
            }
            // A member knows the name of its set.
            if !hello.contains_key("setName") {
                let members = vec![doc! { "_id": 0, "host": &address }];
                let set = doc! { "_id": "rs0", "members": members };
                let _: Document = admin.run_command(doc! { "replSetInitiate": set }).await?;
            }
            Err(format!("it is not the primary: {hello}").into())
        })
    }

    fn url(&self, place: &Place) -> String {
        database_url(place, "")
    }
}

fn database_url(place: &Place, name: &str) -> String {
    format!("mongodb://127.0.0.1:{}/{name}?replicaSet=rs0", place.ports[0])
}

/// Where `cargo xtask test` keeps it, or `OBSERVATORY_TEST_MONGOD`.
fn program() -> PathBuf {
    env::var_os("OBSERVATORY_TEST_MONGOD").map_or_else(|| kept("mongod-6.0.5"), PathBuf::from)
}
