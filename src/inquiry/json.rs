//! Explanations and memberships as JSON: a public format, including keys and their order.

use std::io::{self, Write};

use serde::Serialize;

use super::Customer;
use crate::engine::{self, Clause, Explanation, Language, RiskEffect, level_name};
use crate::event::{Change, Instant};
use crate::rules::RuleSet;

#[derive(Serialize)]
struct Document<'a, C> {
    customer_id: &'a str,
    /// Other partitions with a part of the same customer; omitted if there are none.
    #[serde(skip_serializing_if = "<[i32]>::is_empty")]
    also_in_partitions: &'a [i32],
    at: i64,
    cohorts: Vec<C>,
}

#[derive(Serialize)]
struct Standings<'a> {
    customer_id: &'a str,
    #[serde(skip_serializing_if = "<[i32]>::is_empty")]
    also_in_partitions: &'a [i32],
    at: i64,
    /// `null`: there is no `[churn]`, or nothing is known yet.
    churn: Option<Churn<'a>>,
    cohorts: Vec<Standing<'a>>,
}

/// The churn risk, as in a record of `churn-risk-changes`.
#[derive(Serialize)]
struct Churn<'a> {
    level: &'a str,
    probability: f64,
    expected_purchases: f64,
    alive: Option<f64>,
    clv: Option<f64>,
    value_at_risk: Option<f64>,
    /// `null`: never by inactivity alone.
    next_level_at: Option<i64>,
    parameters: u32,
    provisional: bool,
    why: Text,
    factors: Vec<Factor>,
}

#[derive(Serialize)]
struct Factor {
    text: Text,
    points: i64,
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
    /// What keeps the customer in or out besides the conditions.
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
    /// `null`: time alone never changes it.
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
    (customer, also_in): Customer<'_>,
    at: Instant,
    explanations: &[Explanation],
    out: &mut impl Write,
) -> io::Result<()> {
    let cohorts = explanations.iter().map(|explanation| cohort(rules, explanation)).collect();
    line(&Document { customer_id: customer, also_in_partitions: also_in, at: at.0, cohorts }, out)
}

/// The memberships of the customer, in short.
pub(super) fn write_standings(
    rules: &RuleSet,
    (customer, also_in): Customer<'_>,
    at: Instant,
    explanations: &[Explanation],
    risk: Option<&RiskEffect>,
    out: &mut impl Write,
) -> io::Result<()> {
    let cohorts = explanations.iter().map(|explanation| standing(rules, explanation)).collect();
    let churn = risk.map(|risk| churn(rules, risk));
    line(&Standings { customer_id: customer, also_in_partitions: also_in, at: at.0, churn, cohorts }, out)
}

fn churn<'a>(rules: &'a RuleSet, risk: &RiskEffect) -> Churn<'a> {
    let factor = |factor: &engine::Factor| Factor {
        text: Text::of(|language| factor.text(rules, language)),
        points: factor.points,
    };
    Churn {
        level: level_name(rules, risk.level),
        probability: risk.probability,
        expected_purchases: risk.expected,
        alive: risk.alive,
        clv: risk.value,
        value_at_risk: risk.value_at_risk(),
        next_level_at: risk.next_level_at.map(|at| at.0),
        parameters: risk.version,
        provisional: risk.provisional,
        why: Text::of(|language| risk.sentence(rules, language)),
        factors: risk.factors.iter().map(factor).collect(),
    }
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
    let Clause { of, part, remedy } = clause;
    Condition {
        of: of.key(),
        condition: part.condition(rules, Language::English),
        value: Text::of(|language| part.value(language)),
        holds: part.holds,
        until: Some(part.until).filter(|until| *until < Instant::MAX).map(|until| until.0),
        changes_with: Text::of(|language| remedy.text(rules, language)),
    }
}
