//! Checks that the input topic is still the one found at the start. A recreated topic numbers its records from 0 again,
//! and after partitions were added the records of a customer are in two of them: neither may be read on.

use std::thread::JoinHandle;
use std::time::Duration;

use super::failure::Failure;
use super::pause::pause_for;
use crate::kafka::{Admin, Brokers};
use crate::lane::{Context, LaneError, identity};
use crate::settings::Kafka;
use crate::shutdown::Shutdown;

/// The interval of checks.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// Timeout of one request to a broker.
const ASK: Duration = Duration::from_secs(5);
/// A topic counts as deleted when it was missing this often in a row: a topic that is being recreated is missing for a
/// moment.
const MISSING_MAX: u32 = 5;
/// The client is recreated after this many checks, about an hour: its log lines pile up.
const LOOKS_MAX: u32 = 1_200;

/// Checks until the process stops, and stops it if the topic has changed.
pub(super) fn watch(
    kafka: &Kafka,
    context: &Context,
    brokers: &Brokers,
    shutdown: &Shutdown,
) -> Result<JoinHandle<Result<(), LaneError>>, Failure> {
    let mut watch = Watch {
        kafka: kafka.clone(),
        brokers: brokers.clone(),
        topic: context.topics.input.clone(),
        id: context.input_id.clone(),
        partitions: context.partitions,
        missing: 0,
    };
    let shutdown = shutdown.clone();
    let work = move || {
        let outcome = watch.run(&shutdown);
        if let Err(error) = &outcome {
            tracing::error!(reason = %error, "The input topic has changed since the start; the process stops.");
        }
        shutdown.request();
        outcome
    };
    std::thread::Builder::new().name("input".into()).spawn(work).map_err(Failure::running)
}

struct Watch {
    kafka: Kafka,
    brokers: Brokers,
    topic: String,
    id: String,
    partitions: u32,
    missing: u32,
}

impl Watch {
    fn run(&mut self, shutdown: &Shutdown) -> Result<(), LaneError> {
        while !shutdown.is_requested() {
            let admin = Admin::new(&self.kafka, &self.brokers)?;
            for _ in 0..LOOKS_MAX {
                if !pause_for(LOOK_EVERY, shutdown) {
                    return Ok(());
                }
                match admin.identity(&self.topic, ASK) {
                    Ok(found) => self.compare(found)?,
                    // Other parts report that brokers are away, or refuse.
                    Err(failure) => tracing::debug!(reason = %failure, "Describing the input topic failed."),
                }
            }
        }
        Ok(())
    }

    fn compare(&mut self, found: Option<(Option<String>, i32)>) -> Result<(), LaneError> {
        let refuse = |text| Err(LaneError::Configuration(text));
        let Some((id, partitions)) = found else {
            self.missing += 1;
            return if self.missing < MISSING_MAX { Ok(()) } else { refuse(identity::deleted(&self.topic)) };
        };
        self.missing = 0;
        if id.is_some_and(|id| !self.id.is_empty() && id != self.id) {
            return refuse(identity::recreated(&self.topic, "what was read until now is"));
        }
        let partitions = u32::try_from(partitions).unwrap_or(0);
        // While a topic is being created, its partitions appear one by one.
        if partitions > self.partitions {
            return refuse(identity::repartitioned(&self.topic, partitions, self.partitions));
        }
        Ok(())
    }
}
