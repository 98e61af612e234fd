//! What a decision follows from, and the reason that its changes give.

use super::cohort::Force;
use crate::engine::customer::{EventCause, Wish};
use crate::event::{ChangeReason, CustomerEvent};

/// What a decision follows from.
#[derive(Clone, Copy)]
pub(in crate::engine) enum Trigger<'e> {
    Time,
    /// Other rules.
    Edit,
    Event {
        event: &'e CustomerEvent<'e>,
        position: i64,
        late: bool,
    },
    Threshold,
    /// Other parameters of the model of churn.
    Model,
}

impl Trigger<'_> {
    pub(in crate::engine) fn wish(self, force: Force) -> Wish {
        let reason = |plain| match force {
            Force::Rule => plain,
            Force::Exclusion => ChangeReason::Excluded,
        };
        match self {
            Self::Time => Wish { reason: reason(ChangeReason::Time), cause: None },
            Self::Threshold => Wish { reason: reason(ChangeReason::Threshold), cause: None },
            Self::Edit => Wish { reason: ChangeReason::DefinitionChanged, cause: None },
            Self::Model => Wish { reason: reason(ChangeReason::ModelChanged), cause: None },
            Self::Event { event, position, late } => Wish {
                reason: reason(if late { ChangeReason::LateEvent } else { ChangeReason::Event }),
                cause: Some(EventCause {
                    event: event.name.to_owned(),
                    event_id: event.id.map(str::to_owned),
                    position,
                }),
            },
        }
    }

    /// Why, and from what, for what no other decision has wanted before.
    pub(in crate::engine) fn plainly(self) -> Wish {
        self.wish(Force::Rule)
    }

    /// An event applied at this very instant is the reason; else the decision that first wanted the change.
    pub(in crate::engine) fn reason_for(self, wish: Option<Box<Wish>>, force: Force) -> Wish {
        match (self, wish) {
            (Self::Time | Self::Threshold | Self::Model, Some(wish)) => *wish,
            (trigger, _) => trigger.wish(force),
        }
    }
}
