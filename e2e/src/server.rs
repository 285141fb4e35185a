//! A server: a program in a folder of its own, started, killed, frozen and started again.
//!
//! ```text
//!   ports, folder ──prepare──▶ command ──spawn──▶ answers? ──▶ ready
//!        ▲                                          │
//!        └────────── its port was taken ◀───────────┘
//! ```

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::error::{Cause, Error, or_panic, tail};
use crate::home::Home;
use crate::{ports, processes, spawner, wait};

/// Until a server is ready. A broker takes 7 s, and 33 s have been seen on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// For a port that others may take between the moment it was free and the start of the server.
const ATTEMPTS: usize = 5;

/// How servers say that a port is taken.
const TAKEN: [&str; 4] =
    ["Address already in use", "address already in use", "eaddrinuse", "in use by another node"];

/// Where a server is.
pub struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) ports: Vec<u16>,
}

impl Place {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn log(&self) -> PathBuf {
        self.path("log.txt")
    }

    fn address(&self, port: usize) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[port]))
    }

    /// Whether a connection to the port with this index is taken.
    pub(crate) fn connect(&self, port: usize) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address(port), Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        Ok(stream)
    }
}

/// What is particular to a kind of server. Implemented in this crate only.
pub trait Program: Sized + Send + Sync + 'static {
    #[doc(hidden)]
    const NAME: &'static str;

    #[doc(hidden)]
    const N_PORTS: usize;

    /// What ends a server that nobody needs any more.
    #[doc(hidden)]
    const END: Signal = Signal::KILL;

    /// Writes its files.
    #[doc(hidden)]
    fn prepare(place: &Place) -> Result<Self, Error>;

    /// What is to be run.
    #[doc(hidden)]
    fn command(&self, place: &Place) -> Result<Command, Error>;

    /// Whether it does its work; if not, why.
    #[doc(hidden)]
    fn answers(&self, place: &Place) -> Result<(), Cause>;

    #[doc(hidden)]
    fn url(&self, place: &Place) -> String;
}

/// A running server; dropped, it is ended and its folder removed.
pub struct Server<P: Program> {
    pub(crate) place: Place,
    pub(crate) program: P,
    /// None if it was killed.
    child: Option<Child>,
}

impl<P: Program> Server<P> {
    /// Starts one that belongs to the caller; returns when it does its work.
    #[track_caller]
    #[must_use]
    pub fn start() -> Self {
        or_panic(Self::try_start())
    }

    /// Where clients reach it. It stays the same when it is started again.
    #[must_use]
    pub fn url(&self) -> String {
        self.program.url(&self.place)
    }

    /// The address in the URL, for who puts something between.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.place.address(0)
    }

    /// What it has written to its log, over all of its starts.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.place.log()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Kills all of its processes, as a loss of power would; returns when they are gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
        processes::kill_below(&self.place.folder);
    }

    /// Asks it to end, as an administrator would, and waits until it has.
    #[track_caller]
    pub fn shut_down(&mut self) {
        assert!(self.end(Signal::TERM, PATIENCE), "{} does not end", P::NAME);
        self.kill();
    }

    /// Freezes all of its processes: connections stay, and nobody answers.
    pub fn stop(&mut self) {
        processes::freeze_below(&self.place.folder);
    }

    /// Ends [`Server::stop`].
    pub fn cont(&mut self) {
        processes::thaw_below(&self.place.folder);
    }

    /// Starts it on the same ports and data, after killing it if it still runs; returns when it
    /// does its work.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill();
        or_panic(self.launch());
    }

    pub(crate) fn try_start() -> Result<Self, Error> {
        let mut attempts = 1;
        loop {
            let place =
                Place { folder: home()?.new_folder(P::NAME)?, ports: ports::free(P::N_PORTS) };
            let program = P::prepare(&place)?;
            let mut server = Server { place, program, child: None };
            match server.launch() {
                Ok(()) => return Ok(server),
                Err(Error::Ended { log, .. })
                    if attempts < ATTEMPTS && TAKEN.iter().any(|taken| log.contains(taken)) =>
                {
                    attempts += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn launch(&mut self) -> Result<(), Error> {
        let command = self.program.command(&self.place)?;
        let child = spawn(command, &self.place.folder, &self.place.log())?;
        self.child = Some(child);
        let server = P::NAME;
        // Ok when there is nothing more to wait for, be it that the server has ended.
        let waited = wait::until(PATIENCE, || match self.ended() {
            true => Ok(false),
            false => self.program.answers(&self.place).map(|()| true),
        });
        let log = || tail(&self.place.log());
        match waited {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Ended { server, log: log() }),
            Err(source) => Err(Error::Late { server, patience: PATIENCE, log: log(), source }),
        }
    }

    /// Sends a signal that ends it; whether it has ended within `patience`, be it that it had before.
    fn end(&mut self, signal: Signal, patience: Duration) -> bool {
        if let Some(child) = &self.child
            && let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
        {
            processes::signal(&[pid], signal);
        }
        wait::until(patience, || self.ended().then_some(()).ok_or(())).is_ok()
    }

    fn ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }
}

impl<P: Program> Drop for Server<P> {
    fn drop(&mut self) {
        if P::END != Signal::KILL {
            self.cont();
            self.end(P::END, processes::LAST_WORDS);
        }
        // Also if it has not ended.
        self.kill();
        // The watch removes what stays.
        drop(std::fs::remove_dir_all(&self.place.folder));
    }
}

/// The folder of this process; its error is everybody's.
pub(crate) fn home() -> Result<&'static Home, Error> {
    Home::get().map_err(|error| Error::Io {
        what: "make a folder for the servers".into(),
        source: io::Error::other(error.to_string()),
    })
}

/// A command for `program` that gets `end` when the process of the tests ends, and runs as `user`.
pub(crate) fn command(
    program: impl AsRef<Path>,
    end: Signal,
    user: Option<&str>,
) -> Result<Command, Error> {
    let program = find(program.as_ref())?;
    let mut command = Command::new("setpriv");
    if let Some(user) = user {
        command.args([&format!("--reuid={user}"), &format!("--regid={user}")]);
        command.arg("--clear-groups");
    }
    command.args(["--pdeathsig", name(end), "--"]).arg(program);
    command.env_clear();
    // Debian's own folders, for whom the tests run with less.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/usr/bin:/sbin:/bin")).env("LANG", "C.UTF-8");
    Ok(command)
}

/// A signal as `setpriv` wants it.
fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::QUIT => "QUIT",
        _ => "KILL",
    }
}

/// A program by its name, or its path.
pub(crate) fn find(program: &Path) -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/bin".into(), "/usr/sbin".into()])
        // Joined to an absolute path, the folder does not matter.
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| Error::Missing { program: program.to_owned() })
}

/// Starts a command in `folder`, in a process group of its own.
pub(crate) fn spawn(mut command: Command, folder: &Path, log: &Path) -> Result<Child, Error> {
    let what = format!("start {command:?}");
    let open = || {
        let log = File::options().create(true).append(true).open(log)?;
        Ok((log.try_clone()?, log))
    };
    let (out, err) = open().map_err(Error::io(format!("write {}", log.display())))?;
    command
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .env("HOME", folder);
    spawner::spawn(command).map_err(Error::io(what))
}
