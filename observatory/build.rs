//! What the program says of itself with `--version`: nothing that changes from build to build of
//! the same source.
//!
//! The commit is that of `OBSERVATORY_COMMIT`, for whoever builds from an archive, or is read from
//! the repository; no `git` is needed. A build for development has none, since it would have to be
//! made again after every commit.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=OBSERVATORY_COMMIT");
    let var = |name| std::env::var(name).unwrap_or_default();
    let profile = var("PROFILE");
    let given = Some(var("OBSERVATORY_COMMIT")).filter(|commit| !commit.is_empty());
    let commit = given.or_else(|| if profile == "release" { commit() } else { None });
    println!("cargo::rustc-env=BUILD_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo::rustc-env=BUILD_TARGET={}", var("TARGET"));
    println!("cargo::rustc-env=BUILD_PROFILE={profile}");
}

/// The commit that is checked out.
fn commit() -> Option<String> {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?).parent()?.to_owned();
    let folder = git_folder(&root.join(".git"))?;
    let head = read(&folder.join("HEAD"))?;
    let Some(name) = head.strip_prefix("ref: ") else { return Some(head) };
    // Of a work tree, branches are in the repository that it belongs to.
    let shared = match read(&folder.join("commondir")) {
        Some(path) => folder.join(path),
        None => folder,
    };
    read(&shared.join(name)).or_else(|| {
        let packed = read(&shared.join("packed-refs"))?;
        let mut lines = packed.lines();
        lines.find_map(|line| Some(line.strip_suffix(name)?.trim_end().to_owned()))
    })
}

/// The folder of a repository; for a work tree, a file says where it is.
fn git_folder(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        return Some(path.to_owned());
    }
    Some(path.parent()?.join(read(path)?.strip_prefix("gitdir: ")?))
}

/// A file's text; when it changes, this is to run again.
fn read(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    println!("cargo::rerun-if-changed={}", path.display());
    Some(text.trim_end().to_owned())
}
