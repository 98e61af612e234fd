//! Rules that are edited on the way.

use std::collections::{BTreeMap, BTreeSet};

use cohortd::event::{Change, ChangeReason, Instant};
use cohortd::rules::{RuleSet, load as rules_of};

use super::{Generated, Random, events, number, rules};
use crate::engine_under_test::run_edited;
use crate::naive::{Case, Outcome, judge};

/// How many cases are tried by default.
const CASES: u64 = 10_000;

/// A case without memory beyond its facts, other rules of the same world, and the log position of the edit. Some cohorts
/// are in both, unchanged.
fn edited(seed: u64) -> (Case, String, usize) {
    let mut random = Random::new(seed);
    let mut world = rules::World::new(&mut random);
    let before = world.draft_without_memory(&mut random);
    let mut after = world.draft_without_memory(&mut random);
    for cohort in &mut after.cohorts {
        if let Some(known) =
            before.cohorts.iter().find(|known| known.name == cohort.name).filter(|_| random.percent(40))
        {
            *cohort = known.clone();
        }
    }
    // A reference to a cohort that is in no draft any more.
    let names: Vec<&str> = after.cohorts.iter().map(|cohort| cohort.name).collect();
    after.cohorts.retain(|cohort| names.contains(&rules::COHORTS[0]) || !cohort.refers());
    if after.cohorts.is_empty() {
        after.cohorts.clone_from(&before.cohorts);
    }
    if random.percent(50) {
        (after.activity, after.usual_gaps) = (before.activity.clone(), before.usual_gaps.clone());
    }
    let mut case = events::case(&world, before.text(), &mut random);
    // Late enough that nothing is on its way to the next millisecond.
    let last = case.events.iter().map(|event| event.at.0).chain(case.advances.iter().map(|a| a.stream_time.0)).max();
    case.until = Some(Instant(last.unwrap_or(0) + random.between(1, 25) * world.grain.0 + 2));
    // The thresholds of edited rules are computed again, so that they would differ for a while.
    case.thresholds.clear();
    let at = random.below(case.events.len() + 1);
    (case, after.text(), at)
}

/// Who is in which cohort at the end; panics where a change cannot follow on the one before.
fn members(outcome: &Outcome) -> BTreeSet<(String, String)> {
    let mut members = BTreeSet::new();
    let mut sequences: BTreeMap<String, u64> = BTreeMap::new();
    for change in &outcome.changes {
        let sequence = sequences.entry(change.customer.clone()).or_default();
        *sequence += 1;
        assert_eq!(change.sequence, *sequence, "a customer's changes are numbered without a gap");
        let member = (change.customer.clone(), change.cohort.clone());
        let follows = if change.change == Change::Entered { members.insert(member) } else { members.remove(&member) };
        assert!(follows, "{change:?} of one who was there already, or not there");
    }
    members
}

/// After an edit everybody is where they would be, had the edited rules been there from the beginning.
#[test]
fn random_cases_come_to_the_same_members_after_an_edit() {
    let (first, cases) = match number("COHORTD_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("COHORTD_CASES").unwrap_or(CASES)),
    };
    let (mut moved, mut standing) = (0, 0);
    for seed in first..first + cases {
        let (case, after, at) = edited(seed);
        let fresh = judge(&Case { rules: after.clone(), ..case.clone() }).unwrap();
        let outcome = run_edited(&case, at, &after).unwrap();
        let (expected, found) = (members(&fresh), members(&outcome));
        moved += outcome.changes.iter().filter(|c| c.reason == ChangeReason::DefinitionChanged).count();
        standing += found.len();
        assert_eq!(
            found,
            expected,
            "seed {seed}, edited at {at}\n{}\nEDITED TO\n{after}\n{:#?}\nSAID\n{:#?}\nFRESH\n{:#?}",
            case.rules,
            case.events.iter().map(|e| (&e.customer, &e.name, e.at.0, &e.properties)).collect::<Vec<_>>(),
            outcome.changes,
            fresh.changes
        );
    }
    println!("{cases} cases from seed {first}: {moved} changes by edits, {standing} members at the end");
    assert!(first > 0 || cases < 1_000 || moved > 1_000, "{moved}");
}

/// All that decides, as compiled.
fn meaning(rules: &RuleSet) -> String {
    let nodes: Vec<_> = rules.cohorts.iter().map(|cohort| (&cohort.who, &cohort.stay, &cohort.until)).collect();
    let signals = rules.churn.as_ref().map(|churn| &churn.signals);
    format!("{:?}\n{:?}\n{nodes:?}\n{signals:?}", rules.facts, rules.conditions)
}

/// Numbers in stored states are read by the rules of one fingerprint: what means something else must have another, also where
/// only what a name stands for was changed, and only a signal of churn uses that name.
#[test]
fn random_rules_that_mean_something_else_have_another_fingerprint() {
    let mut compared = 0;
    for seed in 0..1_500 {
        let draft = Generated::with_churn(seed).draft;
        let Ok(before) = rules_of("before.toml", &draft.text()) else { continue };
        for (one, other) in (0..draft.named.len()).flat_map(|one| (0..draft.named.len()).map(move |other| (one, other)))
        {
            if draft.named[one].attribute != draft.named[other].attribute {
                continue;
            }
            let mut edited = draft.clone();
            edited.named[one].text = draft.named[other].text.clone();
            let Ok(after) = rules_of("after.toml", &edited.text()) else { continue };
            if meaning(&before) != meaning(&after) {
                compared += 1;
                assert_ne!(before.fingerprint, after.fingerprint, "seed {seed}\n{}\n{}", draft.text(), edited.text());
            }
        }
    }
    assert!(compared > 300, "{compared}");
}
