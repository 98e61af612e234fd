//! The few functions that the models are made of. All transcendental functions come from `libm`, not from the platform,
//! so that the same log gives the same decisions everywhere.

pub(super) use libm::{exp, expm1, lgamma as ln_gamma, log as ln, log1p as ln_1p};

/// ln B(a, b).
pub(super) fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// ln(1 + eˣ), which does not overflow.
pub(super) fn ln_1p_exp(x: f64) -> f64 {
    if x > 0.0 { x + ln_1p(exp(-x)) } else { ln_1p(exp(x)) }
}

/// 1 / (1 + e⁻ˣ). May be exactly 0 or 1.
pub(super) fn logistic(x: f64) -> f64 {
    if x < 0.0 { exp(x) / (1.0 + exp(x)) } else { 1.0 / (1.0 + exp(-x)) }
}

/// ln(p / (1 - p)), given both, so that neither is lost near 0 or 1. Kept finite.
pub(super) fn logit(p: f64, complement: f64) -> f64 {
    ln(p.max(f64::MIN_POSITIVE)) - ln(complement.max(f64::MIN_POSITIVE))
}
