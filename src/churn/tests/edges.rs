//! Customers at the edge of what the models are for: sensible numbers all the same.

use crate::churn::{
    Customer, Discounting, Fgp, GammaGamma, Levels, MbgNbd, Memories, Purchases, Repeats, Spent, Usage, days_since, fit,
};

/// As fitted to CDNOW.
const SHOP: MbgNbd = MbgNbd { r: 0.52484, alpha_days: 43.28, a: 0.89136, b: 1.614 };

const LEVELS: Levels<'_> =
    Levels { horizon_days: 90.0, thresholds: &[0.8, 0.9, 0.95], min_silence_days: 14.0, recalibration: None };

/// Rather like a tool of daily work.
const USE: Fgp = Fgp { r: 0.05, alpha_days: 5.0, tau_days: 30.0 };

const DAY_MS: i64 = 86_400_000;

#[test]
fn ten_thousand_orders_are_one_customer_like_another() {
    let days = (0..10_000).map(|day| (day, 12_500_000));
    let busy = Purchases::of(days).unwrap();
    assert_eq!((busy.repeats, busy.mean_repeat_amount()), (9_999, Some(12.5)));
    let customer = Customer::buying(SHOP, &busy);
    let last = customer.last();
    assert!(customer.p_none(last, 90.0) < 1e-3 && customer.p_none(last + 30.0, 90.0) > 0.999);
    assert!((customer.expected(last, 90.0) - 90.0).abs() < 1.0);
    let high = LEVELS.next(&customer, 0, last as i64 * DAY_MS).unwrap();
    // Two weeks without a purchase are much for such a customer, so the shortest silence decides, and all levels are passed.
    assert_eq!((high.level, high.at_ms), (3, (last as i64 + 14) * DAY_MS));
    assert_eq!(customer.usual_gap(), Some(1.0));
}

#[test]
fn purchases_at_one_time_are_one_and_late_ones_find_their_place() {
    let mut bought = Purchases::of([(7, 10), (7, 5), (9, 1), (9, 1)]).unwrap();
    assert_eq!(bought, Purchases { first_day: 7, last_day: 9, repeats: 1, first_amount: 15, amount: 17 });
    bought.count(3, 100);
    assert_eq!(bought, Purchases { first_day: 3, last_day: 9, repeats: 2, first_amount: 100, amount: 117 });
    bought.add(3, 1);
    bought.add(7, 1);
    assert_eq!((bought.first_amount, bought.amount), (101, 119));
    let far = Purchases::of([(i32::MIN, i128::MAX), (i32::MAX, i128::MAX)]).unwrap();
    assert!(SHOP.p_none(far.repeats(), 1e10, 90.0) <= 1.0);
}

#[test]
fn an_event_after_the_present_is_at_the_present() {
    let seen = Repeats { x: 2.0, t_x: 40.0 };
    assert_eq!(SHOP.p_none(seen, 30.0, 90.0), SHOP.p_none(seen, 40.0, 90.0));
    assert_eq!(SHOP.alive(seen, 30.0), SHOP.alive(seen, 40.0));
    assert_eq!(SHOP.expected(seen, -5.0, 90.0), SHOP.expected(seen, 40.0, 90.0));
}

#[test]
fn refunds_and_gifts_lower_what_is_expected_but_never_below_nothing() {
    let model = GammaGamma { p: 6.25, q: 3.74, v: 15.44 };
    let amount = |x, mean| model.expected_amount(Spent { x, mean });
    assert_eq!(amount(3.0, -50.0), amount(3.0, 0.0));
    assert!(amount(3.0, 0.0) > 0.0 && amount(3.0, 0.0) < amount(3.0, 10.0));
    // Without repeat purchases there is no mean to differ by.
    assert_eq!(amount(0.0, 1e9), model.population_mean());
    let refunded = [Spent { x: 2.0, mean: -1.0 }, Spent { x: 1.0, mean: 0.0 }, Spent { x: 0.0, mean: 5.0 }];
    assert_eq!(fit::gamma_gamma(&refunded, None), Err(fit::Refused::NothingSeen));
}

#[test]
fn lifetime_value_is_what_the_months_bring_discounted() {
    let customer = Customer::Purchases(SHOP, Repeats { x: 2.0, t_x: 200.0 });
    let value = |months, discount| Discounting { margin: 0.3, discount, months }.lifetime_value(&customer, 230.0, 40.0);
    assert!((value(12, 0.0) - 0.3 * 40.0 * customer.expected(230.0, 360.0)).abs() < 1e-12);
    assert!((value(1, 0.25) - 0.3 * 40.0 * customer.expected(230.0, 30.0) / 1.25).abs() < 1e-12);
    assert!(value(12, 0.01) < value(12, 0.0) && value(0, 0.01) == 0.0);
}

#[test]
fn what_cannot_be_reached_in_ten_years_is_never_reached() {
    let seldom = MbgNbd { r: 3.0, alpha_days: 3_000.0, a: 0.01, b: 100.0 };
    let customer = Customer::Purchases(seldom, Repeats { x: 3.0, t_x: 900.0 });
    let hard = Levels { horizon_days: 1_000.0, thresholds: &[0.99], ..LEVELS };
    assert_eq!(hard.next(&customer, 0, 900 * DAY_MS), None);
    assert_eq!(LEVELS.reached_at(&customer, 4, 0), None);
    assert_eq!(LEVELS.next(&Customer::Purchases(SHOP, Repeats { x: 0.0, t_x: 0.0 }), 0, 2_000 * DAY_MS), None);
    // Use has a limit below 1 that no silence passes.
    let activity = Usage::first(0).activity(&USE, &Memories::default()).unwrap();
    let limit = ((USE.alpha_days + USE.tau_days) / (USE.alpha_days + USE.tau_days + 90.0)).powf(USE.r);
    let user = Customer::Usage(USE, activity);
    let reached =
        |threshold: f64| Levels { thresholds: &[threshold], min_silence_days: 0.0, ..LEVELS }.reached_at(&user, 1, 0);
    assert!(reached(limit - 1e-6).is_some());
    assert_eq!(reached(limit + 1e-6), None);
}

#[test]
fn no_threshold_is_reached_at_the_purchase_itself_while_silence_must_last() {
    let customer = Customer::Purchases(SHOP, Repeats { x: 0.0, t_x: 0.0 });
    let eager = Levels { thresholds: &[0.1, 0.2], ..LEVELS };
    assert_eq!(eager.level(&customer, 13.99), 0);
    assert_eq!(eager.reached_at(&customer, 1, 500), Some(500 + 14 * DAY_MS));
    assert_eq!(eager.next(&customer, 500, 500).map(|next| next.level), Some(2));
    let at_once = Levels { min_silence_days: 0.0, ..eager };
    assert_eq!(at_once.reached_at(&customer, 2, 500), Some(500));
    assert_eq!(at_once.next(&customer, 500, 500), None);
}

#[test]
fn active_days_count_the_same_in_any_order_and_as_the_formula_says() {
    let memories = Memories::default();
    let mut late = Usage::first(10);
    for day in [25, 11, 3] {
        late.count(day, &memories);
    }
    let usage = Usage::of([3, 3, 10, 11, 25], &memories).unwrap();
    assert_eq!((late.first_day, late.last_day), (3, 25));
    for (slot, tau) in memories.days().iter().enumerate() {
        let discounted: f64 = [22.0, 15.0, 14.0, 0.0_f64].iter().map(|past| (-past / tau).exp()).sum();
        assert!((usage.activity[slot] - discounted).abs() < 1e-14 && (late.activity[slot] - discounted).abs() < 1e-14);
    }
    let wanted = Fgp { tau_days: 45.0, ..USE };
    assert_eq!(usage.activity(&wanted, &memories), None);
    let memories = Memories::with(45.0);
    assert_eq!(memories.days(), &[7.0, 14.0, 45.0, 60.0, 120.0, 365.0]);
    assert!(usage.activity(&wanted, &memories).is_some());
}

#[test]
fn every_day_of_use_is_a_gap_of_a_day() {
    let usage = Usage::of(0..200, &Memories::default()).unwrap();
    let customer = Customer::using(USE, &usage, &Memories::default()).unwrap();
    assert!((customer.usual_gap().unwrap() - 1.0).abs() < 0.02);
    assert_eq!(Customer::using(USE, &Usage::first(0), &Memories::default()).unwrap().usual_gap(), None);
}

#[test]
fn instants_are_days_since_the_first_day() {
    assert_eq!(days_since(1_000, 1_000 + 36 * 3_600_000), 1.5);
    assert!(days_since(i64::MIN, i64::MAX).is_finite());
    assert_eq!(
        LEVELS.reached_at(&Customer::Purchases(SHOP, Repeats { x: 0.0, t_x: 0.0 }), 0, i64::MAX),
        Some(i64::MAX)
    );
}
