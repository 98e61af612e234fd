//! The instants at which anything could change for a customer without further events: rather too many than one too few.
//!
//! They are all durations in the rules, added to every event and every change of the customer and to the beginning of
//! the log; also the sums of the duration and the window of a `then no`, and of a change's duration with those of its
//! measure; and each one millisecond later, for `more than`. In addition there are the starts of days for windows by
//! calendar, the instants at which the two sides of a comparison meet, and those at which a risk level or the bound of
//! a score is reached, for any combination of signals.

use std::collections::BTreeSet;

use cohortd::event::{Instant, Number, Span};
use cohortd::rules::ast::{Compare, Count, Did, Expr, ExprKind, Measure, MeasureKind, Operand, Window};
use cohortd::rules::{CohortRule, Document};

use super::churn::{Score, score_of};
use super::condition::Moment;
use super::customer::Customer;
use super::measure::Exact;
use super::rules::{Rules, conditions, expressions, measures, named_operands, operands, signals, windows};

pub(crate) struct Sources<'a> {
    document: &'a Document,
    /// Counted from every event and change, ascending; zero and one among them.
    lengths: Vec<i64>,
    /// Durations after the start of a day, for windows that begin with a day, and for `change in` over them.
    after_midnight: BTreeSet<i64>,
    comparisons: Vec<&'a Compare>,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(document: &'a Document, cohorts: &[(&'a str, &'a CohortRule)]) -> Self {
        let mut sources = Self { document, lengths: vec![0], after_midnight: BTreeSet::new(), comparisons: Vec::new() };
        for (_, cohort) in cohorts {
            let of_cohort = [cohort.at_least, cohort.at_most, cohort.cooldown];
            sources.lengths.extend(of_cohort.into_iter().flatten().map(|span| span.0));
            expressions(cohort).for_each(|expr| sources.expression(expr));
        }
        signals(document).for_each(|expr| sources.expression(expr));
        sources.lengths.extend(document.usual_gaps.values().map(|span| span.0));
        let later: Vec<i64> = sources.lengths.iter().map(|length| length + 1).collect();
        sources.lengths.extend(later);
        sources.lengths.sort_unstable();
        sources.lengths.dedup();
        sources
    }

    fn expression(&mut self, expr: &'a Expr) {
        for condition in conditions(expr) {
            windows(condition).into_iter().for_each(|window| self.window(window, 0));
            match &condition.kind {
                ExprKind::Silent(silent) => self.lengths.extend([silent.span.span.0]),
                ExprKind::InCohort { stay: Some((_, span)), .. } => self.lengths.extend([span.span.0]),
                ExprKind::Sequence(sequence) if sequence.next[0].absent => {
                    let due = sequence.next[0].within.span.0;
                    self.lengths.extend([due]);
                    self.lengths.extend(window_lengths(&sequence.window).iter().map(|length| due + length));
                }
                ExprKind::Streak(_) | ExprKind::Did(Did { count: Some(Count::Rhythm { .. }), .. }) => {
                    self.after_midnight.insert(0);
                }
                ExprKind::Rank(rank) => self.measure(&rank.by, 0),
                ExprKind::Compare(compare) => {
                    self.comparisons.push(compare);
                    measures(compare).into_iter().for_each(|measure| self.measure(measure, 0));
                    named_operands(self.document, compare).for_each(|measure| self.measure(measure, 0));
                    for operand in operands(compare) {
                        if let Operand::Duration(duration) = operand {
                            self.lengths.extend([duration.span.0]);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// The durations of a measure that is evaluated as of `ago`.
    fn measure(&mut self, measure: &Measure, ago: i64) {
        self.lengths.extend([ago]);
        match &measure.kind {
            MeasureKind::Count(_, window) | MeasureKind::Of { window, .. } | MeasureKind::ActiveDays(_, window) => {
                self.window(window, ago);
            }
            MeasureKind::Change(inner, over) => {
                self.measure(inner, ago);
                self.measure(inner, ago + over.span.0);
            }
            MeasureKind::Ratio(above, below) => {
                self.measure(above, ago);
                self.measure(below, ago);
            }
            MeasureKind::Named(name) => {
                let document = self.document;
                if let Some(defined) = document.measures.get(&name.text) {
                    self.measure(&defined.measure, ago);
                }
            }
            MeasureKind::TimeSince(..)
            | MeasureKind::TimeFrom { .. }
            | MeasureKind::UsualGap(_)
            | MeasureKind::Steps { .. } => {}
        }
    }

    fn window(&mut self, window: &Window, ago: i64) {
        self.lengths.extend(window_lengths(window).into_iter().map(|length| ago + length));
        if matches!(window, Window::LastByCalendar { .. }) {
            self.after_midnight.insert(ago);
        }
    }

    /// The first instant after `after`, but before or at `last`, at which this customer could change.
    pub(crate) fn next(
        &self,
        rules: &'a Rules<'a>,
        customer: &'a Customer<'_>,
        extra: &[Instant],
        after: Instant,
        last: Instant,
    ) -> Option<Instant> {
        let mut next = Instant::MAX;
        let mut offer = |instant: Instant| {
            if instant > after && instant < next {
                next = instant;
            }
        };
        let happened = customer.events.iter().map(|event| event.at).chain(customer.changed_at.iter().copied());
        for since in happened.chain([rules.observed_from]) {
            // Of the lengths that lead past `after` the shortest comes first.
            let first = self.lengths.partition_point(|length| since + Span(*length) <= after);
            if let Some(length) = self.lengths.get(first) {
                offer(since + Span(*length));
            }
        }
        let moves = |measure| score_of(rules.document, measure).is_some_and(Score::moves);
        for compare in self.comparisons.iter().filter(|compare| !moves(&compare.measure)) {
            for operand in operands(compare) {
                if let Some(at) = meeting_point(rules, customer, &compare.measure, operand, after) {
                    for near in -1..=2 {
                        offer(at + Span(near));
                    }
                }
            }
        }
        if let Some(prediction) = Moment::new(rules, customer, after).prediction() {
            prediction.levels().for_each(&mut offer);
            self.comparisons.iter().for_each(|compare| prediction.turns(compare).for_each(&mut offer));
        }
        for instant in extra {
            offer(*instant);
        }
        for ago in &self.after_midnight {
            let ago = Span(*ago);
            offer(rules.calendar.next_start(after - ago) + ago);
        }
        (next <= last && next < Instant::MAX).then_some(next)
    }
}

fn window_lengths(window: &Window) -> Vec<i64> {
    match window {
        Window::Last(span) | Window::MoreThan(span) | Window::WithinFirst(span, _) => vec![span.span.0],
        Window::Between(far, near) => vec![far.span.0, near.span.0],
        Window::Ever | Window::LastByCalendar { .. } | Window::Since(..) | Window::SinceDate(_) => vec![],
    }
}

/// The instant at which two sides meet that change linearly.
fn meeting_point<'a>(
    rules: &'a Rules<'a>,
    customer: &'a Customer<'_>,
    measure: &'a Measure,
    operand: &'a Operand,
    after: Instant,
) -> Option<Instant> {
    let apart = |now: Instant| {
        let moment = Moment::new(rules, customer, now);
        let left = moment.worth(measure)?.times(Number(Number::ONE))?;
        match (left, moment.operand(operand)?) {
            (Exact::Number(left), Exact::Number(right)) | (Exact::Length(left), Exact::Length(right)) => {
                Some(left - right)
            }
            _ => None,
        }
    };
    let now = apart(after)?;
    let pace = apart(after.next())? - now;
    if pace == 0 {
        return None;
    }
    i64::try_from((-now).div_euclid(pace)).ok().map(|wait| after + Span(wait))
}
