//! How facts come in.

pub mod recorded;
