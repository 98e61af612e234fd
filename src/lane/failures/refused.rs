//! The brokers refuse to let this lane read, or be in the group: a permission was taken away under it.
//!
//! librdkafka goes on trying by itself, and tells such a failure once, and never that it is over. So it is declared as a
//! wait until something comes again; and where nothing comes because there is nothing, what is assigned is now and then
//! read from where it stands, which brings at least the signal that it ends there.

use std::time::{Duration, Instant as Moment};

use crate::kafka::{Cause, Kind};
use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::metrics::{LaneHealth, Wait, WaitCause};

/// Between two looks whether it is over.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long the question may take that a lane without partitions asks.
const ASK: Duration = Duration::from_millis(250);

/// Whether something is refused, and what.
#[derive(Default)]
pub(in crate::lane) struct Refused(Option<Refusal>);

struct Refusal {
    words: String,
    looked: Moment,
}

impl Refused {
    /// Something came that only comes to those who may read. Cheap where nothing was refused.
    pub(in crate::lane) fn end(&mut self, health: LaneHealth<'_>) {
        if self.0.take().is_some() {
            health.resume(WaitCause::Kafka, None);
        }
    }
}

impl Lane {
    /// What polling failed with, and librdkafka tries again.
    pub(in crate::lane) fn polling_failed(&mut self, cause: Cause) {
        match cause.kind {
            Kind::NotAuthorized => self.refused.0 = Some(Refusal { words: cause.text, looked: Moment::now() }),
            _ => tracing::warn!(reason = %cause, "Kafka; trying again."),
        }
    }

    /// Goes on saying what is refused, and looks now and then whether it still is.
    pub(in crate::lane) fn show_refused(&mut self) -> Result<(), LaneError> {
        let Some(refusal) = &mut self.refused.0 else { return Ok(()) };
        let detail = refusal.words.clone();
        if refusal.looked.elapsed() >= LOOK_EVERY {
            refusal.looked = Moment::now();
            if self.held().is_empty() {
                if self.consumer.membership().is_some() && self.may_ask() {
                    self.refused.end(self.health.lane(self.number));
                    return Ok(());
                }
            } else {
                self.rest()?;
            }
        }
        self.health().wait(Wait { cause: WaitCause::Kafka, partition: None, detail });
        Ok(())
    }

    fn may_ask(&self) -> bool {
        // A topic that may not even be seen is an unknown one, to the client.
        self.watermarks.range(&self.context.topics.input, 0, ASK).is_ok()
    }
}
