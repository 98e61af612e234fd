//! Conditions and measures on one customer at one instant.

use super::periods::{Period, Rhythm, streak};
use super::rank::Standing;
use super::state::{Fact, Membership};
use super::verdict::Verdict;
use super::window::{enters, known_from, leaves, next_change, next_crossing, within};
use crate::event::{Instant, Number};
use crate::rules::ast::{Bound, Edge, Op, Unit};
use crate::rules::{
    Calendar, CohortIx, Comparand, Condition, ConditionIx, CountTest, FactIx, FactKind, Measure, Node, RuleSet, Window,
};

/// Everything that a condition may look at. All events applied lie at or before `at`.
pub(super) struct Scene<'a> {
    pub(super) rules: &'a RuleSet,
    pub(super) calendar: &'a Calendar,
    pub(super) facts: &'a [Fact],
    pub(super) memberships: &'a [Membership],
    pub(super) known_since: Instant,
    /// Where ranks begin.
    pub(super) thresholds: &'a [Option<Standing>],
    pub(super) tie_hash: u64,
    pub(super) at: Instant,
}

/// A measure at an instant: its value, how fast time alone moves it, and when it may jump.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// `None`: missing. Lengths of time are in milliseconds.
    pub(super) value: Option<Number>,
    /// Millionths a millisecond.
    slope: i128,
    pub(super) until: Instant,
}

impl Scene<'_> {
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
        match self.rules.condition(condition) {
            Condition::Count { fact, window, test, waits } => self.count(self.fact(*fact), *window, *test, *waits),
            Condition::First { fact, window, negated } => {
                let once = CountTest { min: 1, max: None, negated: false };
                let first = self.edge(*fact, Edge::First);
                let verdict = self.tested(first.as_slice(), *window, once, false);
                if *negated { verdict.negated() } else { verdict }
            }
            Condition::Total { fact, test } => Verdict::always(match self.fact(*fact) {
                Fact::Total { count, .. } => test.holds(*count),
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
                    Some(_) => self.tested(times, *window, *test, false),
                    // No F: no entry lies within D of it.
                    None => Verdict::always(test.holds(0)),
                }
            }
            Condition::FirstEntered { cohort, window } => {
                let membership = self.membership(*cohort);
                let times = [membership.first_entered_at];
                let entered = usize::from(membership.times_entered > 0);
                self.tested(&times[..entered], *window, CountTest { min: 1, max: None, negated: false }, false)
            }
            Condition::Compare { measure, op, with } => self.compare(measure, *op, with),
            Condition::Known { measure } => self.presence(measure),
            Condition::Missing { measure } => self.presence(measure).negated(),
            Condition::Rank { rank, .. } => self.rank(*rank),
        }
    }

    pub(super) fn fact(&self, fact: FactIx) -> &Fact {
        &self.facts[usize::from(fact.0)]
    }

    pub(super) fn membership(&self, cohort: CohortIx) -> &Membership {
        &self.memberships[usize::from(cohort.0)]
    }

    /// The first or last time of a fact of times.
    pub(super) fn edge(&self, fact: FactIx, edge: Edge) -> Option<Instant> {
        let (first, last) = self.fact(fact).edge_times()?;
        Some(if edge == Edge::First { first } else { last })
    }

    /// Where `in the last N periods by calendar` begins now.
    pub(super) fn first_midnight(&self, periods: u32, unit: Unit) -> Instant {
        self.calendar.start(self.calendar.period(self.at, unit) + 1 - i64::from(periods), unit)
    }

    fn count(&self, fact: &Fact, window: Window, test: CountTest, waits: bool) -> Verdict {
        match fact {
            Fact::Times(times) => self.tested(times, window, test, waits),
            Fact::Distinct { times, keys } => {
                if !matches!(window, Window::Between { .. } | Window::WithinFirst { .. }) {
                    return self.tested(times, window, test, waits);
                }
                let Some(part) = within(times, window, self) else { return Verdict::always(false) };
                let mut found: Vec<u64> = keys[part.clone()].to_vec();
                found.sort_unstable();
                found.dedup();
                let until = next_change(times, &part, window, self);
                self.waited(test, found.len() as u64, until, window, waits)
            }
            Fact::Series(series) => {
                let Some(part) = within(&series.times, window, self) else { return Verdict::always(false) };
                let mut until = next_change(&series.times, &part, window, self);
                let mut count = part.len() as u64;
                for day in &series.days {
                    let times = [day.last];
                    if let Some(part) = within(&times, window, self) {
                        count += if part.is_empty() { 0 } else { day.count };
                        until = until.min(next_after(self.at, &times, &part, window, self));
                    }
                }
                self.waited(test, count, until, window, waits)
            }
            Fact::Total { .. } | Fact::Followed(_) | Fact::Chain(_) | Fact::Periods(_) => Verdict::always(false),
        }
    }

    /// A count of times in a window, against its bounds.
    fn tested(&self, times: &[Instant], window: Window, test: CountTest, waits: bool) -> Verdict {
        let Some(part) = within(times, window, self) else { return Verdict::always(false) };
        let until = next_crossing(times, &part, window, test, self);
        self.waited(test, part.len() as u64, until, window, waits)
    }

    /// Satisfied by nothing found: only once the customer has been known for the window's length.
    fn waited(&self, test: CountTest, count: u64, until: Instant, window: Window, waits: bool) -> Verdict {
        let holds = test.holds(count);
        if holds && count == 0 && waits {
            let ready = known_from(window, self);
            if self.at < ready {
                return Verdict { holds: false, until: until.min(ready) };
            }
        }
        Verdict { holds, until }
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
            verdict.until = verdict.until.min(next_after(self.at, &times, &part, window, self));
        }
        verdict
    }

    /// Any completion in the window will do, and for as long as any of those that are there stays in it.
    fn chain(&self, fact: FactIx, window: Window) -> Verdict {
        let mut verdict = Verdict::always(false);
        self.completions(fact, |at| {
            let times = [at];
            let Some(part) = within(&times, window, self) else { return };
            let until = next_after(self.at, &times, &part, window, self);
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
        let left = self.measure(measure);
        let (factor, right) = match with {
            Comparand::Number(number) => (Number::ONE, Measured::constant(*number)),
            Comparand::Measure { factor, measure } => (factor.0, self.measure(measure)),
            Comparand::OtherType => {
                return Verdict { holds: left.value.is_some() && op == Op::Ne, until: left.until };
            }
        };
        let until = left.until.min(right.until);
        let (Some(l), Some(r)) = (left.value, right.value) else { return Verdict { holds: false, until } };
        let difference = l.0.saturating_mul(Number::ONE).saturating_sub(r.0.saturating_mul(factor));
        let slope = left.slope * Number::ONE - right.slope * factor;
        let holds = match op {
            Op::Eq => difference == 0,
            Op::Ne => difference != 0,
            Op::Lt => difference < 0,
            Op::Le => difference <= 0,
            Op::Gt => difference > 0,
            Op::Ge => difference >= 0,
        };
        Verdict { holds, until: until.min(sign_change(self.at, difference, slope)) }
    }

    /// The value of a measure.
    pub(super) fn measure(&self, measure: &Measure) -> Measured {
        match measure {
            Measure::Total { fact, sum } => match self.fact(*fact) {
                Fact::Total { sum: total, .. } if *sum => Measured::constant(*total),
                Fact::Total { count, .. } => Measured::constant(count_number(*count)),
                _ => Measured::missing(),
            },
            Measure::Series { fact, window, sum } => self.series(*fact, *window, *sum),
            Measure::TimeSince { fact, edge } => match self.edge(*fact, *edge) {
                Some(time) => Measured {
                    value: Some(Number::from_integer(self.at.since(time).0)),
                    slope: Number::ONE,
                    until: Instant::MAX,
                },
                None => Measured::missing(),
            },
            Measure::UsualGap { fact, default } => {
                let Fact::Times(times) = self.fact(*fact) else { return Measured::missing() };
                let gap = usual_gap(times).or(default.map(|span| span.0));
                Measured { value: gap.map(Number::from_integer), slope: 0, until: Instant::MAX }
            }
        }
    }

    fn series(&self, fact: FactIx, window: Window, sum: bool) -> Measured {
        let Fact::Series(series) = self.fact(fact) else { return Measured::missing() };
        // Counts and sums of nothing are zero, also where the window does not exist.
        let part = within(&series.times, window, self).unwrap_or(0..0);
        let mut until = next_change(&series.times, &part, window, self);
        let mut total = if sum {
            series.numbers[part].iter().fold(0_i128, |total, number| total.saturating_add(number.0))
        } else {
            count_number(part.len() as u64).0
        };
        for day in &series.days {
            let times = [day.last];
            let Some(part) = within(&times, window, self) else { continue };
            if !part.is_empty() {
                total = total.saturating_add(if sum { day.sum.0 } else { count_number(day.count).0 });
            }
            until = until.min(next_after(self.at, &times, &part, window, self));
        }
        Measured { value: Some(Number(total)), slope: 0, until }
    }
}

impl Measured {
    fn constant(number: Number) -> Self {
        Self { value: Some(number), slope: 0, until: Instant::MAX }
    }

    fn missing() -> Self {
        Self { value: None, slope: 0, until: Instant::MAX }
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

/// As `next_change` of one instant, also when it has not entered or has left already.
fn next_after(
    at: Instant,
    times: &[Instant; 1],
    part: &std::ops::Range<usize>,
    window: Window,
    scene: &Scene<'_>,
) -> Instant {
    let change = if part.is_empty() { enters(times[0], window) } else { leaves(times[0], window, scene) };
    if change > at { change } else { Instant::MAX }
}

fn count_number(count: u64) -> Number {
    Number(i128::from(count) * Number::ONE)
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

/// The median of the last eight gaps in milliseconds, the mean of the middle two rounded down; none under three gaps.
fn usual_gap(times: &[Instant]) -> Option<i64> {
    let times = &times[times.len().saturating_sub(9)..];
    let mut gaps = [0_i64; 8];
    let mut count = 0;
    for pair in times.windows(2) {
        gaps[count] = pair[1].since(pair[0]).0;
        count += 1;
    }
    if count < 3 {
        return None;
    }
    let gaps = &mut gaps[..count];
    gaps.sort_unstable();
    let middle = count / 2;
    Some(if count % 2 == 1 { gaps[middle] } else { (gaps[middle - 1] + gaps[middle]).div_euclid(2) })
}
