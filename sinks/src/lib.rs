//! Where sealed batches go: stores, and the views that readers are shown.

pub mod changes;
pub mod commit;
pub mod crash;
pub mod deltas;
pub mod feed;
pub mod fold;
pub mod live;
pub mod merge;
pub mod mongo;
pub mod postgres;
pub mod probe;
pub mod query;
pub mod redis;
pub mod servers;
pub mod sqlite;
pub mod store;
