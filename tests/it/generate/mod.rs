//! Random rules and random logs, and what must hold of them.
//!
//! Every case is a function of one number. A failing one is made small, printed with its rules and its events as lines
//! for `cohortd replay`, and runs again with `COHORTD_SEED=<number> cargo test --release random_cases -- --nocapture`;
//! `COHORTD_CASES=1000000` says how many are tried.

mod draft;
mod events;
mod random;
mod report;
mod rules;
mod shrink;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant as Stopwatch;

use cohortd::event::{Change, ChangeReason, Instant};

use crate::engine_under_test::{ENGINE, run_edited, run_with_mishaps, run_with_states};
use crate::naive::{Case, Fate, Outcome, judge, judge_with};

pub(crate) use draft::Draft;
pub(crate) use random::Random;
pub(crate) use report::record_hash;
pub(crate) use shrink::shrink;

/// A generated case: the rules before they were written down, so that they can be made smaller.
#[derive(Debug, Clone)]
pub(crate) struct Generated {
    pub(crate) draft: Draft,
    /// Its `rules` are the draft's text.
    pub(crate) case: Case,
}

impl Generated {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let world = rules::World::new(&mut random);
        let draft = world.draft(&mut random);
        let case = events::case(&world, draft.text(), &mut random);
        Self { draft, case }
    }
}

/// A case without memory beyond its facts, other rules of the same world, and the log position of the edit. Some cohorts
/// are in both, unchanged.
fn edited(seed: u64) -> (Case, String, usize) {
    let mut random = Random::new(seed);
    let world = rules::World::new(&mut random);
    let (before, mut after) = (world.draft_without_memory(&mut random), world.draft_without_memory(&mut random));
    for cohort in &mut after.cohorts {
        if let Some(known) = before.cohorts.iter().find(|known| known.name == cohort.name).filter(|_| random.percent(40)) {
            *cohort = known.clone();
        }
    }
    // A reference to a cohort that is in no draft any more.
    let names: Vec<&str> = after.cohorts.iter().map(|cohort| cohort.name).collect();
    after.cohorts.retain(|cohort| names.contains(&rules::COHORTS[0]) || !cohort.refers());
    if random.percent(50) {
        (after.activity, after.usual_gaps) = (before.activity.clone(), before.usual_gaps.clone());
    }
    let mut case = events::case(&world, before.text(), &mut random);
    // Late enough that nothing is on its way to the next millisecond.
    let last = case.events.iter().map(|event| event.at.0).chain(case.advances.iter().map(|a| a.stream_time.0)).max();
    case.until = Some(Instant(last.unwrap_or(0) + random.between(1, 25) * world.grain.0 + 2));
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
#[expect(clippy::print_stdout, reason = "figures of the run")]
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

/// How many cases are tried where nobody says otherwise: a slice of a minute.
const CASES: u64 = 20_000;

/// Tries `check` on many seeds, or on the one that `COHORTD_SEED` names. Panics with the smallest case that still fails.
#[expect(clippy::print_stdout, reason = "the seed of a failing case must be seen before it is made small")]
pub(crate) fn try_many(check: impl Fn(&Case) -> Result<(), String>) {
    let (first, cases) = match number("COHORTD_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("COHORTD_CASES").unwrap_or(CASES)),
    };
    let watch = Stopwatch::now();
    for seed in first..first + cases {
        let generated = Generated::new(seed);
        if check(&generated.case).is_err() {
            println!("seed {seed} fails; making it small ...");
            let small = shrink(generated, |case| check(case).is_err());
            let difference = check(&small.case).expect_err("the shrinker keeps what fails");
            panic!("{}", report::failure(seed, &small.case, &difference));
        }
    }
    let seconds = watch.elapsed().as_secs_f64();
    println!("{cases} cases from seed {first}, {:.0} a second", cases as f64 / seconds);
}

#[expect(clippy::disallowed_methods, reason = "a seed is no setting of the program: it names the one test case to run")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a whole number")))
}

/// The first line in which two outcomes differ, with what stands around it.
pub(crate) fn difference(judged: &Outcome, engine: &Outcome) -> Result<(), String> {
    if judged == engine { Ok(()) } else { Err(report::difference(judged, engine)) }
}

#[test]
fn random_cases_are_decided_by_the_engine_as_by_the_judge() {
    let Some(engine) = ENGINE else { return };
    try_many(|case| {
        let judged =
            judge(case).map_err(|error| format!("the generator wrote rules that cannot be judged: {error}"))?;
        let decided = engine(case).map_err(|error| format!("the engine refuses the rules: {error}"))?;
        difference(&judged, &decided)
    });
}

/// This is what the judge itself rests on: its candidates leave out no instant at which something changes.
#[test]
fn random_cases_are_judged_the_same_when_decided_at_extra_instants() {
    try_many(|case| {
        let plain = judge(case)?;
        difference(&plain, &judge_with(case, &extra_instants(case))?)
    });
}

/// Every millisecond of a short case; of a long one the neighbourhood of its events, and instants spread evenly.
fn extra_instants(case: &Case) -> Vec<Instant> {
    let times = || case.events.iter().map(|event| event.at.0).chain(case.until.map(|until| until.0));
    let (Some(first), Some(last)) = (times().filter(|t| *t > 0).min(), times().max()) else { return vec![] };
    let step = ((last - first) / 300).max(1);
    let mut extra: Vec<i64> = (0..300).map(|i| first + i * step).collect();
    extra.extend(times().flat_map(|at| [at - 1, at + 1]));
    extra.sort_unstable();
    extra.into_iter().map(Instant).collect()
}

/// Generators that produce nothing prove nothing.
#[test]
fn random_cases_exercise_every_fate_and_many_changes() {
    let (mut changes, mut busy) = (0, 0);
    let mut fates = [Fate::Applied, Fate::Duplicate, Fate::TooLate, Fate::BadTime, Fate::NotRead].map(|f| (f, 0));
    let cases = 500;
    for seed in 0..cases {
        let generated = Generated::new(seed);
        let outcome = judge(&generated.case).unwrap_or_else(|error| panic!("{error}\n{}", generated.case.rules));
        changes += outcome.changes.len();
        busy += usize::from(outcome.changes.len() > 3);
        for (fate, seen) in &mut fates {
            *seen += outcome.fates.iter().filter(|found| *found == fate).count();
        }
    }
    println!("{changes} changes in {cases} cases, {busy} with more than three; {fates:?}");
    assert!(fates.iter().all(|(_, seen)| *seen > 0), "{fates:?}");
    assert!(busy * 3 > usize::try_from(cases).unwrap(), "{busy}");
}

/// Flushes, evictions, restarts and extra decisions at any moment change neither what is said nor the states' bytes.
#[test]
fn random_cases_are_decided_the_same_whatever_happens_to_the_lane() {
    try_many(|case| {
        let (plain, states) = run_with_states(case)?;
        for mishaps in 0..2 {
            let (outcome, others) = run_with_mishaps(case, mishaps)?;
            difference(&plain, &outcome)?;
            if states != others {
                return Err(format!("the states differ with mishaps {mishaps}:\n{states:02x?}\n{others:02x?}"));
            }
        }
        Ok(())
    });
}
