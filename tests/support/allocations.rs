//! How much memory a piece of work takes: an allocator that counts, thread by thread.

#![allow(unsafe_code, reason = "an allocator is unsafe to write; this one passes everything on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    /// Bytes that this thread has allocated and not freed; below zero where it freed what others had allocated.
    static LIVE: Cell<i64> = const { Cell::new(0) };
    /// The most that it came to since `peak_of` began.
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

/// What `work` gives, and the most bytes that this thread held at any moment of it, beyond those that it held before.
pub(crate) fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = work();
    (result, usize::try_from(PEAK.get() - before).unwrap_or_default())
}

fn count(more: usize, less: usize) {
    // No allocation is longer than `i64::MAX`.
    let most = LIVE.get() + more as i64;
    PEAK.set(PEAK.get().max(most));
    LIVE.set(most - less as i64);
}

// SAFETY: every call is passed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may be held at one moment.
        count(size, layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
