//! What the tests of the binary share.
//!
//! ```text
//!   script ──▶ lines of a stream ──▶ program: `replay`, run to its end
//!   crowd ───▶                   └─▶ service: `up`, with HTTP in front and a folder below
//! ```
//!
//! The binary is run as anybody runs it, so a test knows only what it prints, answers and stores.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod crowd;
pub(crate) mod program;
pub(crate) mod script;
pub(crate) mod service;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use contracts::Micros;

/// 2026-11-21T10:00:00Z, when the scripts begin.
pub(crate) const TEN: Micros = Micros(1_795_255_200_000_000);

pub(crate) const SECOND: i64 = 1_000_000;

/// How long anything may take on a busy machine; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// µs since the epoch, by the clock of the machine.
pub(crate) fn now() -> Micros {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Micros(i64::try_from(since.as_micros()).unwrap())
}

/// Compares with the golden file, or rewrites it.
#[track_caller]
pub(crate) fn assert_golden(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, text).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    for (n, (golden, now)) in golden.lines().zip(text.lines()).enumerate() {
        assert_eq!(now, golden, "{}, line {}", path.display(), n + 1);
    }
    assert!(golden == text, "{} is longer, shorter or ends otherwise", path.display());
}

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(10);

/// Waits for `condition` to give something.
#[track_caller]
pub(crate) fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, condition)
}

/// Waits no longer than `limit` for `condition` to give something.
#[track_caller]
pub(crate) fn within<T>(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(LOOK);
    }
}
