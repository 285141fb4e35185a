//! What can go wrong with a server, and what can be done about it.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing helps but installing it.
    #[error(
        "{} is not there; `cargo xtask test` installs it, and `cargo xtask test --no-servers` \
         leaves out the tests that need it",
        program.display()
    )]
    Missing { program: PathBuf },

    #[error("cannot {what}")]
    Io { what: String, source: io::Error },

    /// Another attempt helps if someone else had taken its port.
    #[error("{server} has ended before it was ready; its log ends with\n{log}")]
    Ended { server: &'static str, log: String },

    #[error("{server} is not ready after {patience:?}; its log ends with\n{log}")]
    Late { server: &'static str, patience: Duration, log: String, source: Cause },

    /// The server is there and did not do what it was asked.
    #[error("{server} cannot {what}")]
    Refused { server: &'static str, what: String, source: Cause },
}

impl Error {
    /// For `map_err`: an error of the system while doing `what`.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        |source| Error::Io { what: what.into(), source }
    }
}

/// What has been made, or a panic that says why not.
#[track_caller]
pub(crate) fn or_panic<T>(result: Result<T, impl std::borrow::Borrow<Error>>) -> T {
    match result {
        Ok(made) => made,
        Err(error) => {
            let error = error.borrow();
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                text += &format!(": {cause}");
                source = cause.source();
            }
            panic!("{text}")
        }
    }
}

/// The end of a log, enough to see what a server died of.
pub(crate) fn tail(log: &Path) -> String {
    const LINES: usize = 25;
    let text = match std::fs::read(log) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return format!("    ({}: {error})", log.display()),
    };
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    last.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
