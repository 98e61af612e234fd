//! What a release wrote, every later one reads.
//!
//! `fixtures/store-1` is a state directory of format 1, `fixtures/store-2` one whose META has its parts in records of their
//! own, and below stands what both hold. A change of the layout leaves them as they are, adds a directory of the new format,
//! and goes on reading all.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use cohortd::engine::{Detail, Engine, Observed, Shard, Timing};
use cohortd::event::{CustomerEvent, Instant, Number, Properties, Span, Value};
use cohortd::rules::{self, RuleSet};
use cohortd::store::{
    Batch, Database, LastSurveys, Log, Meta, Recorded, SharedMemory, StoreError, Trouble, decode_state, encode_state,
    layout, next_deadline,
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

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn memory() -> SharedMemory {
    SharedMemory::new(8 << 20, 8 << 20)
}

/// The fingerprint that the rules had in the releases that wrote the fixtures. No partition goes on under such rules: the
/// rulebook refuses them.
const FINGERPRINT_THEN: &str = "7fa4ac1d914ae0bd033fa2b200359971";

fn meta(rules: &RuleSet) -> Meta {
    Meta {
        cluster_id: "cluster".into(),
        input: "customer-events".into(),
        partitions: 4,
        rules: rules.fingerprint.clone(),
        rules_version: 0,
        migration: None,
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
        applying_thresholds: None,
        customers: 0,
        surges: Vec::new(),
        model: None,
        last_surveys: LastSurveys::NEVER,
        log: Log::default(),
        overdue: None,
    }
}

/// The states of two customers after some weeks, by the engine as it is now.
fn states(rules: &Arc<RuleSet>) -> Vec<(String, Vec<u8>)> {
    let engine = Engine::new(Arc::clone(rules), Span(4 * Span::DAY.0), 64);
    let mut shard = Shard::new(engine, meta(rules).timing, Instant::MIN);
    let mut effects = Vec::new();
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
        shard.apply(slot, &event, step, Detail::None, &mut effects);
    }
    ["ann", "bob"]
        .map(|customer| {
            let slot = shard.find(customer).unwrap();
            let mut bytes = Vec::new();
            shard.encode(slot, &mut bytes);
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
    database.flush().unwrap();
}

#[test]
fn state_directories_of_every_format_are_read() {
    for name in ["store-1", "store-2"] {
        // RocksDB writes into what it opens.
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(fixture(name)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        check(copy.path(), &Arc::new(rules::load("rules.toml", RULES).unwrap()), Some(FINGERPRINT_THEN));
    }
}

/// `COHORTD_FIXTURE=tests/fixtures/store-N cargo test --release --test it store::make_a_fixture -- --ignored`
#[test]
#[ignore = "makes the directory of a new format"]
fn make_a_fixture() {
    let folder = PathBuf::from(std::env::var_os("COHORTD_FIXTURE").expect("COHORTD_FIXTURE names a folder"));
    write(&folder, &Arc::new(rules::load("rules.toml", RULES).unwrap()));
}

#[test]
fn a_state_directory_written_now_is_read() {
    let rules = Arc::new(rules::load("rules.toml", RULES).unwrap());
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &rules);
    check(folder.path(), &rules, None);
}

/// `fingerprint`: that of the rules when it was written; none: that of now.
fn check(folder: &Path, rules: &Arc<RuleSet>, fingerprint: Option<&str>) {
    let database = Database::open(folder, &memory()).unwrap();
    let expected = meta(rules);
    let expected = Meta { rules: fingerprint.map_or(expected.rules.clone(), str::to_owned), ..expected };
    assert_eq!(database.meta().unwrap().unwrap(), expected);
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

/// Databases, each with something in it.
fn databases(folder: &Path, memory: &SharedMemory, count: usize, bytes: usize) -> Vec<Database> {
    let open = |number: usize| {
        let database = Database::open(&folder.join(format!("in-{number}")), memory).unwrap();
        let mut batch = Batch::default();
        batch.put_customer("somebody", Instant(1), &vec![7; bytes]);
        batch.put_timer(Instant(1), "somebody");
        batch.put_changelog_next(1);
        database.write(&batch).unwrap();
        database
    };
    (0..count).map(open).collect()
}

/// A database that is written to holds an arena of its own, and an idle one never gives it back: with `allow_stall`, by
/// RocksDB's source, writes to others wait for ever once the arenas have used the budget up.
#[test]
fn no_write_waits_for_the_write_buffers_of_another_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let (sender, receiver) = channel();
    let writing = thread::spawn(move || {
        let memory = SharedMemory::new(8 << 20, 4 << 20);
        let databases = databases(&path, &memory, 48, 100);
        sender.send((memory.write_buffers_used(), databases.iter().map(Database::memtable_bytes).max())).unwrap();
    });
    let found = receiver.recv_timeout(Duration::from_secs(60));
    let ((used, budget), largest) = found.expect("a write waits for ever");
    // A process that ends while its databases are being closed is aborted.
    writing.join().unwrap();
    println!("48 databases take {used} bytes of {budget} for write buffers; the largest {largest:?}");
    // Hardly more than what was written: a few hundred partitions fit where a dozen did.
    assert!(used < 48 * (256 << 10), "{used} bytes for nothing");
}

#[test]
fn flushing_the_largest_gives_its_write_buffers_back() {
    let folder = tempfile::tempdir().unwrap();
    let memory = SharedMemory::new(8 << 20, 64 << 20);
    let databases = databases(folder.path(), &memory, 4, 2 << 20);
    let before = memory.write_buffers_used().0;
    assert!(databases.iter().all(|database| database.memtable_bytes() > 2 << 20));
    databases[0].flush().unwrap();
    assert!(databases[0].memtable_bytes() < 1 << 20 && !databases[0].is_flushing());
    // RocksDB gives them back on a thread of its own, once the flushed data is no longer read.
    let is_given_back = || memory.write_buffers_used().0 + (2 << 20) <= before;
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !is_given_back() && std::time::Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    assert!(is_given_back());
    assert_eq!(databases[0].background_errors(), 0);
    databases[0].check_writable().unwrap();
}

/// The words in the path, and in RocksDB's own "block checksum mismatch", must not be taken for a lock.
#[test]
fn trouble_is_known_by_its_kind_whatever_the_path_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock-stock-and-block-clock-0");
    let trouble = |outcome: Result<Database, StoreError>| outcome.err().map(|error| error.trouble());
    let database = Database::open(&path, &memory()).unwrap();
    let mut batch = Batch::default();
    batch.put_customer("ann", Instant(1), &[7; 100]);
    batch.put_changelog_next(1);
    database.write(&batch).unwrap();
    assert_eq!(trouble(Database::open(&path, &memory())), Some(Trouble::InUse));
    database.flush().unwrap();
    drop(database);
    let tables = || fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
    for table in tables().filter(|path| path.extension().is_some_and(|extension| extension == "sst")) {
        let mut bytes = fs::read(&table).unwrap();
        bytes[12] ^= 0x40;
        fs::write(&table, bytes).unwrap();
    }
    let database = Database::open(&path, &memory()).unwrap();
    assert_eq!(database.customer("ann").err().map(|error| error.trouble()), Some(Trouble::Damage));
    assert_eq!(database.changelog_next().err().map(|error| error.trouble()), Some(Trouble::Damage));
    drop(database);
    fs::remove_file(path.join("CURRENT")).unwrap();
    assert_eq!(trouble(Database::open(&path, &memory())), Some(Trouble::Damage), "not a new database in its place");
    // What the operating system refuses says nothing about the copy.
    fs::write(folder.path().join("a-file"), "").unwrap();
    assert_eq!(trouble(Database::open(&folder.path().join("a-file").join("in-0"), &memory())), Some(Trouble::Disk));
}
