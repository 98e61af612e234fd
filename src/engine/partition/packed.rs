//! A customer in memory as bytes.
//!
//! ```text
//! customer id: length, text │ [rankings: length, version of the thresholds, deadlines] │ state, as stored
//! ```
//!
//! The part in brackets is there where the rules have rankings. It holds what a stored state leaves out and the next
//! decision would have to compute again; it is empty where that is unknown. A deadline is its distance from the state's
//! next deadline, plus 1; 0: none.

use crate::bytes::{Read, Reader, put_len, put_text, put_u64};
use crate::engine::customer::{CustomerState, Spares, encode_state, read_state};
use crate::event::{Instant, text};
use crate::rules::{Machine, RankingIx, RuleSet};

pub(super) const WRITTEN_HERE: &str = "these bytes were written by this process, under the same rules";

/// The parts of a customer's bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed<'b> {
    customer: &'b [u8],
    rankings: &'b [u8],
    /// The state as stored.
    pub(super) state: &'b [u8],
}

/// A length, and what follows it.
#[inline]
fn split_length(bytes: &[u8]) -> (usize, &[u8]) {
    match bytes {
        [length, rest @ ..] if *length < 0x80 => (usize::from(*length), rest),
        _ => {
            let mut reader = Reader::new(bytes);
            let length = reader.len("length").expect(WRITTEN_HERE);
            (length, reader.rest())
        }
    }
}

/// The id of the customer whose bytes these are.
#[inline]
pub(super) fn customer_of(bytes: &[u8]) -> &[u8] {
    let (length, rest) = split_length(bytes);
    &rest[..length]
}

impl<'b> Packed<'b> {
    pub(super) fn of(bytes: &'b [u8], rules: &RuleSet) -> Self {
        let (length, rest) = split_length(bytes);
        let (customer, rest) = rest.split_at(length);
        let (length, rest) = if rules.rankings.is_empty() { (0, rest) } else { split_length(rest) };
        let (rankings, state) = rest.split_at(length);
        Self { customer, rankings, state }
    }

    pub(super) fn customer(&self) -> &'b str {
        text(self.customer).expect(WRITTEN_HERE)
    }

    /// Decodes the state into one that is reused.
    pub(super) fn read(&self, rules: &RuleSet, state: &mut CustomerState, spares: &mut Spares) -> Read<()> {
        read_state(self.state, rules, state, spares)?;
        state.set_customer(self.customer());
        if !self.rankings.is_empty() {
            let mut reader = Reader::new(self.rankings);
            state.deadlines.thresholds_version = reader.u32("version of the thresholds")?;
            for ranking in rankings(rules) {
                let deadline = match reader.u64("deadline of a ranking")? {
                    0 => Instant::MAX,
                    after => Instant(state.next_deadline.0.wrapping_add_unsigned(after - 1)),
                };
                state.deadlines.set(ranking, deadline);
            }
        }
        Ok(())
    }
}

fn rankings(rules: &RuleSet) -> impl Iterator<Item = Machine> {
    let numbers = (0..rules.rankings.len()).map(|number| u16::try_from(number).expect("numbered in 16 bits"));
    numbers.map(|number| Machine::Ranking(RankingIx(number)))
}

/// Writes a customer's bytes over what the buffer held.
pub(super) fn pack(customer: &str, state: &CustomerState, rules: &RuleSet, out: &mut Vec<u8>) {
    out.clear();
    put_text(out, customer);
    if !rules.rankings.is_empty() {
        put_rankings(state, rules, out);
    }
    encode_state(state, out);
}

/// The same from a state's bytes, whose deadlines of rankings are unknown.
pub(super) fn pack_stored(customer: &str, state: &[u8], rules: &RuleSet, out: &mut Vec<u8>) {
    out.clear();
    put_text(out, customer);
    if !rules.rankings.is_empty() {
        put_len(out, 0);
    }
    out.extend_from_slice(state);
}

fn put_rankings(state: &CustomerState, rules: &RuleSet, out: &mut Vec<u8>) {
    let deadlines = &state.deadlines;
    // Written without its length at first, which hardly ever takes more than one byte.
    let at = out.len();
    out.push(0);
    let is_known = deadlines.thresholds_version != u32::MAX && deadlines.decided_at.is_some();
    if !is_known || rankings(rules).any(|ranking| deadlines.get(ranking) < state.next_deadline) {
        return;
    }
    put_u64(out, u64::from(deadlines.thresholds_version));
    for ranking in rankings(rules) {
        match deadlines.get(ranking) {
            Instant::MAX => put_u64(out, 0),
            deadline => put_u64(out, deadline.0.wrapping_sub(state.next_deadline.0).cast_unsigned() + 1),
        }
    }
    match u8::try_from(out.len() - at - 1) {
        Ok(length) if length < 0x80 => out[at] = length,
        _ => {
            let rankings = out.split_off(at + 1);
            out.truncate(at);
            put_len(out, rankings.len());
            out.extend_from_slice(&rankings);
        }
    }
}
