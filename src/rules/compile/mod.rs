//! Compiles a document to a rule set: resolves names, orders the cohorts, and turns conditions into tests on facts.

mod canonical;
mod churn;
mod conditions;
mod definitions;
mod fingerprint;
mod measures;
mod named;
mod names;
mod order;
mod parts;
mod ranks;
mod readers;
mod references;
mod sequences;

use std::collections::{BTreeMap, BTreeSet};

use self::canonical::hash128;
use self::fingerprint::{canonical, canonical_frame, canonical_shadows, definition};
use self::names::{cohorts_named, cohorts_of_signals};
use self::order::{comes_first, decision_order};
use self::references::{feeds_of, rest};
use super::ast::{Expr, ExprKind, Range};
use super::condition::{Condition, Node};
use super::document::{Document, NamedMeasure, Written};
use super::error::{ExprError, RuleError};
use super::fact_spec::FactSpec;
use super::index::{CohortIx, ConditionIx};
use super::mentions::mentions;
use super::ruleset::{Churn, Cohort, Feed, Rank, Ranking, RuleSet};
use super::source::{locate, single_spaced};
use super::uses::{Use, each_use};
use crate::calendar::Calendar;
use crate::event::{NameId, Vocabulary};
use crate::fact::Capacities;

type Compiled<T> = Result<T, ExprError>;

/// Compiles a document; `text` is the text of the file, for the locations of errors.
///
/// # Errors
/// Every unknown cohort, cycle, mismatch of types and form that this release does not run.
pub fn compile(file: &str, text: &str, document: &Document) -> Result<RuleSet, Vec<RuleError>> {
    compile_within(Capacities::DEFAULT, file, text, document)
}

/// As `compile`, with other capacities of facts.
///
/// # Errors
/// As `compile`.
pub fn compile_within(
    capacities: Capacities,
    file: &str,
    text: &str,
    document: &Document,
) -> Result<RuleSet, Vec<RuleError>> {
    too_large(file, text, document)?;
    let (order, problems) = decision_order(document);
    let mut errors: Vec<RuleError> = (problems.into_iter())
        .map(|(cohort, part, error)| placed(file, text, document, &cohort, part, error))
        .collect();
    // Measures that refer to each other in a cycle cannot be compiled.
    let wrong_measures = measure_errors(file, text, document, &order);
    if !wrong_measures.is_empty() {
        errors.extend(wrong_measures);
        errors.sort_by_key(|error| (error.line, error.column));
        return Err(errors);
    }
    let mut compiler = Compiler::new(document, &order, capacities);
    let mut cohorts = Vec::with_capacity(order.len());
    for name in &order {
        let (cohort, problems) = compiler.cohort(name, &order);
        errors.extend(problems.into_iter().map(|(part, error)| placed(file, text, document, name, part, error)));
        cohorts.push(cohort);
    }
    let churn = document.churn.as_ref().and_then(|rule| match compiler.churn(file, text, rule) {
        Ok(churn) => Some(churn),
        Err(more) => {
            errors.extend(more);
            None
        }
    });
    if !errors.is_empty() {
        errors.sort_by_key(|error| (error.line, error.column));
        return Err(errors);
    }
    Ok(compiler.finish(document, cohorts, churn))
}

/// Maximum number of conditions and names in one file, so that indices stay far below 16 bits.
const CONDITIONS_MAX: usize = 10_000;
const NAMES_MAX: usize = 20_000;

fn too_large(file: &str, text: &str, document: &Document) -> Result<(), Vec<RuleError>> {
    let mut conditions = document.measures.len() + document.profile.len();
    let mut names = BTreeSet::new();
    let signals = document.churn.iter().flat_map(|churn| &churn.signals).map(|signal| &signal.when);
    for written in document.expressions().map(|(_, _, written)| written).chain(signals) {
        conditions += conditions_in(&written.expr);
        each_use(&written.expr, &mut |found| {
            names.extend(match found {
                Use::Event(name) => Some(name.text.as_str()),
                Use::Property { property, .. } => Some(property.text.as_str()),
                Use::Value(_) | Use::Compared { .. } => None,
            });
        });
    }
    let problem = if conditions > CONDITIONS_MAX {
        format!("the maximum number of conditions in one file is {CONDITIONS_MAX}, not {conditions}")
    } else if names.len() > NAMES_MAX {
        format!("{} different names exceed the maximum of {NAMES_MAX} in one file", names.len())
    } else {
        return Ok(());
    };
    Err(vec![RuleError::at(file, text, Range::default(), "cohorts", problem, None)])
}

fn conditions_in(expr: &Expr) -> usize {
    match &expr.kind {
        ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().map(conditions_in).sum(),
        ExprKind::Not(inner) => conditions_in(inner),
        _ => 1,
    }
}

/// The errors in `[measures]`, used by a cohort or not.
fn measure_errors(file: &str, text: &str, document: &Document, order: &[&str]) -> Vec<RuleError> {
    let mut found = named::mistakes(document);
    if found.is_empty() {
        // Compiled only for its errors: facts of unused measures are not kept.
        let mut trial = Compiler::new(document, order, Capacities::DEFAULT);
        let wrong = |(name, defined): (&String, &NamedMeasure)| {
            trial.measure(&defined.measure).err().map(|error| (name.clone(), error))
        };
        found = document.measures.iter().filter_map(wrong).collect();
    }
    let placed = |(name, error): (String, ExprError)| {
        let defined = &document.measures[&name];
        let range = locate(text, defined.literal.clone(), &defined.text, error.range);
        RuleError::at(file, text, range, &format!("measures.{name}"), error.message, error.hint)
    };
    let mut errors: Vec<RuleError> = found.into_iter().map(placed).collect();
    errors.sort_by_key(|error| (error.line, error.column));
    errors
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Who,
    Stay,
    Until,
    Priority,
    Include,
}

fn placed(file: &str, text: &str, document: &Document, cohort: &str, part: Part, error: ExprError) -> RuleError {
    let rule = &document.cohorts[cohort];
    let (key, written) = match part {
        Part::Stay => ("stay", rule.stay.as_ref()),
        Part::Until => ("until", rule.until.as_ref()),
        Part::Who => ("who", Some(&rule.who)),
        // The ranges of its names are those in the file.
        Part::Include => {
            let key = format!("cohorts.{cohort}.include");
            return RuleError::at(file, text, error.range, &key, error.message, error.hint);
        }
        Part::Priority => {
            let literal = rule.group.as_ref().map_or(0..0, |group| group.literal.clone());
            let range = Range { start: literal.start, end: literal.end };
            return RuleError::at(file, text, range, &format!("cohorts.{cohort}.priority"), error.message, error.hint);
        }
    };
    let written = written.unwrap_or(&rule.who);
    let range = locate(text, written.literal.clone(), &written.text, error.range);
    RuleError::at(file, text, range, &format!("cohorts.{cohort}.{key}"), error.message, error.hint)
}

struct Compiler<'d> {
    document: &'d Document,
    capacities: Capacities,
    order: BTreeMap<&'d str, CohortIx>,
    conditions: Vec<Condition>,
    facts: Vec<FactSpec>,
    rankings: Vec<Ranking>,
    ranks: Vec<Rank>,
    vocabulary: Vocabulary,
    /// Names by number, for the definitions of facts.
    names: Vec<String>,
    properties: Vec<String>,
    calendar: Calendar,
    /// Values evaluated for the measure being compiled.
    measure_parts: u32,
}

impl<'d> Compiler<'d> {
    fn new(document: &'d Document, order: &[&'d str], capacities: Capacities) -> Self {
        let index = |i: usize| CohortIx(u16::try_from(i).unwrap_or(u16::MAX));
        // Unknown names get the index of the first cohort: they are reported as errors, and the result is discarded.
        let mut numbers: BTreeMap<&str, CohortIx> = BTreeMap::new();
        for (_, _, written) in document.expressions() {
            let mut named = Vec::new();
            cohorts_named(&written.expr, &mut named);
            numbers.extend(named.into_iter().map(|name| (name.text.as_str(), CohortIx(0))));
        }
        numbers.extend(cohorts_of_signals(document).into_iter().map(|name| (name.text.as_str(), CohortIx(0))));
        numbers.extend(order.iter().enumerate().map(|(i, name)| (*name, index(i))));
        let zone = jiff::tz::TimeZone::get(&document.time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
        Self {
            document,
            capacities,
            order: numbers,
            conditions: Vec::new(),
            facts: Vec::new(),
            rankings: Vec::new(),
            ranks: Vec::new(),
            vocabulary: Vocabulary::default(),
            names: Vec::new(),
            properties: Vec::new(),
            calendar: Calendar::new(zone),
            measure_parts: 0,
        }
    }

    fn node(&mut self, text: &str, expr: &Expr) -> Compiled<Node> {
        Ok(match &expr.kind {
            ExprKind::And(parts) => Node::And(self.nodes(text, parts)?),
            ExprKind::Or(parts) => Node::Or(self.nodes(text, parts)?),
            ExprKind::Not(inner) => Node::Not(Box::new(self.node(text, inner)?)),
            kind => {
                let words: Box<str> = single_spaced(&text[expr.range.start..expr.range.end]).into();
                let parts = self.conditions_of(kind, expr.range)?;
                let mut leaves: Vec<Node> =
                    parts.into_iter().map(|c| Node::Leaf(self.intern(c), words.clone())).collect();
                if leaves.len() == 1 { leaves.remove(0) } else { Node::And(leaves) }
            }
        })
    }

    fn nodes(&mut self, text: &str, parts: &[Expr]) -> Compiled<Vec<Node>> {
        parts.iter().map(|part| self.node(text, part)).collect()
    }

    fn intern(&mut self, condition: Condition) -> ConditionIx {
        let at = self.conditions.iter().position(|known| *known == condition).unwrap_or_else(|| {
            self.conditions.push(condition);
            self.conditions.len() - 1
        });
        ConditionIx(u16::try_from(at).expect("a rules file has fewer than 65,536 conditions"))
    }

    /// One cohort, with the errors in its parts; what cannot be compiled is left out. `order`: in which cohorts are
    /// decided.
    fn cohort(&mut self, name: &str, order: &[&str]) -> (Cohort, Vec<(Part, ExprError)>) {
        let document = self.document;
        let rule = &document.cohorts[name];
        let mut errors = Vec::new();
        let mut part = |part: Part, written: Option<&Written>| {
            let node = written.map(|written| self.node(&written.text, &written.expr));
            node.transpose().unwrap_or_else(|error| {
                errors.push((part, error));
                None
            })
        };
        let who = part(Part::Who, Some(&rule.who)).unwrap_or(Node::And(Vec::new()));
        let stay = part(Part::Stay, rule.stay.as_ref());
        let until = part(Part::Until, rule.until.as_ref());
        let mut include = Vec::new();
        for included in &rule.include {
            match self.included(included) {
                Ok(measure) => include.push((included.text.clone(), measure)),
                Err(error) => errors.push((Part::Include, error)),
            }
        }
        let cohort = Cohort {
            name: name.to_owned(),
            who,
            stay,
            until,
            at_least: rule.at_least,
            at_most: rule.at_most,
            cooldown: rule.cooldown,
            once: rule.once,
            enabled: rule.enabled,
            shadow: rule.shadow,
            group: rule.group.as_ref().map(|group| group.name.clone()),
            excluded_by: order
                .iter()
                .zip(0..)
                .filter(|(other, _)| rule.group.is_some() && comes_first(document, other, name))
                .map(|(_, index)| CohortIx(index))
                .collect(),
            on_create: rule.on_create,
            include,
            title: rule.name.clone(),
            owner: rule.owner.clone(),
            action: rule.action.clone(),
            definition: definition(document, name),
            dependants: Vec::new(),
            rests_on: Vec::new(),
            keeps_history: false,
        };
        (cohort, errors)
    }

    fn finish(mut self, document: &Document, mut cohorts: Vec<Cohort>, churn: Option<Churn>) -> RuleSet {
        let definitions: Vec<String> = self.facts.iter().map(|fact| self.in_words(fact)).collect();
        for (fact, words) in self.facts.iter_mut().zip(&definitions) {
            fact.id = u64::try_from(hash128(words) >> 64).unwrap_or_default();
        }
        let readers = self.link(&mut cohorts, churn.as_ref());
        rest(&mut cohorts);
        self.name_ranks(&cohorts, churn.as_ref());
        let names = self.vocabulary.names_len();
        let feeds: Vec<Vec<Feed>> = (0..=names)
            .map(|i| feeds_of(&self.facts, (i < names).then(|| NameId(u16::try_from(i).unwrap_or(u16::MAX)))))
            .collect();
        let churn = churn.map(|churn| Churn { plain_visit: self.plain_visit(&churn, &feeds), ..churn });
        let readers = self.readers(&readers, &cohorts, churn.as_ref());
        let fingerprint = self.fingerprint(document, &cohorts, &definitions);
        RuleSet {
            cohorts,
            conditions: self.conditions,
            facts: self.facts,
            churn,
            rankings: self.rankings,
            ranks: self.ranks,
            mentions: mentions(document, &self.vocabulary),
            vocabulary: self.vocabulary,
            time_zone: jiff::tz::TimeZone::get(&document.time_zone).unwrap_or(jiff::tz::TimeZone::UTC),
            fingerprint,
            feeds,
            readers,
        }
    }

    /// Enters in each cohort which others refer to it. The result: for each fact the cohorts that read it.
    fn link(&self, cohorts: &mut [Cohort], churn: Option<&Churn>) -> Vec<Vec<CohortIx>> {
        let mut readers = vec![Vec::new(); self.facts.len()];
        let mut references = Vec::new();
        for (i, cohort) in cohorts.iter().enumerate() {
            let reader = CohortIx(u16::try_from(i).unwrap_or(u16::MAX));
            let mut leaves = Vec::new();
            cohort.nodes().for_each(|node| node.leaves(&mut leaves));
            if let Some(churn) = churn.filter(|_| self.asks_for_risk(cohort)) {
                churn.signals.iter().for_each(|signal| signal.when.leaves(&mut leaves));
            }
            for leaf in leaves {
                let condition = &self.conditions[usize::from(leaf.0)];
                let ranked = match condition {
                    Condition::Rank { rank, .. } => self.ranking(*rank).measure.facts(),
                    _ => Vec::new(),
                };
                for fact in condition.facts().into_iter().chain(ranked) {
                    let readers: &mut Vec<CohortIx> = &mut readers[usize::from(fact.0)];
                    if !readers.contains(&reader) {
                        readers.push(reader);
                    }
                }
                if let Some((other, history)) = condition.cohort() {
                    references.push((other, reader, history));
                }
            }
        }
        for (i, cohort) in cohorts.iter().enumerate() {
            let reader = CohortIx(u16::try_from(i).unwrap_or(u16::MAX));
            references.extend(cohort.excluded_by.iter().map(|other| (*other, reader, false)));
        }
        for (other, reader, history) in references {
            let cohort = &mut cohorts[usize::from(other.0)];
            cohort.keeps_history |= history;
            if !cohort.dependants.contains(&reader) {
                cohort.dependants.push(reader);
            }
        }
        readers
    }

    fn fingerprint(&self, document: &Document, cohorts: &[Cohort], definitions: &[String]) -> String {
        let all: Vec<String> = document.cohorts.keys().map(|name| canonical(document, name)).collect();
        let churn_lines = document
            .churn
            .as_ref()
            .map(|rule| format!("\n\n{}", definitions::churn_canonical(document, rule)))
            .unwrap_or_default();
        let whole = format!(
            "{}\n\n{}{}{}\n\n{}",
            canonical_frame(document),
            all.join("\n\n"),
            canonical_shadows(document),
            churn_lines,
            self.canonical_layout(cohorts, definitions),
        );
        format!("{:032x}", hash128(&whole))
    }
}

fn later(range: Range, what: &str) -> ExprError {
    ExprError::new(range, format!("{what} is not supported yet")).hint("remove it; a later release will support it")
}
