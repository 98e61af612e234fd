//! Whether the brokers deny this lane access to the input or the group.

use std::time::Instant as Moment;

use crate::metrics::{LaneHealth, WaitCause};

/// What is denied, if anything.
#[derive(Default)]
pub(in crate::lane) struct AccessDenied(pub(super) Option<Denial>);

pub(super) struct Denial {
    pub(in crate::lane) words: String,
    pub(in crate::lane) looked: Moment,
}

impl AccessDenied {
    /// Something came that only a client with access receives. Cheap if nothing was denied.
    pub(in crate::lane) fn end(&mut self, health: LaneHealth<'_>) {
        if self.0.take().is_some() {
            health.resume(WaitCause::Kafka, None);
        }
    }
}
