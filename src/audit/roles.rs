//! The fields that may be the customer, the time, the event's name or the id, of which more is kept.

use super::names::{Rank, customer_rank, event_rank, id_rank, time_rank};
use super::paths::{FieldId, Paths};

/// The most fields that are followed for one role.
pub(super) const CUSTOMERS_MAX: usize = 6;
pub(super) const TIMES_MAX: usize = 4;
pub(super) const EVENTS_MAX: usize = 4;
pub(super) const IDS_MAX: usize = 3;

/// A field that is followed, with what is kept of it.
#[derive(Debug)]
pub(super) struct Follower<T> {
    pub(super) field: FieldId,
    pub(super) rank: Rank,
    pub(super) kept: T,
}

/// Fields that are followed for one role.
#[derive(Debug)]
pub(super) struct Followers<T> {
    most: usize,
    pub(super) all: Vec<Follower<T>>,
}

impl<T> Followers<T> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, all: Vec::new() }
    }

    /// Follows a field; if there are enough, in the place of one that fits less well.
    pub(super) fn offer(&mut self, field: FieldId, rank: Rank, kept: impl FnOnce() -> T) {
        if self.all.len() < self.most {
            return self.all.push(Follower { field, rank, kept: kept() });
        }
        let worst = self.all.iter_mut().max_by_key(|follower| follower.rank);
        if let Some(worst) = worst.filter(|worst| worst.rank > rank) {
            *worst = Follower { field, rank, kept: kept() };
        }
    }

    pub(super) fn of(&mut self, field: FieldId) -> Option<&mut Follower<T>> {
        self.all.iter_mut().find(|follower| follower.field == field)
    }
}

/// What a new field may be, by its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fits {
    pub(super) customer: Option<Rank>,
    pub(super) time: Option<Rank>,
    pub(super) event: Option<Rank>,
    pub(super) id: Option<Rank>,
}

impl Fits {
    /// Fields of lists are several of a record, and none of them is the record's own.
    pub(super) fn of(paths: &Paths, field: FieldId) -> Self {
        if paths.is_several(field) {
            return Self::default();
        }
        let (name, within) = paths.names(field);
        let depth = paths.depth(field);
        // What lies deeper is more probably of something else.
        let deeper = |rank: Rank| rank.saturating_add(Rank::from(depth > 2));
        Self {
            customer: customer_rank(name, within).map(deeper),
            time: time_rank(name).map(deeper),
            event: event_rank(name).map(|rank| rank.saturating_add(u8::try_from(depth - 1).unwrap_or(u8::MAX))),
            id: id_rank(name, depth).map(deeper),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fits, Followers};
    use crate::audit::paths::{FieldId, Paths, VALUE};

    #[test]
    fn a_better_field_takes_the_place_of_the_worst() {
        let mut followers = Followers::new(2);
        for (field, rank) in [(1, 5), (2, 3), (3, 4), (4, 3), (5, 9)] {
            followers.offer(FieldId(field), rank, || field);
        }
        let kept: Vec<u16> = followers.all.iter().map(|follower| follower.kept).collect();
        assert_eq!(kept, [4, 2]);
        assert!(followers.of(FieldId(4)).is_some() && followers.of(FieldId(1)).is_none());
    }

    #[test]
    fn elements_of_lists_are_followed_for_nothing() {
        let mut paths = Paths::default();
        let id = paths.member(VALUE, "customer_id").unwrap();
        assert_eq!(Fits::of(&paths, id).customer, Some(0));
        let list = paths.member(VALUE, "customers").unwrap();
        let element = paths.element(list).unwrap();
        let id = paths.member(element, "customer_id").unwrap();
        assert_eq!(Fits::of(&paths, id), Fits::default());
    }
}
