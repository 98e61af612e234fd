//! Which parts of a rule decided a change, or hold now, and what they looked at.

use crate::engine::conditions::{CustomerView, Rhythm, holds, is_in, moves, run, within};
use crate::engine::customer::{Membership, Standing};
use crate::engine::effects::{Claim, Found, Part, Quantity};
use crate::engine::machines::excluder;
use crate::event::{Change, ChangeReason, Instant, Number, Span, Value};
use crate::fact::{Fact, FactKind, OpenKey};
use crate::rules::ast::Edge;
use crate::rules::{CohortIx, Comparand, Condition, Measure, Node, Score, Window};

/// The parts that decided a change, each with its value and answer.
pub(in crate::engine) fn evidence(
    index: CohortIx,
    change: Change,
    reason: ChangeReason,
    scene: &CustomerView<'_>,
) -> Vec<Part> {
    let cohort = scene.rules.cohort(index);
    let mut found = Vec::new();
    if change == Change::Entered {
        leaves(&cohort.who, Sign::Plain, scene, &mut found);
        return found;
    }
    let entered_at = scene.membership(index).entered_at;
    let excluded = excluder(cohort, scene).map(|by| {
        let membership = scene.membership(by);
        let found = Found::In(scene.at.since(membership.entered_at));
        Part { claim: Claim::Excluded { by }, found, holds: true, until: Instant::MAX }
    });
    if matches!(reason, ChangeReason::Excluded | ChangeReason::DefinitionChanged)
        && let Some(part) = excluded
    {
        return vec![part];
    }
    if let Some(node) = cohort.until.as_ref().filter(|node| scene.node(node).holds) {
        leaves(node, Sign::Plain, scene, &mut found);
        // Of several ways out only those that were taken count.
        found.retain(|part| part.holds);
    } else if let Some(span) = cohort.at_most.filter(|span| scene.at >= entered_at + *span) {
        let entered = Found::Entered(scene.at.since(entered_at));
        found.push(Part { claim: Claim::AtMost(span), found: entered, holds: true, until: Instant::MAX });
    } else {
        leaves(cohort.stay.as_ref().unwrap_or(&cohort.who), Sign::Plain, scene, &mut found);
    }
    found
}

/// Does a part of an expression stand under a `not`?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Sign {
    Plain,
    Denied,
}

/// The conditions of an expression, each with the `not` that stands before it or before its parentheses: so a true
/// expression has true parts to show, and a false one false parts.
pub(in crate::engine) fn leaves(node: &Node, sign: Sign, scene: &CustomerView<'_>, found: &mut Vec<Part>) {
    match node {
        Node::And(parts) | Node::Or(parts) => parts.iter().for_each(|part| leaves(part, sign, scene, found)),
        Node::Not(inner) => {
            let sign = if sign == Sign::Plain { Sign::Denied } else { Sign::Plain };
            leaves(inner, sign, scene, found);
        }
        Node::Leaf(index, words) => {
            let verdict = scene.condition(*index);
            let denied = sign == Sign::Denied;
            let holds = verdict.holds != denied;
            // `between` is two conditions with the same words.
            if let Some(last) = found.last_mut()
                && let Claim::Condition { index: first, second, words: before, denied: alike } = &mut last.claim
                && before == words
                && *alike == denied
                && let both = [scene.rules.condition(*first), scene.rules.condition(*index)]
                && are_told_together(both)
            {
                if matches!(both[0], Condition::Compare { .. }) {
                    last.found = comparison(&both, scene);
                }
                *second = Some(*index);
                last.holds = if denied { last.holds | holds } else { last.holds & holds };
                last.until = last.until.min(verdict.until);
                return;
            }
            let value = value(scene.rules.condition(*index), scene);
            let claim = Claim::Condition { index: *index, second: None, words: words.clone(), denied };
            found.push(Part { claim, found: value, holds, until: verdict.until });
        }
    }
}

/// Is there one value, and one that it is compared with, from which both conditions follow?
fn are_told_together(both: [&Condition; 2]) -> bool {
    let [one, other] = both.map(|condition| match condition {
        Condition::Compare { with: Comparand::Measure { measure, .. }, .. } => Some(measure),
        _ => None,
    });
    one.zip(other).is_none_or(|(one, other)| one == other)
}

/// What a condition looked at: from that and the condition's bound follows whether it holds.
fn value(condition: &Condition, scene: &CustomerView<'_>) -> Found {
    let ago = |time: Instant| scene.at.since(time);
    match condition {
        Condition::Count { fact, window, test, waits } => {
            let Some(found) = scene.found_in(*fact, *window) else { return Found::NotStarted };
            if let Some(last) = found.last {
                let kind = scene.kind(*fact);
                return counted(usize::try_from(found.count).unwrap_or(usize::MAX), kind, ago(last));
            }
            let counts_from = scene.counts_from(*fact, *window);
            if *waits && test.holds(0) && scene.at < counts_from {
                let counts_in = Some(counts_from).filter(|at| *at < Instant::MAX).map(|at| at.since(scene.at));
                return Found::TooNew { counts_in };
            }
            let before = matches!(window, Window::Last(_)).then(|| scene.found_in(*fact, Window::Ever));
            Found::None { last: before.flatten().and_then(|found| found.last).map(ago) }
        }
        Condition::First { fact, window, .. } => first(scene.edge(*fact, Edge::First), *window, scene),
        Condition::Total { fact, .. } => match scene.fact(*fact) {
            Some(Fact::Total(total)) => Found::Times(total.count),
            _ => Found::Times(0),
        },
        Condition::Followed { fact, after, window } => {
            let keys = match scene.fact(*fact) {
                Some(Fact::Unanswered(keys)) => keys.as_slice(),
                _ => &[],
            };
            let overdue = || keys.iter().flat_map(OpenKey::open).filter(|open| *open + *after <= scene.at);
            let counts = |open: &Instant| is_in(*open + *after, *window, scene);
            match (overdue().filter(counts).max(), overdue().max()) {
                (Some(open), _) => Found::Waited(ago(open)),
                (None, Some(open)) => Found::Outside(ago(open)),
                (None, None) => Found::NothingOverdue,
            }
        }
        Condition::Chain { fact, window } => {
            let mut last = None;
            scene.completions(*fact, |at| {
                if is_in(at, *window, scene) {
                    last = last.max(Some(at));
                }
            });
            last.map_or(Found::NotComplete, |last| Found::Complete(scene.at.since(last)))
        }
        Condition::Rhythm { fact, unit, times, of_last, .. } => {
            let rhythm = Rhythm { periods: scene.periods(*fact), times: *times, of_last: *of_last };
            let count = rhythm.passing(scene.calendar.period(scene.at, *unit));
            Found::Passing { count, of: *of_last }
        }
        Condition::Streak { fact, unit, .. } => {
            let in_a_row = run(scene.periods(*fact), scene.calendar.period(scene.at, *unit));
            Found::InARow(in_a_row.map_or(0, |(count, _)| count))
        }
        Condition::In { cohort, .. } => match scene.membership(*cohort) {
            membership if membership.member => Found::In(scene.at.since(membership.entered_at)),
            _ => Found::Nothing,
        },
        Condition::Moves { cohort, entered, window, .. } => {
            let mut times = [Instant::MIN; Membership::HISTORY_MAX];
            let times = moves(scene.membership(*cohort), *entered, &mut times);
            Found::Times(within(times, *window, scene).map_or(0, |part| part.len() as u64))
        }
        Condition::FirstEntered { cohort, window } => {
            let membership = scene.membership(*cohort);
            first((membership.times_entered > 0).then_some(membership.first_entered_at), *window, scene)
        }
        Condition::Compare { .. } => comparison(&[condition], scene),
        Condition::Known { measure } | Condition::Missing { measure } => Found::Quantity(measured(measure, scene)),
        Condition::Rank { rank, .. } => {
            let ranking = &scene.rules.rankings[usize::from(scene.rules.rank(*rank).ranking.0)];
            let threshold = scene.thresholds.get(usize::from(rank.0)).copied().flatten();
            match (scene.ranked(ranking).0, threshold) {
                (None, _) => Found::Unranked,
                (Some(_), None) => Found::NoThreshold,
                // Where all are in there is nothing to compare with.
                (Some(_), Some(threshold)) if is_open(threshold) => Found::Quantity(measured(&ranking.measure, scene)),
                (Some(value), Some(threshold)) => {
                    let told = |number: Number| quantity(&ranking.measure, Value::Number(number));
                    let (value, threshold) = (value, threshold.value);
                    match (told(value), told(threshold)) {
                        // What is cut off makes the difference.
                        (same, other) if same == other && value != threshold => {
                            Found::Ranked { value: Quantity::Number(value), threshold: Quantity::Number(threshold) }
                        }
                        (value, threshold) => Found::Ranked { value, threshold },
                    }
                }
            }
        }
    }
}

/// The first time of something, which must lie in a window.
fn first(at: Option<Instant>, window: Window, scene: &CustomerView<'_>) -> Found {
    let Some(at) = at else { return Found::Never };
    match within(&[at], window, scene) {
        None => Found::NotStarted,
        Some(part) if part.is_empty() => Found::Outside(scene.at.since(at)),
        Some(_) => Found::Ago(scene.at.since(at)),
    }
}

/// What one comparison, or the two of `between`, looked at. Of a score fewer digits are told than are compared, as long as
/// what is told stands on the same side of each bound.
fn comparison(conditions: &[&Condition], scene: &CustomerView<'_>) -> Found {
    let Some(Condition::Compare { measure, .. }) = conditions.first() else { return Found::Nothing };
    let against = conditions.iter().find_map(|condition| match condition {
        Condition::Compare { with: Comparand::Measure { measure, .. }, .. } => Some(measure),
        _ => None,
    });
    let mut told = Told { value: measured(measure, scene), other: against.map(|other| measured(other, scene)) };
    if let Some(number) = exactly(measure, scene) {
        let held: Vec<bool> = conditions.iter().map(|condition| scene.evaluated(condition).holds).collect();
        let fits = |told: &Told| conditions.iter().zip(&held).all(|(condition, held)| told.implies(condition, *held));
        if !fits(&told) {
            // A score is decided by the instant at which it is reached, so the last digit may stand before the bound yet.
            let bounds = conditions.iter().filter_map(|condition| bound(condition, scene));
            let near = bounds.flat_map(|bound| [bound, Number(bound.0 + 1), Number(bound.0 - 1)]);
            let digits = [100_000, 10_000, 1_000, 100, 10, 1].map(|digit| Number(number.0 / digit * digit));
            let exact = against.and_then(|other| exactly(other, scene)).map(Quantity::Number);
            let other = exact.or(told.other);
            let tries = digits.into_iter().chain(near).map(Quantity::Number);
            let tries: Vec<Told> = tries.map(|value| Told { value, other: other.clone() }).collect();
            told = tries.into_iter().find(fits).unwrap_or(Told { value: Quantity::Number(number), other });
        }
    }
    match (told.other, against) {
        (Some(other), Some(of)) => {
            Found::Against { value: told.value, other, usual_gap: matches!(of, Measure::UsualGap { .. }) }
        }
        _ => Found::Quantity(told.value),
    }
}

/// What is told of a comparison's two sides.
struct Told {
    value: Quantity,
    other: Option<Quantity>,
}

impl Told {
    /// Does it follow from what is told that the comparison holds, or does not, as it does?
    fn implies(&self, condition: &Condition, held: bool) -> bool {
        let Condition::Compare { op, with, .. } = condition else { return true };
        let number = |quantity: &Quantity| match quantity {
            Quantity::Number(number) => Some(*number),
            _ => None,
        };
        let other = match with {
            Comparand::Number(number) => Some((Number::ONE, *number)),
            Comparand::Measure { factor, .. } => self.other.as_ref().and_then(number).map(|other| (factor.0, other)),
            Comparand::Bool(_) | Comparand::Text(_) => None,
        };
        let Some((value, (factor, other))) = number(&self.value).zip(other) else { return true };
        let order = value.0.saturating_mul(Number::ONE).cmp(&other.0.saturating_mul(factor));
        holds(*op, order) == held
    }
}

/// A score, or what is compared with one, with all its digits; `None` of what is told exactly in any case.
fn exactly(measure: &Measure, scene: &CustomerView<'_>) -> Option<Number> {
    scene.measure(measure).value.and_then(Value::number).filter(|_| !measure.is_length())
}

/// The number that a comparison turns at.
fn bound(condition: &Condition, scene: &CustomerView<'_>) -> Option<Number> {
    match condition {
        Condition::Compare { with: Comparand::Number(number), .. } => Some(*number),
        Condition::Compare { with: Comparand::Measure { factor, measure }, .. } => {
            let other = scene.measure(measure).value.and_then(Value::number)?;
            Some(Number(other.0.saturating_mul(factor.0) / Number::ONE))
        }
        _ => None,
    }
}

/// Does the threshold of a list that is not full let everybody in?
fn is_open(threshold: Standing) -> bool {
    threshold == Standing::FIRST || threshold == Standing::LAST
}

fn measured(measure: &Measure, scene: &CustomerView<'_>) -> Quantity {
    scene.measure(measure).value.map_or(Quantity::Missing, |value| quantity(measure, value))
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
        (Value::Number(number), Measure::Score { score, .. }) => Quantity::Number(as_told(*score, number)),
        (Value::Number(number), _) => Quantity::Number(number),
        (Value::Bool(flag), _) => Quantity::Bool(flag),
        (Value::Text(level), Measure::Score { .. }) => Quantity::Level(level.into()),
        (Value::Text(_), _) => Quantity::Text,
    }
}

/// As many digits as are worth saying. The rest is cut off: 79.96 is not yet 80.
fn as_told(score: Score, number: Number) -> Number {
    let digit = match score {
        Score::Alive => Number::ONE / 1_000,
        Score::Value | Score::ValueIfActive | Score::ValueAtRisk => Number::ONE / 100,
        Score::Risk | Score::Level => Number::ONE / 10,
    };
    Number(number.0 / digit * digit)
}

/// How many were found, as far as the fact can tell, and when the last of them was.
fn counted(count: usize, kind: &FactKind, last: Span) -> Found {
    match (count, kind.counts()) {
        (_, None) => Found::Nothing,
        // It remembers no more, so there may have been any number.
        (1, Some((1, _))) => Found::Last(last),
        (_, Some((cap, of))) => Found::Some { count, at_least: count > 1 && count >= cap, of, last },
    }
}
