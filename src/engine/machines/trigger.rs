//! What triggers a decision, and the reason that its changes carry.

use super::cohort::ChangeOrigin;
use crate::engine::customer::{EventCause, PendingChange};
use crate::event::{ChangeReason, CustomerEvent};

/// What triggers a decision.
#[derive(Clone, Copy)]
pub(in crate::engine) enum Trigger<'e> {
    Time,
    /// An edit of the rules.
    Edit,
    Event {
        event: &'e CustomerEvent<'e>,
        position: i64,
        late: bool,
    },
    Threshold,
    /// New parameters of the churn model.
    Model,
}

impl Trigger<'_> {
    pub(in crate::engine) fn pending_change(self, origin: ChangeOrigin) -> PendingChange {
        let reason = |plain| match origin {
            ChangeOrigin::Rule => plain,
            ChangeOrigin::Exclusion => ChangeReason::Excluded,
        };
        match self {
            Self::Time => PendingChange { reason: reason(ChangeReason::Time), cause: None },
            Self::Threshold => PendingChange { reason: reason(ChangeReason::Threshold), cause: None },
            Self::Edit => PendingChange { reason: ChangeReason::DefinitionChanged, cause: None },
            Self::Model => PendingChange { reason: reason(ChangeReason::ModelChanged), cause: None },
            Self::Event { event, position, late } => PendingChange {
                reason: reason(if late { ChangeReason::LateEvent } else { ChangeReason::Event }),
                cause: Some(EventCause {
                    event: event.name.to_owned(),
                    event_id: event.id.map(str::to_owned),
                    position,
                }),
            },
        }
    }

    /// The reason and cause of a change that no earlier decision has deferred.
    pub(in crate::engine) fn own_reason(self) -> PendingChange {
        self.pending_change(ChangeOrigin::Rule)
    }

    /// The reason and cause of a change: an event applied at this very instant, or else the decision that first
    /// deferred it.
    pub(in crate::engine) fn reason_for(
        self,
        pending: Option<Box<PendingChange>>,
        origin: ChangeOrigin,
    ) -> PendingChange {
        match (self, pending) {
            (Self::Time | Self::Threshold | Self::Model, Some(pending)) => *pending,
            (trigger, _) => trigger.pending_change(origin),
        }
    }
}
