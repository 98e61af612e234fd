//! What others have published of the same data, the CDNOW sample over 39 weeks, and what another implementation of the
//! same models has measured on the 39 weeks after them.

use super::cdnow;
use crate::churn::fit::{self, Fitted, Observed};
use crate::churn::minimum::minimise;
use crate::churn::special::{exp, ln, ln_1p_exp, ln_beta, ln_gamma};
use crate::churn::{Customer, GammaGamma, Levels, MbgNbd, Purchases, Repeats, Spent, quality};

/// The day after which the published figures look no further: 30 September 1997.
const LAST_DAY: i32 = 272;

const WEEK_DAYS: f64 = 7.0;

/// MBG/NBD as fitted, alpha in days.
const FITTED: MbgNbd = MbgNbd { r: 0.52484, alpha_days: 6.18309 * WEEK_DAYS, a: 0.89136, b: 1.614 };

fn purchases() -> Vec<Purchases> {
    let until = |bought: cdnow::PurchaseList| Purchases::of(bought.into_iter().take_while(|(day, _)| *day <= LAST_DAY));
    cdnow::customers().into_iter().filter_map(until).collect()
}

fn observed() -> Vec<Observed> {
    let observed = |p: &Purchases| Observed { seen: p.repeats(), age_days: f64::from(LAST_DAY - p.first_day) };
    purchases().iter().map(observed).collect()
}

/// A log-likelihood of times in weeks: each purchase is a density, so the unit counts once for each.
fn in_weeks(log_likelihood: f64) -> f64 {
    let repeats: f64 = observed().iter().map(|o| o.seen.x).sum();
    log_likelihood + repeats * ln(WEEK_DAYS)
}

fn assert_printed(printed: &[&str], values: &[f64]) {
    for (printed, value) in printed.iter().zip(values) {
        let places = printed.split_once('.').map_or(0, |(_, places)| places.len());
        assert_eq!(*printed, format!("{value:.places$}"));
    }
}

#[test]
fn the_sample_is_the_one_that_was_published() {
    let customers = purchases();
    assert_eq!(customers.len(), 2_357);
    assert_eq!(customers.iter().map(|p| p.repeats).sum::<u32>(), 2_457);
    // The first line of the published table: 1, 2, 30.43, 38.86, 22.35, times in weeks.
    let first = &customers[0];
    assert_eq!((first.repeats, first.first_day), (2, 0));
    assert_printed(&["30.43", "22.345"], &[first.repeats().t_x / WEEK_DAYS, first.mean_repeat_amount().unwrap()]);
}

/// BG/NBD is not in use; its published parameters check the data, the functions and the search.
#[test]
fn the_search_finds_the_published_bg_nbd() {
    let observed = observed();
    let log_likelihood = |[r, alpha, a, b]: [f64; 4]| {
        let of = |o: &Observed| {
            let (x, t_x, t) = (o.seen.x, o.seen.t_x / WEEK_DAYS, o.age_days / WEEK_DAYS);
            let common = ln_gamma(r + x) - ln_gamma(r) + r * ln(alpha) - ln_beta(a, b);
            let alive = ln_beta(a, b + x) - (r + x) * ln(alpha + t);
            if x == 0.0 {
                return common + alive;
            }
            let dead = ln_beta(a + 1.0, b + x - 1.0) - (r + x) * ln(alpha + t_x);
            common + alive + ln_1p_exp(dead - alive)
        };
        observed.iter().map(of).sum::<f64>()
    };
    let found = minimise([0.0; 4], 0.5, |logs| -log_likelihood(logs.map(exp)));
    let [r, alpha, a, b] = found.point.map(exp);
    assert_printed(&["0.243", "4.414", "0.793", "2.426", "-9582.4"], &[r, alpha, a, b, -found.value]);
    assert_printed(&["0.24259", "4.4136", "0.79292", "2.42591", "-9582.429"], &[r, alpha, a, b, -found.value]);
}

#[test]
fn mbg_nbd_is_fitted_to_the_parameters_that_others_find() {
    let Fitted { parameters: MbgNbd { r, alpha_days, a, b }, log_likelihood, rows, provisional } =
        fit::mbg_nbd(&observed(), None).unwrap();
    assert_eq!((rows, provisional), (2_357, false));
    let found = [r, alpha_days / WEEK_DAYS, a, b, in_weeks(log_likelihood)];
    assert_printed(&["0.5248", "6.183", "0.8914", "1.6140", "-9582.136"], &found);
    assert_printed(&["0.52484", "6.1831", "0.89136", "1.6140"], &found);
}

#[test]
fn gamma_gamma_is_fitted_to_the_published_parameters() {
    let spent = |p: &Purchases| p.mean_repeat_amount().map(|mean| Spent { x: f64::from(p.repeats), mean });
    let spent: Vec<Spent> = purchases().iter().filter_map(spent).collect();
    let fitted = fit::gamma_gamma(&spent, None).unwrap();
    let GammaGamma { p, q, v } = fitted.parameters;
    assert_eq!((fitted.rows, fitted.provisional), (946, false));
    assert_printed(&["6.25", "3.74", "15.44", "-4055.918"], &[p, q, v, fitted.log_likelihood]);
    assert_printed(&["6.2496", "3.7442", "15.4435"], &[p, q, v]);
    assert_printed(&["35.17"], &[fitted.parameters.expected_amount(Spent { x: 0.0, mean: 0.0 })]);
}

#[test]
fn a_warm_start_ends_where_a_cold_one_does() {
    let observed = observed();
    let cold = fit::mbg_nbd(&observed, None).unwrap();
    let warm = fit::mbg_nbd(&observed, Some(MbgNbd { r: 1.0, alpha_days: 60.0, a: 0.4, b: 2.0 })).unwrap();
    assert!((cold.log_likelihood - warm.log_likelihood).abs() < 1e-7);
    assert!((cold.parameters.alpha_days / warm.parameters.alpha_days - 1.0).abs() < 1e-4);
}

#[test]
fn the_order_of_customers_does_not_matter_to_the_fit() {
    let mut observed = observed();
    let forwards = fit::mbg_nbd(&observed, None);
    observed.reverse();
    assert_eq!(forwards, fit::mbg_nbd(&observed, None));
}

/// Probability of no purchase in the 39 weeks after, and whether there was none.
fn held_out(score: impl Fn(&Customer, f64) -> f64) -> Vec<(f64, bool)> {
    let model = fit::mbg_nbd(&observed(), None).unwrap().parameters;
    let scored = |bought: &cdnow::PurchaseList| {
        let past = Purchases::of(bought.iter().copied().take_while(|(day, _)| *day <= LAST_DAY)).unwrap();
        let at = f64::from(LAST_DAY - past.first_day);
        (score(&Customer::buying(model, &past), at), bought.iter().all(|(day, _)| *day <= LAST_DAY))
    };
    cdnow::customers().iter().map(scored).collect()
}

#[test]
fn p_none_ranks_and_calibrates_the_weeks_after() {
    let scored = held_out(|customer, at| customer.p_none(at, 39.0 * WEEK_DAYS));
    let returns: Vec<_> = scored.iter().map(|(p, none)| (1.0 - p, !none)).collect();
    let base = scored.iter().filter(|(_, none)| *none).count() as f64 / scored.len() as f64;
    let figures = [
        base,
        quality::auc(&scored).unwrap(),
        quality::average_precision(&returns).unwrap(),
        quality::brier(&scored).unwrap(),
        quality::ece(&scored).unwrap(),
    ];
    assert_printed(&["0.7098", "0.760", "0.637", "0.1614", "0.050"], &figures);
    let bins = quality::calibration(&scored).map(|bin| format!("{:.2}/{:.2} {}", bin.predicted, bin.observed, bin.n));
    let others = [
        "0.07/0.06 18",
        "0.16/0.16 57",
        "0.25/0.13 54",
        "0.36/0.26 103",
        "0.45/0.35 68",
        "0.55/0.50 163",
        "0.65/0.53 131",
        "0.76/0.59 125",
        "0.87/0.85 1587",
        "0.94/0.61 51",
    ];
    assert_eq!(bins, others);
}

#[test]
fn being_dead_is_a_worse_forecast_of_no_purchase_than_p_none() {
    let scored = held_out(|customer, at| 1.0 - customer.alive(at).unwrap());
    assert_printed(
        &["0.687", "0.2057", "0.183"],
        &[quality::auc(&scored).unwrap(), quality::brier(&scored).unwrap(), quality::ece(&scored).unwrap()],
    );
}

#[test]
fn one_time_buyers_can_be_dead_and_new_ones_are_a_risk() {
    let once = Repeats { x: 0.0, t_x: 0.0 };
    assert_printed(&["0.390", "0.713"], &[FITTED.alive(once, 38.86 * WEEK_DAYS), FITTED.p_none(once, 0.0, 90.0)]);
}

#[test]
fn levels_are_reached_after_the_silence_that_others_have_found() {
    let levels =
        Levels { horizon_days: 90.0, thresholds: &[0.8, 0.9, 0.95], min_silence_days: 0.0, recalibration: None };
    let days = |x: f64, t_x: f64| {
        let customer = Customer::Purchases(FITTED, Repeats { x, t_x });
        let silence = |level| levels.reached_at(&customer, level, 0).unwrap() as f64 / 86_400_000.0 - t_x;
        [1, 2, 3].map(|level| silence(level).round())
    };
    assert_eq!(days(0.0, 0.0), [29.0, 116.0, 262.0]);
    assert_eq!(days(5.0, 150.0), [139.0, 190.0, 242.0]);
    assert_eq!(days(20.0, 300.0), [85.0, 102.0, 119.0]);
}
