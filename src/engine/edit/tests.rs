use std::sync::Arc;

use super::{LogCoverage, Migration};
use crate::engine::{CustomerState, Detail, Engine, Observed};
use crate::event::{ChangeReason, CustomerEvent, Instant, Span, Value};
use crate::fact::{Fact, FactKind, OpenKey};
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
        engine(rules).apply(&mut state, &event("a1", *at, rules), *at, Instant(0), Detail::None, &mut Vec::new());
    }
    state
}

#[test]
fn facts_are_brought_over_by_what_they_are_and_memberships_by_name() {
    let old = rules("[cohorts.x]\nwho = 'did b1 ever'\n[cohorts.y]\nwho = 'did a1 at least 2 times ever'");
    let new = rules("[cohorts.a]\nwho = 'did c1 ever'\n[cohorts.y]\nwho = 'did a1 at least 2 times ever'");
    let state = ann(&old, &[1, 2]);
    let mut effects = Vec::new();
    let migration = Migration::between(Arc::clone(&old), Arc::clone(&new));
    // Nobody kept anything of `c1`.
    assert!(migration.needs_log());
    let (state, left) = migration.migrate(
        "ann",
        state,
        None,
        LogCoverage::Whole,
        Instant(5),
        &mut engine(&new),
        Detail::None,
        &mut effects,
    );
    assert!(left.is_empty() && effects.is_empty());
    assert!(state.memberships[1].member && !state.memberships[0].member);
    assert_eq!((state.memberships[1].entered_at, state.sequence, state.known_since), (Instant(2), 1, Instant(1)));
}

#[test]
fn fewer_are_kept_where_fewer_are_needed_and_the_log_is_left_alone() {
    let many = rules("[cohorts.y]\nwho = 'did a1 at least 3 times in the last 1 day'");
    let few = rules("[cohorts.y]\nwho = 'did a1 at least 2 times in the last 1 day'");
    let migration = Migration::between(Arc::clone(&many), Arc::clone(&few));
    assert!(!migration.needs_log() && Migration::between(Arc::clone(&few), Arc::clone(&many)).needs_log());
    let mut effects = Vec::new();
    let (state, _) = migration.migrate(
        "ann",
        ann(&many, &[1, 2, 3]),
        None,
        LogCoverage::Whole,
        Instant(3),
        &mut engine(&few),
        Detail::None,
        &mut effects,
    );
    assert_eq!(state.facts.get(0), Some(&Fact::Latest(vec![Instant(2), Instant(3)])));
    // In before as well: still in, with nothing to say.
    assert!(effects.is_empty() && state.memberships[0].member);
}

#[test]
fn members_of_what_is_gone_leave_no_sooner_than_a_millisecond_after_they_came() {
    let old = rules("[cohorts.x]\nwho = 'did a1 ever'\n[cohorts.y]\nwho = 'did a1 ever'");
    let new = rules("[cohorts.y]\nwho = 'did a1 ever'\nat_least = '1 day'");
    let migration = Migration::between(Arc::clone(&old), Arc::clone(&new));
    let mut effects = Vec::new();
    let (state, left) = migration.migrate(
        "ann",
        ann(&old, &[7]),
        None,
        LogCoverage::Whole,
        Instant(3),
        &mut engine(&new),
        Detail::None,
        &mut effects,
    );
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].at, left[0].reason, left[0].sequence), (Instant(8), ChangeReason::DefinitionChanged, 3));
    assert!(effects.is_empty() && state.memberships[0].member);
    assert_eq!((state.clock, state.sequence), (Instant(8), 3));
}

/// The day after the last one of the history below.
const NOW: i64 = 40;

/// One event or two a day, of three plans, every third one a `b1`.
fn history() -> Vec<(Instant, &'static str, &'static str)> {
    let at = |hour: i64| Instant(hour * Span::HOUR.0);
    let of_day = |day: i64| {
        let (name, plan) = (["a1", "a1", "b1"][(day % 3) as usize], ["x", "y", "z", "x", "w"][(day % 5) as usize]);
        let second = (day % 4 == 0).then_some((at(day * 24 + 15), "a1", plan));
        [Some((at(day * 24 + 9), name, plan)), second]
    };
    (0..NOW).flat_map(of_day).flatten().collect()
}

/// Gathers the history from some day on for the facts of some rules, each forgetting what it may at the end.
fn seen(rules: &Arc<RuleSet>, from: i64) -> CustomerState {
    let mut state = CustomerState::new(rules);
    let plan = rules.vocabulary.property("plan");
    for (at, name, value) in history().into_iter().filter(|(at, ..)| at.0 >= from * Span::DAY.0) {
        let properties: Vec<_> = plan.into_iter().map(|plan| (plan, Value::Text(value))).collect();
        let event = CustomerEvent { properties: &properties, ..event(name, at.0, rules) };
        assert!(engine(rules).gather(&mut state, &event, at, &vec![true; rules.facts.len()]));
    }
    state
}

/// Whichever reaches further back counts, what was kept or what the log still holds, of every kind of fact.
#[test]
fn what_reaches_further_back_counts_whatever_the_kind_of_fact() {
    for (old, new, reach) in [
        ("most_common(a1.plan in the last 10 days) = gold", "most_common(a1.plan in the last 30 days) = gold", 10),
        ("first(a1.plan in the last 10 days) = gold", "first(a1.plan in the last 30 days) = gold", 10),
        ("count(a1 in the last 10 days) > 1", "count(a1 in the last 30 days) > 1", 10),
        (
            "did a1 at least 3 times between 10 days and 1 day ago",
            "did a1 at least 3 times between 30 days and 1 day ago",
            10,
        ),
        (
            "did a1 with at least 2 different plan between 10 days and 1 day ago",
            "did a1 with at least 2 different plan between 30 days and 1 day ago",
            10,
        ),
        (
            "each a1 then no b1 within 2 days in the last 8 days",
            "each a1 then no b1 within 2 days in the last 28 days",
            10,
        ),
        (
            "each a1 then no b1 within 2 days per plan in the last 8 days",
            "each a1 then no b1 within 2 days per plan in the last 28 days",
            10,
        ),
        (
            "did a1 at least 2 times a day in at least 1 of the last 10 days",
            "did a1 at least 2 times a day in at least 1 of the last 30 days",
            10,
        ),
        ("did a1 at least 5 times in the last 90 days", "did a1 at least 20 times in the last 90 days", 30),
        (
            "did a1 with at least 1 different plan in the last 90 days",
            "did a1 with at least 4 different plan in the last 90 days",
            30,
        ),
    ] {
        let (old, new) = (rules(&format!("[cohorts.c]\nwho = '{old}'")), rules(&format!("[cohorts.c]\nwho = '{new}'")));
        let migration = Migration::between(Arc::clone(&old), Arc::clone(&new));
        assert!(migration.needs_log());
        let now = Instant(NOW * Span::DAY.0);
        // Of some kinds a number of times was kept, not what lies some days back.
        let is_number = reach == 30;
        for begins in [NOW - 25, NOW - 5, NOW - 1].into_iter().take(if is_number { 1 } else { 3 }) {
            let (state, _) = migration.migrate(
                "ann",
                seen(&old, 0),
                Some(seen(&new, begins)),
                LogCoverage::Partial,
                now,
                &mut engine(&new),
                Detail::None,
                &mut Vec::new(),
            );
            let expected = seen(&new, begins.min(NOW - reach.min(10)));
            for (number, spec) in new.facts.iter().enumerate() {
                let settled = |state: &CustomerState| {
                    let mut fact = state.facts.get(number).cloned().unwrap_or_else(|| Fact::empty(&spec.kind));
                    fact.forget(&spec.kind, None, now);
                    if let Fact::Unanswered(pairs) = &mut fact {
                        // A B before every A that is open answers nothing any more, known or not.
                        let is_past = |pair: &&mut OpenKey| pair.a.iter().all(|opening| opening.at > pair.b_at);
                        pairs.iter_mut().filter(is_past).for_each(|pair| (pair.b_at, pair.b_count) = (Instant::MIN, 0));
                    }
                    fact
                };
                assert_eq!(settled(&state), settled(&expected), "{spec:?}, the log begins on day {begins}");
            }
        }
    }
}

#[test]
fn a_fact_that_the_log_no_longer_covers_begins_where_the_log_does() {
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
    assert_eq!(found(|kind| matches!(kind, FactKind::Latest(_))), [day(3), day(45)]);
    // Ten days were kept of what must reach thirty days back now, and the log reaches back five.
    assert_eq!(found(|kind| matches!(kind, FactKind::Series(_))), [day(40)]);
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
        let mut effects = Vec::new();
        let (mut state, _) = migration.migrate(
            "ann",
            ann(&old, &[20_000]),
            None,
            if begins.is_none() { LogCoverage::Whole } else { LogCoverage::Partial },
            Instant(40_000),
            &mut engine,
            Detail::None,
            &mut effects,
        );
        assert_eq!(effects.first().map(|effect| effect.at), expected);
        engine.fire(&mut state, Instant(100_000), Detail::None, &mut effects);
        assert_eq!(effects.len(), 1);
        assert_eq!(effects[0].at, expected.unwrap_or(Instant(45_000)));
    }
}
