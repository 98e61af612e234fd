//! Watches a file for changes, and decides when they are complete.
//!
//! A file changes in two ways. It is replaced by another one (`mv`, most editors, the swap of a ConfigMap's `..data`):
//! that one is complete from the start. Or it is written in place: then its beginning may well be valid, and it is
//! complete only once it stops changing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Unchanged checks in a row before a file is read, if it may be in the middle of being written.
const LOOKS_WHILE_WRITTEN: u32 = 4;
/// The same for a file that was moved into place.
const LOOKS_ONCE_MOVED: u32 = 1;
/// Checks without the file before it counts as missing: some tools remove a file before they write it again.
const LOOKS_UNTIL_GONE: u32 = 3;

/// What identifies the contents of a file. Times may stay the same, and so may lengths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    /// The target of the links to it.
    resolved: PathBuf,
    file: (u64, u64),
    length: u64,
    /// In nanoseconds: when its bytes were last written, and when anything else about it changed last.
    written: i128,
    changed: i128,
}

impl Signature {
    /// `None`: the file does not exist.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let resolved = fs::canonicalize(path).ok()?;
        let found = fs::metadata(&resolved).ok()?;
        let nanoseconds = |seconds: i64, more: i64| i128::from(seconds) * 1_000_000_000 + i128::from(more);
        Some(Self {
            file: (found.dev(), found.ino()),
            length: found.len(),
            written: nanoseconds(found.mtime(), found.mtime_nsec()),
            changed: nanoseconds(found.ctime(), found.ctime_nsec()),
            resolved,
        })
    }

    /// Did this file replace `other` after its last byte was written?
    fn replaces(&self, other: &Self) -> bool {
        // Renaming a file changes its status and not its contents; links to another target are changed by writers that
        // have finished.
        self.resolved != other.resolved || (self.file != other.file && self.changed > self.written)
    }
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileCheck {
    Nothing,
    /// It must be read.
    Changed,
    /// Reported once.
    Gone,
    /// It was reported missing before.
    Back,
}

#[derive(Debug)]
pub(super) struct Watch {
    /// The file when it was last read.
    taken: Option<Signature>,
    seen: Option<Signature>,
    /// Checks in a row with the same result.
    unchanged: u32,
    missed: u32,
}

impl Watch {
    /// For a file that was just read, or is about to be.
    pub(super) fn new(now: Option<Signature>) -> Self {
        Self { taken: now.clone(), seen: now, unchanged: 0, missed: 0 }
    }

    /// Makes the next check report a change.
    pub(super) fn force(&mut self) {
        self.taken = None;
        self.unchanged = LOOKS_WHILE_WRITTEN;
    }

    /// Was [`force`](Self::force) called, and the file not read since?
    pub(super) fn is_forced(&self) -> bool {
        self.taken.is_none()
    }

    pub(super) fn check(&mut self, now: Option<Signature>) -> FileCheck {
        let Some(now) = now else {
            self.missed += 1;
            return if self.missed == LOOKS_UNTIL_GONE { FileCheck::Gone } else { FileCheck::Nothing };
        };
        if std::mem::take(&mut self.missed) >= LOOKS_UNTIL_GONE {
            return FileCheck::Back;
        }
        let forced = self.is_forced() && self.unchanged >= LOOKS_WHILE_WRITTEN;
        self.unchanged = if self.seen.as_ref() == Some(&now) { self.unchanged + 1 } else { 0 };
        let moved = self.taken.as_ref().is_some_and(|taken| now.replaces(taken));
        let looks = if moved { LOOKS_ONCE_MOVED } else { LOOKS_WHILE_WRITTEN };
        let changed = self.taken.as_ref() != Some(&now);
        self.seen = Some(now);
        if changed && (forced || self.unchanged >= looks) { FileCheck::Changed } else { FileCheck::Nothing }
    }

    /// The file was read as the last check found it.
    pub(super) fn took(&mut self) {
        self.taken.clone_from(&self.seen);
    }

    /// Is it unchanged since the last check?
    pub(super) fn is_still(&self, now: Option<&Signature>) -> bool {
        self.seen.as_ref() == now
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, SystemTime};
    use std::{fs, thread};

    use tempfile::TempDir;

    use super::{FileCheck, LOOKS_UNTIL_GONE, LOOKS_WHILE_WRITTEN, Signature, Watch};

    /// A rules file that is watched, and the folder that holds it.
    fn watched() -> (TempDir, PathBuf, Watch) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.toml");
        fs::write(&path, "whole").unwrap();
        let watch = Watch::new(Signature::of(&path));
        (folder, path, watch)
    }

    /// What so many looks find out.
    fn looks(watch: &mut Watch, path: &Path, times: u32) -> Vec<FileCheck> {
        (0..times).map(|_| watch.check(Signature::of(path))).collect()
    }

    /// The clock by which files are marked moves in steps.
    fn let_the_clock_move() {
        thread::sleep(Duration::from_millis(20));
    }

    #[test]
    fn a_file_that_is_written_where_it_lies_is_read_once_it_no_longer_changes() {
        let (_folder, path, mut watch) = watched();
        assert_eq!(looks(&mut watch, &path, 10), [FileCheck::Nothing; 10]);
        for piece in 1..5 {
            fs::write(&path, "x".repeat(piece)).unwrap();
            let pauses = looks(&mut watch, &path, LOOKS_WHILE_WRITTEN);
            assert!(pauses.iter().all(|look| *look == FileCheck::Nothing), "{pauses:?}");
        }
        assert_eq!(looks(&mut watch, &path, 1), [FileCheck::Changed]);
        watch.took();
        assert_eq!(looks(&mut watch, &path, 10), [FileCheck::Nothing; 10]);
    }

    #[test]
    fn a_file_that_is_removed_and_written_again_is_not_read_before_it_is_complete() {
        let (folder, path, mut watch) = watched();
        // Kept, so that the new file cannot have its number.
        fs::rename(&path, folder.path().join("old")).unwrap();
        assert_eq!(looks(&mut watch, &path, 1), [FileCheck::Nothing]);
        fs::write(&path, "half").unwrap();
        assert_eq!(looks(&mut watch, &path, 2), [FileCheck::Nothing; 2]);
    }

    #[test]
    fn a_file_that_is_put_in_place_is_read_at_once() {
        let (folder, path, mut watch) = watched();
        let other = folder.path().join("other");
        fs::write(&other, "new").unwrap();
        let_the_clock_move();
        fs::rename(&other, &path).unwrap();
        assert_eq!(looks(&mut watch, &path, 2), [FileCheck::Nothing, FileCheck::Changed]);
    }

    #[test]
    fn the_swap_of_a_link_is_seen_though_times_and_lengths_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for version in ["..one", "..two"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("rules.toml"), version).unwrap();
            let file = fs::File::options().write(true).open(at(version).join("rules.toml")).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        symlink("..one", at("..data")).unwrap();
        symlink("..data/rules.toml", at("rules.toml")).unwrap();
        let path = at("rules.toml");
        let mut watch = Watch::new(Signature::of(&path));
        assert_eq!(looks(&mut watch, &path, 2), [FileCheck::Nothing; 2]);
        symlink("..two", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_eq!(looks(&mut watch, &path, 2), [FileCheck::Nothing, FileCheck::Changed]);
    }

    #[test]
    fn a_file_that_is_gone_is_logged_once_and_so_is_its_return() {
        let (folder, path, mut watch) = watched();
        let away = folder.path().join("away");
        fs::rename(&path, &away).unwrap();
        let found = looks(&mut watch, &path, 10);
        assert_eq!(found.iter().position(|look| *look == FileCheck::Gone), Some(LOOKS_UNTIL_GONE as usize - 1));
        assert_eq!(found.iter().filter(|look| **look != FileCheck::Nothing).count(), 1);
        fs::rename(&away, &path).unwrap();
        assert_eq!(looks(&mut watch, &path, 1), [FileCheck::Back]);
    }

    #[test]
    fn who_asks_for_it_has_it_read_at_once() {
        let (_folder, path, mut watch) = watched();
        watch.force();
        assert_eq!(looks(&mut watch, &path, 1), [FileCheck::Changed]);
        watch.took();
        assert_eq!(looks(&mut watch, &path, 10), [FileCheck::Nothing; 10]);
    }
}
