//! The churn risk level, decided as cohorts are: at the instant at which it is reached, with a deadline until then.

use super::trigger::Trigger;
use crate::engine::conditions::{CustomerView, LevelInterval, Prediction};
use crate::engine::customer::{CustomerState, PendingChange, Risk};
use crate::engine::effects::{Factor, RiskCause, RiskEffect, RiskNow};
use crate::event::{Instant, Span};
use crate::rules::{LOWEST_LEVEL, Machine, RuleSet};

/// The name of a level by its index.
#[must_use]
pub fn level_name(rules: &RuleSet, level: usize) -> &str {
    let above = level.checked_sub(1).and_then(|above| rules.churn.as_ref()?.levels.get(above));
    above.map_or(LOWEST_LEVEL, String::as_str)
}

/// The result of assessing the risk at an instant.
pub(in crate::engine) struct RiskAssessment {
    /// The previous level, where it changed.
    pub(in crate::engine) changed_from: Option<u8>,
    /// When it must be assessed again without further events.
    pub(in crate::engine) deadline: Instant,
}

/// Why the risk is assessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum RiskInput {
    /// Its deadline is due and nothing else has changed, so the next level has begun.
    Deadline,
    /// The activity or the parameters have changed.
    Changed,
}

/// Updates the risk level to an instant.
pub(in crate::engine) fn assess_risk(
    risk: &mut Risk,
    prediction: Option<Prediction<'_>>,
    input: RiskInput,
    at: Instant,
) -> RiskAssessment {
    // Without parameters or activity there is no prediction; the last level stands.
    let Some(prediction) = prediction else { return RiskAssessment { changed_from: None, deadline: Instant::MAX } };
    risk.parameters_version = prediction.parameters().version;
    let level_interval = if input == RiskInput::Deadline {
        prediction.level_interval_after(usize::from(risk.level) + 1, at)
    } else {
        prediction.level_interval(at)
    };
    let level = u8::try_from(level_interval.level).unwrap_or(u8::MAX);
    let before = std::mem::replace(&mut risk.level, level);
    if level == before {
        return RiskAssessment { changed_from: None, deadline: level_interval.until };
    }
    risk.sequence += 1;
    RiskAssessment { changed_from: Some(before), deadline: level_interval.until }
}

/// A customer's risk at an instant at which everything is decided, for effects and for the admin API.
pub(in crate::engine) struct RiskReport<'a> {
    prediction: Prediction<'a>,
    level_interval: LevelInterval,
    pub(in crate::engine) now: RiskNow,
}

impl<'a> RiskReport<'a> {
    /// Computes the level at any instant.
    pub(in crate::engine) fn at(view: &CustomerView<'a>) -> Option<Self> {
        let prediction = view.prediction()?;
        let level_interval = prediction.level_interval(view.at);
        Some(Self { now: risk_now(&prediction, level_interval, view.at), prediction, level_interval })
    }

    /// Takes the level from a state whose risk was assessed at the instant.
    pub(in crate::engine) fn of_state(state: &CustomerState, view: &CustomerView<'a>) -> Option<Self> {
        let prediction = view.prediction()?;
        let level_interval =
            LevelInterval { level: usize::from(state.risk.level), until: state.deadlines.get(Machine::Risk) };
        Some(Self { now: risk_now(&prediction, level_interval, view.at), prediction, level_interval })
    }

    /// The effect of a change of level.
    pub(in crate::engine) fn effect(
        &self,
        state: &CustomerState,
        previous: u8,
        trigger: Trigger<'_>,
        view: &CustomerView<'_>,
    ) -> RiskEffect {
        let PendingChange { reason, cause } = trigger.own_reason();
        let (Self { prediction, level_interval, now }, parameters) = (self, self.prediction.parameters());
        RiskEffect {
            at: view.at,
            reason,
            cause,
            sequence: state.risk.sequence,
            level: now.level,
            previous: usize::from(previous),
            probability: now.probability,
            expected: prediction.expected(view.at),
            alive: prediction.alive(view.at),
            value: now.value,
            next_level_at: Some(level_interval.until).filter(|until| *until < Instant::MAX),
            version: parameters.version,
            provisional: parameters.provisional,
            factors: factors(prediction, view),
        }
    }
}

/// The factors of the risk: the rhythm, which is the risk right after the last activity; what silence has added; and
/// the signals.
fn factors(prediction: &Prediction<'_>, view: &CustomerView<'_>) -> Vec<Factor> {
    let percent = |risk: f64| (100.0 * risk).round() as i64;
    let (at_first, now) = (percent(prediction.risk_at_last()), percent(prediction.risk(view.at)));
    let rhythm = match prediction.customer.usual_gap() {
        Some(days) => RiskCause::Rhythm(of_days(days)),
        None => RiskCause::Once,
    };
    let mut factors = vec![Factor { cause: rhythm, points: at_first }];
    if now > at_first {
        let silence = RiskCause::Silence(of_days(prediction.silence(view.at)));
        factors.push(Factor { cause: silence, points: now - at_first });
    }
    if prediction.is_falling() {
        factors.push(Factor { cause: RiskCause::Falling, points: 0 });
    }
    let signals = view.rules.churn.iter().flat_map(|churn| &churn.signals).enumerate();
    factors.extend(
        signals
            .filter(|(_, signal)| view.node(&signal.when).holds)
            .map(|(index, signal)| Factor { cause: RiskCause::Signal(index), points: signal.points }),
    );
    factors
}

fn of_days(days: f64) -> Span {
    Span((days * Span::DAY.0 as f64).round() as i64)
}

fn risk_now(prediction: &Prediction<'_>, level_interval: LevelInterval, at: Instant) -> RiskNow {
    RiskNow {
        level: level_interval.level,
        probability: prediction.risk(at),
        value: prediction.lifetime_value(level_interval.level),
    }
}
