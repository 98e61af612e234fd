//! One partition's database: its column families, its options, reading and the one batch that writes.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBPinnableSlice, Direction,
    FlushOptions, IteratorMode, LogLevel, Options, ReadOptions, WriteBatch, WriteBufferManager, WriteOptions,
};

use super::bytes::Corrupt;
use super::layout::{
    CHANGELOG_NEXT_KEY, COUNTERS_KEY, META_KEY, TIMERS_FROM_KEY, changelog, from_ordered, ordered, split_timer_key,
    timer_key,
};
use super::meta_bytes::{Meta, decode_meta, encode_meta};
use super::recorded::Recorded;
use crate::event::Instant;

const CUSTOMERS: &str = "customers";
const TIMERS: &str = "timers";
const META: &str = "meta";

/// Files that one database may hold open.
const FILES_OPEN_MAX: i32 = 256;
/// Memtables are flushed at this size at the latest, which bounds what a crash makes us read again.
const MEMTABLE_BYTES: usize = 32 << 20;

/// What the store says when it cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Reading found damage: set the directory aside and restore from the changelog.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// RocksDB refused: disk full, damaged files, directory in use. Close, reopen, restore.
    #[error("RocksDB: {0}")]
    Database(#[from] rocksdb::Error),
    #[error("cannot prepare the state directory {path}: {source}")]
    Directory { path: PathBuf, source: std::io::Error },
}

/// The memory that all databases of a process share: block cache, and write buffers charged to it.
pub struct SharedMemory {
    cache: Cache,
    buffers: WriteBufferManager,
}

impl SharedMemory {
    /// Bytes for all databases together: blocks of files, and write buffers.
    #[must_use]
    pub fn new(block_cache: usize, write_buffers: usize) -> Self {
        let cache = Cache::new_lru_cache(block_cache + write_buffers);
        let buffers = WriteBufferManager::new_write_buffer_manager_with_cache(write_buffers, true, cache.clone());
        Self { cache, buffers }
    }

    /// Bytes in use now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.cache.get_usage()
    }
}

/// One partition's database.
///
/// The write-ahead log is off: Kafka's log is it. The column families are flushed together, so what a crash leaves is
/// the state after some batch, whole.
pub struct Database {
    db: DB,
    path: PathBuf,
}

/// All writes of one batch; takes effect at once.
#[derive(Default)]
pub struct Batch {
    puts: Vec<Put>,
}

enum Put {
    Customer {
        customer: Box<str>,
        value: Vec<u8>,
    },
    NoCustomer {
        customer: Box<str>,
    },
    Timer {
        due: Instant,
        customer: Box<str>,
    },
    NoTimer {
        due: Instant,
        customer: Box<str>,
    },
    Meta(Vec<u8>),
    Counters(Vec<u8>),
    ChangelogNext(i64),
    TimersFrom(Instant),
    Recorded {
        key: Vec<u8>,
        value: Option<Vec<u8>>,
    },
    /// Takes away what says where the copy stands.
    NoMeta,
}

impl Put {
    /// Its family and the order of keys there, as far as there may be many.
    fn place(&self) -> (u8, Instant, &str) {
        match self {
            Self::Customer { customer, .. } | Self::NoCustomer { customer } => (0, Instant::MIN, customer),
            Self::Timer { due, customer } | Self::NoTimer { due, customer } => (1, *due, customer),
            Self::Meta(_)
            | Self::NoMeta
            | Self::Counters(_)
            | Self::ChangelogNext(_)
            | Self::TimersFrom(_)
            | Self::Recorded { .. } => (2, Instant::MIN, ""),
        }
    }
}

impl Batch {
    /// A customer's state, and where their entry in `timers` stands.
    pub fn put_customer(&mut self, customer: &str, indexed_at: Instant, state: &[u8]) {
        let mut value = Vec::with_capacity(8 + state.len());
        value.extend_from_slice(&ordered(indexed_at.0));
        value.extend_from_slice(state);
        self.puts.push(Put::Customer { customer: customer.into(), value });
    }

    /// Removes a customer.
    pub fn delete_customer(&mut self, customer: &str) {
        self.puts.push(Put::NoCustomer { customer: customer.into() });
    }

    pub fn put_timer(&mut self, due: Instant, customer: &str) {
        self.puts.push(Put::Timer { due, customer: customer.into() });
    }

    pub fn delete_timer(&mut self, due: Instant, customer: &str) {
        self.puts.push(Put::NoTimer { due, customer: customer.into() });
    }

    pub fn put_meta(&mut self, meta: &Meta) {
        let mut bytes = Vec::new();
        encode_meta(meta, &mut bytes);
        self.puts.push(Put::Meta(bytes));
    }

    /// The partition was emptied: nothing says any more where it stands, what is counted, and which timers count.
    pub fn delete_meta(&mut self) {
        self.puts.push(Put::NoMeta);
    }

    /// What is counted of the customers as they stand once this is written.
    pub fn put_counters(&mut self, bytes: Vec<u8>) {
        self.puts.push(Put::Counters(bytes));
    }

    /// A recorded input, by its changelog key; without a value it is removed.
    pub fn put_recorded(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.puts.push(Put::Recorded { key, value });
    }

    /// The changelog offset after the last record that the database holds once this is written.
    pub fn put_changelog_next(&mut self, offset: i64) {
        self.puts.push(Put::ChangelogNext(offset));
    }

    /// Every entry of `timers` that counts once this is written stands at or after this instant.
    pub fn put_timers_from(&mut self, from: Instant) {
        self.puts.push(Put::TimersFrom(from));
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.puts.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty()
    }
}

/// A customer's value as stored.
pub struct StoredCustomer<'d> {
    value: DBPinnableSlice<'d>,
}

/// A customer as stored, in memory of its own.
pub struct Stored {
    pub customer: Box<str>,
    /// Where the entry in `timers` stands; `MAX`: none.
    pub indexed_at: Instant,
    /// The state's bytes.
    pub state: Box<[u8]>,
}

impl StoredCustomer<'_> {
    /// Where the customer's entry in `timers` stands; `MAX`: none.
    ///
    /// # Errors
    /// A value too short to be one.
    pub fn indexed_at(&self) -> Result<Instant, Corrupt> {
        let head = self.value.first_chunk::<8>().ok_or(Corrupt("customer"))?;
        Ok(Instant(from_ordered(*head)))
    }

    /// The state's bytes.
    #[must_use]
    pub fn state(&self) -> &[u8] {
        self.value.get(8..).unwrap_or_default()
    }
}

impl Database {
    /// Opens the database in `path`, made if it is not there.
    ///
    /// # Errors
    /// The directory cannot be made, is in use by another process, or holds damage.
    pub fn open(path: &Path, memory: &SharedMemory) -> Result<Self, StoreError> {
        std::fs::create_dir_all(path).map_err(|source| StoreError::Directory { path: path.to_owned(), source })?;
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_atomic_flush(true);
        options.set_write_buffer_manager(&memory.buffers);
        options.set_max_open_files(FILES_OPEN_MAX);
        options.set_max_background_jobs(2);
        options.set_paranoid_checks(true);
        options.set_keep_log_file_num(2);
        options.set_log_level(LogLevel::Warn);
        options.set_stats_dump_period_sec(0);
        let families = [
            ColumnFamilyDescriptor::new(CUSTOMERS, customers_options(memory)),
            ColumnFamilyDescriptor::new(TIMERS, timers_options(memory)),
            ColumnFamilyDescriptor::new(META, family_options(memory, 1 << 20)),
            ColumnFamilyDescriptor::new("default", family_options(memory, 1 << 20)),
        ];
        let db = DB::open_cf_descriptors(&options, path, families)?;
        Ok(Self { db, path: path.to_owned() })
    }

    /// Removes a database that is not open.
    ///
    /// # Errors
    /// The files cannot be removed.
    pub fn remove(path: &Path) -> Result<(), StoreError> {
        match std::fs::remove_dir_all(path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::Directory { path: path.to_owned(), source })
            }
            _ => Ok(()),
        }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn family(&self, name: &str) -> &ColumnFamily {
        self.db.cf_handle(name).expect("every column family is made when the database is opened")
    }

    /// Where the local copy stands, if it was ever written.
    ///
    /// # Errors
    /// Damage, or bytes of a newer release.
    pub fn meta(&self) -> Result<Option<Meta>, StoreError> {
        match self.db.get_pinned_cf(self.family(META), META_KEY)? {
            Some(bytes) => Ok(Some(decode_meta(&bytes)?)),
            None => Ok(None),
        }
    }

    /// The changelog offset after the last record that this copy holds; none for a new database.
    ///
    /// # Errors
    /// Damage.
    pub fn changelog_next(&self) -> Result<Option<i64>, StoreError> {
        match self.db.get_pinned_cf(self.family(META), CHANGELOG_NEXT_KEY)? {
            Some(bytes) => {
                let bytes = <[u8; 8]>::try_from(&*bytes).map_err(|_| Corrupt("changelog offset"))?;
                Ok(Some(from_ordered(bytes)))
            }
            None => Ok(None),
        }
    }

    /// Where a scan of `timers` begins: no entry before it counts.
    ///
    /// # Errors
    /// Damage.
    pub fn timers_from(&self) -> Result<Instant, StoreError> {
        match self.db.get_pinned_cf(self.family(META), TIMERS_FROM_KEY)? {
            Some(bytes) => {
                let bytes = <[u8; 8]>::try_from(&*bytes).map_err(|_| Corrupt("start of the timers"))?;
                Ok(Instant(from_ordered(bytes)))
            }
            None => Ok(Instant::MIN),
        }
    }

    /// What was counted of the customers, as bytes.
    ///
    /// # Errors
    /// RocksDB cannot read.
    pub fn counters(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.db.get_cf(self.family(META), COUNTERS_KEY)?)
    }

    /// All recorded inputs, ascending by position.
    ///
    /// # Errors
    /// Damage.
    pub fn recorded(&self) -> Result<Vec<(i64, Recorded)>, StoreError> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound([changelog::INPUT]);
        options.set_iterate_upper_bound([changelog::INPUT + 1]);
        let mut found = Vec::new();
        for entry in self.db.iterator_cf_opt(self.family(META), options, IteratorMode::Start) {
            let (key, value) = entry?;
            found.push(Recorded::read(&key, &value)?);
        }
        found.sort_by_key(|(position, _)| *position);
        Ok(found)
    }

    /// One customer.
    ///
    /// # Errors
    /// RocksDB cannot read.
    pub fn customer(&self, customer: &str) -> Result<Option<StoredCustomer<'_>>, StoreError> {
        let found = self.db.get_pinned_cf(self.family(CUSTOMERS), customer)?;
        Ok(found.map(|value| StoredCustomer { value }))
    }

    /// Many customers at once, which costs less than one by one.
    ///
    /// # Errors
    /// RocksDB cannot read.
    ///
    /// `sorted`: ascending.
    pub fn customers(&self, sorted: &[&str]) -> Result<Vec<Option<StoredCustomer<'_>>>, StoreError> {
        let found = self.db.batched_multi_get_cf(self.family(CUSTOMERS), sorted.iter().copied(), true);
        found.into_iter().map(|value| Ok(value?.map(|value| StoredCustomer { value }))).collect()
    }

    /// Entries of `timers` from `from` on and before `until`, in order, at most `most`; and whether there may be more.
    ///
    /// # Errors
    /// RocksDB cannot read, or a key is damaged.
    pub fn due(&self, from: &[u8], until: Instant, most: usize) -> Result<Vec<(Instant, Box<str>)>, StoreError> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(from);
        options.set_iterate_upper_bound(ordered(until.0));
        let mut found = Vec::new();
        for entry in self.db.iterator_cf_opt(self.family(TIMERS), options, IteratorMode::Start).take(most) {
            let (key, _) = entry?;
            let (due, customer) = split_timer_key(&key).ok_or(Corrupt("timer"))?;
            found.push((due, customer.into()));
        }
        Ok(found)
    }

    /// The customers whose ids come after `after`, in the order of bytes: as many as fit in these limits, one at least if
    /// there is one.
    ///
    /// # Errors
    /// RocksDB cannot read, or a value is damaged.
    pub fn customers_after(&self, after: &str, most: usize, bytes_max: usize) -> Result<Vec<Stored>, StoreError> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound([after.as_bytes(), &[0]].concat());
        let (mut found, mut bytes) = (Vec::new(), 0);
        for entry in self.db.iterator_cf_opt(self.family(CUSTOMERS), options, IteratorMode::Start) {
            if found.len() >= most || bytes >= bytes_max {
                break;
            }
            let (key, value) = entry?;
            let customer = std::str::from_utf8(&key).map_err(|_| Corrupt("customer id"))?;
            let (head, state) = value.split_first_chunk::<8>().ok_or(Corrupt("customer"))?;
            bytes += state.len();
            found.push(Stored {
                customer: customer.into(),
                indexed_at: Instant(from_ordered(*head)),
                state: state.into(),
            });
        }
        Ok(found)
    }

    /// Calls `visit` with the id and state bytes of every customer after `after`, in order of id, until it breaks.
    ///
    /// # Errors
    /// RocksDB cannot read, a value is damaged, or what `visit` says.
    pub fn for_each_customer(
        &self,
        after: &str,
        mut visit: impl FnMut(&str, &[u8]) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let from = IteratorMode::From(after.as_bytes(), Direction::Forward);
        for entry in self.db.iterator_cf(self.family(CUSTOMERS), from) {
            let (key, value) = entry?;
            let customer = std::str::from_utf8(&key).map_err(|_| Corrupt("customer id"))?;
            if customer > after && visit(customer, value.get(8..).ok_or(Corrupt("customer"))?)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Writes a batch: all of it, or nothing.
    ///
    /// # Errors
    /// RocksDB cannot write: disk full, or an earlier failure. The batch is not in effect.
    pub fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.write_at(batch, None)
    }

    /// As `write`, and notes the changelog offset after the last record that the database then holds, if it is known.
    ///
    /// # Errors
    /// As `write`.
    pub fn write_at(&self, batch: &Batch, changelog_next: Option<i64>) -> Result<(), StoreError> {
        let mut writes = WriteBatch::default();
        let (customers, timers, meta) = (self.family(CUSTOMERS), self.family(TIMERS), self.family(META));
        // Neighbours go in one after another: a memtable then begins its search where it ended. Stable, so that of several
        // writes to one key the last stays the last.
        let mut puts: Vec<&Put> = batch.puts.iter().collect();
        puts.sort_by(|a, b| a.place().cmp(&b.place()));
        for put in puts {
            match put {
                Put::Customer { customer, value } => writes.put_cf(customers, customer.as_bytes(), value),
                Put::NoCustomer { customer } => writes.delete_cf(customers, customer.as_bytes()),
                Put::Timer { due, customer } => writes.put_cf(timers, timer_key(*due, customer), []),
                Put::NoTimer { due, customer } => writes.delete_cf(timers, timer_key(*due, customer)),
                Put::NoMeta => {
                    [META_KEY, COUNTERS_KEY, TIMERS_FROM_KEY].iter().for_each(|key| writes.delete_cf(meta, key))
                }
                Put::Meta(bytes) => writes.put_cf(meta, META_KEY, bytes),
                Put::Counters(bytes) => writes.put_cf(meta, COUNTERS_KEY, bytes),
                Put::Recorded { key, value: Some(value) } => writes.put_cf(meta, key, value),
                Put::Recorded { key, value: None } => writes.delete_cf(meta, key),
                Put::TimersFrom(from) => writes.put_cf(meta, TIMERS_FROM_KEY, ordered(from.0)),
                Put::ChangelogNext(offset) => writes.put_cf(meta, CHANGELOG_NEXT_KEY, ordered(*offset)),
            }
        }
        if let Some(offset) = changelog_next {
            writes.put_cf(meta, CHANGELOG_NEXT_KEY, ordered(offset));
        }
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        Ok(self.db.write_opt(writes, &options)?)
    }

    /// Asks for memtables to be written out; `wait`: until they are.
    ///
    /// # Errors
    /// RocksDB cannot write.
    pub fn flush(&self, wait: bool) -> Result<(), StoreError> {
        let mut options = FlushOptions::default();
        options.set_wait(wait);
        let families = [self.family(CUSTOMERS), self.family(TIMERS), self.family(META)];
        Ok(self.db.flush_cfs_opt(&families, &options)?)
    }

    /// Bytes on disk of each family, by name.
    #[must_use]
    pub fn sizes(&self) -> [(&'static str, u64); 2] {
        let size = |name| {
            let found = self.db.property_int_value_cf(self.family(name), "rocksdb.total-sst-files-size");
            found.ok().flatten().unwrap_or(0)
        };
        [(CUSTOMERS, size(CUSTOMERS)), (TIMERS, size(TIMERS))]
    }

    /// About how many customers have a deadline ahead.
    #[must_use]
    pub fn timers_estimate(&self) -> u64 {
        let found = self.db.property_int_value_cf(self.family(TIMERS), "rocksdb.estimate-num-keys");
        found.ok().flatten().unwrap_or(0)
    }
}

fn family_options(memory: &SharedMemory, memtable: usize) -> Options {
    let mut options = Options::default();
    options.set_write_buffer_size(memtable);
    options.set_compression_type(DBCompressionType::Lz4);
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&memory.cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_block_size(8 << 10);
    blocks.set_format_version(5);
    options.set_block_based_table_factory(&blocks);
    options
}

fn customers_options(memory: &SharedMemory) -> Options {
    let mut options = family_options(memory, MEMTABLE_BYTES);
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&memory.cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // States are read by key: a filter spares the levels that do not hold it.
    blocks.set_bloom_filter(10.0, false);
    blocks.set_block_size(8 << 10);
    blocks.set_format_version(5);
    options.set_block_based_table_factory(&blocks);
    options
}

fn timers_options(memory: &SharedMemory) -> Options {
    let mut options = family_options(memory, MEMTABLE_BYTES / 2);
    // Fired timers are deletions that a scan must step over: compact files that are half deletions.
    options.add_compact_on_deletion_collector_factory(10_000, 5_000, 0.5);
    options
}
