//! Durable state: customers, timers and META, one RocksDB database a partition. The only room that names `rocksdb`.
//!
//! `layout` draws every key; `state_bytes`, `meta_bytes`, `counter_bytes`, `survey_bytes`, `sample_bytes` and `recorded` the values, for
//! RocksDB and the topics alike; `database` opens, reads and writes.

mod bytes;
mod counter_bytes;
mod database;
mod days_bytes;
pub mod layout;
mod meta_bytes;
mod parameters_bytes;
mod recorded;
mod sample_bytes;
mod state_bytes;
mod survey_bytes;

pub use bytes::Corrupt;
pub use counter_bytes::{Published, decode_counters, encode_counters};
pub use database::{Batch, Database, SharedMemory, StoreError, Stored, StoredCustomer};
pub use meta_bytes::{Adopting, InForce, Log, Meta, Surveyed, TakingUp, decode_meta, encode_meta};
pub use recorded::Recorded;
pub use sample_bytes::PublishedSample;
pub use state_bytes::{as_of, decode_state, encode_state, next_deadline, places};
pub use survey_bytes::PublishedSurvey;
