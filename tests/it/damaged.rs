//! Stored bytes that were damaged are refused or read as something else; they never panic, and take no more memory than
//! their length allows.

use cohortd::engine::CustomerState;
use cohortd::event::{Instant, Number};
use cohortd::fact::{Fact, FactKind, TimesAndDays};
use cohortd::rules::{self, RuleSet};
use cohortd::store::{Corrupt, as_of, decode_state, encode_state, next_deadline};

use crate::engine_under_test::run_to_states;
use crate::generate::{Generated, Property, Random};
use crate::naive::Case;
use crate::support::allocations::peak_of;

pub(crate) const PROPERTY: Property = Property {
    test: "damaged::states_cut_short_or_with_flipped_bits_take_little_memory_and_never_panic",
    cases: 3_000,
    make: |seed| Some(Generated::new(seed)),
    check,
};

/// What a byte may come to in memory: a number in two bytes takes sixteen, in a list that grows by doubling.
const BYTES_PER_BYTE: usize = 64;
/// What a fact or a cohort takes before its content, in a list that grows by doubling.
const BYTES_PER_ENTRY: usize = 320;

#[test]
fn states_cut_short_or_with_flipped_bits_take_little_memory_and_never_panic() {
    PROPERTY.try_many();
}

fn check(case: &Case, seed: u64) -> Result<(), String> {
    let (_, states) = run_to_states(case)?;
    let rules = rules::load("rules.toml", &case.rules).map_err(|errors| format!("{errors:?}"))?;
    let entries = (rules.facts.len() + rules.cohorts.len()) * BYTES_PER_ENTRY;
    let mut random = Random::new(seed);
    for state in states.values() {
        let mut whole = Vec::new();
        encode_state(state, &mut whole);
        for _ in 0..40 {
            let bytes = damaged(&whole, &mut random);
            let (state, peak) = peak_of(|| decode_state(&bytes, &rules));
            if peak > entries + BYTES_PER_BYTE * bytes.len() {
                return Err(format!("{peak} bytes for {}, {entries} for facts and cohorts: {bytes:02x?}", bytes.len()));
            }
            let Ok(state) = state else { continue };
            // What the first fields say, they say to those who read no further.
            let first = (as_of(&bytes).unwrap(), next_deadline(&bytes).unwrap());
            let again = read_again(&state, &rules);
            if first != (state.as_of, state.next_deadline) || again.as_ref() != Ok(&state) {
                return Err(format!("{bytes:02x?} is read as\n{state:?}\nand that again as\n{again:?}"));
            }
        }
    }
    Ok(())
}

const RULES: &str = r#"
[cohorts.a]
who = "sum(buy.amount in the last 9 days) > 2 and did buy with at least 2 different shop ever and sum(buy.amount ever) > 1"
"#;

/// The engine takes it for granted that each time has its number.
#[test]
fn a_series_whose_times_and_numbers_differ_in_length_is_refused() {
    let rules = rules::load("rules.toml", RULES).unwrap();
    let mut state = CustomerState::new(&rules);
    let number = rules.facts.iter().position(|fact| matches!(fact.kind, FactKind::Series(_))).unwrap();
    let (times, numbers) = (vec![Instant(1), Instant(2)], vec![Number::ZERO]);
    state.facts.put(number, Fact::Series(Box::new(TimesAndDays { times, numbers, ..TimesAndDays::default() })));
    assert_eq!(read_again(&state, &rules), Err(Corrupt("content of a fact")));
}

#[test]
fn a_fact_with_nothing_in_it_is_refused() {
    let rules = rules::load("rules.toml", RULES).unwrap();
    let number = rules.facts.iter().position(|fact| matches!(fact.kind, FactKind::Total(_))).unwrap();
    assert_eq!(decode_state(&with_facts(&rules, &[number as u8, 0, 2]), &rules), Err(Corrupt("content of a fact")));
}

#[test]
fn a_fact_that_stands_in_a_state_twice_is_refused() {
    let rules = rules::load("rules.toml", RULES).unwrap();
    let number = rules.facts.iter().position(|fact| matches!(fact.kind, FactKind::Total(_))).unwrap() as u8;
    assert!(decode_state(&with_facts(&rules, &[number, 1, 2]), &rules).is_ok());
    let twice = with_facts(&rules, &[number, 1, 2, number, 1, 2]);
    assert_eq!(decode_state(&twice, &rules), Err(Corrupt("number of a fact")));
}

fn read_again(state: &CustomerState, rules: &RuleSet) -> Result<CustomerState, Corrupt> {
    let mut bytes = Vec::new();
    encode_state(state, &mut bytes);
    decode_state(&bytes, rules)
}

/// A state that is empty but for facts of three bytes each.
fn with_facts(rules: &RuleSet, facts: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_state(&CustomerState::new(rules), &mut bytes);
    assert_eq!(bytes[bytes.len() - 2..], [0, 0], "no facts and no memberships");
    bytes.truncate(bytes.len() - 2);
    bytes.push(u8::try_from(facts.len() / 3).unwrap());
    bytes.extend_from_slice(facts);
    bytes.push(0);
    bytes
}

/// Cut short, or a few bits flipped, or both.
fn damaged(whole: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    if random.percent(40) {
        bytes.truncate(random.below(whole.len()));
    }
    for _ in 0..random.below(4) {
        if !bytes.is_empty() {
            let place = random.below(bytes.len());
            bytes[place] ^= 1 << random.below(8);
        }
    }
    bytes
}
