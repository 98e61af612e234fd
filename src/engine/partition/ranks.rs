//! The positions of customers in rankings, as the lane counts them.

use super::resident::Resident;
use super::shard::Shard;
use super::slot::Slot;
use crate::engine::customer::Standing;
use crate::event::Number;
use crate::event::stored_hash::tie_hash;

/// A customer's move in one ranking, by the rule set's numbers, from one position to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RankMove {
    pub ranking: usize,
    pub from: Option<Standing>,
    pub to: Option<Standing>,
}

impl Shard {
    /// A customer's present positions, as moves from none.
    pub fn rank_positions(&self, slot: Slot) -> impl Iterator<Item = RankMove> + '_ {
        let Resident { customer, body, .. } = &self.slots[slot.0 as usize];
        let values = body.ranked_values(self.engine.rules().rankings.len()).into_owned();
        let hash = tie_hash(customer);
        let standing = move |value| Standing { value, hash };
        let values = values.into_iter().enumerate();
        values.filter_map(move |(ranking, value)| Some(RankMove { ranking, from: None, to: Some(standing(value?)) }))
    }

    /// The customer's moves in rankings since the last call: the caller counts them.
    pub fn take_rank_moves(&mut self, slot: Slot) -> Vec<RankMove> {
        let Resident { customer, body, reported, .. } = &mut self.slots[slot.0 as usize];
        let mut moves = Vec::new();
        if reported.is_empty() {
            return moves;
        }
        let hash = tie_hash(customer);
        let standing = |value: Option<Number>| value.map(|value| Standing { value, hash });
        let values = body.ranked_values(reported.len());
        for (ranking, (from, to)) in reported.iter_mut().zip(values.iter()).enumerate() {
            if from != to {
                moves.push(RankMove { ranking, from: standing(*from), to: standing(*to) });
                *from = *to;
            }
        }
        moves
    }
}
