//! Conditions on one customer at one instant.

use std::cmp::Ordering;
use std::ops::Range;

use super::measure::Measured;
use super::observed::Observed;
use super::periods::{Period, Rhythm, streak};
use super::rank::Standing;
use super::score::{Parameters, Solved};
use super::sparse::Sparse;
use super::state::{Fact, Membership};
use super::values::kept_part;
use super::verdict::Verdict;
use super::window::{is_in, known_from, next_change, next_crossing, next_of_one, upto, within};
use crate::event::{Instant, Number, Value};
use crate::rules::ast::{Bound, Edge, Op, Unit};
use crate::rules::{
    Calendar, CohortIx, Comparand, Condition, ConditionIx, CountTest, FactIx, FactKind, Measure, Node, RuleSet, Score,
    Window,
};

/// Everything that a condition may look at. All events applied lie at or before `at`, but where a measure looks back.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) rules: &'a RuleSet,
    pub(super) calendar: &'a Calendar,
    pub(super) facts: &'a Sparse<Fact>,
    pub(super) memberships: &'a Sparse<Membership>,
    pub(super) known_since: Instant,
    /// Where ranks begin.
    pub(super) thresholds: &'a [Option<Standing>],
    pub(super) tie_hash: u64,
    pub(super) observed: &'a Observed,
    /// Of the model of churn, as adopted, and what was solved for under them.
    pub(super) parameters: Option<(&'a Parameters, &'a Solved)>,
    pub(super) at: Instant,
}

/// What of a fact lies in a window.
pub(super) struct InWindow {
    /// Times, or different keys.
    pub(super) count: u64,
    pub(super) last: Option<Instant>,
    /// When that next changes by time alone.
    until: Instant,
}

impl<'a> Scene<'a> {
    /// Evaluates an expression.
    pub(super) fn node(&self, node: &Node) -> Verdict {
        match node {
            Node::And(parts) => Verdict::joined(parts.iter().map(|part| self.node(part)), false),
            Node::Or(parts) => Verdict::joined(parts.iter().map(|part| self.node(part)), true),
            Node::Not(inner) => self.node(inner).negated(),
            Node::Leaf(condition, _) => self.condition(*condition),
        }
    }

    /// Evaluates one condition.
    pub(super) fn condition(&self, condition: ConditionIx) -> Verdict {
        self.evaluated(self.rules.condition(condition))
    }

    pub(super) fn evaluated(&self, condition: &Condition) -> Verdict {
        match condition {
            Condition::Count { fact, window, test, waits } => self.count(*fact, *window, *test, *waits),
            Condition::First { fact, window, negated } => {
                let once = CountTest { min: 1, max: None, negated: false };
                let first = self.edge(*fact, Edge::First);
                let verdict = self.tested(first.as_slice(), *window, once, None);
                if *negated { verdict.negated() } else { verdict }
            }
            Condition::Total { fact, test } => Verdict::always(match self.fact(*fact) {
                Fact::Total(total) => test.holds(total.count),
                _ => false,
            }),
            Condition::Followed { fact, after, window } => self.followed(*fact, *after, *window),
            Condition::Chain { fact, window } => self.chain(*fact, *window),
            Condition::Rhythm { fact, unit, times, of_last, periods } => {
                let rhythm = Rhythm { periods: self.periods(*fact), times: *times, of_last: *of_last };
                self.rhythm(rhythm, *unit, *periods)
            }
            Condition::Streak { fact, unit, length } => {
                streak(self.periods(*fact), self.at, *unit, *length, self.calendar)
            }
            Condition::In { cohort, stay } => self.member(*cohort, *stay),
            Condition::Moves { cohort, entered, window, test } => {
                let mut times = [Instant::MIN; Membership::HISTORY_MAX];
                let times = moves(self.membership(*cohort), *entered, &mut times);
                match within(times, *window, self) {
                    Some(_) => self.tested(times, *window, *test, None),
                    // No F: no entry lies within D of it.
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

    pub(super) fn fact(&self, fact: FactIx) -> &'a Fact {
        let number = usize::from(fact.0);
        self.facts.get(number).unwrap_or_else(|| Fact::none(&self.rules.facts[number].kind))
    }

    fn observed_from(&self, fact: FactIx) -> Instant {
        self.observed.of(&self.rules.facts[usize::from(fact.0)])
    }

    pub(super) fn membership(&self, cohort: CohortIx) -> &Membership {
        &self.memberships[usize::from(cohort.0)]
    }

    /// The first or last time of a fact of times.
    pub(super) fn edge(&self, fact: FactIx, edge: Edge) -> Option<Instant> {
        let Fact::Times(times) = self.fact(fact) else { return None };
        let times = upto(times, self.at);
        if edge == Edge::First { times.first() } else { times.last() }.copied()
    }

    /// When the next of a fact's times comes; never, but where a measure looks back.
    pub(super) fn edge_moves(&self, fact: FactIx) -> Instant {
        let Fact::Times(times) = self.fact(fact) else { return Instant::MAX };
        times.get(upto(times, self.at).len()).copied().unwrap_or(Instant::MAX)
    }

    /// Where `in the last N periods by calendar` begins now.
    pub(super) fn first_midnight(&self, periods: u32, unit: Unit) -> Instant {
        self.calendar.start(self.calendar.period(self.at, unit) + 1 - i64::from(periods), unit)
    }

    fn count(&self, fact: FactIx, window: Window, test: CountTest, waits: bool) -> Verdict {
        let waits = waits.then_some(fact);
        match self.fact(fact) {
            Fact::Times(times) => self.tested(times, window, test, waits),
            Fact::Distinct(found) if !self.holds_all_pairs(fact) => self.tested(&found.times, window, test, waits),
            _ => {
                let Some(found) = self.found_in(fact, window) else { return Verdict::always(false) };
                self.waited(test, found.count, found.until, window, waits)
            }
        }
    }

    /// What of a fact lies in a window: all that there is to say of it, for those who decide and those who explain. `None`:
    /// the window does not exist.
    pub(super) fn found_in(&self, fact: FactIx, window: Window) -> Option<InWindow> {
        let found = |times: &[Instant], part: Range<usize>, count: usize| InWindow {
            count: count as u64,
            last: times[part.clone()].last().copied(),
            until: next_change(times, &part, window, self),
        };
        Some(match self.fact(fact) {
            Fact::Times(times) => {
                let part = within(times, window, self)?;
                let count = part.len();
                found(times, part, count)
            }
            Fact::Distinct(pairs) => {
                let part = within(&pairs.times, window, self)?;
                let count = self.different(fact, &pairs.keys[part.clone()]);
                found(&pairs.times, part, count)
            }
            Fact::Series(series) => {
                let part = within(&series.times, window, self)?;
                let count = part.len();
                let mut found = found(&series.times, part, count);
                for day in &series.days {
                    let held = is_in(day.last, window, self);
                    if held {
                        found.count += day.count;
                        found.last = found.last.max(Some(day.last));
                    }
                    found.until = found.until.min(next_of_one(day.last, held, window, self));
                }
                found
            }
            _ => return None,
        })
    }

    /// May it have one key several times?
    fn holds_all_pairs(&self, fact: FactIx) -> bool {
        matches!(self.kind(fact), FactKind::DistinctAll { .. })
    }

    /// How many of these keys of a fact are different.
    pub(super) fn different(&self, fact: FactIx, keys: &[u64]) -> usize {
        if !self.holds_all_pairs(fact) {
            return keys.len();
        }
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        keys.len()
    }

    pub(super) fn kind(&self, fact: FactIx) -> &'a FactKind {
        &self.rules.facts[usize::from(fact.0)].kind
    }

    /// A count of times in a window, against its bounds.
    fn tested(&self, times: &[Instant], window: Window, test: CountTest, waits: Option<FactIx>) -> Verdict {
        let Some(part) = within(times, window, self) else { return Verdict::always(false) };
        // Who was known before the fact was observed may be left with nothing found, and wait from then on.
        let until = match waits.is_some_and(|fact| self.observed_from(fact) > self.known_since) {
            true => next_change(times, &part, window, self),
            false => next_crossing(times, &part, window, test, self),
        };
        self.waited(test, part.len() as u64, until, window, waits)
    }

    /// Satisfied by nothing found: only once the customer has been known, and the fact that `waits` observed, for the
    /// window's length.
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

    /// From when on nothing found counts.
    pub(super) fn counts_from(&self, fact: FactIx, window: Window) -> Instant {
        known_from(window, self.observed_from(fact), self)
    }

    fn followed(&self, fact: FactIx, after: crate::event::Span, window: Window) -> Verdict {
        let Fact::Followed(pairs) = self.fact(fact) else { return Verdict::always(false) };
        let mut verdict = Verdict::always(false);
        for open in pairs.iter().flat_map(super::state::Pair::open) {
            let due = open + after;
            if due > self.at {
                verdict.until = verdict.until.min(due);
                continue;
            }
            let times = [due];
            let Some(part) = within(&times, window, self) else { continue };
            verdict.holds |= !part.is_empty();
            verdict.until = verdict.until.min(next_of_one(due, !part.is_empty(), window, self));
        }
        verdict
    }

    /// Any completion in the window will do, and for as long as any of those that are there stays in it.
    fn chain(&self, fact: FactIx, window: Window) -> Verdict {
        let mut verdict = Verdict::always(false);
        self.completions(fact, |at| {
            let times = [at];
            let Some(part) = within(&times, window, self) else { return };
            let until = next_of_one(at, !part.is_empty(), window, self);
            verdict = Verdict::joined([verdict, Verdict { holds: !part.is_empty(), until }], true);
        });
        verdict
    }

    /// The times at which a sequence was complete, in no order.
    pub(super) fn completions(&self, fact: FactIx, found: impl FnMut(Instant)) {
        let kind = &self.rules.facts[usize::from(fact.0)].kind;
        if let (Fact::Chain(chain), FactKind::Chain { within, .. }) = (self.fact(fact), kind) {
            chain.completions(within, found);
        }
    }

    pub(super) fn periods(&self, fact: FactIx) -> &[Period] {
        match self.fact(fact) {
            Fact::Periods(periods) => periods,
            _ => &[],
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

    /// Both sides are exact: differences are in 10^-12, so that a factor of six places multiplies without rounding.
    fn compare(&self, measure: &Measure, op: Op, with: &Comparand) -> Verdict {
        if let Measure::Score { score: score @ (Score::Risk | Score::Alive), .. } = measure {
            return match with {
                Comparand::Number(number) => self.passes(*score, op, *number),
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
                let difference = l.0.saturating_mul(Number::ONE).saturating_sub(r.0.saturating_mul(factor));
                let slope = left.slope * Number::ONE - right.slope * factor;
                let until = until.min(sign_change(self.at, difference, slope));
                return Verdict { holds: holds(op, difference.cmp(&0)), until };
            }
            // Only of a number is there one and a half.
            (_, Value::Bool(_) | Value::Text(_)) if factor != Number::ONE => return Verdict { holds: false, until },
            (Value::Text(l), Value::Text(r)) => Some(l.cmp(r)),
            (Value::Bool(l), Value::Bool(r)) if l == r && matches!(op, Op::Eq | Op::Ne) => Some(Ordering::Equal),
            _ => None,
        };
        // Between different types, and of two booleans, there is no order.
        Verdict { holds: ordering.map_or(op == Op::Ne, |ordering| holds(op, ordering)), until }
    }
}

/// Does a comparison hold whose sides stand in this order?
pub(super) fn holds(op: Op, ordering: Ordering) -> bool {
    match op {
        Op::Eq => ordering.is_eq(),
        Op::Ne => ordering.is_ne(),
        Op::Lt => ordering.is_lt(),
        Op::Le => ordering.is_le(),
        Op::Gt => ordering.is_gt(),
        Op::Ge => ordering.is_ge(),
    }
}

/// The times at which a cohort was entered (or left), among those remembered.
pub(super) fn moves<'t>(
    membership: &Membership,
    entered: bool,
    times: &'t mut [Instant; Membership::HISTORY_MAX],
) -> &'t [Instant] {
    let found = membership.history.iter().filter(|(_, kind)| *kind == entered);
    let mut length = 0;
    for ((time, _), place) in found.zip(times.iter_mut()) {
        *place = *time;
        length += 1;
    }
    &times[..length]
}

/// The first instant after `at` at which a difference that moves by `slope` a millisecond has another sign.
fn sign_change(at: Instant, difference: i128, slope: i128) -> Instant {
    let towards_zero = (difference < 0 && slope > 0) || (difference > 0 && slope < 0);
    let wait = match (difference, slope) {
        (_, 0) => return Instant::MAX,
        (0, _) => 1,
        _ if towards_zero => {
            let (distance, speed) = (difference.unsigned_abs(), slope.unsigned_abs());
            distance.div_ceil(speed)
        }
        _ => return Instant::MAX,
    };
    Instant(i64::try_from(wait).map_or(i64::MAX, |wait| at.0.saturating_add(wait)))
}
