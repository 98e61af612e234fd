//! Ascending times: the content of the facts that keep the latest or the earliest events.

use super::kind::{Content, halve};
use crate::bytes::{Read, Reader, put_instant, put_len};
use crate::event::Instant;
use crate::prefetch::prefetch_ends;

impl Content for Vec<Instant> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn heap_bytes(&self) -> usize {
        self.capacity() * size_of::<Instant>()
    }

    fn prefetch(&self) {
        prefetch_ends(self);
    }

    fn longest(&self) -> usize {
        self.len()
    }

    fn drop_older_half(&mut self) {
        halve(self);
    }

    fn encode(&self, out: &mut Vec<u8>, base: Instant) {
        put_times(out, self, base);
    }

    fn read(&mut self, reader: &mut Reader<'_>, base: Instant) -> Read<()> {
        read_times(self, reader, base)
    }
}

/// Each time as its distance from the one before, the first from `base`.
pub(super) fn put_times(out: &mut Vec<u8>, times: &[Instant], base: Instant) {
    put_len(out, times.len());
    let mut last = base;
    for time in times {
        put_instant(out, *time, last);
        last = *time;
    }
}

/// Reads times in place of those in `times`.
pub(super) fn read_times(times: &mut Vec<Instant>, reader: &mut Reader<'_>, base: Instant) -> Read<()> {
    let length = reader.len("times")?;
    times.clear();
    times.reserve(length);
    let mut last = base;
    for _ in 0..length {
        last = reader.instant(last, "time")?;
        times.push(last);
    }
    Ok(())
}
