//! Evidence in words: which parts of a rule decided, and what they looked at.

use super::evaluate::{Scene, moves};
use super::state::{Fact, Membership};
use super::window::within;
use crate::event::{Change, Evidence, Instant, Number, Span, Value};
use crate::rules::ast::Unit;
use crate::rules::{Cohort, Comparand, Condition, DistinctKey, FactKind, Measure, Node, Window};

/// The conditions of the expression that decided, each with its value and answer.
pub(super) fn evidence(cohort: &Cohort, change: Change, scene: &Scene<'_>) -> Vec<Evidence> {
    let mut found = Vec::new();
    match change {
        Change::Entered => leaves(&cohort.who, Sign::Plain, scene, &mut found),
        Change::Exited => {
            let ended = cohort.until.as_ref().filter(|node| scene.node(node).holds);
            let entered_at = scene_entered_at(cohort, scene);
            if let Some(node) = ended {
                leaves(node, Sign::Plain, scene, &mut found);
                // Of several ways out only those that were taken count.
                found.retain(|part| part.holds);
            } else if let Some(span) = cohort.at_most.filter(|span| scene.at >= entered_at + *span) {
                let condition = format!("stays at most {}", length(span));
                let value = format!("entered {}", ago(scene.at, entered_at));
                found.push(Evidence { condition, value, holds: true });
            } else {
                leaves(cohort.stay.as_ref().unwrap_or(&cohort.who), Sign::Plain, scene, &mut found);
            }
        }
    }
    found
}

fn scene_entered_at(cohort: &Cohort, scene: &Scene<'_>) -> Instant {
    let index = scene.rules.cohorts.iter().position(|c| c.name == cohort.name);
    index.map_or(Instant::MIN, |index| scene.memberships[index].entered_at)
}

/// One English sentence from the evidence.
pub(super) fn sentence(cohort: &Cohort, change: Change, evidence: &[Evidence]) -> String {
    let title = &cohort.title.en;
    // What speaks for the change: true parts of what let them in or out, else the parts that no longer hold.
    let (verb, wanted) = match change {
        Change::Entered => ("Entered", true),
        Change::Exited => ("Left", evidence.iter().all(|part| part.holds)),
    };
    let parts: Vec<String> = (evidence.iter())
        .filter(|part| part.holds == wanted)
        .map(|part| match part.value.as_str() {
            "" => part.condition.clone(),
            value => format!("{} ({value})", part.condition),
        })
        .collect();
    if parts.is_empty() {
        return format!("{verb} {title}.");
    }
    let no_longer = if wanted { "" } else { ", as this no longer holds" };
    format!("{verb} {title}{no_longer}: {}.", parts.join("; "))
}

/// Does a part of an expression stand under a `not`?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Plain,
    Denied,
}

/// The conditions of an expression, each with the `not` that stands before it or before its parentheses: so a true
/// expression has true parts to show, and a false one false parts.
fn leaves(node: &Node, sign: Sign, scene: &Scene<'_>, found: &mut Vec<Evidence>) {
    match node {
        Node::And(parts) | Node::Or(parts) => parts.iter().for_each(|part| leaves(part, sign, scene, found)),
        Node::Not(inner) => {
            let sign = if sign == Sign::Plain { Sign::Denied } else { Sign::Plain };
            leaves(inner, sign, scene, found);
        }
        Node::Leaf(condition, words) => {
            let value = value(scene.rules.condition(*condition), scene);
            let holds = scene.condition(*condition).holds;
            let (condition, holds) = match sign {
                Sign::Plain => (words.to_string(), holds),
                Sign::Denied => (denied(words), !holds),
            };
            // `between` is two conditions with the same words.
            match found.last_mut().filter(|last| last.condition == condition) {
                Some(last) if sign == Sign::Plain => last.holds &= holds,
                Some(last) => last.holds |= holds,
                None => found.push(Evidence { condition, value, holds }),
            }
        }
    }
}

/// The opposite of a condition, as one would write it.
fn denied(words: &str) -> String {
    match (words.strip_prefix("did not "), words.strip_prefix("did ")) {
        (Some(rest), _) => format!("did {rest}"),
        (None, Some(rest)) => format!("did not {rest}"),
        (None, None) => format!("not {words}"),
    }
}

/// What a condition looked at, in a few words; nothing of the customer's own texts.
fn value(condition: &Condition, scene: &Scene<'_>) -> String {
    match condition {
        Condition::Count { fact, window, .. } | Condition::First { fact, window, .. } => {
            let times = match scene.fact(*fact) {
                Fact::Times(times) | Fact::Distinct { times, .. } => times,
                Fact::Series(series) => &series.times,
                _ => return String::new(),
            };
            let Some(part) = within(times, *window, scene) else { return "not started".into() };
            let kind = &scene.rules.facts[usize::from(fact.0)].kind;
            match (times[part.clone()].last(), times.last()) {
                (Some(last), _) => found_text(part.len(), kind, &ago(scene.at, *last)),
                (None, Some(last)) if matches!(window, Window::Last(_)) => format!("last one {}", ago(scene.at, *last)),
                (None, _) => "none".into(),
            }
        }
        Condition::Total { fact, .. } => match scene.fact(*fact) {
            Fact::Total { count, .. } => times_text(*count),
            _ => String::new(),
        },
        Condition::Followed { fact, after, .. } => {
            let Fact::Followed(pairs) = scene.fact(*fact) else { return String::new() };
            let due = pairs.iter().flat_map(super::state::Pair::open).map(|open| open + *after);
            match due.filter(|due| *due <= scene.at).max() {
                Some(due) => format!("waited {}", length(scene.at.since(due - *after))),
                None => "nothing overdue".into(),
            }
        }
        Condition::In { cohort, .. } => match scene.membership(*cohort) {
            membership if membership.member => match scene.at.since(membership.entered_at) {
                Span(0) => "just now".into(),
                span => format!("for {}", length(span)),
            },
            _ => String::new(),
        },
        Condition::Moves { cohort, entered, window, .. } => {
            let mut times = [Instant::MIN; Membership::HISTORY_MAX];
            let times = moves(scene.membership(*cohort), *entered, &mut times);
            times_text(within(times, *window, scene).map_or(0, |part| part.len() as u64))
        }
        Condition::FirstEntered { cohort, .. } => match scene.membership(*cohort) {
            membership if membership.times_entered > 0 => ago(scene.at, membership.first_entered_at),
            _ => "never".into(),
        },
        Condition::Compare { measure, with: Comparand::Measure { measure: other, .. }, .. } => {
            let name = if matches!(other, Measure::UsualGap { .. }) { "usual gap" } else { "against" };
            format!("{}, {name} {}", measured(measure, scene), measured(other, scene))
        }
        Condition::Compare { measure, .. } | Condition::Known { measure } | Condition::Missing { measure } => {
            measured(measure, scene)
        }
    }
}

fn measured(measure: &Measure, scene: &Scene<'_>) -> String {
    let milliseconds = |number: Number| Span(i64::try_from(number.0 / Number::ONE).unwrap_or(i64::MAX));
    match (scene.measure(measure).value, measure) {
        (None, _) => "missing".into(),
        (Some(Value::Number(Number(0))), Measure::TimeSince { .. }) => "just now".into(),
        (Some(Value::Number(Number(0))), Measure::TimeFrom { .. }) => "at once".into(),
        (Some(Value::Number(number)), Measure::Change { .. }) if measure.is_length() => match milliseconds(number) {
            Span(0) => "no change".into(),
            Span(less) if less < 0 => format!("{} less", length(Span(-less))),
            more => format!("{} more", length(more)),
        },
        (Some(Value::Number(number)), _) if measure.is_length() => length(milliseconds(number)),
        (Some(Value::Number(number)), Measure::Change { .. }) if number > Number::ZERO => format!("+{number}"),
        (Some(Value::Number(number)), _) => number.to_string(),
        (Some(Value::Bool(flag)), _) => flag.to_string(),
        (Some(Value::Text(_)), _) => "a text".into(),
    }
}

/// How many were found, as far as the fact can tell, and when the last of them was.
fn found_text(count: usize, kind: &FactKind, last: &str) -> String {
    let (cap, one, more) = match kind {
        FactKind::Latest { cap } | FactKind::Earliest { cap } => (*cap, "once", "times"),
        FactKind::Series { exact, .. } => (*exact, "once", "times"),
        FactKind::Distinct { key: DistinctKey::Property(_), cap, .. }
        | FactKind::DistinctAll { key: DistinctKey::Property(_), cap, .. } => (*cap, "one", "different"),
        FactKind::Distinct { key: DistinctKey::Period(unit), cap, .. }
        | FactKind::DistinctAll { key: DistinctKey::Period(unit), cap, .. } => match unit {
            Unit::Day => (*cap, "one day", "days"),
            Unit::Week => (*cap, "one week", "weeks"),
            _ => (*cap, "one month", "months"),
        },
        _ => return String::new(),
    };
    match count {
        // It remembers no more, so there may have been any number.
        1 if cap == 1 => format!("last one {last}"),
        1 => format!("{one}, {last}"),
        _ if count >= cap => format!("at least {count} {more}, last {last}"),
        _ => format!("{count} {more}, last {last}"),
    }
}

fn times_text(count: u64) -> String {
    match count {
        0 => "none".into(),
        1 => "once".into(),
        _ => format!("{count} times"),
    }
}

fn ago(at: Instant, time: Instant) -> String {
    match at.since(time) {
        Span(0) => "just now".into(),
        span => format!("{} ago", length(span)),
    }
}

/// A length in words: in the largest unit of which there are at least two (or one exactly), and under ten of them with
/// the rest in the next smaller one.
fn length(span: Span) -> String {
    let units = [(Span::DAY.0, "day"), (Span::HOUR.0, "hour"), (Span::MINUTE.0, "minute"), (Span::SECOND.0, "second")];
    let counted = |count: i64, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let Some(place) = units.iter().position(|(unit, _)| span.0 >= 2 * unit || span.0 == *unit) else {
        return format!("{} ms", span.0);
    };
    let (unit, word) = units[place];
    let (count, rest) = (span.0 / unit, span.0 % unit);
    let smaller = units.get(place + 1).filter(|(unit, _)| count < 10 && rest >= *unit);
    match smaller {
        Some((unit, smaller)) => format!("{} {}", counted(count, word), counted(rest / unit, smaller)),
        // Conditions turn at round lengths, and often a millisecond later.
        None if (1..Span::SECOND.0).contains(&rest) => format!("just over {}", counted(count, word)),
        None => counted(count, word),
    }
}

#[cfg(test)]
mod tests {
    use super::length;
    use crate::event::Span;

    #[test]
    fn lengths_are_short_and_not_misleading() {
        let of = |days: i64, hours: i64, ms: i64| length(Span(days * Span::DAY.0 + hours * Span::HOUR.0 + ms));
        assert_eq!(of(90, 0, 0), "90 days");
        assert_eq!(of(90, 7, 0), "90 days");
        assert_eq!(of(2, 21, 5), "2 days 21 hours");
        assert_eq!(of(1, 0, 0), "1 day");
        assert_eq!(of(1, 1, 0), "25 hours");
        assert_eq!(of(0, 2, 1), "just over 2 hours");
        assert_eq!(of(0, 0, 1_500), "1500 ms");
    }
}
