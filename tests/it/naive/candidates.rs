//! The instants at which anything could change for a customer who stays silent: rather too many than one too few.
//!
//! From every event and every change that this customer has had, every length that stands anywhere in the rules, and every
//! sum of a `then no`'s length and its window's; each also one millisecond later, where "more than" turns. To these come
//! the days' beginnings where the calendar matters, and where measures of time meet each other.

use std::collections::BTreeSet;

use cohortd::event::{Instant, Number, Span};
use cohortd::rules::ast::{
    Compare, CompareTest, Count, Did, Edge, Events, ExprKind, Measure, MeasureKind, Operand, Step, Window,
};
use cohortd::rules::{CohortRule, Document};

use super::condition::Moment;
use super::customer::Customer;
use super::rules::{Rules, conditions, expressions, measures, windows};

pub(crate) struct Sources<'a> {
    /// Counted from every event and change; zero and one among them.
    lengths: Vec<i64>,
    /// A usual gap and its factor, in millionths over millionths.
    gaps: Vec<(&'a Events, i128, i128)>,
    /// Two `time since` that are compared, the second times a factor.
    meetings: Vec<(Since<'a>, i128, Since<'a>)>,
    /// Does anything turn with a day?
    by_calendar: bool,
}

type Since<'a> = (Edge, &'a Step);

impl<'a> Sources<'a> {
    pub(crate) fn new(document: &'a Document, cohorts: &[(&'a str, &'a CohortRule)]) -> Self {
        let mut lengths = BTreeSet::from([0]);
        let (mut gaps, mut meetings, mut by_calendar) = (Vec::new(), Vec::new(), false);
        for (_, cohort) in cohorts {
            lengths.extend([cohort.at_least, cohort.at_most, cohort.cooldown].into_iter().flatten().map(|span| span.0));
            for condition in expressions(cohort).flat_map(conditions) {
                let of_windows: Vec<i64> = windows(condition).into_iter().flat_map(window_lengths).collect();
                by_calendar |= windows(condition).iter().any(|window| matches!(window, Window::LastByCalendar { .. }));
                lengths.extend(&of_windows);
                match &condition.kind {
                    ExprKind::Silent(silent) => lengths.extend([silent.span.span.0]),
                    ExprKind::InCohort { stay: Some((_, span)), .. } => lengths.extend([span.span.0]),
                    ExprKind::Sequence(sequence) if sequence.next[0].absent => {
                        let due = sequence.next[0].within.span.0;
                        lengths.extend([due]);
                        lengths.extend(of_windows.iter().map(|length| due + length));
                    }
                    ExprKind::Streak(_) | ExprKind::Did(Did { count: Some(Count::Rhythm { .. }), .. }) => {
                        by_calendar = true;
                    }
                    ExprKind::Compare(compare) => {
                        lengths.extend(written_lengths(compare));
                        for (factor, other) in measures(compare).into_iter().skip(1) {
                            meet(&compare.measure, factor, other, &mut gaps, &mut meetings);
                        }
                    }
                    _ => {}
                }
            }
        }
        lengths.extend(document.usual_gaps.values().map(|span| span.0));
        let later: Vec<i64> = lengths.iter().map(|length| length + 1).collect();
        lengths.extend(later);
        Self { lengths: lengths.into_iter().collect(), gaps, meetings, by_calendar }
    }

    /// The first instant after `after`, but before or at `last`, at which this customer could change.
    pub(crate) fn next(
        &self,
        rules: &Rules<'_>,
        customer: &Customer<'_>,
        extra: &[Instant],
        after: Instant,
        last: Instant,
    ) -> Option<Instant> {
        let moment = Moment { rules, customer, now: after };
        let gaps: Vec<i64> = self.gaps.iter().filter_map(|gap| scaled_gap(&moment, *gap)).collect();
        let mut next = Instant::MAX;
        let mut offer = |instant: Instant| {
            if instant > after && instant < next {
                next = instant;
            }
        };
        for since in customer.events.iter().map(|event| event.at).chain(customer.changed_at.iter().copied()) {
            for length in &self.lengths {
                offer(since + Span(*length));
            }
            for gap in &gaps {
                for length in [*gap, gap + 1, gap + 2] {
                    offer(since + Span(length));
                }
            }
        }
        for meeting in &self.meetings {
            if let Some(at) = meeting_point(&moment, *meeting) {
                for near in -1..=2 {
                    offer(at + Span(near));
                }
            }
        }
        for instant in extra {
            offer(*instant);
        }
        if self.by_calendar && after > Instant::MIN {
            offer(rules.calendar.next_start(after));
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

fn written_lengths(compare: &Compare) -> Vec<i64> {
    let operands = match &compare.test {
        CompareTest::Compare(_, operand) => vec![operand],
        CompareTest::Between(low, high) => vec![low, high],
        CompareTest::Known | CompareTest::Missing => vec![],
    };
    let length = |operand: &Operand| match operand {
        Operand::Duration(duration) => Some(duration.span.0),
        Operand::Literal(_) | Operand::Measure(..) => None,
    };
    operands.into_iter().filter_map(length).collect()
}

/// Where a `time since`, which grows with time, is compared with something that does not, or grows at another pace.
fn meet<'a>(
    left: &'a Measure,
    factor: i128,
    right: &'a Measure,
    gaps: &mut Vec<(&'a Events, i128, i128)>,
    meetings: &mut Vec<(Since<'a>, i128, Since<'a>)>,
) {
    match (&left.kind, &right.kind) {
        (MeasureKind::TimeSince(..), MeasureKind::UsualGap(events)) => gaps.push((events, factor, Number::ONE)),
        (MeasureKind::UsualGap(events), MeasureKind::TimeSince(..)) => gaps.push((events, Number::ONE, factor)),
        (MeasureKind::TimeSince(edge, step), MeasureKind::TimeSince(other_edge, other)) => {
            meetings.push(((*edge, step), factor, (*other_edge, other)));
        }
        _ => {}
    }
}

fn scaled_gap(moment: &Moment<'_>, (events, times, over): (&Events, i128, i128)) -> Option<i64> {
    let gap = moment.usual_gap(events)?;
    if over == 0 {
        return None;
    }
    i64::try_from((i128::from(gap) * times).div_euclid(over)).ok()
}

/// The instant T with T - a = factor x (T - b), rounded down.
fn meeting_point(moment: &Moment<'_>, (one, factor, other): (Since<'_>, i128, Since<'_>)) -> Option<Instant> {
    let a = i128::from(moment.time_of(one.0, one.1)?.0);
    let b = i128::from(moment.time_of(other.0, other.1)?.0);
    let pace = Number::ONE - factor;
    if pace == 0 {
        return None;
    }
    let at = (a * Number::ONE - b * factor).div_euclid(pace);
    i64::try_from(at).ok().map(Instant)
}
