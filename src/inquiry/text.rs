//! Explanations and memberships as text.

use std::io::{self, Write};

use super::Customer;
use crate::engine::{Explanation, Language, RiskEffect, instant};
use crate::event::Instant;
use crate::rules::RuleSet;

/// The texts around those of the engine.
struct Labels {
    yes: &'static str,
    no: &'static str,
    change: &'static str,
    no_change: &'static str,
    next: &'static str,
    /// Partitions follow.
    split: &'static str,
}

fn labels(language: Language) -> Labels {
    match language {
        Language::English => Labels {
            yes: "yes",
            no: "no ",
            change: "changes with",
            no_change: "nothing can change this",
            next: "next:",
            split: "This is only a part of the customer: producers use different partitioners, and the rest is in partition",
        },
        Language::French => Labels {
            yes: "oui",
            no: "non",
            change: "changerait avec",
            no_change: "plus rien ne peut changer ce résultat",
            next: "ensuite\u{a0}:",
            split: "Ce client n’est ici qu’en partie\u{a0}: les producteurs le répartissent différemment, et le reste se trouve dans la partition",
        },
    }
}

/// Explanations, as several lines.
///
/// # Errors
/// Those of `out`.
pub fn write(
    rules: &RuleSet,
    customer: Customer<'_>,
    at: Instant,
    explanations: &[Explanation],
    language: Language,
    out: &mut impl Write,
) -> io::Result<()> {
    heading(rules, customer, at, language, out)?;
    explanations.iter().try_for_each(|explanation| one(rules, explanation, language, out))
}

/// The memberships of the customer, in short.
pub(super) fn write_standings(
    rules: &RuleSet,
    customer: Customer<'_>,
    at: Instant,
    explanations: &[Explanation],
    risk: Option<&RiskEffect>,
    language: Language,
    out: &mut impl Write,
) -> io::Result<()> {
    heading(rules, customer, at, language, out)?;
    if let Some(risk) = risk {
        writeln!(out, "\n{}", risk.sentence(rules, language))?;
    }
    for found in explanations {
        title(rules, found, language, out)?;
        writeln!(out, "  {} {}", labels(language).next, found.next_change(rules, language))?;
    }
    Ok(())
}

fn heading(
    rules: &RuleSet,
    (customer, also_in): Customer<'_>,
    at: Instant,
    language: Language,
    out: &mut impl Write,
) -> io::Result<()> {
    let zone = rules.time_zone.iana_name().unwrap_or("UTC");
    writeln!(out, "{customer}, {} ({zone})", instant(at, rules, language))?;
    if also_in.is_empty() {
        return Ok(());
    }
    let partitions = also_in.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let split = labels(language).split;
    writeln!(out, "{split} {partitions}")
}

/// The cohort, and the membership in it.
fn title(rules: &RuleSet, found: &Explanation, language: Language, out: &mut impl Write) -> io::Result<()> {
    let cohort = rules.cohort(found.cohort);
    let title = match language {
        Language::English => &cohort.title.en,
        Language::French => &cohort.title.fr,
    };
    writeln!(out, "\n{}: {title}", cohort.name)?;
    writeln!(out, "  {}", found.standing(rules, language))
}

fn one(rules: &RuleSet, found: &Explanation, language: Language, out: &mut impl Write) -> io::Result<()> {
    let labels = labels(language);
    title(rules, found, language, out)?;
    for term in &found.terms {
        writeln!(out, "  {}", term.text(rules, language))?;
    }
    let mut of = None;
    for clause in &found.clauses {
        if of.replace(clause.of) != Some(clause.of) {
            writeln!(out, "  {}", clause.of.key())?;
        }
        let answer = if clause.part.holds { labels.yes } else { labels.no };
        let condition = clause.part.condition(rules, language);
        match clause.part.value(language).as_str() {
            "" => writeln!(out, "    {answer}  {condition}")?,
            value => writeln!(out, "    {answer}  {condition} ({value})")?,
        }
        if clause.remedy == Default::default() {
            writeln!(out, "           {}", labels.no_change)?;
        } else {
            writeln!(out, "           {} {}", labels.change, clause.remedy.text(rules, language))?;
        }
    }
    writeln!(out, "  {} {}", labels.next, found.next_change(rules, language))
}
