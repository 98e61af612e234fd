//! What the model of churn says of a customer at one instant.
//!
//! The probabilities, and when a silent customer's reach a number, are the models' own, which are tested by themselves.
//! What they are asked is worked out here from all events: days, amounts, points, levels.

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

    /// From one millisecond to the next, and not in a straight line.
    pub(crate) fn moves(self) -> bool {
        matches!(self, Self::Risk | Self::Alive)
    }
}

/// The score that a measure is, by its own name or by one that stands for it.
pub(crate) fn score_of(document: &Document, measure: &Measure) -> Option<Score> {
    let MeasureKind::Named(name) = &measure.kind else { return None };
    match document.measures.get(&name.text) {
        Some(defined) => score_of(document, &defined.measure),
        None => Score::named(&name.text),
    }
}

/// What takes long to solve for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Solved {
    reached: BTreeMap<Question, Option<Instant>>,
    values: BTreeMap<usize, f64>,
}

/// When is it reached by who stays silent? Numbers by their bits.
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

/// A customer who came at least once, under the parameters in force.
pub(crate) struct Outlook<'a> {
    moment: Moment<'a>,
    rule: &'a ChurnRule,
    parameters: Parameters,
    customer: Customer,
    purchases: Option<Purchases>,
    /// The beginning of the first day.
    origin: Instant,
}

impl<'a> Moment<'a> {
    /// None without parameters, and of a customer who never came.
    pub(crate) fn outlook(self) -> Option<Outlook<'a>> {
        let rule = self.rules.document.churn.as_ref()?;
        let parameters = (*self.rules.parameters.borrow())?;
        // What was given back before anything was bought belongs to what was bought before the log begins.
        let days = self.days(rule);
        let days: Vec<(Date, Day)> = days.into_iter().skip_while(|(_, day)| !day.came).collect();
        let origin = self.rules.calendar.start(days.first()?.0);
        let came = || days.iter().filter(|(_, day)| day.came).map(|(date, _)| number(*date));
        let (first_day, last_day) = (came().min()?, came().max()?);
        let (customer, purchases) = match parameters.model {
            Model::Purchases { comings, .. } => {
                let purchases = Purchases {
                    first_day,
                    last_day,
                    repeats: u32::try_from(came().count() - 1).expect("few"),
                    first_amount: days[0].1.amount,
                    amount: days.iter().map(|(_, day)| day.amount).sum(),
                };
                (Customer::buying(comings, &purchases), Some(purchases))
            }
            Model::Usage(model) => {
                let memories = Memories::default();
                (Customer::using(model, &Usage::of(came(), &memories)?, &memories)?, None)
            }
        };
        Some(Outlook { moment: self, rule, parameters, customer, purchases, origin })
    }

    /// Did the customer do what counts as coming back?
    pub(crate) fn has_come(self) -> bool {
        let came = |rule: &ChurnRule| self.days(rule).values().any(|day| day.came);
        self.rules.document.churn.as_ref().is_some_and(came)
    }

    /// By calendar: comings, and amounts added up. A negative amount is no coming.
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
        let outlook = self.outlook()?;
        let number = |value| Number::from_double(value).map(Worth::Number);
        match score {
            Score::Risk => {
                let percent = 100.0 * outlook.probability() + outlook.points() as f64;
                number(percent.clamp(0.0, 100.0))
            }
            Score::Level => Some(Worth::Text(outlook.name(outlook.level()))),
            Score::Alive => outlook.alive().and_then(number),
            Score::Value => outlook.value().and_then(number),
            Score::ValueIfActive => {
                let alive = outlook.customer.alive(outlook.since()).filter(|alive| *alive > 0.0)?;
                number(outlook.value()? / alive)
            }
            Score::ValueAtRisk => {
                let risk = outlook.levels_of(&[], Span(0)).risk(&outlook.customer, outlook.since());
                number(outlook.value()? * risk)
            }
        }
    }

    /// A score that moves is compared with numbers alone.
    pub(super) fn compare_score(self, score: Score, test: &CompareTest) -> bool {
        let Some(outlook) = self.outlook() else { return *test == CompareTest::Missing };
        let passes = |op, operand: &Operand| match operand {
            Operand::Literal(Literal::Number(number)) if score == Score::Risk => outlook.risk_is(op, *number),
            Operand::Literal(Literal::Number(number)) => outlook.alive_is(op, *number),
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

impl<'a> Outlook<'a> {
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

    /// Nobody has been silent for less than nothing: the present is the last coming, if that has not begun yet as the
    /// models count days, of 24 hours each.
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

    /// When a level is reached by who stays silent.
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

    /// From which probability on the risk is so many per cent, or more than that, with these points.
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

    /// When the numbers of a comparison are reached, whichever signals hold.
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
