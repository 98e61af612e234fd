use std::sync::Arc;

use super::{Fact, Migration, united};
use crate::engine::{CustomerState, Engine, Words};
use crate::event::{ChangeReason, CustomerEvent, Instant, Span};
use crate::rules::{RuleSet, load};

fn rules(text: &str) -> Arc<RuleSet> {
    Arc::new(load("r.toml", text).unwrap())
}

fn engine(rules: &Arc<RuleSet>) -> Engine {
    Engine::new(Arc::clone(rules), Span(0), 64)
}

fn event<'e>(name: &'e str, at: i64, rules: &RuleSet) -> CustomerEvent<'e> {
    CustomerEvent {
        customer: "ann",
        name,
        name_id: rules.vocabulary.name(name),
        at: Instant(at),
        id: None,
        source: None,
        record_hash: at.unsigned_abs(),
        unusable_values: 0,
        properties: &[],
    }
}

/// Ann, after an event `a1` at each of these instants.
fn ann(rules: &Arc<RuleSet>, times: &[i64]) -> CustomerState {
    let mut state = CustomerState::new(rules);
    for at in times {
        engine(rules).apply(&mut state, &event("a1", *at, rules), *at, Instant(0), Words::None, &mut Vec::new());
    }
    state
}

#[test]
fn facts_are_brought_over_by_what_they_are_and_memberships_by_name() {
    let old = rules("[cohorts.x]\nwho = 'did b1 ever'\n[cohorts.y]\nwho = 'did a1 at least 2 times ever'");
    let new = rules("[cohorts.a]\nwho = 'did c1 ever'\n[cohorts.y]\nwho = 'did a1 at least 2 times ever'");
    let state = ann(&old, &[1, 2]);
    let mut said = Vec::new();
    let migration = Migration::between(Arc::clone(&old), Arc::clone(&new));
    // Nobody kept anything of `c1`.
    assert!(migration.rereads());
    let (state, left) = migration.migrate(state, None, true, Instant(5), &mut engine(&new), Words::None, &mut said);
    assert!(left.is_empty() && said.is_empty());
    assert!(state.memberships[1].member && !state.memberships[0].member);
    assert_eq!((state.memberships[1].entered_at, state.sequence, state.known_since), (Instant(2), 1, Instant(1)));
}

#[test]
fn fewer_are_kept_where_fewer_are_needed_and_the_log_is_left_alone() {
    let many = rules("[cohorts.y]\nwho = 'did a1 at least 3 times in the last 1 day'");
    let few = rules("[cohorts.y]\nwho = 'did a1 at least 2 times in the last 1 day'");
    let migration = Migration::between(Arc::clone(&many), Arc::clone(&few));
    assert!(!migration.rereads() && Migration::between(Arc::clone(&few), Arc::clone(&many)).rereads());
    let mut said = Vec::new();
    let (state, _) =
        migration.migrate(ann(&many, &[1, 2, 3]), None, true, Instant(3), &mut engine(&few), Words::None, &mut said);
    assert_eq!(state.facts[0], Fact::Times(vec![Instant(2), Instant(3)]));
    // In before as well: still in, with nothing to say.
    assert!(said.is_empty() && state.memberships[0].member);
}

#[test]
fn members_of_what_is_gone_leave_no_sooner_than_a_millisecond_after_they_came() {
    let old = rules("[cohorts.x]\nwho = 'did a1 ever'\n[cohorts.y]\nwho = 'did a1 ever'");
    let new = rules("[cohorts.y]\nwho = 'did a1 ever'\nat_least = '1 day'");
    let migration = Migration::between(Arc::clone(&old), Arc::clone(&new));
    let mut said = Vec::new();
    let (state, left) =
        migration.migrate(ann(&old, &[7]), None, true, Instant(3), &mut engine(&new), Words::None, &mut said);
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].at, left[0].reason, left[0].sequence), (Instant(8), ChangeReason::DefinitionChanged, 3));
    assert!(said.is_empty() && state.memberships[0].member);
    assert_eq!((state.clock, state.sequence), (Instant(8), 3));
}

#[test]
fn what_was_kept_and_what_the_log_still_says_are_put_together() {
    let times = |times: &[i64]| times.iter().map(|at| Instant(*at)).collect::<Vec<_>>();
    assert_eq!(united(&times(&[3, 5, 5]), &times(&[1, 5, 9])), times(&[1, 3, 5, 5, 9]));
}
