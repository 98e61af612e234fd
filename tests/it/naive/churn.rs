//! The churn model's predictions for a customer at one instant.
//!
//! The probabilities, and the instants at which they reach a bound, come from the models, which have tests of their
//! own. Their inputs are computed here from all events: days, amounts, points, levels.

use std::collections::{BTreeMap, BTreeSet};

use cohortd::churn::{Customer, Discounting, Levels, Memories, Purchases, Spent, Usage, days_since};
use cohortd::engine::{Model, Parameters};
use cohortd::event::{Instant, Number, Span};
use cohortd::rules::ast::{Compare, CompareTest, Literal, Measure, MeasureKind, Op, Operand};
use cohortd::rules::{ChurnRule, Document, LOWEST_LEVEL};
use jiff::civil::{Date, date};

use super::condition::{Moment, matches};
use super::measure::Worth;
use super::rules::operands;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Score {
    Risk,
    Level,
    Alive,
    Value,
    ValueIfActive,
    ValueAtRisk,
}

impl Score {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "churn_risk" => Some(Self::Risk),
            "churn_level" => Some(Self::Level),
            "alive" => Some(Self::Alive),
            "clv" => Some(Self::Value),
            "clv_if_active" => Some(Self::ValueIfActive),
            "value_at_risk" => Some(Self::ValueAtRisk),
            _ => None,
        }
    }

    /// Does it change continuously, and not linearly?
    pub(crate) fn moves(self) -> bool {
        matches!(self, Self::Risk | Self::Alive)
    }
}

/// The score that a measure is, directly or by a named measure.
pub(crate) fn score_of(document: &Document, measure: &Measure) -> Option<Score> {
    let MeasureKind::Named(name) = &measure.kind else { return None };
    match document.measures.get(&name.text) {
        Some(defined) => score_of(document, &defined.measure),
        None => Score::named(&name.text),
    }
}

/// A cache of instants that are expensive to solve for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Solved {
    reached: BTreeMap<Question, Option<Instant>>,
    values: BTreeMap<usize, f64>,
}

/// What is reached by silence; numbers by their bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Level(usize),
    /// A probability, without the shortest silence.
    Risk(u64),
    /// Less than this.
    Alive(u64),
}

#[derive(Default)]
struct Day {
    came: bool,
    amount: i128,
}

/// A customer with at least one purchase, or active day, under the parameters in force.
pub(crate) struct Prediction<'a> {
    moment: Moment<'a>,
    rule: &'a ChurnRule,
    parameters: Parameters,
    customer: Customer,
    purchases: Option<Purchases>,
    /// The beginning of the first day.
    origin: Instant,
}

impl<'a> Moment<'a> {
    /// `None` without parameters, and for a customer without any activity.
    pub(crate) fn prediction(self) -> Option<Prediction<'a>> {
        let rule = self.rules.document.churn.as_ref()?;
        let parameters = (*self.rules.parameters.borrow())?;
        // A refund before any purchase belongs to a purchase before the log begins.
        let days = self.days(rule);
        let days: Vec<(Date, Day)> = days.into_iter().skip_while(|(_, day)| !day.came).collect();
        let origin = self.rules.calendar.start(days.first()?.0);
        let came = || days.iter().filter(|(_, day)| day.came).map(|(date, _)| number(*date));
        let (first_day, last_day) = (came().min()?, came().max()?);
        let (customer, purchases) = match parameters.model {
            Model::Purchases { transactions, .. } => {
                let purchases = Purchases {
                    first_day,
                    last_day,
                    repeats: u32::try_from(came().count() - 1).expect("few"),
                    first_amount: days[0].1.amount,
                    amount: days.iter().map(|(_, day)| day.amount).sum(),
                };
                (Customer::buying(transactions, &purchases), Some(purchases))
            }
            Model::Usage(model) => {
                let memories = Memories::default();
                (Customer::using(model, &Usage::of(came(), &memories)?, &memories)?, None)
            }
        };
        Some(Prediction { moment: self, rule, parameters, customer, purchases, origin })
    }

    /// Does an event count as coming back?
    pub(crate) fn has_come(self) -> bool {
        let came = |rule: &ChurnRule| self.days(rule).values().any(|day| day.came);
        self.rules.document.churn.as_ref().is_some_and(came)
    }

    /// By calendar day: is there a purchase, and the sum of the amounts. A negative amount is no purchase.
    fn days(&self, rule: &ChurnRule) -> BTreeMap<Date, Day> {
        let mut days: BTreeMap<Date, Day> = BTreeMap::new();
        for event in self.so_far().filter(|event| matches(event, &rule.on)) {
            let of = rule.amount.as_ref().filter(|amount| amount.event.text == event.name);
            let amount = of.and_then(|amount| event.property(&amount.property.text)).and_then(|value| value.number());
            let amount = amount.map_or(0, |number| number.0);
            let day = days.entry(self.rules.calendar.day(event.at)).or_default();
            day.came |= amount >= 0;
            day.amount += amount;
        }
        days
    }

    pub(super) fn score(self, score: Score) -> Option<Worth<'a>> {
        let prediction = self.prediction()?;
        let number = |value| Number::from_double(value).map(Worth::Number);
        match score {
            Score::Risk => {
                let percent = 100.0 * prediction.probability() + prediction.points() as f64;
                number(percent.clamp(0.0, 100.0))
            }
            Score::Level => Some(Worth::Text(prediction.name(prediction.level()))),
            Score::Alive => prediction.alive().and_then(number),
            Score::Value => prediction.value().and_then(number),
            Score::ValueIfActive => {
                let alive = prediction.customer.alive(prediction.since()).filter(|alive| *alive > 0.0)?;
                number(prediction.value()? / alive)
            }
            Score::ValueAtRisk => {
                let risk = prediction.levels_of(&[], Span(0)).risk(&prediction.customer, prediction.since());
                number(prediction.value()? * risk)
            }
        }
    }

    /// Scores that change continuously are compared only with numbers.
    pub(super) fn compare_score(self, score: Score, test: &CompareTest) -> bool {
        let Some(prediction) = self.prediction() else { return *test == CompareTest::Missing };
        let passes = |op, operand: &Operand| match operand {
            Operand::Literal(Literal::Number(number)) if score == Score::Risk => prediction.risk_is(op, *number),
            Operand::Literal(Literal::Number(number)) => prediction.alive_is(op, *number),
            _ => false,
        };
        match test {
            CompareTest::Known => true,
            CompareTest::Missing => false,
            CompareTest::Compare(op, operand) => passes(*op, operand),
            CompareTest::Between(low, high) => passes(Op::Ge, low) && passes(Op::Le, high),
        }
    }
}

impl<'a> Prediction<'a> {
    fn levels_of<'t>(&'t self, thresholds: &'t [f64], min_silence: Span) -> Levels<'t> {
        Levels {
            horizon_days: days(self.rule.horizon),
            thresholds,
            min_silence_days: days(min_silence),
            recalibration: self.parameters.recalibration.as_ref(),
        }
    }

    fn last(&self) -> Instant {
        self.origin + Span((self.customer.last() * Span::DAY.0 as f64) as i64)
    }

    /// The present, no earlier than the last activity: the models count days of 24 hours from the first one, so the day
    /// of the last activity may not have begun yet.
    fn now(&self) -> Instant {
        self.moment.now.max(self.last())
    }

    fn at(&self, instant: Instant) -> f64 {
        days_since(self.origin.0, instant.0)
    }

    fn when(&self, question: Question) -> Option<Instant> {
        let known = self.moment.customer.solved.borrow().reached.get(&question).copied();
        known.unwrap_or_else(|| {
            let found = self.solve(question).map(Instant);
            self.moment.customer.solved.borrow_mut().reached.insert(question, found);
            found
        })
    }

    fn solve(&self, question: Question) -> Option<i64> {
        match question {
            Question::Level(level) => {
                let thresholds: Vec<f64> = self.rule.levels.iter().map(|(_, threshold)| *threshold).collect();
                let levels = self.levels_of(&thresholds, self.rule.min_silence);
                levels.reached_at(&self.customer, level, self.origin.0)
            }
            Question::Risk(bits) => {
                let threshold = [f64::from_bits(bits)];
                self.levels_of(&threshold, Span(0)).reached_at(&self.customer, 1, self.origin.0)
            }
            Question::Alive(bits) => self.customer.alive_below_at(f64::from_bits(bits), self.origin.0),
        }
    }

    /// When a level is reached by silence.
    pub(crate) fn reached(&self, level: usize) -> Option<Instant> {
        self.when(Question::Level(level))
    }

    pub(crate) fn level(&self) -> usize {
        let is_reached = |level: &usize| self.reached(*level).is_some_and(|at| at <= self.now());
        (1..=self.rule.levels.len()).filter(is_reached).count()
    }

    pub(crate) fn name(&self, level: usize) -> &'a str {
        if level == 0 { LOWEST_LEVEL } else { &self.rule.levels[level - 1].0 }
    }

    pub(crate) fn probability(&self) -> f64 {
        self.levels_of(&[], Span(0)).risk(&self.customer, self.at(self.moment.now))
    }

    pub(crate) fn expected(&self) -> f64 {
        self.customer.expected(self.at(self.moment.now), days(self.rule.horizon))
    }

    pub(crate) fn alive(&self) -> Option<f64> {
        self.customer.alive(self.at(self.moment.now))
    }

    /// The beginning of the level.
    fn since(&self) -> f64 {
        self.at(self.reached(self.level()).expect("who is on a level has reached it"))
    }

    /// As of the beginning of the level.
    pub(crate) fn value(&self) -> Option<f64> {
        let Model::Purchases { amounts: Some(amounts), .. } = self.parameters.model else { return None };
        let (purchases, _) = self.purchases.zip(self.rule.amount.as_ref())?;
        let level = self.level();
        let known = self.moment.customer.solved.borrow().values.get(&level).copied();
        Some(known.unwrap_or_else(|| {
            let repeated = (purchases.amount - purchases.first_amount) as f64 / 1e6;
            let x = f64::from(purchases.repeats);
            let spent = Spent { x, mean: if x > 0.0 { repeated / x } else { 0.0 } };
            let since = self.since();
            let amount = amounts.expected_amount(spent);
            let value = Discounting::default().lifetime_value(&self.customer, since, amount);
            self.moment.customer.solved.borrow_mut().values.insert(level, value);
            value
        }))
    }

    fn points(&self) -> i64 {
        let signals = self.rule.signals.iter().filter(|signal| self.moment.holds(&signal.when.expr));
        signals.map(|signal| signal.points).sum()
    }

    fn risk_is(&self, op: Op, wanted: Number) -> bool {
        let hundred = Number::from_integer(100);
        let crossed = |inclusive: bool| {
            // From 0 to 100, whatever the points.
            if wanted < Number::ZERO || (wanted == Number::ZERO && inclusive) {
                return true;
            }
            if wanted > hundred || (wanted == hundred && !inclusive) {
                return false;
            }
            match self.probability_for(wanted, self.points(), inclusive) {
                probability if probability <= 0.0 => true,
                probability if probability > 1.0 => false,
                probability => self.when(Question::Risk(probability.to_bits())).is_some_and(|at| at <= self.now()),
            }
        };
        match op {
            Op::Ge => crossed(true),
            Op::Gt => crossed(false),
            Op::Lt => !crossed(true),
            Op::Le => !crossed(false),
            Op::Eq | Op::Ne => unreachable!("refused by the loader"),
        }
    }

    /// The probability at which the risk reaches, or exceeds, a percentage with these points.
    fn probability_for(&self, wanted: Number, points: i64, inclusive: bool) -> f64 {
        let probability = (wanted.0 - Number::from_integer(points).0) as f64 / (100 * Number::ONE) as f64;
        if inclusive { probability } else { probability.next_up() }
    }

    fn alive_is(&self, op: Op, wanted: Number) -> bool {
        let wanted = wanted.to_double();
        let below = |number: f64| self.when(Question::Alive(number.to_bits())).is_some_and(|at| at <= self.now());
        match op {
            Op::Lt => below(wanted),
            Op::Le => below(wanted.next_up()),
            Op::Ge => !below(wanted),
            Op::Gt => !below(wanted.next_up()),
            Op::Eq | Op::Ne => unreachable!("refused by the loader"),
        }
    }

    /// When each level is reached.
    pub(crate) fn levels(&self) -> impl Iterator<Item = Instant> {
        (0..=self.rule.levels.len()).filter_map(|level| self.reached(level))
    }

    /// When the bounds of a comparison are reached, for any combination of signals.
    pub(crate) fn turns(&self, compare: &Compare) -> impl Iterator<Item = Instant> {
        let document = self.moment.rules.document;
        let score = score_of(document, &compare.measure).filter(|score| score.moves());
        let mut points = BTreeSet::from([0]);
        for signal in &self.rule.signals {
            let with: Vec<i64> = points.iter().map(|points| points + signal.points).collect();
            points.extend(with);
        }
        let mut questions = Vec::new();
        for operand in operands(compare) {
            let Operand::Literal(Literal::Number(wanted)) = operand else { continue };
            for inclusive in [true, false] {
                if score == Some(Score::Alive) {
                    let wanted = wanted.to_double();
                    questions.push(Question::Alive(if inclusive { wanted.next_up() } else { wanted }.to_bits()));
                }
                if score == Some(Score::Risk) {
                    let probabilities = points.iter().map(|points| self.probability_for(*wanted, *points, inclusive));
                    let between = probabilities.filter(|probability| 0.0 < *probability && *probability <= 1.0);
                    questions.extend(between.map(|probability| Question::Risk(probability.to_bits())));
                }
            }
        }
        questions.into_iter().filter_map(|question| self.when(question))
    }
}

fn number(day: Date) -> i32 {
    (day - date(1970, 1, 1)).get_days()
}

/// A length of time as the models count it.
fn days(span: Span) -> f64 {
    span.0 as f64 / Span::DAY.0 as f64
}
