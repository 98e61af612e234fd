//! A cache of what the churn model computes for common purchase histories.

use std::cell::Cell;

/// A direct-mapped cache of a pure function: each key has one entry, which another key may overwrite. Results never
/// differ from those of the function.
#[derive(Debug)]
pub(in crate::engine) struct Cache<A: Copy> {
    entries: Box<[Entry<A>]>,
}

type Entry<A> = Cell<Option<(CacheKey, A)>>;

/// Everything that the beginning of a risk level depends on, for purchases counted in whole days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct CacheKey {
    pub(in crate::engine) repeats: u32,
    /// From the first day of a purchase to the last.
    pub(in crate::engine) days: u32,
    pub(in crate::engine) level: u32,
}

impl<A: Copy> Cache<A> {
    /// Most customers buy rarely, so few keys are looked up again and again. At this size all entries stay in the
    /// processor's cache.
    const ENTRIES_LOG2: u32 = 12;

    pub(in crate::engine) fn new() -> Self {
        Self { entries: vec![Cell::new(None); 1 << Self::ENTRIES_LOG2].into() }
    }

    pub(in crate::engine) fn get_or_compute(&self, key: CacheKey, compute: impl FnOnce() -> A) -> A {
        let entry = &self.entries[key.index(Self::ENTRIES_LOG2)];
        match entry.get() {
            Some((known, value)) if known == key => value,
            _ => {
                let value = compute();
                entry.set(Some((key, value)));
                value
            }
        }
    }
}

impl CacheKey {
    /// Multiplication spreads differences in low bits over the high ones, of which the index is made.
    fn index(self, bits: u32) -> usize {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = (u64::from(self.repeats) << 32 | u64::from(self.days)).wrapping_mul(ODD) ^ u64::from(self.level);
        (mixed.wrapping_mul(ODD) >> (64 - bits)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::{Cache, CacheKey};

    #[test]
    fn each_key_has_its_own_value_however_many_share_an_entry() {
        let cache = Cache::new();
        for _ in 0..2 {
            for repeats in 0..40 {
                for days in 0..400 {
                    for level in 0..3 {
                        let value = cache.get_or_compute(CacheKey { repeats, days, level }, || (repeats, days, level));
                        assert_eq!(value, (repeats, days, level));
                    }
                }
            }
        }
        cache.get_or_compute(CacheKey { repeats: 39, days: 399, level: 2 }, || unreachable!("was computed just now"));
    }
}
