//! Where sealed batches go: stores, and the views that readers are shown.

pub mod commit;
pub mod live;
pub mod sqlite;
pub mod store;
