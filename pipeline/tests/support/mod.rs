//! What the tests of the pipeline share.
//!
//! ```text
//!   streams ──ticks of facts──┬──▶ bench: the dataflow ──Sealed──▶ shown: views ─┐
//!                             │          ▲ │                                     ├─▶ compared
//!                             │        store: records, totals, minutes           │
//!                             └──▶ oracle: sort and scan ──────────▶ Expected ───┘
//! ```
//!
//! Rules go the same two ways: [`rules`] writes what they mean and the text that the dataflow
//! reads, and [`alerts`] judges what they mean.
//!
//! The oracle knows nothing of summaries, rows or distributions: it reads the contract.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod alerts;
pub(crate) mod bench;
pub(crate) mod oracle;
pub(crate) mod random;
pub(crate) mod rules;
pub(crate) mod shown;
pub(crate) mod store;
pub(crate) mod streams;

use proptest::test_runner::Config;

/// The number of random cases: `OBSERVATORY_TEST_CASES`, in proportion to `weight` per mille.
///
/// A test whose cases cost ten times as much says 100.
pub(crate) fn cases(weight: u32) -> Config {
    let asked = std::env::var("OBSERVATORY_TEST_CASES").ok().and_then(|text| text.parse().ok());
    let cases = (asked.unwrap_or(32_u32) * weight).div_ceil(1000);
    // A failure prints its seed and sizes, which is all that is needed to run it again.
    Config { cases, failure_persistence: None, max_shrink_iters: 64, ..Config::default() }
}
