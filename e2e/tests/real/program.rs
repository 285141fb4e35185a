//! The program as processes: roles that serve, and tools that end by themselves.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;

use e2e::{Redis, Servers, Vhost};
use serde_json::Value;

use super::support::until;

/// The program, built from what is here now.
fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut command = Command::new(env!("CARGO"));
        command.args(["build", "--locked", "--package", "observatory", "--message-format", "json"]);
        // What cargo says of the tests' own package would look to build scripts like a change, and
        // have half of the dependencies compiled again, each time.
        for (name, _) in std::env::vars_os() {
            let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_"].map(str::as_bytes);
            if of_package.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        let output = command.stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "the program cannot be built");
        let messages = String::from_utf8(output.stdout).unwrap();
        let mut paths = messages.lines().filter_map(|line| {
            let message: Value = serde_json::from_str(line).ok()?;
            message["executable"].as_str().map(PathBuf::from)
        });
        paths.next_back().expect("cargo names the program")
    })
}

/// What a world of roles shares.
pub(crate) struct World {
    pub(crate) vhost: Vhost,
    pub(crate) postgres: String,
    pub(crate) redis: Redis,
    pub(crate) mongodb: String,
}

impl World {
    pub(crate) fn new(name: &str) -> World {
        let servers = Servers::shared();
        World {
            vhost: servers.vhost(name),
            postgres: servers.database(),
            redis: servers.redis(),
            mongodb: servers.mongo_database(),
        }
    }

    /// The program with these arguments, which does not outlive the test.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program()).args(arguments);
        command
            .env("RABBITMQ_URL", self.vhost.url())
            .env("POSTGRES_URL", &self.postgres)
            .env("REDIS_URL", self.redis.url())
            .env("MONGODB_URL", &self.mongodb)
            .env("NO_COLOR", "1");
        command
    }

    /// Runs a tool to its end.
    pub(crate) fn tool(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts a role on a port of its own choice; it need not be ready yet.
    pub(crate) fn start(&self, role: &str) -> Role {
        let mut command = self.command(&[role, "--listen", "127.0.0.1:0"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (found, address) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once(" on http://") {
                    drop(found.send(address.trim().to_owned()));
                }
            }
        });
        let address = address.recv().expect("it says where it listens");
        Role { child, address }
    }

    /// Starts a role, and waits until it is ready.
    pub(crate) fn ready(&self, role: &str) -> Role {
        let role = self.start(role);
        until("the role is ready", || role.is_ready().then_some(()));
        role
    }
}

/// What a tool left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// What it printed, which must be JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// A process; dropped, it is killed.
pub(crate) struct Role {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Drop for Role {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Role {
    pub(crate) fn kill(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        self.child.wait().unwrap();
    }

    pub(crate) fn is_ready(&self) -> bool {
        ureq::get(format!("http://{}/readyz", self.address)).call().is_ok()
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        let mut answer = ureq::get(format!("http://{}{path}", self.address)).call().ok()?;
        serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()
    }

    /// The status, and the answer of a 202.
    pub(crate) fn post(&self, body: &Value) -> (u16, Value) {
        let request = ureq::post(format!("http://{}/jobs", self.address));
        let request = request.header("content-type", "application/json");
        match request.send(body.to_string()) {
            Ok(mut answer) => {
                let text = answer.body_mut().read_to_string().unwrap();
                (answer.status().as_u16(), serde_json::from_str(&text).unwrap())
            }
            Err(ureq::Error::StatusCode(status)) => (status, Value::Null),
            Err(error) => panic!("{error}"),
        }
    }
}
