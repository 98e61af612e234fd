//! Measures: values and lengths of time computed from facts, and what they are compared with.

use super::named;
use super::parts::literal;
use super::{Compiled, Compiler};
use crate::event::{Number, PropertyId, Span};
use crate::fact::{
    Answer, Distinct, DistinctAll, DistinctKey, Extreme, FactKind, Floor, Latest, Series, Steps, Total, Values,
};
use crate::rules::ast::{
    Compare, CompareTest, Edge, Events, Function, Literal as WrittenLiteral, Measure as WrittenMeasure, MeasureKind,
    Name, Op, Operand, Range, Unit, Window as WrittenWindow,
};
use crate::rules::condition::Condition;
use crate::rules::error::ExprError;
use crate::rules::fact_spec::Selector;
use crate::rules::measure::{Aggregate, Comparand, Measure, Pick, Score, Window};
use crate::rules::selector::Literal;

/// Days behind `active days`: over ten years.
const DAYS_MAX: usize = 4_000;
/// Gaps behind `usual gap`, so one time more.
const GAPS: usize = 8;
/// The largest factor of `N x measure`, so that products stay exact in 128 bits.
const FACTOR_MAX: i128 = 1_000_000 * Number::ONE;
/// Maximum number of values evaluated for one measure, parts included; each `change in` doubles it.
const PARTS_MAX: u32 = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MeasureType {
    Plain,
    Time,
    /// A number, a text or a boolean, depending on the events.
    Any,
}

/// How a measure is evaluated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Inside `change in ... over D`: how far back it is evaluated too.
    back: Span,
    /// How many times for one comparison.
    times: u32,
}

impl Asked {
    const NOW: Self = Self { back: Span(0), times: 1 };

    fn is_now(self) -> bool {
        self.back == Span(0)
    }
}

impl Compiler<'_> {
    pub(super) fn compare(&mut self, compare: &Compare) -> Compiled<Vec<Condition>> {
        let written = &compare.measure;
        let (measure, kind) = self.measure(written)?;
        self.score_fits(compare, &measure)?;
        let (measure, kind) = match percents(compare)? {
            true => growth(measure, written.range)?,
            false => (measure, kind),
        };
        let is_level = matches!(measure, Measure::Score { score: Score::Level, .. });
        let mut with = |op: Op, operand: &Operand, measure: Measure| -> Compiled<Condition> {
            let with = match operand {
                // Levels have names of their own.
                Operand::Word(name) if is_level => Comparand::Text(name.text.as_str().into()),
                operand => self.comparand(operand, kind, written.range)?,
            };
            Ok(Condition::Compare { measure, op, with })
        };
        Ok(match &compare.test {
            CompareTest::Known => vec![Condition::Known { measure }],
            CompareTest::Missing => vec![Condition::Missing { measure }],
            CompareTest::Compare(op, operand) => vec![with(*op, operand, measure)?],
            CompareTest::Between(low, high) => {
                vec![with(Op::Ge, low, measure.clone())?, with(Op::Le, high, measure)?]
            }
        })
    }

    pub(super) fn comparand(&mut self, operand: &Operand, kind: MeasureType, range: Range) -> Compiled<Comparand> {
        Ok(match operand {
            Operand::Literal(WrittenLiteral::Number(_)) if kind == MeasureType::Time => {
                return Err(ExprError::new(range, "a duration cannot be compared with a number")
                    .hint("add the unit: `> 3 days`"));
            }
            Operand::Literal(written) => match literal(written) {
                Literal::Number(number) => Comparand::Number(number),
                Literal::Bool(flag) => Comparand::Bool(flag),
                Literal::Text(text) => Comparand::Text(text),
            },
            Operand::Duration(duration) if kind == MeasureType::Time => {
                Comparand::Number(Number::from_integer(duration.span.0))
            }
            Operand::Duration(_) => {
                return Err(
                    ExprError::new(range, "a number cannot be compared with a duration").hint("remove the unit")
                );
            }
            Operand::Word(name) if named::is_named(self.document, &name.text) => {
                let named = WrittenMeasure { kind: MeasureKind::Named(name.clone()), range: name.range };
                return self.comparand(&Operand::Measure(Number(Number::ONE), Box::new(named)), kind, range);
            }
            Operand::Word(name) if kind == MeasureType::Any => Comparand::Text(name.text.as_str().into()),
            Operand::Word(name) => return Err(named::no_number(self.document, name)),
            Operand::Percent(percent) => Comparand::Number(Number(percent.0 / 100)),
            Operand::Measure(factor, written) => {
                if factor.0.abs() > FACTOR_MAX {
                    return Err(ExprError::new(written.range, "the maximum factor is 1,000,000"));
                }
                let (measure, other) = self.measure(written)?;
                if (other == MeasureType::Time) != (kind == MeasureType::Time) {
                    return Err(ExprError::new(written.range, "a number and a duration cannot be compared"));
                }
                let with = Comparand::Measure { factor: *factor, measure };
                self.comparand_fits(&with, written.range)?;
                with
            }
        })
    }

    pub(super) fn measure(&mut self, written: &WrittenMeasure) -> Compiled<(Measure, MeasureType)> {
        self.measure_parts = 0;
        self.asked_measure(written, Asked::NOW)
    }

    fn asked_measure(&mut self, written: &WrittenMeasure, asked: Asked) -> Compiled<(Measure, MeasureType)> {
        let range = written.range;
        let (measure, kind) = match &written.kind {
            MeasureKind::Named(name) => return self.named(name, asked),
            MeasureKind::Change(inner, over) => return self.change(inner, over.span, asked),
            MeasureKind::Ratio(above, below) => return self.ratio(above, below, range, asked),
            MeasureKind::Count(step, window) => {
                let selector = self.selector(step);
                (self.numbers(&selector, None, window, Aggregate::Count, asked), MeasureType::Plain)
            }
            MeasureKind::Of { function, event, property, filters, window } => {
                let selector = self.selector_of(&Events::Named(vec![event.clone()]), filters);
                let property = self.property(property);
                self.of(*function, &selector, property, window, asked)
            }
            MeasureKind::ActiveDays(events, window) => {
                let selector = self.selector_of(events, &[]);
                let window = self.window_asked(window, asked);
                (self.distinct(&selector, DistinctKey::Period(Unit::Day), window, asked), MeasureType::Plain)
            }
            MeasureKind::TimeSince(edge, step) => {
                let selector = self.selector(step);
                let fact = self.edge(*edge, &selector);
                self.remember_edges(*edge, &selector, asked);
                (Measure::TimeSince { fact, edge: *edge }, MeasureType::Time)
            }
            MeasureKind::TimeFrom { from: (edge, a), to } => {
                let last = *edge == Edge::Last;
                if last && !asked.is_now() {
                    return Err(not_kept(range, "which A was the last then"));
                }
                let (a, b) = (self.selector(a), self.selector(to));
                let fact = self.fact(Answer { last, cap: self.capacities.answers }, &a, Some(b));
                (Measure::TimeFrom { fact }, MeasureType::Time)
            }
            MeasureKind::UsualGap(events) => {
                let selector = self.selector_of(events, &[]);
                let fact = self.fact(Latest { cap: GAPS + 1, back: None }, &selector, None);
                self.remember_edges(Edge::Last, &selector, asked);
                let default = match events {
                    Events::Named(names) if names.len() == 1 => self.document.usual_gaps.get(&names[0].text).copied(),
                    _ => None,
                };
                (Measure::UsualGap { fact, default }, MeasureType::Time)
            }
            MeasureKind::Steps { from, to, via } => {
                if !asked.is_now() {
                    return Err(not_kept(range, "which A was the latest then"));
                }
                let named = |name: &Name| Events::Named(vec![name.clone()]);
                let (a, b) = (self.selector_of(&named(from), &[]), self.selector_of(&named(to), &[]));
                let via = self.selector_of(via, &[]);
                let fact = self.fact_via(Steps { cap: self.capacities.answers }, &a, Some(b), Some(via));
                (Measure::Steps { fact }, MeasureType::Plain)
            }
        };
        self.measure_parts = self.measure_parts.saturating_add(asked.times);
        if self.measure_parts > PARTS_MAX {
            let message = format!("this needs more than {PARTS_MAX} values; each `change in` doubles their number");
            return Err(ExprError::new(range, message));
        }
        Ok((measure, kind))
    }

    /// A bare name. Errors in its definition are reported there, errors in its use here.
    fn named(&mut self, name: &Name, asked: Asked) -> Compiled<(Measure, MeasureType)> {
        named::known(self.document, name)?;
        let document = self.document;
        if let Some((score, rule)) = Score::named(&name.text).zip(document.churn.as_ref()) {
            if !asked.is_now() {
                return Err(not_kept(name.range, "what a score was"));
            }
            let kind = if score == Score::Level { MeasureType::Any } else { MeasureType::Plain };
            return Ok((Measure::Score { score, fact: self.days_of(rule) }, kind));
        }
        let written = match document.profile.get(&name.text) {
            Some(attribute) => WrittenMeasure {
                kind: MeasureKind::Of {
                    function: Function::Last,
                    event: attribute.event.clone(),
                    property: attribute.property.clone(),
                    filters: Vec::new(),
                    window: WrittenWindow::Ever,
                },
                range: name.range,
            },
            None => document.measures[&name.text].measure.clone(),
        };
        self.asked_measure(&written, asked).map_err(|error| ExprError { range: name.range, ..error })
    }

    fn change(&mut self, inner: &WrittenMeasure, over: Span, asked: Asked) -> Compiled<(Measure, MeasureType)> {
        let asked = Asked { back: asked.back + over, times: asked.times.saturating_mul(2) };
        let (of, kind) = self.asked_measure(inner, asked)?;
        let kind = if kind == MeasureType::Time { MeasureType::Time } else { MeasureType::Plain };
        Ok((Measure::Change { of: Box::new(of), over }, kind))
    }

    fn ratio(
        &mut self,
        above: &WrittenMeasure,
        below: &WrittenMeasure,
        range: Range,
        asked: Asked,
    ) -> Compiled<(Measure, MeasureType)> {
        let (of, kind) = self.asked_measure(above, asked)?;
        let (to, other) = self.asked_measure(below, asked)?;
        if (kind == MeasureType::Time) != (other == MeasureType::Time) {
            return Err(ExprError::new(range, "a ratio must be of two numbers or of two durations"));
        }
        if of.grows() || to.grows() {
            return Err(ExprError::new(range, "a ratio of values that change continuously is not supported")
                .hint("compare with a factor: `time since last purchase > 1.5 x usual gap of purchase`"));
        }
        Ok((Measure::Ratio { of: Box::new(of), to: Box::new(to) }, MeasureType::Plain))
    }

    fn of(
        &mut self,
        function: Function,
        selector: &Selector,
        property: PropertyId,
        window: &WrittenWindow,
        asked: Asked,
    ) -> (Measure, MeasureType) {
        let aggregate = match function {
            Function::Sum => Aggregate::Sum,
            Function::Average => Aggregate::Average,
            Function::Median => Aggregate::Median,
            Function::Min => Aggregate::Min,
            Function::Max => Aggregate::Max,
            Function::Distinct => {
                let window = self.window_asked(window, asked);
                return (self.distinct(selector, DistinctKey::Property(property), window, asked), MeasureType::Plain);
            }
            Function::First => return (self.pick(selector, property, window, Pick::First, asked), MeasureType::Any),
            Function::Last => return (self.pick(selector, property, window, Pick::Last, asked), MeasureType::Any),
            Function::MostCommon => {
                return (self.pick(selector, property, window, Pick::MostCommon, asked), MeasureType::Any);
            }
        };
        (self.numbers(selector, Some(property), window, aggregate, asked), MeasureType::Plain)
    }

    /// An aggregate of the numbers of a property, or a count of events, over a window.
    fn numbers(
        &mut self,
        selector: &Selector,
        property: Option<PropertyId>,
        window: &WrittenWindow,
        of: Aggregate,
        asked: Asked,
    ) -> Measure {
        let window = self.window_asked(window, asked);
        let from = match window {
            Window::Ever => Some(None),
            Window::SinceDate(from) => Some(Some(from)),
            _ => None,
        };
        match (from.filter(|_| asked.is_now()), of, property) {
            (Some(from), Aggregate::Count | Aggregate::Sum | Aggregate::Average, _) => {
                return Measure::Total { fact: self.fact(Total { property, from }, selector, None), of };
            }
            (Some(from), Aggregate::Min | Aggregate::Max, Some(property)) => {
                let kind = Extreme { property, greatest: of == Aggregate::Max, from };
                return Measure::Extreme { fact: self.fact(kind, selector, None) };
            }
            _ => {}
        }
        let (horizon, floor) = reach(window, asked);
        let kind = Series { property, exact: self.capacities.series, horizon, floor };
        Measure::Series { fact: self.fact(kind, selector, None), window, of }
    }

    /// How many different values or days lie in a window.
    fn distinct(&mut self, selector: &Selector, key: DistinctKey, window: Window, asked: Asked) -> Measure {
        let (horizon, floor) = reach(window, asked);
        let banded = matches!(window, Window::Between { .. } | Window::WithinFirst { .. }) || !asked.is_now();
        let cap = match (key, horizon) {
            (DistinctKey::Property(_), _) => self.capacities.distinct,
            // One entry, the latest event, for each day that the window touches.
            (DistinctKey::Period(_), Some(span)) if !banded => {
                usize::try_from(span.0 / Span::DAY.0).unwrap_or(DAYS_MAX).saturating_add(3).min(DAYS_MAX)
            }
            (DistinctKey::Period(_), _) => DAYS_MAX,
        };
        let kind: FactKind = if banded {
            DistinctAll { key, cap: self.capacities.pairs, horizon, floor }.into()
        } else {
            Distinct { key, earliest: matches!(window, Window::MoreThan(_)), cap }.into()
        };
        Measure::Distinct { fact: self.fact(kind, selector, None), window }
    }

    /// One of the values of a property over a window.
    fn pick(
        &mut self,
        selector: &Selector,
        property: PropertyId,
        window: &WrittenWindow,
        pick: Pick,
        asked: Asked,
    ) -> Measure {
        let window = self.window_asked(window, asked);
        // For a window that ends now one value suffices for the last; for one that begins with the log, for the first.
        let one = match (pick, window) {
            (Pick::Last, Window::Between { .. } | Window::MoreThan(_) | Window::WithinFirst { .. }) => false,
            (Pick::Last, _) => asked.is_now(),
            (Pick::First, Window::Ever | Window::MoreThan(_)) => true,
            (Pick::First | Pick::MostCommon, _) => false,
        };
        let (horizon, floor) = if one { (None, Floor::None) } else { reach(window, asked) };
        let cap = if one { 1 } else { self.capacities.values };
        let kind = Values { property, earliest: one && pick == Pick::First, cap, horizon, floor };
        Measure::Pick { fact: self.fact(kind, selector, None), window, pick }
    }

    fn window_asked(&mut self, window: &WrittenWindow, asked: Asked) -> Window {
        if let WrittenWindow::Since(edge, events) = window {
            let selector = self.selector_of(events, &[]);
            self.remember_edges(*edge, &selector, asked);
        }
        self.window(window)
    }

    /// The last event as of some time ago needs more times than the latest one.
    fn remember_edges(&mut self, edge: Edge, selector: &Selector, asked: Asked) {
        if edge == Edge::Last && !asked.is_now() {
            let kind = Latest { cap: self.capacities.edges, back: Some(asked.back) };
            self.fact(kind, selector, None);
        }
    }
}

/// Is the comparison with percentages? Both sides of `between` are, or neither.
fn percents(compare: &Compare) -> Compiled<bool> {
    let operands = compare.test.operands();
    let range = compare.measure.range;
    let percents = operands.iter().filter(|operand| matches!(operand, Operand::Percent(_))).count();
    if percents > 0 && percents < operands.len() {
        return Err(ExprError::new(range, "one of these is a percentage and the other is not"));
    }
    if operands.iter().any(|operand| matches!(operand, Operand::Percent(percent) if percent.0 % 100 != 0)) {
        return Err(ExprError::new(range, "a percentage has at most four decimals"));
    }
    Ok(percents > 0)
}

/// `change in M over D > 20 %`: by what part it has changed.
fn growth(measure: Measure, range: Range) -> Compiled<(Measure, MeasureType)> {
    match measure {
        Measure::Change { of, .. } if of.grows() => {
            Err(ExprError::new(range, "a percentage of a value that changes continuously is not supported")
                .hint("compare with a duration: `> 3 days`"))
        }
        Measure::Change { of, over } => Ok((Measure::Growth { of, over }, MeasureType::Plain)),
        _ => Err(ExprError::new(range, "`%` is only valid with `change in`")
            .hint("remove the sign; a ratio of one fifth is 0.2")),
    }
}

/// The horizon and the floor of a fact for a window.
fn reach(window: Window, asked: Asked) -> (Option<Span>, Floor) {
    let (horizon, floor) = match window {
        Window::Last(span) => (Some(span), Floor::None),
        Window::Between { far, .. } => (Some(far), Floor::None),
        Window::Calendar { periods, unit } => {
            // The longest duration of so many periods, with an additional day for clock changes.
            let days = match unit {
                Unit::Month => 31,
                Unit::Week => 7,
                _ => 1,
            };
            (Some(Span(Span::DAY.0 * (i64::from(periods) * days + 1))), Floor::None)
        }
        // Inside `change in` an earlier last event also counts, so nothing may be dropped because of the latest one.
        Window::Since { fact, edge: Edge::Last, .. } if asked.is_now() => (None, Floor::SinceLast(fact)),
        Window::WithinFirst { fact, span } => (None, Floor::WithinFirst(fact, span)),
        _ => (None, Floor::None),
    };
    (horizon.map(|span| span + asked.back), floor)
}

fn not_kept(range: Range, what: &str) -> ExprError {
    ExprError::new(range, format!("`change in` is not supported here: {what} is not stored"))
        .hint("compare the measure itself, without `change in`")
}
