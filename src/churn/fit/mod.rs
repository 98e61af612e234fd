//! Parameters from history, by maximum likelihood.
//!
//! What is fitted is a function of the numbers given and of their order; sums are taken in a fixed order, and nothing
//! is drawn at random.

mod fgp;
mod gamma_gamma;
mod mbg_nbd;

pub use fgp::{LabeledUsage, fgp};
pub use gamma_gamma::gamma_gamma;
pub use mbg_nbd::{Observed, mbg_nbd};

use super::minimum::{Minimum, minimise};
use super::special::{exp, ln};

/// Fitted parameters, with statistics of the fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fitted<P> {
    pub parameters: P,
    /// ln of the likelihood of the observations, in units of days and of the amounts given.
    pub log_likelihood: f64,
    /// The number of customers, or snapshots, fitted to.
    pub rows: usize,
    /// There were too few observations to know the parameters, or these do not determine them; undetermined ones were
    /// held near 1. Older parameters that are not provisional are better.
    pub provisional: bool,
}

/// Why there are no parameters. A caller with older ones keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There are no observations that the model could be fitted to.
    NothingSeen,
    /// The likelihood has no maximum where the model means anything: it does not fit these data.
    NoMaximum,
}

/// Until the window is as long as this and has this many repeat purchases, parameters are provisional.
pub const WINDOW_MIN_DAYS: f64 = 182.0;
pub const REPEATS_MIN: f64 = 200.0;

/// Customers that are enough for a fit: more change the parameters less than a week does.
pub const SAMPLE: u64 = 5_000;

/// Is a customer in the sample of a fit? Decided by a hash of the customer's id that is spread over all 64 bits, so
/// that the sample has the same customers each week: all of them up to [`SAMPLE`], and about that many of more.
#[must_use]
pub fn in_sample(hash: u64, customers: u64) -> bool {
    let scaled = (u128::from(hash) * u128::from(customers)) >> 64;
    scaled < u128::from(SAMPLE)
}

/// Are there enough observations to determine the parameters?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Observations {
    Enough,
    TooFew,
}

/// How strongly logarithms of parameters are held to 0 while parameters are provisional.
const RIDGE: f64 = 0.05;

/// The start of a search, in logarithms of the parameters, and its first step.
#[derive(Clone, Copy)]
struct Start<const N: usize> {
    logs: [f64; N],
    step: f64,
}

/// The result of a search.
struct Likeliest<const N: usize> {
    logs: [f64; N],
    log_likelihood: f64,
    provisional: bool,
}

/// The parameters of greatest likelihood within `bounds`, from the first start that does not end on a bound.
///
/// Parameters that the data push to a bound are not determined by them: they are fitted again as provisional ones, held
/// near 1, and then a bound is acceptable.
fn likeliest<const N: usize>(
    observations: Observations,
    starts: &[Start<N>],
    bounds: &[(f64, f64); N],
    log_likelihood: impl Fn(&[f64; N]) -> f64,
) -> Result<Likeliest<N>, Refused> {
    let attempts: &[bool] = match observations {
        Observations::Enough => &[false, true],
        Observations::TooFew => &[true],
    };
    for &provisional in attempts {
        let held = |logs: &[f64; N]| match provisional {
            true => RIDGE * logs.iter().map(|log| log * log).sum::<f64>(),
            false => 0.0,
        };
        let unlikeliness = |logs: &[f64; N]| match within(logs, bounds) {
            true => held(logs) - log_likelihood(logs),
            false => f64::INFINITY,
        };
        for start in starts {
            let Minimum { point: logs, value } = minimise(start.logs, start.step, unlikeliness);
            if value.is_finite() && (provisional || !on_a_bound(&logs, bounds)) {
                return Ok(Likeliest { logs, log_likelihood: held(&logs) - value, provisional });
            }
        }
    }
    Err(Refused::NoMaximum)
}

/// Are all values within their bounds?
fn within(logs: &[f64], bounds: &[(f64, f64)]) -> bool {
    logs.iter().zip(bounds).all(|(log, (least, most))| (ln(*least)..=ln(*most)).contains(log))
}

/// Is one of the values so near a bound that only the bound has stopped it?
fn on_a_bound(logs: &[f64], bounds: &[(f64, f64)]) -> bool {
    const NEAR: f64 = 0.01;
    logs.iter().zip(bounds).any(|(log, (least, most))| *log < ln(*least) + NEAR || *log > ln(*most) - NEAR)
}

/// The parameters, clamped so that rounding does not move one out of its bounds.
fn exps<const N: usize>(logs: &[f64; N], bounds: &[(f64, f64); N]) -> [f64; N] {
    std::array::from_fn(|i| exp(logs[i]).clamp(bounds[i].0, bounds[i].1))
}

fn lns<const N: usize>(values: [f64; N]) -> [f64; N] {
    values.map(ln)
}
