//! Any bytes into the decoders of stored values: refused, or what is read is written and read again as it was.
//!
//! Limit: 64 bytes of memory for each byte read, above what an empty state takes.

#![no_main]

use std::sync::LazyLock;

use cohortd::rules::{self, RuleSet};
use cohortd::store::{
    PublishedBlock, PublishedSample, Recorded, as_of, decode_meta, decode_state, encode_meta, encode_state,
    next_deadline,
};
use libfuzzer_sys::fuzz_target;

#[path = "../../support/allocations.rs"]
mod allocations;

const BYTES_PER_BYTE: usize = 64;
const BYTES_ALWAYS: usize = 4_096;

/// Facts of every kind, and a cohort whose history is asked for.
static RULES: LazyLock<RuleSet> = LazyLock::new(|| {
    rules::load(
        "rules.toml",
        r#"
        [cohorts.a_counts]
        who = "did buy at least 3 times in the last 30 days and sum(buy.amount ever) > 1"
        [cohorts.b_differs]
        who = "did buy with at least 2 different shop ever and sum(buy.amount in the last 9 days) > 2"
        [cohorts.c_followed]
        who = "latest cart then no buy within 4 hours per cart_id or each cart then no buy within 2 hours"
        [churn]
        on = "buy"
        amount = "buy.amount"
        [cohorts.d_history]
        who = "entered a_counts in the last 3 days or churn_risk > 50"
        "#,
    )
    .expect("these rules compile")
});

fuzz_target!(|bytes: &[u8]| {
    let rules = &*RULES;
    let ((), peak) = allocations::peak_of(|| read(bytes, rules));
    assert!(peak <= BYTES_ALWAYS + BYTES_PER_BYTE * bytes.len(), "{peak} bytes for {} read", bytes.len());

    if let Ok(state) = decode_state(bytes, rules) {
        let mut written = Vec::new();
        encode_state(&state, &mut written);
        assert_eq!(decode_state(&written, rules).as_ref(), Ok(&state));
        assert_eq!(as_of(&written), Ok(state.as_of));
        assert_eq!(next_deadline(&written), Ok(state.next_deadline));
    }
    if let Ok(meta) = decode_meta(bytes) {
        let mut written = Vec::new();
        encode_meta(&meta, &mut written);
        let again = decode_meta(&written).expect("what was written is read");
        let mut rewritten = Vec::new();
        encode_meta(&again, &mut rewritten);
        assert_eq!(rewritten, written);
    }
    if let Some((key, value)) = bytes.split_at_checked(7) {
        if let Ok(Some(published)) = PublishedSample::decode(key, value, rules) {
            let (key, value) = published.encode(rules).expect("these rules have [churn]");
            assert_eq!(PublishedSample::decode(&key, &value, rules), Ok(Some(published)));
        }
    }
    if let Some((key, value)) = bytes.split_at_checked(8)
        && let Ok(Some(published)) = PublishedBlock::decode(key, value, rules)
    {
        let (key, value) = published.encode(rules);
        assert_eq!(PublishedBlock::decode(&key, &value, rules), Ok(Some(published)));
    }
    if let Some((key, value)) = bytes.split_at_checked(10)
        && let Ok((position, recorded)) = Recorded::read(key, value)
    {
        assert_eq!(recorded.key(position), key);
        assert_eq!(Recorded::read(key, &recorded.value()), Ok((position, recorded)));
    }
});

fn read(bytes: &[u8], rules: &RuleSet) {
    drop(decode_state(bytes, rules));
    drop(decode_meta(bytes));
    assert!(as_of(bytes).is_ok() || next_deadline(bytes).is_err());
}
