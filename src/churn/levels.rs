//! Levels of risk, and the instant at which a silent customer reaches the next one.

use super::customer::Customer;
use super::recalibration::Recalibration;
use super::special::{exp, expm1, ln, logistic, logit};

/// The levels above the lowest, which is 0 and has no threshold.
#[derive(Debug, Clone, Copy)]
pub struct Levels<'a> {
    /// Risk is the probability of no activity for so many days.
    pub horizon_days: f64,
    /// The risk at which each level begins, ascending.
    pub thresholds: &'a [f64],
    /// No level above the lowest before so many days of silence.
    pub min_silence_days: f64,
    pub recalibration: Option<&'a Recalibration>,
}

/// A level and the first instant of it, in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossing {
    pub level: usize,
    pub at_ms: i64,
}

/// A level that is not reached within so many days of silence, ten years, counts as never reached.
pub const SILENCE_MAX_DAYS: f64 = 3_650.0;

const DAY_MS: f64 = 86_400_000.0;

/// The present in days, as the models count it: since `origin_ms`, the beginning of the customer's first day. With
/// purchases counted by days, silence begins with the day of the last one.
#[must_use]
pub fn days_since(origin_ms: i64, at_ms: i64) -> f64 {
    // The difference of two instants of this millennium is exact.
    at_ms.saturating_sub(origin_ms) as f64 / DAY_MS
}

/// The recalibration of the risk, applied to silence of any length: the probability is raised to the power that is
/// right for the horizon. So silence of length zero stays certain, and longer silence stays less likely.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SilenceCorrection(f64);

impl SilenceCorrection {
    /// Changes nothing.
    pub const NONE: Self = Self(1.0);

    /// The corrected probability.
    #[must_use]
    pub fn apply(self, plain: f64) -> f64 {
        if self == Self::NONE { plain } else { exp(self.0 * ln(plain)) }
    }
}

impl Levels<'_> {
    /// The risk at `at` days: `p_none`, recalibrated where there is a recalibration.
    #[must_use]
    pub fn risk(&self, customer: &Customer, at: f64) -> f64 {
        match self.recalibration {
            None => customer.p_none(at, self.horizon_days),
            Some(recalibration) => logistic(recalibration.logit(customer, at, self.horizon_days).0),
        }
    }

    /// The correction of a customer's probability of silence at `at` days that gives the risk at the horizon.
    #[must_use]
    pub fn silence_correction(&self, customer: &Customer, at: f64) -> SilenceCorrection {
        if self.recalibration.is_none() {
            return SilenceCorrection::NONE;
        }
        let power = ln(self.risk(customer, at)) / ln(customer.p_none(at, self.horizon_days));
        // Where either probability is 1 to all digits, there is no correction.
        if power.is_finite() { SilenceCorrection(power) } else { SilenceCorrection::NONE }
    }

    /// The level at `at` days.
    #[must_use]
    pub fn level(&self, customer: &Customer, at: f64) -> usize {
        if customer.silence(at) < self.min_silence_days {
            return 0;
        }
        let risk = self.risk(customer, at);
        self.thresholds.iter().take_while(|threshold| risk >= **threshold).count()
    }

    /// When a customer who stays silent next rises above the level of `now_ms`; `None` if never.
    ///
    /// [`Levels::level`] is higher from that millisecond on. Several levels may be passed at once, when the minimum
    /// silence ends. It costs the solving of one equation, whatever the number of levels.
    #[must_use]
    pub fn next(&self, customer: &Customer, origin_ms: i64, now_ms: i64) -> Option<Crossing> {
        let level = self.level(customer, days_since(origin_ms, now_ms));
        let at_ms = self.reached_at(customer, level + 1, origin_ms)?.max(now_ms.saturating_add(1));
        let reached = self.level(customer, days_since(origin_ms, at_ms));
        Some(Crossing { level: reached.max(level + 1), at_ms })
    }

    /// The first millisecond since the last purchase, or active day, at which a silent customer is on `level` or above;
    /// `None` if never.
    #[must_use]
    pub fn reached_at(&self, customer: &Customer, level: usize, origin_ms: i64) -> Option<i64> {
        let threshold = match level {
            0 => return Some(after(origin_ms, customer.last())),
            _ => *self.thresholds.get(level - 1)?,
        };
        let in_silence = |days: f64| after(origin_ms, customer.last() + days);
        let never = in_silence(SILENCE_MAX_DAYS);
        let is_long = |ms| customer.silence(days_since(origin_ms, ms)) >= self.min_silence_days;
        let is_reached = |ms| self.risk(customer, days_since(origin_ms, ms)) >= threshold;
        if !is_long(never) || !is_reached(never) {
            return None;
        }
        let begins = in_silence(0.0);
        let allowed = match is_long(begins) {
            true => begins,
            false => first(begins, never, in_silence(self.min_silence_days), is_long),
        };
        if is_reached(allowed) {
            return Some(allowed);
        }
        let guess = in_silence(self.silence_until(customer, threshold));
        Some(first(allowed, never, guess, is_reached))
    }

    /// The silence, in days, at which the risk is the threshold. By Newton's method within a bracket: the risk rises
    /// strictly.
    fn silence_until(&self, customer: &Customer, threshold: f64) -> f64 {
        const STEPS_MAX: u32 = 100;
        // Newton's method doubles the digits: the step after one as short as this is less than a millisecond.
        const SHORT_DAYS: f64 = 1e-6;
        let target = logit(threshold, 1.0 - threshold);
        let excess = |w: f64| {
            let (silence, stretch) = customer.stretched(w);
            let at = customer.last() + silence;
            let (logit, slope) = match self.recalibration {
                None => customer.logit(at, self.horizon_days),
                Some(recalibration) => recalibration.logit(customer, at, self.horizon_days),
            };
            (logit - target, slope * stretch, stretch)
        };
        let (mut low, mut high) = (0.0, customer.shrunk(SILENCE_MAX_DAYS));
        let ((at_low, ..), (at_high, ..)) = (excess(low), excess(high));
        let mut w = low - at_low * (high - low) / (at_high - at_low);
        for _ in 0..STEPS_MAX {
            if !(low < w && w < high) {
                w = (low + high) / 2.0;
            }
            let (excess, slope, stretch) = excess(w);
            if excess < 0.0 {
                low = w
            } else {
                high = w
            }
            let step = -excess / slope;
            if (step * stretch).abs() < SHORT_DAYS || high - low <= f64::EPSILON * high {
                w += if step.is_finite() { step } else { 0.0 };
                break;
            }
            w += step;
        }
        customer.stretched(w.clamp(low, high)).0
    }
}

impl Customer {
    /// The first millisecond at which a silent customer's probability of being alive is below `threshold`; `None` if
    /// never, and for usage, whose model has no such probability.
    #[must_use]
    pub fn alive_below_at(&self, threshold: f64, origin_ms: i64) -> Option<i64> {
        let is_below = |ms| self.alive(days_since(origin_ms, ms)).is_some_and(|alive| alive < threshold);
        let in_silence = |days: f64| after(origin_ms, self.last() + days);
        let never = in_silence(SILENCE_MAX_DAYS);
        let Self::Purchases(model, seen) = self else { return None };
        if !is_below(never) {
            return None;
        }
        // The closed form, solved for the time of silence.
        let odds = (1.0 - threshold) / threshold * (model.b + seen.x) / model.a;
        let silence = (model.alpha_days + seen.t_x) * expm1(ln(odds) / (model.r + seen.x));
        let silence = if silence.is_finite() { silence.clamp(0.0, SILENCE_MAX_DAYS) } else { 0.0 };
        Some(first(in_silence(0.0), never, in_silence(silence), is_below))
    }
}

/// The millisecond so many days after the origin, or the next one.
fn after(origin_ms: i64, days: f64) -> i64 {
    origin_ms.saturating_add((days * DAY_MS).ceil() as i64)
}

/// The first millisecond of `from..=to` at which a condition holds that, once true, stays true, and is true at `to`;
/// `guess` is near. With rounding errors a guess is often off by one, and the result must be exact since timers fire at
/// it.
fn first(from: i64, to: i64, guess: i64, holds: impl Fn(i64) -> bool) -> i64 {
    let (mut before, mut held) = (from.saturating_sub(1), guess.clamp(from, to));
    let mut stride = 1;
    while held < to && !holds(held) {
        before = held;
        held = held.saturating_add(stride).min(to);
        stride *= 2;
    }
    stride = 1;
    while held - before > 1 {
        let tried = held.saturating_sub(stride).max(before + (held - before) / 2);
        if holds(tried) {
            (held, stride) = (tried, stride.saturating_mul(2));
        } else {
            (before, stride) = (tried, i64::MAX);
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::first;

    #[test]
    fn a_guess_that_is_far_off_is_found_from_in_few_steps() {
        for begins in [0, 1, 123, 499_999_999, 500_000_000, 999_999_999, 1_000_000_000] {
            for guess in [0, 122, 125, 500_000_000, 900_000_000, 1_000_000_000] {
                let asked = std::cell::Cell::new(0);
                let holds = |ms| {
                    asked.set(asked.get() + 1);
                    assert!(asked.get() < 200, "{begins} from {guess}");
                    ms >= begins
                };
                assert_eq!(first(0, 1_000_000_000, guess, holds), begins);
            }
        }
    }
}
