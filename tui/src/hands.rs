//! What is done for the screen outside of it: programs that are run, pages that are opened.
//!
//! Each has a thread of its own and tells what becomes of it, so that the screen waits for none.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;

use crate::msg::{Hand, Msg};

/// How long the server that we started may take to stop when we leave.
const PARTING: Duration = Duration::from_secs(9);

/// Bytes of a line of a program's output; the rest of it is the next line.
const MAX_LINE: u64 = 4 << 10;

/// Why a program runs. There is one at a time for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Task {
    /// The server with made-up jobs. It ends with us.
    Demo,
    /// What makes a cluster in kind. It may be run again if it does not come to its end.
    Kind,
    /// What repairs something that `doctor` found.
    Fix,
    Doctor,
}

/// What `observatory doctor --json` says of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Check {
    pub(crate) id: String,
    pub(crate) seen: String,
    pub(crate) verdict: Verdict,
    /// The command that repairs it.
    pub(crate) fix: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Fail,
    Warn,
    Pass,
    #[serde(rename = "skipped")]
    Skip,
}

#[derive(Clone)]
pub(crate) struct Hands {
    out: Sender<Msg>,
    /// The process groups that run.
    running: Arc<Mutex<BTreeMap<Task, Pid>>>,
}

impl Hands {
    pub(crate) fn new(out: Sender<Msg>) -> Hands {
        Hands { out, running: Arc::default() }
    }

    /// Runs a program; its lines are told as they come.
    pub(crate) fn run(&self, task: Task, command: Vec<String>) {
        let hands = self.clone();
        thread::spawn(move || {
            let ended = match task {
                Task::Doctor => {
                    let checked = hands.doctor(&command);
                    return hands.tell(Hand::Checked(checked));
                }
                Task::Demo | Task::Kind | Task::Fix => hands.follow(task, &command),
            };
            hands.tell(Hand::Ended(task, ended));
        });
    }

    fn follow(&self, task: Task, command: &[String]) -> Result<i32, String> {
        let (out, err) = std::io::pipe().map_err(|error| error.to_string())?;
        let both = err.try_clone().map_err(|error| error.to_string())?;
        let mut program = started(command);
        let child = program.stdout(both).stderr(err).spawn();
        // It has our ends of the pipe, which would never be at its end.
        drop(program);
        let mut child = child.map_err(|error| format!("it can not be run: {error}"))?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(task, group);
        }
        let mut lines = BufReader::new(out);
        loop {
            let mut line = Vec::new();
            match lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
                Ok(n) if n > 0 => {
                    let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                    self.tell(Hand::Line(task, line));
                }
                _ => break,
            }
        }
        let ended = child.wait().map_err(|error| error.to_string());
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&task);
        Ok(ended?.code().unwrap_or(-1))
    }

    fn doctor(&self, command: &[String]) -> Result<Vec<Check>, String> {
        let output = started(command).stdout(Stdio::piped()).stderr(Stdio::piped()).output();
        let output = output.map_err(|error| format!("it can not be run: {error}"))?;
        read_checks(&output.stdout).map_err(|fault| match output.status.code() {
            // Of a command line that it does not know.
            Some(2) => "this build has no `doctor`".to_owned(),
            _ => fault,
        })
    }

    pub(crate) fn stop(&self, task: Task) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = running.get(&task) {
            // It may have ended meanwhile.
            let _ended = kill_process_group(*group, Signal::TERM);
        }
    }

    /// Stops the server that we started, and waits for it.
    pub(crate) fn part(&self) {
        self.stop(Task::Demo);
        self.stop(Task::Kind);
        self.stop(Task::Fix);
        let until = Instant::now() + PARTING;
        let runs = || {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.contains_key(&Task::Demo)
        };
        while runs() && Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Opens a page in a browser, if there can be one.
    pub(crate) fn open(&self, url: String) {
        let hands = self.clone();
        thread::spawn(move || {
            let unopened = |why: &str| Hand::Unopened { url: url.clone(), why: why.to_owned() };
            let told = match no_browser() {
                Some(why) => unopened(why),
                None => {
                    let quiet = || Stdio::null();
                    let opened = started(&["xdg-open".to_owned(), url.clone()])
                        .stdout(quiet())
                        .stderr(quiet())
                        .status();
                    match opened {
                        Ok(status) if status.success() => Hand::Said(format!("Opened {url}")),
                        _ => unopened("no browser could be started"),
                    }
                }
            };
            hands.tell(told);
        });
    }

    /// Keeps what was copied in a file as well: whether a terminal took it can not be known.
    pub(crate) fn keep(&self, text: String, sent: bool) {
        let hands = self.clone();
        thread::spawn(move || {
            let n = text.chars().count();
            let what = match text.lines().next() {
                Some(line) if n <= 60 => line.to_owned(),
                _ => format!("{n} characters"),
            };
            let (path, written) = (kept_at(), written(&text));
            let said = match (sent, written) {
                (true, Ok(())) => format!("Copied {what}; it is also in {}", path.display()),
                (true, Err(_)) => format!("Copied {what}"),
                (false, Ok(())) => format!("Too long for a terminal: it is in {}", path.display()),
                (false, Err(error)) => format!("Not copied: {}: {error}", path.display()),
            };
            hands.tell(Hand::Said(said));
        });
    }

    fn tell(&self, hand: Hand) {
        // Without a screen there is nobody to tell.
        drop(self.out.send(Msg::Hand(hand)));
    }
}

/// A program in a group of its own: what is typed into our terminal does not stop it.
fn started(command: &[String]) -> Command {
    let (name, args) = command.split_first().map_or(("false", &[][..]), |(n, a)| (n.as_str(), a));
    let mut program = Command::new(name);
    program.args(args).stdin(Stdio::null()).process_group(0);
    program
}

fn read_checks(json: &[u8]) -> Result<Vec<Check>, String> {
    #[derive(Deserialize)]
    struct Answer {
        checks: Vec<Check>,
    }
    match serde_json::from_slice(json) {
        Ok(Answer { checks }) => Ok(checks),
        Err(error) => Err(format!("its answer can not be read: {error}")),
    }
}

/// Why no browser can be seen from here.
fn no_browser() -> Option<&'static str> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if set("SSH_CLIENT") || set("SSH_TTY") || set("SSH_CONNECTION") {
        return Some("this is a session on another machine");
    }
    (!set("DISPLAY") && !set("WAYLAND_DISPLAY")).then_some("there is no display here")
}

fn kept_at() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let state = folder("XDG_STATE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(folder("HOME")?).join(".local/state"));
    let state = state.or_else(home).unwrap_or_else(std::env::temp_dir);
    state.join("observatory").join("copied")
}

fn written(text: &str) -> std::io::Result<()> {
    let path = kept_at();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // What was copied may be for one pair of eyes.
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    std::io::Write::write_all(&mut file, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn checks_have_a_verdict_and_perhaps_a_fix() {
        let answer = br#"{"verdict": "fail", "checks": [
            {"id": "broker", "seen": "refused", "verdict": "fail", "fix": "start it"},
            {"id": "redis", "seen": "not named", "verdict": "skipped", "fix": null}
        ]}"#;
        let checks = read_checks(answer).unwrap();
        assert_eq!(
            (checks[0].verdict, checks[0].fix.as_deref()),
            (Verdict::Fail, Some("start it"))
        );
        assert_eq!((checks[1].verdict, checks[1].fix.as_deref()), (Verdict::Skip, None));
        assert!(read_checks(b"usage").is_err());
    }

    #[test]
    fn a_program_is_followed_to_its_end_and_can_be_stopped() {
        let (out, heard) = mpsc::channel();
        let hands = Hands::new(out);
        let command = |text: &str| ["sh", "-c", text].map(str::to_owned).to_vec();
        hands.run(Task::Fix, command("echo one; echo two >&2; exit 3"));
        let lines: Vec<_> = heard.iter().take(3).collect();
        assert!(matches!(&lines[0], Msg::Hand(Hand::Line(Task::Fix, line)) if line == "one"));
        assert!(matches!(&lines[1], Msg::Hand(Hand::Line(Task::Fix, line)) if line == "two"));
        assert!(matches!(&lines[2], Msg::Hand(Hand::Ended(Task::Fix, Ok(3)))));

        hands.run(Task::Demo, command("echo up; exec sleep 60"));
        assert!(matches!(heard.recv(), Ok(Msg::Hand(Hand::Line(Task::Demo, _)))));
        hands.part();
        assert!(matches!(heard.recv(), Ok(Msg::Hand(Hand::Ended(Task::Demo, Ok(-1))))));
    }
}
