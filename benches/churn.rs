//! The models of churn alone on one core: what a timer, a score and a refit cost.
//!
//!     cargo bench --bench churn
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and fails by panicking")]

#[path = "../src/churn/tests/cdnow.rs"]
mod cdnow;
#[path = "support/table.rs"]
#[expect(dead_code, reason = "here less is always better")]
mod table;

use std::hint::black_box;
use std::time::Instant;

use cohortd::churn::{
    Activity, Customer, Discounting, Evidence, Fgp, Levels, MbgNbd, Outcome, Purchases, Recalibration, Spent, fit,
};
use table::{Table, Target};

const LAST_DAY: i32 = 272;
/// About as fitted to the first year of CDNOW.
const LEARNT: Recalibration = Recalibration { weights: [0.1, 0.5, 0.2, -0.6, 0.05] };
const USE: Fgp = Fgp { r: 0.05, alpha_days: 5.0, tau_days: 30.0 };

/// Seconds that each of `of` takes, in the best of some rounds: others use the machine, too.
fn seconds<T, R>(of: &[T], mut run: impl FnMut(&T) -> R) -> f64 {
    let round = |_| {
        let begun = Instant::now();
        for item in of {
            black_box(run(black_box(item)));
        }
        begun.elapsed().as_secs_f64() / of.len() as f64
    };
    (0..7).map(round).fold(f64::INFINITY, f64::min)
}

fn main() {
    let bought = cdnow::customers();
    let until = |day: i32| -> Vec<Purchases> {
        let past =
            |bought: &cdnow::PurchaseList| Purchases::of(bought.iter().copied().take_while(|(on, _)| *on <= day));
        bought.iter().filter_map(past).collect()
    };
    let purchases = until(LAST_DAY);
    let age = |p: &Purchases| f64::from(LAST_DAY - p.first_day);
    let observed: Vec<_> = purchases.iter().map(|p| fit::Observed { seen: p.repeats(), age_days: age(p) }).collect();
    let spent: Vec<_> = purchases
        .iter()
        .filter_map(|p| p.mean_repeat_amount().map(|mean| Spent { x: f64::from(p.repeats), mean }))
        .collect();
    let model = fit::mbg_nbd(&observed, None).unwrap().parameters;
    let amounts = fit::gamma_gamma(&spent, None).unwrap().parameters;
    let drifted = MbgNbd { r: model.r * 1.02, alpha_days: model.alpha_days * 1.05, ..model };

    let mut table = Table::default();
    let mut millis = |what: &str, target, run: &dyn Fn()| {
        table.add(what, target, seconds(&[()], |()| run()) * 1e3, " ms");
    };
    millis("MBG/NBD, 2,357 customers, cold", Target::AtMost(300.0), &|| {
        black_box(fit::mbg_nbd(black_box(&observed), None)).unwrap();
    });
    millis("MBG/NBD, 2,357 customers, from last week's", Target::AtMost(300.0), &|| {
        black_box(fit::mbg_nbd(black_box(&observed), Some(drifted))).unwrap();
    });
    millis("Gamma-Gamma, 946 customers, cold", Target::None, &|| {
        black_box(fit::gamma_gamma(black_box(&spent), None)).unwrap();
    });
    let snapshots: Vec<Vec<Outcome>> = (0..8).map(|i| outcomes(&bought, model, 120 + 7 * i)).collect();
    millis("recalibration, 8 snapshots", Target::None, &|| {
        black_box(Recalibration::fit(black_box(&snapshots)));
    });

    let customers: Vec<_> = purchases.iter().map(|p| (Customer::buying(model, p), age(p), *p)).collect();
    let users: Vec<_> = purchases
        .iter()
        .map(|p| {
            let activity = Activity { x: 1.0 + f64::from(p.repeats), t_x: p.repeats().t_x };
            (Customer::Usage(USE, activity), age(p), *p)
        })
        .collect();
    let levels = Levels {
        horizon_days: 90.0,
        thresholds: &[0.8, 0.9, 0.95, 0.98, 0.99],
        min_silence_days: 14.0,
        recalibration: None,
    };
    let corrected = Levels { recalibration: Some(&LEARNT), ..levels };
    let mut micros =
        |what: &str, target, of: &[(Customer, f64, Purchases)], run: &dyn Fn(&(Customer, f64, Purchases))| {
            table.add(what, target, seconds(of, run) * 1e6, " us");
        };
    // Asked at the last purchase, when most have all levels before them.
    let next = |levels: Levels<'static>| {
        move |(customer, _, _): &(Customer, f64, Purchases)| {
            black_box(levels.next(customer, 0, (customer.last() * 86_400_000.0) as i64));
        }
    };
    micros("next of 5 levels, purchases", Target::AtMost(5.0), &customers, &next(levels));
    micros("next of 5 levels, recalibrated", Target::AtMost(5.0), &customers, &next(corrected));
    micros("next of 5 levels, use", Target::AtMost(5.0), &users, &next(levels));
    micros("p_none", Target::None, &customers, &|(customer, at, _)| {
        black_box(customer.p_none(*at, 90.0));
    });
    micros("purchases expected in 360 days", Target::None, &customers, &|(customer, at, _)| {
        black_box(customer.expected(*at, 360.0));
    });
    micros("lifetime value", Target::None, &customers, &|(customer, at, p)| {
        let mean = p.mean_repeat_amount().unwrap_or_default();
        let amount = amounts.expected_amount(Spent { x: f64::from(p.repeats), mean });
        black_box(Discounting::default().lifetime_value(customer, *at, amount));
    });
    table.print("churn alone");
}

/// Each customer's outcome in the 90 days after a day.
fn outcomes(bought: &[cdnow::PurchaseList], model: MbgNbd, day: i32) -> Vec<Outcome> {
    let outcome = |bought: &cdnow::PurchaseList| {
        let past = Purchases::of(bought.iter().copied().take_while(|(on, _)| *on <= day))?;
        let evidence = Evidence::of(&Customer::buying(model, &past), f64::from(day - past.first_day), 90.0);
        Some(Outcome { evidence, none: !bought.iter().any(|(on, _)| (day + 1..=day + 90).contains(on)) })
    };
    bought.iter().filter_map(outcome).collect()
}
