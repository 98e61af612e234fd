//! Measures at one instant, and their comparison.

use std::collections::BTreeSet;

use cohortd::event::{Instant, Number, Span, Value};
use cohortd::rules::ast::{
    Compare, CompareTest, Edge, Events, Filter, Function, Literal, Measure, MeasureKind, Name, Op, Operand, Step,
    Window,
};

use super::churn::{Score, score_of};
use super::condition::{Moment, is_one_of, matches, ordered, passes};
use super::kept::hash;
use super::log::LogEvent;
use super::rules::operands;
use super::window::Speaks;

/// The gaps that `usual gap` looks at: the last ones.
const GAPS: usize = 8;
/// Under this many gaps there is no usual one, but for a default.
const GAPS_NEEDED: usize = 3;

/// What a measure comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth<'a> {
    Number(Number),
    /// A length of time in milliseconds.
    Length(i128),
    Bool(bool),
    Text(&'a str),
}

impl<'a> Worth<'a> {
    fn of(value: Value<'a>) -> Self {
        match value {
            Value::Bool(flag) => Self::Bool(flag),
            Value::Number(number) => Self::Number(number),
            Value::Text(text) => Self::Text(text),
        }
    }

    fn literal(literal: &'a Literal) -> Self {
        match literal {
            Literal::Bool(flag) => Self::Bool(*flag),
            Literal::Number(number) => Self::Number(*number),
            Literal::Text(text) => Self::Text(text),
        }
    }

    /// A number and a factor have six places each, so the product has twelve.
    pub(super) fn times(self, factor: Number) -> Option<Exact<'a>> {
        match self {
            Self::Number(number) => Some(Exact::Number(number.0 * factor.0)),
            Self::Length(length) => Some(Exact::Length(length * factor.0)),
            // Of what is no number there is just the one.
            Self::Bool(flag) => (factor.0 == Number::ONE).then_some(Exact::Bool(flag)),
            Self::Text(text) => (factor.0 == Number::ONE).then_some(Exact::Text(text)),
        }
    }
}

/// A worth times a factor, not rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exact<'a> {
    Number(i128),
    Length(i128),
    Bool(bool),
    Text(&'a str),
}

impl<'a> Moment<'a> {
    pub(crate) fn compare(&self, compare: &'a Compare) -> bool {
        if let Some(score) = score_of(self.rules.document, &compare.measure).filter(|score| score.moves()) {
            return self.compare_score(score, &compare.test);
        }
        let one = Number(Number::ONE);
        if operands(compare).iter().any(|operand| matches!(operand, Operand::Percent(_))) {
            let grown = self.growth(&compare.measure).and_then(|grown| Worth::Number(grown).times(one));
            return match &compare.test {
                CompareTest::Compare(op, operand) => compare_exact(grown, *op, self.operand(operand)),
                CompareTest::Between(low, high) => {
                    compare_exact(grown, Op::Ge, self.operand(low)) && compare_exact(grown, Op::Le, self.operand(high))
                }
                CompareTest::Known | CompareTest::Missing => unreachable!("these have no operand"),
            };
        }
        let value = self.worth(&compare.measure).and_then(|worth| worth.times(one));
        // Levels have names of their own, which are no others.
        if let (Some(Score::Level), CompareTest::Compare(op, Operand::Word(name))) =
            (score_of(self.rules.document, &compare.measure), &compare.test)
        {
            return compare_exact(value, *op, Some(Exact::Text(&name.text)));
        }
        match &compare.test {
            CompareTest::Known => value.is_some(),
            CompareTest::Missing => value.is_none(),
            CompareTest::Compare(op, operand) => compare_exact(value, *op, self.operand(operand)),
            CompareTest::Between(low, high) => {
                compare_exact(value, Op::Ge, self.operand(low)) && compare_exact(value, Op::Le, self.operand(high))
            }
        }
    }

    pub(super) fn operand(&self, operand: &'a Operand) -> Option<Exact<'a>> {
        let one = Number(Number::ONE);
        match operand {
            Operand::Literal(literal) => Worth::literal(literal).times(one),
            Operand::Duration(duration) => Worth::Length(i128::from(duration.span.0)).times(one),
            Operand::Percent(percent) => Worth::Number(Number(percent.0 / 100)).times(one),
            Operand::Word(name) if self.is_named(&name.text) => {
                self.named(&name.text).and_then(|worth| worth.times(one))
            }
            Operand::Word(name) => Worth::Text(&name.text).times(one),
            Operand::Measure(factor, measure) => self.worth(measure).and_then(|worth| worth.times(*factor)),
        }
    }

    /// Is a bare word the name of something?
    fn is_named(&self, word: &str) -> bool {
        let document = self.rules.document;
        let is_score = document.churn.is_some() && Score::named(word).is_some();
        is_score || document.profile.contains_key(word) || document.measures.contains_key(word)
    }

    /// By what part of what it was a measure has changed; missing unless that was above zero.
    fn growth(&self, measure: &'a Measure) -> Option<Number> {
        match &measure.kind {
            MeasureKind::Named(name) => self.growth(&self.rules.document.measures[&name.text].measure),
            MeasureKind::Change(inner, over) => {
                let back = self.back + over.span;
                let (now, before) = (Moment { back, ..*self }, Moment { now: self.now - over.span, back, ..*self });
                let (now, before) = match (now.worth(inner)?, before.worth(inner)?) {
                    (Worth::Number(now), Worth::Number(before)) => (now.0, before.0),
                    (Worth::Length(now), Worth::Length(before)) => (now * Number::ONE, before * Number::ONE),
                    _ => return None,
                };
                (before > 0).then(|| quotient(now * Number::ONE, before))?.map(|ratio| Number(ratio - Number::ONE))
            }
            _ => unreachable!("refused by the loader"),
        }
    }

    /// `None` where the measure is missing.
    pub(super) fn worth(&self, measure: &'a Measure) -> Option<Worth<'a>> {
        let whole = |count: usize| Some(Worth::Number(Number(count as i128 * Number::ONE)));
        let length = |ms: i64| Worth::Length(i128::from(ms));
        match &measure.kind {
            MeasureKind::Named(name) => self.named(&name.text),
            MeasureKind::Count(step, window) if self.is_capped() && !self.is_one_sum(window) => {
                let entries = self.numbers((&step.events, &step.filters), None, window, 0);
                whole(usize::try_from(entries.iter().map(|entry| entry.count).sum::<u64>()).expect("few"))
            }
            MeasureKind::Count(step, window) => {
                whole(self.in_window(window).into_iter().filter(|event| matches(event, step)).count())
            }
            MeasureKind::ActiveDays(events, window) if self.is_capped() && self.is_banded(window) => {
                let day = |event: &LogEvent| Some(self.rules.calendar.day(event.at));
                let days = self.held_keys((events, &[]), window, day, |_| 0);
                whole(days.iter().map(|(_, day)| day).collect::<BTreeSet<_>>().len())
            }
            MeasureKind::ActiveDays(events, window) => {
                let active = self.in_window(window).into_iter().filter(|event| is_one_of(event, events));
                whole(active.map(|event| self.rules.calendar.day(event.at)).collect::<BTreeSet<_>>().len())
            }
            MeasureKind::Of { function, event, property, filters, window } => {
                self.of_events(*function, event, property, filters, window)
            }
            MeasureKind::TimeSince(edge, step) => self.time_of(*edge, step).map(|at| length(self.now.since(at).0)),
            MeasureKind::TimeFrom { from: (edge, a), to } => self.time_from(*edge, a, to).map(length),
            MeasureKind::UsualGap(events) => self.usual_gap(events).map(length),
            MeasureKind::Steps { from, to, via } => self.steps(from, to, via).and_then(whole),
            MeasureKind::Change(inner, over) => {
                let back = self.back + over.span;
                let (now, before) = (Moment { back, ..*self }, Moment { now: self.now - over.span, back, ..*self });
                match (now.worth(inner)?, before.worth(inner)?) {
                    (Worth::Number(now), Worth::Number(then)) => Some(Worth::Number(Number(now.0 - then.0))),
                    (Worth::Length(now), Worth::Length(then)) => Some(Worth::Length(now - then)),
                    _ => None,
                }
            }
            MeasureKind::Ratio(above, below) => match (self.worth(above)?, self.worth(below)?) {
                (Worth::Number(above), Worth::Number(below)) => {
                    quotient(above.0 * Number::ONE, below.0).map(of_millionths)
                }
                (Worth::Length(above), Worth::Length(below)) => quotient(above * Number::ONE, below).map(of_millionths),
                _ => None,
            },
        }
    }

    /// An attribute is the property of the latest event by time that carries it; of several the greatest.
    fn named(&self, name: &str) -> Option<Worth<'a>> {
        if let Some(score) = Score::named(name) {
            return self.score(score);
        }
        match self.rules.document.profile.get(name) {
            Some(attribute) => {
                self.of_events(Function::Last, &attribute.event, &attribute.property, &[], &Window::Ever)
            }
            None => self.worth(&self.rules.document.measures[name].measure),
        }
    }

    /// The events that a window holds now; none where it needs an event that is not there.
    fn in_window(&self, window: &Window) -> Vec<&'a LogEvent> {
        let Some(held) = self.held(window, Speaks::OfEvents) else { return vec![] };
        self.so_far().filter(|event| held.holds(event.at)).collect()
    }

    /// The values of a property, each with its time, of the events in a window that carry it.
    fn values(&self, name: &Name, property: &Name, filters: &[Filter], window: &Window) -> Vec<(Instant, Value<'a>)> {
        self.in_window(window)
            .into_iter()
            .filter(|event| event.name == name.text && filters.iter().all(|filter| passes(event, filter)))
            .filter_map(|event| event.property(&property.text).map(|value| (event.at, value)))
            .collect()
    }

    fn of_events(
        &self,
        function: Function,
        event: &Name,
        property: &Name,
        filters: &[Filter],
        window: &Window,
    ) -> Option<Worth<'a>> {
        let all = || self.of(function, self.values(event, property, filters, window));
        if !self.is_capped() {
            return all();
        }
        let events = Events::Named(vec![event.clone()]);
        let step = (&events, filters);
        let number = |number: i128| Worth::Number(Number(number));
        match function {
            Function::Sum | Function::Average | Function::Min | Function::Max if self.is_one_sum(window) => all(),
            Function::Sum | Function::Average | Function::Min | Function::Max | Function::Median => {
                Moment::of_numbers(function, &self.numbers(step, Some(&property.text), window, 0)).map(number)
            }
            Function::Distinct if self.is_banded(window) => {
                let pairs = self.held_keys(step, window, |event| event.property(&property.text), hash);
                let different: BTreeSet<Value<'_>> = pairs.into_iter().map(|(_, key)| key).collect();
                Some(number(different.len() as i128 * Number::ONE))
            }
            Function::Distinct => Some(number(self.distinct(step, &property.text, window) as i128 * Number::ONE)),
            // The last of all is the last of every window that ends now; the first of all that of one that begins with all.
            Function::First if matches!(window, Window::Ever | Window::MoreThan(_)) => all(),
            Function::Last
                if self.back == Span(0)
                    && !matches!(window, Window::Between(..) | Window::MoreThan(_) | Window::WithinFirst(..)) =>
            {
                all()
            }
            Function::First | Function::Last | Function::MostCommon => {
                self.of(function, self.held_values(step, &property.text, window))
            }
        }
    }

    /// Is one sum all that is kept of it?
    fn is_one_sum(&self, window: &Window) -> bool {
        self.back == Span(0) && matches!(window, Window::Ever | Window::SinceDate(_))
    }

    /// Does it take all times of each key?
    fn is_banded(&self, window: &Window) -> bool {
        self.back > Span(0) || matches!(window, Window::Between(..) | Window::WithinFirst(..))
    }

    fn of(&self, function: Function, values: Vec<(Instant, Value<'a>)>) -> Option<Worth<'a>> {
        // Sums, averages, medians, min and max look at numbers only.
        let mut numbers: Vec<i128> =
            values.iter().filter_map(|(_, value)| value.number()).map(|number| number.0).collect();
        numbers.sort_unstable();
        let number = |number: i128| Worth::Number(Number(number));
        let count = numbers.len();
        match function {
            Function::Sum => Some(number(numbers.iter().sum())),
            Function::Average => quotient(numbers.iter().sum(), count as i128).map(number),
            Function::Median if count % 2 == 1 => Some(number(numbers[count / 2])),
            Function::Median if count == 0 => None,
            Function::Median => quotient(numbers[count / 2 - 1] + numbers[count / 2], 2).map(number),
            Function::Min => numbers.first().copied().map(number),
            Function::Max => numbers.last().copied().map(number),
            Function::Distinct => {
                let different: BTreeSet<Value<'_>> = values.iter().map(|(_, value)| *value).collect();
                Some(number(different.len() as i128 * Number::ONE))
            }
            Function::First => {
                let first = values.iter().map(|(at, _)| *at).min()?;
                values.iter().filter(|(at, _)| *at == first).map(|(_, value)| *value).max().map(Worth::of)
            }
            Function::Last => values.iter().max().map(|(_, value)| Worth::of(*value)),
            Function::MostCommon => {
                let alike = |value| values.iter().filter(move |(_, other)| *other == value);
                let rank = |value| (alike(value).count(), alike(value).map(|(at, _)| *at).max(), value);
                values.iter().map(|(_, value)| rank(*value)).max().map(|(_, _, value)| Worth::of(value))
            }
        }
    }

    /// The first other event B at or after the first (or last) A. Of several A's at that instant any will do.
    fn time_from(&self, edge: Edge, a: &Step, b: &Step) -> Option<i64> {
        let start = self.time_of(edge, a)?;
        let starts: Vec<&LogEvent> = self.so_far().filter(|event| event.at == start && matches(event, a)).collect();
        self.so_far()
            .filter(|event| event.at >= start && matches(event, b))
            .filter(|event| starts.iter().any(|start| !std::ptr::eq(*start, *event)))
            .map(|event| event.at.since(start).0)
            .min()
    }

    /// The via-events strictly later than the latest A, up to and with the instant of the first B after it, or now.
    fn steps(&self, from: &Name, to: &Name, via: &Events) -> Option<usize> {
        let start = self.so_far().filter(|event| event.name == from.text).map(|event| event.at).max()?;
        let after = |event: &&LogEvent| event.at > start;
        let end = self.so_far().filter(after).filter(|event| event.name == to.text).map(|event| event.at).min();
        let end = end.unwrap_or(self.now);
        Some(self.so_far().filter(after).filter(|event| event.at <= end && is_one_of(event, via)).count())
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
    fn usual_gap(&self, events: &Events) -> Option<i64> {
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

fn of_millionths<'a>(number: i128) -> Worth<'a> {
    Worth::Number(Number(number))
}

/// In millionths, rounded half to even; missing by zero.
pub(super) fn quotient(dividend: i128, divisor: i128) -> Option<i128> {
    if divisor == 0 {
        return None;
    }
    let (mut nearest, mut least) = (0, i128::MAX);
    let cut = dividend / divisor;
    // Of the whole numbers around the one nearest to the quotient, an even one first.
    let mut around: Vec<i128> = (cut - 1..=cut + 1).collect();
    around.sort_by_key(|number| number.rem_euclid(2));
    for number in around {
        let off = (dividend - number * divisor).abs();
        if off < least {
            (nearest, least) = (number, off);
        }
    }
    Some(nearest)
}

/// Every comparison with a missing value is false; between different types only `!=` is true; truths have no order.
fn compare_exact(left: Option<Exact<'_>>, op: Op, right: Option<Exact<'_>>) -> bool {
    match (left, right) {
        (None, _) | (_, None) => false,
        (Some(Exact::Number(left)), Some(Exact::Number(right)))
        | (Some(Exact::Length(left)), Some(Exact::Length(right))) => ordered(&left, op, &right),
        (Some(Exact::Text(left)), Some(Exact::Text(right))) => ordered(left, op, right),
        (Some(left), Some(right)) => match op {
            Op::Eq => left == right,
            Op::Ne => left != right,
            Op::Lt | Op::Le | Op::Gt | Op::Ge => false,
        },
    }
}
