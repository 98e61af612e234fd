//! Random rules and random logs, and what must hold of them.
//!
//! Every case is a function of one number. A failing one is made small, printed with its rules and its events as lines
//! for `cohortd replay`, and with the command that runs it again; `COHORTD_CASES=1000000` says how many are tried.

mod churn;
mod draft;
mod edited;
mod events;
mod measures;
mod property;
mod random;
mod report;
mod rules;
mod shrink;

use cohortd::event::{ChangeReason, Instant};
use cohortd::fact::Capacities;

use crate::engine_under_test::{ENGINE, promises_are_kept, run_ahead, run_lazily, run_with_mishaps, run_with_states};
use crate::naive::{Case, Config, Handling, Outcome, judge, judge_ahead, judge_with};

pub(crate) use churn::Churn;
pub(crate) use draft::{Cohort, Draft, Expr};
pub(crate) use property::{Property, number};
pub(crate) use random::Random;
pub(crate) use report::{json_line, record_hash};
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
        let mut world = rules::World::new(&mut random);
        let draft = world.draft(&mut random);
        let case = events::case(&world, draft.text(), &mut random);
        Self { draft, case }
    }

    /// A case with more events than are kept.
    pub(crate) fn with_capacities(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut world = rules::World::with_capacities(&mut random);
        let draft = world.draft(&mut random);
        let case = events::case(&world, draft.text(), &mut random);
        Self { draft, case }
    }

    /// A case in which churn is watched.
    pub(crate) fn with_churn(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut world = rules::World::with_churn(&mut random);
        let draft = world.draft(&mut random);
        let mut case = events::case(&world, draft.text(), &mut random);
        if random.percent(30) {
            churn::meet(&mut case, &mut random);
        }
        Self { draft, case }
    }
}

/// The first line in which two outcomes differ, with what stands around it.
pub(crate) fn difference(judged: &Outcome, engine: &Outcome) -> Result<(), String> {
    if judged == engine { Ok(()) } else { Err(report::difference(judged, engine)) }
}

/// Those of this file.
pub(crate) const PROPERTIES: [Property; 12] = [
    AS_JUDGED,
    AT_EXTRA_INSTANTS,
    WHATEVER_HAPPENS,
    PROMISES_KEPT,
    PROMISES_AS_JUDGED,
    CHURN_AS_JUDGED,
    CHURN_AT_EXTRA_INSTANTS,
    CHURN_WHATEVER_HAPPENS,
    CHURN_WHENEVER_SWEPT,
    CHURN_PROMISES_AS_JUDGED,
    CAPPED_AS_JUDGED,
    CAPPED_WHATEVER_HAPPENS,
];

const AS_JUDGED: Property =
    property("generate::random_cases_are_decided_by_the_engine_as_by_the_naive_evaluator", as_evaluated);

/// It compares the naive evaluator with itself, which takes long and finds little: the engine is compared in four times as many.
const AT_EXTRA_INSTANTS: Property = Property {
    cases: 5_000,
    ..property("generate::random_cases_come_out_alike_when_decided_at_extra_instants", at_extra_instants)
};

const WHATEVER_HAPPENS: Property =
    property("generate::random_cases_are_decided_the_same_whatever_happens_to_the_lane", whatever_happens);

const PROMISES_KEPT: Property =
    property("generate::random_cases_keep_their_promise_of_the_next_change", |case, _| promises_are_kept(case));

const PROMISES_AS_JUDGED: Property = Property {
    cases: 8_000,
    ..property("generate::random_cases_promise_the_next_change_of_the_naive_evaluator", promises_as_evaluated)
};

const CHURN_AS_JUDGED: Property =
    with_churn("generate::random_cases_with_churn_are_decided_by_the_engine_as_by_the_naive_evaluator", as_evaluated);

const CHURN_AT_EXTRA_INSTANTS: Property = Property {
    cases: 1_000,
    ..with_churn("generate::random_cases_with_churn_come_out_alike_at_extra_instants", at_extra_instants)
};

const CHURN_WHATEVER_HAPPENS: Property =
    with_churn("generate::random_cases_with_churn_are_decided_the_same_whatever_happens_to_the_lane", whatever_happens);

const CHURN_WHENEVER_SWEPT: Property =
    with_churn("generate::random_cases_with_churn_are_decided_the_same_whenever_customers_are_swept", whenever_swept);

/// Not where days matter: there the naive evaluator stops before the ten years are over in which a score may change.
const CHURN_PROMISES_AS_JUDGED: Property = Property {
    make: |seed| {
        let generated = Generated::with_churn(seed);
        let by_days = [" by calendar", " of the last ", " in a row"];
        let fits = !by_days.iter().any(|words| generated.case.rules.contains(words));
        fits.then_some(generated)
    },
    ..with_churn(
        "generate::random_cases_with_churn_promise_the_next_change_of_the_naive_evaluator",
        promises_as_evaluated,
    )
};

const CAPPED_AS_JUDGED: Property =
    capped("generate::random_cases_beyond_capacity_are_decided_by_the_engine_as_by_the_naive_evaluator", as_evaluated);

const CAPPED_WHATEVER_HAPPENS: Property = capped(
    "generate::random_cases_beyond_capacity_are_decided_the_same_whatever_happens_to_the_lane",
    whatever_happens,
);

fn as_evaluated(case: &Case, _: u64) -> Result<(), String> {
    let Some(engine) = ENGINE else { return Ok(()) };
    let judged = judge(case).map_err(|error| format!("the generator wrote rules that cannot be judged: {error}"))?;
    let decided = engine(case).map_err(|error| format!("the engine refuses the rules: {error}"))?;
    difference(&judged, &decided)
}

fn at_extra_instants(case: &Case, _: u64) -> Result<(), String> {
    let plain = judge(case)?;
    difference(&plain, &judge_with(case, &extra_instants(case))?)
}

fn whatever_happens(case: &Case, _: u64) -> Result<(), String> {
    let (plain, states) = run_with_states(case)?;
    for mishaps in 0..2 {
        let (outcome, others) = run_with_mishaps(case, mishaps)?;
        difference(&plain, &outcome)?;
        if states != others {
            return Err(format!("the states differ with mishaps {mishaps}:\n{states:02x?}\n{others:02x?}"));
        }
    }
    Ok(())
}

fn whenever_swept(case: &Case, _: u64) -> Result<(), String> {
    let (plain, states) = run_with_states(case)?;
    let plain = by_customer(plain);
    for mishaps in 0..2 {
        let (outcome, others) = run_lazily(case, mishaps)?;
        difference(&plain, &by_customer(outcome))?;
        if states != others {
            return Err(format!("the states differ with mishaps {mishaps}:\n{states:02x?}\n{others:02x?}"));
        }
    }
    Ok(())
}

/// Each customer's changes, whatever their log position.
fn by_customer(mut outcome: Outcome) -> Outcome {
    outcome.changes.iter_mut().for_each(|change| change.position = 0);
    outcome.changes.sort_by_key(|change| change.customer.clone());
    outcome.risks.iter_mut().for_each(|rated| rated.position = 0);
    outcome.risks.sort_by_key(|rated| rated.customer.clone());
    outcome
}

fn promises_as_evaluated(case: &Case, _: u64) -> Result<(), String> {
    difference(&judge_ahead(case)?, &run_ahead(case)?)
}

type Check = fn(&Case, u64) -> Result<(), String>;

/// Any cases; for a part of a minute by default.
const fn property(test: &'static str, check: Check) -> Property {
    Property { test, cases: 20_000, make: |seed| Some(Generated::new(seed)), check }
}

/// Of cases in which churn is watched, which take longer.
const fn with_churn(test: &'static str, check: Check) -> Property {
    Property { test, cases: 4_000, make: |seed| Some(Generated::with_churn(seed)), check }
}

/// Of cases with more events than are kept, which take longer.
const fn capped(test: &'static str, check: Check) -> Property {
    Property { test, cases: 5_000, make: |seed| Some(Generated::with_capacities(seed)), check }
}

#[test]
fn random_cases_are_decided_by_the_engine_as_by_the_naive_evaluator() {
    AS_JUDGED.try_many();
}

/// The naive evaluator relies on this: its candidates include every instant at which something changes.
#[test]
fn random_cases_come_out_alike_when_decided_at_extra_instants() {
    AT_EXTRA_INSTANTS.try_many();
}

/// Flushes, evictions, restarts and extra decisions at any moment change neither the output nor the states' bytes.
#[test]
fn random_cases_are_decided_the_same_whatever_happens_to_the_lane() {
    WHATEVER_HAPPENS.try_many();
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
fn random_cases_exercise_every_outcome_and_many_changes() {
    let (mut changes, mut busy, mut excluded, mut shadows, mut ahead, mut moved) = (0, 0, 0, 0, 0, 0);
    let mut handled = [Handling::Applied, Handling::Duplicate, Handling::TooLate, Handling::BadTime, Handling::NotRead]
        .map(|f| (f, 0));
    let cases = 500;
    for seed in 0..cases {
        let generated = Generated::new(seed);
        let outcome = judge_ahead(&generated.case).unwrap_or_else(|error| panic!("{error}\n{}", generated.case.rules));
        changes += outcome.changes.len();
        busy += usize::from(outcome.changes.len() > 3);
        excluded += outcome.changes.iter().filter(|change| change.reason == ChangeReason::Excluded).count();
        moved += outcome.changes.iter().filter(|change| change.reason == ChangeReason::Threshold).count();
        shadows += outcome.changes.iter().filter(|change| change.shadow).count();
        ahead += outcome.changes.iter().filter(|change| change.next_change_at.is_some()).count();
        for (handling, seen) in &mut handled {
            *seen += outcome.handled.iter().filter(|found| *found == handling).count();
        }
    }
    println!("{changes} changes in {cases} cases, {busy} with more than three; {handled:?}");
    println!("{excluded} by exclusion, {moved} by a threshold, {shadows} in the shadow, {ahead} to come by time alone");
    assert!(excluded > 0 && shadows > 0 && ahead > 0);
    assert!(moved > 20, "{moved}");
    assert!(handled.iter().all(|(_, seen)| *seen > 0), "{handled:?}");
    assert!(busy * 3 > usize::try_from(cases).unwrap(), "{busy}");
}

/// What is promised of the next change comes, if the customer stays silent.
#[test]
fn random_cases_keep_their_promise_of_the_next_change() {
    PROMISES_KEPT.try_many();
}

#[test]
fn random_cases_promise_the_next_change_of_the_naive_evaluator() {
    PROMISES_AS_JUDGED.try_many();
}

#[test]
fn random_cases_with_churn_are_decided_by_the_engine_as_by_the_naive_evaluator() {
    CHURN_AS_JUDGED.try_many();
}

#[test]
fn random_cases_with_churn_come_out_alike_at_extra_instants() {
    CHURN_AT_EXTRA_INSTANTS.try_many();
}

#[test]
fn random_cases_with_churn_are_decided_the_same_whatever_happens_to_the_lane() {
    CHURN_WHATEVER_HAPPENS.try_many();
}

/// After new parameters: customers with an event or a deadline are decided under them first, the others at any time.
#[test]
fn random_cases_with_churn_are_decided_the_same_whenever_customers_are_swept() {
    CHURN_WHENEVER_SWEPT.try_many();
}

#[test]
fn random_cases_with_churn_promise_the_next_change_of_the_naive_evaluator() {
    CHURN_PROMISES_AS_JUDGED.try_many();
}

/// Levels are reached and fallen from, scores move cohorts, and other parameters do both.
#[test]
fn random_cases_with_churn_exercise_levels_scores_and_parameters() {
    let (mut rated, mut fallen, mut parameters_applied, mut by_scores, mut met) = (0, 0, 0, 0, 0);
    let mut members_adopted = 0;
    let cases = 400;
    for seed in 0..cases {
        let case = Generated::with_churn(seed).case;
        let outcome = judge(&case).unwrap_or_else(|error| panic!("{error}\n{}", case.rules));
        let without = judge(&Case { parameters: vec![], ..case.clone() }).unwrap();
        let by_model = |reason: &ChangeReason| *reason == ChangeReason::ModelChanged;
        rated += usize::from(!outcome.risks.is_empty());
        fallen += usize::from(outcome.risks.iter().any(|rated| rated.level == "low"));
        parameters_applied += usize::from(outcome.risks.iter().any(|rated| by_model(&rated.reason)));
        members_adopted += usize::from(outcome.changes.iter().any(|change| by_model(&change.reason)));
        by_scores += usize::from(outcome.changes != without.changes);
        met += usize::from(case.events.iter().any(|event| {
            outcome.risks.iter().any(|rated| rated.occurred_at == event.at && rated.customer == event.customer)
        }));
    }
    println!(
        "of {cases} cases levels change in {rated}, by other parameters in {parameters_applied}, to low in {fallen};"
    );
    println!("scores change cohorts in {by_scores}, other parameters in {members_adopted}; met by an event in {met}");
    assert!(rated * 2 > cases as usize && by_scores * 3 > cases as usize);
    assert!([fallen, parameters_applied, met].into_iter().all(|seen| seen * 10 > cases as usize));
    assert!(members_adopted * 20 > cases as usize);
}

#[test]
fn random_cases_beyond_capacity_are_decided_by_the_engine_as_by_the_naive_evaluator() {
    CAPPED_AS_JUDGED.try_many();
}

#[test]
fn random_cases_beyond_capacity_are_decided_the_same_whatever_happens_to_the_lane() {
    CAPPED_WHATEVER_HAPPENS.try_many();
}

/// Of all cases in which little is kept, what is forgotten changes the decisions in at least a third (in 38 of 100 of the
/// first 5,000).
#[test]
fn random_cases_beyond_capacity_lose_something() {
    let cases = 500;
    let differ = |seed: &u64| {
        let case = Generated::with_capacities(*seed).case;
        let all = Case { config: Config { capacities: Capacities::DEFAULT, ..case.config }, ..case.clone() };
        judge(&case).unwrap() != judge(&all).unwrap()
    };
    let differing = (0..cases).filter(differ).count();
    println!("of {cases} cases {differing} are decided otherwise than if everything were kept");
    assert!(differing * 3 > usize::try_from(cases).unwrap(), "{differing} of {cases}");
}
