//! What decisions say, as data. `explain` puts it into words.

mod change;
mod counts;
mod evidence;
mod risk_change;

pub use change::Effect;
pub use counts::Counts;
pub use evidence::{Claim, Found, Part, Quantity};
pub use risk_change::{Cause, Factor, RiskEffect, RiskNow};
