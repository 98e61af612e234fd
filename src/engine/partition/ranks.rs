//! The positions of customers in rankings, as the lane counts them.

use super::shard::Shard;
use super::slot::Slot;
use crate::engine::customer::{RankedValues, Standing};
use crate::event::Number;
use crate::event::stored_hash::tie_hash;

/// A customer's move in one ranking, by the rule set's numbers, from one position to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RankMove {
    pub ranking: usize,
    pub from: Option<Standing>,
    pub to: Option<Standing>,
}

impl RankMove {
    /// A customer's moves where their values change from these to those.
    #[must_use]
    pub fn between(customer: &str, from: RankedValues, to: RankedValues) -> Vec<Self> {
        let hash = tie_hash(customer);
        let standing = |value: Option<Number>| value.map(|value| Standing { value, hash });
        let steps = from.into_iter().zip(to).enumerate().filter(|(_, (from, to))| from != to);
        steps.map(|(ranking, (from, to))| Self { ranking, from: standing(from), to: standing(to) }).collect()
    }
}

impl Shard {
    /// A customer's present positions, as moves from none.
    pub fn rank_positions(&self, slot: Slot) -> impl Iterator<Item = RankMove> + '_ {
        let hash = tie_hash(self.customer(slot));
        let standing = move |value| Standing { value, hash };
        let values = self.ranked_values(slot).into_iter().enumerate();
        values.filter_map(move |(ranking, value)| Some(RankMove { ranking, from: None, to: Some(standing(value?)) }))
    }

    /// The customer's moves in rankings since the last call: the caller counts them.
    pub fn take_rank_moves(&mut self, slot: Slot) -> Vec<RankMove> {
        let Some(counted) = self.counted.remove(&slot) else { return Vec::new() };
        RankMove::between(self.customer(slot), counted, self.ranked_values(slot))
    }
}
