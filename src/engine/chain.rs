//! Sequences: how far `A then B within D ...` has come, whatever the order in which its events arrived.
//!
//! Of all ways to have come to a step, the latest is the best one: whoever can go on from an earlier time can go on from
//! it, and less lies between. So events that no late one can put into another light any more are reduced to one time for
//! each step, and to the times at which the sequence was complete; that loses nothing. Only events that are younger than
//! the lateness allowed are kept one by one.

use crate::event::{Instant, Span};
use crate::rules::{BARRED, Keep, STEPS_MAX};

/// The content of a sequence's fact.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// Events not yet settled, ascending by `(key, at, roles)`.
    pub links: Vec<Link>,
    /// What the settled ones came to, ascending by `(key, step)`: only where another step can still follow.
    pub reached: Vec<Reached>,
    /// When settled events completed the sequence, ascending: the times that can still matter.
    pub done: Vec<Instant>,
}

/// Events of one instant that can stand for the same steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Hash of the key's value; 0 where the rule names no key.
    pub key: u64,
    pub at: Instant,
    /// A bit for each step that it fits; `BARRED`, if it must not lie between two.
    pub roles: u16,
    /// How many; counted up to the number of steps that they fit.
    pub count: u8,
}

/// The latest time at which a sequence came as far as a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    pub key: u64,
    pub step: u8,
    pub at: Instant,
}

/// What a sequence asks of its events, besides their names and properties.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) within: &'a [Span],
    pub(super) keep: Keep,
    /// First and last time of the fact that `keep` names.
    pub(super) edge: Option<(Instant, Instant)>,
}

impl Chain {
    /// Takes an event in. False: there are as many of its kind at that instant as could ever be used.
    pub(super) fn insert(&mut self, key: u64, at: Instant, roles: u16) -> bool {
        let most = (roles & !BARRED).count_ones().max(1);
        let place = self.links.partition_point(|link| (link.key, link.at, link.roles) < (key, at, roles));
        match self.links.get_mut(place).filter(|link| (link.key, link.at, link.roles) == (key, at, roles)) {
            Some(link) if u32::from(link.count) >= most => return false,
            Some(link) => link.count += 1,
            None => self.links.insert(place, Link { key, at, roles, count: 1 }),
        }
        true
    }

    /// Over capacity: the oldest events count as settled early, and the keys that nothing happened to for longest go.
    pub(super) fn cap(
        &mut self,
        key: u64,
        links_max: usize,
        keys_max: usize,
        terms: Terms<'_>,
        approximated: &mut u64,
    ) {
        while self.links.len() > links_max {
            let Some(oldest) = self.links.iter().map(|link| link.at).min() else { return };
            self.settle(oldest.next(), terms);
            *approximated += 1;
        }
        // Only an event that is alone with its key can have added one.
        let of_key = |k: u64| k == key;
        let alone = self.links.iter().filter(|link| of_key(link.key)).take(2).count() == 1;
        if !alone || self.reached.iter().any(|reached| of_key(reached.key)) {
            return;
        }
        while self.keys() > keys_max {
            let Some(oldest) = self.oldest_key() else { return };
            self.links.retain(|link| link.key != oldest);
            self.reached.retain(|reached| reached.key != oldest);
            *approximated += 1;
        }
    }

    fn keys(&self) -> usize {
        let (mut links, mut reached) = (self.links.as_slice(), self.reached.as_slice());
        let mut count = 0;
        while let Some(key) = links.first().map(|l| l.key).into_iter().chain(reached.first().map(|r| r.key)).min() {
            links = &links[links.partition_point(|link| link.key == key)..];
            reached = &reached[reached.partition_point(|reached| reached.key == key)..];
            count += 1;
        }
        count
    }

    fn oldest_key(&self) -> Option<u64> {
        let latest = |key: u64| {
            let links = self.links.iter().filter(|link| link.key == key).map(|link| link.at);
            let reached = self.reached.iter().filter(|reached| reached.key == key).map(|reached| reached.at);
            links.chain(reached).max()
        };
        let keys = self.links.iter().map(|link| link.key).chain(self.reached.iter().map(|reached| reached.key));
        keys.min_by_key(|key| (latest(*key), *key))
    }

    /// Settles and drops what is older than any event that can still arrive.
    pub(super) fn forget(&mut self, oldest_arrival: Instant, terms: Terms<'_>) {
        self.settle(oldest_arrival, terms);
        self.reached.retain(|reached| reached.at + terms.within[usize::from(reached.step)] >= oldest_arrival);
        if let Keep::Spread { far, .. } = terms.keep {
            let over = self.done.partition_point(|at| *at <= oldest_arrival - far);
            self.done.drain(..over);
        }
    }

    /// Reduces the events before an instant to what they came to.
    fn settle(&mut self, before: Instant, terms: Terms<'_>) {
        if self.links.iter().all(|link| link.at >= before) {
            return;
        }
        for of_key in self.links.chunk_by(|a, b| a.key == b.key) {
            let settled = &of_key[..of_key.partition_point(|link| link.at < before)];
            let Some(Link { key, .. }) = settled.first().copied() else { continue };
            let mut walk = Walk::from(&self.reached, key);
            for instant in settled.chunk_by(|a, b| a.at == b.at) {
                if walk.take(instant, terms.within) {
                    keep(&mut self.done, instant[0].at, terms);
                }
            }
            walk.note(&mut self.reached, key, terms.within.len());
        }
        self.links.retain(|link| link.at >= before);
    }

    /// The times at which the sequence was complete, of those that can matter, in no order.
    pub(super) fn completions(&self, within: &[Span], mut found: impl FnMut(Instant)) {
        self.done.iter().for_each(|at| found(*at));
        for of_key in self.links.chunk_by(|a, b| a.key == b.key) {
            let mut walk = Walk::from(&self.reached, of_key[0].key);
            for instant in of_key.chunk_by(|a, b| a.at == b.at) {
                if walk.take(instant, within) {
                    found(instant[0].at);
                }
            }
        }
    }
}

/// How far one key's sequence has come, at an instant that moves forward: for each step but the last, when it was
/// reached latest; `MIN`: never, or not so that anything could follow.
struct Walk([Instant; STEPS_MAX - 1]);

impl Walk {
    fn from(reached: &[Reached], key: u64) -> Self {
        let mut walk = Self([Instant::MIN; STEPS_MAX - 1]);
        let start = reached.partition_point(|reached| reached.key < key);
        for reached in reached[start..].iter().take_while(|reached| reached.key == key) {
            walk.0[usize::from(reached.step)] = reached.at;
        }
        walk
    }

    /// Writes down how far it came.
    fn note(&self, reached: &mut Vec<Reached>, key: u64, steps: usize) {
        let start = reached.partition_point(|reached| reached.key < key);
        let end = start + reached[start..].partition_point(|reached| reached.key == key);
        let found = (0_u8..).zip(&self.0[..steps]).filter(|(_, at)| **at > Instant::MIN);
        reached.splice(start..end, found.map(|(step, at)| Reached { key, step, at: *at }));
    }

    /// Takes in the events of the next instant. True: the sequence is complete at it.
    fn take(&mut self, instant: &[Link], within: &[Span]) -> bool {
        let at = instant[0].at;
        let last = within.len();
        let mut here = 0_u16;
        for first in 0..=last {
            if first > 0 && !self.leads_on(first - 1, at, within) {
                continue;
            }
            // Several steps may be made at one instant, each by an event of its own.
            let mut steps = 0_u16;
            for step in first..=last {
                steps |= 1 << step;
                if !fill(instant, steps) {
                    break;
                }
                here |= 1 << step;
            }
        }
        if instant.iter().any(|link| link.roles & BARRED != 0) {
            self.0.iter_mut().filter(|reached| **reached < at).for_each(|reached| *reached = Instant::MIN);
        }
        for (step, reached) in self.0[..last].iter_mut().enumerate() {
            if here & (1 << step) != 0 {
                *reached = at;
            }
        }
        here & (1 << last) != 0
    }

    /// May the step after this one be made at `at`?
    fn leads_on(&self, step: usize, at: Instant, within: &[Span]) -> bool {
        let reached = self.0[step];
        reached > Instant::MIN && reached <= at && at <= reached + within[step]
    }
}

/// Are there so many events that each of the steps has one of its own? By Hall's condition: any part of the steps must be
/// met by at least as many events.
fn fill(instant: &[Link], steps: u16) -> bool {
    let mut part = steps;
    while part != 0 {
        let able: u32 = instant.iter().filter(|link| link.roles & part != 0).map(|link| u32::from(link.count)).sum();
        if able < part.count_ones() {
            return false;
        }
        part = (part - 1) & steps;
    }
    true
}

/// Adds a time at which the sequence was complete, if it can matter, and drops those that no longer do.
fn keep(done: &mut Vec<Instant>, at: Instant, terms: Terms<'_>) {
    let wanted = match terms.keep {
        Keep::Latest => done.first().is_none_or(|known| at > *known),
        Keep::Earliest => done.first().is_none_or(|known| at < *known),
        Keep::WithinFirst(_, span) => {
            let inside = terms.edge.is_some_and(|(first, _)| first <= at && at <= first + span);
            inside && done.first().is_none_or(|known| at < *known)
        }
        Keep::Spread { band, .. } => return keep_spread(done, at, band),
    };
    if wanted {
        done.clear();
        done.push(at);
    }
}

/// A time between two others that lie no further apart than the band is long tells nothing more than they do.
fn keep_spread(done: &mut Vec<Instant>, at: Instant, band: Span) {
    let place = done.partition_point(|known| *known < at);
    if done.get(place) == Some(&at) {
        return;
    }
    done.insert(place, at);
    for middle in [place + 1, place, place.wrapping_sub(1)] {
        let between = middle.checked_sub(1).and_then(|before| done.get(before)).zip(done.get(middle.wrapping_add(1)));
        if between.is_some_and(|(before, after)| after.since(*before) <= band) {
            done.remove(middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Chain, Instant, Keep, Link, Span, Terms, fill, keep_spread};

    const TERMS: Terms<'static> = Terms { within: &[Span(10)], keep: Keep::Latest, edge: None };

    fn completions(chain: &Chain) -> Vec<i64> {
        let mut found = Vec::new();
        chain.completions(TERMS.within, |at| found.push(at.0));
        found.sort_unstable();
        found
    }

    #[test]
    fn settled_events_leave_behind_only_how_far_they_came() {
        let mut chain = Chain::default();
        for (at, roles) in [(1, 1), (2, 2), (3, 1), (4, 1), (20, 2)] {
            assert!(chain.insert(0, Instant(at), roles));
        }
        chain.forget(Instant(10), TERMS);
        assert_eq!((chain.links.len(), chain.reached.len(), chain.done.as_slice()), (1, 1, [Instant(2)].as_slice()));
        // The A of 4 is good for a B of 14, no later.
        assert!(chain.insert(0, Instant(14), 2));
        assert_eq!(completions(&chain), [2, 14]);
        chain.forget(Instant(15), TERMS);
        assert_eq!((chain.reached.len(), completions(&chain)), (0, vec![14]));
    }

    #[test]
    fn over_capacity_the_oldest_events_and_keys_go_first_and_are_counted() {
        let (mut chain, mut approximated) = (Chain::default(), 0);
        for at in 0..100 {
            chain.insert(0, Instant(at), if at % 2 == 0 { 1 } else { 2 });
            chain.cap(0, 8, 4, TERMS, &mut approximated);
        }
        assert_eq!((chain.links.len(), approximated), (8, 92));
        assert_eq!(completions(&chain).last(), Some(&99));
        let (mut chain, mut approximated) = (Chain::default(), 0);
        for key in 1..=6 {
            chain.insert(key, Instant(10 - i64::try_from(key).unwrap()), 1);
            chain.cap(key, 8, 4, TERMS, &mut approximated);
        }
        let keys: Vec<u64> = chain.links.iter().map(|link| link.key).collect();
        assert_eq!((keys, approximated), (vec![1, 2, 3, 4], 2));
    }

    #[test]
    fn steps_at_one_instant_need_an_event_each() {
        let link = |roles, count| Link { key: 0, at: Instant(0), roles, count };
        assert!(fill(&[link(0b011, 1), link(0b110, 1), link(0b001, 1)], 0b111));
        assert!(!fill(&[link(0b011, 2), link(0b001, 5)], 0b111));
        assert!(!fill(&[link(0b001, 1), link(0b110, 1)], 0b111));
    }

    #[test]
    fn of_times_close_together_only_the_outer_ones_are_kept() {
        let mut done = Vec::new();
        for at in [5, 1, 3, 2, 4, 9, 30] {
            keep_spread(&mut done, Instant(at), Span(5));
        }
        assert_eq!(done.iter().map(|at| at.0).collect::<Vec<_>>(), [1, 5, 9, 30]);
    }
}
