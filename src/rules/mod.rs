//! The rules file: parsed, checked, compiled; immutable once loaded.
//!
//! `document` reads the file, `parser` its expressions, `compile` turns both into what the engine runs.

pub mod ast;
mod compile;
mod condition;
mod document;
mod error;
mod fact_spec;
mod index;
mod joined;
mod lexer;
mod measure;
mod mentions;
mod parser;
mod readers;
mod reserved;
mod ruleset;
mod selector;
mod source;
mod uses;
mod warnings;

pub use compile::{compile, compile_within};
pub use condition::{Condition, CountTest, Node};
pub use document::{
    Attribute, ChurnModel, ChurnRule, CohortRule, Document, Group, LOWEST_LEVEL, NamedMeasure, OnCreate, SignalRule,
    Written, read,
};
pub use error::{ExprError, RuleError, nearest, nearest_value};
pub use fact_spec::FactSpec;
pub use index::{CohortIx, ConditionIx, RankIx, RankingIx};
pub use joined::JoinedEvents;
pub use measure::{Aggregate, Comparand, Measure, Pick, Score, Window};
pub use mentions::{Mention, Mentioned};
pub use parser::{parse, parse_attribute, parse_duration, parse_measure, parse_step};
pub use readers::{Input, Machine, Readers};
pub use ruleset::{Churn, Cohort, Feed, PlainVisit, Rank, Ranking, Role, RuleSet, Signal};
pub use selector::{Filter, FilterTest, Literal};
pub use source::locate;
pub use uses::{Owners, Use, ValueUse, Wanted, each_use, each_use_of_measure, each_use_of_step};
pub use warnings::{Page, Warning, in_order, warnings};

/// The longest text of rules, in bytes: with its envelope a version must fit in a record of Kafka's default limit.
pub const TEXT_BYTES_MAX: usize = 512 << 10;

/// Reads and compiles a rules file.
///
/// # Errors
/// Every mistake found, in the order of the file.
pub fn load(file: &str, text: &str) -> Result<RuleSet, Vec<RuleError>> {
    load_as_written(file, text).map(|(_, rules)| rules)
}

/// As `load`, with the document that the rules were compiled from.
///
/// # Errors
/// Every mistake found, in the order of the file: syntax errors, and semantic errors in everything that could be
/// parsed.
pub fn load_as_written(file: &str, text: &str) -> Result<(Document, RuleSet), Vec<RuleError>> {
    let (document, mut errors) = document::read_partly(file, text);
    let Some(document) = document else { return Err(errors) };
    // Missing definitions would cause errors wherever they are used.
    if errors.iter().any(|error| error.key.starts_with("measures") || error.key.starts_with("profile")) {
        return Err(errors);
    }
    let compiled = compile(file, text, &document).map_err(|more| errors.extend(more));
    match compiled {
        Ok(rules) if errors.is_empty() => Ok((document, rules)),
        _ => {
            errors.sort_by_key(|error| (error.line, error.column));
            Err(errors)
        }
    }
}
