//! The folder of this process, below which each of its servers has one.
//!
//! ```text
//!   /tmp/observatory-e2e-<pid>/lock          held as long as the process lives
//!                             /rabbitmq-1/   the working directory of a server, and its data
//!                             /redis-2/
//! ```
//!
//! # Invariants
//!
//! 1. A folder has its name only while, or after, its process holds the lock: a folder whose lock
//!    is free belongs to nobody, whatever process has that number by now.
//! 2. Every process of a server has its working directory below the server's folder, which is how
//!    it is found, also when its parent is gone.
//!
//! A process that is killed leaves its folder to [`watch`](crate::watch). If that was
//! killed as well, the next process finds and removes the folder, and what still runs in it.

use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Error;
use crate::{processes, watch};

const PREFIX: &str = "observatory-e2e-";

pub(crate) struct Home {
    folder: PathBuf,
    n_folders: AtomicUsize,
    /// Closed, and thereby unlocked, when the process ends.
    _lock: File,
    /// Closed when the process ends, which is what the watch waits for.
    _watched: ChildStdin,
}

impl Home {
    /// The one of this process.
    pub(crate) fn get() -> Result<&'static Home, &'static Error> {
        static HOME: OnceLock<Result<Home, Error>> = OnceLock::new();
        HOME.get_or_init(Home::make).as_ref()
    }

    /// A new folder for a server.
    pub(crate) fn new_folder(&self, name: &str) -> Result<PathBuf, Error> {
        let n = 1 + self.n_folders.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.join(format!("{name}-{n}"));
        make_folder(&folder)?;
        Ok(folder)
    }

    fn make() -> Result<Home, Error> {
        let temp = std::env::temp_dir();
        // The kernel names working directories by their real path.
        let temp = temp.canonicalize().map_err(Error::io(format!("find {}", temp.display())))?;
        remove_abandoned(&temp);

        let pid = std::process::id();
        let folder = temp.join(format!("{PREFIX}{pid}"));
        let unnamed = temp.join(format!(".{PREFIX}{pid}"));
        make_folder(&unnamed)?;
        let lock = File::create(unnamed.join("lock"))
            .and_then(|file| file.lock().map(|()| file))
            .map_err(Error::io(format!("lock {}", unnamed.display())))?;
        fs::rename(&unnamed, &folder).map_err(Error::io(format!("make {}", folder.display())))?;

        let watched = watch::over(&folder)?;
        Ok(Home { folder, n_folders: AtomicUsize::new(0), _lock: lock, _watched: watched })
    }
}

fn make_folder(folder: &Path) -> Result<(), Error> {
    let what = || format!("make the folder {}", folder.display());
    fs::create_dir_all(folder).map_err(Error::io(what()))?;
    // PostgreSQL, which does not run as root, has to come through, whatever the umask.
    fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(Error::io(what()))
}

/// Removes what killed processes have left. What cannot be removed is another user's.
fn remove_abandoned(temp: &Path) {
    let entries = fs::read_dir(temp).into_iter().flatten().flatten();
    for entry in entries {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let folder = entry.path();
        let free = match File::open(folder.join("lock")) {
            Ok(lock) => lock.try_lock().is_ok(),
            // Somebody has begun to remove it, and was killed.
            Err(error) => error.kind() == ErrorKind::NotFound,
        };
        if free {
            processes::end_below(&folder);
            drop(fs::remove_dir_all(&folder));
        }
    }
}
