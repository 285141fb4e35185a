//! The dataflow of Task Observatory, pure: driven by ticks, no runtime, no clients, no I/O.
pub mod aside;
pub mod backtest;
pub mod cluster;
pub mod dataflow;
pub mod distribution;
pub mod fact;
pub mod grid;
pub mod job_state;
mod job_table;
pub mod lives;
pub mod name;
pub mod observed;
pub mod reading;
pub mod retention;
pub mod row;
pub mod rules;
pub mod seal;
pub mod summary;
pub mod views;
mod wheel;
pub mod worker;

/// The dataflow's timestamp: µs since the epoch, strictly increasing.
pub type Tick = u64;
/// A change in multiplicity: `+1` adds a record, `-1` retracts it.
pub type Diff = isize;
