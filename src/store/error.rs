//! Errors of the store, by what the caller does about them.

use std::fmt;
use std::path::PathBuf;

use rocksdb::ErrorKind;

use crate::bytes::Corrupt;

/// Why a database cannot be opened, read or written. It concerns one copy, and so one partition.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The stored bytes are not what was written.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// RocksDB refused.
    #[error("RocksDB: {}", Shown(.0))]
    Database(#[from] rocksdb::Error),
    /// This release cannot open the database: it is damaged, or written by another release.
    #[error("RocksDB cannot open it: {}", Shown(.0))]
    Unusable(rocksdb::Error),
    /// Another process has it open, or another lane of this process that is closing it.
    #[error("{} is in use by another {}", .path.display(), if *.by_us { "lane of this process" } else { "process" })]
    InUse { path: PathBuf, by_us: bool },
    /// The operating system refused a file or folder.
    #[error("cannot use {}: {source}", .path.display())]
    File { path: PathBuf, source: std::io::Error },
}

/// What to do about a [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The copy is damaged: set it aside, and restore another from the changelog.
    Damage,
    /// It is open elsewhere: try again later.
    InUse,
    /// No space, no permission, no file handle, or a failing device. The copy itself is intact: close it, and open it
    /// again later.
    Disk,
}

impl StoreError {
    /// By RocksDB's error kind. Its text is for people: it contains file names, which may contain any word.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::Corrupt(_) | Self::Unusable(_) => Trouble::Damage,
            Self::Database(error) if error.kind() == ErrorKind::Corruption => Trouble::Damage,
            Self::InUse { .. } => Trouble::InUse,
            Self::Database(_) | Self::File { .. } => Trouble::Disk,
        }
    }

    /// For opening: formats and options that RocksDB does not support were not written by this release.
    pub(super) fn of_opening(error: rocksdb::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidArgument if is_refused_file(error.as_ref()) => Self::Database(error),
            ErrorKind::Corruption | ErrorKind::InvalidArgument | ErrorKind::NotSupported => Self::Unusable(error),
            _ => Self::Database(error),
        }
    }
}

/// Did the system refuse the OPTIONS file? RocksDB reports that like incompatible options; file names only follow these
/// words. A missing file is damage.
fn is_refused_file(text: &str) -> bool {
    text.starts_with("Invalid argument: Found options incompatible with filesystem: IO error: ")
        && !text.ends_with("No such file or directory")
}

/// RocksDB's text without quoted keys, which are customer ids.
struct Shown<'a>(&'a rocksdb::Error);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: &str = self.0.as_ref();
        let is_quoted = self.0.kind() == ErrorKind::Corruption;
        f.write_str(if is_quoted { text.split("key").next().unwrap_or_default().trim_end() } else { text })
    }
}

#[cfg(test)]
mod tests {
    use super::is_refused_file;

    #[test]
    fn options_that_may_not_be_read_now_are_no_damage() {
        let unread = "Invalid argument: Found options incompatible with filesystem: IO error: While open a file for random \
                      read: /var/lib/cohortd/in-1/CURRENT: ";
        assert!(is_refused_file(&format!("{unread}Too many open files")));
        assert!(is_refused_file(&format!("{unread}Input/output error")));
        assert!(!is_refused_file(&format!("{unread}No such file or directory")));
        assert!(!is_refused_file("Invalid argument: Unknown option in /IO error: x"));
        assert!(!is_refused_file("Corruption: CURRENT file does not end with newline"));
    }
}
