//! The flake, as far as its text says it; `nix/offline/check.sh` evaluates and builds it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::cluster::{found, project, text};

/// The source files of a folder, without those that cargo has made.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| match path.is_dir() {
        true if path.ends_with("target") => Vec::new(),
        true => sources(&path),
        false => vec![path],
    };
    entries.flat_map(below).filter(|path| path.extension().is_some_and(|one| one == "rs")).collect()
}

/// What a source file has the compiler read besides, each as a path from the project's root.
fn reads(file: &Path, root: &Path) -> Vec<PathBuf> {
    let code = fs::read_to_string(file).unwrap();
    let folder = file.parent().unwrap();
    let named = ["include_str!(\"", "include_bytes!(\"", "#[path = \""]
        .into_iter()
        .flat_map(|before| code.split(before).skip(1))
        .filter_map(|after| after.split('"').next());
    let plain = |name: &str| {
        let mut path = PathBuf::new();
        for part in folder.join(name).components() {
            match part {
                Component::ParentDir => drop(path.pop()),
                part => path.push(part),
            }
        }
        path.strip_prefix(root).unwrap().to_owned()
    };
    named.map(plain).collect()
}

#[test]
fn what_crates_have_the_compiler_read_is_among_the_files_of_the_checks() {
    let root = project("");
    let files = text("nix/sources.nix");
    let (_, files) = files.split_once("workspace = of (").unwrap();
    let (files, _) = files.split_once(");").unwrap();
    let crates = text("Cargo.toml");
    let crates = crates.lines().find_map(|line| line.strip_prefix("members = [")).unwrap();
    let crates: Vec<_> = crates.split('"').skip(1).step_by(2).collect();
    let mut outside = 0;
    for file in crates.iter().flat_map(|name| sources(&root.join(name))) {
        for path in reads(&file, &root) {
            if !crates.iter().any(|name| path.starts_with(name)) {
                outside += 1;
                let path = format!("../{}", path.display());
                let named = files.split_whitespace().any(|word| word == path);
                assert!(named, "{} reads {path}", file.display());
            }
        }
    }
    assert!(outside > 0, "a test reads an example of docs/");
}

/// Runs `get-nix.sh` where nothing is but what it needs, and a Nix of this version.
fn get_nix(folder: &TempDir, version: &str) -> Output {
    let bin = folder.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    for program in ["bash", "env", "grep", "head", "ln", "mkdir", "sort"] {
        let path = bin.join(program);
        if !path.exists() {
            symlink(found(program), path).unwrap();
        }
    }
    for name in ["nix", "nix-instantiate"] {
        let path = bin.join(name);
        fs::write(&path, format!("#!/usr/bin/env bash\necho '{name} (Nix) {version}'\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(project("nix/offline/get-nix.sh"));
    command.arg(folder.path().join("lab")).env_clear().env("PATH", bin).output().unwrap()
}

#[test]
fn a_nix_that_is_there_is_taken_and_apt_is_not_needed() {
    let folder = tempfile::tempdir().unwrap();
    let lab = folder.path().join("lab/bin/nix");
    let output = get_nix(&folder, "2.8.0");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("fix: "), "{said}");
    assert!(!lab.exists());

    for _ in 0..2 {
        let output = get_nix(&folder, "2.31.2+1");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "nix (Nix) 2.31.2+1\n");
        assert!(lab.exists());
    }
    // One that has gone is found again.
    fs::remove_file(&lab).unwrap();
    symlink("/no/such/nix", &lab).unwrap();
    assert!(get_nix(&folder, "3.0.1").status.success());
    assert!(lab.exists());
}
