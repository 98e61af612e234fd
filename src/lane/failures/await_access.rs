//! Waiting while the brokers deny this lane access to the input or the group, because a permission was revoked.
//!
//! librdkafka retries by itself; it reports such a failure once, and never that it is over. So a wait is reported until
//! something is received again. If there is nothing to receive, the partitions are sought to their present positions
//! from time to time, which brings at least their end-of-partition signals.

use std::time::{Duration, Instant as Moment};

use crate::kafka::{Cause, Kind};
use crate::lane::error::LaneError;
use crate::lane::failures::denied_access::Denial;
use crate::lane::lane::Lane;
use crate::metrics::{Wait, WaitCause};

/// Between two checks whether it is over.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long the request may take by which a lane without partitions checks its access.
const ASK: Duration = Duration::from_millis(250);

impl Lane {
    /// Handles a failed poll that librdkafka retries by itself.
    pub(in crate::lane) fn note_poll_failure(&mut self, cause: Cause) {
        match cause.kind {
            Kind::NotAuthorized => self.denied.0 = Some(Denial { words: cause.text, looked: Moment::now() }),
            _ => tracing::warn!(reason = %cause, "A call to Kafka failed; trying again."),
        }
    }

    /// Goes on reporting denied access, and checks from time to time whether it is over.
    pub(in crate::lane) fn report_denied_access(&mut self) -> Result<(), LaneError> {
        let Some(refusal) = &mut self.denied.0 else { return Ok(()) };
        let detail = refusal.words.clone();
        if refusal.looked.elapsed() >= LOOK_EVERY {
            refusal.looked = Moment::now();
            if self.owned().is_empty() {
                if self.consumer.membership().is_some() && self.can_read_input() {
                    self.denied.end(self.health.lane(self.number));
                    return Ok(());
                }
            } else {
                self.pause_all()?;
            }
        }
        self.health().wait(Wait { cause: WaitCause::Kafka, partition: None, detail });
        Ok(())
    }

    fn can_read_input(&self) -> bool {
        // A topic that must not even be described appears as unknown to the client.
        self.watermarks.range(&self.context.topics.input, 0, ASK).is_ok()
    }
}
