//! The terminal UI with many jobs: `cargo run --release -p e2e --example terminal [-- JOBS]`.
//!
//! ```text
//!   JOBS open jobs ──▶ observatory up ──stream──▶ observatory tui, in tmux: from a key to what it shows,
//!                                                                       and what it takes to sit idle
//! ```
//!
//! A key's time ends when tmux has the screen that it leads to; looking at it takes some ms of that.

#![expect(clippy::unwrap_used, reason = "a measurement that fails should say where")]
#![expect(clippy::print_stdout, reason = "the numbers")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

#[allow(dead_code, reason = "not everyone needs all of it")]
mod released;

use released::{program, send, until, up};

/// Events of a request.
const BATCH: u32 = 500;

/// Keys that are timed.
const KEYS: usize = 200;

/// How long the program is looked at while nobody presses a key.
const IDLE: Duration = Duration::from_secs(30);

fn tmux(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("tmux");
    command.arg("-S").arg(folder.join("socket")).args(["-f", "/dev/null"]).args(arguments);
    let output = command.env("LANG", "C.UTF-8").env("LC_ALL", "C.UTF-8").output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until a text is on the screen; says how long that took.
fn shows(folder: &Path, text: &str) -> Duration {
    let began = Instant::now();
    until(text, || tmux(folder, &["capture-pane", "-p"]).contains(text).then_some(()));
    began.elapsed()
}

/// CPU time of a process so far, in clock ticks of a hundredth of a second.
fn cpu(pid: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let behind_name = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = behind_name.split_whitespace().collect();
    fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum()
}

fn main() {
    let jobs: u32 = std::env::args().nth(1).map_or(100_000, |jobs| jobs.parse().unwrap());
    let folder = TempDir::new().unwrap();
    let program = program();
    let (mut service, address) = up(&program, &folder.path().join("data"));
    for from in (0..jobs).step_by(BATCH as usize) {
        send(&address, from, BATCH);
    }

    let place = folder.path();
    // The shell becomes the program, whose process the session then is.
    let tui = format!("exec {} tui --api http://{address}", program.display());
    tmux(place, &["new-session", "-d", "-x", "120", "-y", "40", &tui]);
    shows(place, &format!("there are {jobs} jobs").replace("000 jobs", ",000 jobs"));
    let mut taken: Vec<Duration> = (0..KEYS)
        .map(|n| {
            let (key, text) = [("2", "jobs match"), ("1", "The states add up")][n % 2];
            tmux(place, &["send-keys", key]);
            shows(place, text)
        })
        .collect();
    taken.sort_unstable();
    let at = |quantile: f64| taken[(quantile * (KEYS - 1) as f64) as usize];
    println!("{jobs} jobs; from a key to its view: p50 {:?}, p99 {:?}", at(0.5), at(0.99));

    let pid = tmux(place, &["display-message", "-p", "#{pane_pid}"]).trim().to_owned();
    let before = cpu(&pid);
    std::thread::sleep(IDLE);
    let hundredths = cpu(&pid) - before;
    println!("idle: {:.2} % of a core", hundredths as f64 / IDLE.as_secs_f64());
    tmux(place, &["kill-server"]);
    service.kill().unwrap();
    service.wait().unwrap();
}
