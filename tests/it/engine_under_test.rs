//! The one place where the tests meet the engine.

use crate::naive::{Case, Outcome};

/// Runs a case through the engine, as `replay --as-is` does: one partition, the events in log order, recorded advances at
/// their positions, deadlines decided up to `until` at the end. `Err` holds what the loader refuses.
pub(crate) type RunEngine = fn(&Case) -> Result<Outcome, String>;

/// `None`: there is no engine to test here, and the judge runs alone.
pub(crate) const ENGINE: Option<RunEngine> = None;
