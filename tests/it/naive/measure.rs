//! Measures at one instant, and their comparison.

use cohortd::event::{Instant, Number};
use cohortd::rules::ast::{
    Compare, CompareTest, Edge, Events, Function, Literal, Measure, MeasureKind, Op, Operand, Step,
};

use super::condition::{Moment, is_one_of, matches, ordered, passes};
use super::window::Speaks;

/// The gaps that `usual gap` looks at: the last ones.
const GAPS: usize = 8;
/// Under this many gaps there is no usual one, but for a default.
const GAPS_NEEDED: usize = 3;

/// A measure's value, exact: what is written in the rules times millionths.
///
/// A plain number has six places and a factor six more, so both sides of a comparison are held in millionths of
/// millionths; a length of time in millionths of milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exact {
    Number(i128),
    Length(i128),
    /// A text or a truth: it is equal to no measure.
    Other,
}

impl Moment<'_> {
    pub(crate) fn compare(&self, compare: &Compare) -> bool {
        let value = self.scaled(Number(Number::ONE), &compare.measure);
        match &compare.test {
            CompareTest::Known => value.is_some(),
            CompareTest::Missing => value.is_none(),
            CompareTest::Compare(op, operand) => compare_exact(value, *op, self.operand(operand)),
            CompareTest::Between(low, high) => {
                compare_exact(value, Op::Ge, self.operand(low)) && compare_exact(value, Op::Le, self.operand(high))
            }
        }
    }

    fn operand(&self, operand: &Operand) -> Option<Exact> {
        match operand {
            Operand::Literal(Literal::Number(number)) => Some(Exact::Number(number.0 * Number::ONE)),
            Operand::Literal(Literal::Bool(_) | Literal::Text(_)) => Some(Exact::Other),
            Operand::Duration(duration) => Some(Exact::Length(i128::from(duration.span.0) * Number::ONE)),
            Operand::Measure(factor, measure) => self.scaled(*factor, measure),
        }
    }

    /// `factor x measure`; `None` where the measure is missing.
    fn scaled(&self, factor: Number, measure: &Measure) -> Option<Exact> {
        let length = |ms: i64| Exact::Length(i128::from(ms) * factor.0);
        match &measure.kind {
            MeasureKind::Count(step, window) => {
                let held = self.held(window, Speaks::OfEvents);
                let within = |at| held.is_some_and(|held| held.holds(at));
                let count = self.so_far().filter(|event| matches(event, step) && within(event.at)).count();
                Some(Exact::Number(count as i128 * Number::ONE * factor.0))
            }
            MeasureKind::Of { function: Function::Sum, event: name, property, filters, window } => {
                let held = self.held(window, Speaks::OfEvents);
                let within = |at| held.is_some_and(|held| held.holds(at));
                let sum: i128 = self
                    .so_far()
                    .filter(|event| event.name == name.text && within(event.at))
                    .filter(|event| filters.iter().all(|filter| passes(event, filter)))
                    .filter_map(|event| event.property(&property.text))
                    // Sums look at numbers only.
                    .filter_map(|value| value.number())
                    .map(|number| number.0)
                    .sum();
                Some(Exact::Number(sum * factor.0))
            }
            MeasureKind::TimeSince(edge, step) => self.time_of(*edge, step).map(|at| length(self.now.since(at).0)),
            MeasureKind::UsualGap(events) => self.usual_gap(events).map(length),
            _ => unreachable!("refused before anything is judged"),
        }
    }

    /// When the first or the last of them happened.
    pub(crate) fn time_of(&self, edge: Edge, step: &Step) -> Option<Instant> {
        let times = self.so_far().filter(|event| matches(event, step)).map(|event| event.at);
        match edge {
            Edge::First => times.min(),
            Edge::Last => times.max(),
        }
    }

    /// The median of the last eight gaps in milliseconds, the mean of the middle two rounded down.
    pub(crate) fn usual_gap(&self, events: &Events) -> Option<i64> {
        let mut times: Vec<i64> =
            self.so_far().filter(|event| is_one_of(event, events)).map(|event| event.at.0).collect();
        times.sort_unstable();
        let gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mut last: Vec<i64> = gaps.iter().rev().take(GAPS).copied().collect();
        if last.len() < GAPS_NEEDED {
            return self.default_gap(events);
        }
        last.sort_unstable();
        let middle = last.len() / 2;
        Some(if last.len() % 2 == 1 { last[middle] } else { (last[middle - 1] + last[middle]).div_euclid(2) })
    }

    /// A default belongs to one event's name.
    fn default_gap(&self, events: &Events) -> Option<i64> {
        match events {
            Events::Named(names) if names.len() == 1 => {
                self.rules.document.usual_gaps.get(&names[0].text).map(|span| span.0)
            }
            Events::Named(_) | Events::Anything => None,
        }
    }
}

/// Every comparison with a missing value is false; between different types only `!=` is true.
fn compare_exact(left: Option<Exact>, op: Op, right: Option<Exact>) -> bool {
    match (left, right) {
        (None, _) | (_, None) => false,
        (Some(Exact::Number(left)), Some(Exact::Number(right)))
        | (Some(Exact::Length(left)), Some(Exact::Length(right))) => ordered(&left, op, &right),
        (Some(_), Some(_)) => op == Op::Ne,
    }
}
