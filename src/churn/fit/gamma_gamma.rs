//! Fits of Gamma-Gamma to the spend of many customers.

use super::{Fitted, Likeliest, Observations, REPEATS_MIN, Refused, Start, exps, likeliest, lns};
use crate::churn::gamma_gamma::{GammaGamma, Spent};

/// Bounds of p, of q - 1, and of the population's mean over the mean of the observations.
const BOUNDS: [(f64, f64); 3] = [(1e-3, 1e4), (1e-3, 1e4), (1e-3, 1e3)];

/// A q as low as this was stopped only by its bound.
const LEAST_Q: f64 = 1.0 + 2e-3;

/// The parameters under which the amounts are likeliest. Customers without a repeat purchase, or with more refunds than
/// purchases, are left out.
///
/// A q that runs down to 1 is refused: the amounts then have no finite mean over all customers.
pub fn gamma_gamma(customers: &[Spent], start: Option<GammaGamma>) -> Result<Fitted<GammaGamma>, Refused> {
    let spent: Vec<Spent> =
        customers.iter().copied().filter(|s| s.x > 0.0 && s.mean > 0.0 && s.mean.is_finite()).collect();
    if spent.is_empty() {
        return Err(Refused::NothingSeen);
    }
    let repeats: f64 = spent.iter().map(|s| s.x).sum();
    let unit = spent.iter().map(|s| s.mean).sum::<f64>() / spent.len() as f64;
    let observations = if repeats < REPEATS_MIN { Observations::TooFew } else { Observations::Enough };
    let model = |logs: &[f64; 3]| {
        let [p, above_one, mean] = exps(logs, &BOUNDS);
        GammaGamma { p, q: 1.0 + above_one, v: mean * unit * above_one / p }
    };
    let usual = Start { logs: lns([6.0, 3.0, 1.0]), step: 0.5 };
    let warm = start.filter(GammaGamma::is_sound);
    let warm = warm.map(|m| Start { logs: lns([m.p, m.q - 1.0, m.population_mean() / unit]), step: 0.1 });
    let starts: Vec<_> = warm.into_iter().chain([usual]).collect();
    let Likeliest { logs, log_likelihood, provisional } =
        likeliest(observations, &starts, &BOUNDS, |logs| log_likelihood(&spent, &model(logs)))?;
    let parameters = model(&logs);
    match parameters.q > LEAST_Q {
        true => Ok(Fitted { parameters, log_likelihood, rows: spent.len(), provisional }),
        false => Err(Refused::NoMaximum),
    }
}

fn log_likelihood(spent: &[Spent], model: &GammaGamma) -> f64 {
    spent.iter().map(|s| model.log_likelihood(*s)).sum()
}
