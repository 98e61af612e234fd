//! What a customer will spend on a purchase.

use super::special::{ln, ln_1p, ln_gamma};

/// Gamma-Gamma: a customer's amounts are Gamma(p, ν) about a mean of their own, and ν is Gamma(q, v) over customers; how
/// much is independent of how often.
///
/// P. S. Fader, B. G. S. Hardie, "The gamma-gamma model of monetary value", 2013 (brucehardie.com/notes/025); P. S. Fader,
/// B. G. S. Hardie, K. L. Lee, "RFM and CLV", Journal of Marketing Research 42(4), 2005.
///
/// `v` is in the unit of money of the amounts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GammaGamma {
    pub p: f64,
    pub q: f64,
    pub v: f64,
}

/// `x` repeat purchases of `mean` each on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spent {
    pub x: f64,
    pub mean: f64,
}

impl GammaGamma {
    /// Is there a mean over all customers, and is it a number?
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let population = self.population_mean();
        self.p > 0.0 && self.q > 1.0 && self.v > 0.0 && population.is_finite() && population > 0.0
    }

    /// The mean amount over all customers: p·v / (q-1).
    #[must_use]
    pub fn population_mean(&self) -> f64 {
        self.p * self.v / (self.q - 1.0)
    }

    /// The amount to expect of this customer's next purchase: p·(v + x·z) / (p·x + q - 1), between the customer's own
    /// mean and that of all. A customer without repeat purchases (`x` = 0) counts as the average of all; refunds beyond
    /// what was bought count as nothing spent.
    #[must_use]
    pub fn expected_amount(&self, spent: Spent) -> f64 {
        let own = if spent.x > 0.0 { spent.x * spent.mean.max(0.0) } else { 0.0 };
        self.p * (self.v + own) / (self.p * spent.x + self.q - 1.0)
    }

    /// ln of the likelihood of a mean over repeat purchases; for `x` > 0 and `mean` > 0 only.
    #[must_use]
    pub fn log_likelihood(&self, spent: Spent) -> f64 {
        let Self { p, q, v } = *self;
        let (px, sum) = (p * spent.x, spent.x * spent.mean);
        ln_gamma(px + q) - ln_gamma(px) - ln_gamma(q) + q * ln(v / (v + sum)) - px * ln_1p(v / sum) - ln(spent.mean)
    }
}
