//! Measures: numbers and lengths of time computed from facts, and what they are compared with.

use super::{Compiled, Compiler, later};
use crate::event::{Number, PropertyId, Span};
use crate::rules::ast::{
    Compare, CompareTest, Edge, Events, Function, Literal as WrittenLiteral, Measure as WrittenMeasure, MeasureKind,
    Op, Operand, Range, Unit, Window as WrittenWindow,
};
use crate::rules::error::ExprError;
use crate::rules::facts::{FactKind, Floor, Selector};
use crate::rules::ruleset::{Comparand, Condition, Measure, Window};

/// (time, amount) pairs held one by one; older ones by day.
pub(super) const SERIES_EXACT: usize = 256;
/// Gaps behind `usual gap`, so one time more.
const GAPS: usize = 8;
/// The largest factor of `N x measure`, so that products stay exact in 128 bits.
const FACTOR_MAX: i128 = 1_000_000 * Number::ONE;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MeasureType {
    Plain,
    Time,
}

impl Compiler<'_> {
    pub(super) fn compare(&mut self, compare: &Compare) -> Compiled<Vec<Condition>> {
        let written = &compare.measure;
        let (measure, kind) = self.measure(written)?;
        let mut with = |op: Op, operand: &Operand, measure: Measure| -> Compiled<Condition> {
            Ok(Condition::Compare { measure, op, with: self.comparand(operand, kind, written.range)? })
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
            Operand::Literal(WrittenLiteral::Number(number)) if kind == MeasureType::Plain => {
                Comparand::Number(*number)
            }
            Operand::Literal(WrittenLiteral::Number(_)) => {
                return Err(ExprError::new(range, "this is a length of time, compared with a number")
                    .hint("write the unit: `> 3 days`"));
            }
            Operand::Literal(_) => Comparand::OtherType,
            Operand::Duration(duration) if kind == MeasureType::Time => {
                Comparand::Number(Number::from_integer(duration.span.0))
            }
            Operand::Duration(_) => {
                return Err(ExprError::new(range, "this is a number, compared with a length of time")
                    .hint("leave the unit out"));
            }
            Operand::Measure(factor, written) => {
                if factor.0.abs() > FACTOR_MAX {
                    return Err(ExprError::new(written.range, "a factor is at most 1,000,000"));
                }
                let (measure, other) = self.measure(written)?;
                if other != kind {
                    return Err(ExprError::new(written.range, "a number and a length of time cannot be compared"));
                }
                Comparand::Measure { factor: *factor, measure }
            }
        })
    }

    pub(super) fn measure(&mut self, written: &WrittenMeasure) -> Compiled<(Measure, MeasureType)> {
        let range = written.range;
        let what = match &written.kind {
            MeasureKind::Count(step, window) => {
                let selector = self.selector(step);
                return Ok((self.series(&selector, None, window), MeasureType::Plain));
            }
            MeasureKind::Of { function: Function::Sum, event, property, filters, window } => {
                let selector = self.selector_of(&Events::Named(vec![event.clone()]), filters);
                let property = self.property(property);
                return Ok((self.series(&selector, Some(property), window), MeasureType::Plain));
            }
            MeasureKind::TimeSince(edge, step) => {
                let selector = self.selector(step);
                let fact = self.edge(*edge, &selector);
                return Ok((Measure::TimeSince { fact, edge: *edge }, MeasureType::Time));
            }
            MeasureKind::UsualGap(events) => {
                let selector = self.selector_of(events, &[]);
                let fact = self.fact(FactKind::Latest { cap: GAPS + 1 }, &selector, None);
                let default = match events {
                    Events::Named(names) if names.len() == 1 => self.document.usual_gaps.get(&names[0].text).copied(),
                    _ => None,
                };
                return Ok((Measure::UsualGap { fact, default }, MeasureType::Time));
            }
            MeasureKind::Of { function, .. } => match function {
                Function::Average => "`average`",
                Function::Median => "`median`",
                Function::Min => "`min`",
                Function::Max => "`max`",
                Function::Distinct => "`distinct`",
                Function::First => "`first`",
                Function::Last => "`last`",
                Function::MostCommon => "`most_common`",
                Function::Sum => "`sum`",
            },
            MeasureKind::TimeFrom { .. } => "`time from`",
            MeasureKind::ActiveDays(..) => "`active days`",
            MeasureKind::Change(..) => "`change in`",
            MeasureKind::Ratio(..) => "`ratio`",
            MeasureKind::Steps { .. } => "`steps from`",
            MeasureKind::Named(_) => "a profile attribute, score or named measure",
        };
        Err(later(range, what))
    }

    /// A count or a sum over a window.
    pub(super) fn series(
        &mut self,
        selector: &Selector,
        property: Option<PropertyId>,
        window: &WrittenWindow,
    ) -> Measure {
        let sum = property.is_some();
        let window = self.window(window, false);
        let (from, total) = match window {
            Window::Ever => (None, true),
            Window::SinceDate(from) => (Some(from), true),
            _ => (None, false),
        };
        if total {
            return Measure::Total { fact: self.fact(FactKind::Total { property, from }, selector, None), sum };
        }
        let (horizon, floor) = match window {
            Window::Last(span) => (Some(span), Floor::None),
            Window::Between { far, .. } => (Some(far), Floor::None),
            Window::Calendar { periods, unit } => {
                // The longest that so many periods can be, with a day for a change of clocks.
                let days = match unit {
                    Unit::Month => 31,
                    Unit::Week => 7,
                    _ => 1,
                };
                (Some(Span(Span::DAY.0 * (i64::from(periods) * days + 1))), Floor::None)
            }
            Window::Since { fact, edge: Edge::Last, .. } => (None, Floor::SinceLast(fact)),
            Window::WithinFirst { fact, span } => (None, Floor::WithinFirst(fact, span)),
            _ => (None, Floor::None),
        };
        let kind = FactKind::Series { property, exact: SERIES_EXACT, horizon, floor };
        Measure::Series { fact: self.fact(kind, selector, None), window, sum }
    }
}
