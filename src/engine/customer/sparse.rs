//! A few things out of many that are numbered.

use std::ops::Index;

use super::membership::Membership;

/// Those of numbered things that differ from what all begin as, ascending by number: what a customer has nothing to do
/// with takes no room. They are few, and stand together, so that finding one costs about as much as an index does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sparse<T> {
    entries: Vec<(u16, T)>,
}

impl<T> Sparse<T> {
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    fn place(&self, number: usize) -> Result<usize, usize> {
        self.entries.binary_search_by(|(known, _)| usize::from(*known).cmp(&number))
    }

    #[must_use]
    pub fn get(&self, number: usize) -> Option<&T> {
        self.place(number).ok().map(|place| &self.entries[place].1)
    }

    pub fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        self.place(number).ok().map(|place| &mut self.entries[place].1)
    }

    /// Puts a thing in the place of the one with its number, if there is one. Numbers are below 2^16.
    pub fn put(&mut self, number: usize, thing: T) {
        match self.place(number) {
            Ok(place) => self.entries[place].1 = thing,
            Err(place) => {
                self.entries.insert(place, (u16::try_from(number).expect("numbered in 16 bits"), thing));
            }
        }
    }

    pub fn remove(&mut self, number: usize) -> Option<T> {
        self.place(number).ok().map(|place| self.entries.remove(place).1)
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
        self.entries.iter().map(|(number, thing)| (usize::from(*number), thing))
    }

    /// Ascending by number.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().map(|(_, thing)| thing)
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
    /// Puts a membership in its place, unless it is as at first.
    pub(in crate::engine) fn keep(&mut self, cohort: usize, membership: Membership) {
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
