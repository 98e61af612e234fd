//! Who has a partition's database open: a lock on a file beside it.
//!
//! RocksDB has a lock of its own, but reports it like any other file error. This one is taken first.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::StoreError;

/// The databases that this process has open.
static OURS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn ours() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Held until dropped. The file stays: removing it would let two processes lock two files of one name. Its modification
/// time is when the lock was last released.
pub(super) struct Lock {
    file: File,
    database: PathBuf,
}

impl Lock {
    /// Takes the lock of a database, which need not exist.
    ///
    /// # Errors
    /// `InUse`, or the file cannot be made.
    pub(super) fn take(database: &Path) -> Result<Self, StoreError> {
        let path = beside(database, ".lock");
        let refused = |source| StoreError::File { path: path.clone(), source };
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(refused)?;
        let mut ours = ours();
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse { path: database.to_owned(), by_us: ours.contains(database) });
            }
            // A file system without locks: RocksDB's own lock remains.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => return Err(refused(source)),
        }
        ours.insert(database.to_owned());
        Ok(Self { file, database: database.to_owned() })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Only records when the database was closed: if it cannot be written, the database files tell.
        self.file.write_all(b"\n").ok();
        ours().remove(&self.database);
    }
}

/// A path beside a database, named after it.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}
