//! A batch that is decided and not yet known to count: tried until it is, in smaller parts or without what nobody takes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::backoff::Backoff;
use crate::engine::Slot;
use crate::kafka::BrokerState;
use crate::lane::answers::answer;
use crate::lane::commit::letter;
use crate::lane::commit::plan::{Out, Part, Plan};
use crate::lane::commit::publish::{Published, Tools, Why, find_out, publish};
use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::metrics::{Retry, Wait, WaitCause};

/// Between two tries to publish a plan, doubling from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_millis(1_600);

/// A state is not made smaller than this: one that is still refused is so for another reason.
const STATE_BYTES_MIN: usize = 512;

fn backoff() -> Backoff {
    Backoff::new(RETRY_FIRST, RETRY_LAST)
}

pub(in crate::lane) struct Pending {
    pub(in crate::lane) plan: Plan,
    /// Customers to put out of memory when their partition's part counts.
    pub(in crate::lane) victims: BTreeMap<i32, Vec<Slot>>,
    /// Before the next try.
    pub(in crate::lane) backoff: Backoff,
    /// Parts of a plan that was taken apart, to be published after this one.
    rest: VecDeque<Plan>,
    /// The partition under which it is said that nobody takes the plan.
    refused: Option<i32>,
    /// It may count already.
    is_unknown: bool,
}

impl Pending {
    pub(in crate::lane) fn new(plan: Plan, victims: BTreeMap<i32, Vec<Slot>>) -> Self {
        Self { plan, victims, backoff: backoff(), rest: VecDeque::new(), refused: None, is_unknown: false }
    }

    /// The parts of all partitions that do not count yet.
    pub(in crate::lane) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.plan.parts.iter().chain(self.rest.iter().flat_map(|plan| &plan.parts))
    }

    /// Is something of this partition in it?
    pub(in crate::lane) fn concerns(&self, partition: i32) -> bool {
        self.parts().any(|part| part.partition == partition)
    }

    /// The same, in one transaction for each partition.
    fn apart(mut self) -> Self {
        let mut plans = std::mem::take(&mut self.plan).by_partition();
        plans.extend(std::mem::take(&mut self.rest));
        self.plan = plans.pop_front().unwrap_or_default();
        Self { rest: plans, ..self }
    }

    /// What is left once the plan counts, or is given up.
    fn next(mut self) -> Option<Self> {
        let plan = self.rest.pop_front()?;
        Some(Self { plan, backoff: backoff(), refused: None, ..self })
    }
}

impl Lane {
    /// Publishes the pending plan once; afterwards it is done, forgotten, or still pending.
    pub(in crate::lane) fn publish_pending(&mut self) -> Result<(), LaneError> {
        let Some(mut pending) = self.pending.take() else { return Ok(()) };
        let try_it = if std::mem::take(&mut pending.is_unknown) { find_out } else { publish };
        let beat = || {
            self.health.lane(self.number).beat();
            answer(&self.inbox, &self.partitions, &self.context);
        };
        let mut tools = Tools {
            consumer: &self.consumer,
            producer: &mut self.producer,
            writer: self.writer,
            stopped: self.stopped,
            context: &self.context,
            beat: &beat,
        };
        match try_it(&pending.plan, &mut tools)? {
            Published::Committed(delivered) => {
                self.size.went_well();
                self.taken(&pending);
                self.committed(&pending, &delivered)?;
                self.pending = pending.next();
            }
            Published::Aborted(why) => {
                self.context.metrics.retries(Retry::Transaction).inc();
                match why {
                    Why::Passing => self.pending = Some(pending),
                    Why::TooSlow(after) => self.publish_less(pending, after)?,
                    Why::TooLarge(places) => self.set_outputs_aside(pending, &places)?,
                    Why::Refused(reason) => self.wait_for_topics(pending, reason),
                }
            }
            Published::Overtaken => self.forget(&pending)?,
            Published::Unknown(reason) => {
                pending.is_unknown = true;
                self.wait_for_topics(pending, reason);
            }
        }
        Ok(())
    }

    /// The transaction was too old: the same again would be too.
    fn publish_less(&mut self, pending: Pending, after: Duration) -> Result<(), LaneError> {
        // While no broker answers nothing is learnt about how much one takes.
        if matches!(self.brokers.state(), BrokerState::Unreachable(_)) {
            self.pending = Some(pending);
            return Ok(());
        }
        let can_be_less = self.size.took_too_long(&pending.plan, after);
        if pending.plan.parts.len() > 1 {
            self.pending = Some(pending.apart());
        } else if can_be_less && self.size.is_worth_deciding_again(&pending.plan) {
            let numbers: Vec<i32> = pending.plan.parts.iter().map(|part| part.partition).collect();
            tracing::warn!(partitions = ?numbers, "Its batch is decided again, in smaller parts.");
            for number in numbers.into_iter().filter(|number| self.partitions.contains_key(number)).collect::<Vec<_>>()
            {
                self.restore_again(number)?;
            }
            self.pending = pending.next();
        } else {
            self.pending = Some(pending);
        }
        Ok(())
    }

    /// Records that no topic takes go to the dead letters instead, and the rest goes through.
    fn set_outputs_aside(&mut self, mut pending: Pending, places: &[usize]) -> Result<(), LaneError> {
        let states = places.iter().map(|place| &pending.plan.outs[*place]).filter_map(Out::state_bytes);
        if let Some(bytes) = states.min().filter(|bytes| (STATE_BYTES_MIN..=self.state_bytes_max).contains(bytes)) {
            return self.keep_states_below(bytes / 2, &pending);
        }
        for place in places {
            let out = &pending.plan.outs[*place];
            let (topic, bytes) = (self.context.topic(out.topic).to_owned(), out.bytes());
            let Some(letter) = letter::of_output(out, &self.context) else {
                let reason = format!(
                    "{topic} does not take a record of {bytes} bytes that nothing can go on without; raise its \
                     max.message.bytes"
                );
                self.wait_for_topics(pending, reason);
                return Ok(());
            };
            tracing::warn!(
                topic,
                partition = out.partition,
                bytes,
                "A record is larger than its topic takes; it is written to the dead letters, cut where it must be."
            );
            self.context.metrics.outputs_oversized.inc();
            pending.plan.outs[*place] = letter;
        }
        self.pending = Some(pending);
        Ok(())
    }

    /// The changelog takes smaller records than it said at the start: states are made smaller from now on, and what was
    /// decided is decided again with them.
    fn keep_states_below(&mut self, bytes: usize, pending: &Pending) -> Result<(), LaneError> {
        tracing::warn!(
            topic = self.context.topics.changelog,
            bytes,
            "The topic takes smaller records than its max.message.bytes said at the start; states are kept below this size."
        );
        self.state_bytes_max = bytes;
        self.partitions.values_mut().for_each(|partition| partition.state_bytes_max = bytes);
        self.forget(pending)
    }

    /// A topic is missing, or takes nothing from us: the plan waits, and is tried until somebody has put it right.
    fn wait_for_topics(&mut self, mut pending: Pending, reason: String) {
        let first = pending.plan.parts.first().map(|part| part.partition);
        self.health().wait(Wait { cause: WaitCause::Output, partition: first, detail: reason });
        pending.refused = first;
        // What a client knows of topics and permissions may be minutes old.
        self.producer.distrust();
        self.pending = Some(pending);
    }

    pub(in crate::lane) fn taken(&self, pending: &Pending) {
        if let Some(number) = pending.refused {
            self.health().resume(WaitCause::Output, Some(number));
        }
    }

    /// The plan will never count here. Its partitions are ahead of Kafka in memory: those still ours are restored.
    pub(in crate::lane) fn forget(&mut self, pending: &Pending) -> Result<(), LaneError> {
        self.taken(pending);
        for part in pending.parts() {
            if self.partitions.contains_key(&part.partition) {
                self.restore_again(part.partition)?;
            }
        }
        Ok(())
    }
}
