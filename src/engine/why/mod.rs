//! Evidence: which parts of a rule decided, and what they looked at, as data.
//!
//! `english` and `french` put it into words, each of every kind of value there is: a condition or a value that one of
//! them has no words for does not compile.

mod english;
mod french;

use super::evaluate::{Scene, holds, moves};
use super::membership::excluder;
use super::periods::{Rhythm, run};
use super::rank::Standing;
use super::risk::{Cause, Factor};
use super::state::{Fact, Membership};
use super::window::{is_in, within};
use crate::event::{Change, ChangeReason, Evidence, Instant, Number, Span, Value};
use crate::rules::ast::{Edge, Unit};
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
    /// None in the window, which does not count yet: of who, or what, was not observed for that long. In how long it will;
    /// never, where it was not from the beginning.
    TooNew {
        counts_in: Option<Span>,
    },
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
    /// It happened that long ago, which is not in the window.
    Outside(Span),
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
    /// By what part of itself it changed: 0.2 is 20 %.
    Percent(Number),
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

/// The opposite of a condition, as one would write it.
fn denied(words: &str) -> String {
    match (words.strip_prefix("did not "), words.strip_prefix("did ")) {
        (Some(rest), _) => format!("did {rest}"),
        (None, Some(rest)) => format!("did not {rest}"),
        (None, None) => format!("not {words}"),
    }
}

/// What a condition looked at: from that and the condition's bound follows whether it holds.
fn value(condition: &Condition, scene: &Scene<'_>) -> Found {
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
            Fact::Total(total) => Found::Times(total.count),
            _ => Found::Nothing,
        },
        Condition::Followed { fact, after, window } => {
            let Fact::Followed(pairs) = scene.fact(*fact) else { return Found::Nothing };
            let overdue = || {
                let open = pairs.iter().flat_map(super::state::Pair::open);
                open.filter(|open| *open + *after <= scene.at)
            };
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
fn first(at: Option<Instant>, window: Window, scene: &Scene<'_>) -> Found {
    let Some(at) = at else { return Found::Never };
    match within(&[at], window, scene) {
        None => Found::NotStarted,
        Some(part) if part.is_empty() => Found::Outside(scene.at.since(at)),
        Some(_) => Found::Ago(scene.at.since(at)),
    }
}

/// What one comparison, or the two of `between`, looked at. Of a score fewer digits are told than are compared, as long as
/// what is told stands on the same side of each bound.
fn comparison(conditions: &[&Condition], scene: &Scene<'_>) -> Found {
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
fn exactly(measure: &Measure, scene: &Scene<'_>) -> Option<Number> {
    scene.measure(measure).value.and_then(Value::number).filter(|_| !measure.is_length())
}

/// The number that a comparison turns at.
fn bound(condition: &Condition, scene: &Scene<'_>) -> Option<Number> {
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
    let (cap, of) = match kind {
        FactKind::Latest { cap, .. } | FactKind::Earliest { cap } => (*cap, Counted::Times),
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
