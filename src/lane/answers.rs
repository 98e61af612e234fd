//! What operators ask of single customers, answered between two steps of a turn.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::context::Context;
use super::partition::Partition;
use crate::inquiry::{Answer, Found, Inbox};

/// Questions answered at once: each may read the disk, and a flood of them must not keep the lane from its work.
const ANSWERS_MAX: usize = 8;

/// Answers what waits. Nothing of a partition changes, not even who was looked at last: whether anybody asks makes no
/// difference to what is decided or kept in memory.
pub(super) fn answer(inbox: &Inbox, partitions: &BTreeMap<i32, Partition>, context: &Context) {
    for _ in 0..ANSWERS_MAX {
        let Some(question) = inbox.next() else { break };
        let answer = match partitions.get(&question.partition) {
            Some(partition) => look_up(partition, &question.customer, context),
            None => Answer::Elsewhere(inbox.elsewhere(question.partition)),
        };
        question.answer(answer);
    }
}

fn look_up(partition: &Partition, customer: &str, context: &Context) -> Answer {
    let (version, observed) = match partition.decided_by(customer, &context.rulebook) {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(partition = partition.number, %error, "A state that was asked for cannot be read.");
            return Answer::Unreadable;
        }
    };
    match partition.look_up(customer, &version.rules) {
        Ok(Some(state)) => Answer::Found(Box::new(Found {
            customer: customer.to_owned(),
            rules: Arc::clone(&version.rules),
            thresholds: Arc::clone(partition.thresholds()),
            observed,
            parameters: partition.model.as_ref().map(|model| (model.parameters, model.since)),
            state,
            stream_time: partition.stream_time(),
        })),
        Ok(None) => Answer::Unknown,
        // The lane itself stops when it needs what it cannot read.
        Err(error) => {
            tracing::error!(partition = partition.number, %error, "A state that was asked for cannot be read.");
            Answer::Unreadable
        }
    }
}
