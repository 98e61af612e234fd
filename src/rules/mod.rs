//! What the operator wrote: parsed, checked, compiled; immutable once loaded.
//!
//! `document` reads the file, `parser` its expressions, `compile` turns both into what the engine runs.

pub mod ast;
mod calendar;
mod compile;
mod document;
mod error;
mod facts;
mod lexer;
mod parser;
mod ruleset;
mod selector;
mod source;

pub use calendar::Calendar;
pub use compile::compile;
pub use document::{Attribute, CohortRule, Document, Group, NamedMeasure, OnCreate, Written, read};
pub use error::{ExprError, RuleError};
pub use facts::{
    DISTINCT_MAX, DistinctKey, FactIx, FactKind, FactSpec, Floor, Keep, SERIES_EXACT, STEPS_MAX, TEXT_MAX, VALUES_MAX,
};
pub use parser::{parse, parse_attribute, parse_duration, parse_measure};
pub use ruleset::{
    Aggregate, BARRED, Cohort, CohortIx, Comparand, Condition, ConditionIx, CountTest, Feed, Measure, Node, Pick, Role,
    RuleSet, Window,
};
pub use selector::{Filter, FilterTest, Literal};

/// Reads and compiles a rules file.
///
/// # Errors
/// Every mistake found, in the order of the file.
pub fn load(file: &str, text: &str) -> Result<RuleSet, Vec<RuleError>> {
    compile(file, text, &read(file, text)?)
}
