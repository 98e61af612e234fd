//! The churn model's prediction for a customer, for reports.

use crate::churn::{Customer, SilenceCorrection};
use crate::engine::customer::CustomerState;
use crate::engine::decide::Engine;
use crate::event::Instant;

/// A customer's prediction at an instant, under the parameters in force.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomerPrediction {
    pub customer: Customer,
    /// The recalibration, applied to the probability of silence.
    pub silence_correction: SilenceCorrection,
    /// The instant, in days since the beginning of the first day.
    pub days: f64,
    /// Index of the level; 0 is the lowest.
    pub level: usize,
    /// The levels that silence will reach, each with its first instant, ascending.
    pub crossings: Vec<(usize, Instant)>,
    /// The expected amount of the next purchase; `None` without amounts.
    pub spend: Option<f64>,
    /// The discounted value of future purchases, as of the instant; `None` without amounts.
    pub value: Option<f64>,
}

impl CustomerPrediction {
    /// `None` without `[churn]`, without parameters, or for a customer without any activity.
    #[must_use]
    pub fn of(engine: &Engine, state: &CustomerState, at: Instant) -> Option<Self> {
        let view = engine.view(state, at);
        let prediction = view.prediction()?;
        let level = prediction.level_interval(at).level;
        let highest = view.rules.churn.as_ref().map_or(0, |churn| churn.thresholds.len());
        Some(Self {
            customer: prediction.customer,
            silence_correction: prediction.silence_correction(at),
            days: prediction.days_at(at),
            level,
            crossings: (level + 1..=highest).filter_map(|level| Some((level, prediction.reached_at(level)?))).collect(),
            spend: prediction.spend(),
            value: prediction.value_at(at),
        })
    }
}
