//! The data folder: where it is, and that only one process uses it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The folder for `purpose` where the XDG base directories put it:
/// `$XDG_STATE_HOME/observatory/...`.
pub(crate) fn default_dir(purpose: &str) -> anyhow::Result<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
    let state = state.context("no place for data is known; name one with --data-dir")?;
    Ok(state.join("observatory").join(purpose))
}

/// Holds the folder until it is dropped.
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the folder if need be, and takes it for this process.
    pub(crate) fn take(path: &Path) -> anyhow::Result<DataDir> {
        let place = path.display();
        std::fs::create_dir_all(path).with_context(|| {
            format!("cannot create the data folder {place}; name another with --data-dir")
        })?;
        let lock = File::create(path.join("lock")).with_context(|| {
            format!("cannot write to the data folder {place}; name another with --data-dir")
        })?;
        match lock.try_lock() {
            Ok(()) => Ok(DataDir { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => bail!(
                "another observatory is using the data folder {place}; \
                 stop it, or name another with --data-dir"
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock the data folder {place}"))
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
