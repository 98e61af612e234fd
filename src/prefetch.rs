//! Asking for memory before its use.
//!
//! A load from memory takes as long as hundreds of instructions, and what is known about a customer lies at the end of a
//! chain of pointers. So what the next events need is asked for while earlier ones are decided, one link of the chain at
//! a time.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the processor's hint has no safe form"))]

/// Bytes of a cache line.
const LINE: usize = 64;

/// Of a long list the rest is left to the processor, which sees when memory is read in a row.
const LINES_MAX: usize = 8;

/// Asks for a value's memory, without waiting for it. On processors other than x86-64 this does nothing.
#[inline]
pub fn prefetch<T: ?Sized>(value: &T) {
    let first: *const u8 = std::ptr::from_ref(value).cast();
    let bytes = size_of_val(value);
    let lines = bytes.div_ceil(LINE).min(LINES_MAX);
    for line in 0..lines {
        ask(first.wrapping_add(line * LINE));
    }
    // A value that does not begin with a line reaches into one more.
    if 1 < bytes && bytes <= LINES_MAX * LINE {
        ask(first.wrapping_add(bytes - 1));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn ask(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint reads nothing and fails for no address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

#[cfg(not(target_arch = "x86_64"))]
fn ask(_: *const u8) {}
