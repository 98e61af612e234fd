//! Usage: a gamma-Poisson rate with exponential forgetting.

use super::special::{exp, expm1, ln, ln_1p};

/// FGP: active days come at random at a rate that is Gamma(r, alpha) over customers and drifts, so that an active day,
/// and a day of exposure, are discounted by e^(-days/tau).
///
/// The gamma-Poisson mixture is A. S. C. Ehrenberg's ("The pattern of consumer purchases", Applied Statistics 8(1),
/// 1959); forgetting by discounting the posterior's two numbers is the power steady model of J. Q. Smith ("A
/// generalization of the Bayesian steady forecasting model", Journal of the Royal Statistical Society B 41(3), 1979).
///
/// Times are days since the customer's first active day. A present before the last active day counts as that day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fgp {
    pub r: f64,
    pub alpha_days: f64,
    pub tau_days: f64,
}

/// A customer as the model sees one: `x` active days, each discounted by its distance from the last one, which was
/// `t_x` days after the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Activity {
    pub x: f64,
    pub t_x: f64,
}

/// Exposure with which a customer begins: the first active day itself.
const FIRST_EXPOSURE_DAYS: f64 = 1.0;

impl Fgp {
    /// r and `alpha_days`: the bounds within which the formulas were tested.
    pub(super) const BOUNDS: [(f64, f64); 2] = [(1e-3, 1e3), (1e-3, 1e6)];

    /// Are the parameters within the bounds for which the results are numbers?
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let values = [self.r, self.alpha_days];
        let within = values.iter().zip(Self::BOUNDS).all(|(value, (least, most))| (least..=most).contains(value));
        within && (1.0..=1e6).contains(&self.tau_days)
    }

    /// E(s): the exposure, in days of full weight. A sum of discounted days, so it depends only on the first day.
    #[must_use]
    pub fn exposure_days(&self, at: f64) -> f64 {
        -self.tau_days * expm1(-(at.max(0.0) + FIRST_EXPOSURE_DAYS) / self.tau_days)
    }

    /// X(s): the active days, in days of full weight.
    #[must_use]
    pub fn active_days(&self, seen: Activity, at: f64) -> f64 {
        let silence = (at - seen.t_x).max(0.0);
        seen.x * exp(-silence / self.tau_days)
    }

    /// r + X(s) and alpha + E(s): the rate's gamma distribution at `at`.
    fn posterior(&self, seen: Activity, at: f64) -> (f64, f64) {
        (self.r + self.active_days(seen, at), self.alpha_days + self.exposure_days(at.max(seen.t_x)))
    }

    /// The probability of no active day in the `horizon` days after `at`: ((α+E)/(α+E+H))^(r+X).
    ///
    /// Both factors of its logarithm fall with silence, so it rises strictly, towards a limit below 1.
    #[must_use]
    pub fn p_none(&self, seen: Activity, at: f64, horizon: f64) -> f64 {
        exp(self.log_none(seen, at, horizon))
    }

    /// ln of [`Fgp::p_none`].
    fn log_none(&self, seen: Activity, at: f64, horizon: f64) -> f64 {
        let (shape, exposure) = self.posterior(seen, at);
        -shape * ln_1p(horizon / exposure)
    }

    /// logit of [`Fgp::p_none`], and its slope in `at`.
    pub(super) fn logit(&self, seen: Activity, at: f64, horizon: f64) -> (f64, f64) {
        let (shape, exposure) = self.posterior(seen, at);
        let log = ln_1p(horizon / exposure);
        let (forgotten, watched) =
            ((shape - self.r) / self.tau_days, exp(-(at.max(seen.t_x) + FIRST_EXPOSURE_DAYS) / self.tau_days));
        let rise = forgotten * log + shape * watched * horizon / (exposure * (exposure + horizon));
        let some = -expm1(-shape * log);
        (-shape * log - ln(some.max(f64::MIN_POSITIVE)), rise / some)
    }

    /// Active days to expect in the `days` after `at`, at the present rate.
    #[must_use]
    pub fn expected(&self, seen: Activity, at: f64, days: f64) -> f64 {
        let (shape, exposure) = self.posterior(seen, at);
        days.max(0.0) * shape / exposure
    }
}
