//! The simulated shop: the actions of all its customers, in order of time.

use super::life::{Act, Life};
use super::people;
use super::random::Random;
use crate::event::Instant;

const NAMES: [&str; 24] = [
    "ada", "amir", "anna", "ben", "chloe", "dara", "elif", "emma", "femi", "hugo", "ines", "jana", "kenji", "lea",
    "luca", "maya", "nils", "nora", "omar", "pia", "rosa", "sami", "tove", "yara",
];

/// All actions of the customers between two instants. The same seed gives the same actions.
pub(super) fn acts(customers: u32, seed: u64, time: (Instant, Instant)) -> Vec<Act> {
    let mut acts = Vec::new();
    for customer in 0..customers {
        let random = Random::new(seed, u64::from(customer));
        people::live(&mut Life::new(random, customer, time, &mut acts));
    }
    // At the same instant by customer: a deterministic order.
    acts.sort_by_key(|act| (act.at, act.customer));
    acts
}

/// The customer's id: `nora-0412`.
pub(super) fn name(customer: u32) -> String {
    format!("{}-{customer:04}", NAMES[customer as usize % NAMES.len()])
}

#[cfg(test)]
mod tests {
    use super::{Instant, acts};
    use crate::event::Span;

    #[test]
    fn a_seed_gives_one_shop_whose_acts_are_in_order_and_within_its_time() {
        let time = (Instant(0), Instant(240 * Span::DAY.0));
        let shop = acts(300, 7, time);
        assert_eq!(shop, acts(300, 7, time));
        assert_ne!(shop, acts(300, 8, time));
        assert!(shop.is_sorted_by_key(|act| act.at));
        assert!(shop.iter().all(|act| act.at >= time.0 && act.at < time.1));
        assert!((10_000..60_000).contains(&shop.len()), "{}", shop.len());
    }
}
