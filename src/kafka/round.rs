//! Another round of assignments, asked for from outside: what a group needs when its last round left partitions to nobody.

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
use super::native::{Content, Group, Queue, Unclosed};
use crate::settings::Kafka;

/// Between two looks at whether to go on.
const STEP: Duration = Duration::from_millis(50);
/// How long a request to leave may take to be sent: nobody tells when it was.
const LEAVE_GRACE: Duration = Duration::from_millis(200);

/// Has the coordinator ask all members of the group to join again, so that what has no owner is assigned. Nobody loses a
/// partition by it: the strategy is cooperative, and members go on working meanwhile.
///
/// A coordinator begins a round when a member comes or goes, and not because a member asks: so one comes, without an
/// instance id, subscribed to `topic`, which no other member reads, and goes again. Blocks until then, at most for `limit`.
///
/// # Errors
/// `Retry` if it was not let in within `limit`; `Fatal` when librdkafka refuses an option.
pub fn request_round(settings: &Kafka, topic: &str, brokers: &Brokers, limit: Duration) -> Result<(), Failure> {
    TemporaryMember::new(&config::temporary_member(settings), topic, brokers)?.visit(limit)
}

/// Takes a static member out of the group that will not come back, instead of waiting for its session to end: joins under
/// its instance id, which shuts it out should it live, and leaves. Blocks for at most `limit`.
///
/// # Errors
/// As [`request_round`].
pub fn retire(settings: &Kafka, topic: &str, brokers: &Brokers, limit: Duration) -> Result<(), Failure> {
    TemporaryMember::new(&config::member(settings, config::MIB * 2), topic, brokers)?.visit(limit)
}

/// A member that comes in order to go. It reads nothing.
struct TemporaryMember {
    queue: Queue,
    client: Bounded<Unclosed<Watch>>,
}

impl TemporaryMember {
    fn new(config: &ClientConfig, topic: &str, brokers: &Brokers) -> Result<Self, Failure> {
        let what = "asking the group for another round";
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
        // An assignment, of nothing too, says that the round is over.
        self.poll_until(until, |member, rebalanced| rebalanced && member.is_member())?;
        self.client.unsubscribe();
        self.poll_until(until, |member, _| !member.is_member())?;
        thread::sleep(LEAVE_GRACE);
        Ok(())
    }

    /// Polls, and agrees to whatever is assigned or revoked, until it is done; it is told whether anything was.
    fn poll_until(&self, until: Instant, done: impl Fn(&Self, bool) -> bool) -> Result<(), Failure> {
        let what = "asking the group for another round";
        let mut rebalanced = false;
        let mut reason = "the group lets nobody in yet".to_owned();
        while !done(self, rebalanced) {
            if Instant::now() >= until {
                return Err(Failure::Retry(Cause::new(Code::OperationTimedOut, what, &reason)));
            }
            match self.queue.poll(STEP).map(super::native::Event::content) {
                Some(Content::Rebalance { assign, .. }) => {
                    let none = TopicPartitionList::new();
                    let agreed = match assign {
                        true => self.client.incremental_assign(&none),
                        false => self.client.incremental_unassign(&none),
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
