//! How many events lie between the latest A and the first B after it: what `steps from A to B` looks at.
//!
//! Those that no late A or B can make void any more are only counted.

use super::state::Steps;
use crate::event::Instant;

/// As what an event is taken in.
#[derive(Debug, Clone, Copy)]
pub(super) struct StepRoles {
    pub(super) a: bool,
    pub(super) b: bool,
    pub(super) via: bool,
}

impl Steps {
    /// `None` while there is no A.
    pub(super) fn count(&self) -> Option<u64> {
        self.a?;
        Some(self.settled + self.via.partition_point(|time| *time <= self.end()) as u64)
    }

    /// The first B after the latest A.
    fn end(&self) -> Instant {
        self.b.first().copied().unwrap_or(Instant::MAX)
    }

    /// Takes an event in. False: the count is as before.
    pub(super) fn feed(&mut self, at: Instant, roles: StepRoles, cap: usize, approximated: &mut u64) -> bool {
        let before = self.count();
        if roles.a && self.a.is_none_or(|a| at > a) {
            self.a = Some(at);
            // All that was settled is older than any event that can still arrive.
            self.settled = 0;
            self.b.retain(|time| *time > at);
            self.via.retain(|time| *time > at);
        }
        if self.a.is_none_or(|a| at > a) {
            if roles.b
                && let Err(place) = self.b.binary_search(&at)
            {
                self.b.insert(place, at);
            }
            if roles.via {
                self.via.insert(self.via.partition_point(|time| *time <= at), at);
            }
        }
        while self.b.len() > cap {
            // The first B after A ends the count; the others are held for late A's.
            self.b.remove(usize::from(self.a.is_some()));
            *approximated += 1;
        }
        while self.via.len() > cap {
            self.settle_first();
            *approximated += 1;
        }
        self.count() != before
    }

    pub(super) fn forget(&mut self, oldest_arrival: Instant) {
        while self.via.first().is_some_and(|time| *time < oldest_arrival) {
            self.settle_first();
        }
        let mut place = 0;
        let first = usize::from(self.a.is_some());
        self.b.retain(|time| {
            place += 1;
            place <= first || *time >= oldest_arrival
        });
    }

    fn settle_first(&mut self) {
        let time = self.via.remove(0);
        if self.a.is_some() && time <= self.end() {
            self.settled += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Instant, StepRoles, Steps};

    const A: StepRoles = StepRoles { a: true, b: false, via: false };
    const B: StepRoles = StepRoles { a: false, b: true, via: false };
    const VIA: StepRoles = StepRoles { a: false, b: false, via: true };

    #[test]
    fn what_is_settled_is_counted_on() {
        let (mut steps, mut approximated) = (Steps::default(), 0);
        steps.feed(Instant(0), A, 10, &mut approximated);
        for at in 1..100 {
            steps.feed(Instant(at), VIA, 10, &mut approximated);
            steps.forget(Instant(at - 3));
        }
        assert_eq!((steps.count(), steps.via.len(), approximated), (Some(99), 4, 0));
        // A late B takes back what came after it.
        steps.feed(Instant(97), B, 10, &mut approximated);
        assert_eq!(steps.count(), Some(97));
        steps.feed(Instant(98), A, 10, &mut approximated);
        assert_eq!(steps.count(), Some(1));
    }
}
