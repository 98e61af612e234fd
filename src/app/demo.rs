//! Everything in one process: an embedded broker, a simulated shop, a real lane.

use super::Failure;
use crate::settings::Loaded;

/// Runs the demo.
///
/// # Errors
/// What stopped it.
pub fn run(_loaded: Loaded) -> Result<(), Failure> {
    Err(Failure::Running("no demo".into()))
}
