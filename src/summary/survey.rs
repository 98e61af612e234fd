//! Surveys: statistics of each cohort on one day, from one scan of all customers.

use std::collections::BTreeMap;

use super::frame::{DAYS, Frame, WEEKS};
use super::histogram::Histogram;
use crate::engine::{Assumption, CustomerState, Engine, ForecastChange, Membership, RiskAndValue};
use crate::event::{Change, Instant, Number, Span};
use crate::rules::{CohortIx, RuleSet};

/// An entry counts as coming from another cohort if that was left at most so long before.
const CAME_WITHIN: Span = Span(7 * Span::DAY.0);

/// Statistics of the customers of one partition, or of several, on one day.
///
/// Everything in it is a sum over customers of integers or of decimals of six places, so that the result does not
/// depend on the order in which customers are counted and parts are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    pub frame: Frame,
    pub customers: u64,
    /// By the rule set's numbers.
    pub cohorts: Vec<CohortSurvey>,
}

/// Statistics of the customers of one cohort.
///
/// A state remembers only the latest stay, so a customer who entered twice is counted once, in the week of the latest
/// entry: these are counts of customers, not of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CohortSurvey {
    pub members: u64,
    /// Members on each churn risk level, the lowest first. Those without a prediction are on none.
    pub levels: Vec<u64>,
    /// Members by expected value, in units of the currency. Those without a known value are not in it.
    pub values: Histogram,
    /// The sum of these values.
    pub value: Number,
    /// Customers whose latest entry, and whose latest exit, was in the week before the survey's day.
    pub entered: u64,
    pub left: u64,
    /// Of those, the customers not known before that week, for whom nothing could be forecast.
    pub entered_new: u64,
    pub left_new: u64,
    /// By week of entry, the latest first: how many entered, and how many of them were still in after one week, two
    /// weeks, and so on up to the week before the survey's.
    pub retention: Vec<Vec<u64>>,
    /// For each other cohort: how many of those who entered in the week before had left it shortly before their entry.
    pub came_from: BTreeMap<CohortIx, u64>,
    /// The forecast of the next days.
    pub days: [Expected; DAYS],
}

/// The forecast of a cohort for one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expected {
    /// Exits and entries if every customer stays silent.
    pub exits_if_silent: u64,
    pub entries_if_silent: u64,
    /// Expected exits and entries: sums of probabilities.
    pub exits: Number,
    pub entries: Number,
    /// The expected value of the customers who leave by silence, weighted with the probability.
    pub value_at_stake: Number,
}

impl Survey {
    /// A survey without customers, at an instant.
    #[must_use]
    pub fn new(rules: &RuleSet, at: Instant) -> Self {
        let cohort = CohortSurvey::of_nobody(rules);
        Self { frame: Frame::new(&rules.calendar(), at), customers: 0, cohorts: vec![cohort; rules.cohorts.len()] }
    }

    /// Counts a customer as of the survey's instant, before which every deadline is decided. A customer who has been
    /// decided again since counts as of now. For a state just read `set_customer` must have been called.
    ///
    /// The engine runs the survey's rules; counting has no effects, and leaves the state as it was.
    pub fn count(&mut self, engine: &mut Engine, state: &mut CustomerState) {
        self.customers += 1;
        let forecast = engine.forecast(state, &self.frame.days);
        let is_in = |(_, membership): (usize, &Membership)| membership.member;
        let risk_and_value = match forecast.is_empty() && !state.memberships.iter().any(is_in) {
            true => None,
            false => engine.risk_and_value(state, self.frame.at()),
        };
        for (number, membership) in state.memberships.iter() {
            self.count_stay(number, membership, risk_and_value, state);
        }
        for change in forecast {
            self.add_forecast(change, risk_and_value);
        }
    }

    fn count_stay(
        &mut self,
        number: usize,
        stay: &Membership,
        risk_and_value: Option<RiskAndValue>,
        state: &CustomerState,
    ) {
        let (frame, cohort) = (&self.frame, &mut self.cohorts[number]);
        if stay.member {
            cohort.members += 1;
            if let Some(RiskAndValue { level, value }) = risk_and_value {
                cohort.levels.get_mut(level).into_iter().for_each(|members| *members += 1);
                if let Some(value) = value {
                    cohort.values.add(value);
                    cohort.value.0 += value.0;
                }
            }
        }
        let is_new = u64::from(frame.was_last_week(state.known_since));
        if frame.was_last_week(stay.exited_at) {
            cohort.left += 1;
            cohort.left_new += is_new;
        }
        let Some(week) = frame.week_of(stay.entered_at) else { return };
        for (weeks, stayed) in (0..).zip(&mut cohort.retention[week]) {
            let then = stay.entered_at + Span(weeks * 7 * Span::DAY.0);
            *stayed += u64::from(stay.member || stay.exited_at > then);
        }
        if week == 0 {
            cohort.entered += 1;
            cohort.entered_new += is_new;
            for (other, before) in state.memberships.iter().filter(|(other, _)| *other != number) {
                if before.exited_at <= stay.entered_at && before.exited_at > stay.entered_at - CAME_WITHIN {
                    let other = CohortIx(u16::try_from(other).expect("cohorts are numbered in 16 bits"));
                    *cohort.came_from.entry(other).or_default() += 1;
                }
            }
        }
    }

    fn add_forecast(&mut self, forecast: ForecastChange, risk_and_value: Option<RiskAndValue>) {
        let Some(day) = self.frame.day_of(forecast.at) else { return };
        let expected = &mut self.cohorts[usize::from(forecast.cohort.0)].days[day];
        let is_silent = forecast.assumption == Assumption::Silence;
        match forecast.change {
            Change::Entered => {
                expected.entries_if_silent += u64::from(is_silent);
                expected.entries.0 += forecast.probability.0;
            }
            Change::Exited => {
                expected.exits_if_silent += u64::from(is_silent);
                expected.exits.0 += forecast.probability.0;
                if let Some(value) =
                    risk_and_value.and_then(|risk_and_value| risk_and_value.value).filter(|_| is_silent)
                {
                    expected.value_at_stake.0 += product(value, forecast.probability).0;
                }
            }
        }
    }

    /// Adds another part of the same day, as if its customers had been counted here.
    pub fn merge(&mut self, other: &Self) {
        self.frame.moves_to(other.frame.at());
        self.customers += other.customers;
        self.cohorts.iter_mut().zip(&other.cohorts).for_each(|(cohort, other)| cohort.merge(other));
    }
}

impl CohortSurvey {
    #[must_use]
    pub fn of_nobody(rules: &RuleSet) -> Self {
        let levels = rules.churn.as_ref().map_or(0, |churn| churn.levels.len() + 1);
        Self {
            members: 0,
            levels: vec![0; levels],
            values: Histogram::default(),
            value: Number::ZERO,
            entered: 0,
            left: 0,
            entered_new: 0,
            left_new: 0,
            retention: (0..WEEKS).map(|week| vec![0; week + 1]).collect(),
            came_from: BTreeMap::new(),
            days: [Expected::default(); DAYS],
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.members += other.members;
        add(&mut self.levels, &other.levels);
        self.values.merge(&other.values);
        self.value.0 += other.value.0;
        self.entered += other.entered;
        self.left += other.left;
        self.entered_new += other.entered_new;
        self.left_new += other.left_new;
        self.retention.iter_mut().zip(&other.retention).for_each(|(week, other)| add(week, other));
        for (from, customers) in &other.came_from {
            *self.came_from.entry(*from).or_default() += customers;
        }
        self.days.iter_mut().zip(&other.days).for_each(|(day, other)| day.merge(other));
    }

    /// The forecast of all days together.
    #[must_use]
    pub fn week(&self) -> Expected {
        let mut week = Expected::default();
        self.days.iter().for_each(|day| week.merge(day));
        week
    }
}

impl Expected {
    fn merge(&mut self, other: &Self) {
        self.exits_if_silent += other.exits_if_silent;
        self.entries_if_silent += other.entries_if_silent;
        self.exits.0 += other.exits.0;
        self.entries.0 += other.entries.0;
        self.value_at_stake.0 += other.value_at_stake.0;
    }
}

fn add(counts: &mut [u64], others: &[u64]) {
    counts.iter_mut().zip(others).for_each(|(count, other)| *count += other);
}

/// Rounded to six places.
fn product(value: Number, weight: Number) -> Number {
    Number((value.0 * weight.0 + Number::ONE / 2).div_euclid(Number::ONE))
}
