//! The program that is tested.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The program, built from what is here now; or the one that was named, by whoever has built it.
pub(crate) fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(named) = std::env::var_os("OBSERVATORY_TEST_PROGRAM") {
            return named.into();
        }
        let mut command = Command::new(env!("CARGO"));
        // With this test beside it everything has the features that it was built with, and is there.
        command.args(["build", "--locked", "--workspace", "--bin", "observatory"]);
        command.args(["--test", "real", "--message-format", "json"]);
        // What cargo says of the tests' own package would look to build scripts like a change, and
        // have half of the dependencies compiled again, each time.
        for (name, _) in std::env::vars_os() {
            let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_"].map(str::as_bytes);
            if of_package.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        let output = command.stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "the program cannot be built");
        let messages = String::from_utf8(output.stdout).unwrap();
        let mut paths = messages.lines().filter_map(|line| {
            let message: Value = serde_json::from_str(line).ok()?;
            if message["target"]["name"] != "observatory" {
                return None;
            }
            message["executable"].as_str().map(PathBuf::from)
        });
        paths.next_back().expect("cargo names the program")
    })
}
