//! The first (or last) A and the first other B from then on, for `time from A to B`.
//!
//! It keeps the A, its answer, and the B's that would answer an A that may still arrive late.

use super::kind::{Content, EdgeTimes, FeedContext, Kind, Names, Parts, Phrases};
use super::{A, B};
use crate::bytes::{Read, Reader, put_instant, put_len};
use crate::event::{CustomerEvent, Instant, Span};
use crate::prefetch::prefetch_ends;

/// The first A (or the `last`), the first B from then on, and at most `cap` B's that a late A may need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub last: bool,
    pub cap: usize,
}

/// Ascending by time.
pub type AnswerPoints = Vec<AnswerPoint>;

/// The A's and B's at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerPoint {
    pub at: Instant,
    /// At least one is an A and no B.
    pub a: bool,
    /// At least one is a B and no A.
    pub b: bool,
    /// How many are both; counted up to 2.
    pub both: u8,
}

impl AnswerPoint {
    fn has_a(&self) -> bool {
        self.a || self.both > 0
    }

    fn has_b(&self) -> bool {
        self.b || self.both > 0
    }

    /// Is there an A and another event that is a B?
    fn answers_itself(&self) -> bool {
        (self.has_a() && self.b) || (self.a && self.has_b()) || self.both > 1
    }
}

impl Answer {
    /// The time from A to B, ignoring events after `at`; `None` while there is no A, or no B for it.
    #[must_use]
    pub fn time(&self, found: &[AnswerPoint], at: Instant) -> Option<Span> {
        let found = &found[..found.partition_point(|point| point.at <= at)];
        let a = self.index_of_a(found)?;
        let answer = if found[a].answers_itself() { a } else { first_b(found, a)? };
        Some(found[answer].at.since(found[a].at))
    }

    /// When `time` next changes as `at` advances over the events held.
    #[must_use]
    pub fn next_point(found: &[AnswerPoint], at: Instant) -> Instant {
        found.iter().map(|point| point.at).find(|time| *time > at).unwrap_or(Instant::MAX)
    }

    fn summary(&self, found: &[AnswerPoint]) -> (Option<Instant>, Option<Span>) {
        let a = self.index_of_a(found).map(|index| found[index].at);
        (a, self.time(found, Instant::MAX))
    }

    fn index_of_a(&self, found: &[AnswerPoint]) -> Option<usize> {
        if self.last { found.iter().rposition(AnswerPoint::has_a) } else { found.iter().position(AnswerPoint::has_a) }
    }

    fn add(found: &mut AnswerPoints, added: AnswerPoint) {
        let index = found.partition_point(|point| point.at < added.at);
        match found.get_mut(index).filter(|point| point.at == added.at) {
            None => found.insert(index, added),
            Some(point) => {
                point.a |= added.a;
                point.b |= added.b;
                point.both = (point.both + added.both).min(2);
            }
        }
    }

    fn tidy(&self, found: &mut AnswerPoints, approximated: &mut u64) {
        self.drop_settled(found);
        while let Some(oldest) = self.over_capacity(found) {
            found.remove(oldest);
            *approximated += 1;
        }
    }

    /// For the first A, later A's and everything after its answer never matter; for the last A, nothing before it does.
    fn drop_settled(&self, found: &mut AnswerPoints) {
        let Some(a) = self.index_of_a(found) else { return };
        if self.last {
            found.drain(..a);
            return;
        }
        let answer = if found[a].answers_itself() { None } else { first_b(found, a) };
        match answer {
            Some(answer) => {
                found.truncate(answer + 1);
                found.drain(a + 1..answer);
                // Whether an A of this instant is held depends on the order of arrival, so it is dropped.
                let at = found[a + 1].at;
                found[a + 1] = AnswerPoint { at, a: false, b: true, both: 0 };
            }
            None => found.truncate(a + 1),
        }
    }

    /// Over capacity: the oldest B that is held only for late A's.
    fn over_capacity(&self, found: &[AnswerPoint]) -> Option<usize> {
        if found.len() <= self.cap + 2 {
            return None;
        }
        match self.index_of_a(found) {
            Some(a) if self.last => Some(first_b(found, a)? + 1),
            _ => Some(0),
        }
    }
}

fn first_b(found: &[AnswerPoint], after: usize) -> Option<usize> {
    (after + 1..found.len()).find(|index| found[*index].has_b())
}

impl Kind for Answer {
    type Content = AnswerPoints;

    /// False: the time from A to B is unchanged.
    fn feed(
        &self,
        found: &mut AnswerPoints,
        event: &CustomerEvent<'_>,
        parts: Parts,
        context: &mut FeedContext<'_>,
    ) -> bool {
        let before = self.summary(found);
        let (a, b) = (parts == A, parts == B);
        Self::add(found, AnswerPoint { at: event.at, a, b, both: u8::from(!a && !b) });
        self.tidy(found, context.approximated);
        self.summary(found) != before
    }

    /// Drops the B's that no late A can need any more.
    fn forget(&self, found: &mut AnswerPoints, _: EdgeTimes, settled_before: Instant) {
        let a = self.index_of_a(found);
        let keep = match (a, self.last) {
            // The last A is the first entry; its answer stays.
            (Some(a), true) => first_b(found, a).unwrap_or(a) + 1,
            (Some(_) | None, _) => 0,
        };
        let end = if self.last { found.len() } else { a.unwrap_or(found.len()) };
        let mut index = 0;
        found.retain(|point| {
            let spare = (keep..end).contains(&index) && point.at < settled_before;
            index += 1;
            !spare
        });
    }

    fn merge(&self, found: &mut AnswerPoints, other: AnswerPoints, _: EdgeTimes, approximated: &mut u64) {
        for point in other {
            Self::add(found, point);
        }
        self.tidy(found, approximated);
    }

    fn serves(&self, wanted: &Self) -> bool {
        self.cap == wanted.cap
    }

    fn bytes(&self, events: usize, _: usize) -> usize {
        8 + self.cap.min(events) * 7
    }

    fn definition(&self, _: &dyn Names) -> String {
        format!("answer {}", self.last)
    }

    fn describe(&self, words: &dyn Phrases) -> String {
        let which = if self.last { "last" } else { "first" };
        format!("when {which} {}, and when first {} from then on", words.events(A), words.events(B))
    }
}

impl Content for AnswerPoints {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn heap_bytes(&self) -> usize {
        self.capacity() * size_of::<AnswerPoint>()
    }

    fn prefetch(&self) {
        prefetch_ends(self);
    }

    fn longest(&self) -> usize {
        self.len()
    }

    fn drop_older_half(&mut self) {
        super::kind::halve(self);
    }

    fn encode(&self, out: &mut Vec<u8>, base: Instant) {
        put_len(out, self.len());
        let mut last = base;
        for point in self {
            put_instant(out, point.at, last);
            out.push(u8::from(point.a) | u8::from(point.b) << 1 | point.both << 2);
            last = point.at;
        }
    }

    fn read(&mut self, reader: &mut Reader<'_>, base: Instant) -> Read<()> {
        self.clear();
        let mut last = base;
        for _ in 0..reader.len("answers")? {
            last = reader.instant(last, "answer")?;
            let flags = reader.u8("answer")?;
            self.push(AnswerPoint { at: last, a: flags & 1 != 0, b: flags & 2 != 0, both: flags >> 2 });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, AnswerPoint, AnswerPoints, Instant, Kind, Span};

    fn feed(kind: &Answer, found: &mut AnswerPoints, at: i64, a: bool, approximated: &mut u64) {
        Answer::add(found, AnswerPoint { at: Instant(at), a, b: !a, both: 0 });
        kind.tidy(found, approximated);
    }

    #[test]
    fn the_answer_of_a_late_a_is_still_known() {
        for last in [false, true] {
            let kind = Answer { last, cap: 10 };
            let (mut found, mut approximated) = (Vec::new(), 0);
            for (at, a) in [(5, false), (20, true), (30, false), (40, false)] {
                feed(&kind, &mut found, at, a, &mut approximated);
            }
            assert_eq!(kind.time(&found, Instant::MAX), Some(Span(10)));
            kind.forget(&mut found, None, Instant(4));
            feed(&kind, &mut found, if last { 35 } else { 4 }, true, &mut approximated);
            assert_eq!(kind.time(&found, Instant::MAX), Some(Span(if last { 5 } else { 1 })));
        }
    }

    #[test]
    fn what_is_held_stays_bounded() {
        for last in [false, true] {
            let kind = Answer { last, cap: 10 };
            let (mut found, mut approximated) = (Vec::new(), 0);
            for at in 0..1_000 {
                feed(&kind, &mut found, at, at == 500, &mut approximated);
            }
            assert!(found.len() <= 12 && approximated > 0);
            assert_eq!(kind.time(&found, Instant::MAX), Some(Span(1)));
        }
    }
}
