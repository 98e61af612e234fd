//! Free space of the file system of `state.dir`, and how much is needed.

use std::io;
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statvfs};

/// In addition to the write buffers: manifests, logs, and compactions of small files.
const NEEDED_BESIDES: u64 = 16 << 20;
/// The share of a file system that is left free, up to [`SHARE_MAX`]: other programs may write there too.
const SHARE_PERCENT: u64 = 5;
const SHARE_MAX: u64 = 1 << 30;
/// Free inodes needed: a flush or a compaction creates files.
const FILES_NEEDED: u64 = 64;

/// A file system as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this process may still write.
    pub free: u64,
    /// Bytes in all.
    pub size: u64,
    /// Free inodes; `None`: no limit.
    pub files: Option<u64>,
    pub read_only: bool,
}

/// Free bytes at which writing pauses and goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    pub pause_below: u64,
    pub resume_above: u64,
}

/// Whether anything is written now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    Active,
    Paused,
}

impl Space {
    /// For the file system of a folder, which need not exist yet.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
        let found = statvfs(there)?;
        Ok(Self {
            free: found.f_bavail.saturating_mul(found.f_frsize),
            size: found.f_blocks.saturating_mul(found.f_frsize),
            files: (found.f_files > 0).then_some(found.f_favail),
            read_only: found.f_flag.contains(StatVfsMountFlags::RDONLY),
        })
    }

    /// The marks for a process with write buffers of this size: all of them may have to be flushed, whatever else
    /// writes there meanwhile.
    #[must_use]
    pub fn marks(&self, write_buffers: u64) -> Marks {
        let share = (self.size / 100 * SHARE_PERCENT).min(SHARE_MAX);
        // A small file system must be of use too.
        let pause_below = write_buffers.saturating_add(NEEDED_BESIDES).max(share).min(self.size / 4);
        Marks { pause_below, resume_above: pause_below / 2 * 3 }
    }

    /// Why writing should pause, or stay paused, as a sentence without a full stop; `None`: it should not.
    #[must_use]
    pub fn refuses(&self, marks: Marks, writing: Writing) -> Option<String> {
        let needed = match writing {
            Writing::Active => marks.pause_below,
            Writing::Paused => marks.resume_above,
        };
        let mib = |bytes: u64| bytes >> 20;
        if self.read_only {
            return Some("the file system of state.dir is read-only".to_owned());
        }
        if self.free < needed {
            let (free, needed) = (mib(self.free), mib(marks.resume_above));
            return Some(format!(
                "the file system of state.dir has {free} MiB free; processing resumes at {needed} MiB"
            ));
        }
        if self.files.is_some_and(|files| files < FILES_NEEDED) {
            return Some("the file system of state.dir has no free inodes".to_owned());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Marks, Space, Writing};

    const MIB: u64 = 1 << 20;

    fn space(free: u64, size: u64) -> Space {
        Space { free: free * MIB, size: size * MIB, files: None, read_only: false }
    }

    #[test]
    fn a_share_is_left_free_within_bounds() {
        let pause_below = |size: u64, buffers: u64| space(0, size).marks(buffers * MIB).pause_below / MIB;
        assert_eq!(pause_below(10_000, 150), 500, "5 %");
        assert_eq!(pause_below(10_000_000, 150), 1_024, "but no more than a GiB");
        assert_eq!(pause_below(1_000, 150), 166, "what the write buffers need");
        assert_eq!(pause_below(64, 150), 16, "and never most of a small one");
    }

    #[test]
    fn work_pauses_below_one_mark_and_goes_on_above_a_higher_one() {
        let marks = Marks { pause_below: 100 * MIB, resume_above: 150 * MIB };
        let refuses = |free, writing| space(free, 1_000).refuses(marks, writing).is_some();
        assert_eq!([99, 100].map(|free| refuses(free, Writing::Active)), [true, false]);
        assert_eq!([149, 150].map(|free| refuses(free, Writing::Paused)), [true, false]);
        assert!(Space { read_only: true, ..space(500, 1_000) }.refuses(marks, Writing::Active).is_some());
        assert!(Space { files: Some(3), ..space(500, 1_000) }.refuses(marks, Writing::Active).is_some());
    }
}
