//! What brings the program to where it runs: manifests, scripts, the release. No server is needed,
//! but programs that read manifests are, which `cargo xtask test` installs.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

#[path = "support/built.rs"]
mod built;
#[path = "deploy/checks.rs"]
mod checks;
#[path = "deploy/cluster.rs"]
mod cluster;
#[path = "deploy/flake.rs"]
mod flake;
#[path = "deploy/install.rs"]
mod install;
#[path = "deploy/kind.rs"]
mod kind;
#[path = "deploy/machine.rs"]
mod machine;
#[path = "deploy/manifests.rs"]
mod manifests;
#[path = "deploy/network.rs"]
mod network;
#[path = "deploy/options.rs"]
mod options;
#[path = "deploy/release.rs"]
mod release;
#[path = "deploy/tokens.rs"]
mod tokens;
#[path = "deploy/watching.rs"]
mod watching;
