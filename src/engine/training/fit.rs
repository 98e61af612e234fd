//! The parameters of the models of churn from what was seen of customers.

use crate::calendar::{Calendar, Unit};
use crate::churn::fit::{self, Fitted, Observed, Refused};
use crate::churn::{Fgp, GammaGamma, MbgNbd, Memories, Recalibration, Spent, days_since};
use crate::engine::model::{Comings, Model, Parameters};
use crate::event::{Instant, Span};
use crate::rules::{Churn, ChurnModel};

/// A customer as seen at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sighting {
    pub comings: Comings,
    /// The instant, in days since the beginning of the first day.
    pub days: f64,
    /// In whole days of the calendar, as purchases are counted.
    pub age_days: f64,
}

/// A customer as seen at an instant, and whether nothing came of it while watched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watched {
    pub sighting: Sighting,
    pub none: bool,
}

/// Parameters as fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fit {
    Purchases { comings: Fitted<MbgNbd>, amounts: Option<Fitted<GammaGamma>> },
    Usage(Fitted<Fgp>),
}

impl Sighting {
    #[must_use]
    pub fn new(comings: Comings, at: Instant, calendar: &Calendar) -> Self {
        let (first, last) = (i64::from(comings.first_day()), i64::from(comings.last_day()));
        let origin = calendar.start(first, Unit::Day);
        // What came last may be later than stream time, which others hold back.
        let age = calendar.period(at, Unit::Day).max(last) - first;
        Self { comings, days: days_since(origin.0, at.0), age_days: age as f64 }
    }
}

impl Fit {
    /// Fits the model that rules ask for: that of purchases to what is seen now, that of use to what became of those watched,
    /// the latest of whom count, each for as long as `watch`. It begins where the one before ended.
    ///
    /// # Errors
    /// There is nothing to learn from, or the model does not fit.
    pub fn new(
        churn: &Churn,
        now: &[Sighting],
        watched: &[Watched],
        watch: Span,
        before: Option<&Self>,
    ) -> Result<Self, Refused> {
        match churn.model {
            ChurnModel::Purchases => {
                let (start, start_amounts) = match before {
                    Some(Self::Purchases { comings, amounts }) => {
                        (Some(comings.parameters), amounts.map(|fitted| fitted.parameters))
                    }
                    _ => (None, None),
                };
                let bought = now.iter().filter_map(|sighting| match sighting.comings {
                    Comings::Bought(purchases) => Some((purchases, sighting.age_days)),
                    Comings::Used(_) => None,
                });
                let (mut observed, mut spent) = (Vec::with_capacity(now.len()), Vec::new());
                for (purchases, age_days) in bought {
                    let seen = purchases.repeats();
                    observed.push(Observed { seen, age_days });
                    spent.extend(purchases.mean_repeat_amount().map(|mean| Spent { x: seen.x, mean }));
                }
                let comings = fit::mbg_nbd(&observed, start)?;
                let amounts = churn.has_amounts.then(|| fit::gamma_gamma(&spent, start_amounts).ok()).flatten();
                Ok(Self::Purchases { comings, amounts })
            }
            ChurnModel::Usage => {
                let start = match before {
                    Some(Self::Usage(fitted)) => Some(fitted.parameters),
                    _ => None,
                };
                let used = watched.iter().filter_map(|watched| match watched.sighting.comings {
                    Comings::Used(usage) => Some(fit::Watched { usage, at: watched.sighting.days, none: watched.none }),
                    Comings::Bought(_) => None,
                });
                let used: Vec<fit::Watched> = used.collect();
                let days = watch.0 as f64 / Span::DAY.0 as f64;
                fit::fgp(&used, days, &Memories::default(), start).map(Self::Usage)
            }
        }
    }

    /// The better of this and a new one: what is known is not given up for what is provisional.
    #[must_use]
    pub fn or_better(self, new: Self) -> Self {
        match (self, new) {
            (Self::Purchases { comings, amounts }, Self::Purchases { comings: new, amounts: new_amounts }) => {
                let amounts = match (amounts, new_amounts) {
                    (Some(old), Some(new)) => Some(better(old, new)),
                    (old, new) => new.or(old),
                };
                Self::Purchases { comings: better(comings, new), amounts }
            }
            (Self::Usage(old), Self::Usage(new)) => Self::Usage(better(old, new)),
            (_, new) => new,
        }
    }

    #[must_use]
    pub fn model(&self) -> Model {
        match self {
            Self::Purchases { comings, amounts } => {
                Model::Purchases { comings: comings.parameters, amounts: amounts.map(|fitted| fitted.parameters) }
            }
            Self::Usage(fitted) => Model::Usage(fitted.parameters),
        }
    }

    /// Is too little known of how customers come?
    #[must_use]
    pub fn is_provisional(&self) -> bool {
        match self {
            Self::Purchases { comings, .. } => comings.provisional,
            Self::Usage(fitted) => fitted.provisional,
        }
    }

    /// Is enough known of all that rules ask for?
    #[must_use]
    pub fn is_known(&self, churn: &Churn) -> bool {
        let worth = match self {
            Self::Purchases { amounts, .. } if churn.has_amounts => amounts.is_some_and(|fitted| !fitted.provisional),
            _ => true,
        };
        worth && !self.is_provisional()
    }

    #[must_use]
    pub fn log_likelihood(&self) -> f64 {
        match self {
            Self::Purchases { comings, .. } => comings.log_likelihood,
            Self::Usage(fitted) => fitted.log_likelihood,
        }
    }

    /// As an input to decisions.
    #[must_use]
    pub fn parameters(&self, version: u32, recalibration: Option<Recalibration>) -> Parameters {
        Parameters { version, model: self.model(), recalibration, provisional: self.is_provisional() }
    }
}

fn better<P>(old: Fitted<P>, new: Fitted<P>) -> Fitted<P> {
    if new.provisional && !old.provisional { old } else { new }
}

#[cfg(test)]
mod tests {
    use super::Fit;
    use crate::churn::fit::Fitted;
    use crate::churn::{GammaGamma, MbgNbd};

    fn of<P>(parameters: P, provisional: bool) -> Fitted<P> {
        Fitted { parameters, log_likelihood: -1.0, rows: 1, provisional }
    }

    /// By its r, and by the q of its amounts; whether each is provisional.
    fn fit((r, comings): (f64, bool), amounts: Option<(f64, bool)>) -> Fit {
        let amounts = amounts.map(|(q, provisional)| of(GammaGamma { p: 6.0, q, v: 15.0 }, provisional));
        Fit::Purchases { comings: of(MbgNbd { r, alpha_days: 40.0, a: 0.9, b: 1.6 }, comings), amounts }
    }

    #[test]
    fn what_is_known_is_not_given_up_for_what_is_provisional() {
        let known = fit((0.5, false), Some((3.0, false)));
        assert_eq!(known.or_better(fit((0.6, true), Some((4.0, true)))), known);
        assert_eq!(known.or_better(fit((0.6, false), None)), fit((0.6, false), Some((3.0, false))));
        assert_eq!(known.or_better(fit((0.6, false), Some((4.0, true)))), fit((0.6, false), Some((3.0, false))));
        let provisional = fit((0.5, true), None);
        assert_eq!(provisional.or_better(fit((0.6, true), None)), fit((0.6, true), None));
        assert_eq!(provisional.or_better(known), known);
    }
}
