//! The kinds of customers of the shop, and their behaviour.

use super::life::{Life, What};

/// In per cent, in the order of [`KINDS`].
const SHARES: [u32; 5] = [32, 33, 17, 13, 5];

const KINDS: [fn(&mut Life<'_>); 5] = [newcomer, regular, visitor, silent, unsubscriber];

/// Simulates one customer.
pub(super) fn live(life: &mut Life<'_>) {
    KINDS[life.random.weighted(&SHARES)](life);
}

/// Signs up; completes the onboarding, or gets stuck in it and sometimes recovers.
fn newcomer(life: &mut Life<'_>) {
    let day = life.random.between(0.0, life.days);
    life.visit(day - 1.0);
    let mut at = life.on(day);
    at = life.act(at, What::Signup);
    at = life.after(at, 3.0, 300.0);
    at = life.act(at, What::OnboardingStarted);
    at = life.after(at, 2.0, 30.0);
    at = life.act(at, What::StepCompleted(1));
    if life.random.chance(0.6) {
        at = life.after(at, 10.0, 2_000.0);
        at = life.act(at, What::StepCompleted(2));
        at = life.after(at, 5.0, 1_500.0);
        life.act(at, What::OnboardingCompleted);
        return if life.random.chance(0.5) {
            buys_from(life, day + 4.0, Ending::Drifts)
        } else {
            looks_from(life, day + 5.0)
        };
    }
    if life.random.chance(0.45) {
        let back = day + life.random.between(4.5, 15.0);
        at = life.visit(back);
        at = life.after(at, 1.0, 10.0);
        at = life.act(at, What::StepCompleted(2));
        at = life.after(at, 3.0, 60.0);
        life.act(at, What::OnboardingCompleted);
        return buys_from(life, back + 3.0, Ending::Drifts);
    }
    if life.random.chance(0.2) {
        let at = life.on(day + 6.0);
        life.act(at, What::Unsubscribed);
    }
}

/// Buys regularly from the first weeks on.
fn regular(life: &mut Life<'_>) {
    let start = life.random.between(0.0, 30.0);
    buys_from(life, start, Ending::Drifts);
}

/// Visits on several days without buying, repeatedly.
fn visitor(life: &mut Life<'_>) {
    let start = life.random.between(0.0, 60.0);
    looks_from(life, start);
}

/// Bought in the beginning, is inactive for months, and comes back or not.
fn silent(life: &mut Life<'_>) {
    let mut day = life.random.between(0.0, 15.0);
    for _ in 0..life.random.whole(1, 3) {
        life.buy(day);
        day += life.random.between(5.0, 20.0);
    }
    let back = day + life.random.between(92.0, 260.0);
    if life.random.chance(0.4) {
        life.visit(back);
        looks_from(life, back + 15.0);
    } else {
        buys_from(life, back, Ending::Drifts);
    }
}

/// A regular customer who becomes inactive and then unsubscribes.
fn unsubscriber(life: &mut Life<'_>) {
    let start = life.random.between(0.0, 30.0);
    buys_from(life, start, Ending::Unsubscribes);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// May become inactive without notice.
    Drifts,
    /// Stops coming and unsubscribes.
    Unsubscribes,
}

/// Regular purchases with visits in between; now and then a pause that is long for this customer.
fn buys_from(life: &mut Life<'_>, start: f64, ending: Ending) {
    let rhythm = life.random.between(9.0, 38.0);
    let stops = match ending {
        Ending::Drifts => 0.035,
        Ending::Unsubscribes => 0.2,
    };
    let mut day = start;
    let mut bought = 0;
    while day < life.days {
        life.buy(day);
        bought += 1;
        if bought > 2 && life.random.chance(stops) {
            if ending == Ending::Unsubscribes {
                let quits = day + rhythm * life.random.between(1.6, 6.0);
                let at = life.on(quits);
                life.act(at, What::Unsubscribed);
            }
            return;
        }
        if bought > 2 && life.random.chance(0.09) {
            day += rhythm * life.random.between(1.7, 3.4);
            continue;
        }
        let next = day + rhythm * life.random.between(0.75, 1.2);
        let mut look = day + life.random.between(2.0, 8.0);
        while look < next - 1.0 {
            life.visit(look);
            look += life.random.between(3.0, 9.0);
        }
        day = next;
    }
}

/// A few days of visits, then weeks of nothing; rarely a purchase.
fn looks_from(life: &mut Life<'_>, start: f64) {
    let mut day = start;
    while day < life.days {
        for _ in 0..life.random.whole(2, 4) {
            life.visit(day);
            day += life.random.between(1.0, 4.0);
        }
        if life.random.chance(0.12) {
            life.buy(day);
        }
        day += life.random.between(18.0, 60.0);
    }
}
