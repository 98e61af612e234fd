//! The churn model as decisions see it: its parameters, and the activity of a customer that it is applied to.

mod activity;
mod cache;
mod parameters;

pub use activity::ActivityHistory;
pub(super) use cache::CacheKey;
pub(super) use parameters::SolverCache;
pub use parameters::{Model, Parameters};
