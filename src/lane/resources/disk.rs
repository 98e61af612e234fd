//! Whether the disk has room for more.

use std::collections::BTreeMap;
use std::time::Instant as Moment;

/// What the last check of the disk showed.
#[derive(Default)]
pub(in crate::lane) struct Disk {
    pub(in crate::lane) looked: Option<Moment>,
    /// Why nothing more may be written.
    pub(super) full: Option<String>,
    /// Errors of RocksDB's own threads, by partition, as last seen.
    pub(super) errors: BTreeMap<i32, u64>,
}

impl Disk {
    /// Must nothing be written?
    pub(in crate::lane) fn is_full(&self) -> bool {
        self.full.is_some()
    }
}
