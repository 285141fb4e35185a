//! The views: what is maintained over the rows of all jobs.

pub mod alerts;
pub mod counts;
pub mod latency;
pub mod minutes;
pub mod sliding;
pub mod throughput;
