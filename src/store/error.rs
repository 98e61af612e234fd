//! What the store says when it cannot go on, by what the caller does about it.

use std::fmt;
use std::path::PathBuf;

use rocksdb::ErrorKind;

use crate::bytes::Corrupt;

/// Why a database cannot be opened, read or written. It concerns one copy, and so one partition.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What is stored is not what was written.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// RocksDB refused.
    #[error("RocksDB: {}", Shown(.0))]
    Database(#[from] rocksdb::Error),
    /// This release cannot open what is there: it is damaged, or of another release.
    #[error("RocksDB cannot open it: {}", Shown(.0))]
    Unusable(rocksdb::Error),
    /// Somebody else has it open: another process, or another lane that is just closing it.
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
    /// Somebody else has it open: try again later.
    InUse,
    /// No room, no permission, no file handle, or a failing device. The copy is as good as it was: close it, and open it
    /// again later.
    Disk,
}

impl StoreError {
    /// By RocksDB's kind of error. Its text is for people: it holds names of files, which may hold any word.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::Corrupt(_) | Self::Unusable(_) => Trouble::Damage,
            Self::Database(error) if error.kind() == ErrorKind::Corruption => Trouble::Damage,
            Self::InUse { .. } => Trouble::InUse,
            Self::Database(_) | Self::File { .. } => Trouble::Disk,
        }
    }

    /// Of opening: what RocksDB does not know or support was not written by this release.
    pub(super) fn of_opening(error: rocksdb::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidArgument if is_refused_file(error.as_ref()) => Self::Database(error),
            ErrorKind::Corruption | ErrorKind::InvalidArgument | ErrorKind::NotSupported => Self::Unusable(error),
            _ => Self::Database(error),
        }
    }
}

/// Did the system refuse the file of the database's own options? RocksDB says so as of options that do not fit; a name of a file
/// comes only behind these words. A file that is not there is damage.
fn is_refused_file(text: &str) -> bool {
    text.starts_with("Invalid argument: Found options incompatible with filesystem: IO error: ")
        && !text.ends_with("No such file or directory")
}

/// RocksDB's text without what it may quote from keys, which are customers' ids.
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
