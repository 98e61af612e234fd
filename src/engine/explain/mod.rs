//! What people ask of a customer: where they stand, why, what would change it, and what the churn model says; in English and
//! in French.

mod dates;
mod english;
mod explanation;
mod french;
mod prediction;
mod remedy;
mod rounded;
mod sentences_english;
mod sentences_french;
mod text;
mod words;

pub use explanation::{Clause, Explanation, Of, Term, explain};
pub use prediction::Prospect;
pub use remedy::{Deed, Turn};
pub use text::instant;
pub use words::Language;
