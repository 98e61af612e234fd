//! Conditions on one customer at one instant.

use std::cmp::Ordering;
use std::ops::Range;

use super::measure::Measured;
use super::periods::{Rhythm, streak};
use super::verdict::Verdict;
use super::view::CustomerView;
use super::window::{exists, known_from, next_change, next_crossing, one_within, within};
use crate::calendar::Unit;
use crate::engine::customer::Membership;
use crate::event::{Change, Instant, Number, Value};
use crate::fact::{Fact, FactIx, FactKind, OpenKey, kept_part};
use crate::rules::ast::{Bound, Edge, Op};
use crate::rules::{CohortIx, Comparand, Condition, ConditionIx, CountTest, Measure, Node, Score, Window};

/// The part of a fact that lies in a window.
pub(in crate::engine) struct InWindow {
    /// Number of times, or of different keys.
    pub(in crate::engine) count: u64,
    pub(in crate::engine) last: Option<Instant>,
    /// When that next changes by time alone.
    until: Instant,
}

impl<'a> CustomerView<'a> {
    /// Evaluates an expression.
    pub(in crate::engine) fn node(&self, node: &Node) -> Verdict {
        match node {
            Node::And(parts) => Verdict::all(parts.iter().map(|part| self.node(part))),
            Node::Or(parts) => Verdict::any(parts.iter().map(|part| self.node(part))),
            Node::Not(inner) => self.node(inner).negated(),
            Node::Leaf(condition, _) => self.condition(*condition),
        }
    }

    /// Evaluates one condition.
    pub(in crate::engine) fn condition(&self, condition: ConditionIx) -> Verdict {
        self.evaluated(self.rules.condition(condition))
    }

    pub(in crate::engine) fn evaluated(&self, condition: &Condition) -> Verdict {
        match condition {
            Condition::Count { fact, window, test, waits } => self.count(*fact, *window, *test, waits.then_some(*fact)),
            Condition::First { fact, window, negated } => {
                let once = CountTest { min: 1, max: None, negated: false };
                let first = self.edge(*fact, Edge::First);
                let verdict = self.tested(first.as_slice(), *window, once, None);
                if *negated { verdict.negated() } else { verdict }
            }
            Condition::Total { fact, test } => Verdict::always(match self.fact(*fact) {
                Some(Fact::Total(total)) => test.holds(total.count),
                _ => test.holds(0),
            }),
            Condition::Unanswered { fact, after, window } => self.unanswered(*fact, *after, *window),
            Condition::Sequence { fact, window } => self.sequence(*fact, *window),
            Condition::Rhythm { fact, unit, times, of_last, periods } => {
                let rhythm = Rhythm { periods: self.periods(*fact), times: *times, of_last: *of_last };
                self.rhythm(rhythm, *unit, *periods)
            }
            Condition::Streak { fact, unit, length } => {
                streak(self.periods(*fact), self.at, *unit, *length, self.calendar)
            }
            Condition::In { cohort, stay } => self.member(*cohort, *stay),
            Condition::Moves { cohort, change, window, test } => {
                let mut times = [Instant::MIN; Membership::HISTORY_MAX];
                let times = times_of(*change, self.membership(*cohort), &mut times);
                match within(times, *window, self) {
                    Some(_) => self.tested(times, *window, *test, None),
                    // There is no F, so no entry lies within D of it.
                    None => Verdict::always(test.holds(0)),
                }
            }
            Condition::FirstEntered { cohort, window } => {
                let membership = self.membership(*cohort);
                let times = [membership.first_entered_at];
                let entered = usize::from(membership.times_entered > 0);
                self.tested(&times[..entered], *window, CountTest { min: 1, max: None, negated: false }, None)
            }
            Condition::Compare { measure, op, with } => self.compare(measure, *op, with),
            Condition::Known { measure } => self.presence(measure),
            Condition::Missing { measure } => self.presence(measure).negated(),
            Condition::Rank { rank, .. } => self.rank(*rank),
        }
    }

    /// `waits`: as for `waited`.
    fn count(&self, fact: FactIx, window: Window, test: CountTest, waits: Option<FactIx>) -> Verdict {
        match self.kind(fact) {
            FactKind::Latest(_) | FactKind::Earliest(_) => self.tested(self.times(fact), window, test, waits),
            FactKind::Distinct(_) => {
                let times = self.fact(fact).and_then(Fact::keyed_times).map_or(&[][..], |found| &found.times);
                self.tested(times, window, test, waits)
            }
            _ => {
                let Some(found) = self.found_in(fact, window) else { return Verdict::always(false) };
                self.waited(test, found.count, found.until, window, waits)
            }
        }
    }

    /// The part of a fact that lies in a window, as both decisions and explanations use it. `None`: the window does not
    /// exist.
    pub(in crate::engine) fn found_in(&self, fact: FactIx, window: Window) -> Option<InWindow> {
        let found = |times: &[Instant], part: Range<usize>, count: usize| InWindow {
            count: count as u64,
            last: times[part.clone()].last().copied(),
            until: next_change(times, &part, window, self),
        };
        Some(match self.fact(fact) {
            Some(Fact::Distinct(pairs) | Fact::DistinctAll(pairs)) => {
                let part = within(&pairs.times, window, self)?;
                let count = self.different(fact, &pairs.keys[part.clone()]);
                found(&pairs.times, part, count)
            }
            Some(Fact::Series(series)) => {
                let part = within(&series.times, window, self)?;
                let count = part.len();
                let mut found = found(&series.times, part, count);
                for day in &series.days {
                    let lies_in = one_within(day.last, window, self);
                    if lies_in.holds {
                        found.count += day.count;
                        found.last = found.last.max(Some(day.last));
                    }
                    found.until = found.until.min(lies_in.until);
                }
                found
            }
            _ => {
                let times = self.times(fact);
                let part = within(times, window, self)?;
                let count = part.len();
                found(times, part, count)
            }
        })
    }

    /// May the fact hold one key several times?
    fn holds_all_pairs(&self, fact: FactIx) -> bool {
        matches!(self.kind(fact), FactKind::DistinctAll(_))
    }

    /// The number of different keys among these keys of a fact.
    pub(in crate::engine) fn different(&self, fact: FactIx, keys: &[u64]) -> usize {
        if !self.holds_all_pairs(fact) {
            return keys.len();
        }
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        keys.len()
    }

    /// Tests the count of times in a window.
    fn tested(&self, times: &[Instant], window: Window, test: CountTest, waits: Option<FactIx>) -> Verdict {
        // Nothing leaves or enters these windows where nothing has happened.
        if times.is_empty() && !matches!(window, Window::Since { .. } | Window::WithinFirst { .. }) {
            return self.waited(test, 0, Instant::MAX, window, waits);
        }
        let Some(part) = within(times, window, self) else { return Verdict::always(false) };
        // For a customer known before the fact was observed the count may fall to zero, and the condition then waits
        // from there.
        let until = match waits.is_some_and(|fact| self.observed_from(fact) > self.known_since) {
            true => next_change(times, &part, window, self),
            false => next_crossing(times, &part, window, test, self),
        };
        self.waited(test, part.len() as u64, until, window, waits)
    }

    /// A test that a count of zero passes holds only once the customer has been known, and the fact observed, for the
    /// window's length. `waits`: the fact, where the condition asks for that.
    fn waited(&self, test: CountTest, count: u64, until: Instant, window: Window, waits: Option<FactIx>) -> Verdict {
        let holds = test.holds(count);
        if let Some(fact) = waits.filter(|_| holds && count == 0) {
            let ready = self.counts_from(fact, window);
            if self.at < ready {
                return Verdict { holds: false, until: until.min(ready) };
            }
        }
        Verdict { holds, until }
    }

    /// From when on a count of zero counts.
    pub(in crate::engine) fn counts_from(&self, fact: FactIx, window: Window) -> Instant {
        known_from(window, self.observed_from(fact), self)
    }

    fn unanswered(&self, fact: FactIx, after: crate::event::Span, window: Window) -> Verdict {
        let Some(Fact::Unanswered(keys)) = self.fact(fact) else { return Verdict::always(false) };
        let mut verdict = Verdict::always(false);
        for open in keys.iter().flat_map(OpenKey::open) {
            let due = open + after;
            if due > self.at {
                verdict.until = verdict.until.min(due);
                continue;
            }
            if !exists(window, self) {
                continue;
            }
            let lies_in = one_within(due, window, self);
            verdict.holds |= lies_in.holds;
            verdict.until = verdict.until.min(lies_in.until);
        }
        verdict
    }

    /// Holds for as long as at least one completion lies in the window.
    fn sequence(&self, fact: FactIx, window: Window) -> Verdict {
        let mut verdict = Verdict::always(false);
        if exists(window, self) {
            self.completions(fact, |at| verdict = Verdict::any([verdict, one_within(at, window, self)]));
        }
        verdict
    }

    /// The times at which a sequence was complete, in no order.
    pub(in crate::engine) fn completions(&self, fact: FactIx, found: impl FnMut(Instant)) {
        if let (Some(Fact::Sequence(progress)), FactKind::Sequence(kind)) = (self.fact(fact), self.kind(fact)) {
            kind.completions(progress, found);
        }
    }

    fn rhythm(&self, rhythm: Rhythm<'_>, unit: Unit, wanted: CountTest) -> Verdict {
        let current = self.calendar.period(self.at, unit);
        let passing = u64::try_from(rhythm.passing(current)).unwrap_or_default();
        let until = rhythm.next_change(current, wanted).map_or(Instant::MAX, |next| self.calendar.start(next, unit));
        Verdict { holds: wanted.holds(passing), until }
    }

    fn member(&self, cohort: CohortIx, stay: Option<(Bound, crate::event::Span)>) -> Verdict {
        let membership = self.membership(cohort);
        let Some((bound, span)) = stay else { return Verdict::always(membership.member) };
        if !membership.member {
            return Verdict::always(false);
        }
        let full = membership.entered_at + span;
        let from = |start: Instant| Verdict {
            holds: self.at >= start,
            until: if self.at < start { start } else { Instant::MAX },
        };
        match bound {
            Bound::AtLeast => from(full),
            Bound::MoreThan => from(full.next()),
            Bound::FewerThan => from(full).negated(),
            Bound::AtMost => from(full.next()).negated(),
            Bound::Exactly => {
                let until = [full, full.next()].into_iter().find(|t| *t > self.at).unwrap_or(Instant::MAX);
                Verdict { holds: self.at == full, until }
            }
        }
    }

    fn presence(&self, measure: &Measure) -> Verdict {
        let measured = self.measure(measure);
        Verdict { holds: measured.value.is_some(), until: measured.until }
    }

    /// Compares exactly: with a factor, differences are computed in units of 10^-12, so that its six decimals need no
    /// rounding.
    fn compare(&self, measure: &Measure, op: Op, with: &Comparand) -> Verdict {
        if let Measure::Score { score: score @ (Score::Risk | Score::Alive), .. } = measure {
            return match with {
                Comparand::Number(number) => self.compare_score(*score, op, *number),
                _ => Verdict::always(false),
            };
        }
        let left = self.measure(measure);
        let (factor, right) = match with {
            Comparand::Number(number) => (Number::ONE, Measured::constant(Value::Number(*number))),
            Comparand::Bool(flag) => (Number::ONE, Measured::constant(Value::Bool(*flag))),
            Comparand::Text(text) => (Number::ONE, Measured::constant(Value::Text(kept_part(text)))),
            Comparand::Measure { factor, measure } => (factor.0, self.measure(measure)),
        };
        let until = left.until.min(right.until);
        let (Some(l), Some(r)) = (left.value, right.value) else { return Verdict { holds: false, until } };
        let ordering = match (l, r) {
            (Value::Number(l), Value::Number(r)) => {
                let (difference, slope) = match factor {
                    Number::ONE => (l.0.saturating_sub(r.0), left.slope - right.slope),
                    _ => (
                        l.0.saturating_mul(Number::ONE).saturating_sub(r.0.saturating_mul(factor)),
                        left.slope * Number::ONE - right.slope * factor,
                    ),
                };
                let until = until.min(sign_change(self.at, difference, slope));
                return Verdict { holds: holds(op, difference.cmp(&0)), until };
            }
            // Only numbers can be multiplied.
            (_, Value::Bool(_) | Value::Text(_)) if factor != Number::ONE => return Verdict { holds: false, until },
            (Value::Text(l), Value::Text(r)) => Some(l.cmp(r)),
            (Value::Bool(l), Value::Bool(r)) if l == r && matches!(op, Op::Eq | Op::Ne) => Some(Ordering::Equal),
            _ => None,
        };
        // Values of different types have no order, nor have booleans.
        Verdict { holds: ordering.map_or(op == Op::Ne, |ordering| holds(op, ordering)), until }
    }
}

/// Does an operator hold for sides in this order?
pub(in crate::engine) fn holds(op: Op, ordering: Ordering) -> bool {
    match op {
        Op::Eq => ordering.is_eq(),
        Op::Ne => ordering.is_ne(),
        Op::Lt => ordering.is_lt(),
        Op::Le => ordering.is_le(),
        Op::Gt => ordering.is_gt(),
        Op::Ge => ordering.is_ge(),
    }
}

/// The remembered times at which a cohort was entered, or left.
pub(in crate::engine) fn times_of<'t>(
    change: Change,
    membership: &Membership,
    times: &'t mut [Instant; Membership::HISTORY_MAX],
) -> &'t [Instant] {
    let entered = change == Change::Entered;
    let found = membership.history.iter().filter(|(_, kind)| *kind == entered);
    let mut length = 0;
    for ((time, _), slot) in found.zip(times.iter_mut()) {
        *slot = *time;
        length += 1;
    }
    &times[..length]
}

/// The first instant after `at` at which a difference that changes by `slope` each millisecond has another sign.
fn sign_change(at: Instant, difference: i128, slope: i128) -> Instant {
    let towards_zero = (difference < 0 && slope > 0) || (difference > 0 && slope < 0);
    let wait = match (difference, slope) {
        (_, 0) => return Instant::MAX,
        (0, _) => 1,
        _ if towards_zero => {
            let (distance, speed) = (difference.unsigned_abs(), slope.unsigned_abs());
            // Division of 128 bits is slow, and hardly ever needed.
            match (u64::try_from(distance), u64::try_from(speed)) {
                (Ok(distance), Ok(speed)) => u128::from(distance.div_ceil(speed)),
                _ => distance.div_ceil(speed),
            }
        }
        _ => return Instant::MAX,
    };
    Instant(i64::try_from(wait).map_or(i64::MAX, |wait| at.0.saturating_add(wait)))
}
