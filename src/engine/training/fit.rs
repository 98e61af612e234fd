//! Fits of the churn models to observed customers.

use crate::calendar::{Calendar, Unit};
use crate::churn::fit::{self, Fitted, Observed, Refused};
use crate::churn::{Fgp, GammaGamma, MbgNbd, Memories, Recalibration, Spent, days_since};
use crate::engine::model::{ActivityHistory, Model, Parameters};
use crate::event::{Instant, Span};
use crate::rules::{Churn, ChurnModel};

/// A customer's activity as observed at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Snapshot {
    pub activity: ActivityHistory,
    /// The instant, in days since the beginning of the first day.
    pub days: f64,
    /// Age in whole calendar days, as purchases are counted.
    pub age_days: f64,
}

/// A snapshot with its label: whether the customer was inactive during the horizon after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabeledSnapshot {
    pub snapshot: Snapshot,
    pub none: bool,
}

/// Parameters as fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fit {
    Purchases { transactions: Fitted<MbgNbd>, amounts: Option<Fitted<GammaGamma>> },
    Usage(Fitted<Fgp>),
}

impl Snapshot {
    #[must_use]
    pub fn new(activity: ActivityHistory, at: Instant, calendar: &Calendar) -> Self {
        let (first, last) = (i64::from(activity.first_day()), i64::from(activity.last_day()));
        let origin = calendar.start(first, Unit::Day);
        // The last activity may be later than stream time, which stays behind the latest event.
        let age = calendar.period(at, Unit::Day).max(last) - first;
        Self { activity, days: days_since(origin.0, at.0), age_days: age as f64 }
    }
}

impl Fit {
    /// Fits the model that the rules ask for: that of purchases to the snapshots of now, that of usage to labeled
    /// snapshots, whose horizon is `watch`. The search starts from the parameters of `before`.
    ///
    /// # Errors
    /// There are no observations to fit to, or the model does not fit.
    pub fn new(
        churn: &Churn,
        now: &[Snapshot],
        labeled: &[LabeledSnapshot],
        watch: Span,
        before: Option<&Self>,
    ) -> Result<Self, Refused> {
        match churn.model {
            ChurnModel::Purchases => {
                let (start, start_amounts) = match before {
                    Some(Self::Purchases { transactions, amounts }) => {
                        (Some(transactions.parameters), amounts.map(|fitted| fitted.parameters))
                    }
                    _ => (None, None),
                };
                let bought = now.iter().filter_map(|snapshot| match snapshot.activity {
                    ActivityHistory::Purchases(purchases) => Some((purchases, snapshot.age_days)),
                    ActivityHistory::Usage(_) => None,
                });
                let (mut observed, mut spent) = (Vec::with_capacity(now.len()), Vec::new());
                for (purchases, age_days) in bought {
                    let seen = purchases.repeats();
                    observed.push(Observed { seen, age_days });
                    spent.extend(purchases.mean_repeat_amount().map(|mean| Spent { x: seen.x, mean }));
                }
                let transactions = fit::mbg_nbd(&observed, start)?;
                let amounts = churn.has_amounts.then(|| fit::gamma_gamma(&spent, start_amounts).ok()).flatten();
                Ok(Self::Purchases { transactions, amounts })
            }
            ChurnModel::Usage => {
                let start = match before {
                    Some(Self::Usage(fitted)) => Some(fitted.parameters),
                    _ => None,
                };
                let used = labeled.iter().filter_map(|labeled| match labeled.snapshot.activity {
                    ActivityHistory::Usage(usage) => {
                        Some(fit::LabeledUsage { usage, at: labeled.snapshot.days, none: labeled.none })
                    }
                    ActivityHistory::Purchases(_) => None,
                });
                let used: Vec<fit::LabeledUsage> = used.collect();
                let days = watch.0 as f64 / Span::DAY.0 as f64;
                fit::fgp(&used, days, &Memories::default(), start).map(Self::Usage)
            }
        }
    }

    /// The better of this and a newer one: parameters that are known are not replaced by provisional ones.
    #[must_use]
    pub fn or_better(self, new: Self) -> Self {
        match (self, new) {
            (
                Self::Purchases { transactions, amounts },
                Self::Purchases { transactions: new, amounts: new_amounts },
            ) => {
                let amounts = match (amounts, new_amounts) {
                    (Some(old), Some(new)) => Some(better(old, new)),
                    (old, new) => new.or(old),
                };
                Self::Purchases { transactions: better(transactions, new), amounts }
            }
            (Self::Usage(old), Self::Usage(new)) => Self::Usage(better(old, new)),
            (_, new) => new,
        }
    }

    #[must_use]
    pub fn model(&self) -> Model {
        match self {
            Self::Purchases { transactions, amounts } => Model::Purchases {
                transactions: transactions.parameters,
                amounts: amounts.map(|fitted| fitted.parameters),
            },
            Self::Usage(fitted) => Model::Usage(fitted.parameters),
        }
    }

    /// Were there too few observations of purchases, or usage?
    #[must_use]
    pub fn is_provisional(&self) -> bool {
        match self {
            Self::Purchases { transactions, .. } => transactions.provisional,
            Self::Usage(fitted) => fitted.provisional,
        }
    }

    /// Are all parameters that the rules need known?
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
            Self::Purchases { transactions, .. } => transactions.log_likelihood,
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

    /// A fit with this r, and this q of its amounts; whether each is provisional.
    fn fit((r, transactions): (f64, bool), amounts: Option<(f64, bool)>) -> Fit {
        let amounts = amounts.map(|(q, provisional)| of(GammaGamma { p: 6.0, q, v: 15.0 }, provisional));
        Fit::Purchases { transactions: of(MbgNbd { r, alpha_days: 40.0, a: 0.9, b: 1.6 }, transactions), amounts }
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
