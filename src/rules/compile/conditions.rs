//! Conditions: each construct of the language as a test on facts.

use super::{Compiled, Compiler, later};
use crate::event::{Change, Instant};
use crate::fact::{Distinct, DistinctAll, DistinctKey, Earliest, FactKind, Floor, Latest, Series, Total, Unanswered};
use crate::rules::ast::{
    Bound, Count, Did, ExprKind, Mode, Name, Next, Range, Sequence, Silent, Window as WrittenWindow,
};
use crate::rules::condition::{Condition, CountTest};
use crate::rules::error::ExprError;
use crate::rules::measure::Window;

/// Maximum count of events in a condition.
const COUNT_MAX: u32 = 1_000;
/// Entries that the last 16 changes of a membership always include.
const MOVES_MAX: u32 = 8;

impl Compiler<'_> {
    /// The conditions that one construct compiles to; all must hold.
    pub(super) fn conditions_of(&mut self, kind: &ExprKind, range: Range) -> Compiled<Vec<Condition>> {
        let one = match kind {
            ExprKind::Did(did) => self.did(did, range)?,
            ExprKind::Silent(silent) => self.silent(silent),
            ExprKind::Sequence(sequence) => self.sequence(sequence, range)?,
            ExprKind::InCohort { cohort, stay } => Condition::In {
                cohort: self.order[cohort.text.as_str()],
                stay: stay.map(|(bound, duration)| (bound, duration.span)),
            },
            ExprKind::Entered { cohort, count, window } => {
                self.moves(cohort, Change::Entered, count.as_ref(), window, range)?
            }
            ExprKind::Left { cohort, window } => self.moves(cohort, Change::Exited, None, window, range)?,
            ExprKind::Compare(compare) => return self.compare(compare),
            ExprKind::Streak(streak) => self.streak(streak, range)?,
            ExprKind::Rank(rank) => self.rank(rank, range)?,
            ExprKind::Consent { .. } => return Err(later(range, "a consent")),
            ExprKind::And(_) | ExprKind::Or(_) | ExprKind::Not(_) => {
                return Err(ExprError::new(range, "expected a condition"));
            }
        };
        Ok(vec![one])
    }

    pub(super) fn did(&mut self, did: &Did, range: Range) -> Compiled<Condition> {
        let selector = self.selector(&did.step);
        let waits = !did.even_if_new && has_length(&did.window);
        let times = |bound, n| -> Compiled<CountTest> {
            Ok(CountTest { negated: did.negated, ..count_test(bound, n, range)? })
        };
        let (test, key) = match &did.count {
            None => (CountTest { min: 1, max: None, negated: did.negated }, None),
            Some(Count::Times(bound, n)) => (times(*bound, *n)?, None),
            Some(Count::FirstTime) => {
                let fact = self.fact(Earliest { cap: 1 }, &selector, None);
                let window = self.window(&did.window);
                return Ok(Condition::First { fact, window, negated: did.negated });
            }
            Some(Count::Different(bound, n, property)) => {
                (times(*bound, *n)?, Some(DistinctKey::Property(self.property(property))))
            }
            Some(Count::OnDifferent(bound, n, unit)) => (times(*bound, *n)?, Some(DistinctKey::Period(*unit))),
            Some(Count::Rhythm { times, unit, periods, of_last, .. }) => {
                return self.rhythm(&selector, *times, *unit, *periods, *of_last, range);
            }
        };
        let window = self.window(&did.window);
        let cap = test.capacity();
        let from = match window {
            Window::Ever => None,
            Window::SinceDate(from) => Some(from),
            _ => Some(Instant::MAX),
        };
        if key.is_none() && from != Some(Instant::MAX) {
            let fact = self.fact(Total { property: None, from }, &selector, None);
            return Ok(Condition::Total { fact, test });
        }
        let floor = match window {
            Window::WithinFirst { fact, span } => Floor::WithinFirst(fact, span),
            _ => Floor::None,
        };
        let horizon = match window {
            Window::Between { far, .. } => Some(far),
            _ => None,
        };
        let banded = matches!(window, Window::Between { .. } | Window::WithinFirst { .. });
        let earliest = matches!(window, Window::MoreThan(_));
        let kind: FactKind = match key {
            None if banded => Series { property: None, exact: cap.max(self.capacities.series), horizon, floor }.into(),
            None if earliest => Earliest { cap }.into(),
            None => Latest { cap, back: None }.into(),
            Some(key) if banded => DistinctAll { key, cap: self.capacities.pairs, horizon, floor }.into(),
            Some(key) => Distinct { key, earliest, cap }.into(),
        };
        let fact = self.fact(kind, &selector, None);
        Ok(Condition::Count { fact, window, test, waits })
    }

    pub(super) fn silent(&mut self, silent: &Silent) -> Condition {
        let document = self.document;
        let selector = self.selector_of(silent.on.as_ref().unwrap_or(&document.activity), &[]);
        let fact = self.fact(Latest { cap: 1, back: None }, &selector, None);
        Condition::Count {
            fact,
            window: Window::Last(silent.span.span),
            test: CountTest { min: 0, max: Some(0), negated: false },
            waits: !silent.even_if_new,
        }
    }

    pub(super) fn absence(&mut self, sequence: &Sequence, next: &Next) -> Condition {
        let (a, b) = (self.selector(&sequence.first), self.selector(&next.step));
        let key = sequence.key.as_ref().map(|name| self.property(name));
        let window = self.window(&sequence.window);
        let after = next.within.span;
        let horizon = match window {
            Window::Last(span) | Window::Between { far: span, .. } => Some(span + after),
            _ => None,
        };
        let each = sequence.mode == Some(Mode::Each);
        let kind = Unanswered { key, each, keys_max: self.capacities.keys, each_max: self.capacities.waiting, horizon };
        let fact = self.fact(kind, &a, Some(b));
        Condition::Unanswered { fact, after, window }
    }

    pub(super) fn moves(
        &mut self,
        cohort: &Name,
        change: Change,
        count: Option<&Count>,
        window: &WrittenWindow,
        range: Range,
    ) -> Compiled<Condition> {
        let cohort = self.order[cohort.text.as_str()];
        let window = self.window_of_changes(window);
        let test = match count {
            None => CountTest { min: 1, max: None, negated: false },
            Some(Count::FirstTime) => return Ok(Condition::FirstEntered { cohort, window }),
            Some(Count::Times(bound, n)) => count_test(*bound, *n, range)?,
            Some(_) => return Err(ExprError::new(range, "entries can only be counted with `times`")),
        };
        if test.capacity() > MOVES_MAX as usize {
            let message = format!(
                "the maximum count of entries is {MOVES_MAX}, as the last 16 changes of a membership are stored"
            );
            return Err(ExprError::new(range, message));
        }
        Ok(Condition::Moves { cohort, change, window, test })
    }
}

pub(super) fn count_test(bound: Bound, n: u32, range: Range) -> Compiled<CountTest> {
    if n > COUNT_MAX {
        return Err(ExprError::new(range, format!("the maximum count is {COUNT_MAX}, not {n}")));
    }
    let (min, max) = match bound {
        Bound::AtLeast => (n, None),
        Bound::AtMost => (0, Some(n)),
        Bound::Exactly => (n, Some(n)),
        Bound::MoreThan => (n + 1, None),
        Bound::FewerThan if n == 0 => return Err(ExprError::new(range, "`fewer than 0` can never hold")),
        Bound::FewerThan => (0, Some(n - 1)),
    };
    Ok(CountTest { min, max, negated: false })
}

/// Has the window a length, for which a customer must have been known before a count of zero counts?
pub(super) fn has_length(window: &WrittenWindow) -> bool {
    match window {
        WrittenWindow::Last(_)
        | WrittenWindow::LastByCalendar { .. }
        | WrittenWindow::Between(..)
        | WrittenWindow::WithinFirst(..) => true,
        WrittenWindow::Ever | WrittenWindow::MoreThan(_) | WrittenWindow::Since(..) | WrittenWindow::SinceDate(_) => {
            false
        }
    }
}
