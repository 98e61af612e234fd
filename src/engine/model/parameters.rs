//! The parameters of the churn model: an input to decisions, recorded with its log position.

use super::cache::Cache;
use crate::churn::{Fgp, GammaGamma, MbgNbd, Recalibration};

/// The parameters in force. They come from a fit, and are a recorded input, as the thresholds of ranks are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameters {
    /// Incremented each time that new parameters come into force.
    pub version: u32,
    pub model: Model,
    pub recalibration: Option<Recalibration>,
    /// There were too few observations to trust them.
    pub provisional: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Model {
    Purchases { transactions: MbgNbd, amounts: Option<GammaGamma> },
    Usage(Fgp),
}

/// What was computed under the parameters in force. Purchases are counted in whole days, so that many customers share a
/// key.
#[derive(Debug)]
pub(in crate::engine) struct SolverCache {
    /// When a level is reached, in milliseconds since the beginning of the first day; `None`: never.
    pub(in crate::engine) reached: Cache<Option<i64>>,
    /// The discounted purchases to come as of then.
    pub(in crate::engine) purchases: Cache<f64>,
}

impl SolverCache {
    pub(in crate::engine) fn new() -> Self {
        Self { reached: Cache::new(), purchases: Cache::new() }
    }
}
