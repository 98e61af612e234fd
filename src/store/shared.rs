//! What all databases of a process share: memory, threads, and the limit of open files.

use rocksdb::{Cache, Env, WriteBufferManager};

use super::handles::FILES_OPEN_MAX;

/// Flush threads for all databases together: a single one would let all partitions wait for the largest.
const FLUSH_THREADS: i32 = 2;
/// Compaction threads for all databases together; at most the number of processors.
const COMPACTION_THREADS_MAX: usize = 4;

/// The memory that all databases of a process share: a block cache, and write buffers charged to it; and their threads.
///
/// No write waits for the buffers of another database: with stalls allowed, RocksDB would block a thread that writes to
/// all of them in turn on a flush that nobody requests. Writers make sure that buffers are flushed in time, see
/// [`SharedMemory::write_buffers_used`].
pub struct SharedMemory {
    pub(super) cache: Cache,
    /// Size of the cache, unless it is shrunk.
    capacity: usize,
    pub(super) buffers: WriteBufferManager,
    pub(super) env: Env,
    pub(super) files_open_max: i32,
}

impl SharedMemory {
    /// Bytes for all databases together: blocks of files, and write buffers.
    ///
    /// # Panics
    /// If RocksDB has no environment for this platform.
    #[must_use]
    pub fn new(block_cache: usize, write_buffers: usize) -> Self {
        let cache = Cache::new_lru_cache(block_cache + write_buffers);
        let stall = false;
        let buffers = WriteBufferManager::new_write_buffer_manager_with_cache(write_buffers, stall, cache.clone());
        let mut env = Env::new().expect("RocksDB has an environment for every platform it compiles on");
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let compactions = i32::try_from(processors.min(COMPACTION_THREADS_MAX)).unwrap_or(1);
        env.set_high_priority_background_threads(FLUSH_THREADS);
        env.set_low_priority_background_threads(compactions);
        Self { cache, capacity: block_cache + write_buffers, buffers, env, files_open_max: FILES_OPEN_MAX }
    }

    /// Each database may hold this many files open; see [`super::files_per_database`].
    #[must_use]
    pub fn with_files_open(mut self, most: i32) -> Self {
        self.files_open_max = most;
        self
    }

    /// Releases half of the cache's memory while memory is short.
    pub fn shrink(&self) {
        self.cache.clone().set_capacity(self.capacity / 2);
    }

    /// Restores the size of the cache.
    pub fn regrow(&self) {
        self.cache.clone().set_capacity(self.capacity);
    }

    /// Bytes in use now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.cache.get_usage()
    }

    /// Bytes of write buffers in use, including those being flushed, and their limit.
    #[must_use]
    pub fn write_buffers_used(&self) -> (usize, usize) {
        (self.buffers.get_usage(), self.buffers.get_buffer_size())
    }
}
