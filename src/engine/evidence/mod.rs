//! Which parts of a rule decided a change, or hold now, and the values that they were evaluated on.

use crate::engine::conditions::{CustomerView, Rhythm, holds, is_in, run, times_of, within};
use crate::engine::customer::{Membership, Standing};
use crate::engine::effects::{Claim, EvidencePart, Finding, Quantity};
use crate::engine::machines::excluder;
use crate::event::{Change, ChangeReason, Instant, Number, Span, Value};
use crate::fact::{Fact, FactIx, FactKind, OpenKey};
use crate::rules::ast::Edge;
use crate::rules::{CohortIx, Comparand, Condition, CountTest, Measure, Node, RankIx, Score, Window};

/// The parts that decided a change, each with its value and result.
pub(in crate::engine) fn evidence(
    index: CohortIx,
    change: Change,
    reason: ChangeReason,
    view: &CustomerView<'_>,
) -> Vec<EvidencePart> {
    let cohort = view.rules.cohort(index);
    let mut found = Vec::new();
    if change == Change::Entered {
        leaves(&cohort.who, Sign::Plain, view, &mut found);
        return found;
    }
    let entered_at = view.membership(index).entered_at;
    let excluded = excluder(cohort, view).map(|by| {
        let membership = view.membership(by);
        let found = Finding::In(view.at.since(membership.entered_at));
        EvidencePart { claim: Claim::Excluded { by }, found, holds: true, until: Instant::MAX }
    });
    if matches!(reason, ChangeReason::Excluded | ChangeReason::DefinitionChanged)
        && let Some(part) = excluded
    {
        return vec![part];
    }
    if let Some(node) = cohort.until.as_ref().filter(|node| view.node(node).holds) {
        leaves(node, Sign::Plain, view, &mut found);
        // Of several alternatives only those that hold count.
        found.retain(|part| part.holds);
    } else if let Some(span) = cohort.at_most.filter(|span| view.at >= entered_at + *span) {
        let entered = Finding::Entered(view.at.since(entered_at));
        found.push(EvidencePart { claim: Claim::AtMost(span), found: entered, holds: true, until: Instant::MAX });
    } else {
        leaves(cohort.stay.as_ref().unwrap_or(&cohort.who), Sign::Plain, view, &mut found);
    }
    found
}

/// Is a part of an expression under a `not`?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Sign {
    Plain,
    Negated,
}

/// The conditions of an expression, each negated where it is under a `not`, so that a true expression has parts that
/// hold, and a false one parts that do not.
pub(in crate::engine) fn leaves(node: &Node, sign: Sign, view: &CustomerView<'_>, found: &mut Vec<EvidencePart>) {
    match node {
        Node::And(parts) | Node::Or(parts) => parts.iter().for_each(|part| leaves(part, sign, view, found)),
        Node::Not(inner) => {
            let sign = if sign == Sign::Plain { Sign::Negated } else { Sign::Plain };
            leaves(inner, sign, view, found);
        }
        Node::Leaf(index, words) => {
            let verdict = view.condition(*index);
            let negated = sign == Sign::Negated;
            let holds = verdict.holds != negated;
            // `between` is two conditions with the same text.
            if let Some(last) = found.last_mut()
                && let Claim::Condition { index: first, second, words: before, negated: alike } = &mut last.claim
                && before == words
                && *alike == negated
                && let both = [view.rules.condition(*first), view.rules.condition(*index)]
                && share_one_value(both)
            {
                if matches!(both[0], Condition::Compare { .. }) {
                    last.found = comparison(&both, view);
                }
                *second = Some(*index);
                last.holds = if negated { last.holds | holds } else { last.holds & holds };
                last.until = last.until.min(verdict.until);
                return;
            }
            let value = value(view.rules.condition(*index), view);
            let claim = Claim::Condition { index: *index, second: None, words: words.clone(), negated };
            found.push(EvidencePart { claim, found: value, holds, until: verdict.until });
        }
    }
}

/// Do both conditions of a `between` follow from one pair of values?
fn share_one_value(both: [&Condition; 2]) -> bool {
    let [one, other] = both.map(|condition| match condition {
        Condition::Compare { with: Comparand::Measure { measure, .. }, .. } => Some(measure),
        _ => None,
    });
    one.zip(other).is_none_or(|(one, other)| one == other)
}

/// The value that a condition was evaluated on: whether it holds follows from it and the condition's bound.
fn value(condition: &Condition, view: &CustomerView<'_>) -> Finding {
    match condition {
        Condition::Count { fact, window, test, waits } => count((*fact, *window), waits.then_some(*test), view),
        Condition::First { fact, window, .. } => first(view.edge(*fact, Edge::First), *window, view),
        Condition::Total { fact, .. } => match view.fact(*fact) {
            Some(Fact::Total(total)) => Finding::Times(total.count),
            _ => Finding::Times(0),
        },
        Condition::Unanswered { fact, after, window } => unanswered(*fact, *after, *window, view),
        Condition::Sequence { fact, window } => {
            let mut last = None;
            view.completions(*fact, |at| {
                if is_in(at, *window, view) {
                    last = last.max(Some(at));
                }
            });
            last.map_or(Finding::NotComplete, |last| Finding::Complete(view.at.since(last)))
        }
        Condition::Rhythm { fact, unit, times, of_last, .. } => {
            let rhythm = Rhythm { periods: view.periods(*fact), times: *times, of_last: *of_last };
            let count = rhythm.passing(view.calendar.period(view.at, *unit));
            Finding::Passing { count, of: *of_last }
        }
        Condition::Streak { fact, unit, .. } => {
            let in_a_row = run(view.periods(*fact), view.calendar.period(view.at, *unit));
            Finding::InARow(in_a_row.map_or(0, |(count, _)| count))
        }
        Condition::In { cohort, .. } => match view.membership(*cohort) {
            membership if membership.member => Finding::In(view.at.since(membership.entered_at)),
            _ => Finding::Nothing,
        },
        Condition::Moves { cohort, change, window, .. } => {
            let mut times = [Instant::MIN; Membership::HISTORY_MAX];
            let times = times_of(*change, view.membership(*cohort), &mut times);
            Finding::Times(within(times, *window, view).map_or(0, |part| part.len() as u64))
        }
        Condition::FirstEntered { cohort, window } => {
            let membership = view.membership(*cohort);
            first((membership.times_entered > 0).then_some(membership.first_entered_at), *window, view)
        }
        Condition::Compare { .. } => comparison(&[condition], view),
        Condition::Known { measure } | Condition::Missing { measure } => Finding::Quantity(measured(measure, view)),
        Condition::Rank { rank, .. } => ranked(*rank, view),
    }
}

/// The count of a fact's times in a window. `waits`: the test, where a count of zero counts only after a while.
fn count((fact, window): (FactIx, Window), waits: Option<CountTest>, view: &CustomerView<'_>) -> Finding {
    let ago = |time: Instant| view.at.since(time);
    let Some(found) = view.found_in(fact, window) else { return Finding::NotStarted };
    if let Some(last) = found.last {
        let kind = view.kind(fact);
        return counted(usize::try_from(found.count).unwrap_or(usize::MAX), kind, ago(last));
    }
    let counts_from = view.counts_from(fact, window);
    if waits.is_some_and(|test| test.holds(0)) && view.at < counts_from {
        let counts_in = Some(counts_from).filter(|at| *at < Instant::MAX).map(|at| at.since(view.at));
        return Finding::TooNew { counts_in };
    }
    let before = matches!(window, Window::Last(_)).then(|| view.found_in(fact, Window::Ever));
    Finding::None { last: before.flatten().and_then(|found| found.last).map(ago) }
}

/// The latest event that had no answer within `after`.
fn unanswered(fact: FactIx, after: Span, window: Window, view: &CustomerView<'_>) -> Finding {
    let keys = match view.fact(fact) {
        Some(Fact::Unanswered(keys)) => keys.as_slice(),
        _ => &[],
    };
    let overdue = || keys.iter().flat_map(OpenKey::open).filter(|open| *open + after <= view.at);
    let counts = |open: &Instant| is_in(*open + after, window, view);
    match (overdue().filter(counts).max(), overdue().max()) {
        (Some(open), _) => Finding::Waited(view.at.since(open)),
        (None, Some(open)) => Finding::Outside(view.at.since(open)),
        (None, None) => Finding::NothingOverdue,
    }
}

/// The ranked value, and the threshold.
fn ranked(rank: RankIx, view: &CustomerView<'_>) -> Finding {
    let ranking = &view.rules.rankings[usize::from(view.rules.rank(rank).ranking.0)];
    let threshold = view.thresholds.get(usize::from(rank.0)).copied().flatten();
    match (view.ranked(ranking).0, threshold) {
        (None, _) => Finding::Unranked,
        (Some(_), None) => Finding::NoThreshold,
        // Where everybody is in, there is no threshold to show.
        (Some(_), Some(threshold)) if is_open(threshold) => Finding::Quantity(measured(&ranking.measure, view)),
        (Some(value), Some(threshold)) => {
            let shown = |number: Number| quantity(&ranking.measure, Value::Number(number));
            let (value, threshold) = (value, threshold.value);
            match (shown(value), shown(threshold)) {
                // The digits that are not shown make the difference, so all are shown.
                (same, other) if same == other && value != threshold => {
                    Finding::Ranked { value: Quantity::Number(value), threshold: Quantity::Number(threshold) }
                }
                (value, threshold) => Finding::Ranked { value, threshold },
            }
        }
    }
}

/// The first time of something, which must lie in a window.
fn first(at: Option<Instant>, window: Window, view: &CustomerView<'_>) -> Finding {
    let Some(at) = at else { return Finding::Never };
    match within(&[at], window, view) {
        None => Finding::NotStarted,
        Some(part) if part.is_empty() => Finding::Outside(view.at.since(at)),
        Some(_) => Finding::Ago(view.at.since(at)),
    }
}

/// The values of one comparison, or of the two of `between`. Scores are shown with fewer digits than are compared, as
/// long as the shown value is on the same side of each bound.
fn comparison(conditions: &[&Condition], view: &CustomerView<'_>) -> Finding {
    let Some(Condition::Compare { measure, .. }) = conditions.first() else { return Finding::Nothing };
    let against = conditions.iter().find_map(|condition| match condition {
        Condition::Compare { with: Comparand::Measure { measure, .. }, .. } => Some(measure),
        _ => None,
    });
    let mut shown = Shown { value: measured(measure, view), other: against.map(|other| measured(other, view)) };
    if let Some(number) = exact_number(measure, view) {
        let held: Vec<bool> = conditions.iter().map(|condition| view.evaluated(condition).holds).collect();
        let fits = |shown: &Shown| {
            conditions
                .iter()
                .zip(&held)
                .all(|(condition, held)| shown.result(condition).is_none_or(|result| result == *held))
        };
        if !fits(&shown) {
            // A comparison is decided by the instant of the crossing, so the last digit may still be before the bound.
            let bounds = conditions.iter().filter_map(|condition| bound(condition, view));
            let near = bounds.flat_map(|bound| [bound, Number(bound.0 + 1), Number(bound.0 - 1)]);
            let digits = [100_000, 10_000, 1_000, 100, 10, 1].map(|digit| Number(number.0 / digit * digit));
            let exact = against.and_then(|other| exact_number(other, view)).map(Quantity::Number);
            let other = exact.or(shown.other);
            let tries = digits.into_iter().chain(near).map(Quantity::Number);
            let tries: Vec<Shown> = tries.map(|value| Shown { value, other: other.clone() }).collect();
            shown = tries.into_iter().find(fits).unwrap_or(Shown { value: Quantity::Number(number), other });
        }
    }
    match (shown.other, against) {
        (Some(other), Some(of)) => {
            Finding::Against { value: shown.value, other, usual_gap: matches!(of, Measure::UsualGap { .. }) }
        }
        _ => Finding::Quantity(shown.value),
    }
}

/// The two sides of a comparison as they are shown.
struct Shown {
    value: Quantity,
    other: Option<Quantity>,
}

impl Shown {
    /// The result of the comparison of the values shown; `None`: they are not two numbers.
    fn result(&self, condition: &Condition) -> Option<bool> {
        let Condition::Compare { op, with, .. } = condition else { return None };
        let number = |quantity: &Quantity| match quantity {
            Quantity::Number(number) => Some(*number),
            _ => None,
        };
        let other = match with {
            Comparand::Number(number) => Some((Number::ONE, *number)),
            Comparand::Measure { factor, .. } => self.other.as_ref().and_then(number).map(|other| (factor.0, other)),
            Comparand::Bool(_) | Comparand::Text(_) => None,
        };
        let (value, (factor, other)) = number(&self.value).zip(other)?;
        let order = value.0.saturating_mul(Number::ONE).cmp(&other.0.saturating_mul(factor));
        Some(holds(*op, order))
    }
}

/// A number with all its digits; `None` for lengths of time, which are always shown exactly.
fn exact_number(measure: &Measure, view: &CustomerView<'_>) -> Option<Number> {
    view.measure(measure).value.and_then(Value::number).filter(|_| !measure.is_length())
}

/// The number at which the result of a comparison changes.
fn bound(condition: &Condition, view: &CustomerView<'_>) -> Option<Number> {
    match condition {
        Condition::Compare { with: Comparand::Number(number), .. } => Some(*number),
        Condition::Compare { with: Comparand::Measure { factor, measure }, .. } => {
            let other = view.measure(measure).value.and_then(Value::number)?;
            Some(Number(other.0.saturating_mul(factor.0) / Number::ONE))
        }
        _ => None,
    }
}

/// Does the threshold include everybody, since the list is not full?
fn is_open(threshold: Standing) -> bool {
    threshold == Standing::MIN || threshold == Standing::MAX
}

fn measured(measure: &Measure, view: &CustomerView<'_>) -> Quantity {
    view.measure(measure).value.map_or(Quantity::Missing, |value| quantity(measure, value))
}

fn quantity(measure: &Measure, value: Value<'_>) -> Quantity {
    let length = |number: Number| Span(i64::try_from(number.0 / Number::ONE).unwrap_or(i64::MAX));
    match (value, measure) {
        (Value::Number(number), Measure::TimeSince { .. }) => Quantity::Since(length(number)),
        (Value::Number(Number::ZERO), Measure::TimeFrom { .. }) => Quantity::AtOnce,
        (Value::Number(number), Measure::Change { .. }) if measure.is_length() => Quantity::Longer(length(number)),
        (Value::Number(number), Measure::Change { .. }) => Quantity::More(number),
        (Value::Number(number), Measure::Growth { .. }) => Quantity::Percent(number),
        (Value::Number(number), _) if measure.is_length() => Quantity::Length(length(number)),
        (Value::Number(number), Measure::Score { score, .. }) => Quantity::Number(displayed(*score, number)),
        (Value::Number(number), _) => Quantity::Number(number),
        (Value::Bool(flag), _) => Quantity::Bool(flag),
        (Value::Text(level), Measure::Score { .. }) => Quantity::Level(level.into()),
        (Value::Text(_), _) => Quantity::Text,
    }
}

/// As many digits as are shown, rounded down: 79.96 is not yet 80.
fn displayed(score: Score, number: Number) -> Number {
    let digit = match score {
        Score::Alive => Number::ONE / 1_000,
        Score::Value | Score::ValueIfActive | Score::ValueAtRisk => Number::ONE / 100,
        Score::Risk | Score::Level => Number::ONE / 10,
    };
    Number(number.0 / digit * digit)
}

/// The count, as far as the fact remembers, and when the last event was.
fn counted(count: usize, kind: &FactKind, last: Span) -> Finding {
    match (count, kind.counts()) {
        (_, None) => Finding::Nothing,
        // The fact remembers only one, so there may have been any number.
        (1, Some((1, _))) => Finding::Last(last),
        (_, Some((cap, of))) => Finding::Some { count, at_least: count > 1 && count >= cap, of, last },
    }
}
