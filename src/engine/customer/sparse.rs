//! A sparse vector: a few values out of many numbered ones.

use std::ops::Index;

use super::membership::Membership;
use crate::prefetch::prefetch;

/// The numbered values that differ from the initial one, ascending by number, so that what a customer has nothing to do
/// with takes no memory. They are few and contiguous, so finding one costs about as much as indexing.
#[derive(Debug, PartialEq, Eq)]
pub struct Sparse<T> {
    entries: Vec<(u16, T)>,
}

impl<T: Clone> Clone for Sparse<T> {
    fn clone(&self) -> Self {
        Self { entries: self.entries.clone() }
    }

    /// Uses the memory again.
    fn clone_from(&mut self, source: &Self) {
        self.entries.clone_from(&source.entries);
    }
}

impl<T> Sparse<T> {
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Makes room for so many more values.
    pub(super) fn reserve(&mut self, values: usize) {
        self.entries.reserve(values);
    }

    fn position(&self, number: usize) -> Result<usize, usize> {
        self.entries.binary_search_by(|(known, _)| usize::from(*known).cmp(&number))
    }

    #[must_use]
    pub fn get(&self, number: usize) -> Option<&T> {
        self.position(number).ok().map(|index| &self.entries[index].1)
    }

    pub fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        self.position(number).ok().map(|index| &mut self.entries[index].1)
    }

    /// Sets the value of a number, which is below 2^16.
    pub fn put(&mut self, number: usize, value: T) {
        match self.position(number) {
            Ok(index) => self.entries[index].1 = value,
            Err(index) => {
                self.entries.insert(index, (u16::try_from(number).expect("numbered in 16 bits"), value));
            }
        }
    }

    /// Adds a value whose number is above all others.
    pub(super) fn push(&mut self, number: usize, value: T) {
        debug_assert!(self.entries.last().is_none_or(|(last, _)| usize::from(*last) < number), "numbers ascend");
        self.entries.push((u16::try_from(number).expect("numbered in 16 bits"), value));
    }

    /// Removes all values; their numbers ascend.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (usize, T)> {
        self.entries.drain(..).map(|(number, value)| (usize::from(number), value))
    }

    pub fn remove(&mut self, number: usize) -> Option<T> {
        self.position(number).ok().map(|index| self.entries.remove(index).1)
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Ascending by number.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (usize, &T)> {
        self.entries.iter().map(|(number, value)| (usize::from(*number), value))
    }

    /// Ascending by number.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    /// Asks for the memory of the values.
    pub(super) fn prefetch(&self) {
        prefetch(&self.entries[..]);
    }

    pub(in crate::engine) fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(u16, T)>()
    }
}

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl Sparse<Membership> {
    /// Sets a membership, or removes it where it is as at first.
    pub(in crate::engine) fn set(&mut self, cohort: usize, membership: Membership) {
        if membership.is_new() {
            self.remove(cohort);
        } else {
            self.put(cohort, membership);
        }
    }
}

/// A cohort that has no entry was never entered.
impl Index<usize> for Sparse<Membership> {
    type Output = Membership;

    fn index(&self, number: usize) -> &Membership {
        static NEVER_ENTERED: Membership = Membership::new();
        self.get(number).unwrap_or(&NEVER_ENTERED)
    }
}
