//! Requests rebalances from outside: for a group whose last rebalance left partitions without an owner.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::brokers::Brokers;
use super::client::{Bounded, Watch};
use super::config;
use super::failure::{Cause, Failure};
use super::native::{Change, Content, Group, Queue, Unclosed};
use crate::settings::Kafka;

/// How often the conditions are checked.
const STEP: Duration = Duration::from_millis(50);
/// How long sending the request to leave may take: there is no notification.
const LEAVE_GRACE: Duration = Duration::from_millis(200);

/// Triggers a rebalance, so that partitions without an owner are assigned. No member loses a partition: the strategy is
/// cooperative, and members continue working meanwhile.
///
/// A coordinator starts a rebalance when a member joins or leaves, and not on request: so a temporary member joins,
/// without an instance id, subscribed to `topic`, which no other member reads, and leaves again. Blocks until then, at
/// most for `limit`.
///
/// # Errors
/// `Retry` if it was not let in within `limit`; `Fatal` when librdkafka refuses an option.
pub fn request_rebalance(settings: &Kafka, topic: &str, brokers: &Brokers, limit: Duration) -> Result<(), Failure> {
    TemporaryMember::new(&config::temporary_member(settings), topic, brokers)?.visit(limit)
}

/// Removes a static member that will not come back from the group, instead of waiting for its session timeout: joins
/// under its instance id, which fences it should it be alive, and leaves. Blocks for at most `limit`.
///
/// # Errors
/// As [`request_rebalance`].
pub fn retire(settings: &Kafka, topic: &str, brokers: &Brokers, limit: Duration) -> Result<(), Failure> {
    TemporaryMember::new(&config::member(settings, config::MIB * 2), topic, brokers)?.visit(limit)
}

/// A member that joins only to leave. It reads nothing.
struct TemporaryMember {
    queue: Queue,
    client: Bounded<Unclosed<Watch>>,
}

impl TemporaryMember {
    fn new(config: &ClientConfig, topic: &str, brokers: &Brokers) -> Result<Self, Failure> {
        let what = "requesting a rebalance";
        let client: BaseConsumer<Watch> = config
            .create_with_context(Watch(brokers.clone()))
            .map_err(|error| Failure::Fatal(Cause::of(&error, what)))?;
        let queue = Queue::of_consumer(client.client())
            .ok_or_else(|| Failure::Fatal(Cause::new(Code::UnknownGroup, what, "no group id")))?;
        client.subscribe(&[topic]).map_err(|error| Failure::Fatal(Cause::of(&error, what)))?;
        Ok(Self { queue, client: Bounded::new(Unclosed::new(client)) })
    }

    fn visit(self, limit: Duration) -> Result<(), Failure> {
        let until = Instant::now() + limit;
        // An assignment, even an empty one, means that the rebalance is complete.
        self.poll_until(until, |member, rebalanced| rebalanced && member.is_member())?;
        self.client.unsubscribe();
        self.poll_until(until, |member, _| !member.is_member())?;
        thread::sleep(LEAVE_GRACE);
        Ok(())
    }

    /// Polls and acknowledges all assignments and revocations until `done`, which gets whether there was any.
    fn poll_until(&self, until: Instant, done: impl Fn(&Self, bool) -> bool) -> Result<(), Failure> {
        let what = "requesting a rebalance";
        let mut rebalanced = false;
        let mut reason = "the group has not admitted this member yet".to_owned();
        while !done(self, rebalanced) {
            if Instant::now() >= until {
                return Err(Failure::Retry(Cause::new(Code::OperationTimedOut, what, &reason)));
            }
            match self.queue.poll(STEP).map(super::native::Event::content) {
                Some(Content::Rebalance { change, .. }) => {
                    let none = TopicPartitionList::new();
                    let agreed = match change {
                        Change::Assign => self.client.incremental_assign(&none),
                        Change::Revoke => self.client.incremental_unassign(&none),
                    };
                    agreed.map_err(|error| Failure::Retry(Cause::of(&error, what)))?;
                    rebalanced = true;
                }
                Some(Content::Error(error)) if error.fatal => {
                    return Err(Failure::Retry(Cause::new(error.code, what, &error.text)));
                }
                Some(Content::Error(error)) => reason = error.text,
                _ => {}
            }
        }
        Ok(())
    }

    fn is_member(&self) -> bool {
        Group::of(self.client.client()).is_some_and(|group| group.generation() >= 0 && !group.member().is_empty())
    }
}
