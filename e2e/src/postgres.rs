//! PostgreSQL, with what it has committed safe from a kill, though not from a loss of power.
//!
//! `initdb` takes longer than all the rest, so it runs once per process, and each server gets a
//! copy. PostgreSQL refuses to be root; where the tests are, it is the user of Debian's package.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use tokio_postgres::NoTls;

use crate::error::{Cause, Error, or_panic, tail};
use crate::server::{Place, Program, Server, command, home, spawn};
use crate::servers::block_on;

/// A PostgreSQL with the superuser `postgres`, who needs no password.
pub type Postgres = Server<PostgreSql>;

impl Postgres {
    /// Where clients reach a new database.
    #[track_caller]
    #[must_use]
    pub fn database(&self) -> String {
        static N_DATABASES: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}", 1 + N_DATABASES.fetch_add(1, Ordering::Relaxed));
        let created = execute(&self.url(), &format!("CREATE DATABASE {name}"));
        or_panic(created.map_err(|source| Error::Refused {
            server: PostgreSql::NAME,
            what: format!("create the database {name}"),
            source,
        }));
        database_url(&self.place, &name)
    }
}

/// Releases that will do, the one of Debian 12 first; `xtask/src/install.rs` has the same.
const VERSIONS: [&str; 3] = ["15", "16", "17"];

#[doc(hidden)]
pub struct PostgreSql;

impl Program for PostgreSql {
    const NAME: &'static str = "postgres";
    const N_PORTS: usize = 1;
    /// Its "immediate shutdown": a crash, but for the shared memory that it gives back.
    const END: Signal = Signal::QUIT;

    fn prepare(place: &Place) -> Result<Self, Error> {
        static TEMPLATE: OnceLock<Result<PathBuf, Error>> = OnceLock::new();
        let template = TEMPLATE.get_or_init(initialised).as_ref().map_err(|error| Error::Io {
            what: "make the template of all databases".into(),
            source: std::io::Error::other(error.to_string()),
        })?;
        let mut copy = command("cp", Signal::KILL, None)?;
        copy.arg("-a").arg(template.join("data")).arg(place.path("data"));
        run(copy, &place.folder)?;
        Ok(PostgreSql)
    }

    fn command(&self, place: &Place) -> Result<Command, Error> {
        let mut command = command(program("postgres"), Self::END, user())?;
        command.arg("-D").arg(place.path("data"));
        command.args(["-p", &place.ports[0].to_string(), "-c", "listen_addresses=127.0.0.1"]);
        // No socket in the file system: its path would have to be short.
        command.args(["-c", "unix_socket_directories="]);
        command.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
        Ok(command)
    }

    fn answers(&self, place: &Place) -> Result<(), Cause> {
        place.connect(0)?;
        execute(&self.url(place), "SELECT 1")
    }

    fn url(&self, place: &Place) -> String {
        database_url(place, "postgres")
    }
}

fn database_url(place: &Place, name: &str) -> String {
    format!("postgres://postgres@127.0.0.1:{}/{name}", place.ports[0])
}

fn execute(url: &str, statement: &str) -> Result<(), Cause> {
    block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let serving = tokio::spawn(connection);
        client.batch_execute(statement).await?;
        drop(client);
        Ok(serving.await??)
    })
}

/// The folder of a fresh cluster.
fn initialised() -> Result<PathBuf, Error> {
    let folder = home()?.new_folder("template")?;
    if let Some(user) = user() {
        let mut give = command("chown", Signal::KILL, None)?;
        give.arg(user).arg(&folder);
        run(give, &folder)?;
    }
    let mut command = command(program("initdb"), PostgreSql::END, user())?;
    command.arg("-D").arg(folder.join("data"));
    command.args(["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]);
    run(command, &folder)?;
    Ok(folder)
}

/// Runs a command to its end, as a server in `folder`: it is ended as one, too.
fn run(command: Command, folder: &Path) -> Result<(), Error> {
    let log = folder.join("log.txt");
    let what = format!("run {command:?}");
    let status = spawn(command, folder, &log)?.wait().map_err(Error::io(what))?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::Ended { server: PostgreSql::NAME, log: tail(&log) }),
    }
}

fn program(name: &str) -> PathBuf {
    let at = |version| Path::new("/usr/lib/postgresql").join(version).join("bin").join(name);
    // Elsewhere, as in the flake's shell, PATH has it.
    VERSIONS.map(at).into_iter().find(|path| path.exists()).unwrap_or_else(|| PathBuf::from(name))
}

/// Who PostgreSQL has to be, if not who we are.
fn user() -> Option<&'static str> {
    // Our own entry in /proc belongs to whom we are.
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0).then_some("postgres")
}
