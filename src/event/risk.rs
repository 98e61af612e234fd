//! What we say of churn risk beside the change of a cohort.

/// The risk of a customer at the instant of a change, beside the change of a cohort.
#[derive(Debug, Clone, PartialEq)]
pub struct RiskStanding {
    pub level: String,
    /// Of nothing within the horizon.
    pub probability: f64,
    pub horizon_days: u32,
}

/// What a customer is expected to be worth.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomerValue {
    pub clv: f64,
    pub currency: Option<String>,
}
