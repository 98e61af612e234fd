//! Forecasts: exact for customers who stay silent; and for a real shop, CDNOW, nearer to
//! the actual changes than the naive forecast, that next week will be like this one.

use std::collections::BTreeMap;
use std::sync::Arc;

use cohortd::engine::{ActivityHistory, CustomerEffect, Detail, Engine, Fit, Shard, Snapshot, Timing};
use cohortd::event::{Change, CustomerEvent, Instant, Number, Span, Value};
use cohortd::rules::{self, RuleSet};
use cohortd::store::{decode_whole, encode_whole};
use cohortd::summary::{CohortSurvey, Digest, Overview, Survey};

use crate::engine_under_test::run_to_engine;
use crate::generate::{Generated, Property, Random};
use crate::naive::Case;

pub(crate) const PROPERTY: Property =
    Property { test: "forecast::silent_customers_do_what_was_forecast", cases: 3_000, make, check };

#[test]
fn silent_customers_do_what_was_forecast() {
    PROPERTY.try_many();
}

/// Every other case is one in which churn is watched.
fn make(seed: u64) -> Option<Generated> {
    Some(if seed.is_multiple_of(2) { Generated::with_churn(seed) } else { Generated::new(seed) })
}

/// Surveys the customers of a case soon after its last event, whole and in parts, and lets them be silent for a week.
fn check(case: &Case, seed: u64) -> Result<(), String> {
    let mut random = Random::new(seed);
    let (mut engine, mut states) = run_to_engine(&Case { until: None, ..case.clone() })?;
    let rules = Arc::clone(engine.rules());
    let latest = states.values().map(|state| state.clock).max().unwrap_or(Instant(0));
    let soon = *random.pick(&[1, Span::HOUR.0, 9 * Span::DAY.0]);
    let at = latest + Span(random.between(1, soon));
    for state in states.values_mut() {
        engine.fire(state, at, Detail::None, &mut Vec::new());
    }
    let (mut whole, mut parts) = (Survey::new(&rules, at), vec![Survey::new(&rules, at); 3]);
    for state in states.values_mut() {
        let before = state.clone();
        whole.count(&mut engine, state);
        parts[random.below(3)].count(&mut engine, state);
        if *state != before || !engine.take_risks().is_empty() {
            return Err("looking has changed something".into());
        }
    }
    let mut merged = Survey::new(&rules, at);
    parts.iter().rev().for_each(|part| merged.merge(part));
    if merged != whole {
        return Err(format!("the parts come to\n{merged:?}\nand the whole to\n{whole:?}"));
    }
    let records = encode_whole(&whole, &rules);
    let blocks: Vec<_> = records.iter().filter_map(|(_, value)| decode_whole(value, &rules).ok().flatten()).collect();
    if Survey::of_blocks(&rules, &blocks).as_ref() != Some(&whole) {
        return Err("a survey is not read as it was written".into());
    }
    for (day, ends) in whole.frame.days[1..].iter().enumerate() {
        let mut actual = vec![(0, 0); rules.cohorts.len()];
        for state in states.values_mut() {
            let mut effects = Vec::new();
            engine.fire(state, *ends, Detail::None, &mut effects);
            for effect in effects {
                let (exits, entries) = &mut actual[usize::from(effect.cohort.0)];
                *if effect.change == Change::Exited { exits } else { entries } += 1;
            }
        }
        let forecast = |cohort: &CohortSurvey| (cohort.days[day].exits_if_silent, cohort.days[day].entries_if_silent);
        let forecast: Vec<(u64, u64)> = whole.cohorts.iter().map(forecast).collect();
        if forecast != actual {
            return Err(format!(
                "on day {day} the forecast of exits and entries is {forecast:?}, and the actual numbers are {actual:?}"
            ));
        }
    }
    Ok(())
}

const RULES: &str = "
    [churn]
    on = 'purchase'
    amount = 'purchase.amount'
    [cohorts.bought_lately]
    who = 'did purchase in the last 30 days'
    [cohorts.lapsing]
    who = 'did purchase ever and did not purchase in the last 60 days'
    [cohorts.big_spenders]
    who = 'sum(purchase.amount in the last 90 days) >= 100'
    stay = 'sum(purchase.amount in the last 90 days) >= 60'
    [cohorts.at_risk]
    who = 'churn_risk >= 85'";

/// 1 January 1997.
const BEGIN: Instant = Instant(852_076_800_000);
const WEEK: Span = Span(7 * Span::DAY.0);
const WEEKS: u32 = 78;
/// Everybody has bought for the first time in the first twelve weeks.
const SETTLED: usize = 17;

struct Purchase {
    customer: String,
    at: Instant,
    amount: Number,
}

fn purchases() -> Vec<Purchase> {
    let text = include_str!("../fixtures/cdnow/sample.txt");
    let mut all = Vec::new();
    for (customer, line) in text.lines().filter(|line| !line.starts_with('#')).enumerate() {
        for (minute, word) in (0..).zip(line.split(' ')) {
            let (day, cents) = word.split_once(':').unwrap();
            let at =
                BEGIN + Span(day.parse::<i64>().unwrap() * Span::DAY.0 + 12 * Span::HOUR.0 + minute * Span::MINUTE.0);
            let amount = Number(cents.parse::<i128>().unwrap() * 10_000);
            all.push(Purchase { customer: customer.to_string(), at, amount });
        }
    }
    all.sort_by_key(|purchase| purchase.at);
    all
}

/// One survey at the end of each week, under parameters fitted to what was known then.
fn surveys(rules: &Arc<RuleSet>) -> Vec<Survey> {
    let churn = rules.churn.as_ref().unwrap();
    let late = Span(4 * Span::DAY.0);
    let timing = Timing { arrives_within: Span(0), max_lateness: late, earliest: Instant::MIN };
    let engine = || Engine::new(Arc::clone(rules), late, 64);
    let (mut shard, mut own) = (Shard::new(engine(), timing, Instant::MIN), engine());
    let purchases = purchases();
    let mut log = purchases.iter().zip(0..).peekable();
    let (mut effects, mut surveys, mut fit): (Vec<CustomerEffect>, _, Option<Fit>) = (Vec::new(), Vec::new(), None);
    for week in 1..=WEEKS {
        let at = BEGIN + Span(i64::from(week) * WEEK.0);
        while let Some((purchase, position)) = log.next_if(|(purchase, _)| purchase.at < at) {
            let amount = (rules.vocabulary.property("amount").unwrap(), Value::Number(purchase.amount));
            let event = CustomerEvent {
                customer: &purchase.customer,
                name: "purchase",
                name_id: rules.vocabulary.name("purchase"),
                at: purchase.at,
                id: None,
                source: None,
                record_hash: position,
                unusable_values: 0,
                properties: &[amount],
            };
            let slot = shard.find_or_new(&purchase.customer);
            shard.apply(slot, &event, 0, Detail::None, &mut effects);
        }
        shard.advance(at);
        shard.fire_due(0, Detail::None, &mut effects);
        let calendar = rules.calendar();
        let seen = |slot| Some(Snapshot::new(ActivityHistory::of(rules, &shard.state(slot))?, at, &calendar));
        let seen: Vec<Snapshot> = shard.residents().filter_map(seen).collect();
        fit = match (fit, Fit::new(churn, &seen, &[], churn.horizon, fit.as_ref())) {
            (Some(before), Ok(new)) => Some(before.or_better(new)),
            (before, new) => new.ok().or(before),
        };
        let parameters = fit.map(|fit| Arc::new(fit.parameters(week, None)));
        shard.set_parameters(parameters.clone(), at);
        own.set_parameters(parameters, at);
        let mut survey = Survey::new(rules, at);
        for slot in shard.residents() {
            shard.apply_parameters(slot, 0, Detail::None, &mut effects);
            survey.count(&mut own, &mut shard.state(slot).into_owned());
        }
        surveys.push(survey);
        effects.clear();
    }
    surveys
}

/// Of one kind of change of one cohort, over weeks.
#[derive(Default)]
struct Tally {
    actual: f64,
    forecast: f64,
    /// Sums of weekly absolute errors: of the forecast, of silence, and of the same as in the week before.
    error: f64,
    silent: f64,
    naive: f64,
}

impl Tally {
    fn count(&mut self, actual: u64, forecast: f64, silent: u64, before: u64) {
        let actual = actual as f64;
        self.actual += actual;
        self.forecast += forecast;
        self.error += (forecast - actual).abs();
        self.silent += (silent as f64 - actual).abs();
        self.naive += (before as f64 - actual).abs();
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { actual, forecast, error, silent, naive } = self;
        write!(
            f,
            "{actual:6.0} changes, {forecast:6.0} forecast; errors: forecast {error:6.0}, naive {naive:6.0}, silent {silent:6.0}"
        )
    }
}

/// Errors of the weeks from the seventeenth on, summed up, by cohort: exits, then entries.
///
/// Better than "the same as last week" in each cohort and direction, but for exits from `at_risk`, where it is worse:
/// one in four of those follows from new parameters, which are not forecast, and the model thinks repeat buyers who
/// have long been silent less likely to come back than they are (see `churn`). In the weeks before, in which all
/// customers buy for the first time, new customers matter, and as many as last week are forecast: there it is better in
/// sum.
#[test]
fn the_forecast_of_next_week_is_better_than_last_week() {
    let rules = Arc::new(rules::load("r.toml", RULES).unwrap());
    let surveys = surveys(&rules);
    for (weeks, surveys) in [("all weeks", &surveys[..]), ("settled weeks", &surveys[SETTLED..])] {
        let mut tallies: BTreeMap<&str, [Tally; 2]> = BTreeMap::new();
        for four in surveys.windows(4) {
            let [first, before, then, now] = four else { continue };
            let forecast = Overview::new(&rules, then, [Some(&Digest::of(before)), Some(&Digest::of(first)), None]);
            for (number, cohort) in rules.cohorts.iter().enumerate() {
                let (before, actual) = (&then.cohorts[number], &now.cohorts[number]);
                let week = forecast.detail(&cohort.name).unwrap().line.next_week;
                let [exits, entries] = tallies.entry(&cohort.name).or_default();
                exits.count(actual.left, week.exits_expected, week.exits_if_silent, before.left);
                entries.count(actual.entered, week.entries_expected, week.entries_if_silent, before.entered);
            }
        }
        println!("{weeks}");
        for (cohort, [exits, entries]) in &tallies {
            println!("{cohort:14} exits    {exits}\n{:14} entries  {entries}", "");
        }
        for direction in 0..2 {
            let sum = |of: fn(&Tally) -> f64| tallies.values().map(|both| of(&both[direction])).sum::<f64>();
            assert!(sum(|tally| tally.error) < 0.6 * sum(|tally| tally.naive), "{weeks}, {direction}");
        }
        if weeks == "settled weeks" {
            let worse = |(cohort, both): (&&str, &[Tally; 2])| {
                let worse = both.iter().zip(["exits", "entries"]).filter(|(tally, _)| tally.error >= tally.naive);
                worse.map(|(_, direction)| format!("{cohort} {direction}")).collect::<Vec<_>>()
            };
            assert_eq!(tallies.iter().flat_map(worse).collect::<Vec<_>>(), ["at_risk exits"]);
        }
    }
}
