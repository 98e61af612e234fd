//! Copies of partitions that moved to another process long ago.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::StoreError;
use super::lock::{Lock, beside};
use crate::event::{Instant, Span};

/// A copy that was not open for this long is removed: its partition belongs to another process, and a copy of this age
/// saves little of a restore. It may contain customers who have been erased since.
pub const MOVED_FOR: Span = Span::DAY;

/// Removes the copies in `folder` of partitions of this topic that were not open for [`MOVED_FOR`]. Returns their
/// partitions. Call it only once the group has had time to reassign the previous partitions to this process.
///
/// # Errors
/// One cannot be removed.
pub fn remove_moved(folder: &Path, topic: &str, now: Instant) -> Result<Vec<i32>, StoreError> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name();
        let Some(partition) = name.to_str().and_then(|name| partition_of(name, topic)) else { continue };
        let path = entry.path();
        if last_used(&path).is_none_or(|used| now.since(used) < MOVED_FOR) {
            continue;
        }
        let _lock = match Lock::take(&path) {
            Ok(lock) => lock,
            Err(StoreError::InUse { .. }) => continue,
            Err(error) => return Err(error),
        };
        fs::remove_dir_all(&path).map_err(|source| StoreError::File { path, source })?;
        removed.push(partition);
    }
    Ok(removed)
}

fn partition_of(name: &str, topic: &str) -> Option<i32> {
    let number = name.strip_prefix(topic)?.strip_prefix('-')?;
    // Not the files next to a database.
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())?
}

/// When any of its files was last written, or it was closed.
fn last_used(database: &Path) -> Option<Instant> {
    let files = fs::read_dir(database).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let paths = files.chain([database.to_owned(), beside(database, ".lock")]);
    paths.filter_map(|path: PathBuf| path.metadata().ok()?.modified().ok()).max().and_then(instant)
}

fn instant(time: SystemTime) -> Option<Instant> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Instant(i64::try_from(since.as_millis()).ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::{Instant, Lock, MOVED_FOR, Span, fs, last_used, remove_moved};

    #[test]
    fn only_copies_that_nobody_has_had_open_for_a_day_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["in-1", "in-2", "in-3.adopting", "in-x", "in-new-4", "other-5"] {
            fs::create_dir_all(path(name)).unwrap();
            fs::write(path(name).join("CURRENT"), "").unwrap();
        }
        let open = Lock::take(&path("in-2")).unwrap();
        let written = last_used(&path("in-1")).unwrap();
        let later = |span: Span| Instant(written.0) + span;
        assert!(
            remove_moved(folder.path(), "in", Instant(written.0 + MOVED_FOR.0 - Span::MINUTE.0)).unwrap().is_empty()
        );
        assert_eq!(remove_moved(folder.path(), "in", later(MOVED_FOR + Span::MINUTE)).unwrap(), [1]);
        assert!(!path("in-1").exists() && path("in-2").exists());
        drop(open);
        assert_eq!(remove_moved(folder.path(), "in", later(MOVED_FOR + Span::HOUR)).unwrap(), [2]);
        for other in ["in-3.adopting", "in-x", "in-new-4", "other-5"] {
            assert!(path(other).exists(), "{other}");
        }
    }
}
