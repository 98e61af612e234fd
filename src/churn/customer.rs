//! One customer under one model: the common interface of the models.

use super::fgp::{Activity, Fgp};
use super::mbg_nbd::{MbgNbd, Repeats};
use super::purchases::Purchases;
use super::usage::{Memories, Usage};

/// A customer under the parameters in force. Cheap to create from the sufficient statistics, and to copy.
///
/// `at` is always the present, in days since the customer's first purchase or active day, fractions and all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Customer {
    Purchases(MbgNbd, Repeats),
    Usage(Fgp, Activity),
}

impl Customer {
    #[must_use]
    pub fn buying(model: MbgNbd, history: &Purchases) -> Self {
        Self::Purchases(model, history.repeats())
    }

    /// `None` if the model's tau is none of the memories that are kept.
    #[must_use]
    pub fn using(model: Fgp, history: &Usage, memories: &Memories) -> Option<Self> {
        history.activity(&model, memories).map(|seen| Self::Usage(model, seen))
    }

    /// The probability of no purchase, or active day, in the next `horizon` days. Rises with silence.
    #[must_use]
    pub fn p_none(&self, at: f64, horizon: f64) -> f64 {
        match self {
            Self::Purchases(model, seen) => model.p_none(*seen, at, horizon),
            Self::Usage(model, seen) => model.p_none(*seen, at, horizon),
        }
    }

    /// The probability of being alive, that is of not having left for good. `None` for usage, whose model has no such
    /// probability.
    #[must_use]
    pub fn alive(&self, at: f64) -> Option<f64> {
        match self {
            Self::Purchases(model, seen) => Some(model.alive(*seen, at)),
            Self::Usage(..) => None,
        }
    }

    /// Purchases, or active days, to expect in the next `days`.
    #[must_use]
    pub fn expected(&self, at: f64, days: f64) -> f64 {
        match self {
            Self::Purchases(model, seen) => model.expected(*seen, at, days),
            Self::Usage(model, seen) => model.expected(*seen, at, days),
        }
    }

    /// The same for several ascending times, which together cost little more than one.
    pub(super) fn expected_in_each<const N: usize>(&self, at: f64, days: [f64; N]) -> [f64; N] {
        match self {
            Self::Purchases(model, seen) => model.expected_in_each(*seen, at, days),
            Self::Usage(model, seen) => days.map(|days| model.expected(*seen, at, days)),
        }
    }

    /// The last purchase or active day, in days since the first.
    #[must_use]
    pub fn last(&self) -> f64 {
        match self {
            Self::Purchases(_, seen) => seen.t_x,
            Self::Usage(_, seen) => seen.t_x,
        }
    }

    /// Days since the last purchase or active day.
    #[must_use]
    pub fn silence(&self, at: f64) -> f64 {
        (at - self.last()).max(0.0)
    }

    /// The mean number of days between purchases, or between remembered active days. `None` with fewer than two.
    #[must_use]
    pub fn usual_gap(&self) -> Option<f64> {
        match self {
            Self::Purchases(_, seen) => (seen.x > 0.0).then(|| seen.t_x / seen.x),
            Self::Usage(model, seen) => (seen.t_x > 0.0).then(|| model.exposure_days(seen.t_x) / seen.x),
        }
    }

    /// Purchases, or remembered active days, after the first.
    pub(super) fn repeats(&self) -> f64 {
        match self {
            Self::Purchases(_, seen) => seen.x,
            Self::Usage(_, seen) => (seen.x - 1.0).max(0.0),
        }
    }

    /// Was there only one purchase, or active day?
    pub(super) fn is_once(&self) -> bool {
        match self {
            Self::Purchases(_, seen) => seen.x <= 0.0,
            Self::Usage(_, seen) => seen.t_x <= 0.0,
        }
    }

    /// logit of [`Customer::p_none`], and its slope in `at`.
    pub(super) fn logit(&self, at: f64, horizon: f64) -> (f64, f64) {
        match self {
            Self::Purchases(model, seen) => model.logit(*seen, at, horizon),
            Self::Usage(model, seen) => model.logit(*seen, at, horizon),
        }
    }

    /// The silence `w` stands for, and its slope in `w`: on the scale on which the logit rises most evenly, along which
    /// Newton's steps are long. Purchases are forgotten as a power of time, use exponentially.
    pub(super) fn stretched(&self, w: f64) -> (f64, f64) {
        match self {
            Self::Purchases(model, seen) => {
                let scale = model.alpha_days + seen.t_x;
                let silence = scale * libm::expm1(w);
                (silence, scale + silence)
            }
            Self::Usage(..) => (w, 1.0),
        }
    }

    /// The `w` that stands for a silence.
    pub(super) fn shrunk(&self, silence: f64) -> f64 {
        match self {
            Self::Purchases(model, seen) => libm::log1p(silence / (model.alpha_days + seen.t_x)),
            Self::Usage(..) => silence,
        }
    }
}
