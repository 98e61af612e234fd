//! Recalibration of probabilities on the outcomes of earlier predictions.

use super::customer::Customer;
use super::quality;
use super::special::{ln_1p, ln_1p_exp, logistic};

/// A logistic correction of `p_none`: w₀ + w₁·logit(p) + w₂·ln(1+silence) + w₃·ln(1+x) + w₄·\[only once\].
///
/// w₁ and w₂ are not negative, so the corrected probability still rises with silence, and crossings can be solved for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recalibration {
    pub weights: [f64; 5],
}

/// The features of one customer at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    pub logit: f64,
    pub silence_days: f64,
    /// Purchases, or remembered active days, after the first.
    pub repeats: f64,
    pub is_once: bool,
}

/// The features at the time of a snapshot, and the outcome: was the customer inactive for the whole horizon?
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    pub evidence: Evidence,
    pub none: bool,
}

/// Maximum number of snapshots that a recalibration is fitted to, the newest ones.
pub const SNAPSHOTS_MAX: usize = 8;

/// Strength of the ridge penalty: half of this times the squared distance of the weights from those that change
/// nothing.
const RIDGE: f64 = 20.0;

/// Logits are clamped to this magnitude.
const LOGIT_MAX: f64 = 40.0;

/// The weights that may not be negative.
const MONOTONE: [usize; 2] = [1, 2];

impl Evidence {
    #[must_use]
    pub fn of(customer: &Customer, at: f64, horizon: f64) -> Self {
        Self::with(customer.logit(at, horizon).0, customer, at)
    }

    fn with(logit: f64, customer: &Customer, at: f64) -> Self {
        Self { logit, silence_days: customer.silence(at), repeats: customer.repeats(), is_once: customer.is_once() }
    }

    fn features(&self) -> [f64; 5] {
        let once = if self.is_once { 1.0 } else { 0.0 };
        // A risk that is 1 to all digits must not outweigh everything else.
        [1.0, self.logit.clamp(-LOGIT_MAX, LOGIT_MAX), ln_1p(self.silence_days), ln_1p(self.repeats), once]
    }
}

impl Recalibration {
    /// Changes nothing.
    pub const NONE: Self = Self { weights: [0.0, 1.0, 0.0, 0.0, 0.0] };

    /// The corrected probability of no activity within the horizon.
    #[must_use]
    pub fn p_none(&self, evidence: &Evidence) -> f64 {
        logistic(dot(&self.weights, &evidence.features()))
    }

    /// logit of the corrected probability, and its slope in `at`.
    pub(super) fn logit(&self, customer: &Customer, at: f64, horizon: f64) -> (f64, f64) {
        let (logit, slope) = customer.logit(at, horizon);
        let evidence = Evidence::with(logit, customer, at);
        let [_, by_logit, by_silence, ..] = self.weights;
        let own = if evidence.logit.abs() < LOGIT_MAX { slope } else { 0.0 };
        (dot(&self.weights, &evidence.features()), by_logit * own + by_silence / (1.0 + evidence.silence_days))
    }

    /// Fits weights to snapshots with outcomes, the oldest first. `None` if validation fails: weights fitted to all but
    /// the newest snapshot must have a lower Brier score on the newest than `p_none` itself. `None` too with fewer than
    /// two snapshots.
    ///
    /// Intended for weekly snapshots; on CDNOW's data, snapshots of every fourth week gave a smaller improvement.
    #[must_use]
    pub fn fit(snapshots: &[Vec<Outcome>]) -> Option<Self> {
        let snapshots = &snapshots[snapshots.len().saturating_sub(SNAPSHOTS_MAX)..];
        let (newest, older) =
            snapshots.split_last().filter(|(newest, older)| !newest.is_empty() && !older.is_empty())?;
        let score = |weights: &Self| {
            let scored: Vec<_> =
                newest.iter().map(|outcome| (weights.p_none(&outcome.evidence), outcome.none)).collect();
            quality::brier(&scored)
        };
        let tried = Self::fitted(older.iter().flatten());
        (score(&tried)? < score(&Self::NONE)?).then(|| Self::fitted(snapshots.iter().flatten()))
    }

    /// The weights with the lowest penalized log-loss. The loss is convex, so they are among the solutions with none,
    /// either or both of the two constrained weights fixed at 0.
    fn fitted<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Self {
        let outcomes: Vec<_> = outcomes.map(|outcome| (outcome.evidence.features(), outcome.none)).collect();
        let mut best: Option<([f64; 5], f64)> = None;
        for held in 0..1_u32 << MONOTONE.len() {
            let mut free = [true; 5];
            for (bit, weight) in MONOTONE.into_iter().enumerate() {
                free[weight] = held >> bit & 1 == 0;
            }
            let (weights, loss) = descended(&outcomes, free);
            let is_monotone = MONOTONE.iter().all(|weight| weights[*weight] >= 0.0);
            if is_monotone && best.is_none_or(|(_, least)| loss < least) {
                best = Some((weights, loss));
            }
            if held == 0 && is_monotone {
                break;
            }
        }
        best.map_or(Self::NONE, |(weights, _)| Self { weights })
    }
}

/// Newton's method for the weights that are free, the others at 0; steps are halved until the loss falls.
fn descended(outcomes: &[([f64; 5], bool)], free: [bool; 5]) -> ([f64; 5], f64) {
    const STEPS_MAX: u32 = 50;
    const HALVINGS_MAX: u32 = 30;
    let mut weights = Recalibration::NONE.weights;
    for (weight, free) in weights.iter_mut().zip(free) {
        *weight = if free { *weight } else { 0.0 };
    }
    let mut least = loss(outcomes, &weights);
    for _ in 0..STEPS_MAX {
        let (gradient, hessian) = derivatives(outcomes, &weights, free);
        let step = solved(hessian, gradient);
        let mut scale = 1.0;
        let mut improved = false;
        for _ in 0..HALVINGS_MAX {
            let tried: [f64; 5] = std::array::from_fn(|i| weights[i] - scale * step[i]);
            let there = loss(outcomes, &tried);
            if there < least {
                improved = least - there > 1e-12 * least.abs();
                (weights, least) = (tried, there);
                break;
            }
            scale /= 2.0;
        }
        if !improved {
            break;
        }
    }
    (weights, least)
}

fn loss(outcomes: &[([f64; 5], bool)], weights: &[f64; 5]) -> f64 {
    let distance: f64 = weights.iter().zip(Recalibration::NONE.weights).map(|(w, none)| (w - none) * (w - none)).sum();
    let loss_of = |(features, none): &([f64; 5], bool)| {
        let z = dot(weights, features);
        ln_1p_exp(if *none { -z } else { z })
    };
    outcomes.iter().map(loss_of).sum::<f64>() + RIDGE / 2.0 * distance
}

fn derivatives(outcomes: &[([f64; 5], bool)], weights: &[f64; 5], free: [bool; 5]) -> ([f64; 5], [[f64; 5]; 5]) {
    let mut gradient: [f64; 5] = std::array::from_fn(|i| RIDGE * (weights[i] - Recalibration::NONE.weights[i]));
    let mut hessian: [[f64; 5]; 5] = std::array::from_fn(|i| std::array::from_fn(|j| if i == j { RIDGE } else { 0.0 }));
    for (features, none) in outcomes {
        let p = logistic(dot(weights, features));
        let error = p - if *none { 1.0 } else { 0.0 };
        for i in 0..5 {
            gradient[i] += error * features[i];
            for j in 0..=i {
                hessian[i][j] += p * (1.0 - p) * features[i] * features[j];
            }
        }
    }
    for i in 0..5 {
        for j in 0..5 {
            if j > i {
                hessian[i][j] = hessian[j][i];
            }
            if !free[i] || !free[j] {
                hessian[i][j] = if i == j { 1.0 } else { 0.0 };
            }
        }
        gradient[i] = if free[i] { gradient[i] } else { 0.0 };
    }
    (gradient, hessian)
}

/// Solves for a positive definite matrix, which needs no pivots: the ridge makes it so.
fn solved(mut matrix: [[f64; 5]; 5], mut right: [f64; 5]) -> [f64; 5] {
    for i in 0..5 {
        let upper = matrix[i];
        for below in i + 1..5 {
            let factor = matrix[below][i] / upper[i];
            for (value, above) in matrix[below].iter_mut().zip(upper) {
                *value -= factor * above;
            }
            right[below] -= factor * right[i];
        }
    }
    for i in (0..5).rev() {
        let known: f64 = (i + 1..5).map(|column| matrix[i][column] * right[column]).sum();
        right[i] = (right[i] - known) / matrix[i][i];
    }
    right
}

fn dot(a: &[f64; 5], b: &[f64; 5]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
