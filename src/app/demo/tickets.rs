//! The support desk of the shop: a system of its own, with its own topic, shape and words.

use serde_json::json;

use super::life::{Act, What};
use super::random::Random;
use super::shop;
use crate::event::{Instant, Span};

/// The share of purchases after which a customer asks for help.
const ASKS: f64 = 0.08;
/// Of the tickets: those that are never solved, and those that take long.
const FORGOTTEN: f64 = 0.1;
const SLOW: f64 = 0.3;
/// Not one of a customer.
const STREAM: u64 = u64::MAX;

/// A change of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) at: Instant,
    pub(super) customer: u32,
    number: u32,
    is_solved: bool,
}

impl Ticket {
    /// Its record's key, which is not the customer.
    pub(super) fn key(&self) -> String {
        format!("T-{:05}", self.number)
    }

    pub(super) fn json(&self) -> String {
        let about = ["delivery", "a return", "an invoice"][self.number as usize % 3];
        json!({
            "ticket": self.key(),
            "status": if self.is_solved { "solved" } else { "opened" },
            "requester": {"customer": shop::name(self.customer)},
            "at": self.at.to_string(),
            "about": about,
        })
        .to_string()
    }
}

/// The tickets that follow from the purchases, in order of time. The same seed gives the same ones.
pub(super) fn of(acts: &[Act], seed: u64, closing: Instant) -> Vec<Ticket> {
    let mut random = Random::new(seed, STREAM);
    let mut tickets = Vec::new();
    let hours = |hours: f64| Span((hours * Span::HOUR.0 as f64) as i64);
    for act in acts.iter().filter(|act| matches!(act.what, What::Purchase { .. })) {
        if !random.chance(ASKS) {
            continue;
        }
        let number = u32::try_from(tickets.len()).unwrap_or(u32::MAX);
        let opened = act.at + hours(random.between(2.0, 150.0));
        let takes = if random.chance(SLOW) { random.between(74.0, 260.0) } else { random.between(0.5, 60.0) };
        let of = |at, is_solved| Ticket { at, customer: act.customer, number, is_solved };
        tickets.push(of(opened, false));
        if !random.chance(FORGOTTEN) {
            tickets.push(of(opened + hours(takes), true));
        }
    }
    tickets.retain(|ticket| ticket.at < closing);
    tickets.sort_by_key(|ticket| (ticket.at, ticket.number, ticket.is_solved));
    tickets
}

#[cfg(test)]
mod tests {
    use super::{Instant, of, shop};
    use crate::event::Span;

    #[test]
    fn a_seed_gives_one_support_desk_whose_tickets_are_in_order_and_follow_purchases() {
        let time = (Instant(0), Instant(240 * Span::DAY.0));
        let acts = shop::acts(300, 7, time);
        let tickets = of(&acts, 7, time.1);
        assert_eq!(tickets, of(&acts, 7, time.1));
        assert!(tickets.is_sorted_by_key(|ticket| ticket.at) && tickets.iter().all(|ticket| ticket.at < time.1));
        assert!((100..1_000).contains(&tickets.len()), "{}", tickets.len());
        let solved = tickets.iter().filter(|ticket| ticket.is_solved).count();
        assert!(solved * 3 > tickets.len() && solved * 2 < tickets.len(), "{solved} of {}", tickets.len());
    }
}
