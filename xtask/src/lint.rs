//! What is checked beside Rust: scripts, and what we use of others.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::ROOT;

/// Runs shellcheck on every script in git.
pub(crate) fn scripts() -> anyhow::Result<()> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(ROOT).output();
    let output = output.context("cannot run git, which knows the scripts")?;
    ensure!(output.status.success(), "git does not tell which files there are");
    let files = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let files = files.map(|name| Path::new(OsStr::from_bytes(name)));
    let scripts: Vec<_> = files.filter(|path| is_script(&Path::new(ROOT).join(path))).collect();
    ensure!(!scripts.is_empty(), "no scripts are found, though there are some");
    let mut shellcheck = Command::new("shellcheck");
    let status = shellcheck.arg("--external-sources").args(scripts).current_dir(ROOT).status();
    let status = status.context("cannot run shellcheck")?;
    ensure!(status.success(), "shellcheck has something against a script");
    Ok(())
}

/// Whether a shell is to run it: by its name, or by its first line.
fn is_script(path: &Path) -> bool {
    if path.extension().is_some_and(|extension| extension == "sh") {
        return true;
    }
    // What is no text, or deleted but not yet for git, is none.
    let Ok(text) = fs::read_to_string(path) else { return false };
    let Some(line) = text.lines().next().and_then(|line| line.strip_prefix("#!")) else {
        return false;
    };
    line.split(['/', ' ']).any(|word| matches!(word, "sh" | "bash" | "dash"))
}

/// Checks the licences and sources of all crates against `deny.toml`.
pub(crate) fn licences(cargo_deny: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(cargo_deny);
    command.args(["--locked", "check", "licenses", "bans", "sources"]).current_dir(ROOT);
    let status = command.status().context("cannot run cargo-deny")?;
    ensure!(status.success(), "cargo-deny has something against a crate");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_by_its_name_or_its_first_line() {
        let folder = std::env::temp_dir().join(format!("observatory-lint-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (name, content, script) in [
            ("named.sh", &b""[..], true),
            ("sh", b"#!/bin/sh\nexit\n", true),
            ("bash", b"#!/usr/bin/env bash\nexit\n", true),
            ("python", b"#!/usr/bin/env python3\nexit()\n", false),
            ("fish", b"#!/usr/bin/fish\nexit\n", false),
            ("empty", b"", false),
            ("picture", b"\x89PNG\n", false),
        ] {
            let path = folder.join(name);
            fs::write(&path, content).unwrap();
            assert_eq!(is_script(&path), script, "{name}");
        }
        assert!(!is_script(&folder.join("no such file")));
        fs::remove_dir_all(&folder).unwrap();
    }
}
