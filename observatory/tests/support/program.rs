//! The binary as a command: what it prints, and how it ends.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use contracts::Snapshot;

/// The program, knowing nothing of the environment of the tests.
pub(crate) fn observatory() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_observatory"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("OBSERVATORY_") || name.ends_with("_URL") || COLOURS.contains(&&*name) {
            command.env_remove(name);
        }
    }
    // Nor of the config file of whoever runs them.
    command.env("OBSERVATORY_CONFIG", "");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What has a say in colours.
const COLOURS: [&str; 3] = ["NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR"];

/// A run that has ended.
#[derive(Debug, PartialEq)]
pub(crate) struct Run {
    /// None if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Run {
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What it printed, if all went well.
    #[track_caller]
    pub(crate) fn printed(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// What it complained of: it has failed, and printed nothing that could be taken for a result.
    #[track_caller]
    pub(crate) fn complaint(self) -> String {
        assert_eq!((self.code, &*self.stdout), (Some(1), ""), "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        // Neither a panic nor the debugging form of an error.
        for mark in ["panicked", "RUST_BACKTRACE", "Error {", "Os {"] {
            assert!(!self.stderr.contains(mark), "{self:?}");
        }
        self.stderr
    }
}

/// Runs the program to its end.
pub(crate) fn run(args: &[&str]) -> Run {
    Run::of(observatory().args(args).output().unwrap())
}

/// Runs the program to its end, with `input` on standard input.
pub(crate) fn run_on(args: &[&str], input: &[u8]) -> Run {
    let mut child = observatory().args(args).stdin(Stdio::piped()).spawn().unwrap();
    feed(&mut child, input);
    Run::of(child.wait_with_output().unwrap())
}

/// Writes `input` from a thread of its own, so that nobody waits for each other.
fn feed(child: &mut Child, input: &[u8]) {
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    std::thread::spawn(move || {
        // It need not read all of it.
        drop(stdin.write_all(&input));
    });
}

/// Replays a stream to JSON.
pub(crate) fn replay(stream: &str, args: &[&str]) -> Run {
    run_on(&[&["replay", "-", "--output", "json"], args].concat(), stream.as_bytes())
}

/// The snapshot that a stream comes to.
#[track_caller]
pub(crate) fn snapshot(stream: &str) -> Snapshot {
    serde_json::from_str(&replay(stream, &[]).printed()).unwrap()
}

/// A path as an argument.
pub(crate) fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Puts a file into `folder`.
pub(crate) fn file(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}
