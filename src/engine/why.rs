//! Evidence in words: which parts of a rule decided, and what they looked at.

use super::evaluate::{Scene, moves};
use super::state::{Fact, Membership};
use super::window::within;
use crate::event::{Change, Evidence, Instant, Number, Span};
use crate::rules::ast::Edge;
use crate::rules::{Cohort, Condition, Measure, Node, Window};

/// The conditions of the expression that decided, each with its value and answer.
pub(super) fn evidence(cohort: &Cohort, change: Change, scene: &Scene<'_>) -> Vec<Evidence> {
    let mut found = Vec::new();
    match change {
        Change::Entered => leaves(&cohort.who, scene, &mut found),
        Change::Exited => {
            let ended = cohort.until.as_ref().filter(|node| scene.node(node).holds);
            let entered_at = scene_entered_at(cohort, scene);
            if let Some(node) = ended {
                leaves(node, scene, &mut found);
            } else if let Some(span) = cohort.at_most.filter(|span| scene.at >= entered_at + *span) {
                let condition = format!("at_most {}", length(span));
                found.push(Evidence { condition, value: length(scene.at.since(entered_at)), holds: true });
            } else {
                leaves(cohort.stay.as_ref().unwrap_or(&cohort.who), scene, &mut found);
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
    let parts: Vec<String> = evidence
        .iter()
        .filter(|part| part.holds == wanted)
        .map(|part| {
            let no_longer = if wanted { "" } else { "no longer: " };
            if part.value.is_empty() {
                format!("{no_longer}{}", part.condition)
            } else {
                format!("{no_longer}{} ({})", part.condition, part.value)
            }
        })
        .collect();
    if parts.is_empty() { format!("{verb} {title}.") } else { format!("{verb} {title}: {}.", parts.join("; ")) }
}

fn leaves(node: &Node, scene: &Scene<'_>, found: &mut Vec<Evidence>) {
    match node {
        Node::And(parts) | Node::Or(parts) => parts.iter().for_each(|part| leaves(part, scene, found)),
        Node::Not(inner) => {
            let before = found.len();
            leaves(inner, scene, found);
            // `not in X` reads better whole than as the denied opposite.
            if let [only] = &mut found[before..] {
                only.condition = format!("not {}", only.condition);
                only.holds = !only.holds;
            }
        }
        Node::Leaf(condition, words) => {
            let holds = scene.condition(*condition).holds;
            let value = value(scene.rules.condition(*condition), scene);
            found.push(Evidence { condition: words.split_whitespace().collect::<Vec<_>>().join(" "), value, holds });
        }
    }
}

/// What a condition looked at, in a few words; nothing of the customer's own texts.
fn value(condition: &Condition, scene: &Scene<'_>) -> String {
    match condition {
        Condition::Count { fact, window, test, .. } => {
            let times = match scene.fact(*fact) {
                Fact::Times(times) | Fact::Distinct { times, .. } => times,
                Fact::Series(series) => &series.times,
                Fact::Total { .. } | Fact::Followed(_) => return String::new(),
            };
            let Some(part) = within(times, *window, scene) else { return "not started".into() };
            let at_least = part.len() >= test.capacity() && test.max.is_none();
            match times[part.clone()].last() {
                Some(last) => {
                    let more = if at_least { "at least " } else { "" };
                    format!("{more}{}, last {}", times_text(part.len() as u64), ago(scene.at, *last))
                }
                None => match times.last() {
                    Some(last) if matches!(window, Window::Last(_)) => format!("last {}", ago(scene.at, *last)),
                    _ => "none".into(),
                },
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
                None => "not so".into(),
            }
        }
        Condition::In { cohort, .. } => {
            let membership = scene.membership(*cohort);
            if membership.member { format!("for {}", length(scene.at.since(membership.entered_at))) } else { "no".into() }
        }
        Condition::Moves { cohort, entered, window, .. } => {
            let mut times = [Instant::MIN; Membership::HISTORY_MAX];
            let times = moves(scene.membership(*cohort), *entered, &mut times);
            times_text(within(times, *window, scene).map_or(0, |part| part.len() as u64))
        }
        Condition::FirstEntered { cohort, .. } => match scene.membership(*cohort) {
            membership if membership.times_entered > 0 => ago(scene.at, membership.first_entered_at),
            _ => "never".into(),
        },
        Condition::Compare { measure, .. } | Condition::Known { measure } | Condition::Missing { measure } => {
            let measured = scene.measure(measure).value;
            match (measured, measure) {
                (None, _) => "missing".into(),
                (Some(number), Measure::TimeSince { edge: Edge::First | Edge::Last, .. } | Measure::UsualGap { .. }) => {
                    length(Span(i64::try_from(number.0 / Number::ONE).unwrap_or(i64::MAX)))
                }
                (Some(number), _) => number.to_string(),
            }
        }
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

/// A length in words, in the largest unit of which there are at least two (or one exactly).
fn length(span: Span) -> String {
    let units = [(Span::DAY.0, "day"), (Span::HOUR.0, "hour"), (Span::MINUTE.0, "minute"), (Span::SECOND.0, "second")];
    for (unit, word) in units {
        let count = span.0 / unit;
        if count >= 2 || span.0 == unit {
            let plural = if count == 1 { "" } else { "s" };
            return format!("{count} {word}{plural}");
        }
    }
    format!("{} ms", span.0)
}
