//! The evidence of a condition is what decided it: its value and the condition's bound imply whether it
//! holds. Computed here again, from the condition and the value alone.

use cohortd::engine::{Claim, Detail, EvidencePart, Finding, Quantity, explain};
use cohortd::event::{Number, Span};
use cohortd::rules::ast::{Bound, Op};
use cohortd::rules::{self, CohortIx, Comparand, Condition, RuleSet};

use crate::engine_under_test::{Emitted, run_in_batches, run_to_engine};
use crate::generate::{Generated, Property, Random};
use crate::naive::Case;

pub(crate) const PROPERTY: Property =
    Property { test: "evidence::evidence_implies_what_was_decided", cases: 6_000, make, check };

#[test]
fn evidence_implies_what_was_decided() {
    PROPERTY.try_many();
}

/// Every other case is one in which churn is watched.
fn make(seed: u64) -> Option<Generated> {
    Some(if seed.is_multiple_of(2) { Generated::with_churn(seed) } else { Generated::new(seed) })
}

/// That of every change, and of explanations at some instant afterwards.
fn check(case: &Case, seed: u64) -> Result<(), String> {
    let rules = rules::load("rules.toml", &case.rules).map_err(|errors| format!("{errors:?}"))?;
    for (customer, words) in run_in_batches(case, || None)? {
        for (position, word) in words {
            if let Emitted::Change(effect) = word {
                all_implied(&effect.why, &rules).map_err(|part| format!("of {customer}, at {position}: {part}"))?;
            }
        }
    }
    let mut random = Random::new(seed);
    let (mut engine, states) = run_to_engine(case)?;
    for (customer, mut state) in states {
        let most = *random.pick(&[3, Span::HOUR.0, 20 * Span::DAY.0]);
        let at = state.clock + Span(random.between(0, most));
        engine.fire(&mut state, at.next(), Detail::None, &mut Vec::new());
        engine.take_risks();
        for cohort in (0..).take(rules.cohorts.len()).map(CohortIx) {
            let explanation = explain(&engine, &state, cohort, at.max(state.clock));
            let parts: Vec<EvidencePart> = explanation.clauses.into_iter().map(|clause| clause.part).collect();
            all_implied(&parts, &rules).map_err(|part| format!("of {customer}, explained at {}: {part}", at.0))?;
        }
    }
    Ok(())
}

fn all_implied(parts: &[EvidencePart], rules: &RuleSet) -> Result<(), String> {
    match parts.iter().find(|part| implied(part, rules).is_some_and(|holds| holds != part.holds)) {
        None => Ok(()),
        Some(part) => Err(format!("{part:?} does not follow from what was found")),
    }
}

/// `None`: a text of the customer's, which is not shown, or a tie.
fn implied(part: &EvidencePart, rules: &RuleSet) -> Option<bool> {
    let Claim::Condition { index, second, negated, .. } = &part.claim else { return Some(true) };
    let of = |index| follows(rules.condition(index), &part.found);
    let first = of(*index);
    let both = match second.map(of) {
        None => first?,
        Some(second) => match (first, second) {
            (Some(false), _) | (_, Some(false)) => false,
            (first, second) => first? && second?,
        },
    };
    Some(both != *negated)
}

fn follows(condition: &Condition, found: &Finding) -> Option<bool> {
    Some(match (condition, found) {
        (Condition::Count { .. }, Finding::NotStarted | Finding::TooNew { .. }) => false,
        (Condition::Count { test, .. }, Finding::None { .. }) => test.holds(0),
        (Condition::Count { test, .. }, Finding::Last(_)) => test.holds(1),
        (Condition::Count { test, .. }, Finding::Some { count, .. }) => test.holds(*count as u64),
        (Condition::First { negated, .. }, Finding::Ago(_)) => !negated,
        (Condition::First { negated, .. }, Finding::Never | Finding::Outside(_) | Finding::NotStarted) => *negated,
        (Condition::Total { test, .. } | Condition::Moves { test, .. }, Finding::Times(count)) => test.holds(*count),
        (Condition::Unanswered { .. }, Finding::Waited(_)) | (Condition::Sequence { .. }, Finding::Complete(_)) => true,
        (Condition::Unanswered { .. }, Finding::Outside(_) | Finding::NothingOverdue) => false,
        (Condition::Sequence { .. }, Finding::NotComplete) => false,
        (Condition::Rhythm { periods, .. }, Finding::Passing { count, .. }) => {
            periods.holds(u64::try_from(*count).ok()?)
        }
        (Condition::Streak { length, .. }, Finding::InARow(in_a_row)) => in_a_row >= length,
        (Condition::In { .. }, Finding::Nothing) => false,
        (Condition::In { stay: None, .. }, Finding::In(_)) => true,
        (Condition::In { stay: Some((bound, span)), .. }, Finding::In(stayed)) => match bound {
            Bound::AtLeast => stayed >= span,
            Bound::AtMost => stayed <= span,
            Bound::Exactly => stayed == span,
            Bound::MoreThan => stayed > span,
            Bound::FewerThan => stayed < span,
        },
        (Condition::FirstEntered { .. }, Finding::Ago(_)) => true,
        (Condition::FirstEntered { .. }, Finding::Never | Finding::Outside(_) | Finding::NotStarted) => false,
        (Condition::Known { .. }, Finding::Quantity(value)) => *value != Quantity::Missing,
        (Condition::Missing { .. }, Finding::Quantity(value)) => *value == Quantity::Missing,
        (Condition::Compare { op, with, .. }, Finding::Quantity(value)) => return compared(value, *op, with, None),
        (Condition::Compare { op, with, .. }, Finding::Against { value, other, .. }) => {
            return compared(value, *op, with, Some(other));
        }
        (Condition::Rank { .. }, Finding::Unranked | Finding::NoThreshold) => false,
        (Condition::Rank { .. }, Finding::Quantity(_)) => true,
        (Condition::Rank { .. }, Finding::Ranked { .. }) => return None,
        (condition, found) => panic!("{found:?} says nothing of {condition:?}"),
    })
}

fn compared(value: &Quantity, op: Op, with: &Comparand, other: Option<&Quantity>) -> Option<bool> {
    if *value == Quantity::Missing || other == Some(&Quantity::Missing) {
        return Some(false);
    }
    let by = |order: std::cmp::Ordering| match op {
        Op::Eq => order.is_eq(),
        Op::Ne => order.is_ne(),
        Op::Lt => order.is_lt(),
        Op::Le => order.is_le(),
        Op::Gt => order.is_gt(),
        Op::Ge => order.is_ge(),
    };
    let (factor, other) = match (with, other) {
        (Comparand::Measure { factor, .. }, Some(other)) => (factor.0, number(other)?),
        (Comparand::Number(number), _) => (Number::ONE, number.0),
        (Comparand::Text(text), _) => {
            return match value {
                Quantity::Level(level) => Some(by((**level).cmp(text))),
                Quantity::Text => None,
                _ => Some(op == Op::Ne),
            };
        }
        (Comparand::Bool(flag), _) => {
            return Some(match value {
                Quantity::Bool(found) if found == flag => op == Op::Eq,
                _ => op == Op::Ne,
            });
        }
        (Comparand::Measure { .. }, None) => panic!("the other side of the comparison is missing"),
    };
    match number(value) {
        Some(value) => Some(by((value * Number::ONE).cmp(&(other * factor)))),
        None if *value == Quantity::Text => None,
        // Between different types.
        None => Some(op == Op::Ne),
    }
}

/// In millionths, of a length in milliseconds; `None` of what is no number.
fn number(quantity: &Quantity) -> Option<i128> {
    match quantity {
        Quantity::Number(number) | Quantity::More(number) | Quantity::Percent(number) => Some(number.0),
        Quantity::Since(span) | Quantity::Length(span) | Quantity::Longer(span) => {
            Some(i128::from(span.0) * Number::ONE)
        }
        Quantity::AtOnce => Some(0),
        Quantity::Missing | Quantity::Bool(_) | Quantity::Level(_) | Quantity::Text => None,
    }
}
