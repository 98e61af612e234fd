use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::index::hash_of;
use super::shard::STALE_ENTRIES;
use super::{Shard, Timing};
use crate::engine::decide::{Detail, Engine};
use crate::event::{CustomerEvent, Instant, Span};

fn shard() -> Shard {
    let rules =
        crate::rules::load("rules.toml", "[cohorts.quiet]\nwho = \"silent for 90 days\"\n").expect("sound rules");
    let timing = Timing { arrives_within: Span(0), max_lateness: Span::DAY, earliest: Instant(0) };
    Shard::new(Engine::new(Arc::new(rules), Span::DAY, 64), timing, Instant(0))
}

fn event(customer: &str, at: i64) -> CustomerEvent<'_> {
    CustomerEvent {
        customer,
        name: "visit",
        name_id: crate::event::NameId(0),
        at: Instant(at),
        id: None,
        source: None,
        record_hash: at.cast_unsigned(),
        unusable_values: 0,
        properties: &[],
    }
}

/// A customer comes, is put out of memory, and the next one comes, for months: nothing of them may be left.
#[test]
fn loading_and_removing_leaves_nothing_behind() {
    let mut shard = shard();
    let mut effects = Vec::new();
    for round in 0..200_000_i64 {
        let customer = format!("c{}", round % 1_000);
        shard.begin(round);
        let slot = shard.find_or_new(&customer);
        shard.apply(slot, &event(&customer, round), round, Detail::None, &mut effects);
        assert!(shard.next_deadline(slot) > Instant(0), "a deadline 90 days ahead");
        shard.take_if_dirty(slot);
        shard.remove(slot);
    }
    assert_eq!((shard.len(), shard.bytes()), (0, 0));
    assert!(shard.timers.len() <= STALE_ENTRIES, "{} timers", shard.timers.len());
    assert_eq!(shard.decoded.len(), 0);
    assert!(shard.dirty.len() <= STALE_ENTRIES, "{} entries among the dirty", shard.dirty.len());
    assert_eq!(shard.slots.iter().count(), 0);
    assert!(shard.slots.len() <= 1_000, "{} slots", shard.slots.len());
}

#[test]
fn deadlines_of_one_instant_can_be_decided_a_few_at_a_time() {
    let mut shard = shard();
    let mut effects = Vec::new();
    for n in 0..10 {
        let customer = format!("c{n}");
        let slot = shard.find_or_new(&customer);
        shard.apply(slot, &event(&customer, 1_000), n, Detail::None, &mut effects);
    }
    let due = Instant(1_000) + Span(90 * Span::DAY.0);
    let mut turns = Vec::new();
    loop {
        let fired = shard.fire_some(due.next(), 4, 10, Detail::None, &mut effects);
        if fired.is_empty() {
            break;
        }
        assert!(shard.next_due() >= due);
        turns.push(fired.len());
    }
    assert_eq!((turns, effects.len()), (vec![4, 4, 2], 10));
}

/// Two customers whose ids have one hash, by which they are looked up first.
fn alike() -> (String, String) {
    let mut known = FxHashMap::default();
    let id = |n: u32| format!("c{n}");
    let twice = (0..).find_map(|n| Some((id(known.insert(hash_of(id(n).as_bytes()), n)?), id(n))));
    twice.expect("there are more ids than hashes")
}

#[test]
fn customers_who_are_looked_up_together_are_found_as_each_alone() {
    let (one, other) = alike();
    let mut shard = shard();
    let mut ids: Vec<String> = (0..100).map(|n| format!("d{n}")).collect();
    ids.extend([one.clone(), other.clone()]);
    for id in ids.iter().step_by(3).chain([&one]) {
        shard.find_or_new(id);
    }
    let check = |shard: &mut Shard| {
        let asked: Vec<Option<&str>> = ids.iter().map(|id| Some(id.as_str())).chain([None]).collect();
        let mut found = vec![None];
        shard.find_all(&asked, &mut found);
        let alone = asked.iter().map(|id| id.and_then(|id| shard.slot_of(id)));
        assert_eq!(found, [None].into_iter().chain(alone).collect::<Vec<_>>());
        found.iter().flatten().count()
    };
    let before = check(&mut shard);
    shard.find_or_new(&other);
    assert_eq!(check(&mut shard), before + 1);
}
