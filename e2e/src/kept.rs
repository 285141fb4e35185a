//! What `cargo xtask test` has fetched (`xtask/src/install.rs`).

use std::env;
use std::path::{Path, PathBuf};

/// Where a file is that no package of Debian has, by its name there.
#[must_use]
pub fn kept(name: &str) -> PathBuf {
    let cache = match env::var_os("XDG_CACHE_HOME") {
        Some(cache) if !cache.is_empty() => PathBuf::from(cache),
        _ => Path::new(&env::var_os("HOME").unwrap_or_default()).join(".cache"),
    };
    cache.join("observatory-tests").join(name)
}
