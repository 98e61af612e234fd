//! What the model of churn says of a customer, for people who ask.

use crate::churn::{Customer, Rarity};
use crate::engine::customer::CustomerState;
use crate::engine::decide::Engine;
use crate::event::Instant;

/// A customer's outlook at an instant, under the parameters in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Prospect {
    pub customer: Customer,
    /// How outcomes have taught to correct the probability of silence.
    pub rarity: Rarity,
    /// The instant, in days since the beginning of the first day.
    pub days: f64,
    /// The place among the levels; 0 is the lowest.
    pub level: usize,
    /// The levels that silence will bring, each with its first instant, in their order.
    pub crossings: Vec<(usize, Instant)>,
    /// What is to be expected of the next purchase; `None` without amounts.
    pub spend: Option<f64>,
    /// The discounted value of what is to come, as of the instant; `None` without amounts.
    pub value: Option<f64>,
}

impl Prospect {
    /// None without `[churn]`, without parameters, or of a customer who never came.
    #[must_use]
    pub fn of(engine: &Engine, state: &CustomerState, at: Instant) -> Option<Self> {
        let scene = engine.view(state, at);
        let outlook = scene.outlook()?;
        let level = outlook.spell(at).level;
        let highest = scene.rules.churn.as_ref().map_or(0, |churn| churn.thresholds.len());
        Some(Self {
            customer: outlook.customer,
            rarity: outlook.rarity(at),
            days: outlook.at(at),
            level,
            crossings: (level + 1..=highest).filter_map(|level| Some((level, outlook.reached_at(level)?))).collect(),
            spend: outlook.spend(),
            value: outlook.value_at(at),
        })
    }
}
