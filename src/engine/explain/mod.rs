//! Explanations of one customer: memberships, the reasons for them, what would change them, and churn predictions; in
//! English and in French.

mod dates;
mod english;
mod explanation;
mod french;
mod localized;
mod pieces;
mod prediction;
mod reasons;
mod remedy;
mod rounded;
mod sentences_english;
mod sentences_french;
mod text;

pub use explanation::{Clause, Explanation, RulePart, Term, explain};
pub use localized::Language;
pub use prediction::CustomerPrediction;
pub use remedy::{Action, Remedy};
pub use text::instant;
