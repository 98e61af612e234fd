//! One partition's database: its column families, its options, reads, and the one batch that writes.

mod scan;

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant as Moment};

use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, DBPinnableSlice, ErrorKind, FlushOptions, IteratorMode, ReadOptions,
    WriteBatch, WriteOptions,
};

use super::batch::{Batch, Put};
use super::error::StoreError;
use super::layout::{
    CHANGELOG_NEXT_KEY, COUNTERS_KEY, META_KEY, TIMERS_FROM_KEY, changelog, from_ordered, ordered, split_timer_key,
    timer_key,
};
use super::lock::Lock;
use super::meta_bytes::{Meta, decode_meta, has_parts};
use super::meta_parts::{self, MetaParts};
use super::options::{customers_options, database_options, other_options, timers_options};
use super::recorded::Recorded;
use super::shared::SharedMemory;
use crate::bytes::Corrupt;
use crate::event::Instant;

const CUSTOMERS: &str = "customers";
const TIMERS: &str = "timers";
const META: &str = "meta";
const FAMILIES: [&str; 3] = [CUSTOMERS, TIMERS, META];

/// How long a write waits for RocksDB to flush earlier ones, while the lane sends no heartbeat: half of the age at
/// which a lane counts as dead.
const STALLED_MAX: Duration = Duration::from_secs(30);
/// How often that is checked.
const STALLED_LOOK: Duration = Duration::from_millis(5);

/// One partition's database.
///
/// The write-ahead log is off, since the changelog on Kafka takes its place. The column families are flushed together,
/// so a crash leaves the complete state after some batch.
pub struct Database {
    /// Closed before the lock is released.
    db: DB,
    path: PathBuf,
    _lock: Option<Lock>,
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
    /// Another process has it open, it is damaged, or the operating system refuses a file; see [`StoreError::trouble`].
    pub fn open(path: &Path, memory: &SharedMemory) -> Result<Self, StoreError> {
        make_folder(path)?;
        let lock = Lock::take(path)?;
        Self::open_locked(path, memory, Some(lock))
    }

    /// As `open`, for a database that no other process opens and that is not needed after a restart.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_scratch(path: &Path, memory: &SharedMemory) -> Result<Self, StoreError> {
        make_folder(path)?;
        Self::open_locked(path, memory, None)
    }

    fn open_locked(path: &Path, memory: &SharedMemory, lock: Option<Lock>) -> Result<Self, StoreError> {
        let families = [
            ColumnFamilyDescriptor::new(CUSTOMERS, customers_options(memory)),
            ColumnFamilyDescriptor::new(TIMERS, timers_options(memory)),
            ColumnFamilyDescriptor::new(META, other_options(memory)),
            ColumnFamilyDescriptor::new("default", other_options(memory)),
        ];
        check_files(path)?;
        let opened = DB::open_cf_descriptors(&database_options(memory), path, families);
        Ok(Self { db: opened.map_err(StoreError::of_opening)?, path: path.to_owned(), _lock: lock })
    }

    /// Removes a database that is not open.
    ///
    /// # Errors
    /// The files cannot be removed.
    pub fn remove(path: &Path) -> Result<(), StoreError> {
        match std::fs::remove_dir_all(path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::File { path: path.to_owned(), source })
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

    /// The META of the local copy, if it was ever written.
    ///
    /// # Errors
    /// Damage, or bytes of a newer release.
    pub fn meta(&self) -> Result<Option<Meta>, StoreError> {
        let Some(bytes) = self.db.get_pinned_cf(self.family(META), META_KEY)? else { return Ok(None) };
        let mut meta = decode_meta(&bytes)?;
        if has_parts(&bytes) {
            meta_parts::complete(&mut meta, |key| Ok::<_, StoreError>(self.db.get_cf(self.family(META), key)?))?;
        }
        Ok(Some(meta))
    }

    /// The parts of META as stored.
    ///
    /// # Errors
    /// RocksDB cannot read.
    pub fn meta_parts(&self) -> Result<MetaParts, StoreError> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound([changelog::PART]);
        options.set_iterate_upper_bound([changelog::PART + 1]);
        let entries = self.db.iterator_cf_opt(self.family(META), options, IteratorMode::Start);
        let mut parts = BTreeMap::new();
        for entry in entries {
            let (key, value) = entry?;
            parts.insert(key.into_vec(), value.into_vec());
        }
        Ok(MetaParts::of(parts))
    }

    /// The changelog offset after the last record in this copy; `None` for a new database.
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

    /// Where a scan of `timers` begins: entries before it are obsolete.
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

    /// The counters of the customers, as bytes.
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

    /// Many customers at once, which is cheaper than one by one.
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

    /// Writes a batch: all of it, or nothing.
    ///
    /// # Errors
    /// RocksDB cannot write: disk full, an earlier failure, or a disk that is half a minute behind. The batch is not in
    /// effect.
    pub fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.write_at(batch, None)
    }

    /// As `write`, and also stores the changelog offset after the last record that the database then contains, if it is
    /// known.
    ///
    /// # Errors
    /// As `write`.
    pub fn write_at(&self, batch: &Batch, changelog_next: Option<i64>) -> Result<(), StoreError> {
        let options = write_options();
        let began = Moment::now();
        loop {
            match self.db.write_opt(self.collect(batch, changelog_next), &options) {
                Err(error) if error.kind() == ErrorKind::Incomplete && self.waits_for_room(began) => {}
                outcome => return Ok(outcome?),
            }
        }
    }

    /// Waits until writes are accepted again; false: it takes too long.
    fn waits_for_room(&self, began: Moment) -> bool {
        std::thread::sleep(STALLED_LOOK);
        while began.elapsed() < STALLED_MAX {
            if self.number("rocksdb.is-write-stopped") == 0 {
                return true;
            }
            std::thread::sleep(STALLED_LOOK);
        }
        false
    }

    fn collect(&self, batch: &Batch, changelog_next: Option<i64>) -> WriteBatch {
        let mut writes = WriteBatch::default();
        let (customers, timers, meta) = (self.family(CUSTOMERS), self.family(TIMERS), self.family(META));
        // Sorted, so that adjacent keys are inserted one after another and the memtable continues its search where it
        // ended. The sort is stable, so the last of several writes to one key stays the last.
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
        writes
    }

    /// Checks that RocksDB accepts writes. After some background errors it refuses all of them until the database is
    /// opened again.
    ///
    /// # Errors
    /// The background error.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        match self.db.write_opt(WriteBatch::default(), &write_options()) {
            // It is only slow.
            Err(error) if error.kind() == ErrorKind::Incomplete => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    /// How often RocksDB's background threads have failed to flush or compact files since it was opened.
    #[must_use]
    pub fn background_errors(&self) -> u64 {
        self.number("rocksdb.background-errors")
    }

    /// Bytes in memtables that are not being flushed yet.
    #[must_use]
    pub fn memtable_bytes(&self) -> u64 {
        self.sum("rocksdb.cur-size-active-mem-table")
    }

    /// Is a flush in progress?
    #[must_use]
    pub fn is_flushing(&self) -> bool {
        self.sum("rocksdb.num-immutable-mem-table") > 0
    }

    /// A property of the whole database; 0 where RocksDB does not say.
    fn number(&self, property: &'static str) -> u64 {
        self.db.property_int_value(property).ok().flatten().unwrap_or(0)
    }

    /// A property of each family, added up.
    fn sum(&self, property: &'static str) -> u64 {
        FAMILIES.iter().map(|name| self.family_number(name, property)).sum()
    }

    fn family_number(&self, name: &str, property: &'static str) -> u64 {
        self.db.property_int_value_cf(self.family(name), property).ok().flatten().unwrap_or(0)
    }

    /// Flushes the memtables, and waits until they are on disk.
    ///
    /// # Errors
    /// RocksDB cannot write.
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.flush_with(&options)
    }

    /// Starts a flush of the memtables in the background.
    ///
    /// # Errors
    /// RocksDB cannot write.
    pub fn request_flush(&self) -> Result<(), StoreError> {
        let mut options = FlushOptions::default();
        options.set_wait(false);
        self.flush_with(&options)
    }

    fn flush_with(&self, options: &FlushOptions) -> Result<(), StoreError> {
        let families = FAMILIES.map(|name| self.family(name));
        Ok(self.db.flush_cfs_opt(&families, options)?)
    }

    /// Bytes on disk of each family, by name.
    #[must_use]
    pub fn sizes(&self) -> [(&'static str, u64); 2] {
        [CUSTOMERS, TIMERS].map(|name| (name, self.family_number(name, "rocksdb.total-sst-files-size")))
    }

    /// About how many customers have a pending deadline.
    #[must_use]
    pub fn timers_estimate(&self) -> u64 {
        self.family_number(TIMERS, "rocksdb.estimate-num-keys")
    }
}

/// Checks the files that RocksDB opens first. It reports a missing MANIFEST like any file that cannot be opened, and
/// for a missing CURRENT it creates a new database next to the files of the old one.
fn check_files(path: &Path) -> Result<(), StoreError> {
    let refused = |source| StoreError::File { path: path.to_owned(), source };
    match std::fs::read_to_string(path.join("CURRENT")) {
        Ok(name) if path.join(name.trim_end()).is_file() => Ok(()),
        Ok(_) => Err(Corrupt("CURRENT names no file").into()),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(Corrupt("CURRENT").into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            for entry in std::fs::read_dir(path).map_err(refused)? {
                if entry.map_err(refused)?.path().extension().is_some_and(|extension| extension == "sst") {
                    return Err(Corrupt("CURRENT is missing").into());
                }
            }
            Ok(())
        }
        Err(source) => Err(refused(source)),
    }
}

fn write_options() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    // A write that would have to wait is refused: RocksDB itself would block without a limit.
    options.set_no_slowdown(true);
    options
}

fn make_folder(path: &Path) -> Result<(), StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| StoreError::File { path: path.to_owned(), source })
}
