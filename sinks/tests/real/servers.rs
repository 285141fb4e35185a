//! Servers that belong to one test.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A program that listens on a port; killed when dropped.
pub(crate) struct Server {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
    command: fn(&std::path::Path, u16) -> Command,
}

impl Server {
    fn start(command: fn(&std::path::Path, u16) -> Command) -> Server {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let mut server = Server { folder, port, child: None, command };
        server.restart();
        server
    }

    /// Starts it on the same port and folder, after killing it if it runs.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let mut command = (self.command)(self.folder.path(), self.port);
        self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        until("the server listens", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// As a loss of power would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Freezes it: connections stay, and nobody answers.
    pub(crate) fn stop(&mut self) {
        self.signal("-STOP");
    }

    pub(crate) fn cont(&mut self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn redis() -> (Server, String) {
    let server = Server::start(|folder, port| {
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "no", "--daemonize", "no"]).current_dir(folder);
        command
    });
    let url = format!("redis://127.0.0.1:{}/0", server.port);
    (server, url)
}

pub(crate) async fn mongo() -> (Server, String) {
    let server = Server::start(|folder, port| {
        let program = std::env::var_os("OBSERVATORY_TEST_MONGOD");
        let mut command = Command::new(program.unwrap_or_else(|| "mongod".into()));
        command.args(["--port", &port.to_string(), "--bind_ip", "127.0.0.1", "--replSet", "rs0"]);
        command.args(["--nounixsocket", "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64"]);
        command.args(["--setParameter", "diagnosticDataCollectionEnabled=false"]);
        command.arg("--dbpath").arg(folder);
        command
    });
    let address = format!("127.0.0.1:{}", server.port);
    let direct = format!("mongodb://{address}/?directConnection=true");
    let admin = mongodb::Client::with_uri_str(&direct).await.unwrap().database("admin");
    let members = vec![mongodb::bson::doc! { "_id": 0, "host": &address }];
    let set = mongodb::bson::doc! { "_id": "rs0", "members": members };
    admin.run_command(mongodb::bson::doc! { "replSetInitiate": set }).await.unwrap();
    let hello = mongodb::bson::doc! { "hello": 1 };
    while !admin.run_command(hello.clone()).await.unwrap().get_bool("isWritablePrimary").unwrap() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (server, format!("mongodb://{address}/archive?replicaSet=rs0"))
}

/// Waits for what should become true.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(30), "not in 30 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    started.elapsed()
}
