//! Asking for memory before its use.
//!
//! A load from memory takes as long as hundreds of instructions, and what is known about a customer lies at the end of a
//! chain of pointers. So what the next events need is asked for while earlier ones are decided, one link of the chain at
//! a time.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the processor's hint has no safe form"))]

/// Bytes of a cache line.
const LINE: usize = 64;

/// Of what is longer the rest is left to the processor, which sees when memory is read in a row.
const BYTES_MAX: usize = 8 * LINE;

/// Asks for a value's memory, without waiting for it. On processors other than x86-64 this does nothing.
#[inline]
pub fn prefetch<T: ?Sized>(value: &T) {
    prefetch_from(value, size_of_val(value));
}

/// Asks for so many bytes from a value on: what follows it in memory may be part of it, or anything.
#[inline]
pub fn prefetch_from<T: ?Sized>(value: &T, bytes: usize) {
    let first: *const u8 = std::ptr::from_ref(value).cast();
    for byte in (0..bytes.min(BYTES_MAX)).step_by(LINE) {
        ask(first.wrapping_add(byte));
    }
}

/// Asks for both ends of a list: it grows at its end, and what falls out of a window is at its beginning.
#[inline]
pub fn prefetch_ends<T>(list: &[T]) {
    if let (Some(first), Some(last)) = (list.first(), list.last()) {
        ask(std::ptr::from_ref(first).cast());
        ask(std::ptr::from_ref(last).cast());
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
