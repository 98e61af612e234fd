use std::sync::Arc;

use super::{Fact, Migration, united};
use crate::engine::{CustomerState, Engine, Observed, Words};
use crate::event::{ChangeReason, CustomerEvent, Instant, Span};
use crate::rules::{FactKind, RuleSet, load};

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
    let (state, left) =
        migration.migrate("ann", state, None, true, Instant(5), &mut engine(&new), Words::None, &mut said);
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
    let (state, _) = migration.migrate(
        "ann",
        ann(&many, &[1, 2, 3]),
        None,
        true,
        Instant(3),
        &mut engine(&few),
        Words::None,
        &mut said,
    );
    assert_eq!(state.facts.get(0), Some(&Fact::Times(vec![Instant(2), Instant(3)])));
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
        migration.migrate("ann", ann(&old, &[7]), None, true, Instant(3), &mut engine(&new), Words::None, &mut said);
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

#[test]
fn a_fact_that_the_log_no_longer_tells_all_of_begins_where_the_log_does() {
    let old = "[cohorts.a]\nwho = 'did not a1 in the last 10 days and sum(s1.amount in the last 10 days) > 1'\n";
    let more = "[cohorts.b]\nwho = 'did not b1 in the last 10 days and sum(s1.amount in the last 30 days) > 1'";
    let (old, new) = (rules(old), rules(&format!("{old}{more}")));
    let migration = Migration::between(Arc::clone(&old), Arc::clone(&new));
    let day = |day: i64| Instant(day * Span::DAY.0);
    let kept = Observed { from: day(3), ..Observed::ALWAYS };
    assert_eq!(migration.observed(&kept, None, day(50)), kept);
    let observed = migration.observed(&kept, Some(day(45)), day(50));
    let found = |kind: fn(&FactKind) -> bool| {
        let found = new.facts.iter().filter(|fact| kind(&fact.kind));
        found.map(|fact| observed.of(fact)).collect::<Vec<_>>()
    };
    // What was kept of `a1` begins where it did; of `b1` nothing was.
    assert_eq!(found(|kind| matches!(kind, FactKind::Latest { .. })), [day(3), day(45)]);
    // Ten days were kept of what must reach thirty days back now, and the log reaches back five.
    assert_eq!(found(|kind| matches!(kind, FactKind::Series { .. })), [day(40)]);
    // The next edit finds what this one knew.
    let again = Migration::between(Arc::clone(&new), Arc::clone(&new));
    assert_eq!(again.observed(&observed, Some(day(49)), day(50)), observed);
}

#[test]
fn members_of_a_new_cohort_of_absence_come_once_it_was_observed_for_long_enough() {
    let old = rules("[cohorts.a]\nwho = 'did a1 ever'");
    let new = rules("[cohorts.a]\nwho = 'did a1 ever'\n[cohorts.b]\nwho = 'did not b1 in the last 10 seconds'");
    let migration = Migration::between(Arc::clone(&old), Arc::clone(&new));
    for (begins, expected) in [(None, Some(Instant(40_000))), (Some(Instant(35_000)), None)] {
        let observed = migration.observed(&Observed::ALWAYS, begins, Instant(40_000));
        let mut engine = engine(&new).observing(observed);
        let mut said = Vec::new();
        let (mut state, _) = migration.migrate(
            "ann",
            ann(&old, &[20_000]),
            None,
            begins.is_none(),
            Instant(40_000),
            &mut engine,
            Words::None,
            &mut said,
        );
        assert_eq!(said.first().map(|effect| effect.at), expected);
        engine.fire(&mut state, Instant(100_000), Words::None, &mut said);
        assert_eq!(said.len(), 1);
        assert_eq!(said[0].at, expected.unwrap_or(Instant(45_000)));
    }
}
