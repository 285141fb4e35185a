//! A Celery application, its workers, and Flower, from PyPI.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use e2e::{free_ports, kept};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use super::until;

/// A Celery application: where it is, and what it has.
pub(crate) struct Application {
    folder: tempfile::TempDir,
    broker: String,
}

impl Application {
    pub(crate) fn new(broker: &str) -> Application {
        Application { folder: tempfile::tempdir().unwrap(), broker: broker.to_owned() }
    }

    fn python(&self) -> Command {
        let mut command = Command::new(kept("celery-5.7.0").join("bin/python"));
        command
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("celery"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("BROKER", &self.broker)
            .env("BACKEND", self.folder.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn ids(&self) -> PathBuf {
        self.folder.path().join("ids.jsonl")
    }

    /// Runs the application's program to its end; gives its lines.
    #[track_caller]
    pub(crate) fn run(&self, what: &str) -> Vec<Value> {
        let output = self.python().args(["app.py", what]).arg(self.ids()).output().unwrap();
        assert!(output.status.success(), "{what} has failed");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn worker(&self, name: &str, zone: &str, queues: &str) -> Worker {
        let mut command = self.python();
        // Its processes are one group, so that none outlives the test.
        command
            .args(["-m", "celery", "-A", "app", "worker", "-E", "-c", "2", "--without-mingle"])
            .args(["-n", name, "-Q", queues, "--loglevel", "ERROR"])
            .env("TZ", zone)
            .stdout(Stdio::null())
            .process_group(0);
        Worker(command.spawn().unwrap())
    }

    /// Flower, which is there when this returns.
    pub(crate) fn flower(&self) -> Flower {
        let address = format!("127.0.0.1:{}", free_ports(1)[0]);
        let mut command = self.python();
        command
            .args(["-m", "celery", "-A", "app", "flower", "--address=127.0.0.1"])
            .arg(format!("--port={}", address.rsplit(':').next().unwrap_or_default()))
            .env("FLOWER_UNAUTHENTICATED_API", "true")
            .stdout(Stdio::null())
            .process_group(0);
        let flower = Flower { process: Worker(command.spawn().unwrap()), address };
        until("Flower is there", || flower.tasks());
        flower
    }
}

/// What users of Celery look at.
pub(crate) struct Flower {
    process: Worker,
    address: String,
}

impl Flower {
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// What it knows of tasks, by their ids.
    pub(crate) fn tasks(&self) -> Option<serde_json::Map<String, Value>> {
        let answer = ureq::get(format!("http://{}/api/tasks", self.address)).call();
        let text = answer.ok()?.body_mut().read_to_string().ok()?;
        serde_json::from_str(&text).ok()
    }
}

pub(crate) struct Worker(Child);

impl Worker {
    pub(crate) fn kill(&mut self) {
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // It may have ended already.
            kill_process_group(group, Signal::KILL).unwrap_or_default();
        }
        self.0.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}
