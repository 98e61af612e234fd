//! The days to come of one customer: what time alone will change, what one more coming would, and how likely either is.

use crate::churn::{Customer, Rarity, days_since};
use crate::engine::conditions::Outlook;
use crate::engine::customer::CustomerState;
use crate::engine::decide::{Engine, Words};
use crate::engine::effects::Effect;
use crate::event::{Change, CustomerEvent, Instant, Number, Value};
use crate::rules::{CohortIx, PlainVisit};

/// A change of a cohort that may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    pub cohort: CohortIx,
    pub change: Change,
    /// When; of a change that a coming brings, since when it may.
    pub at: Instant,
    pub provided: Provided,
    /// How likely it is, from 0 to 1.
    pub weight: Number,
}

/// On what a change depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provided {
    /// The customer is silent until then.
    Silence,
    /// The customer comes once more.
    Coming,
}

/// What a customer is expected to bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worth {
    /// The place among the levels of risk, as last decided; 0 is the lowest.
    pub level: usize,
    /// The discounted value of what is to come, as of the instant; `None` without amounts.
    pub value: Option<Number>,
}

impl Engine {
    /// What may change between the first and the last of some instants, which ascend; the others divide the time between
    /// into days. Every deadline before the first is decided. Nothing changes of the customer, nor is anything said.
    ///
    /// The customer's machine is run forward on a copy, as `fire` will run it, and at each of its steps it is tried what a
    /// coming there would change at once. What follows from that in turn, and what other events may do, is not foreseen.
    /// A change by silence weighs as much as it is likely that the customer does not come before it, one by a coming as
    /// much as that the first one comes then, under the parameters in force. Without parameters, and of who never came,
    /// silence is taken for certain.
    pub fn ahead(&mut self, state: &CustomerState, days: &[Instant]) -> Vec<Ahead> {
        let (Some(from), Some(until)) = (days.first().copied(), days.last().copied()) else { return Vec::new() };
        let chances = self.view(state, from).outlook().map(|outlook| Chances::of(&outlook, from));
        let visit = chances.and(self.rules().churn.as_ref().and_then(|churn| churn.plain_visit));
        if visit.is_none() && state.next_deadline >= until && !self.lags(state) {
            return Vec::new();
        }
        let (mut found, mut said) = (Vec::new(), Vec::new());
        let (mut silent, mut at) = (state.clone(), from);
        // What new parameters change is no matter of the days to come.
        if self.catch_up(&mut silent, Words::None, &mut said) {
            said.clear();
        }
        loop {
            let before = visit.map(|_| silent.clone());
            let changed = self.next_step(&mut silent, until, &mut said);
            if let (Some(visit), Some(mut before), Some(chances)) = (visit, before, chances)
                && chances.silence(at) != chances.silence(changed)
            {
                let brought = self.come(&mut before, visit, at, chances.spend);
                for pair in days.windows(2) {
                    let (begins, ends) = (pair[0].max(at), pair[1].min(changed));
                    if begins < ends && !brought.is_empty() {
                        let weight = Number(chances.silence(begins).0 - chances.silence(ends).0);
                        found.extend(brought.iter().map(|effect| of(effect, begins, Provided::Coming, weight)));
                    }
                }
            }
            if said.is_empty() {
                return found;
            }
            let weight = chances.map_or(Number(Number::ONE), |chances| chances.silence(changed));
            let to_come = said.drain(..).filter(|effect| effect.at >= from);
            found.extend(to_come.map(|effect| of(&effect, effect.at, Provided::Silence, weight)));
            at = changed.max(from);
        }
    }

    /// Decides deadlines before `until`, up to the first at which anything changes. Returns that, or `until`.
    fn next_step(&mut self, state: &mut CustomerState, until: Instant, said: &mut Vec<Effect>) -> Instant {
        while state.next_deadline < until {
            let deadline = state.next_deadline;
            self.fire(state, deadline.next(), Words::None, said);
            if !said.is_empty() {
                return deadline;
            }
        }
        until
    }

    /// What changes at once where a customer comes after an instant at which every deadline is decided: the next millisecond, as
    /// nothing is left and entered at one.
    fn come(
        &mut self,
        state: &mut CustomerState,
        visit: PlainVisit,
        at: Instant,
        spend: Option<Number>,
    ) -> Vec<Effect> {
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
        let mut said = Vec::new();
        self.suppose(state, &event, &mut said);
        said
    }

    /// What the model of churn says of a customer at an instant. None without `[churn]`, without parameters, or of a customer
    /// who never came.
    #[must_use]
    pub fn worth(&self, state: &CustomerState, at: Instant) -> Option<Worth> {
        let outlook = self.view(state, at).outlook()?;
        let value = outlook.value_at(at).and_then(Number::from_double);
        Some(Worth { level: usize::from(state.risk.level), value })
    }
}

fn of(effect: &Effect, at: Instant, provided: Provided, weight: Number) -> Ahead {
    Ahead { cohort: effect.cohort, change: effect.change, at, provided, weight }
}

/// How likely a customer is to be silent from an instant on.
#[derive(Clone, Copy)]
struct Chances {
    customer: Customer,
    from: Instant,
    /// The same, in days since the beginning of the first day.
    days: f64,
    /// How outcomes have taught to correct the probability.
    rarity: Rarity,
    /// What a coming is expected to bring.
    spend: Option<Number>,
}

impl Chances {
    fn of(outlook: &Outlook<'_>, from: Instant) -> Self {
        let spend = outlook.spend().and_then(Number::from_double);
        let rarity = outlook.rarity(from);
        Self { customer: outlook.customer, from, days: outlook.at(from), rarity, spend }
    }

    /// That nothing comes before `until`: by the same probabilities by which levels are decided.
    fn silence(&self, until: Instant) -> Number {
        let horizon = days_since(self.from.0, until.0).max(0.0);
        let silence = self.rarity.of_silence(self.customer.p_none(self.days, horizon));
        Number::from_double(silence).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::churn::{MbgNbd, Recalibration};
    use crate::engine::{CustomerState, Engine, Model, Parameters, Provided, Words};
    use crate::event::{CustomerEvent, Instant, Number, Span};
    use crate::rules::load;

    #[test]
    fn a_forecast_weighs_by_the_corrected_probability_as_levels_do() {
        let text = "[churn]\non = 'buy'\nhorizon = '30 days'\n[cohorts.lately]\nwho = 'did buy in the last 40 days'";
        let rules = Arc::new(load("r.toml", text).unwrap());
        let day = |day: i64| Instant(day * Span::DAY.0);
        let comings = MbgNbd { r: 0.5, alpha_days: 20.0, a: 0.8, b: 1.6 };
        for recalibration in [None, Some(Recalibration { weights: [-0.5, 0.9, 0.1, -0.2, 0.3] })] {
            let mut engine = Engine::new(Arc::clone(&rules), Span(0), 64);
            let model = Model::Purchases { comings, amounts: None };
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
                engine.apply(&mut state, &event, 0, at, Words::None, &mut Vec::new());
            }
            // They leave when the horizon ends.
            let from = day(30);
            let ahead = engine.ahead(&state, &[from, day(61)]);
            let left = ahead.iter().find(|ahead| ahead.provided == Provided::Silence).unwrap();
            let risk = engine.risk(&state, from).unwrap().probability;
            assert_eq!(left.at, day(60));
            assert_eq!(left.weight, Number::from_double(risk).unwrap(), "{recalibration:?}");
        }
    }
}
