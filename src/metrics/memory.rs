//! The memory of the process, and releasing unused memory.
#![allow(unsafe_code, reason = "the allocator is asked through its C interface")]

use std::{fs, ptr};

use tikv_jemalloc_sys as jemalloc;

/// Resident bytes, as counted by the kernel; `None` without `/proc`.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    bytes_of("/proc/self/status", "VmRSS:")
}

/// Bytes available to new programs without swapping; `None` without `/proc`.
#[must_use]
pub fn available_bytes() -> Option<u64> {
    bytes_of("/proc/meminfo", "MemAvailable:")
}

/// A line such as `VmRSS:  1234 kB`.
fn bytes_of(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

/// Returns free pages to the kernel at once, instead of within some ten seconds. Takes milliseconds.
pub fn give_back() {
    // jemalloc's number for all arenas (`MALLCTL_ARENAS_ALL`).
    let purge = c"arena.4096.purge";
    // SAFETY: the name ends with a NUL, and this control takes no value and gives none.
    let failed = unsafe { jemalloc::mallctl(purge.as_ptr(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), 0) };
    debug_assert_eq!(failed, 0, "jemalloc knows this control");
}

#[cfg(test)]
mod tests {
    use super::{give_back, resident_bytes};

    #[test]
    fn what_was_freed_is_given_back_at_once() {
        const SIZE: u64 = 64 << 20;
        let used = vec![1_u8; usize::try_from(SIZE).unwrap()];
        let many: Vec<Box<[u8]>> = (0..20_000).map(|_| vec![1_u8; 4_000].into_boxed_slice()).collect();
        let before = resident_bytes().unwrap();
        drop((used, many));
        give_back();
        // Other tests run beside this one.
        assert!(resident_bytes().unwrap() + SIZE < before);
    }
}
