//! One partition's database: its column families, its options, reading and the one batch that writes.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant as Moment};

use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, DBPinnableSlice, Direction, ErrorKind, FlushOptions, IteratorMode,
    ReadOptions, WriteBatch, WriteOptions,
};

use super::error::StoreError;
use super::layout::{
    CHANGELOG_NEXT_KEY, COUNTERS_KEY, META_KEY, TIMERS_FROM_KEY, changelog, from_ordered, ordered, split_timer_key,
    timer_key,
};
use super::lock::Lock;
use super::meta_bytes::{Meta, decode_meta, encode_meta, has_parts};
use super::meta_parts::{self, MetaParts, encode_parts};
use super::options::{customers_options, database_options, other_options, timers_options};
use super::recorded::Recorded;
use super::shared::SharedMemory;
use crate::bytes::Corrupt;
use crate::event::Instant;

const CUSTOMERS: &str = "customers";
const TIMERS: &str = "timers";
const META: &str = "meta";
const FAMILIES: [&str; 3] = [CUSTOMERS, TIMERS, META];

/// How long a write waits for RocksDB to write older ones out, without a sign of life from the lane: half of the age at
/// which a lane counts as dead.
const STALLED_MAX: Duration = Duration::from_secs(30);
/// Between two looks whether it has.
const STALLED_LOOK: Duration = Duration::from_millis(5);

/// One partition's database.
///
/// The write-ahead log is off: Kafka's log is it. The column families are flushed together, so what a crash leaves is
/// the state after some batch, whole.
pub struct Database {
    /// Closed before the lock is let go.
    db: DB,
    path: PathBuf,
    _lock: Option<Lock>,
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

    /// META with all of its parts.
    pub fn put_meta(&mut self, meta: &Meta) {
        let mut bytes = Vec::new();
        encode_meta(meta, &mut bytes);
        self.put_meta_bytes(bytes);
        encode_parts(meta).into_iter().for_each(|(key, value)| self.put_meta_part(key, value));
    }

    /// META as its record has it. Its parts are there, or written in the same batch.
    pub fn put_meta_bytes(&mut self, bytes: Vec<u8>) {
        self.puts.push(Put::Meta(bytes));
    }

    /// The partition was emptied: nothing says any more where it stands, what is counted, and which timers count.
    pub fn delete_meta(&mut self) {
        self.puts.push(Put::NoMeta);
    }

    /// A part of META, by its changelog key.
    pub fn put_meta_part(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.puts.push(Put::Recorded { key, value: Some(value) });
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
    /// Somebody else has it open, it is damaged, or the operating system refuses a file; see [`StoreError::trouble`].
    pub fn open(path: &Path, memory: &SharedMemory) -> Result<Self, StoreError> {
        make_folder(path)?;
        let lock = Lock::take(path)?;
        Self::open_locked(path, memory, Some(lock))
    }

    /// As `open`, of what nobody else can want and nobody needs after a restart.
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

    /// Where the local copy stands, if it was ever written.
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

    /// The parts of META as they are here.
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
    /// RocksDB cannot write: disk full, an earlier failure, or a disk that is half a minute behind. The batch is not in
    /// effect.
    pub fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.write_at(batch, None)
    }

    /// As `write`, and notes the changelog offset after the last record that the database then holds, if it is known.
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

    /// Waits until writes are taken again; false: that lasts too long.
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
        writes
    }

    /// Would a write be taken? RocksDB refuses all after some errors of its own threads, until the database is opened
    /// again.
    ///
    /// # Errors
    /// What those threads came upon.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        match self.db.write_opt(WriteBatch::default(), &write_options()) {
            // Only behind.
            Err(error) if error.kind() == ErrorKind::Incomplete => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    /// How often RocksDB's own threads have failed to write files out or to merge them, since it was opened.
    #[must_use]
    pub fn background_errors(&self) -> u64 {
        self.number("rocksdb.background-errors")
    }

    /// Bytes written and not yet on their way to disk.
    #[must_use]
    pub fn memtable_bytes(&self) -> u64 {
        self.sum("rocksdb.cur-size-active-mem-table")
    }

    /// Is something on its way to disk?
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

    /// Asks for memtables to be written out; `wait`: until they are.
    ///
    /// # Errors
    /// RocksDB cannot write.
    pub fn flush(&self, wait: bool) -> Result<(), StoreError> {
        let mut options = FlushOptions::default();
        options.set_wait(wait);
        let families = FAMILIES.map(|name| self.family(name));
        Ok(self.db.flush_cfs_opt(&families, &options)?)
    }

    /// Bytes on disk of each family, by name.
    #[must_use]
    pub fn sizes(&self) -> [(&'static str, u64); 2] {
        [CUSTOMERS, TIMERS].map(|name| (name, self.family_number(name, "rocksdb.total-sst-files-size")))
    }

    /// About how many customers have a deadline ahead.
    #[must_use]
    pub fn timers_estimate(&self) -> u64 {
        self.family_number(TIMERS, "rocksdb.estimate-num-keys")
    }
}

/// Are the files there that RocksDB begins with? Of a missing MANIFEST it says no more than of any file that cannot be
/// opened, and in place of a missing CURRENT it begins a new database beside the files of the old.
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
    // A write that has to wait is refused: RocksDB itself would block for as long as it takes.
    options.set_no_slowdown(true);
    options
}

fn make_folder(path: &Path) -> Result<(), StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| StoreError::File { path: path.to_owned(), source })
}
