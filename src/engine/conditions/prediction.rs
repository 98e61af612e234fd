//! The churn model's prediction for a customer at an instant, and when that prediction next changes.
//!
//! A comparison with a score is decided by the instant at which the score crosses the bound, not by its value. Rounding
//! errors then cannot make it flip back, and evaluating a customer at additional instants changes nothing.

use super::measure::Measured;
use super::verdict::Verdict;
use super::view::CustomerView;
use crate::calendar::Unit;
use crate::churn::{Customer, Discounting, Levels, Memories, SilenceCorrection, Spent, days_since};
use crate::engine::model::{ActivityHistory, CacheKey, Model, Parameters, SolverCache};
use crate::event::{Instant, Number, Span, Value};
use crate::rules::ast::Op;
use crate::rules::{Churn, LOWEST_LEVEL, Score};

/// Usage is falling when the rate of active days over the short memory is less than half of that over the long one.
const FALLING_SHORT_DAYS: f64 = 14.0;
const FALLING_LONG_DAYS: f64 = 365.0;

/// What the parameters in force predict for a customer.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Prediction<'a> {
    churn: &'a Churn,
    parameters: &'a Parameters,
    solver: &'a SolverCache,
    pub(in crate::engine) customer: Customer,
    pub(in crate::engine) activity: ActivityHistory,
    /// The beginning of the customer's first day, from which the models count days.
    origin: Instant,
}

/// A risk level, by its index among the levels, and when it ends if the customer stays silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct LevelInterval {
    pub(in crate::engine) level: usize,
    /// When the next one begins; `MAX`: never.
    pub(in crate::engine) until: Instant,
}

impl<'a> CustomerView<'a> {
    /// `None` without `[churn]`, without parameters, or for a customer without any activity.
    pub(in crate::engine) fn prediction(&self) -> Option<Prediction<'a>> {
        let (churn, (parameters, solver)) = self.rules.churn.as_ref().zip(self.parameters)?;
        let activity = ActivityHistory::of_fact(self.fact(churn.fact)?)?;
        let customer = activity.with_model(&parameters.model)?;
        let origin = self.calendar.start(i64::from(activity.first_day()), Unit::Day);
        Some(Prediction { churn, parameters, solver, customer, activity, origin })
    }

    /// A score as a value.
    pub(in crate::engine) fn score(&self, score: Score) -> Measured<'a> {
        let Some(prediction) = self.prediction() else { return Measured::missing() };
        let number = |number: f64| Number::from_double(number).map(Value::Number);
        let value = match score {
            Score::Risk => number(self.add_points(100.0 * prediction.risk(self.at), self.points().0)),
            Score::Alive => prediction.alive(self.at).and_then(number),
            Score::Level => Some(Value::Text(prediction.level_name(prediction.level_interval(self.at).level))),
            Score::Value => prediction.lifetime_value(prediction.level_interval(self.at).level).and_then(number),
            Score::ValueIfActive => {
                prediction.value_if_active(prediction.level_interval(self.at).level).and_then(number)
            }
            Score::ValueAtRisk => prediction.value_at_risk(prediction.level_interval(self.at).level).and_then(number),
        };
        // Comparisons with the other two go through `compare_score`; whether they are missing never changes by time.
        let until = match score {
            Score::Level | Score::Value | Score::ValueIfActive | Score::ValueAtRisk => {
                prediction.level_interval(self.at).until
            }
            Score::Risk | Score::Alive => Instant::MAX,
        };
        Measured::still(value, until)
    }

    /// `churn_risk` or `alive` against a number.
    pub(in crate::engine) fn compare_score(&self, score: Score, op: Op, number: Number) -> Verdict {
        let Some(prediction) = self.prediction() else { return Verdict::always(false) };
        // Both scores are monotone while the customer is silent, so each bound is crossed at one instant.
        let (reached, until, rises) = match score {
            Score::Alive => {
                let includes_bound = matches!(op, Op::Le | Op::Gt);
                let bound = if includes_bound { number.to_double().next_up() } else { number.to_double() };
                (prediction.alive_falls_below_at(bound), Instant::MAX, false)
            }
            _ => {
                let (points, until) = self.points();
                let bound = if matches!(op, Op::Ge | Op::Lt) { LowerBound::Inclusive } else { LowerBound::Exclusive };
                (prediction.risk_reaches_at(number, points, bound), until, true)
            }
        };
        let is_reached = prediction.not_before_last(self.at) >= reached;
        // `alive` is below when that is reached, `churn_risk` above.
        let asks_for_reached = matches!((op, rises), (Op::Ge | Op::Gt, true) | (Op::Lt | Op::Le, false));
        Verdict { holds: is_reached == asks_for_reached, until: if is_reached { until } else { until.min(reached) } }
    }

    /// The sum of the points of the signals that hold, and until when it stays the same.
    fn points(&self) -> (i64, Instant) {
        let signals = self.rules.churn.iter().flat_map(|churn| &churn.signals);
        signals.fold((0, Instant::MAX), |(points, until), signal| {
            let verdict = self.node(&signal.when);
            (points + if verdict.holds { signal.points } else { 0 }, until.min(verdict.until))
        })
    }

    fn add_points(&self, percent: f64, points: i64) -> f64 {
        (percent + points as f64).clamp(0.0, 100.0)
    }
}

impl<'a> Prediction<'a> {
    fn levels<'t>(&'t self, thresholds: &'t [f64], min_silence: Span) -> Levels<'t> {
        Levels {
            horizon_days: days(self.churn.horizon),
            thresholds,
            min_silence_days: days(min_silence),
            recalibration: self.parameters.recalibration.as_ref(),
        }
    }

    /// No earlier than the last activity: the models count days of 24 hours from the first one, so on the day of the
    /// last activity the model's day may not have begun yet.
    fn not_before_last(&self, at: Instant) -> Instant {
        at.max(self.origin + Span((self.customer.last() * Span::DAY.0 as f64) as i64))
    }

    /// The instant in days since the beginning of the first day.
    pub(in crate::engine) fn days_at(&self, at: Instant) -> f64 {
        days_since(self.origin.0, at.0)
    }

    /// The probability of no activity within the horizon, recalibrated.
    pub(in crate::engine) fn risk(&self, at: Instant) -> f64 {
        self.levels(&[], Span(0)).risk(&self.customer, self.days_at(at))
    }

    /// The recalibration of the risk, applied to silence of any length.
    pub(in crate::engine) fn silence_correction(&self, at: Instant) -> SilenceCorrection {
        self.levels(&[], Span(0)).silence_correction(&self.customer, self.days_at(at))
    }

    pub(in crate::engine) fn alive(&self, at: Instant) -> Option<f64> {
        self.customer.alive(self.days_at(at))
    }

    /// The expected number of purchases, or active days, within the horizon.
    pub(in crate::engine) fn expected(&self, at: Instant) -> f64 {
        self.customer.expected(self.days_at(at), days(self.churn.horizon))
    }

    /// The risk right after the last activity.
    pub(in crate::engine) fn risk_at_last(&self) -> f64 {
        self.levels(&[], Span(0)).risk(&self.customer, self.customer.last())
    }

    /// Is the customer active on less than half as many days lately as over the year?
    pub(in crate::engine) fn is_falling(&self) -> bool {
        let ActivityHistory::Usage(usage) = self.activity else { return false };
        let memories = Memories::default();
        let rate = |tau: f64| usage.rate(tau, &memories);
        rate(FALLING_SHORT_DAYS).zip(rate(FALLING_LONG_DAYS)).is_some_and(|(short, long)| short < long / 2.0)
    }

    pub(in crate::engine) fn silence(&self, at: Instant) -> f64 {
        self.customer.silence(self.days_at(at))
    }

    /// The level of a customer who has been silent since the last activity.
    pub(in crate::engine) fn level_interval(&self, at: Instant) -> LevelInterval {
        self.level_interval_after(0, at)
    }

    /// The same for a customer who is known to have reached `level`, and may have reached higher ones since.
    pub(in crate::engine) fn level_interval_after(&self, level: usize, at: Instant) -> LevelInterval {
        let highest = self.churn.thresholds.len();
        for next in level + 1..=highest {
            let begins = self.reached_at(next).unwrap_or(Instant::MAX);
            if begins > self.not_before_last(at) {
                return LevelInterval { level: next - 1, until: begins };
            }
        }
        LevelInterval { level: level.max(highest), until: Instant::MAX }
    }

    /// The first instant of silence on a level or above; `None`: never.
    pub(in crate::engine) fn reached_at(&self, level: usize) -> Option<Instant> {
        let solve = || self.levels(&self.churn.thresholds, self.churn.min_silence).reached_at(&self.customer, level, 0);
        let after = match self.cache_key(level) {
            Some(cache_key) => self.solver.reached.get_or_compute(cache_key, solve),
            None => solve(),
        };
        after.map(|after| self.origin + Span(after))
    }

    /// Everything that the beginning of a level depends on; `None` for usage, where hardly two customers have the same
    /// key.
    fn cache_key(&self, level: usize) -> Option<CacheKey> {
        let ActivityHistory::Purchases(purchases) = self.activity else { return None };
        let days = purchases.last_day.abs_diff(purchases.first_day);
        Some(CacheKey { repeats: purchases.repeats, days, level: u32::try_from(level).ok()? })
    }

    pub(in crate::engine) fn level_name(&self, level: usize) -> &'a str {
        match level.checked_sub(1) {
            Some(above) => &self.churn.levels[above],
            None => LOWEST_LEVEL,
        }
    }

    /// When the risk in percent, with the points of the signals, reaches or exceeds a number; `MAX`: never.
    fn risk_reaches_at(&self, wanted: Number, points: i64, bound: LowerBound) -> Instant {
        let (least, most) = (Number::ZERO, Number::from_integer(100));
        let inclusive = bound == LowerBound::Inclusive;
        let always = if inclusive { wanted <= least } else { wanted < least };
        let never = if inclusive { wanted > most } else { wanted >= most };
        // The nearest double: 90 in a rule is .9 among the levels.
        let risk = (wanted.0 - Number::from_integer(points).0) as f64 / most.0 as f64;
        let risk = if inclusive { risk } else { risk.next_up() };
        if always || (!never && risk <= 0.0) {
            return Instant::MIN;
        }
        if never || risk > 1.0 {
            return Instant::MAX;
        }
        let levels = [risk];
        let levels = self.levels(&levels, Span(0));
        levels.reached_at(&self.customer, 1, self.origin.0).map_or(Instant::MAX, Instant)
    }

    /// When the probability of being alive falls below a number; `MAX`: never.
    fn alive_falls_below_at(&self, wanted: f64) -> Instant {
        self.customer.alive_below_at(wanted, self.origin.0).map_or(Instant::MAX, Instant)
    }

    /// The discounted value of future purchases, as of the beginning of the level: it changes in steps, so that rules
    /// can use it. `None` without amounts.
    pub(in crate::engine) fn lifetime_value(&self, level: usize) -> Option<f64> {
        let (cache_key, amount) = self.cache_key(level).zip(self.spend())?;
        let since_reached = || self.purchases_from(self.reached_at(level).unwrap_or(Instant::MAX));
        Some(amount * self.solver.purchases.get_or_compute(cache_key, since_reached))
    }

    /// The same on condition that the customer is alive: `lifetime_value` is weighted with that probability.
    pub(in crate::engine) fn value_if_active(&self, level: usize) -> Option<f64> {
        let alive = self.alive(self.reached_at(level)?).filter(|alive| *alive > 0.0)?;
        Some(self.lifetime_value(level)? / alive)
    }

    /// The value times the risk, both as of the beginning of the level.
    pub(in crate::engine) fn value_at_risk(&self, level: usize) -> Option<f64> {
        Some(self.lifetime_value(level)? * self.risk(self.reached_at(level)?))
    }

    /// The value as of any instant.
    pub(in crate::engine) fn value_at(&self, at: Instant) -> Option<f64> {
        self.spend().map(|amount| amount * self.purchases_from(at))
    }

    fn purchases_from(&self, at: Instant) -> f64 {
        Discounting::default().lifetime_value(&self.customer, self.days_at(at), 1.0)
    }

    /// The expected amount of the next purchase. `None` without amounts.
    pub(in crate::engine) fn spend(&self) -> Option<f64> {
        let Model::Purchases { amounts: Some(amounts), .. } = self.parameters.model else { return None };
        let ActivityHistory::Purchases(purchases) = self.activity else { return None };
        let mean = purchases.mean_repeat_amount().unwrap_or(0.0);
        self.churn.has_amounts.then(|| amounts.expected_amount(Spent { x: f64::from(purchases.repeats), mean }))
    }

    pub(in crate::engine) fn parameters(&self) -> &'a Parameters {
        self.parameters
    }
}

/// Does the bound itself count as reached?
#[derive(Clone, Copy, PartialEq, Eq)]
enum LowerBound {
    Inclusive,
    Exclusive,
}

/// A length of time in days, as the models count it.
fn days(span: Span) -> f64 {
    span.0 as f64 / Span::DAY.0 as f64
}
