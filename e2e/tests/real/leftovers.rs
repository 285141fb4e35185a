//! Nothing is left of the servers, however the process that started them has ended.
//!
//! The process is `servers`, the binary of this crate. Its descendants are noted while it lives,
//! by their parents, which is not how the harness finds them.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::until;

#[test]
fn nothing_is_left_after_a_kill() {
    let mut harness = Harness::start(&[]);
    for server in ["beam.smp", "epmd", "postgres", "redis-server", "mongod"] {
        let mut names = harness.processes.iter().map(|process| &process.name);
        assert!(names.any(|name| name.starts_with(server)), "{:?}", harness.processes);
    }
    harness.child.kill().unwrap();
    harness.leaves_nothing();
}

#[test]
fn nothing_is_left_after_a_kill_while_all_servers_stood_still() {
    let mut harness = Harness::start(&[]);
    harness.freeze();
    harness.child.kill().unwrap();
    harness.leaves_nothing();
}

#[test]
fn nothing_is_left_after_a_normal_end() {
    let mut harness = Harness::start(&["redis", "postgres"]);
    drop(harness.stdin.take());
    assert!(harness.child.wait().unwrap().success());
    harness.leaves_nothing();
}

#[test]
fn the_next_process_removes_what_is_left_when_the_watch_was_killed_as_well() {
    let mut harness = Harness::start(&["redis", "postgres"]);
    // Who stands still does not notice the end of his server, and stays.
    harness.freeze();
    harness.watch().signal(Signal::KILL);
    harness.child.kill().unwrap();
    harness.child.wait().unwrap();
    assert!(harness.folder.exists());

    let mut next = Harness::start(&["redis"]);
    harness.leaves_nothing();
    drop(next.stdin.take());
    next.leaves_nothing();
}

/// A process with servers, and what runs for it.
struct Harness {
    child: Child,
    stdin: Option<ChildStdin>,
    processes: Vec<Process>,
    folder: PathBuf,
}

impl Harness {
    #[track_caller]
    fn start(servers: &[&str]) -> Harness {
        let mut child = Command::new(env!("CARGO_BIN_EXE_servers"))
            .args(servers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = said.map(|line| line.unwrap());
        assert!(said.any(|line| line.starts_with("ready")), "it ends before it is ready");

        let pid = i32::try_from(child.id()).unwrap();
        let folder = std::env::temp_dir().join(format!("observatory-e2e-{pid}"));
        assert!(folder.is_dir());
        Harness { stdin: child.stdin.take(), child, processes: descendants(pid), folder }
    }

    /// What ends the servers when the process cannot any more.
    fn watch(&self) -> &Process {
        let mut shells = self.processes.iter().filter(|process| process.name == "sh");
        // The broker has one as well, further down.
        shells.find(|process| process.parent == self.child.id().cast_signed()).unwrap()
    }

    /// Freezes everything but the watch.
    fn freeze(&self) {
        let watch = self.watch().identity();
        for process in self.processes.iter().filter(|process| process.identity() != watch) {
            process.signal(Signal::STOP);
        }
    }

    #[track_caller]
    fn leaves_nothing(&mut self) {
        self.child.wait().unwrap();
        until("its processes are gone", || {
            let running: HashSet<_> = all().iter().map(Process::identity).collect();
            let mut noted = self.processes.iter().map(Process::identity);
            (!noted.any(|process| running.contains(&process))).then_some(())
        });
        until("its folder is gone", || (!self.folder.exists()).then_some(()));
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[derive(Clone, Debug)]
struct Process {
    pid: i32,
    parent: i32,
    started: u64,
    name: String,
}

impl Process {
    fn signal(&self, signal: Signal) {
        // It may have ended since it was noted.
        kill_process(Pid::from_raw(self.pid).unwrap(), signal).unwrap_or_default();
    }

    /// Its start tells it from a later one with the same number.
    fn identity(&self) -> (i32, u64) {
        (self.pid, self.started)
    }

    fn read(pid: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
        let fields: Vec<_> = rest.split(' ').collect();
        // One that has ended and was not waited for is gone.
        (fields[0] != "Z").then(|| Process {
            pid,
            parent: fields[1].parse().unwrap(),
            started: fields[19].parse().unwrap(),
            name: name.to_owned(),
        })
    }
}

fn all() -> Vec<Process> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    pids.filter_map(|entry| Process::read(entry.file_name().to_str()?.parse().ok()?)).collect()
}

fn descendants(of: i32) -> Vec<Process> {
    let all = all();
    let mut found = Vec::new();
    let mut parents = vec![of];
    while let Some(parent) = parents.pop() {
        for process in all.iter().filter(|process| process.parent == parent) {
            parents.push(process.pid);
            found.push(process.clone());
        }
    }
    found
}
