//! Points at which a test has the process die, as a kill -9 would have it.
//!
//! ```text
//!   FAILPOINTS='commit=3*off->return'                 dies when it comes to `commit` the fourth time
//!   FAILPOINTS='begin=sleep(300);archived=return'     dies at `archived`, before another is past `begin`
//! ```
//!
//! Without the feature `crash-points` nothing of this is in the program. What may be said of a
//! point is what the crate `fail` knows.

/// Goes on, unless `FAILPOINTS` says otherwise of the point with this name.
#[cfg(feature = "crash-points")]
pub fn point(name: &str) {
    static SET_UP: std::sync::Once = std::sync::Once::new();
    // Dropped, it would forget what it has read.
    SET_UP.call_once(|| std::mem::forget(fail::FailScenario::setup()));
    // Nothing is dropped, and nothing that was buffered is written.
    fail::fail_point!(name, |_| std::process::abort());
}

/// Goes on.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn point(_name: &str) {}
