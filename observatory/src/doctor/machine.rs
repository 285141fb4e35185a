//! This machine: room for data, ports, files, the terminal, and the programs of the local stack.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};

use super::check::{Checks, Verdict, word};
use crate::data_dir;

/// Bytes that should be free: some ten million jobs; and those without which nothing works.
const ROOM: u64 = 1 << 30;
const NO_ROOM: u64 = 64 << 20;

/// Files that may be open: connections of 256 readers of the stream, stores and what else there is.
const FILES: u64 = 1_024;

/// Where the other roles listen, unless they are told otherwise.
const PORTS: [(&str, u16); 3] = [("gateway", 3000), ("worker", 8000), ("pipeline", 9100)];

/// How long whoever listens on a port of this machine may take to say what it is.
const A_PORT: Duration = Duration::from_millis(500);

/// What `k8s/` and `nix/` are started with.
const LOCAL: [(&str, &str); 4] = [
    ("nix", "sh -c 'curl -L https://nixos.org/nix/install | sh -s -- --daemon'"),
    ("docker", "sudo apt-get install docker.io"),
    ("kubectl", "nix profile install nixpkgs#kubectl"),
    ("kind", "nix profile install nixpkgs#kind"),
];

/// `servers`: some are named, so roles may run here. `embedded`: data lies in a folder.
pub(super) fn check(
    listen: SocketAddr,
    data: Option<PathBuf>,
    servers: bool,
    embedded: bool,
) -> Checks {
    let mut checks = Checks::default();
    match embedded {
        true => data_folder(&mut checks, data),
        false => checks.skip(&["data-folder"], "PostgreSQL and MongoDB keep the data"),
    }
    port(&mut checks, "port.up", listen, "up");
    for (role, number) in PORTS {
        let id = format!("port.{role}");
        match servers {
            true => port(&mut checks, &id, SocketAddr::from(([127, 0, 0, 1], number)), role),
            false => checks.skip(&[&id], "no server is named, so no role runs here"),
        }
    }
    files(&mut checks);
    terminal(&mut checks, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    local(&mut checks);
    checks
}

fn data_folder(checks: &mut Checks, named: Option<PathBuf>) {
    const ID: &str = "data-folder";
    const FIX: &str = "export OBSERVATORY_DATA_DIR=/var/tmp/observatory";
    let folder = match named.map_or_else(|| data_dir::default_dir("up"), Ok) {
        Ok(folder) => folder,
        Err(error) => return checks.fail(ID, error.to_string(), FIX),
    };
    // It is made by `up`, in the nearest that is there.
    let Some(there) = folder.ancestors().find(|path| path.exists()) else {
        return checks.fail(ID, format!("there is no way to {}", folder.display()), FIX);
    };
    let place = folder.display();
    if !there.is_dir() {
        return checks.fail(ID, format!("{} is no folder", there.display()), FIX);
    }
    if rustix::fs::access(there, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
        .is_err()
    {
        let fix = format!("sudo chown $(id -u) {}", word(&there.to_string_lossy()));
        return checks.fail(ID, format!("{place}: we may not write to {}", there.display()), fix);
    }
    let Ok(free) = statvfs(there).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)) else {
        return checks.note(
            ID,
            Verdict::Warn,
            format!("{place}: nobody says how much is free"),
            None,
        );
    };
    let seen = format!("{place}: {} MB are free", free >> 20);
    match free {
        ROOM.. => checks.pass(ID, seen),
        NO_ROOM.. => checks.note(ID, Verdict::Warn, seen, Some(FIX.to_owned())),
        _ => checks.fail(ID, seen, FIX),
    }
}

/// Whether a role could listen there.
fn port(checks: &mut Checks, id: &str, at: SocketAddr, role: &str) {
    match TcpListener::bind(at) {
        Ok(_) => checks.pass(id, format!("{at} is free")),
        Err(_) if is_ours(at) => checks.pass(id, format!("an observatory listens on {at}")),
        Err(error) => {
            let next = SocketAddr::new(at.ip(), at.port().checked_add(1).unwrap_or(0));
            let fix = format!("observatory {role} --listen {next}");
            checks.note(id, Verdict::Warn, format!("{at} is not to be had: {error}"), Some(fix));
        }
    }
}

/// Whether a role of ours answers there.
fn is_ours(at: SocketAddr) -> bool {
    let client = crate::client::Client::new(&format!("http://{at}"));
    let client = client.map(|client| client.with_patience(A_PORT));
    let answer = client.and_then(|client| client.ask("/livez").ok());
    answer.is_some_and(|answer| answer.status == 200)
}

fn files(checks: &mut Checks) {
    match getrlimit(Resource::Nofile).current {
        Some(files) if files < FILES => checks.note(
            "file-limit",
            Verdict::Warn,
            format!("{files} files may be open, and {FILES} may be needed"),
            Some(format!("ulimit -n {FILES}")),
        ),
        Some(files) => checks.pass("file-limit", format!("{files} files may be open")),
        None => checks.pass("file-limit", "any number of files may be open"),
    }
}

fn terminal(checks: &mut Checks, env: &dyn Fn(&str) -> Option<String>) {
    let Some(term) = env("TERM") else {
        checks.skip(&["terminal.utf-8", "terminal.colours"], "there is no terminal");
        return;
    };
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(env).unwrap_or_default();
    match locale.to_ascii_lowercase().replace('-', "").contains("utf8") {
        true => checks.pass("terminal.utf-8", locale),
        false => checks.note(
            "terminal.utf-8",
            Verdict::Warn,
            format!("the locale is `{locale}`, so `tui` draws ASCII"),
            Some("export LC_ALL=C.UTF-8".to_owned()),
        ),
    }
    match (&*term, env("NO_COLOR")) {
        ("dumb", _) => checks.note(
            "terminal.colours",
            Verdict::Warn,
            "the terminal is a dumb one",
            Some("export TERM=xterm-256color".to_owned()),
        ),
        (_, Some(_)) => checks.pass("terminal.colours", "NO_COLOR is set: none are used"),
        (term, None) => checks.pass("terminal.colours", term.to_owned()),
    }
}

/// The programs of the local stack, which whoever does not start one can do without.
fn local(checks: &mut Checks) {
    let wanted = ["flake.nix", "k8s"].into_iter().any(|path| Path::new(path).exists());
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    for (program, fix) in LOCAL {
        let id = format!("local.{program}");
        let found = folders.iter().map(|folder| folder.join(program)).find(|path| path.is_file());
        match found {
            Some(path) => checks.pass(&id, path.display().to_string()),
            None if wanted => {
                checks.note(&id, Verdict::Warn, "not installed", Some(fix.to_owned()));
            }
            None => checks.skip(&[&id], "not installed; needed for the local stack only"),
        }
    }
}
