//! The forecast of one customer: what time alone will change, what one more visit would change, and the probabilities
//! of both.

use crate::churn::{Customer, SilenceCorrection, days_since};
use crate::engine::conditions::Prediction;
use crate::engine::customer::CustomerState;
use crate::engine::decide::{Detail, Engine, Trial};
use crate::engine::effects::Effect;
use crate::event::{Change, CustomerEvent, Instant, Number, Value};
use crate::rules::{CohortIx, PlainVisit};

/// A possible change of a cohort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForecastChange {
    pub cohort: CohortIx,
    pub change: Change,
    /// When; for a change by a visit, from when on it may happen.
    pub at: Instant,
    pub assumption: Assumption,
    /// The probability, from 0 to 1.
    pub probability: Number,
}

/// What a possible change depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assumption {
    /// The customer is silent until then.
    Silence,
    /// The customer makes one more visit: a purchase, or an active day.
    Visit,
}

/// The risk and the value of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RiskAndValue {
    /// Index of the risk level, as last decided; 0 is the lowest.
    pub level: usize,
    /// The discounted value of future purchases, as of the instant; `None` without amounts.
    pub value: Option<Number>,
}

impl Engine {
    /// The possible changes between the first and the last of ascending instants; the others divide the time between
    /// into days. Every deadline before the first is decided. The customer's state is afterwards what it was, and there
    /// are no effects.
    ///
    /// The customer is run forward, as `fire` will do, and at each step a visit is tried for what it would change at
    /// once; then all is taken back. Consequences of that change, and other events, are not forecast. A change by
    /// silence has the probability that no visit comes before it, one by a visit the probability that the first visit
    /// comes then, under the parameters in force. Without parameters, or for a customer without any activity, silence is
    /// taken as certain.
    pub fn forecast(&mut self, state: &mut CustomerState, days: &[Instant]) -> Vec<ForecastChange> {
        let (Some(from), Some(until)) = (days.first().copied(), days.last().copied()) else { return Vec::new() };
        let silence_forecast =
            self.view(state, from).prediction().map(|prediction| SilenceForecast::of(&prediction, from));
        let visit = silence_forecast.and(self.rules().churn.as_ref().and_then(|churn| churn.plain_visit));
        if visit.is_none() && state.next_deadline >= until && !self.has_stale_parameters(state) {
            return Vec::new();
        }
        let mut trial = std::mem::take(&mut self.trial);
        trial.start.save(state);
        let found = self.run_forward(state, days, (silence_forecast, visit), &mut trial);
        trial.start.restore(state);
        self.trial = trial;
        found
    }

    fn run_forward(
        &mut self,
        state: &mut CustomerState,
        days: &[Instant],
        (silence_forecast, visit): (Option<SilenceForecast>, Option<PlainVisit>),
        trial: &mut Trial,
    ) -> Vec<ForecastChange> {
        let (from, until) = (days[0], days[days.len() - 1]);
        let (mut found, mut effects) = (Vec::new(), Vec::new());
        let mut at = from;
        // Changes by new parameters are not part of the forecast.
        if self.apply_parameters(state, Detail::None, &mut effects) {
            effects.clear();
        }
        loop {
            trial.effects.clear();
            if let (Some(visit), Some(silence_forecast)) = (visit, silence_forecast) {
                self.try_visit(state, visit, at, silence_forecast.spend, trial);
            }
            let changed = self.next_step(state, until, &mut effects);
            if let Some(silence_forecast) = silence_forecast.filter(|silence_forecast| {
                !trial.effects.is_empty() && silence_forecast.silence(at) != silence_forecast.silence(changed)
            }) {
                for pair in days.windows(2) {
                    let (begins, ends) = (pair[0].max(at), pair[1].min(changed));
                    if begins < ends {
                        let probability = Number(silence_forecast.silence(begins).0 - silence_forecast.silence(ends).0);
                        found.extend(
                            trial.effects.iter().map(|effect| of(effect, begins, Assumption::Visit, probability)),
                        );
                    }
                }
            }
            if effects.is_empty() {
                return found;
            }
            let probability =
                silence_forecast.map_or(Number(Number::ONE), |silence_forecast| silence_forecast.silence(changed));
            let to_come = effects.drain(..).filter(|effect| effect.at >= from);
            found.extend(to_come.map(|effect| of(&effect, effect.at, Assumption::Silence, probability)));
            at = changed.max(from);
        }
    }

    /// Decides deadlines before `until`, up to the first at which anything changes. Returns that, or `until`.
    fn next_step(&mut self, state: &mut CustomerState, until: Instant, effects: &mut Vec<Effect>) -> Instant {
        while state.next_deadline < until {
            let deadline = state.next_deadline;
            self.fire(state, deadline.next(), Detail::None, effects);
            if !effects.is_empty() {
                return deadline;
            }
        }
        until
    }

    /// Finds the effects of a visit after an instant at which every deadline is decided: in the next millisecond, as no
    /// cohort is both entered and left at one instant. The state is afterwards what it was.
    fn try_visit(
        &mut self,
        state: &mut CustomerState,
        visit: PlainVisit,
        at: Instant,
        spend: Option<Number>,
        trial: &mut Trial,
    ) {
        let amount = visit.amount.zip(spend).map(|(amount, spend)| (amount, Value::Number(spend)));
        let event = CustomerEvent {
            customer: "",
            name: "",
            name_id: visit.name,
            at: at.max(state.clock).next(),
            id: None,
            source: None,
            record_hash: 0,
            unusable_values: 0,
            properties: amount.as_slice(),
        };
        trial.before_visit.save(state);
        let fed = self.rules().feeds(visit.name).iter().map(|feed| usize::from(feed.fact.0));
        trial.facts.extend(fed.map(|number| (number, state.facts.get(number).cloned())));
        self.apply_hypothetical(state, &event, &mut trial.effects);
        for (number, fact) in trial.facts.drain(..) {
            match fact {
                Some(fact) => state.facts.put(number, fact),
                None => drop(state.facts.remove(number)),
            }
        }
        trial.before_visit.restore(state);
    }

    /// The risk and the value of a customer at an instant. `None` without `[churn]`, without parameters, or for a
    /// customer without any activity.
    #[must_use]
    pub fn risk_and_value(&self, state: &CustomerState, at: Instant) -> Option<RiskAndValue> {
        let prediction = self.view(state, at).prediction()?;
        let value = prediction.value_at(at).and_then(Number::from_double);
        Some(RiskAndValue { level: usize::from(state.risk.level), value })
    }
}

fn of(effect: &Effect, at: Instant, assumption: Assumption, probability: Number) -> ForecastChange {
    ForecastChange { cohort: effect.cohort, change: effect.change, at, assumption, probability }
}

/// The probability of silence from an instant on.
#[derive(Clone, Copy)]
struct SilenceForecast {
    customer: Customer,
    from: Instant,
    /// The same, in days since the beginning of the first day.
    days: f64,
    /// The recalibration of the probability.
    silence_correction: SilenceCorrection,
    /// The expected amount of a purchase.
    spend: Option<Number>,
}

impl SilenceForecast {
    fn of(prediction: &Prediction<'_>, from: Instant) -> Self {
        let spend = prediction.spend().and_then(Number::from_double);
        let silence_correction = prediction.silence_correction(from);
        Self { customer: prediction.customer, from, days: prediction.days_at(from), silence_correction, spend }
    }

    /// The probability of no visit before `until`, recalibrated as risk levels are.
    fn silence(&self, until: Instant) -> Number {
        let horizon = days_since(self.from.0, until.0).max(0.0);
        let silence = self.silence_correction.apply(self.customer.p_none(self.days, horizon));
        Number::from_double(silence).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::churn::{MbgNbd, Recalibration};
    use crate::engine::{Assumption, CustomerState, Detail, Engine, Model, Parameters};
    use crate::event::{CustomerEvent, Instant, Number, Span};
    use crate::rules::load;

    #[test]
    fn a_forecast_weighs_by_the_corrected_probability_as_levels_do() {
        let text = "[churn]\non = 'buy'\nhorizon = '30 days'\n[cohorts.lately]\nwho = 'did buy in the last 40 days'";
        let rules = Arc::new(load("r.toml", text).unwrap());
        let day = |day: i64| Instant(day * Span::DAY.0);
        let transactions = MbgNbd { r: 0.5, alpha_days: 20.0, a: 0.8, b: 1.6 };
        for recalibration in [None, Some(Recalibration { weights: [-0.5, 0.9, 0.1, -0.2, 0.3] })] {
            let mut engine = Engine::new(Arc::clone(&rules), Span(0), 64);
            let model = Model::Purchases { transactions, amounts: None };
            let parameters = Parameters { version: 1, model, recalibration, provisional: false };
            engine.set_parameters(Some(Arc::new(parameters)), Instant::MIN);
            let mut state = CustomerState::new(&rules);
            for at in [day(0), day(7), day(20)] {
                let event = CustomerEvent {
                    customer: "c",
                    name: "buy",
                    name_id: rules.vocabulary.name("buy"),
                    at,
                    id: None,
                    source: None,
                    record_hash: at.0.unsigned_abs(),
                    unusable_values: 0,
                    properties: &[],
                };
                engine.apply(&mut state, &event, 0, at, Detail::None, &mut Vec::new());
            }
            // They leave when the horizon ends.
            let from = day(30);
            let before = state.clone();
            let forecast = engine.forecast(&mut state, &[from, day(61)]);
            assert_eq!(state, before);
            let left = forecast.iter().find(|forecast| forecast.assumption == Assumption::Silence).unwrap();
            let risk = engine.risk(&state, from).unwrap().probability;
            assert_eq!(left.at, day(60));
            assert_eq!(left.probability, Number::from_double(risk).unwrap(), "{recalibration:?}");
        }
    }
}
