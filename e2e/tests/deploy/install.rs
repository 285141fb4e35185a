//! The install script, on releases that a server of our own has.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use tempfile::TempDir;

use super::built::program;
use super::cluster::{printed, project};

/// The version that is tested.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// This machine, as a release calls it.
fn target() -> String {
    let system = if cfg!(target_os = "macos") { "apple-darwin" } else { "unknown-linux-gnu" };
    format!("{}-{system}", std::env::consts::ARCH)
}

fn archive() -> String {
    format!("observatory-{}.tar.gz", target())
}

/// The program that is tested as a release packs it, once for all tests.
fn packed() -> &'static [u8] {
    static PACKED: OnceLock<Vec<u8>> = OnceLock::new();
    PACKED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let mut package = Command::new(project("release/package.sh"));
        printed(package.arg(target()).arg(program()).arg(folder.path()));
        fs::read(folder.path().join(archive())).unwrap()
    })
}

/// A server with releases, and a home to install into.
struct Site {
    folder: TempDir,
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// With the program as the newest release, and as its version.
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (root, asked) = (folder.path().join("releases"), Arc::default());
        let site = Site { folder, address, asked: Arc::clone(&asked) };
        for place in ["latest/download".to_owned(), format!("download/v{VERSION}")] {
            let place = root.join(place);
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join(archive()), packed()).unwrap();
            let mut sum = Command::new("sha256sum");
            let sums = printed(sum.arg(archive()).current_dir(&place));
            fs::write(
                place.join("SHA256SUMS"),
                format!("{}  other.tar.gz\n{sums}", "0".repeat(64)),
            )
            .unwrap();
        }
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut line = String::new();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                lines.read_line(&mut line).unwrap();
                let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
                // Its headers, to the empty line behind them.
                lines.lines().map_while(Result::ok).find(String::is_empty);
                let found = fs::read(root.join(path.trim_start_matches("/releases/")));
                asked.lock().unwrap().push(path);
                let (status, body) = match found {
                    Ok(body) => ("200 OK", body),
                    Err(_) => ("404 Not Found", Vec::new()),
                };
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                );
                // Who asked may have gone.
                drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)));
            }
        });
        site
    }

    fn newest(&self, name: &str) -> PathBuf {
        self.folder.path().join("releases/latest/download").join(name)
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn installed(&self) -> PathBuf {
        self.home().join(".local/bin/observatory")
    }

    fn command(&self) -> Command {
        let mut command = Command::new("sh");
        command.env_remove("OBSERVATORY_VERSION").env_remove("OBSERVATORY_INSTALL_DIR");
        command.env("OBSERVATORY_RELEASES", format!("http://{}/releases", self.address));
        command.env("HOME", self.home()).env("TMPDIR", self.folder.path()).env("no_proxy", "*");
        command
    }

    /// Runs the script as a pipe does.
    fn install(&self, env: &[(&str, &str)]) -> Output {
        let script = fs::File::open(project("release/install.sh")).unwrap();
        self.command().envs(env.iter().copied()).stdin(script).output().unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn version_of(program: &Path) -> String {
    printed(Command::new(program).arg("--version"))
}

#[test]
fn the_newest_release_is_installed_and_runs() {
    let site = Site::new();
    let output = site.install(&[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains(&format!("observatory {VERSION}")), "{}", said(&output));
    assert!(said(&output).contains("add it to your PATH"), "{}", said(&output));
    assert_eq!(version_of(&site.installed()), version_of(program()));
    // Once more over the one that is there; and nothing is left lying about.
    assert!(site.install(&[]).status.success());
    assert_eq!(fs::read_dir(site.folder.path()).unwrap().count(), 2);
}

#[test]
fn a_release_may_be_chosen_and_so_may_the_folder() {
    let site = Site::new();
    let folder = site.folder.path().join("programs");
    let env =
        [("OBSERVATORY_VERSION", VERSION), ("OBSERVATORY_INSTALL_DIR", folder.to_str().unwrap())];
    let output = site.install(&env);
    assert!(output.status.success(), "{}", said(&output));
    assert!(folder.join("observatory").exists());
    let asked = site.asked.lock().unwrap().clone();
    assert_eq!(asked[1], format!("/releases/download/v{VERSION}/{}", archive()));
}

#[test]
fn what_is_not_as_it_was_released_is_refused_and_what_was_there_stays() {
    let site = Site::new();
    assert!(site.install(&[]).status.success());
    let before = fs::read(site.installed()).unwrap();

    let mut other = packed().to_vec();
    *other.last_mut().unwrap() ^= 1;
    fs::write(site.newest(&archive()), other).unwrap();
    let output = site.install(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("is not what was released"), "{}", said(&output));

    for (sums, told) in
        [("", "says nothing about"), ("<html>not found</html>\n", "says nothing about")]
    {
        fs::write(site.newest("SHA256SUMS"), sums).unwrap();
        let output = site.install(&[]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(told), "{}", said(&output));
    }
    fs::remove_file(site.newest("SHA256SUMS")).unwrap();
    let output = site.install(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("could not be fetched"), "{}", said(&output));
    let output = site.install(&[("OBSERVATORY_VERSION", "9.9.9")]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(fs::read(site.installed()).unwrap() == before, "the program has changed");
}

#[test]
fn a_script_of_which_half_has_come_does_nothing() {
    let site = Site::new();
    let script = fs::read_to_string(project("release/install.sh")).unwrap();
    for part in [4, 2] {
        let half = &script[..script.len() - script.len() / part];
        let mut child = site.command().stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(half.as_bytes()).unwrap();
        child.wait().unwrap();
    }
    assert!(site.asked.lock().unwrap().is_empty());
    assert!(!site.installed().exists());
}
