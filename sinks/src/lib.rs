//! Where sealed batches go: stores, and the views that readers are shown.

mod changes;
pub mod commit;
pub mod live;
pub mod postgres;
pub mod sqlite;
pub mod store;
