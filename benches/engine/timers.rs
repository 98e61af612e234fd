//! Timers of customers who are only stored: stale ones, which are set again, and those that lead to a decision.

use std::sync::Arc;
use std::time::Duration;

use cohortd::engine::{CustomerState, Detail, Engine};
use cohortd::event::{CustomerEvent, Instant, Span};
use cohortd::store::{Batch, encode_state};

use super::partition::{BATCH, Bench, IDS_MAX};
use super::support::knob;
use super::support::table::{Table, Target};
use super::{cpu, default_rules};

const START: Instant = Instant(1_735_689_600_000);
/// Between two who sign up.
const GAP: i64 = 20;
/// An entry of the index that its customer has left behind: before the first true deadline, a week after the first
/// sign-up.
const EARLY: Span = Span(6 * Span::DAY.0);
const WEEK: Span = Span(7 * Span::DAY.0);
/// Customers written at once.
const LOADED_AT_ONCE: usize = 100_000;

pub(super) fn run(table: &mut Table) {
    let pending = i64::try_from(knob("COHORTD_BENCH_TIMERS", 10_000_000)).unwrap();
    let firing = (pending / 10).min(500_000);
    let folder = tempfile::tempdir().unwrap();
    let rules = Arc::new(default_rules());
    let mut bench = Bench::new(folder.path(), Arc::clone(&rules));
    load(&bench, pending, firing);

    let name = |what: &str| format!("{pending} deadlines pending, {what}: a second and core").replace("000000 ", " M ");
    let took = pass(&mut bench, START + EARLY, firing);
    assert_eq!(bench.cost.rearmed, firing.unsigned_abs());
    let per_second = firing as f64 / took.as_secs_f64();
    table.add(name("set again"), Target::AtLeast(200_000.0), per_second, "");

    let before = bench.cost.changes;
    let took = pass(&mut bench, START + WEEK, firing);
    assert_eq!(bench.cost.changes - before, firing.unsigned_abs(), "each decides an exit");
    let per_second = firing as f64 / took.as_secs_f64();
    table.add(name("deciding"), Target::AtLeast(60_000.0), per_second, "");
}

/// Everybody signs up, one after another. The first ones stand in the index before their deadline.
fn load(bench: &Bench, customers: i64, early: i64) {
    let (rules, database) = (Arc::clone(&bench.rules), bench.residents.database());
    let mut engine = Engine::new(Arc::clone(&rules), Span(4 * Span::DAY.0), IDS_MAX);
    let (mut batch, mut bytes, mut effects) = (Batch::default(), Vec::new(), Vec::new());
    for number in 0..customers {
        let (customer, at) = (format!("c{number:08}"), START + Span(number * GAP));
        let event = CustomerEvent {
            customer: &customer,
            name: "signup",
            name_id: rules.vocabulary.name("signup"),
            at,
            id: Some(&customer),
            source: None,
            record_hash: 0,
            unusable_values: 0,
            properties: &[],
        };
        let mut state = CustomerState::new(&rules);
        engine.apply(&mut state, &event, number, Instant::MIN, Detail::None, &mut effects);
        effects.clear();
        assert_eq!(state.next_deadline, at + WEEK);
        bytes.clear();
        encode_state(&state, &mut bytes);
        let indexed_at = if number < early { at + EARLY } else { state.next_deadline };
        batch.put_customer(&customer, indexed_at, &bytes);
        batch.put_timer(indexed_at, &customer);
        if batch.len() >= 2 * LOADED_AT_ONCE {
            database.write(&std::mem::take(&mut batch)).unwrap();
        }
    }
    database.write(&batch).unwrap();
    database.flush().unwrap();
}

/// Stream time goes over so many entries from an instant on, as many at once as a batch has records; everything is
/// written. The processor time of it, RocksDB's own threads included.
fn pass(bench: &mut Bench, from: Instant, entries: i64) -> Duration {
    let before = cpu();
    let batch = i64::try_from(BATCH).unwrap();
    let mut done = 0;
    while done < entries {
        done = (done + batch).min(entries);
        bench.residents.begin(bench.position);
        bench.residents.advance(from + Span(done * GAP));
        bench.decide();
        bench.write();
    }
    bench.flush_all();
    let after = cpu();
    after.0.saturating_sub(before.0) + after.1.saturating_sub(before.1)
}
