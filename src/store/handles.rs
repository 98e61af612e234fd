//! How many files the databases of a process may keep open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that one database may keep open: more do not speed up reads.
pub(super) const FILES_OPEN_MAX: i32 = 256;
/// RocksDB's minimum.
const FILES_OPEN_MIN: u64 = 20;
/// Additional files of a database: locks, directory, manifest, and log.
const FILES_BESIDES: u64 = 8;
/// Files and sockets of everything else in the process: clients of brokers and registry, HTTP, log.
const FILES_RESERVED: u64 = 256;

/// Asks the operating system for as many open files as this process may have. Returns how many that is.
#[must_use]
pub fn raise_file_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current.unwrap_or(u64::MAX);
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum.unwrap_or(u64::MAX),
        Err(_) => current.unwrap_or(u64::MAX),
    }
}

/// The number of files that each database may keep open within `limit`.
///
/// # Errors
/// They do not all fit, even with the minimum: the limit that they need.
pub fn files_per_database(limit: u64, databases: u64) -> Result<i32, u64> {
    let databases = databases.max(1);
    let each = (limit.saturating_sub(FILES_RESERVED) / databases).saturating_sub(FILES_BESIDES);
    if each < FILES_OPEN_MIN {
        return Err(FILES_RESERVED + databases * (FILES_OPEN_MIN + FILES_BESIDES));
    }
    Ok(i32::try_from(each).unwrap_or(i32::MAX).min(FILES_OPEN_MAX))
}

/// The minimum for one database.
pub const FILES_PER_DATABASE_MIN: i32 = FILES_OPEN_MIN as i32;

#[cfg(test)]
mod tests {
    use super::files_per_database;

    #[test]
    fn all_partitions_fit_in_the_limit() {
        assert_eq!(files_per_database(1 << 20, 4), Ok(256));
        assert_eq!(files_per_database(1 << 20, 256), Ok(256));
        assert_eq!(files_per_database(16_384, 256), Ok(55));
        assert_eq!(files_per_database(1_024, 8), Ok(88));
        assert_eq!(files_per_database(1_024, 256), Err(256 + 256 * 28));
        for databases in 1..=256 {
            if let Ok(each) = files_per_database(4_096, databases) {
                assert!(256 + databases * (u64::try_from(each).unwrap_or(0) + 8) <= 4_096);
            }
        }
    }
}
