//! What the model of churn says of a customer at an instant, and when it will next say something else.
//!
//! A score is decided by the instant at which it is reached, not by its value: then it holds from that millisecond on
//! whatever digits are lost on the way, and an instant more or less at which a customer is looked at changes nothing.

use super::measure::Measured;
use super::verdict::Verdict;
use super::view::CustomerView;
use crate::calendar::Unit;
use crate::churn::{Customer, Discounting, Levels, Memories, Rarity, Spent, days_since};
use crate::engine::model::{Comings, Model, Parameters, Question, Solved};
use crate::event::{Instant, Number, Span, Value};
use crate::rules::ast::Op;
use crate::rules::{Churn, LOWEST_LEVEL, Score};

/// Use is falling where the short memory has seen less than half as many active days a day as the long one.
const FALLING_SHORT_DAYS: f64 = 14.0;
const FALLING_LONG_DAYS: f64 = 365.0;

/// A customer under the parameters in force.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Outlook<'a> {
    churn: &'a Churn,
    parameters: &'a Parameters,
    solved: &'a Solved,
    pub(in crate::engine) customer: Customer,
    pub(in crate::engine) comings: Comings,
    /// The beginning of the first day: there the models' days begin.
    origin: Instant,
}

/// A level of risk, its place among the levels, and its end for who stays silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Spell {
    pub(in crate::engine) level: usize,
    /// When the next one begins; `MAX`: never.
    pub(in crate::engine) until: Instant,
}

impl<'a> CustomerView<'a> {
    /// None without `[churn]`, without parameters, or of a customer who never came.
    pub(in crate::engine) fn outlook(&self) -> Option<Outlook<'a>> {
        let (churn, (parameters, solved)) = self.rules.churn.as_ref().zip(self.parameters)?;
        let comings = Comings::in_fact(self.fact(churn.fact)?)?;
        let customer = comings.under(&parameters.model)?;
        let origin = self.calendar.start(i64::from(comings.first_day()), Unit::Day);
        Some(Outlook { churn, parameters, solved, customer, comings, origin })
    }

    /// A score as a value.
    pub(in crate::engine) fn score(&self, score: Score) -> Measured<'a> {
        let Some(outlook) = self.outlook() else { return Measured::missing() };
        let number = |number: f64| Number::from_double(number).map(Value::Number);
        let value = match score {
            Score::Risk => number(self.with_points(100.0 * outlook.risk(self.at), self.points().0)),
            Score::Alive => outlook.alive(self.at).and_then(number),
            Score::Level => Some(Value::Text(outlook.level_name(outlook.spell(self.at).level))),
            Score::Value => outlook.lifetime_value(outlook.spell(self.at).level).and_then(number),
            Score::ValueIfActive => outlook.value_if_active(outlook.spell(self.at).level).and_then(number),
            Score::ValueAtRisk => outlook.value_at_risk(outlook.spell(self.at).level).and_then(number),
        };
        // Of the others it is not asked: they are compared by `passes`, and are missing never or always.
        let until = match score {
            Score::Level | Score::Value | Score::ValueIfActive | Score::ValueAtRisk => outlook.spell(self.at).until,
            Score::Risk | Score::Alive => Instant::MAX,
        };
        Measured::still(value, until)
    }

    /// `churn_risk` or `alive` against a number.
    pub(in crate::engine) fn passes(&self, score: Score, op: Op, number: Number) -> Verdict {
        let Some(outlook) = self.outlook() else { return Verdict::always(false) };
        // Both move one way while the customer is silent, so one instant says it all.
        let (reached, until, rises) = match score {
            Score::Alive => {
                let (below, inclusive) = (number.to_double(), matches!(op, Op::Le | Op::Gt));
                let below = if inclusive { below.next_up() } else { below };
                (outlook.below(below), Instant::MAX, false)
            }
            _ => {
                let (points, until) = self.points();
                let inclusive = matches!(op, Op::Ge | Op::Lt);
                (outlook.above(number, points, inclusive), until, true)
            }
        };
        let is_reached = outlook.present(self.at) >= reached;
        // `alive` is below when that is reached, `churn_risk` above.
        let asks_for_reached = matches!((op, rises), (Op::Ge | Op::Gt, true) | (Op::Lt | Op::Le, false));
        Verdict { holds: is_reached == asks_for_reached, until: if is_reached { until } else { until.min(reached) } }
    }

    /// The points of the signals that there are, and until when there are those.
    fn points(&self) -> (i64, Instant) {
        let signals = self.rules.churn.iter().flat_map(|churn| &churn.signals);
        signals.fold((0, Instant::MAX), |(points, until), signal| {
            let verdict = self.node(&signal.when);
            (points + if verdict.holds { signal.points } else { 0 }, until.min(verdict.until))
        })
    }

    fn with_points(&self, percent: f64, points: i64) -> f64 {
        (percent + points as f64).clamp(0.0, 100.0)
    }
}

impl<'a> Outlook<'a> {
    fn levels<'t>(&'t self, thresholds: &'t [f64], min_silence: Span) -> Levels<'t> {
        Levels {
            horizon_days: days(self.churn.horizon),
            thresholds,
            min_silence_days: days(min_silence),
            recalibration: self.parameters.recalibration.as_ref(),
        }
    }

    /// Nobody has been silent for less than nothing: on the day of the last coming the models' day, of 24 hours each since
    /// the first, may not have begun yet.
    fn present(&self, at: Instant) -> Instant {
        at.max(self.origin + Span((self.customer.last() * Span::DAY.0 as f64) as i64))
    }

    /// The instant in days since the beginning of the first day.
    pub(in crate::engine) fn at(&self, at: Instant) -> f64 {
        days_since(self.origin.0, at.0)
    }

    /// The probability of nothing within the horizon, corrected by what was learnt.
    pub(in crate::engine) fn risk(&self, at: Instant) -> f64 {
        self.levels(&[], Span(0)).risk(&self.customer, self.at(at))
    }

    /// How the probability of silence of any length is corrected, as the risk is.
    pub(in crate::engine) fn rarity(&self, at: Instant) -> Rarity {
        self.levels(&[], Span(0)).rarity(&self.customer, self.at(at))
    }

    pub(in crate::engine) fn alive(&self, at: Instant) -> Option<f64> {
        self.customer.alive(self.at(at))
    }

    /// What to expect within the horizon.
    pub(in crate::engine) fn expected(&self, at: Instant) -> f64 {
        self.customer.expected(self.at(at), days(self.churn.horizon))
    }

    /// Right after the last coming.
    pub(in crate::engine) fn risk_at_last(&self) -> f64 {
        self.levels(&[], Span(0)).risk(&self.customer, self.customer.last())
    }

    /// Is the customer active on less than half as many days lately as over the year?
    pub(in crate::engine) fn is_falling(&self) -> bool {
        let Comings::Used(usage) = self.comings else { return false };
        let memories = Memories::default();
        let rate = |tau: f64| usage.rate(tau, &memories);
        rate(FALLING_SHORT_DAYS).zip(rate(FALLING_LONG_DAYS)).is_some_and(|(short, long)| short < long / 2.0)
    }

    pub(in crate::engine) fn silence(&self, at: Instant) -> f64 {
        self.customer.silence(self.at(at))
    }

    /// The level of a silent customer.
    pub(in crate::engine) fn spell(&self, at: Instant) -> Spell {
        self.spell_after(0, at)
    }

    /// The same of a customer who has come to a level, and by now perhaps to higher ones.
    pub(in crate::engine) fn spell_after(&self, level: usize, at: Instant) -> Spell {
        let highest = self.churn.thresholds.len();
        for next in level + 1..=highest {
            let begins = self.reached_at(next).unwrap_or(Instant::MAX);
            if begins > self.present(at) {
                return Spell { level: next - 1, until: begins };
            }
        }
        Spell { level: level.max(highest), until: Instant::MAX }
    }

    /// The first instant of silence on a level or above; `None`: never.
    pub(in crate::engine) fn reached_at(&self, level: usize) -> Option<Instant> {
        let solve = || self.levels(&self.churn.thresholds, self.churn.min_silence).reached_at(&self.customer, level, 0);
        let after = match self.question(level) {
            Some(question) => self.solved.reached.answer(question, solve),
            None => solve(),
        };
        after.map(|after| self.origin + Span(after))
    }

    /// All that a level's beginning depends on; `None` of use, which is remembered in more detail than anybody shares.
    fn question(&self, level: usize) -> Option<Question> {
        let Comings::Bought(purchases) = self.comings else { return None };
        let days = purchases.last_day.abs_diff(purchases.first_day);
        Some(Question { repeats: purchases.repeats, days, level: u32::try_from(level).ok()? })
    }

    pub(in crate::engine) fn level_name(&self, level: usize) -> &'a str {
        match level.checked_sub(1) {
            Some(above) => &self.churn.levels[above],
            None => LOWEST_LEVEL,
        }
    }

    /// When risk in percent, with its points, is above a number, or there; `MAX`: never.
    fn above(&self, wanted: Number, points: i64, inclusive: bool) -> Instant {
        let (least, most) = (Number::ZERO, Number::from_integer(100));
        let always = if inclusive { wanted <= least } else { wanted < least };
        let never = if inclusive { wanted > most } else { wanted >= most };
        // The nearest double to what is written: 90 here is .9 among the levels.
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

    /// When the probability of not being gone is less than a number; `MAX`: never.
    fn below(&self, wanted: f64) -> Instant {
        self.customer.alive_below_at(wanted, self.origin.0).map_or(Instant::MAX, Instant)
    }

    /// The discounted value of what is to come, as of the beginning of the level: it moves by steps, so that rules may look
    /// at it. None without amounts.
    pub(in crate::engine) fn lifetime_value(&self, level: usize) -> Option<f64> {
        let (question, amount) = self.question(level).zip(self.spend())?;
        let since_reached = || self.purchases_from(self.reached_at(level).unwrap_or(Instant::MAX));
        Some(amount * self.solved.purchases.answer(question, since_reached))
    }

    /// The same of a customer who is sure not to be gone: at the beginning of the level the value holds that they may be.
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
        Discounting::default().lifetime_value(&self.customer, self.at(at), 1.0)
    }

    /// What the next purchase is expected to bring. None without amounts.
    pub(in crate::engine) fn spend(&self) -> Option<f64> {
        let Model::Purchases { amounts: Some(amounts), .. } = self.parameters.model else { return None };
        let Comings::Bought(purchases) = self.comings else { return None };
        let mean = purchases.mean_repeat_amount().unwrap_or(0.0);
        self.churn.has_amounts.then(|| amounts.expected_amount(Spent { x: f64::from(purchases.repeats), mean }))
    }

    pub(in crate::engine) fn parameters(&self) -> &'a Parameters {
        self.parameters
    }
}

/// A length of time as the models count it.
fn days(span: Span) -> f64 {
    span.0 as f64 / Span::DAY.0 as f64
}
