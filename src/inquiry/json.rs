//! Explanations and standings for programs: what others depend on, keys and their order too.

use std::io::{self, Write};

use serde::Serialize;

use crate::engine::{Clause, Explanation, Language};
use crate::event::{Change, Instant};
use crate::rules::RuleSet;

#[derive(Serialize)]
struct Document<'a, C> {
    customer_id: &'a str,
    at: i64,
    cohorts: Vec<C>,
}

#[derive(Serialize)]
struct Standing<'a> {
    cohort: &'a str,
    member: bool,
    /// Of this stay's beginning, or the last one's end.
    since: Option<i64>,
    standing: Text,
    next_change: Option<Next>,
}

#[derive(Serialize)]
struct Cohort<'a> {
    cohort: &'a str,
    member: bool,
    armed: bool,
    /// Of this stay's beginning, or the last one's end.
    since: Option<i64>,
    times_entered: u32,
    standing: Text,
    /// What besides the conditions holds in or out.
    terms: Vec<Text>,
    conditions: Vec<Condition>,
    next_change: Option<Next>,
}

#[derive(Serialize)]
struct Condition {
    of: &'static str,
    condition: String,
    value: Text,
    holds: bool,
    /// `null`: never otherwise by time alone.
    until: Option<i64>,
    changes_with: Text,
}

#[derive(Serialize)]
struct Next {
    change: &'static str,
    at: i64,
}

#[derive(Serialize)]
struct Text {
    en: String,
    fr: String,
}

impl Text {
    fn of(words: impl Fn(Language) -> String) -> Self {
        Self { en: words(Language::English), fr: words(Language::French) }
    }
}

/// Explanations, as one object on one line.
///
/// # Errors
/// Those of `out`.
pub fn write(
    rules: &RuleSet,
    customer: &str,
    at: Instant,
    explanations: &[Explanation],
    out: &mut impl Write,
) -> io::Result<()> {
    let cohorts = explanations.iter().map(|explanation| cohort(rules, explanation)).collect();
    line(&Document { customer_id: customer, at: at.0, cohorts }, out)
}

/// Where the customer stands in each cohort, in short.
pub(super) fn write_standings(
    rules: &RuleSet,
    customer: &str,
    at: Instant,
    explanations: &[Explanation],
    out: &mut impl Write,
) -> io::Result<()> {
    let cohorts = explanations.iter().map(|explanation| standing(rules, explanation)).collect();
    line(&Document { customer_id: customer, at: at.0, cohorts }, out)
}

fn line(document: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, document).map_err(io::Error::from)?;
    writeln!(out)
}

fn standing<'a>(rules: &'a RuleSet, found: &Explanation) -> Standing<'a> {
    Standing {
        cohort: &rules.cohort(found.cohort).name,
        member: found.member,
        since: found.since.map(|since| since.0),
        standing: Text::of(|language| found.standing(rules, language)),
        next_change: found.next_change.map(next),
    }
}

fn next((at, change): (Instant, Change)) -> Next {
    Next { change: change.word(), at: at.0 }
}

fn cohort<'a>(rules: &'a RuleSet, found: &Explanation) -> Cohort<'a> {
    Cohort {
        cohort: &rules.cohort(found.cohort).name,
        member: found.member,
        armed: found.armed,
        since: found.since.map(|since| since.0),
        times_entered: found.times_entered,
        standing: Text::of(|language| found.standing(rules, language)),
        terms: found.terms.iter().map(|term| Text::of(|language| term.text(rules, language))).collect(),
        conditions: found.clauses.iter().map(|clause| condition(rules, clause)).collect(),
        next_change: found.next_change.map(next),
    }
}

fn condition(rules: &RuleSet, clause: &Clause) -> Condition {
    let Clause { of, part, turn } = clause;
    Condition {
        of: of.key(),
        condition: part.condition(rules, Language::English),
        value: Text::of(|language| part.value(language)),
        holds: part.holds,
        until: Some(part.until).filter(|until| *until < Instant::MAX).map(|until| until.0),
        changes_with: Text::of(|language| turn.text(rules, language)),
    }
}
