use std::path::Path;
use std::sync::Arc;

use super::{Residents, Shrunk};
use crate::engine::{Detail, Engine, Shard, Timing};
use crate::event::{CustomerEvent, Instant, NameId, Span};
use crate::store::{Database, SharedMemory};

/// Until a silent customer is quiet.
const SILENCE: Span = Span(90 * Span::DAY.0);
/// A budget that holds everybody.
const ENOUGH: usize = usize::MAX / 32;

fn shard() -> Shard {
    let rules =
        crate::rules::load("rules.toml", "[cohorts.quiet]\nwho = \"silent for 90 days\"\n").expect("sound rules");
    let timing = Timing { arrives_within: Span(0), max_lateness: Span::DAY, earliest: Instant(0) };
    Shard::new(Engine::new(Arc::new(rules), Span::DAY, 64), timing, Instant(0))
}

fn residents(folder: &Path) -> Residents {
    let database = Database::open(&folder.join("state"), &SharedMemory::new(8 << 20, 8 << 20)).unwrap();
    Residents::new(shard(), database).unwrap()
}

fn event<'c>(customer: &'c str, at: Instant, id: &'c str) -> CustomerEvent<'c> {
    CustomerEvent {
        customer,
        name: "visit",
        name_id: NameId(0),
        at,
        id: Some(id),
        source: None,
        record_hash: 0,
        unusable_values: 0,
        properties: &[],
    }
}

/// An event of somebody who may be in memory, stored, or new.
fn visit(residents: &mut Residents, customer: &str, at: Instant, position: i64) {
    residents.begin(position);
    residents.load_missing([customer].into_iter()).unwrap();
    let slot = residents.find_or_new(customer);
    assert!(residents.apply_event(slot, &event(customer, at, &position.to_string()), position, Detail::None));
}

/// Decides everything before stream time, `most` deadlines at once. Each call's deadlines with their customers.
fn decide(residents: &mut Residents, most: usize) -> Vec<Vec<(Instant, String)>> {
    let mut calls = Vec::new();
    loop {
        let until = residents.shard().stream_time();
        let decided = residents.decide_some(until, most, 1_000, Detail::None).unwrap();
        let name = |slot| residents.shard().customer(slot).to_owned();
        calls.push(decided.fired.into_iter().map(|(at, slot)| (at, name(slot))).collect());
        if decided.more_from.is_none() {
            return calls;
        }
    }
}

/// Flushes everybody, evicts as many as `budget` asks for, and writes. Returns how many index entries were moved since
/// the last batch.
fn end_batch(residents: &mut Residents, budget: usize) -> u64 {
    while residents.flush_next(i64::MAX).is_some() {}
    let victims = residents.make_room(budget);
    residents.write().unwrap();
    residents.committed(&victims).rearmed
}

#[test]
fn who_was_evicted_comes_back_as_they_were_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let mut residents = residents(folder.path());
    let names: Vec<String> = (0..100).map(|number| format!("c{number}")).collect();
    for (name, position) in names.iter().zip(0..) {
        visit(&mut residents, name, Instant(1_000 + position), position);
    }
    assert_eq!(residents.oldest_dirty(), Some(0));
    let mut flushed = Vec::new();
    while let Some(state) = residents.flush_next(49) {
        flushed.push((state.customer.to_owned(), state.state));
    }
    assert_eq!((flushed.len(), residents.oldest_dirty()), (50, Some(50)), "those of later batches stay dirty");

    // Of those to evict only so many are flushed; the others stay.
    let mut victims = residents.make_room(0);
    victims.retain(|slot| {
        let leaves = flushed.len() < 50 + 20 || residents.shard().is_clean(*slot);
        if leaves && let Some(state) = residents.flush_one(*slot) {
            flushed.push((state.customer.to_owned(), state.state));
        }
        leaves
    });
    assert_eq!(victims.len(), 50 + 20);
    residents.write().unwrap();
    assert_eq!(residents.shard().len(), 100, "until the batch is committed everybody is in memory");
    residents.committed(&victims);
    assert_eq!((residents.shard().len(), residents.shard().dirty_count(), flushed.len()), (30, 30, 70));

    let all = names.iter().map(String::as_str).chain(["new"]);
    assert_eq!(residents.load_missing(all).unwrap(), 70);
    assert_eq!((residents.shard().len(), residents.shard().dirty_count()), (100, 30));
    for (customer, state) in flushed {
        let slot = residents.find(&customer).unwrap();
        let mut bytes = Vec::new();
        residents.shard().encode(slot, &mut bytes);
        assert_eq!(bytes, state, "{customer}");
        assert!(residents.flush_one(slot).is_none(), "{customer} has not changed");
    }
}

#[test]
fn deadlines_of_stored_customers_come_due_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut residents = residents(folder.path());
    let mut visits: Vec<(Instant, String)> =
        (0..10).map(|number| (Instant(number * 7 % 10 * Span::HOUR.0), format!("c{number}"))).collect();
    visits.sort();
    for ((at, customer), position) in visits.iter().zip(0..) {
        visit(&mut residents, customer, *at, position);
    }
    end_batch(&mut residents, 0);
    assert!(residents.shard().is_empty());
    // One comes again. Their entry in the index still serves, so it stays where it is.
    let (first, returns) = visits.remove(2);
    let again = first + Span(30 * Span::DAY.0);
    visit(&mut residents, &returns, again, 10);
    assert_eq!(end_batch(&mut residents, 0), 0);

    // The memory is lost, and with it stream time, which the lane keeps in META.
    let mut residents = Residents::new(shard(), residents.into_database()).unwrap();
    residents.advance(Instant(0) + SILENCE + Span::DAY);
    assert!(residents.next_due() < residents.shard().stream_time());
    let expected: Vec<(Instant, String)> = visits.into_iter().map(|(at, customer)| (at + SILENCE, customer)).collect();
    let calls = decide(&mut residents, 4);
    assert!(calls.iter().all(|call| call.len() <= 4), "{calls:?}");
    assert_eq!(calls.concat(), expected);
    assert_eq!(residents.take_effects().len(), 9);
    assert_eq!(residents.next_due(), again + SILENCE, "their entry has moved on");
    assert_eq!(end_batch(&mut residents, 0), 1);

    residents.advance(again + SILENCE);
    assert_eq!(decide(&mut residents, 4), [[]; 1], "a deadline is decided once stream time has passed it");
    residents.advance((again + SILENCE).next());
    assert_eq!(decide(&mut residents, 4), [[(again + SILENCE, returns)]]);
    assert_eq!(end_batch(&mut residents, 0), 0);
    assert_eq!(residents.database().due(&[], Instant::MAX, 10).unwrap(), [], "nobody has a deadline any more");
}

/// A restart that loses the change finds the customer by the entry.
#[test]
fn the_entry_of_a_customer_with_unflushed_changes_stays_until_they_are_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let mut residents = residents(folder.path());
    visit(&mut residents, "ann", Instant(0), 0);
    end_batch(&mut residents, ENOUGH);
    let later = Instant(0) + Span(80 * Span::DAY.0);
    visit(&mut residents, "ann", later, 1);
    residents.advance(Instant(0) + SILENCE + Span::DAY);
    assert_eq!(decide(&mut residents, 4), [[]; 1]);
    assert!(residents.take_writes().is_empty());
    let entries = |residents: &Residents| residents.database().due(&[], Instant::MAX, 10).unwrap();
    assert_eq!(entries(&residents), [(Instant(0) + SILENCE, "ann".into())]);
    assert_eq!(end_batch(&mut residents, ENOUGH), 0);
    assert_eq!(entries(&residents), [(later + SILENCE, "ann".into())]);
}

#[test]
fn the_state_that_was_shrunk_to_be_written_is_the_one_that_decides() {
    const LIMIT: usize = 300;
    let folder = tempfile::tempdir().unwrap();
    let mut residents = residents(folder.path());
    residents.set_state_bytes_max(LIMIT);
    for position in 0..60 {
        visit(&mut residents, "ann", Instant(position * Span::MINUTE.0), position);
    }
    let flushed = residents.flush_next(i64::MAX).unwrap();
    assert!(matches!(flushed.shrunk, Some(Shrunk { before, limit: LIMIT }) if before > LIMIT), "{flushed:?}");
    assert!(flushed.state.len() <= LIMIT);
    let state = flushed.state;
    residents.write().unwrap();
    assert_eq!(residents.database().customer("ann").unwrap().unwrap().state(), state);
    let slot = residents.find("ann").unwrap();
    let mut bytes = Vec::new();
    residents.shard().encode(slot, &mut bytes);
    assert_eq!(bytes, state);
    assert!(residents.committed(&[]).decisions.approximated > 0);
}
