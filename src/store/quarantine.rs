//! Damaged copies are set aside: kept for inspection, within limits, and counted on disk, so that damage that recurs at
//! once ends in a wait instead of a loop.
//!
//! ```text
//! <topic>-<partition>                    the copy in use
//! <topic>-<partition>.damaged-<seconds>  set aside then, by the wall clock since 1970
//! <topic>-<partition>.damages            when that happened lately: one number of seconds a line
//! ```

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::lock::{Lock, beside};
use crate::event::{Instant, Span};

/// Copies set aside that are kept for one partition: enough for an investigation.
const KEPT_COPIES: usize = 1;
/// Maximum size of all copies set aside in one folder; the oldest are removed first.
const KEPT_BYTES: u64 = 1 << 30;
/// Copies set aside are kept for this long.
const KEPT_FOR: Span = Span(7 * Span::DAY.0);
/// Older damages are not counted.
const COUNTED_FOR: Span = Span::HOUR;
/// Damages within `COUNTED_FOR` from which on the cause is the disk or the changelog, not the copy.
pub const DAMAGES_MAX: usize = 3;

const DAMAGED: &str = ".damaged-";

/// A damaged copy that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Its path now.
    pub path: PathBuf,
    /// Copies of this partition set aside within the last hour, this one included.
    pub times: usize,
}

/// Sets the copy in `database` aside, and counts the damage. It must not be open.
///
/// # Errors
/// It is open elsewhere, or cannot be renamed; then it stays where it was.
pub fn set_aside(database: &Path, now: Instant) -> Result<SetAside, StoreError> {
    let _lock = Lock::take(database)?;
    let path = beside(database, &format!("{DAMAGED}{}", now.0 / 1_000));
    let times = count(database, now)?;
    match fs::rename(database, &path) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            return Err(StoreError::File { path: database.to_owned(), source });
        }
        _ => {}
    }
    for old in older(kept(database).into_iter().filter(|kept| kept.database == database), KEPT_COPIES) {
        remove(&old.path)?;
    }
    Ok(SetAside { path, times })
}

/// Removes copies set aside in this folder that are too old, or exceed the size limit. Returns how many.
///
/// # Errors
/// One cannot be removed.
pub fn trim_set_aside(folder: &Path, now: Instant) -> Result<usize, StoreError> {
    let mut removed = 0;
    let mut bytes = 0;
    // The newest first.
    for copy in older(all(folder).into_iter(), 0) {
        bytes += size(&copy.path);
        if bytes > KEPT_BYTES || now.since(copy.at) > KEPT_FOR {
            remove(&copy.path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes all copies set aside in this folder, to free space. Returns how many there were.
///
/// # Errors
/// One cannot be removed.
pub fn remove_set_aside(folder: &Path) -> Result<usize, StoreError> {
    let copies = all(folder);
    copies.iter().try_for_each(|copy| remove(&copy.path))?;
    Ok(copies.len())
}

struct Copy {
    path: PathBuf,
    database: PathBuf,
    at: Instant,
}

fn all(folder: &Path) -> Vec<Copy> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| read_name(folder, entry.file_name().to_str()?)).collect()
}

fn kept(database: &Path) -> Vec<Copy> {
    database.parent().map(all).unwrap_or_default()
}

fn read_name(folder: &Path, name: &str) -> Option<Copy> {
    let (database, seconds) = name.rsplit_once(DAMAGED)?;
    let at = Instant(seconds.parse::<i64>().ok()?.checked_mul(1_000)?);
    Some(Copy { path: folder.join(name), database: folder.join(database), at })
}

/// The newest first, without the first `but`.
fn older(copies: impl Iterator<Item = Copy>, but: usize) -> Vec<Copy> {
    let mut copies: Vec<Copy> = copies.collect();
    copies.sort_by_key(|copy| std::cmp::Reverse(copy.at));
    copies.drain(..but.min(copies.len()));
    copies
}

/// Records a damage; returns how many there were recently.
fn count(database: &Path, now: Instant) -> Result<usize, StoreError> {
    let path = beside(database, ".damages");
    // An unreadable file counts as empty: the copy is damaged all the same.
    let text = fs::read_to_string(&path).unwrap_or_default();
    let times = text.lines().filter_map(|line| line.parse::<i64>().ok());
    let mut times: Vec<i64> =
        times.filter(|seconds| (0..=COUNTED_FOR.0).contains(&(now.0 - seconds.saturating_mul(1_000)))).collect();
    times.push(now.0 / 1_000);
    let text: String = times.iter().map(|seconds| format!("{seconds}\n")).collect();
    fs::write(&path, text).map_err(|source| StoreError::File { path, source })?;
    Ok(times.len())
}

fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).sum()
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(StoreError::File { path: path.to_owned(), source }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::{DAMAGES_MAX, Instant, Span, fs, remove_set_aside, set_aside, trim_set_aside};

    const NOW: Instant = Instant(1_790_000_000_000);

    #[test]
    fn damage_is_counted_across_restarts_and_the_newest_copy_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("in-3");
        let other = folder.path().join("in-30");
        let damaged = |at: Instant| {
            fs::create_dir_all(&database).unwrap();
            fs::write(database.join("000001.sst"), at.to_string()).unwrap();
            set_aside(&database, at).unwrap()
        };
        fs::create_dir_all(&other).unwrap();
        set_aside(&other, NOW).unwrap();
        let times: Vec<usize> = (0..3).map(|n| damaged(NOW + Span(n * Span::MINUTE.0)).times).collect();
        assert_eq!(times, [1, 2, DAMAGES_MAX]);
        assert_eq!(damaged(NOW + Span(59 * Span::MINUTE.0)).times, 4);
        let last = damaged(NOW + Span(3 * Span::HOUR.0));
        assert_eq!(last.times, 1, "what happened longer than an hour ago does not count");
        assert!(!database.exists() && last.path.join("000001.sst").exists());
        let kept = super::all(folder.path());
        assert_eq!(kept.len(), 2, "one of each partition");
        assert_eq!(trim_set_aside(folder.path(), NOW + Span(2 * Span::DAY.0)).unwrap(), 0);
        assert_eq!(trim_set_aside(folder.path(), NOW + Span(7 * Span::DAY.0 + Span::HOUR.0)).unwrap(), 1);
        assert_eq!(remove_set_aside(folder.path()).unwrap(), 1);
        assert!(super::all(folder.path()).is_empty());
    }
}
