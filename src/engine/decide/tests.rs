use std::sync::Arc;

use super::{Detail, Engine};
use crate::engine::customer::CustomerState;
use crate::engine::effects::Effect;
use crate::event::{Change, ChangeReason, CustomerEvent, Instant, Span};
use crate::rules::{CohortIx, Input, Machine, RuleSet, load};

fn engine(rules: &str) -> Engine {
    Engine::new(Arc::new(load("r.toml", rules).unwrap()), Span::DAY, 64)
}

/// Applies events of these names, an hour apart from one another.
fn apply(engine: &mut Engine, names: &[&str]) -> (CustomerState, Vec<Effect>) {
    let rules = Arc::clone(engine.rules());
    let (mut state, mut effects) = (CustomerState::new(&rules), Vec::new());
    for (name, position) in names.iter().zip(0..) {
        let at = Instant(position * Span::HOUR.0);
        let event = CustomerEvent {
            customer: "c",
            name,
            name_id: rules.vocabulary.name(name),
            at,
            id: None,
            source: None,
            record_hash: position.unsigned_abs(),
            unusable_values: 0,
            properties: &[],
        };
        engine.apply(&mut state, &event, position, at, Detail::None, &mut effects);
    }
    (state, effects)
}

fn cohort(rules: &RuleSet, name: &str) -> CohortIx {
    CohortIx(u16::try_from(rules.cohorts.iter().position(|cohort| cohort.name == name).unwrap()).unwrap())
}

/// What forces a customer out gives the reason also where the rule ends the stay at that instant.
#[test]
fn an_exit_that_is_forced_says_so_whatever_the_rule_says() {
    let mut engine = engine(
        "[cohorts.first]
        who = 'did pay in the last 7 days'
        until = 'did refund in the last 1 day'
        exclusive_in = 'one'
        priority = 1
        [cohorts.second]
        who = 'did visit in the last 30 days'
        until = 'did pay in the last 1 hour'
        exclusive_in = 'one'
        priority = 2",
    );
    let (state, effects) = apply(&mut engine, &["visit", "pay", "refund"]);
    let (first, second) = (cohort(engine.rules(), "first"), cohort(engine.rules(), "second"));
    let seen: Vec<_> = effects.iter().map(|effect| (effect.cohort, effect.change, effect.reason)).collect();
    let expected = [
        (second, Change::Entered, ChangeReason::Event),
        (first, Change::Entered, ChangeReason::Event),
        (second, Change::Exited, ChangeReason::Excluded),
        (first, Change::Exited, ChangeReason::Event),
    ];
    assert_eq!(seen, expected);
    assert!(!state.memberships[usize::from(second.0)].armed, "its rule ended the stay as well");
}

/// Whatever brings an event about: rules see it at the same instant, and what follows from it in turn.
#[test]
fn an_event_that_a_decision_brings_about_is_applied_within_it() {
    let mut engine = engine(
        "[cohorts.a_visitor]
        who = 'did visit'
        [cohorts.greeted]
        who = 'did greeting'
        [cohorts.thanked]
        who = 'did thanks and in greeted'
        [cohorts.early]
        who = 'did thanks'",
    );
    let rules = Arc::clone(engine.rules());
    let derives = |name, event| (cohort(&rules, name), Change::Entered, rules.vocabulary.name(event));
    engine.context.derives = vec![derives("a_visitor", "greeting"), derives("greeted", "thanks")];
    let order = |engine: &Engine, cohorts: &[Effect]| -> Vec<String> {
        cohorts.iter().map(|effect| engine.rules().cohort(effect.cohort).name.clone()).collect()
    };
    let (state, effects) = apply(&mut engine, &["visit"]);
    assert_eq!(order(&engine, &effects), ["a_visitor", "greeted", "early", "thanked"]);
    assert!(effects.iter().all(|effect| effect.at == Instant(0) && effect.cause.as_ref().unwrap().event == "visit"));
    assert_eq!(state.next_deadline, Instant::MAX);
}

/// Everything that is decided stands in one table, with the earliest as the customer's own deadline, and everything that
/// a change concerns is found in one index.
#[test]
fn every_machine_is_in_the_index_and_in_the_table_of_deadlines() {
    let mut engine = engine(
        "[churn]
        on = 'purchase'
        [cohorts.quiet]
        who = 'silent for 30 days'
        [cohorts.best]
        who = 'in the top 10 % by count(purchase in the last 7 days)'
        [cohorts.best_of_quiet]
        who = 'in the top 10 % by count(visit in the last 9 days) among quiet'",
    );
    let (state, _) = apply(&mut engine, &["purchase", "visit"]);
    let (rules, last) = (engine.rules(), Instant(Span::HOUR.0));
    let (quiet, best) = (cohort(rules, "quiet"), cohort(rules, "best"));
    let ranking = Machine::Ranking(rules.ranks[0].ranking);
    assert_eq!(state.deadlines.get(Machine::Cohort(quiet)), last + Span(30 * Span::DAY.0));
    assert_eq!(state.deadlines.get(ranking), Instant(7 * Span::DAY.0));
    assert_eq!(state.next_deadline, Instant(7 * Span::DAY.0));
    let purchases = rules.churn.as_ref().unwrap().fact;
    assert_eq!(rules.readers.of(Input::Fact(purchases)), [Machine::Risk]);
    let of_quiet = rules.readers.of(Input::Cohort(quiet));
    assert!(matches!(of_quiet, [Machine::Cohort(_), Machine::Ranking(_)]), "{of_quiet:?}");
    let ranks = rules.conditions.iter().filter(|c| matches!(c, crate::rules::Condition::Rank { .. })).count();
    assert_eq!(ranks, 2);
    let readers = rules.readers.of(Input::Threshold(crate::rules::RankIx(0)));
    assert_eq!(readers, [Machine::Cohort(best)]);
}
