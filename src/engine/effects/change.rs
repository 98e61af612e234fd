//! A change of a cohort, as an effect of a decision.

use super::evidence::EvidencePart;
use super::risk_change::RiskNow;
use crate::engine::customer::EventCause;
use crate::event::{Change, ChangeReason, Instant, Kept};
use crate::rules::CohortIx;

/// A customer entered or left a cohort.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    pub cohort: CohortIx,
    pub change: Change,
    /// The instant of the change.
    pub at: Instant,
    pub reason: ChangeReason,
    pub cause: Option<EventCause>,
    /// Counts the customer's emitted changes from 1. A change of a shadow cohort has the number of the last one before
    /// it.
    pub sequence: u64,
    pub entered_at: Instant,
    pub times_entered: u32,
    /// When this membership changes next without further events; `None`: not within the lookahead, or the caller asked
    /// for no detail.
    pub next_change_at: Option<Instant>,
    /// What the rule includes, by name, as it is after the change; `None`: missing. Empty where the caller asked for no
    /// detail.
    pub properties: Vec<(String, Option<Kept>)>,
    /// The churn risk, where the rules define it. `None` too where the caller asked for no detail.
    pub risk: Option<RiskNow>,
    /// Which parts of the rule decided. Empty where the caller asked for no detail.
    pub why: Vec<EvidencePart>,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::engine::{CustomerState, Detail, Engine};
    use crate::event::{CustomerEvent, Instant, Kept, Number, Span, Value};
    use crate::rules::load;

    const RULES: &str = "
        [profile]
        plan = \"signup.plan\"
        phone = \"signup.phone\"
        [measures]
        spent = \"sum(purchase.amount)\"
        [cohorts.bought]
        who = \"did purchase\"
        include = [\"spent\", \"phone\", \"plan\"]";

    #[test]
    fn a_change_carries_what_its_rule_includes() {
        let rules = Arc::new(load("r.toml", RULES).unwrap());
        let mut engine = Engine::new(Arc::clone(&rules), Span::DAY, 64);
        let (mut state, mut effects) = (CustomerState::new(&rules), Vec::new());
        let property = |name| rules.vocabulary.property(name).unwrap();
        let signup = [(property("plan"), Value::Text("pro"))];
        let purchase = [(property("amount"), Value::Number(Number::from_integer(12)))];
        for (position, (name, properties)) in [("signup", &signup), ("purchase", &purchase)].into_iter().enumerate() {
            let position = i64::try_from(position).unwrap();
            let event = CustomerEvent {
                customer: "c",
                name,
                name_id: rules.vocabulary.name(name),
                at: Instant(position),
                id: None,
                source: None,
                record_hash: position.cast_unsigned(),
                unusable_values: 0,
                properties,
            };
            engine.apply(&mut state, &event, position, Instant::MIN, Detail::Full, &mut effects);
        }
        let included = [
            ("spent".to_owned(), Some(Kept::Number(Number::from_integer(12)))),
            ("phone".to_owned(), None),
            ("plan".to_owned(), Some(Kept::Text("pro".into()))),
        ];
        assert_eq!(effects.len(), 1);
        assert_eq!(effects[0].properties, included);
    }

    #[test]
    fn what_is_included_must_have_a_name() {
        let errors = load("r.toml", &RULES.replace("\"phone\",", "\"phon\",")).unwrap_err();
        let text = errors[0].to_string();
        assert_eq!(errors.len(), 1, "{text}");
        assert!(
            text.contains("there is no attribute or measure `phon`") && text.contains("did you mean `phone`?"),
            "{text}"
        );
    }
}
