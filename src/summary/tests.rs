//! Surveys of a few customers, worked out by hand.

use std::sync::Arc;

use serde_json::json;

use super::{Digest, OPEN_DAYS_MAX, Overview, Survey, Surveys};
use crate::churn::{GammaGamma, MbgNbd};
use crate::engine::{CustomerState, Detail, Engine, Model, Parameters};
use crate::event::{CustomerEvent, Instant, Number, Span, Value};
use crate::rules::{RuleSet, load};

/// Midnight of 1 January 2026 in UTC, and so many days later.
fn day(days: f64) -> Instant {
    Instant(1_767_225_600_000 + (days * Span::DAY.0 as f64) as i64)
}

fn engine(rules: &str) -> Engine {
    Engine::new(Arc::new(load("r.toml", rules).unwrap()), Span(4 * Span::DAY.0), 64)
}

/// A customer with events on some days, silent since then until a day.
fn customer(engine: &mut Engine, events: &[(&str, f64)], until: f64) -> CustomerState {
    let rules = Arc::clone(engine.rules());
    let mut state = CustomerState::new(&rules);
    for ((name, at), number) in events.iter().zip(0..) {
        let amount = rules.vocabulary.property("amount").map(|amount| (amount, Value::Number(Number(20_000_000))));
        let event = CustomerEvent {
            customer: "c",
            name,
            name_id: rules.vocabulary.name(name),
            at: day(*at),
            id: None,
            source: None,
            record_hash: number,
            unusable_values: 0,
            properties: amount.as_slice(),
        };
        engine.apply(&mut state, &event, 0, day(*at), Detail::None, &mut Vec::new());
    }
    engine.fire(&mut state, day(until), Detail::None, &mut Vec::new());
    state
}

fn cohort<'s>(rules: &RuleSet, survey: &'s Survey, name: &str) -> &'s super::CohortSurvey {
    &survey.cohorts[rules.cohorts.iter().position(|cohort| cohort.name == name).unwrap()]
}

const MOVES: &str = "
    [cohorts.new]
    who = 'did signup in the last 7 days'
    [cohorts.active]
    who = 'did visit in the last 14 days'
    name = { en = 'Active' }";

/// Surveyed as the hundredth day begins: the week before began with the 93rd.
fn moves(engine: &mut Engine, at: f64) -> Survey {
    let mut survey = Survey::new(engine.rules(), day(at));
    let lives: [&[(&str, f64)]; 5] = [
        // Leaves `new` after entering `active`.
        &[("signup", 90.5), ("visit", 96.0)],
        // Leaves it two days before.
        &[("signup", 88.0), ("visit", 97.0)],
        // In `active` for fifteen days, long ago.
        &[("visit", 70.0), ("visit", 71.0)],
        // Will leave `active` on the fifth day to come.
        &[("visit", 90.25)],
        // Not known before the last week.
        &[("signup", 98.0)],
    ];
    for events in lives {
        let known: Vec<(&str, f64)> = events.iter().copied().filter(|(_, day)| *day < at).collect();
        if !known.is_empty() {
            let mut state = customer(engine, &known, at);
            survey.count(engine, &mut state);
        }
    }
    survey
}

#[test]
fn who_came_who_left_from_where_and_who_stayed() {
    let mut engine = engine(MOVES);
    let survey = moves(&mut engine, 100.0);
    let rules = engine.rules();
    let (new, active) = (cohort(rules, &survey, "new"), cohort(rules, &survey, "active"));
    assert_eq!((survey.customers, new.members, active.members), (5, 1, 3));
    assert_eq!((new.entered, new.left, new.entered_new, new.left_new), (1, 2, 1, 0));
    assert_eq!((active.entered, active.left, active.entered_new), (2, 0, 0));
    assert_eq!(
        active.came_from.iter().map(|(from, n)| (&*rules.cohort(*from).name, *n)).collect::<Vec<_>>(),
        [("new", 1)]
    );
    assert!(new.came_from.is_empty());
    assert_eq!(new.retention[0], [1]);
    // A week to the millisecond is not longer than a week.
    assert_eq!(new.retention[1], [2, 0]);
    assert_eq!(active.retention[..2], [vec![2], vec![1, 1]]);
    assert_eq!(active.retention[4], [1, 1, 1, 0, 0], "in from the 70th day to the 85th");
    let exits: Vec<u64> = active.days.iter().map(|day| day.exits_if_silent).collect();
    assert_eq!(exits, [0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(active.week().exits, Number(Number::ONE), "without a model of churn silence is certain");
    assert_eq!(new.days[5].exits_if_silent, 1);
    assert_eq!((active.levels.len(), active.values.total()), (0, 0));
}

const CHURN: &str = "
    [churn]
    on = 'buy'
    amount = 'buy.amount'
    [cohorts.lately]
    who = 'did buy in the last 30 days'
    [cohorts.lapsing]
    who = 'did buy ever and did not buy in the last 60 days'";

#[test]
fn future_days_count_as_much_as_the_model_says() {
    let mut engine = engine(CHURN);
    let transactions = MbgNbd { r: 0.52484, alpha_days: 43.2816, a: 0.89136, b: 1.614 };
    let amounts = Some(GammaGamma { p: 6.25, q: 3.74, v: 15.44 });
    let model = Model::Purchases { transactions, amounts };
    let parameters = Parameters { version: 1, model, recalibration: None, provisional: false };
    engine.set_parameters(Some(Arc::new(parameters)), day(0.0));
    let mut leaving = customer(&mut engine, &[("buy", 62.0), ("buy", 72.5)], 100.0);
    let mut lapsed = customer(&mut engine, &[("buy", 10.0)], 100.0);
    let (before, risks) = (leaving.clone(), engine.take_risks());
    assert!(risks.is_empty(), "nothing was to be said of them");
    let mut survey = Survey::new(engine.rules(), day(100.0));
    survey.count(&mut engine, &mut leaving);
    assert_eq!((leaving.clone(), engine.take_risks()), (before, vec![]), "looking changes nothing");
    let rules = Arc::clone(engine.rules());
    let lately = cohort(&rules, &survey, "lately").clone();
    let seen = crate::churn::Repeats { x: 1.0, t_x: 10.0 };
    // Counted from the beginning of the day of the first purchase.
    let none = |days: f64| Number::from_double(transactions.p_none(seen, 38.0, days)).unwrap();
    assert_eq!(lately.days[2].exits_if_silent, 1);
    assert_eq!(lately.days[2].exits, none(2.5));
    assert_eq!(lately.week().exits, none(2.5));
    let value = engine.risk_and_value(&leaving, day(100.0)).unwrap().value.unwrap();
    let at_stake = (value.to_double() * none(2.5).to_double() * 1e6).round() / 1e6;
    assert_eq!(lately.days[2].value_at_stake, Number::from_double(at_stake).unwrap());
    assert_eq!((lately.value, lately.values.total(), lately.levels.iter().sum::<u64>()), (value, 1, 1));
    // Before the exit a purchase changes nothing, and after it brings the customer back.
    let back: Vec<Number> = lately.days.iter().map(|day| day.entries).collect();
    let by_day = |from: f64, to: f64| Number(none(from).0 - none(to).0);
    assert_eq!(back[..3], [Number::ZERO, Number::ZERO, by_day(2.5, 3.0)]);
    assert_eq!(back[3..], [3.0, 4.0, 5.0, 6.0].map(|begins| by_day(begins, begins + 1.0)));
    assert_eq!(lately.week().entries_if_silent, 0);

    let mut survey = Survey::new(&rules, day(100.0));
    survey.count(&mut engine, &mut lapsed);
    let lapsing = cohort(&rules, &survey, "lapsing");
    assert_eq!((lapsing.members, lapsing.week().exits_if_silent, lapsing.week().value_at_stake), (1, 0, Number::ZERO));
    let once = crate::churn::Repeats { x: 0.0, t_x: 0.0 };
    let comes = Number::ONE - Number::from_double(transactions.p_none(once, 90.0, 7.0)).unwrap().0;
    assert_eq!(lapsing.week().exits, Number(comes), "a purchase ends it");
}

#[test]
fn the_overview_shows_the_forecast_and_the_error_of_the_one_a_week_before() {
    let mut engine = engine(MOVES);
    let rules = Arc::clone(engine.rules());
    let before = Digest::of(&moves(&mut engine, 93.0));
    let overview = Overview::new(&rules, &moves(&mut engine, 100.0), [Some(&before), None, None]);
    let silent = |exits: u64, entries: u64, exits_expected: f64, entries_expected: f64| {
        json!({"exits_if_silent": exits, "entries_if_silent": entries, "exits_expected": exits_expected,
               "entries_expected": entries_expected, "value_at_stake": null})
    };
    let document = serde_json::to_value(&overview).unwrap();
    assert_eq!(document["day"], "2026-04-11");
    assert_eq!(document["customers"], 5);
    let new = &document["cohorts"][0];
    assert_eq!(new["cohort"], "new", "all of its members will leave");
    assert_eq!(new["next_week"], silent(1, 0, 1.0, 1.0), "as many newcomers as last week");
    assert_eq!(new["share_leaving"], 1.0);
    assert_eq!(new["days"][5]["day"], "2026-04-16");
    let active = &document["cohorts"][1];
    assert_eq!(active["title"], json!({"en": "Active", "fr": "active"}));
    assert_eq!(
        (&active["size"], &active["entered_last_week"], &active["left_last_week"]),
        (&json!(3), &json!(2), &json!(0))
    );
    // Foretold were two exits from `new`, which came, and none of its entries; and of `active` neither of its entries.
    assert_eq!(
        new["last_week"],
        json!({"exits_expected": 2.0, "entries_expected": 2.0, "left": 2, "entered": 1,
                                        "error": 1.0, "naive_error": 3.0})
    );
    assert_eq!(active["last_week"]["error"], 1.0, "one newcomer was expected, and two entered");
    let detail = serde_json::to_value(overview.detail("active").unwrap()).unwrap();
    assert_eq!(detail["came_from"], json!([{"cohort": "new", "customers": 1}]));
    assert_eq!(detail["retention"][1], json!({"from": "2026-03-28", "entered": 1, "still_in_after_weeks": [1]}));
    assert_eq!((&detail["value"], &detail["risk_levels"]), (&json!(null), &json!([])));
    let detail = serde_json::to_value(overview.detail("new").unwrap()).unwrap();
    assert_eq!(detail["went_to"], json!([{"cohort": "active", "customers": 1}]));
    assert_eq!(overview.detail("none"), None);
    let records: Vec<_> = overview.forecasts().collect();
    assert_eq!((records[0].error_last_week, records[0].naive_error_last_week), (Some(1.0), Some(3.0)));
    assert_eq!((records[1].size, records[1].days.len(), records[1].day), (3, 7, 20_554));
}

#[test]
fn a_day_is_whole_once_every_block_of_every_partition_has_come_and_is_then_done_with() {
    let mut engine = engine(MOVES);
    let rules = Arc::clone(engine.rules());
    let (some, nobody) = (moves(&mut engine, 100.0), Survey::new(&rules, day(100.25)));
    let mut surveys = Surveys::new(2);
    let mut take = |partition, survey: &Survey, cohorts| surveys.take(partition, &survey.block(cohorts), &rules);
    assert_eq!(take(0, &some, 1..2), None, "its first block is missing");
    assert_eq!(take(0, &some, 0..1), None);
    assert_eq!(take(1, &nobody, 0..2), None);
    assert_eq!(take(0, &nobody, 1..2), None, "of another survey than the one that was begun");
    assert_eq!(take(0, &some, 0..1), None, "counted already");
    let whole = take(0, &some, 1..2).expect("that was the last one");
    let mut expected = some.clone();
    expected.merge(&nobody);
    assert_eq!(whole, expected);
    assert_eq!(take(0, &some, 0..2), None);
    assert_eq!(take(1, &some, 0..2), None, "the day is over");
    assert_eq!(surveys.open_days(), 0);
}

#[test]
fn however_long_a_partition_is_silent_only_so_many_days_are_kept_open() {
    let mut engine = engine(MOVES);
    let rules = Arc::clone(engine.rules());
    let mut surveys = Surveys::new(2);
    for today in 0..40 {
        let survey = moves(&mut engine, 100.0 + f64::from(today));
        assert_eq!(surveys.take(0, &survey.block(0..2), &rules), None);
        assert!(surveys.open_days() <= OPEN_DAYS_MAX);
    }
    let last = moves(&mut engine, 139.0);
    assert!(surveys.take(1, &last.block(0..2), &rules).is_some());
    assert_eq!(surveys.open_days(), 0);
}
