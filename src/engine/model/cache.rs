//! Answers kept for whoever asks the same again.

use std::cell::Cell;

/// Answers of a pure function, each in the place of its question until another one needs it. They are what the function would
/// say: who asks can tell by nothing but the time it takes.
#[derive(Debug)]
pub(in crate::engine) struct Memo<A: Copy> {
    places: Box<[Place<A>]>,
}

type Place<A> = Cell<Option<(Question, A)>>;

/// What the models of churn look at in a customer who came on whole days, at the beginning of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Question {
    pub(in crate::engine) repeats: u32,
    /// From the first day to the last.
    pub(in crate::engine) days: u32,
    pub(in crate::engine) level: u32,
}

impl<A: Copy> Memo<A> {
    /// Most customers come rarely: few questions are asked again and again, and the others seldom. All of it stays in the
    /// processor's cache.
    const PLACES_LOG2: u32 = 12;

    pub(in crate::engine) fn new() -> Self {
        Self { places: vec![Cell::new(None); 1 << Self::PLACES_LOG2].into() }
    }

    pub(in crate::engine) fn answer(&self, question: Question, compute: impl FnOnce() -> A) -> A {
        let place = &self.places[question.place(Self::PLACES_LOG2)];
        match place.get() {
            Some((asked, answer)) if asked == question => answer,
            _ => {
                let answer = compute();
                place.set(Some((question, answer)));
                answer
            }
        }
    }
}

impl Question {
    /// Multiplication spreads what differs in a low bit over the high ones.
    fn place(self, bits: u32) -> usize {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = (u64::from(self.repeats) << 32 | u64::from(self.days)).wrapping_mul(ODD) ^ u64::from(self.level);
        (mixed.wrapping_mul(ODD) >> (64 - bits)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::{Memo, Question};

    #[test]
    fn each_question_has_its_own_answer_however_many_share_a_place() {
        let memo = Memo::new();
        for _ in 0..2 {
            for repeats in 0..40 {
                for days in 0..400 {
                    for level in 0..3 {
                        let answer = memo.answer(Question { repeats, days, level }, || (repeats, days, level));
                        assert_eq!(answer, (repeats, days, level));
                    }
                }
            }
        }
        memo.answer(Question { repeats: 39, days: 399, level: 2 }, || unreachable!("was asked just now"));
    }
}
