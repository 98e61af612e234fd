//! What a release wrote, every later one reads.
//!
//! `fixtures/store-1` is a state directory of format 1, and beside it stands what it holds. A change of the layout leaves
//! it as it is, adds a directory of the new format, and goes on reading both.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cohortd::engine::{Engine, Observed, Shard, Timing, Words};
use cohortd::event::{CustomerEvent, Instant, Number, Properties, Span, Value};
use cohortd::rules::{self, RuleSet};
use cohortd::store::{
    Batch, Database, Log, Meta, Recorded, SharedMemory, Surveyed, decode_state, encode_state, layout, next_deadline,
};

/// One fact of every kind, a window that needs each, a history, and a wish.
const RULES: &str = r#"
time_zone = "Europe/Paris"
[cohorts.a_counts]
who = "did buy at least 3 times in the last 30 days and count(buy in the last 9 days) < 100 and sum(buy.amount ever) > 1"
[cohorts.b_firsts]
who = "did visit for the first time in the last 7 days and did visit more than 1 day ago"
[cohorts.c_differs]
who = "did buy with at least 2 different shop ever and did visit on at least 2 different days in the last 14 days"
stay = "did buy with at least 2 different shop between 20 days and 1 hour ago"
[cohorts.d_followed]
who = "latest cart then no buy within 4 hours per cart_id or each cart then no buy within 2 hours"
[cohorts.e_history]
who = "entered a_counts in the last 3 days and sum(buy.amount in the last 30 days) > 20"
"#;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store-1")
}

fn memory() -> SharedMemory {
    SharedMemory::new(8 << 20, 8 << 20)
}

fn meta(rules: &RuleSet) -> Meta {
    Meta {
        cluster_id: "cluster".into(),
        input: "customer-events".into(),
        partitions: 4,
        rules: rules.fingerprint.clone(),
        rules_version: 0,
        adopting: None,
        began: 0,
        observed: Observed::ALWAYS,
        timing: Timing {
            arrives_within: Span::MINUTE,
            max_lateness: Span(4 * Span::DAY.0),
            earliest: Instant(631_152_000_000),
        },
        ids_max: 64,
        sequence: 7,
        next_offset: 120,
        replay_from: 100,
        replay_stream_time: Instant(1_767_225_600_000),
        stream_time: Instant(1_767_312_000_000),
        live: true,
        caught_up: false,
        written_at: Instant(1_767_312_000_001),
        members: vec![1, 0, 2, 0, 1],
        thresholds: Vec::new(),
        taking_up: None,
        customers: 0,
        surges: Vec::new(),
        model: None,
        surveyed: Surveyed::NEVER,
        log: Log::default(),
    }
}

/// The states of two customers after some weeks, by the engine as it is now.
fn states(rules: &Arc<RuleSet>) -> Vec<(String, Vec<u8>)> {
    let engine = Engine::new(Arc::clone(rules), Span(4 * Span::DAY.0), 64);
    let mut shard = Shard::new(engine, meta(rules).timing, Instant::MIN);
    let mut said = Vec::new();
    let start = 1_766_000_000_000;
    for step in 0..60_i64 {
        let customer = ["ann", "bob"][usize::try_from(step % 2).unwrap()];
        let name = ["visit", "buy", "cart", "buy", "other"][usize::try_from(step % 5).unwrap()];
        let mut properties = Properties::new();
        let amount = Number::from_double(12.5).unwrap();
        for (property, value) in [
            ("amount", Value::Number(amount)),
            ("shop", Value::Text(["north", "south"][usize::try_from(step % 3 % 2).unwrap()])),
            ("cart_id", Value::Number(Number::from_integer(step / 4))),
        ] {
            properties.extend(rules.vocabulary.property(property).map(|id| (id, value)));
        }
        let id = step.to_string();
        let event = CustomerEvent {
            customer,
            name,
            name_id: rules.vocabulary.name(name),
            at: Instant(start + step * 7 * Span::HOUR.0),
            id: Some(&id),
            source: (step % 3 == 0).then_some("till"),
            record_hash: 0,
            unusable_values: 0,
            properties: &properties,
        };
        let slot = shard.find_or_new(customer);
        shard.apply(slot, &event, step, Words::None, &mut said);
    }
    ["ann", "bob"]
        .map(|customer| {
            let slot = shard.find(customer).unwrap();
            let mut bytes = Vec::new();
            encode_state(shard.state(slot), &mut bytes);
            (customer.to_owned(), bytes)
        })
        .to_vec()
}

fn write(path: &Path, rules: &Arc<RuleSet>) {
    let database = Database::open(path, &memory()).unwrap();
    let mut batch = Batch::default();
    for (customer, state) in states(rules) {
        let deadline = next_deadline(&state).unwrap();
        batch.put_customer(&customer, deadline, &state);
        batch.put_timer(deadline, &customer);
    }
    batch.put_meta(&meta(rules));
    batch.put_changelog_next(321);
    for recorded in [Recorded::Advance(Instant(1_767_312_000_000)), Recorded::Duplicate] {
        batch.put_recorded(recorded.key(110), Some(recorded.value()));
    }
    database.write(&batch).unwrap();
    database.flush(true).unwrap();
}

#[test]
fn a_state_directory_of_format_1_is_read() {
    // RocksDB writes into what it opens.
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    check(copy.path(), &Arc::new(rules::load("rules.toml", RULES).unwrap()));
}

/// Also how a directory for a new format is made: keep what this leaves behind.
#[test]
fn a_state_directory_written_now_is_read() {
    let rules = Arc::new(rules::load("rules.toml", RULES).unwrap());
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &rules);
    check(folder.path(), &rules);
}

fn check(folder: &Path, rules: &Arc<RuleSet>) {
    let database = Database::open(folder, &memory()).unwrap();
    assert_eq!(database.meta().unwrap().unwrap(), meta(rules));
    assert_eq!(database.changelog_next().unwrap(), Some(321));
    let recorded = database.recorded().unwrap();
    assert_eq!(recorded, vec![(110, Recorded::Advance(Instant(1_767_312_000_000))), (110, Recorded::Duplicate)]);

    let mut due = database.due(&layout::ordered(0), Instant::MAX, 10).unwrap();
    let expected = states(rules);
    for (customer, bytes) in &expected {
        let stored = database.customer(customer).unwrap().unwrap();
        let state = decode_state(stored.state(), rules).unwrap();
        assert_eq!(
            state,
            decode_state(bytes, rules).unwrap(),
            "{customer}: the same state, though not always in as many words"
        );
        assert_eq!(stored.indexed_at().unwrap(), state.next_deadline);
        assert!(due.contains(&(state.next_deadline, customer.as_str().into())));
        let mut again = Vec::new();
        encode_state(&state, &mut again);
        assert_eq!(&again, stored.state(), "{customer}: what is read is written again");
        assert!(state.facts.len() > 8 && state.memberships.iter().any(|(_, m)| m.times_entered > 0), "{state:?}");
    }
    due.dedup();
    assert_eq!(due.len(), expected.len());
}
