//! The program as processes, and the servers that they share.
//!
//! ```text
//!   World: vhost, database, Redis, archive ──start──▶ Role: a process, its address, its log
//! ```
//!
//! The program has crash points, which do nothing unless `FAILPOINTS` names one.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use e2e::{Redis, Servers, Vhost};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::built::program;
use super::support::until;

/// The program with these arguments, which does not outlive the test.
pub(crate) fn observatory(arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program()).args(arguments).env("NO_COLOR", "1");
    // Whoever runs the tests may have a config file.
    command.env("OBSERVATORY_CONFIG", "");
    command
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
        World::on(Servers::shared().vhost(name))
    }

    /// A world on somebody's own broker.
    pub(crate) fn on(vhost: Vhost) -> World {
        let servers = Servers::shared();
        World {
            vhost,
            postgres: servers.database(),
            redis: servers.redis(),
            mongodb: servers.mongo_database(),
        }
    }

    /// The program with these arguments, on these servers.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = observatory(arguments);
        command
            .env("RABBITMQ_URL", self.vhost.url())
            .env("POSTGRES_URL", &self.postgres)
            .env("REDIS_URL", self.redis.url())
            .env("MONGODB_URL", &self.mongodb);
        command
    }

    /// Runs a tool to its end.
    pub(crate) fn tool(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments))
    }

    /// Starts a role on a port of its own choice; it need not be ready yet.
    pub(crate) fn start(&self, role: &str) -> Role {
        self.start_with(role, &[])
    }

    /// The same, with more in its environment.
    pub(crate) fn start_with(&self, role: &str, environment: &[(&str, &str)]) -> Role {
        let mut command = self.command(&[role, "--listen", "127.0.0.1:0"]);
        command.envs(environment.iter().copied());
        Role::of(command)
    }

    /// Starts a role, and waits until it is ready.
    #[track_caller]
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
    /// Runs a command to its end.
    pub(crate) fn of(mut command: Command) -> Ended {
        let output = command.output().unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What it printed, which must be JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// A process; dropped, it is killed.
pub(crate) struct Role {
    pub(crate) child: Child,
    /// Empty if it has ended before it said where it listens.
    pub(crate) address: String,
    log: Arc<Mutex<String>>,
}

impl Drop for Role {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "it may say why the test has failed")]
            {
                eprintln!("{}", self.log());
            }
        }
    }
}

impl Role {
    /// Everything in one process, with a store of its own in `folder`; returns when it is ready.
    #[track_caller]
    pub(crate) fn alone(folder: &Path, arguments: &[&str]) -> Role {
        let mut command = observatory(&["up", "--data-dir"]);
        command.arg(folder).args(arguments);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let role = Role::of(command);
        until("the service is ready", || role.is_ready().then_some(()));
        role
    }

    fn of(mut command: Command) -> Role {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (found, address) = channel();
        let log = Arc::<Mutex<String>>::default();
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once(" on http://") {
                    drop(found.send(address.trim().to_owned()));
                }
                written.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let address = address.recv().unwrap_or_default();
        Role { child, address, log }
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn kill(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        self.child.wait().unwrap();
    }

    /// Sends it a signal: to finish, to stand still, to go on.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.unwrap(), signal).unwrap();
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        until("the role has ended", || self.child.try_wait().unwrap())
    }

    /// Waits until it has aborted, as it does at a crash point.
    #[track_caller]
    pub(crate) fn crashed(&mut self) {
        let status = self.ended();
        assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()), "{status}\n{}", self.log());
    }

    pub(crate) fn is_ready(&self) -> bool {
        ureq::get(format!("http://{}/readyz", self.address)).call().is_ok()
    }

    /// The status of an answer, whatever it is; none if nobody answers.
    pub(crate) fn status(&self, path: &str) -> Option<u16> {
        match ureq::get(format!("http://{}{path}", self.address)).call() {
            Ok(answer) => Some(answer.status().as_u16()),
            Err(ureq::Error::StatusCode(status)) => Some(status),
            Err(_) => None,
        }
    }

    /// The memory that it has.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib * 1024
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        serde_json::from_str(&self.text(path)?).ok()
    }

    /// A number of `/metrics`, by its name and labels.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let metrics = self.text("/metrics")?;
        let mut lines = metrics.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// All of `/metrics`.
    #[track_caller]
    pub(crate) fn metrics(&self) -> String {
        self.text("/metrics").expect("the role answers")
    }

    fn text(&self, path: &str) -> Option<String> {
        let mut answer = ureq::get(format!("http://{}{path}", self.address)).call().ok()?;
        answer.body_mut().read_to_string().ok()
    }

    /// The status, and the answer of a 202.
    pub(crate) fn post(&self, body: &Value) -> (u16, Value) {
        let answer = self.submit(None, body);
        (answer.status, answer.body)
    }

    /// Submits jobs, with an idempotency key if one is given.
    pub(crate) fn submit(&self, key: Option<&str>, body: &Value) -> Answer {
        let began = Instant::now();
        let request = ureq::post(format!("http://{}/jobs", self.address));
        let request = request.config().http_status_as_error(false).build();
        let mut request = request.header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let mut answer = request.send(body.to_string()).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        let retry_after = answer.headers().get("retry-after");
        Answer {
            status: answer.status().as_u16(),
            body: serde_json::from_str(&text).unwrap(),
            comes_back: retry_after.is_some_and(|after| after.to_str().unwrap() != "0"),
            took: began.elapsed(),
        }
    }
}

/// What came of a submission.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// It says when to come back.
    pub(crate) comes_back: bool,
    pub(crate) took: Duration,
}
