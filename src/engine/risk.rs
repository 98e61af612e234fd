//! The level of churn risk, decided like a cohort: at the instant at which it is reached, and no customer is looked at before.

use super::decide::Trigger;
use super::evaluate::Scene;
use super::score::{Outlook, Spell};
use super::state::{CustomerState, EventCause, Wish};
use super::why::{self, Language};
use crate::event::{ChangeReason, Instant, Span};
use crate::rules::{LOWEST_LEVEL, RuleSet};

/// What is remembered of a customer's risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Risk {
    /// The place among the levels; 0 is the lowest.
    pub level: u8,
    /// Changes of level emitted so far.
    pub sequence: u64,
    /// The version of the parameters under which the customer was last decided; 0: none.
    pub under: u32,
}

/// A customer's risk at the instant of a change of a cohort.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RiskNow {
    /// The place among the levels; 0 is the lowest.
    pub level: usize,
    /// Of nothing within the horizon.
    pub probability: f64,
    /// The discounted value of what is to come; `None` without amounts.
    pub value: Option<f64>,
}

impl RiskNow {
    fn of(outlook: &Outlook<'_>, spell: Spell, at: Instant) -> Self {
        Self { level: spell.level, probability: outlook.risk(at), value: outlook.lifetime_value(spell.level) }
    }
}

/// A customer's risk reached another level.
#[derive(Debug, Clone, PartialEq)]
pub struct RiskEffect {
    /// The instant at which it became so.
    pub at: Instant,
    pub reason: ChangeReason,
    pub cause: Option<EventCause>,
    /// Counts the customer's changes of level from 1.
    pub sequence: u64,
    /// Places among the levels; 0 is the lowest.
    pub level: usize,
    pub previous: usize,
    /// Of nothing within the horizon.
    pub probability: f64,
    /// How often the customer is expected to come within the horizon.
    pub expected: f64,
    /// The probability of not being gone for good; `None` of use.
    pub alive: Option<f64>,
    /// The discounted value of what is to come; `None` without amounts.
    pub value: Option<f64>,
    /// When the next level begins if the customer stays silent.
    pub next_level_at: Option<Instant>,
    /// Of the parameters.
    pub version: u32,
    pub provisional: bool,
    /// What makes up the risk, in percent.
    pub factors: Vec<Factor>,
}

impl RiskEffect {
    /// What is lost if the customer does not come back, as likely as that is.
    #[must_use]
    pub fn value_at_risk(&self) -> Option<f64> {
        self.value.map(|value| value * self.probability)
    }
}

impl RiskEffect {
    /// One sentence that says why.
    #[must_use]
    pub fn sentence(&self, rules: &RuleSet, language: Language) -> String {
        why::risk(level_name(rules, self.level), &self.factors, rules, language)
    }
}

impl Factor {
    #[must_use]
    pub fn in_words(self, rules: &RuleSet, language: Language) -> String {
        why::factor(self, rules, language)
    }
}

/// The name of a level by its place.
#[must_use]
pub fn level_name(rules: &RuleSet, level: usize) -> &str {
    let above = level.checked_sub(1).and_then(|above| rules.churn.as_ref()?.levels.get(above));
    above.map_or(LOWEST_LEVEL, String::as_str)
}

/// A part of the risk and its points, which with those of the others come to `churn_risk`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor {
    pub cause: Cause,
    pub points: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Came once so far.
    Once,
    /// The usual time from one coming to the next.
    Rhythm(Span),
    /// Silent since the last one.
    Silence(Span),
    /// Active on fewer days lately than before.
    Falling,
    /// By its place in the rules.
    Signal(usize),
}

/// What the machine of risk made of an instant.
pub(super) struct Weighed {
    /// The level before, where it is another one now.
    pub(super) changed_from: Option<u8>,
    /// When it must be looked at again if the customer stays silent.
    pub(super) deadline: Instant,
}

/// Brings the level up to an instant. `is_due`: nothing but time has passed, and the next level has begun.
pub(super) fn weigh(risk: &mut Risk, outlook: Option<Outlook<'_>>, is_due: bool, at: Instant) -> Weighed {
    // Without parameters, and of who never came, there is no risk to speak of; what was said before stands.
    let Some(outlook) = outlook else { return Weighed { changed_from: None, deadline: Instant::MAX } };
    risk.under = outlook.parameters().version;
    let spell = if is_due { outlook.spell_after(usize::from(risk.level) + 1, at) } else { outlook.spell(at) };
    let level = u8::try_from(spell.level).unwrap_or(u8::MAX);
    let before = std::mem::replace(&mut risk.level, level);
    if level == before {
        return Weighed { changed_from: None, deadline: spell.until };
    }
    risk.sequence += 1;
    Weighed { changed_from: Some(before), deadline: spell.until }
}

/// What there is to say of a customer's risk at an instant at which everything is decided.
pub(super) struct Weight<'a> {
    outlook: Outlook<'a>,
    spell: Spell,
    pub(super) now: RiskNow,
}

impl<'a> Weight<'a> {
    /// At any instant.
    pub(super) fn at(scene: &Scene<'a>) -> Option<Self> {
        let outlook = scene.outlook()?;
        let spell = outlook.spell(scene.at);
        Some(Self { now: RiskNow::of(&outlook, spell, scene.at), outlook, spell })
    }

    /// Where the level was brought up to the instant, which is then known and need not be solved for.
    pub(super) fn weighed(state: &CustomerState, scene: &Scene<'a>) -> Option<Self> {
        let outlook = scene.outlook()?;
        let spell = Spell { level: usize::from(state.risk.level), until: state.deadlines.risk };
        Some(Self { now: RiskNow::of(&outlook, spell, scene.at), outlook, spell })
    }

    /// What there is to say of a change of level.
    pub(super) fn effect(
        &self,
        state: &CustomerState,
        previous: u8,
        trigger: Trigger<'_>,
        scene: &Scene<'_>,
    ) -> RiskEffect {
        let Wish { reason, cause } = trigger.plainly();
        let (Self { outlook, spell, now }, parameters) = (self, self.outlook.parameters());
        RiskEffect {
            at: scene.at,
            reason,
            cause,
            sequence: state.risk.sequence,
            level: now.level,
            previous: usize::from(previous),
            probability: now.probability,
            expected: outlook.expected(scene.at),
            alive: outlook.alive(scene.at),
            value: now.value,
            next_level_at: Some(spell.until).filter(|until| *until < Instant::MAX),
            version: parameters.version,
            provisional: parameters.provisional,
            factors: factors(outlook, scene),
        }
    }
}

/// What the risk is made of: the rhythm, which is the risk right after the last coming, what silence has added to it, and
/// the signals.
fn factors(outlook: &Outlook<'_>, scene: &Scene<'_>) -> Vec<Factor> {
    let percent = |risk: f64| (100.0 * risk).round() as i64;
    let (at_first, now) = (percent(outlook.risk_at_last()), percent(outlook.risk(scene.at)));
    let rhythm = match outlook.customer.usual_gap() {
        Some(days) => Cause::Rhythm(of_days(days)),
        None => Cause::Once,
    };
    let mut factors = vec![Factor { cause: rhythm, points: at_first }];
    if now > at_first {
        let silence = Cause::Silence(of_days(outlook.silence(scene.at)));
        factors.push(Factor { cause: silence, points: now - at_first });
    }
    if outlook.is_falling() {
        factors.push(Factor { cause: Cause::Falling, points: 0 });
    }
    let signals = scene.rules.churn.iter().flat_map(|churn| &churn.signals).enumerate();
    factors.extend(
        signals
            .filter(|(_, signal)| scene.node(&signal.when).holds)
            .map(|(index, signal)| Factor { cause: Cause::Signal(index), points: signal.points }),
    );
    factors
}

fn of_days(days: f64) -> Span {
    Span((days * Span::DAY.0 as f64).round() as i64)
}
