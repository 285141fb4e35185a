//! `cargo +nightly fuzz run decode`, from `contracts`: any bytes, decoded and taken apart.

#![no_main]

#[path = "../invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|body: &[u8]| invariants::hold(body));
