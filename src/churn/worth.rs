//! The lifetime value of a customer.

use super::customer::Customer;

/// How future spend is valued: over `months` of thirty days, each discounted by `discount` more than the one before,
/// times `margin`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Discounting {
    pub margin: f64,
    /// A month: .01 is one per cent.
    pub discount: f64,
    pub months: u32,
}

impl Default for Discounting {
    fn default() -> Self {
        Self { margin: 1.0, discount: 0.01, months: 12 }
    }
}

const MONTH_DAYS: f64 = 30.0;
/// Months that are computed together.
const MONTHS: usize = 12;

impl Discounting {
    /// The customer's lifetime value from now on, in money: margin · amount · Σ (purchases expected in month i) / (1 +
    /// d)^i.
    ///
    /// `amount` is the expected amount of the next purchase. The value falls slowly with silence.
    #[must_use]
    pub fn lifetime_value(&self, customer: &Customer, at: f64, amount: f64) -> f64 {
        let (mut purchases, mut factor, mut before) = (0.0, 1.0, 0.0);
        for year in (0..self.months).step_by(MONTHS) {
            let months: [u32; MONTHS] = std::array::from_fn(|month| year + 1 + month as u32);
            let expected = customer.expected_in_each(at, months.map(|month| MONTH_DAYS * f64::from(month)));
            for (until, _) in expected.into_iter().zip(year..self.months) {
                factor /= 1.0 + self.discount;
                purchases += (until - before).max(0.0) * factor;
                before = until;
            }
        }
        self.margin * amount * purchases
    }
}
