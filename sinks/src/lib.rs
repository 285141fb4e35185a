//! Where sealed batches go: stores, and the views that readers are shown.

pub mod commit;
pub mod deltas;
pub mod fold;
pub mod live;
pub mod mongo;
pub mod redis;
pub mod sqlite;
pub mod store;
