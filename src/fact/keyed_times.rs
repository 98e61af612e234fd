//! Times with keys: the content of the facts that count distinct values or days.

use super::kind::{Content, halve};
use super::times::{put_times, read_times};
use crate::bytes::{Read, Reader};
use crate::event::Instant;
use crate::prefetch::prefetch_ends;

/// Times of different keys, or all times with their keys: ascending by `(time, key)`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyedTimes {
    pub times: Vec<Instant>,
    /// Hashes, as many as there are times.
    pub keys: Vec<u64>,
}

impl KeyedTimes {
    pub(super) fn insert(&mut self, at: Instant, key: u64) {
        let mut index = self.times.partition_point(|time| *time < at);
        while index < self.times.len() && self.times[index] == at && self.keys[index] < key {
            index += 1;
        }
        self.times.insert(index, at);
        self.keys.insert(index, key);
    }

    pub(super) fn remove(&mut self, index: usize) {
        self.times.remove(index);
        self.keys.remove(index);
    }

    /// Keeps the entries of a range.
    pub(super) fn keep(&mut self, from: usize, to: usize) {
        self.times.truncate(to);
        self.keys.truncate(to);
        self.times.drain(..from.min(to));
        self.keys.drain(..from.min(to));
    }

    pub(super) fn pairs(self) -> Vec<(Instant, u64)> {
        self.times.into_iter().zip(self.keys).collect()
    }

    pub(super) fn of_pairs(pairs: Vec<(Instant, u64)>) -> Self {
        let (times, keys) = pairs.into_iter().unzip();
        Self { times, keys }
    }
}

impl Content for KeyedTimes {
    fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    fn heap_bytes(&self) -> usize {
        self.times.capacity() * size_of::<Instant>() + self.keys.capacity() * size_of::<u64>()
    }

    fn prefetch(&self) {
        prefetch_ends(&self.times);
        prefetch_ends(&self.keys);
    }

    fn longest(&self) -> usize {
        self.times.len()
    }

    fn drop_older_half(&mut self) {
        halve(&mut self.times);
        halve(&mut self.keys);
    }

    fn encode(&self, out: &mut Vec<u8>, base: Instant) {
        put_times(out, &self.times, base);
        self.keys.iter().for_each(|key| out.extend_from_slice(&key.to_le_bytes()));
    }

    fn read(&mut self, reader: &mut Reader<'_>, base: Instant) -> Read<()> {
        read_times(&mut self.times, reader, base)?;
        self.keys.clear();
        for _ in 0..self.times.len() {
            self.keys.push(u64::from_le_bytes(reader.array("key")?));
        }
        Ok(())
    }
}
