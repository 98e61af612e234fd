//! The level of churn risk, decided like a cohort: at the instant at which it is reached, and no customer is looked at before.

use super::trigger::Trigger;
use crate::engine::conditions::{CustomerView, Outlook, Spell};
use crate::engine::customer::{CustomerState, Risk, Wish};
use crate::engine::effects::{Cause, Factor, RiskEffect, RiskNow};
use crate::event::{Instant, Span};
use crate::rules::{LOWEST_LEVEL, RuleSet};

/// The name of a level by its place.
#[must_use]
pub fn level_name(rules: &RuleSet, level: usize) -> &str {
    let above = level.checked_sub(1).and_then(|above| rules.churn.as_ref()?.levels.get(above));
    above.map_or(LOWEST_LEVEL, String::as_str)
}

/// What the machine of risk made of an instant.
pub(in crate::engine) struct Weighed {
    /// The level before, where it is another one now.
    pub(in crate::engine) changed_from: Option<u8>,
    /// When it must be looked at again if the customer stays silent.
    pub(in crate::engine) deadline: Instant,
}

/// Brings the level up to an instant. `is_due`: nothing but time has passed, and the next level has begun.
pub(in crate::engine) fn weigh(risk: &mut Risk, outlook: Option<Outlook<'_>>, is_due: bool, at: Instant) -> Weighed {
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
pub(in crate::engine) struct Weight<'a> {
    outlook: Outlook<'a>,
    spell: Spell,
    pub(in crate::engine) now: RiskNow,
}

impl<'a> Weight<'a> {
    /// At any instant.
    pub(in crate::engine) fn at(scene: &CustomerView<'a>) -> Option<Self> {
        let outlook = scene.outlook()?;
        let spell = outlook.spell(scene.at);
        Some(Self { now: risk_now(&outlook, spell, scene.at), outlook, spell })
    }

    /// Where the level was brought up to the instant, which is then known and need not be solved for.
    pub(in crate::engine) fn weighed(state: &CustomerState, scene: &CustomerView<'a>) -> Option<Self> {
        let outlook = scene.outlook()?;
        let spell = Spell { level: usize::from(state.risk.level), until: state.deadlines.risk };
        Some(Self { now: risk_now(&outlook, spell, scene.at), outlook, spell })
    }

    /// What there is to say of a change of level.
    pub(in crate::engine) fn effect(
        &self,
        state: &CustomerState,
        previous: u8,
        trigger: Trigger<'_>,
        scene: &CustomerView<'_>,
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
fn factors(outlook: &Outlook<'_>, scene: &CustomerView<'_>) -> Vec<Factor> {
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

fn risk_now(outlook: &Outlook<'_>, spell: Spell, at: Instant) -> RiskNow {
    RiskNow { level: spell.level, probability: outlook.risk(at), value: outlook.lifetime_value(spell.level) }
}
