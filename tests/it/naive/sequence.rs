//! Sequences, rhythms and streaks.

use std::collections::BTreeSet;

use cohortd::event::Value;
use cohortd::rules::ast::{Bound, Sequence, Step, Streak, Unit};

use super::condition::{Moment, is_one_of, matches, within_bound};
use super::log::LogEvent;
use super::window::{Held, Speaks};

impl<'a> Moment<'a> {
    /// `A then B within D [then C within D ...] [per key] [without X between] [window]`
    pub(crate) fn chain(&self, sequence: &Sequence) -> bool {
        let Some(held) = self.held(&sequence.window, Speaks::OfEvents) else { return false };
        let Some(key) = &sequence.key else {
            return some_chain(sequence, &self.so_far().collect::<Vec<_>>(), held);
        };
        // Each value of the key is matched separately; events without it are ignored.
        let values: BTreeSet<Value<'_>> = self.so_far().filter_map(|event| event.property(&key.text)).collect();
        values.into_iter().any(|value| {
            let events: Vec<&LogEvent> =
                self.so_far().filter(|event| event.property(&key.text) == Some(value)).collect();
            some_chain(sequence, &events, held)
        })
    }

    /// `did E at least N times a week in at least M of the last K weeks`: the K complete ones before the current one.
    pub(crate) fn rhythm(
        &self,
        step: &Step,
        unit: Unit,
        (bound, wanted): (Bound, u32),
        (periods_bound, periods_wanted): (Bound, u32),
        of_last: u32,
    ) -> bool {
        let passes = |back: u32| {
            let period = self.rules.calendar.period(unit, self.now, back);
            let in_it = |event: &&LogEvent| self.rules.calendar.period(unit, event.at, 0) == period;
            let count = self.so_far().filter(|event| matches(event, step)).filter(in_it).count();
            within_bound(count, bound, wanted)
        };
        within_bound((1..=of_last).filter(|back| passes(*back)).count(), periods_bound, periods_wanted)
    }

    /// `did E every week for at least N weeks in a row`: ending in the current week or the one before.
    pub(crate) fn streak(&self, streak: &Streak) -> bool {
        let has_one = |back: u32| {
            let period = self.rules.calendar.period(streak.unit, self.now, back);
            self.so_far()
                .filter(|event| is_one_of(event, &streak.step))
                .any(|event| self.rules.calendar.period(streak.unit, event.at, 0) == period)
        };
        (0..=1).any(|end| (end..end + streak.length).all(has_one))
    }
}

/// Can each step be matched by a different event, in time, with no excluded event between?
fn some_chain(sequence: &Sequence, events: &[&LogEvent], held: Held) -> bool {
    let starts = events.iter().filter(|event| matches(event, &sequence.first));
    starts.into_iter().any(|start| goes_on(sequence, events, &mut vec![*start], held))
}

fn goes_on<'e>(sequence: &Sequence, events: &[&'e LogEvent], chain: &mut Vec<&'e LogEvent>, held: Held) -> bool {
    let last = chain[chain.len() - 1];
    // A window applies to the time of the last step.
    let Some(next) = sequence.next.get(chain.len() - 1) else { return held.holds(last.at) };
    events.iter().any(|event| {
        let follows = matches(event, &next.step)
            && !chain.iter().any(|taken| std::ptr::eq(*taken, *event))
            && last.at <= event.at
            && event.at <= last.at + next.within.span;
        let barred = |x: &&&LogEvent| {
            sequence.without.as_ref().is_some_and(|events| is_one_of(x, events)) && last.at < x.at && x.at < event.at
        };
        if !follows || events.iter().any(|x| barred(&x)) {
            return false;
        }
        chain.push(event);
        let complete = goes_on(sequence, events, chain, held);
        chain.pop();
        complete
    })
}
