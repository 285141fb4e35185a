//! Free ports on 127.0.0.1.
//!
//! Not the system's choice of a free port: those are the ones that outgoing connections get too.
//! While a killed server is away, one of them could take its port, and a client that tries to
//! reach it again and again will sooner or later get the very port as its own, and be connected
//! to itself.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Below what Linux gives to connections (from 32768), above what well-known servers have.
const RANGE: Range<u16> = 20_000..32_000;

/// Ports that were free a moment ago and are not given to anybody else in this process.
#[must_use]
pub fn free(count: usize) -> Vec<u16> {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let given = given.get_or_insert_default();
    let mut ports = Vec::with_capacity(count);
    while ports.len() < count {
        let port = fastrand::u16(RANGE);
        if !given.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            given.insert(port);
            ports.push(port);
        }
    }
    ports
}
