//! The effects of decisions, as data. `explain` renders them as text.

mod change;
mod counts;
mod evidence;
mod risk_change;

pub use change::Effect;
pub use counts::Counts;
pub use evidence::{Claim, EvidencePart, Finding, Quantity};
pub use risk_change::{Factor, RiskCause, RiskEffect, RiskNow};
