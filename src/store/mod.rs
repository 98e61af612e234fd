//! Durable state: customers, timers and META, one RocksDB database a partition. The only module that uses `rocksdb`.
//!
//! `layout` shows every key; `meta_bytes`, `meta_parts`, `counter_bytes`, `survey_bytes`,
//! `sample_bytes`, `result_bytes` and `recorded` the values, for RocksDB and the topics alike; `database` opens, reads
//! and writes a `batch`, with the `options` and what all databases share in `shared`; `lock` prevents opening one
//! twice, `quarantine` keeps damaged ones, `moved` removes those of partitions that moved away, `space` and `handles`
//! watch the limits of the machine.

mod batch;
mod counter_bytes;
mod database;
mod error;
mod handles;
pub mod layout;
mod lock;
mod meta_bytes;
mod meta_parts;
mod moved;
mod options;
mod parameters_bytes;
mod quarantine;
mod recorded;
mod result_bytes;
mod sample_bytes;
mod shared;
mod space;
mod summary_kind;
mod survey_bytes;

pub use crate::bytes::Corrupt;
pub use crate::engine::{as_of, decode_state, encode_state, next_deadline, places, read_state};
pub use batch::Batch;
pub use counter_bytes::{Published, Stage, decode_counters, encode_counters};
pub use database::{Database, Stored, StoredCustomer};
pub use error::{StoreError, Trouble};
pub use handles::{FILES_PER_DATABASE_MIN, files_per_database, raise_file_limit};
pub use meta_bytes::{
    InForce, LastSurveys, Log, Meta, MigrationProgress, Overdue, ThresholdsProgress, decode_meta, encode_meta,
    has_parts,
};
pub use meta_parts::{MetaParts, encode_parts};
pub use moved::{MOVED_FOR, remove_moved};
pub use quarantine::{DAMAGES_MAX, SetAside, remove_set_aside, set_aside, trim_set_aside};
pub use recorded::{CohortHour, DecisionPoint, Recorded, Surge, Trigger};
pub use result_bytes::{
    DigestBlock, PublishedThresholds, decode_digest, decode_parameters, encode_digest, encode_parameters,
};
pub use sample_bytes::PublishedSample;
pub use shared::SharedMemory;
pub use space::{Marks, Space, Writing};
pub use summary_kind::{SummaryKind, made_for};
pub use survey_bytes::{BLOCK_BYTES, KeyValue, PublishedBlock, decode_whole, encode_survey, encode_whole};
