//! Evidence: which parts of a rule decided, and what they looked at, as data.
//!
//! `english` and `french` put it into words, each of every kind of value there is: a condition or a value that one of
//! them has no words for does not compile.

mod english;
mod french;

use super::evaluate::{Scene, moves};
use super::membership::excluder;
use super::periods::{Rhythm, run};
use super::rank::Standing;
use super::risk::{Cause, Factor};
use super::state::{Fact, Membership};
use super::window::within;
use crate::event::{Change, ChangeReason, Evidence, Instant, Number, Span, Value};
use crate::rules::ast::Unit;
use crate::rules::{
    Cohort, CohortIx, Comparand, Condition, ConditionIx, DistinctKey, FactKind, Measure, Node, RuleSet, Score, Window,
};

/// A language of the product. The rule's own words are the same in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    English,
    French,
}

/// One part of a rule, at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub claim: Claim,
    pub found: Found,
    pub holds: bool,
    /// If the customer stays silent it cannot hold otherwise before this; `MAX`: never will.
    pub until: Instant,
}

/// What a part of a rule asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// A condition in its words in the rules file, or, `denied`, its opposite. `between` is two conditions.
    Condition { index: ConditionIx, second: Option<ConditionIx>, words: Box<str>, denied: bool },
    /// `at_most`
    AtMost(Span),
    /// This cohort of the group comes first.
    Excluded { by: CohortIx },
}

/// What a condition looked at; nothing of the customer's own texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing worth saying.
    Nothing,
    /// None in the window; the last one before it came that long ago, where there was one.
    None {
        last: Option<Span>,
    },
    /// So many in the window, the last of them that long ago. `at_least`: no more are remembered, so there may be more.
    Some {
        count: usize,
        at_least: bool,
        of: Counted,
        last: Span,
    },
    /// There is one or more; only the last is remembered.
    Last(Span),
    /// How many, whenever.
    Times(u64),
    /// The window has not begun, as nothing has happened that it begins with.
    NotStarted,
    /// Waited for an answer for so long, in vain.
    Waited(Span),
    /// No answer is overdue.
    NothingOverdue,
    /// A sequence came to its end that long ago.
    Complete(Span),
    NotComplete,
    /// So many of the periods looked at pass.
    Passing {
        count: i64,
        of: u32,
    },
    /// So many periods in a row; 0: none.
    InARow(u32),
    /// In a cohort for so long.
    In(Span),
    /// Entered a cohort that long ago.
    Entered(Span),
    /// It happened that long ago.
    Ago(Span),
    Never,
    Quantity(Quantity),
    /// By what a customer is ranked, and where the rank begins.
    Ranked {
        value: Quantity,
        threshold: Quantity,
    },
    /// They have no place in the ranking.
    Unranked,
    /// Nobody is in the rank yet.
    NoThreshold,
    /// A measure and what it is compared with.
    Against {
        value: Quantity,
        other: Quantity,
        usual_gap: bool,
    },
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    Times,
    /// Different values.
    Values,
    Days,
    Weeks,
    Months,
}

/// The value of a measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quantity {
    Missing,
    Number(Number),
    /// A length of time.
    Length(Span),
    /// How long ago something happened.
    Since(Span),
    /// No time passed between two things.
    AtOnce,
    /// By how much it changed.
    More(Number),
    /// By what length of time it changed; negative: it became shorter.
    Longer(Span),
    Bool(bool),
    /// The name of a level of risk.
    Level(Box<str>),
    /// A text of the customer's own, which is not repeated.
    Text,
}

/// The parts that decided a change, each with its value and answer.
pub(super) fn evidence(index: CohortIx, change: Change, reason: ChangeReason, scene: &Scene<'_>) -> Vec<Part> {
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

/// Parts as the wire has them: in English.
pub(super) fn in_english(parts: &[Part], rules: &RuleSet) -> Vec<Evidence> {
    let english = |part: &Part| Evidence {
        condition: part.condition(rules, Language::English),
        value: part.value(Language::English),
        holds: part.holds,
    };
    parts.iter().map(english).collect()
}

/// One sentence from the parts that decided.
pub(super) fn sentence(cohort: &Cohort, change: Change, parts: &[Part], rules: &RuleSet, language: Language) -> String {
    // What speaks for the change: true parts of what let them in or out, else the parts that no longer hold.
    let wanted = change == Change::Entered || parts.iter().all(|part| part.holds);
    let clauses: Vec<String> = (parts.iter())
        .filter(|part| part.holds == wanted)
        .map(|part| match part.value(language).as_str() {
            "" => part.condition(rules, language),
            value => format!("{} ({value})", part.condition(rules, language)),
        })
        .collect();
    match language {
        Language::English => english::sentence(&cohort.title.en, change, !wanted, &clauses),
        Language::French => french::sentence(&cohort.title.fr, change, !wanted, &clauses),
    }
}

/// That a change follows from an edit of the rules.
pub(super) fn edited(language: Language) -> &'static str {
    match language {
        Language::English => english::EDITED,
        Language::French => french::EDITED,
    }
}

/// A factor of risk in words.
pub(super) fn factor(factor: Factor, rules: &RuleSet, language: Language) -> String {
    let signal = |index: usize| rules.churn.as_ref().and_then(|churn| churn.signals.get(index));
    match (factor.cause, language) {
        (Cause::Signal(index), Language::English) => signal(index).map_or("", |signal| &signal.because.en).to_owned(),
        (Cause::Signal(index), Language::French) => signal(index).map_or("", |signal| &signal.because.fr).to_owned(),
        (cause, Language::English) => english::cause(cause),
        (cause, Language::French) => french::cause(cause),
    }
}

/// One sentence about a level of risk.
pub(super) fn risk(level: &str, factors: &[Factor], rules: &RuleSet, language: Language) -> String {
    let words = |one: &Factor| match (factor(*one, rules, language), one.points) {
        (words, 0) => words,
        (words, points) => format!("{words} ({points:+})"),
    };
    let factors: Vec<String> = factors.iter().map(words).collect();
    match language {
        Language::English => english::risk(level, &factors),
        Language::French => french::risk(level, &factors),
    }
}

impl Part {
    /// What it asks, in words: those of the rules, which are a language of their own.
    #[must_use]
    pub fn condition(&self, rules: &RuleSet, language: Language) -> String {
        match &self.claim {
            Claim::Condition { words, denied: false, .. } => words.to_string(),
            Claim::Condition { words, denied: true, .. } => denied(words),
            Claim::AtMost(span) => match language {
                Language::English => english::at_most(*span),
                Language::French => french::at_most(*span),
            },
            Claim::Excluded { by } => {
                let (first, group) = (&rules.cohort(*by).name, rules.cohort(*by).group.as_deref().unwrap_or_default());
                match language {
                    Language::English => english::excluded(first, group),
                    Language::French => french::excluded(first, group),
                }
            }
        }
    }

    /// What it looked at, in words; empty where there is nothing to say.
    #[must_use]
    pub fn value(&self, language: Language) -> String {
        match language {
            Language::English => english::found(&self.found),
            Language::French => french::found(&self.found),
        }
    }
}

/// Does a part of an expression stand under a `not`?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Plain,
    Denied,
}

/// The conditions of an expression, each with the `not` that stands before it or before its parentheses: so a true
/// expression has true parts to show, and a false one false parts.
pub(super) fn leaves(node: &Node, sign: Sign, scene: &Scene<'_>, found: &mut Vec<Part>) {
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
                && let Claim::Condition { second, words: before, denied: alike, .. } = &mut last.claim
                && before == words
                && *alike == denied
            {
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

/// The opposite of a condition, as one would write it.
fn denied(words: &str) -> String {
    match (words.strip_prefix("did not "), words.strip_prefix("did ")) {
        (Some(rest), _) => format!("did {rest}"),
        (None, Some(rest)) => format!("did not {rest}"),
        (None, None) => format!("not {words}"),
    }
}

/// What a condition looked at.
fn value(condition: &Condition, scene: &Scene<'_>) -> Found {
    match condition {
        Condition::Count { fact, window, .. } | Condition::First { fact, window, .. } => {
            let times = match scene.fact(*fact) {
                Fact::Times(times) => times,
                Fact::Distinct(found) => &found.times,
                Fact::Series(series) => &series.times,
                _ => return Found::Nothing,
            };
            let Some(part) = within(times, *window, scene) else { return Found::NotStarted };
            let ago = |time: &Instant| scene.at.since(*time);
            match times[part.clone()].last() {
                Some(last) => counted(part.len(), &scene.rules.facts[usize::from(fact.0)].kind, ago(last)),
                None => Found::None { last: times.last().filter(|_| matches!(window, Window::Last(_))).map(ago) },
            }
        }
        Condition::Total { fact, .. } => match scene.fact(*fact) {
            Fact::Total(total) => Found::Times(total.count),
            _ => Found::Nothing,
        },
        Condition::Followed { fact, after, .. } => {
            let Fact::Followed(pairs) = scene.fact(*fact) else { return Found::Nothing };
            let due = pairs.iter().flat_map(super::state::Pair::open).map(|open| open + *after);
            match due.filter(|due| *due <= scene.at).max() {
                Some(due) => Found::Waited(scene.at.since(due - *after)),
                None => Found::NothingOverdue,
            }
        }
        Condition::Chain { fact, window } => {
            let mut last = None;
            scene.completions(*fact, |at| {
                if within(&[at], *window, scene).is_some_and(|part| !part.is_empty()) {
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
        Condition::FirstEntered { cohort, .. } => match scene.membership(*cohort) {
            membership if membership.times_entered > 0 => Found::Ago(scene.at.since(membership.first_entered_at)),
            _ => Found::Never,
        },
        Condition::Compare { measure, with: Comparand::Measure { measure: other, .. }, .. } => Found::Against {
            value: measured(measure, scene),
            other: measured(other, scene),
            usual_gap: matches!(other, Measure::UsualGap { .. }),
        },
        Condition::Compare {
            measure, with: Comparand::Number(_) | Comparand::Bool(_) | Comparand::Text(_), ..
        }
        | Condition::Known { measure }
        | Condition::Missing { measure } => Found::Quantity(measured(measure, scene)),
        Condition::Rank { rank, .. } => {
            let ranking = &scene.rules.rankings[usize::from(scene.rules.rank(*rank).ranking.0)];
            let threshold = scene.thresholds.get(usize::from(rank.0)).copied().flatten();
            match (scene.ranked(ranking).0, threshold) {
                (None, _) => Found::Unranked,
                (Some(_), None) => Found::NoThreshold,
                // Where all are in there is nothing to compare with.
                (Some(_), Some(threshold)) if is_open(threshold) => Found::Quantity(measured(&ranking.measure, scene)),
                (Some(_), Some(threshold)) => Found::Ranked {
                    value: measured(&ranking.measure, scene),
                    threshold: quantity(&ranking.measure, Value::Number(threshold.value)),
                },
            }
        }
    }
}

/// Does the threshold of a list that is not full let everybody in?
fn is_open(threshold: Standing) -> bool {
    threshold == Standing::FIRST || threshold == Standing::LAST
}

fn measured(measure: &Measure, scene: &Scene<'_>) -> Quantity {
    scene.measure(measure).value.map_or(Quantity::Missing, |value| quantity(measure, value))
}

fn quantity(measure: &Measure, value: Value<'_>) -> Quantity {
    let length = |number: Number| Span(i64::try_from(number.0 / Number::ONE).unwrap_or(i64::MAX));
    match (value, measure) {
        (Value::Number(number), Measure::TimeSince { .. }) => Quantity::Since(length(number)),
        (Value::Number(Number::ZERO), Measure::TimeFrom { .. }) => Quantity::AtOnce,
        (Value::Number(number), Measure::Change { .. }) if measure.is_length() => Quantity::Longer(length(number)),
        (Value::Number(number), Measure::Change { .. }) => Quantity::More(number),
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
        Score::Value => Number::ONE / 100,
        Score::Risk | Score::Level => Number::ONE / 10,
    };
    Number(number.0 / digit * digit)
}

/// How many were found, as far as the fact can tell, and when the last of them was.
fn counted(count: usize, kind: &FactKind, last: Span) -> Found {
    let (cap, of) = match kind {
        FactKind::Latest { cap } | FactKind::Earliest { cap } => (*cap, Counted::Times),
        FactKind::Series { exact, .. } => (*exact, Counted::Times),
        FactKind::Distinct { key, cap, .. } | FactKind::DistinctAll { key, cap, .. } => match key {
            DistinctKey::Property(_) => (*cap, Counted::Values),
            DistinctKey::Period(Unit::Day) => (*cap, Counted::Days),
            DistinctKey::Period(Unit::Week) => (*cap, Counted::Weeks),
            DistinctKey::Period(_) => (*cap, Counted::Months),
        },
        _ => return Found::Nothing,
    };
    match count {
        // It remembers no more, so there may have been any number.
        1 if cap == 1 => Found::Last(last),
        _ => Found::Some { count, at_least: count > 1 && count >= cap, of, last },
    }
}

/// A length in its largest unit of which there are at least two (or one exactly), and under ten of them with the rest
/// in the next smaller one: so that it is short and does not mislead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rounded {
    Milliseconds(i64),
    Units { count: i64, unit: TimeUnit, rest: Option<(i64, TimeUnit)>, just_over: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeUnit {
    Day,
    Hour,
    Minute,
    Second,
}

fn rounded(span: Span) -> Rounded {
    let units = [
        (Span::DAY.0, TimeUnit::Day),
        (Span::HOUR.0, TimeUnit::Hour),
        (Span::MINUTE.0, TimeUnit::Minute),
        (Span::SECOND.0, TimeUnit::Second),
    ];
    let Some(place) = units.iter().position(|(unit, _)| span.0 >= 2 * unit || span.0 == *unit) else {
        return Rounded::Milliseconds(span.0);
    };
    let (length, unit) = units[place];
    let (count, rest) = (span.0 / length, span.0 % length);
    let smaller = units.get(place + 1).filter(|(unit, _)| count < 10 && rest >= *unit);
    let smaller = smaller.map(|(length, unit)| (rest / length, *unit));
    // Conditions turn at round lengths, and often a millisecond later.
    let just_over = smaller.is_none() && (1..Span::SECOND.0).contains(&rest);
    Rounded::Units { count, unit, rest: smaller, just_over }
}
