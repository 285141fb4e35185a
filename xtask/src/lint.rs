//! What is checked beside Rust: scripts, and what we use of others.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// The folder of the project.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs shellcheck on every script in git.
pub(crate) fn scripts() -> anyhow::Result<()> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let output = output.context("cannot run git, which knows the scripts")?;
    ensure!(output.status.success(), "git does not tell which files there are");
    let files = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let files = files.map(|name| Path::new(OsStr::from_bytes(name)));
    let scripts: Vec<_> = files.filter(|path| is_script(&root().join(path))).collect();
    ensure!(!scripts.is_empty(), "no scripts are found, though there are some");
    let mut shellcheck = Command::new("shellcheck");
    let status = shellcheck.arg("--external-sources").args(scripts).current_dir(root()).status();
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
    command.args(["--locked", "check", "licenses", "bans", "sources"]).current_dir(root());
    let status = command.status().context("cannot run cargo-deny")?;
    ensure!(status.success(), "cargo-deny has something against a crate");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_by_its_name_or_its_first_line() {
        for (path, script) in [
            (".ci/run", true),
            ("k8s/secrets.sh", true),
            ("README.md", false),
            ("docs/overview.png", false),
            ("no/such/file", false),
        ] {
            assert_eq!(is_script(&root().join(path)), script, "{path}");
        }
        let folder = std::env::temp_dir().join(format!("observatory-lint-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (line, script) in [
            ("#!/bin/sh", true),
            ("#!/usr/bin/env bash", true),
            ("#!/usr/bin/env python3", false),
            ("#!/usr/bin/fish", false),
            ("", false),
        ] {
            let path = folder.join("file");
            fs::write(&path, format!("{line}\nexit\n")).unwrap();
            assert_eq!(is_script(&path), script, "{line}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
