//! Gamma-Gamma from what many customers spent.

use super::{Fitted, REPEATS_MIN, Refused, exps, on_a_bound, ridge, within};
use crate::churn::gamma_gamma::{GammaGamma, Spent};
use crate::churn::minimum::minimise;
use crate::churn::special::ln;

/// p, q - 1 and the population's mean over the mean of what was given: each on its own scale, and q above 1.
const BOUNDS: [(f64, f64); 3] = [(1e-3, 1e4), (1e-3, 1e4), (1e-3, 1e3)];

/// The parameters under which the amounts are likeliest. Customers without a repeat purchase, or whose refunds outweigh what
/// they bought, say nothing and are left out.
///
/// Where all spend the same, p and q run up to their bounds, and that is right: every customer is then expected to spend
/// it. A q that runs down to 1 is refused: the mean over all customers is not known.
pub fn gamma_gamma(customers: &[Spent], start: Option<GammaGamma>) -> Result<Fitted<GammaGamma>, Refused> {
    let spent: Vec<Spent> =
        customers.iter().copied().filter(|s| s.x > 0.0 && s.mean > 0.0 && s.mean.is_finite()).collect();
    if spent.is_empty() {
        return Err(Refused::NothingSeen);
    }
    let repeats: f64 = spent.iter().map(|s| s.x).sum();
    let unit = spent.iter().map(|s| s.mean).sum::<f64>() / spent.len() as f64;
    let provisional = repeats < REPEATS_MIN;
    let penalty = |logs: &[f64; 3]| if provisional { ridge(logs) } else { 0.0 };
    let model = |logs: &[f64; 3]| {
        let [p, above_one, mean] = exps(logs);
        GammaGamma { p, q: 1.0 + above_one, v: mean * unit * above_one / p }
    };
    let unlikeliness = |logs: &[f64; 3]| match within(logs, &BOUNDS) {
        true => penalty(logs) - log_likelihood(&spent, &model(logs)),
        false => f64::INFINITY,
    };
    let usual = [ln(6.0), ln(3.0), 0.0];
    let warm = start.filter(GammaGamma::is_sound);
    let warm = warm.map(|m| ([ln(m.p), ln(m.q - 1.0), ln(m.population_mean() / unit)], 0.1));
    for (start, step) in warm.into_iter().chain([(usual, 0.5)]) {
        let found = minimise(start, step, unlikeliness);
        let least_only = BOUNDS.map(|(least, _)| (least, f64::INFINITY));
        if found.value.is_finite() && !on_a_bound(&found.place, &least_only) {
            let log_likelihood = penalty(&found.place) - found.value;
            return Ok(Fitted { parameters: model(&found.place), log_likelihood, rows: spent.len(), provisional });
        }
    }
    Err(Refused::OnABound)
}

fn log_likelihood(spent: &[Spent], model: &GammaGamma) -> f64 {
    spent.iter().map(|s| model.log_likelihood(*s)).sum()
}
