//! The options of RocksDB, for a database and for each column family.

use rocksdb::{BlockBasedOptions, DBCompressionType, LogLevel, Options};

use super::shared::SharedMemory;

/// The size at which a memtable is flushed, which bounds what must be read again after a crash.
const MEMTABLE_BYTES: usize = 32 << 20;
/// Column families are flushed together, when the first of them is full. META is written with each batch, some KB of
/// it, so it has room for minutes of batches.
const OTHER_MEMTABLE_BYTES: usize = 16 << 20;
/// The arena block of a memtable. RocksDB's default, 1 MiB for each family, would be most of the budget where a process
/// has many quiet partitions.
const ARENA_BLOCK_BYTES: usize = 64 << 10;
/// Flushes and compactions of one database at once, so that it does not occupy all threads of the process.
const BACKGROUND_JOBS: i32 = 2;
/// Files in level 0 at which writes stall. RocksDB's default; but writes are not slowed down before, which RocksDB
/// would do by sleeping in the write.
const FIRST_LEVEL_FILES_MAX: i32 = 36;

pub(super) fn database_options(memory: &SharedMemory) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_env(&memory.env);
    options.set_atomic_flush(true);
    options.set_write_buffer_manager(&memory.buffers);
    options.set_max_open_files(memory.files_open_max);
    options.set_max_background_jobs(BACKGROUND_JOBS);
    options.set_paranoid_checks(true);
    options.set_keep_log_file_num(2);
    options.set_log_level(LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options
}

pub(super) fn customers_options(memory: &SharedMemory) -> Options {
    let mut options = family_options(MEMTABLE_BYTES);
    let mut blocks = block_options(memory);
    // States are read by key: a bloom filter skips levels that do not contain it.
    blocks.set_bloom_filter(10.0, false);
    options.set_block_based_table_factory(&blocks);
    options
}

pub(super) fn timers_options(memory: &SharedMemory) -> Options {
    let mut options = other_options(memory);
    // Fired timers leave tombstones that a scan must skip: compact files in which they are half.
    options.add_compact_on_deletion_collector_factory(10_000, 5_000, 0.5);
    options
}

pub(super) fn other_options(memory: &SharedMemory) -> Options {
    let mut options = family_options(OTHER_MEMTABLE_BYTES);
    options.set_block_based_table_factory(&block_options(memory));
    options
}

fn family_options(memtable: usize) -> Options {
    let mut options = Options::default();
    options.set_write_buffer_size(memtable);
    options.set_arena_block_size(ARENA_BLOCK_BYTES);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_level_zero_slowdown_writes_trigger(FIRST_LEVEL_FILES_MAX);
    options.set_level_zero_stop_writes_trigger(FIRST_LEVEL_FILES_MAX);
    options.set_soft_pending_compaction_bytes_limit(0);
    options.set_hard_pending_compaction_bytes_limit(0);
    options
}

fn block_options(memory: &SharedMemory) -> BlockBasedOptions {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&memory.cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_block_size(8 << 10);
    blocks.set_format_version(5);
    blocks
}
