//! Visitors for the events, properties and values that an expression refers to, with the types that it expects.

use super::ast::{
    Compare, CompareTest, Count, Events, Expr, ExprKind, Filter, FilterTest, Function, Literal, Measure, MeasureKind,
    Name, Op, Operand, Range, Step, Window,
};

/// One mention in an expression.
#[derive(Debug, Clone, Copy)]
pub enum Use<'e> {
    Event(&'e Name),
    /// `of`: the events whose property it is.
    Property {
        of: Owners<'e>,
        property: &'e Name,
        wanted: Wanted,
    },
    /// After its property.
    Value(ValueUse<'e>),
    /// A value that a measure must be equal to, or must not be; the document may know of which property the measure is.
    Compared {
        measure: &'e Measure,
        with: &'e Operand,
    },
}

/// A value that a property must have, or must not have.
#[derive(Debug, Clone, Copy)]
pub struct ValueUse<'e> {
    pub of: Owners<'e>,
    pub property: &'e Name,
    pub value: &'e Literal,
    /// May it be a part of the property's text?
    pub as_part: bool,
    /// The location.
    pub range: Range,
}

impl<'e> ValueUse<'e> {
    /// A value that the whole property is compared with.
    #[must_use]
    pub fn whole(of: &'e Name, property: &'e Name, value: &'e Literal, range: Range) -> Self {
        Self { of: Owners::One(of), property, value, as_part: false, range }
    }
}

/// The events that a property is expected in.
#[derive(Debug, Clone, Copy)]
pub enum Owners<'e> {
    One(&'e Name),
    All(&'e Events),
}

impl<'e> Owners<'e> {
    /// Their names; none where any event will do.
    #[must_use]
    pub fn names(self) -> &'e [Name] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::All(Events::Named(names)) => names,
            Self::All(Events::Anything) => &[],
        }
    }
}

/// The type of value that a rule expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    Anything,
    /// Any value, or none: the rule tests presence.
    Presence,
    Number,
    Text,
    Bool,
}

/// Calls `found` for every mention, in the order written.
pub fn each_use<'e>(expr: &'e Expr, found: &mut impl FnMut(Use<'e>)) {
    match &expr.kind {
        ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().for_each(|part| each_use(part, found)),
        ExprKind::Not(inner) => each_use(inner, found),
        ExprKind::Did(did) => {
            visit_step(&did.step, found);
            if let Some(Count::Different(_, _, property)) = &did.count {
                found(Use::Property { of: Owners::All(&did.step.events), property, wanted: Wanted::Anything });
            }
            visit_window(&did.window, found);
        }
        ExprKind::Sequence(sequence) => {
            let steps = || std::iter::once(&sequence.first).chain(sequence.next.iter().map(|next| &next.step));
            steps().for_each(|step| visit_step(step, found));
            if let Some(key) = &sequence.key {
                steps().for_each(|step| {
                    found(Use::Property { of: Owners::All(&step.events), property: key, wanted: Wanted::Anything })
                });
            }
            sequence.without.iter().for_each(|events| visit_events(events, found));
            visit_window(&sequence.window, found);
        }
        ExprKind::Streak(streak) => visit_events(&streak.step, found),
        ExprKind::Silent(silent) => silent.on.iter().for_each(|events| visit_events(events, found)),
        ExprKind::Compare(Compare { measure, test }) => {
            each_use_of_measure(measure, found);
            let mut operand = |operand: &'e Operand| {
                if let Operand::Measure(_, measure) = operand {
                    each_use_of_measure(measure, found);
                }
            };
            match test {
                CompareTest::Compare(op, with) => {
                    operand(with);
                    if matches!(op, Op::Eq | Op::Ne) {
                        found(Use::Compared { measure, with });
                    }
                }
                CompareTest::Between(low, high) => {
                    operand(low);
                    operand(high);
                }
                CompareTest::Known | CompareTest::Missing => {}
            }
        }
        ExprKind::Entered { window, .. } | ExprKind::Left { window, .. } => visit_window(window, found),
        ExprKind::Rank(rank) => each_use_of_measure(&rank.by, found),
        ExprKind::InCohort { .. } | ExprKind::Consent { .. } => {}
    }
}

/// As `each_use`, for a measure.
pub fn each_use_of_measure<'e>(measure: &'e Measure, found: &mut impl FnMut(Use<'e>)) {
    match &measure.kind {
        MeasureKind::Count(step, window) => {
            visit_step(step, found);
            visit_window(window, found);
        }
        MeasureKind::Of { function, event, property, filters, window } => {
            found(Use::Event(event));
            let wanted = match function {
                Function::Sum | Function::Average | Function::Median | Function::Min | Function::Max => Wanted::Number,
                Function::Distinct | Function::First | Function::Last | Function::MostCommon => Wanted::Anything,
            };
            found(Use::Property { of: Owners::One(event), property, wanted });
            visit_filters(Owners::One(event), filters, found);
            visit_window(window, found);
        }
        MeasureKind::TimeSince(_, step) => visit_step(step, found),
        MeasureKind::TimeFrom { from, to } => {
            visit_step(&from.1, found);
            visit_step(to, found);
        }
        MeasureKind::UsualGap(events) => visit_events(events, found),
        MeasureKind::ActiveDays(events, window) => {
            visit_events(events, found);
            visit_window(window, found);
        }
        MeasureKind::Change(measure, _) => each_use_of_measure(measure, found),
        MeasureKind::Ratio(above, below) => {
            each_use_of_measure(above, found);
            each_use_of_measure(below, found);
        }
        MeasureKind::Steps { from, to, via } => {
            found(Use::Event(from));
            found(Use::Event(to));
            visit_events(via, found);
        }
        MeasureKind::Named(_) => {}
    }
}

/// As `each_use`, for the events that count as coming back.
pub fn each_use_of_step<'e>(step: &'e Step, found: &mut impl FnMut(Use<'e>)) {
    visit_step(step, found);
}

fn visit_step<'e>(step: &'e Step, found: &mut impl FnMut(Use<'e>)) {
    visit_events(&step.events, found);
    visit_filters(Owners::All(&step.events), &step.filters, found);
}

fn visit_filters<'e>(of: Owners<'e>, filters: &'e [Filter], found: &mut impl FnMut(Use<'e>)) {
    for filter in filters {
        let like = |value: &Literal| match value {
            Literal::Bool(_) => Wanted::Bool,
            Literal::Number(_) => Wanted::Number,
            Literal::Text(_) => Wanted::Text,
        };
        let wanted = match &filter.test {
            FilterTest::Compare(_, value) | FilterTest::Contains(value) => like(value),
            FilterTest::In(values) => match values.first().map(like) {
                Some(first) if values.iter().all(|value| like(value) == first) => first,
                _ => Wanted::Anything,
            },
            FilterTest::Known | FilterTest::Missing => Wanted::Presence,
        };
        found(Use::Property { of, property: &filter.property, wanted });
        visit_values(of, filter, found);
    }
}

fn visit_values<'e>(of: Owners<'e>, Filter { property, test }: &'e Filter, found: &mut impl FnMut(Use<'e>)) {
    let mut one = |value: &'e Literal, as_part: bool| {
        found(Use::Value(ValueUse { of, property, value, as_part, range: property.range }));
    };
    match test {
        FilterTest::Compare(Op::Eq | Op::Ne, value) => one(value, false),
        FilterTest::In(values) => values.iter().for_each(|value| one(value, false)),
        FilterTest::Contains(value) => one(value, true),
        FilterTest::Compare(..) | FilterTest::Known | FilterTest::Missing => {}
    }
}

fn visit_events<'e>(events: &'e Events, found: &mut impl FnMut(Use<'e>)) {
    if let Events::Named(names) = events {
        names.iter().for_each(|name| found(Use::Event(name)));
    }
}

fn visit_window<'e>(window: &'e Window, found: &mut impl FnMut(Use<'e>)) {
    match window {
        Window::Since(_, events) => visit_events(events, found),
        Window::WithinFirst(_, name) => found(Use::Event(name)),
        Window::Ever
        | Window::Last(_)
        | Window::LastByCalendar { .. }
        | Window::Between(..)
        | Window::MoreThan(_)
        | Window::SinceDate(_) => {}
    }
}
