//! `memory.limit`, and how it is divided.

use serde::Deserialize;

use super::values;

/// The resident memory of the process, and how it is divided over all lanes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Bytes; at least 64 MiB. The 0 of the file is resolved.
    #[serde(deserialize_with = "values::bytes")]
    pub limit: u64,
    /// Neither the operator nor a container set a limit: it is our own default.
    #[serde(skip)]
    pub is_default: bool,
}

/// What a process takes where neither the operator nor a container sets a limit.
const UNBOUND: u64 = 1 << 30;
/// Of the container's limit, since the kernel counts in it what a process cannot: its sockets, and pages of files.
const PERCENT_OF_CONTAINER: u64 = 80;

/// Bytes that a process has resident before it keeps anything, about 40 MiB (program, threads, connections), and those that
/// the allocator holds beyond what is asked of it. Of a small limit they are a large part.
pub const PROGRAM_BYTES: u64 = 64 << 20;
/// Bytes by which a process may still grow once reading pauses: batches at work, and what is decoded and written of them.
const ON_ITS_WAY_BYTES: u64 = 32 << 20;

impl Memory {
    /// With the limit of the container in place of 0.
    pub(super) fn resolved(self, container: Option<u64>) -> Self {
        match self.limit {
            0 => Self {
                limit: container.map_or(UNBOUND, |bytes| bytes / 100 * PERCENT_OF_CONTAINER),
                is_default: container.is_none(),
            },
            _ => self,
        }
    }

    /// Bytes for customers kept in memory: 30 % of what the program itself leaves.
    #[must_use]
    pub fn customers(self) -> u64 {
        self.percent(30)
    }

    /// Bytes for RocksDB's block cache, index and filter blocks included: 30 % of it.
    #[must_use]
    pub fn block_cache(self) -> u64 {
        self.percent(30)
    }

    /// Bytes for RocksDB's write buffers: 15 % of it.
    #[must_use]
    pub fn write_buffers(self) -> u64 {
        self.percent(15)
    }

    /// Bytes for librdkafka's queues, in and out: 15 % of it.
    #[must_use]
    pub fn queues(self) -> u64 {
        self.percent(15)
    }

    /// Bytes for batches at work, rules and schemas: 10 % of it.
    #[must_use]
    pub fn batches(self) -> u64 {
        self.percent(10)
    }

    /// Bytes for gathering sources, where they are: 15 % of it, taken from the block cache; a third each for what is read
    /// ahead, at hand, and written.
    #[must_use]
    pub fn gathered(self) -> u64 {
        self.percent(15)
    }

    /// Resident bytes above which reading pauses: 90 % of the limit, and less of a small one, since what is on its way when
    /// reading stops does not shrink with it.
    #[must_use]
    pub fn pause_above(self) -> u64 {
        self.limit - (self.limit / 10).max(ON_ITS_WAY_BYTES.min(self.limit / 5))
    }

    fn percent(self, percent: u64) -> u64 {
        (self.limit - PROGRAM_BYTES.min(self.limit / 3)) / 100 * percent
    }
}
