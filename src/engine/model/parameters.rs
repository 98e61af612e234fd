//! The parameters of the churn model: an input to decisions, recorded with its log position.

use super::cache::Memo;
use crate::churn::{Fgp, GammaGamma, MbgNbd, Recalibration};

/// The parameters in force. They come from a fit, and are an input that is recorded as thresholds of ranks are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameters {
    /// Each adoption has the next number.
    pub version: u32,
    pub model: Model,
    pub recalibration: Option<Recalibration>,
    /// Too little was seen to know them.
    pub provisional: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Model {
    Purchases { comings: MbgNbd, amounts: Option<GammaGamma> },
    Usage(Fgp),
}

/// What was solved for under the parameters in force. Bought is on whole days, so that many customers ask the same.
#[derive(Debug)]
pub(in crate::engine) struct Solved {
    /// When a level is reached, in milliseconds since the beginning of the first day; `None`: never.
    pub(in crate::engine) reached: Memo<Option<i64>>,
    /// The discounted purchases to come as of then.
    pub(in crate::engine) purchases: Memo<f64>,
}

impl Solved {
    pub(in crate::engine) fn new() -> Self {
        Self { reached: Memo::new(), purchases: Memo::new() }
    }
}
