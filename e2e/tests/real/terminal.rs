//! `observatory tui` in a real terminal, tmux's, as people use it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use super::built::program;
use super::program::Role;
use super::support::until;

/// A terminal with a shell in it, which goes when it is dropped.
struct Terminal {
    folder: tempfile::TempDir,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "it may say why the test has failed")]
            {
                eprintln!("{}", self.screen());
            }
        }
        // It may be gone already.
        drop(self.tmux(&["kill-server"]));
    }
}

impl Terminal {
    fn open(columns: u16, rows: u16) -> Terminal {
        let terminal = Terminal { folder: tempfile::tempdir().unwrap() };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let shell = "PS1='$ ' exec sh";
        let folder = terminal.folder.path().to_str().unwrap();
        let session = ["new-session", "-d", "-x", &columns, "-y", &rows, "-c", folder, shell];
        let opened = terminal.tmux(&session).unwrap();
        assert!(opened.status.success(), "{opened:?}");
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> std::io::Result<Output> {
        let mut command = Command::new("tmux");
        // A server of its own, without what its user has configured.
        command.arg("-S").arg(self.folder.path().join("socket")).args(["-f", "/dev/null"]);
        command.args(arguments).env("LANG", "C.UTF-8").env("LC_ALL", "C.UTF-8");
        // Nor what the user has configured for the program.
        command.env("OBSERVATORY_CONFIG", "").output()
    }

    /// Presses keys, by their names in tmux.
    #[track_caller]
    fn press(&self, keys: &[&str]) {
        let pressed = self.tmux(&[&["send-keys"], keys].concat()).unwrap();
        assert!(pressed.status.success(), "{pressed:?}");
    }

    /// What is on the screen.
    fn screen(&self) -> String {
        let captured = self.tmux(&["capture-pane", "-p"]).unwrap();
        String::from_utf8_lossy(&captured.stdout).into_owned()
    }

    /// Waits until all of it is on the screen.
    #[track_caller]
    fn shows(&self, texts: &[&str]) {
        until(&format!("the screen has {texts:?}"), || {
            let screen = self.screen();
            texts.iter().all(|text| screen.contains(text)).then_some(())
        });
    }

    /// Starts the program on the server at `address`.
    fn start(&self, address: &str) {
        let program = program().display();
        self.press(&[&format!("{program} tui --url http://{address}"), "Enter"]);
    }
}

fn service(folder: &Path, listen: &str) -> Role {
    Role::alone(folder, &["--listen", listen])
}

#[test]
fn somebody_goes_through_all_views_and_adds_a_task_in_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let role = service(folder.path(), "127.0.0.1:0");
    let simulate = json!({"simulate": {"delayMs": 1}});
    let jobs = vec![json!({"type": "email.send", "payload": simulate}); 30];
    assert_eq!(role.post(&json!(jobs)).0, 202);
    let terminal = Terminal::open(120, 40);
    terminal.start(&role.address);
    terminal.shows(&["live", "The states add up to 30, and there are 30 jobs.", "email.send"]);
    for (key, seen) in [
        ("2", "30 jobs match"),
        ("3", "8 rules"),
        ("4", "JobStates"),
        ("5", "Everything that came was accepted"),
        ("6", "Log"),
        ("8", &*role.address),
        ("?", "add a task"),
    ] {
        terminal.press(&[key]);
        terminal.shows(&[seen]);
    }
    terminal.press(&["Escape"]);
    // By its name, not all of it.
    terminal.press(&[":", "job", "Enter"]);
    terminal.shows(&["30 jobs match"]);
    terminal.press(&["/", "state:failed", "Enter"]);
    terminal.shows(&["No job matches this filter"]);

    terminal.press(&["n"]);
    terminal.shows(&["Add a task"]);
    terminal.press(&["bread.bake", "Enter"]);
    terminal.shows(&["bread.bake", "Why completed?", "1 attempt"]);
    terminal.press(&["1"]);
    terminal.shows(&["there are 31 jobs."]);
    terminal.press(&["q"]);
    terminal.shows(&["$ "]);
}

#[test]
fn a_terminal_shows_that_its_server_is_gone_and_back_and_is_as_it_was_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut role = service(folder.path(), "127.0.0.1:0");
    let address = role.address.clone();
    let terminal = Terminal::open(80, 24);
    terminal.press(&["stty -a > before; echo saved $((6 * 7))", "Enter"]);
    terminal.shows(&["saved 42"]);
    terminal.start(&address);
    terminal.shows(&["live", "there are 0 jobs."]);
    role.kill();
    terminal.shows(&["STALE", "The last that arrived"]);
    let role = service(folder.path(), &address);
    assert_eq!(role.post(&json!({"type": "email.send"})).0, 202);
    terminal.shows(&["live", "there is 1 job."]);

    let resized = terminal.tmux(&["resize-window", "-x", "30", "-y", "8"]).unwrap();
    assert!(resized.status.success(), "{resized:?}");
    terminal.shows(&["40"]);
    let resized = terminal.tmux(&["resize-window", "-x", "80", "-y", "24"]).unwrap();
    assert!(resized.status.success(), "{resized:?}");
    terminal.shows(&["there is 1 job."]);

    // Stopped, the shell is back; it goes on where it was.
    terminal.press(&["C-z"]);
    terminal.shows(&["Stopped"]);
    terminal.press(&["fg", "Enter"]);
    terminal.shows(&["live", "there is 1 job."]);
    terminal.press(&["q"]);
    terminal.shows(&["$ "]);
    terminal
        .press(&["clear; stty -a | diff before - && rm before && echo same $((6 * 7))", "Enter"]);
    terminal.shows(&["same 42"]);
}

#[test]
fn a_watch_draws_in_its_place_and_no_line_of_it_wraps() {
    let folder = tempfile::tempdir().unwrap();
    let role = service(folder.path(), "127.0.0.1:0");
    let terminal = Terminal::open(60, 20);
    let program = program().display();
    terminal.press(&[&format!("{program} jobs --watch --api http://{}", role.address), "Enter"]);
    terminal.shows(&["0 jobs"]);

    assert_eq!(role.post(&json!({ "type": "bread.bake", "queue": "oven" })).0, 202);
    terminal.shows(&["1 jobs as of", "COMPLETED"]);
    let screen = terminal.screen();
    // What was typed is gone, there is one heading, and the job has one line.
    assert!(screen.starts_with("1 jobs"), "{screen}");
    assert_eq!(screen.lines().filter(|line| !line.is_empty()).count(), 6, "{screen}");
}

#[test]
fn the_checks_of_the_doctor_are_a_view() {
    let folder = tempfile::tempdir().unwrap();
    let role = service(folder.path(), "127.0.0.1:0");
    let terminal = Terminal::open(120, 40);
    terminal.start(&role.address);
    terminal.shows(&["Overview"]);
    terminal.press(&["7"]);
    terminal.shows(&[
        "rabbitmq",
        "not named: --rabbitmq-url or RABBITMQ_URL",
        "data-folder",
        "file-limit",
    ]);
}
