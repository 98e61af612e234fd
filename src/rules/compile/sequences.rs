//! Sequences, rhythms and streaks: conditions on the order of events and on calendar periods.

use super::conditions::count_test;
use super::{Compiled, Compiler};
use crate::fact::{Capacities, FactIx, FactKind, Keep, Periods, STEPS_MAX, Sequence as SequenceKind};
use crate::rules::ast::{Bound, Range, Sequence, Streak, Unit};
use crate::rules::condition::Condition;
use crate::rules::error::ExprError;
use crate::rules::fact_spec::{ChainSelectors, FactSpec, Selector};
use crate::rules::measure::Window;

/// Maximum number of completions kept for a window between two ages.
const COMPLETED_MAX: usize = 1_024;
/// Calendar periods counted one by one: a year of days.
const PERIODS_MAX: u32 = 366;

impl Compiler<'_> {
    pub(super) fn sequence(&mut self, sequence: &Sequence, range: Range) -> Compiled<Condition> {
        match sequence.next.as_slice() {
            [next] if next.absent => Ok(self.absence(sequence, next)),
            _ => self.chain(sequence, range),
        }
    }

    fn chain(&mut self, sequence: &Sequence, range: Range) -> Compiled<Condition> {
        let written = || std::iter::once(&sequence.first).chain(sequence.next.iter().map(|next| &next.step));
        if written().count() > STEPS_MAX {
            return Err(ExprError::new(range, format!("a sequence has at most {STEPS_MAX} steps"))
                .hint("split it into two sequences joined by `and`"));
        }
        let selectors = ChainSelectors {
            steps: written().map(|step| self.selector(step)).collect(),
            without: sequence.without.as_ref().map(|events| self.selector_of(events, &[])),
        };
        let key = sequence.key.as_ref().map(|name| self.property(name));
        let window = self.window(&sequence.window);
        let keep = match window {
            Window::MoreThan(_) => Keep::Earliest,
            Window::Between { far, near } => Keep::Spread { far, band: crate::event::Span(far.0 - near.0) },
            Window::WithinFirst { fact, span } => Keep::WithinFirst(fact, span),
            // The latest completion decides whether any is at or after an instant.
            Window::Ever | Window::Last(_) | Window::Calendar { .. } | Window::Since { .. } | Window::SinceDate(_) => {
                Keep::Latest
            }
        };
        if keep.most() > COMPLETED_MAX {
            let message = format!(
                "for so short a window so long ago, more than {COMPLETED_MAX} times of the sequence would have to be \
                 stored"
            );
            return Err(ExprError::new(range, message).hint("use two durations that are further apart"));
        }
        let within = sequence.next.iter().map(|next| next.within.span).collect();
        let Capacities { keys: keys_max, links: events_max, .. } = self.capacities;
        let kind = SequenceKind { within, key, keep, keys_max, events_max };
        Ok(Condition::Sequence { fact: self.chain_fact(kind.into(), selectors), window })
    }

    fn chain_fact(&mut self, kind: FactKind, selectors: ChainSelectors) -> FactIx {
        let same = |fact: &FactSpec| fact.chain.as_ref() == Some(&selectors) && fact.kind == kind;
        let at = self.facts.iter().position(same).unwrap_or_else(|| {
            let selector = selectors.steps[0].clone();
            self.facts.push(FactSpec { kind, id: 0, selector, other: None, via: None, chain: Some(selectors) });
            self.facts.len() - 1
        });
        FactIx(u16::try_from(at).expect("a rules file has fewer than 65,536 facts"))
    }

    /// `did E at least N times a week in at least M of the last K weeks`
    pub(super) fn rhythm(
        &mut self,
        selector: &Selector,
        times: (Bound, u32),
        unit: Unit,
        periods: (Bound, u32),
        of_last: u32,
        range: Range,
    ) -> Compiled<Condition> {
        if !(1..=PERIODS_MAX).contains(&of_last) {
            return Err(ExprError::new(
                range,
                format!("the number of periods must be between 1 and {PERIODS_MAX}, not {of_last}"),
            ));
        }
        if periods.1 > of_last {
            let message = format!("{} of the last {of_last} periods can never hold", periods.1);
            return Err(ExprError::new(range, message));
        }
        let times = count_test(times.0, times.1, range)?;
        let periods = count_test(periods.0, periods.1, range)?;
        let most = u32::try_from(times.capacity()).unwrap_or(u32::MAX);
        let fact = self.fact(Periods { unit, back: of_last, most }, selector, None);
        Ok(Condition::Rhythm { fact, unit, times, of_last, periods })
    }

    /// `did E every week for at least N weeks in a row`
    pub(super) fn streak(&mut self, streak: &Streak, range: Range) -> Compiled<Condition> {
        let Streak { step, unit, length, .. } = streak;
        if !(1..=PERIODS_MAX).contains(length) {
            return Err(ExprError::new(
                range,
                format!("the number of periods must be between 1 and {PERIODS_MAX}, not {length}"),
            ));
        }
        let selector = self.selector_of(step, &[]);
        let fact = self.fact(Periods { unit: *unit, back: *length, most: 1 }, &selector, None);
        Ok(Condition::Streak { fact, unit: *unit, length: *length })
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::load;

    fn refusal(who: &str) -> String {
        let errors = load("r.toml", &format!("[cohorts.c]\nwho = '{who}'")).unwrap_err();
        errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_cannot_be_bounded_or_means_nothing_is_refused_with_the_reason() {
        let nine = "a1 then a2 within 1 day".to_owned() + &" then a3 within 1 day".repeat(7);
        for (who, reason) in [
            (nine.as_str(), "a sequence has at most 8 steps"),
            ("a1 then b1 within 1 day then no c1 within 1 day", "`then no` cannot be combined"),
            ("latest a1 then b1 within 1 day", "`each` and `latest` are only valid in `A then no B"),
            (
                "a1 then b1 within 1 day between 2 years and 729 days ago",
                "more than 1024 times of the sequence would have to be stored",
            ),
            (
                "did a1 at least 2 times a week in at least 5 of the last 4 weeks",
                "5 of the last 4 periods can never hold",
            ),
            (
                "did a1 at least 2 times a week in at least 1 of the last 0 weeks",
                "the number of periods must be between 1 and 366",
            ),
            (
                "did a1 at least 2 times a week in at least 1 of the last 4 days",
                "both periods must be of the same unit",
            ),
            ("did not a1 at least 2 times a day in at least 1 of the last 4 days", "cannot be combined with `not`"),
            ("not (did a1 at least 2 times a day in at least 1 of the last 4 days)", "cannot be combined with `not`"),
            (
                "did a1 at least 2 times a day in at least 1 of the last 4 days in the last 9 days",
                "cannot be combined with `not`",
            ),
            (
                "did a1 at least 2 times a day in at least 1 of the last 4 days even if new",
                "cannot be combined with `not`",
            ),
            ("did a1 every week for at least 3 days in a row", "both units of a streak must be the same"),
            ("did a1 every week for at most 3 weeks in a row", "a streak must be `for at least N ... in a row`"),
            ("did a1 every day for at least 0 days in a row", "the number of periods must be between 1 and 366"),
        ] {
            let refusal = refusal(who);
            assert!(refusal.contains(reason), "{who}\n{refusal}");
        }
    }

    #[test]
    fn what_several_conditions_need_is_remembered_once() {
        let facts = |who: &str| load("r.toml", &format!("[cohorts.c]\nwho = '{who}'")).unwrap().facts.len();
        assert_eq!(
            facts("a1 then b1 within 1 day in the last 7 days or a1 then b1 within 1 day in the last 9 days"),
            1
        );
        assert_eq!(
            facts("a1 then b1 within 1 day in the last 7 days or a1 then b1 within 2 days in the last 7 days"),
            2
        );
        let rhythms = "did a1 at least 2 times a week in at least 3 of the last 4 weeks \
                       or did a1 exactly 5 times a week in at least 1 of the last 9 weeks \
                       or did a1 every week for at least 20 weeks in a row";
        assert_eq!(facts(rhythms), 1);
    }
}
