//! Purchases: the modified beta-geometric / negative binomial model.

use super::expectation;
use super::special::{exp, expm1, ln, ln_1p, ln_1p_exp, ln_beta, ln_gamma, logistic, logit};

/// MBG/NBD: while alive, a customer buys at random at a rate λ of their own, and dies with a probability p of their own
/// after each purchase, the first one too. λ varies over customers as Gamma(r, alpha), p as Beta(a, b).
///
/// Formulas: P. S. Fader, B. G. S. Hardie, K. L. Lee, "Counting your customers the easy way", Marketing Science 24(2),
/// 2005 (BG/NBD); E. P. Batislam, M. Denizel, A. Filiztekin, "Empirical validation and comparison of models for
/// customer base analysis", International Journal of Research in Marketing 24(3), 2007 (death after the first
/// purchase).
///
/// Times are days since the customer's first purchase. A present before the last purchase counts as that purchase's
/// time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MbgNbd {
    pub r: f64,
    pub alpha_days: f64,
    pub a: f64,
    pub b: f64,
}

/// A customer as the model sees one: `x` purchases after the first, the last of them `t_x` days after the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Repeats {
    pub x: f64,
    pub t_x: f64,
}

impl MbgNbd {
    /// The bounds within which the formulas were tested: r, `alpha_days`, a, b.
    pub(super) const BOUNDS: [(f64, f64); 4] = [(1e-3, 1e3), (1e-3, 1e6), (1e-3, 1e4), (1e-3, 1e4)];

    /// Are the parameters within the bounds for which the results are numbers?
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let values = [self.r, self.alpha_days, self.a, self.b];
        values.iter().zip(Self::BOUNDS).all(|(value, (least, most))| (least..=most).contains(value))
    }

    /// P(alive): the probability that the customer will buy again, ever.
    ///
    /// 1 / (1 + a/(b+x) · ((α+T)/(α+t_x))^(r+x)), by Fader, Hardie, Lee, "Computing P(alive) using the BG/NBD model",
    /// 2008 (brucehardie.com/notes/021), with b+x in the place of b+x-1. No probability of a purchase in a given time:
    /// for that see [`MbgNbd::p_none`].
    #[must_use]
    pub fn alive(&self, seen: Repeats, at: f64) -> f64 {
        logistic(-self.log_odds_dead(seen, at))
    }

    fn log_odds_dead(&self, seen: Repeats, at: f64) -> f64 {
        let silence = (at - seen.t_x).max(0.0);
        ln(self.a / (self.b + seen.x)) + (self.r + seen.x) * ln_1p(silence / (self.alpha_days + seen.t_x))
    }

    /// The probability of no purchase in the `horizon` days after `at`.
    ///
    /// 1 - P(alive)·(1-q) with q = ((α+T)/(α+T+H))^(r+x): given life, λ is Gamma(r+x, α+T), and the next purchase comes
    /// before any death. It equals the ratio of the likelihoods at T+H and T, and rises strictly with silence.
    #[must_use]
    pub fn p_none(&self, seen: Repeats, at: f64, horizon: f64) -> f64 {
        self.over_horizon(seen, at, horizon).none
    }

    fn over_horizon(&self, seen: Repeats, at: f64, horizon: f64) -> Horizon {
        let odds = self.log_odds_dead(seen, at);
        let (alive, dead) = (logistic(-odds), logistic(odds));
        let exposure = self.alpha_days + at.max(seen.t_x);
        let spared = -(self.r + seen.x) * ln_1p(horizon / exposure);
        let (quiet, buys) = (exp(spared), -expm1(spared));
        // Sums of positive terms: exact to the last digits however near 0 they are.
        Horizon { dead, quiet, buys, exposure, none: dead + alive * quiet, some: alive * buys }
    }

    /// logit of [`MbgNbd::p_none`], and its slope in `at`.
    pub(super) fn logit(&self, seen: Repeats, at: f64, horizon: f64) -> (f64, f64) {
        let Horizon { dead, quiet, buys, exposure, none, some } = self.over_horizon(seen, at, horizon);
        let fall = dead + horizon / (exposure + horizon) * quiet / buys;
        (logit(none, some), (self.r + seen.x) * fall / (exposure * none))
    }

    /// Purchases to expect in the `days` after `at`: E\[X(T, T+t)\] of the papers above.
    #[must_use]
    pub fn expected(&self, seen: Repeats, at: f64, days: f64) -> f64 {
        let [expected] = self.expected_in_each(seen, at, [days]);
        expected
    }

    /// The same for several times, ascending.
    pub(super) fn expected_in_each<const N: usize>(&self, seen: Repeats, at: f64, days: [f64; N]) -> [f64; N] {
        let given_life = expectation::Given { n: self.r + seen.x, a: self.a, b: self.b + seen.x + 1.0 };
        let exposure = self.alpha_days + at.max(seen.t_x);
        let alive = self.alive(seen, at);
        given_life.purchases(days.map(|days| days.max(0.0) / exposure)).map(|purchases| alive * purchases)
    }

    /// ln of the likelihood of what was seen of one customer until `at`, times in days.
    #[must_use]
    pub fn log_likelihood(&self, seen: Repeats, at: f64) -> f64 {
        self.by_count(seen.x) + self.by_times(seen, at)
    }

    /// The part of the log-likelihood that depends on the number of purchases alone, and costs most.
    pub(super) fn by_count(&self, x: f64) -> f64 {
        ln_gamma(self.r + x) - ln_gamma(self.r) + self.r * ln(self.alpha_days) + ln_beta(self.a, self.b + x + 1.0)
            - ln_beta(self.a, self.b)
    }

    /// The part of the log-likelihood that depends on times: alive until now, or dead since the last purchase.
    pub(super) fn by_times(&self, seen: Repeats, at: f64) -> f64 {
        ln_1p_exp(self.log_odds_dead(seen, at)) - (self.r + seen.x) * ln(self.alpha_days + at.max(seen.t_x))
    }
}

/// Intermediate results of the probabilities for the next days.
struct Horizon {
    dead: f64,
    /// The probability of no purchase, given life.
    quiet: f64,
    /// Its complement.
    buys: f64,
    /// α + T, in days.
    exposure: f64,
    none: f64,
    some: f64,
}
