//! What holds for any customer under any parameters.

use proptest::prelude::*;

use crate::churn::{Activity, Customer, Fgp, Levels, MbgNbd, Recalibration, Repeats, SILENCE_MAX_DAYS, days_since};

const DAY_MS: i64 = 86_400_000;

/// A number whose logarithm is uniform.
fn spread(least: f64, most: f64) -> impl Strategy<Value = f64> {
    (least.ln()..most.ln()).prop_map(f64::exp)
}

prop_compose! {
    fn buyer()(
        r in spread(1e-3, 1e3),
        alpha_days in spread(1e-3, 1e6),
        a in spread(1e-3, 1e4),
        b in spread(1e-3, 1e4),
        x in prop_oneof![Just(0.0), (1..100_u32).prop_map(f64::from), (1..100_000_u32).prop_map(f64::from)],
        t_x in 0..4_000_u32,
    ) -> Customer {
        Customer::Purchases(MbgNbd { r, alpha_days, a, b }, Repeats { x, t_x: if x > 0.0 { f64::from(t_x) } else { 0.0 } })
    }
}

prop_compose! {
    fn user()(
        r in spread(1e-3, 1e3),
        alpha_days in spread(1e-3, 1e6),
        tau_days in spread(1.0, 400.0),
        x in spread(1.0, 400.0),
        t_x in 0..4_000_u32,
    ) -> Customer {
        Customer::Usage(Fgp { r, alpha_days, tau_days }, Activity { x, t_x: f64::from(t_x) })
    }
}

fn customer() -> impl Strategy<Value = Customer> {
    prop_oneof![buyer(), user()]
}

/// One that rises with silence.
fn correction() -> impl Strategy<Value = Option<Recalibration>> {
    let weights = (-2.0..2.0, 0.0..2.0, prop_oneof![Just(0.0), 0.0..1.0], -1.0..1.0, -1.0..1.0);
    let correction = weights.prop_map(|(w0, w1, w2, w3, w4)| Recalibration { weights: [w0, w1, w2, w3, w4] });
    proptest::option::of(correction)
}

/// Not below, but for the last digits.
fn rises(from: f64, to: f64) -> bool {
    to >= from * (1.0 - 1e-12)
}

proptest! {
    #[test]
    fn probabilities_are_probabilities_and_rise_with_silence_and_horizon(
        customer in customer(), silence in 0.0..4_000.0, more in 0.0..400.0, horizon in 0.1..400.0,
    ) {
        let at = customer.last() + silence;
        let p = customer.p_none(at, horizon);
        prop_assert!((0.0..=1.0).contains(&p));
        prop_assert!(rises(p, customer.p_none(at + more, horizon)));
        prop_assert!(rises(customer.p_none(at, horizon + more), p));
        if let Some(alive) = customer.alive(at) {
            prop_assert!((0.0..=1.0).contains(&alive) && rises(customer.alive(at + more).unwrap(), alive));
            prop_assert!(p >= 1.0 - alive - 1e-12);
        }
    }

    #[test]
    fn what_is_expected_is_no_less_than_the_chance_of_anything_and_grows_with_time(
        customer in customer(), silence in 0.0..4_000.0, days in 0.1..400.0, more in 0.0..400.0,
    ) {
        let at = customer.last() + silence;
        let expected = customer.expected(at, days);
        prop_assert!(expected.is_finite() && expected >= 0.0);
        prop_assert!(rises(expected, customer.expected(at, days + more)));
        prop_assert!(expected >= (1.0 - customer.p_none(at, days)) * (1.0 - 1e-9) - 1e-15);
        prop_assert_eq!(customer.expected(at, 0.0), 0.0);
    }

    /// An identity of any model of purchases, so it tests the probability and the likelihood by each other.
    #[test]
    fn p_none_is_the_ratio_of_the_likelihoods_after_and_before(
        customer in buyer(), silence in 0.0..4_000.0, horizon in 0.1..400.0,
    ) {
        let Customer::Purchases(model, seen) = customer else { unreachable!() };
        let at = seen.t_x + silence;
        let (before, after) = (model.log_likelihood(seen, at), model.log_likelihood(seen, at + horizon));
        let scale = 1.0 + before.abs() + (model.r + seen.x) * (model.alpha_days + at).ln().abs();
        prop_assert!((after - before - model.p_none(seen, at, horizon).ln()).abs() < 1e-12 * scale);
    }

    #[test]
    fn the_slope_of_the_logit_is_that_of_its_chord(customer in customer(), silence in 1.0..400.0, horizon in 0.1..400.0) {
        let at = customer.last() + silence;
        let step = silence * 1e-5;
        let (low, high) = (customer.logit(at - step, horizon).0, customer.logit(at + step, horizon).0);
        let (logit, slope) = customer.logit(at, horizon);
        // Where the logit hardly moves, the chord is made of rounding errors.
        let noise = 1e-14 * (1.0 + logit.abs()) / step;
        let chord: f64 = (high - low) / (2.0 * step);
        prop_assert!(logit.abs() > 600.0 || (chord - slope).abs() <= 1e-4 * slope + noise);
    }

    #[test]
    fn a_level_begins_at_the_very_millisecond_of_its_crossing(
        customer in customer(),
        correction in correction(),
        thresholds in proptest::collection::vec(0.01..0.999, 1..=5),
        min_silence_days in prop_oneof![Just(0.0), 0.0..60.0],
        horizon_days in 1.0..400.0,
        origin_ms in 0..2_000_000_000_000_i64,
        silence_ms in 0..400 * DAY_MS,
    ) {
        let mut thresholds = thresholds;
        thresholds.sort_by(f64::total_cmp);
        let levels = Levels { horizon_days, thresholds: &thresholds, min_silence_days, recalibration: correction.as_ref() };
        let at = |ms| days_since(origin_ms, ms);
        let last_ms = origin_ms + (customer.last() * DAY_MS as f64) as i64;
        let reached: Vec<_> = (1..=thresholds.len()).map(|level| levels.reached_at(&customer, level, origin_ms)).collect();
        for (index, reached) in reached.iter().enumerate() {
            let Some(ms) = *reached else {
                let end = customer.last() + SILENCE_MAX_DAYS;
                prop_assert!(levels.level(&customer, end) <= index);
                continue;
            };
            prop_assert!(levels.level(&customer, at(ms)) > index);
            prop_assert!(ms == last_ms || levels.level(&customer, at(ms - 1)) <= index);
        }
        // None stands for never, which is later than any time.
        prop_assert!(reached.is_sorted_by_key(|reached| reached.unwrap_or(i64::MAX)));

        let now_ms = last_ms + silence_ms;
        let level = levels.level(&customer, at(now_ms));
        let next = levels.next(&customer, origin_ms, now_ms);
        prop_assert_eq!(next.map(|next| next.at_ms), reached.get(level).copied().flatten());
        if let Some(next) = next {
            prop_assert!(next.at_ms > now_ms && next.level > level);
            prop_assert_eq!(next.level, levels.level(&customer, at(next.at_ms)));
        }
    }
}
