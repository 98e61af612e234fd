//! Fits of shops that were drawn, of shops with hardly anyone, and of shops that no model fits.

use super::draw::Draw;
use crate::churn::fit::{self, LabeledUsage, Observed, Refused};
use crate::churn::{Customer, MbgNbd, Memories, Repeats, Spent, Usage, quality};

fn once(age_days: f64) -> Observed {
    Observed { seen: Repeats { x: 0.0, t_x: 0.0 }, age_days }
}

fn often(x: f64, t_x: f64, age_days: f64) -> Observed {
    Observed { seen: Repeats { x, t_x }, age_days }
}

fn assert_sensible(model: MbgNbd) {
    assert!(model.is_sound(), "{model:?}");
    for seen in [Repeats { x: 0.0, t_x: 0.0 }, Repeats { x: 5.0, t_x: 150.0 }] {
        let p = [0.0, 30.0, 300.0].map(|silence| model.p_none(seen, seen.t_x + silence, 90.0));
        assert!(p[0] > 0.0 && p[0] < p[1] && p[1] < p[2] && p[2] <= 1.0, "{model:?}: {p:?}");
    }
}

/// Customers of so many days, who buy at rates that vary exponentially, one in fifty days on average, and die after a
/// purchase with probabilities that vary evenly: r = 1, alpha = 50, a = b = 1.
fn drawn(draw: &mut Draw, customers: u32, age_days: f64) -> Vec<Observed> {
    let customer = |_| {
        let (rate, dies) = (draw.wait(1.0 / 50.0), draw.next());
        let mut seen = Repeats { x: 0.0, t_x: 0.0 };
        let mut now = 0.0;
        while draw.next() > dies {
            now += draw.wait(1.0 / rate);
            if now > age_days {
                break;
            }
            seen = Repeats { x: seen.x + 1.0, t_x: now };
        }
        Observed { seen, age_days }
    };
    (0..customers).map(customer).collect()
}

#[test]
fn the_parameters_from_which_a_shop_was_drawn_are_found_again() {
    let fitted = fit::mbg_nbd(&drawn(&mut Draw(7), 20_000, 500.0), None).unwrap();
    let MbgNbd { r, alpha_days, a, b } = fitted.parameters;
    assert!(!fitted.provisional);
    for (found, truth) in [(r, 1.0), (alpha_days, 50.0), (a, 1.0), (b, 1.0)] {
        assert!((found / truth - 1.0).abs() < 0.15, "{fitted:?}");
    }
}

#[test]
fn parameters_are_provisional_until_half_a_year_and_two_hundred_repeats() {
    let mut customers = drawn(&mut Draw(8), 4_000, 182.0);
    let provisional = |customers: &[Observed]| fit::mbg_nbd(customers, None).unwrap().provisional;
    assert!(!provisional(&customers));
    let mut repeats = 0.0;
    let few: Vec<_> = customers
        .iter()
        .copied()
        .take_while(|customer| {
            repeats += customer.seen.x;
            repeats < 200.0
        })
        .collect();
    assert!(provisional(&few));
    for customer in &mut customers {
        customer.age_days = 181.0;
        customer.seen.t_x = customer.seen.t_x.min(181.0);
    }
    assert!(provisional(&customers));
}

#[test]
fn from_wherever_a_fit_starts_it_ends_at_the_same_place() {
    let customers = drawn(&mut Draw(9), 2_000, 300.0);
    let cold = fit::mbg_nbd(&customers, None).unwrap();
    let absurd = MbgNbd { r: 900.0, alpha_days: 0.01, a: 9_000.0, b: 0.002 };
    let warm = fit::mbg_nbd(&customers, Some(absurd)).unwrap();
    assert!((warm.log_likelihood - cold.log_likelihood).abs() < 1e-5, "{warm:?} {cold:?}");
    let unsound = MbgNbd { r: f64::NAN, ..absurd };
    assert_eq!(fit::mbg_nbd(&customers, Some(unsound)), Ok(cold));
}

#[test]
fn where_the_data_push_a_parameter_to_its_bound_it_is_held_and_provisional() {
    // Nobody ever dies, and in the second shop everyone buys at the same pace, too.
    let apace = |i: u32| often(f64::from(i % 20 + 5), 270.0 + f64::from(i % 30), 300.0);
    let alike = |_| often(10.0, 290.0, 300.0);
    for customers in [(0..500).map(apace).collect::<Vec<_>>(), (0..500).map(alike).collect()] {
        let fitted = fit::mbg_nbd(&customers, None).unwrap();
        assert!(fitted.provisional);
        assert_sensible(fitted.parameters);
    }
}

#[test]
fn nobody_teaches_nothing() {
    assert_eq!(fit::mbg_nbd(&[], None), Err(Refused::NothingSeen));
    assert_eq!(fit::mbg_nbd(&[once(0.0), once(0.0)], None), Err(Refused::NothingSeen));
    assert_eq!(fit::gamma_gamma(&[], None), Err(Refused::NothingSeen));
    assert_eq!(fit::fgp(&[], 28.0, &Memories::default(), None), Err(Refused::NothingSeen));
}

#[test]
fn one_customer_and_fifty_give_provisional_parameters() {
    for customers in [vec![often(3.0, 60.0, 90.0)], vec![once(90.0)]] {
        let fitted = fit::mbg_nbd(&customers, None).unwrap();
        assert!(fitted.provisional);
        assert_sensible(fitted.parameters);
    }
    let customer = |i: u32| match i % 3 {
        0 => often(f64::from(i % 7 + 1), f64::from(10 * i % 200 + 20), 300.0),
        _ => once(f64::from(i * 6 + 1)),
    };
    let fitted = fit::mbg_nbd(&(0..50).map(customer).collect::<Vec<_>>(), None).unwrap();
    assert!(fitted.provisional);
    assert_sensible(fitted.parameters);
}

#[test]
fn a_shop_of_one_time_buyers_only_is_provisional_however_large() {
    let customers: Vec<_> = (0..3_000).map(|i| once(f64::from(i % 400))).collect();
    let fitted = fit::mbg_nbd(&customers, None).unwrap();
    assert!(fitted.provisional);
    assert_sensible(fitted.parameters);
    assert!(fitted.parameters.p_none(Repeats { x: 0.0, t_x: 0.0 }, 1.0, 90.0) > 0.95);
}

#[test]
fn where_all_spend_the_same_all_are_expected_to() {
    let spent: Vec<_> = (1..300).map(|i| Spent { x: f64::from(i % 5 + 1), mean: 29.9 }).collect();
    let model = fit::gamma_gamma(&spent, None).unwrap().parameters;
    for x in [0.0, 1.0, 20.0] {
        assert!((model.expected_amount(Spent { x, mean: 29.9 }) - 29.9).abs() < 0.05, "{model:?}");
    }
}

#[test]
fn the_unit_of_money_changes_no_decision() {
    let spent = |unit: f64| -> Vec<_> {
        (1..300).map(|i| Spent { x: f64::from(i % 5 + 1), mean: unit * f64::from(i * 7919 % 101 + 1) }).collect()
    };
    let (units, cents) = (fit::gamma_gamma(&spent(1.0), None).unwrap(), fit::gamma_gamma(&spent(100.0), None).unwrap());
    let ratio = cents.parameters.population_mean() / units.parameters.population_mean();
    assert!((ratio - 100.0).abs() < 0.01 && (cents.parameters.p - units.parameters.p).abs() < 1e-3);
}

#[test]
fn outcomes_of_one_kind_are_provisional() {
    let memories = Memories::default();
    for none in [false, true] {
        let watched: Vec<_> =
            (1..300).map(|i| LabeledUsage { usage: Usage::first(0), at: f64::from(i), none }).collect();
        let fitted = fit::fgp(&watched, 28.0, &memories, None).unwrap();
        assert!(fitted.provisional && fitted.parameters.is_sound());
        let customer = Customer::using(fitted.parameters, &Usage::first(0), &memories).unwrap();
        assert_eq!(customer.p_none(10.0, 28.0) > 0.5, none);
    }
}

#[test]
fn a_sample_is_all_of_few_and_about_five_thousand_of_many() {
    // An odd multiplier visits all residues, evenly.
    let hash = |id: u64| id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let kept = |customers: u64| (0..customers).filter(|id| fit::in_sample(hash(*id), customers)).count();
    assert_eq!(kept(4_999), 4_999);
    assert!((4_900..5_100).contains(&kept(100_000)));
    assert!(!fit::in_sample(u64::MAX, u64::MAX));
}

/// People who come at their own pace, every two days to every two months, many of whom stop one day.
fn people(draw: &mut Draw, memories: &Memories, n: u32) -> Vec<LabeledUsage> {
    let person = |_| {
        let gap = 2.0 * (draw.next() * 3.4).exp();
        let stays = draw.wait(300.0);
        let mut days: Vec<i32> = Vec::new();
        let (start, mut now) = (draw.next() * 150.0, 0.0);
        while now < stays && start + now < 228.0 {
            days.push((start + now) as i32);
            now += draw.wait(gap);
        }
        let usage = Usage::of(days.iter().copied().filter(|day| *day < 200), memories).unwrap();
        LabeledUsage { usage, at: f64::from(200 - usage.first_day), none: days.iter().all(|day| *day < 200) }
    };
    (0..n).map(person).collect()
}

#[test]
fn use_is_fitted_to_outcomes_and_foretells_others() {
    let memories = Memories::default();
    let mut draw = Draw(10);
    let (learning, judged) = (people(&mut draw, &memories, 2_000), people(&mut draw, &memories, 2_000));
    let fitted = fit::fgp(&learning, 28.0, &memories, None).unwrap();
    assert!(fitted.parameters.is_sound() && !fitted.provisional);
    let by_model = |w: &LabeledUsage| {
        (Customer::using(fitted.parameters, &w.usage, &memories).unwrap().p_none(w.at, 28.0), w.none)
    };
    let scored: Vec<_> = judged.iter().map(by_model).collect();
    assert!(quality::auc(&scored).unwrap() > 0.87);
    assert!(quality::ece(&scored).unwrap() < 0.03, "{:?}", quality::calibration(&scored));
    let again = fit::fgp(&learning, 28.0, &memories, Some(fitted.parameters)).unwrap();
    assert!(again.parameters.tau_days == fitted.parameters.tau_days);
    assert!((again.log_likelihood - fitted.log_likelihood).abs() < 1e-6);
}
