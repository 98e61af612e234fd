//! Week by week over CDNOW: parameters and corrections from the past only, probabilities for the next 13 weeks, and
//! what came of them.

use super::cdnow::{self, PurchaseList};
use crate::churn::fit::{self, Observed};
use crate::churn::{Customer, Evidence, MbgNbd, Outcome, Purchases, Recalibration, SNAPSHOTS_MAX, quality};

const WEEK: i32 = 7;
const HORIZON: i32 = 13 * WEEK;

/// The weeks that are scored; parameters are fitted from the first week on.
const SCORED: std::ops::RangeInclusive<i32> = 13..=65;

/// The week from which on enough has matured to learn a correction from: two snapshots, the second one 13 weeks old.
const LEARNT_FROM: i32 = 17;

/// AUC, Brier score and ECE, and how many weeks they are the mean of.
#[derive(Default, Debug)]
struct Means {
    sums: [f64; 3],
    weeks: f64,
}

impl Means {
    fn add(&mut self, scored: &[(f64, bool)]) {
        let figures = [quality::auc(scored), quality::brier(scored), quality::ece(scored)];
        for (sum, figure) in self.sums.iter_mut().zip(figures) {
            *sum += figure.unwrap();
        }
        self.weeks += 1.0;
    }

    fn means(&self) -> [f64; 3] {
        self.sums.map(|sum| sum / self.weeks)
    }
}

/// One customer before a day, and whether there is no purchase in the horizon after it.
fn seen(bought: &PurchaseList, now: i32) -> Option<(Purchases, bool)> {
    let past = Purchases::of(bought.iter().copied().take_while(|(day, _)| *day < now))?;
    Some((past, !bought.iter().any(|(day, _)| (now..now + HORIZON).contains(day))))
}

#[test]
fn refitted_each_week_on_the_past_the_model_predicts_the_next_thirteen_weeks() {
    let customers = cdnow::customers();
    let mut model: Option<MbgNbd> = None;
    let mut snapshots: Vec<Vec<Outcome>> = Vec::new();
    let [mut raw, mut raw_later, mut recalibration, mut learnt_later] = [(); 4].map(|()| Means::default());
    for week in 1..=*SCORED.end() {
        let now = week * WEEK;
        let rows: Vec<_> = customers.iter().filter_map(|bought| seen(bought, now)).collect();
        let age = |past: &Purchases| f64::from(now - past.first_day);
        let observed = |(past, _): &(Purchases, bool)| Observed { seen: past.repeats(), age_days: age(past) };
        let observed: Vec<Observed> = rows.iter().map(observed).collect();
        model = fit::mbg_nbd(&observed, model).map(|fitted| fitted.parameters).ok().or(model);
        let model = model.unwrap();
        let outcome = |(past, none): &(Purchases, bool)| {
            let customer = Customer::buying(model, past);
            Outcome { evidence: Evidence::of(&customer, age(past), f64::from(HORIZON)), none: *none }
        };
        let outcomes: Vec<Outcome> = rows.iter().map(outcome).collect();
        let matured = snapshots.len().saturating_sub((HORIZON / WEEK - 1).cast_unsigned() as usize);
        let correction = Recalibration::fit(&snapshots[matured.saturating_sub(SNAPSHOTS_MAX)..matured]);
        let scored = |by: Recalibration| -> Vec<_> {
            outcomes.iter().map(|outcome| (by.p_none(&outcome.evidence), outcome.none)).collect()
        };
        if SCORED.contains(&week) {
            raw.add(&scored(Recalibration::NONE));
            recalibration.add(&scored(correction.unwrap_or(Recalibration::NONE)));
        }
        if week >= LEARNT_FROM {
            raw_later.add(&scored(Recalibration::NONE));
            learnt_later.add(&scored(correction.unwrap_or(Recalibration::NONE)));
        }
        snapshots.push(outcomes);
    }
    for (name, means) in
        [("raw", &raw), ("learnt", &recalibration), ("raw later", &raw_later), ("learnt later", &learnt_later)]
    {
        println!("{name}: AUC, Brier, ECE {:.4?} over {} weeks", means.means(), means.weeks);
    }
    let [auc, brier, ece] = raw.means();
    assert!(auc >= 0.76 && brier <= 0.116 && ece <= 0.03, "{raw:?}");
    let [auc, brier, ece] = recalibration.means();
    assert!(auc >= 0.773 && brier <= 0.1155 && ece <= 0.035, "{recalibration:?}");
    let [auc, brier, ece] = learnt_later.means();
    assert!(auc >= 0.78 && brier <= 0.114 && ece <= 0.035, "{learnt_later:?}");
    // A fitted correction must improve the predictions.
    assert!(auc > raw_later.means()[0] + 0.008 && brier <= raw_later.means()[1], "{raw_later:?} {learnt_later:?}");
}
