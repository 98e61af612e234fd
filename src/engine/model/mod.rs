//! The churn model as decisions see it: its parameters, and what it looks at in a customer.

mod activity;
mod cache;
mod parameters;

pub use activity::Comings;
pub(super) use cache::Question;
pub(super) use parameters::Solved;
pub use parameters::{Model, Parameters};
