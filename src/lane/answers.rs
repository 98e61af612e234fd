//! What operators ask of single customers, answered between two steps of a turn.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::inquiry::{Answer, Found, Inbox, Scope};
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::partition::state::Partition;

/// Questions answered at once: each may read the disk, and a flood of them must not keep the lane from its work.
const ANSWERS_MAX: usize = 8;

/// Answers what waits. Nothing of a partition changes, not even who was looked at last: whether anybody asks makes no
/// difference to what is decided or kept in memory.
pub(in crate::lane) fn answer(inbox: &Inbox, partitions: &BTreeMap<i32, Partition>, context: &Context) {
    for _ in 0..ANSWERS_MAX {
        let Some(question) = inbox.next() else { break };
        let answer = match question.scope {
            Scope::Partition(number) => match partitions.get(&number) {
                Some(partition) => look_in(std::iter::once(partition), &question.customer, context),
                None => Answer::Elsewhere(inbox.elsewhere(number)),
            },
            Scope::Lane => look_in(partitions.values(), &question.customer, context),
        };
        let is_last = question.scope == Scope::Lane;
        question.answer(answer);
        if is_last {
            // As many may have been read as there are partitions.
            break;
        }
    }
}

fn look_in<'p>(partitions: impl Iterator<Item = &'p Partition>, customer: &str, context: &Context) -> Answer {
    let mut found = Vec::new();
    for partition in partitions {
        match look_up(partition, customer, context) {
            Ok(here) => found.extend(here),
            // The lane itself stops when it needs what it cannot read.
            Err(error) => {
                tracing::error!(partition = partition.number, %error, "A state that was asked for cannot be read.");
                return Answer::Unreadable;
            }
        }
    }
    if found.is_empty() { Answer::Unknown } else { Answer::Found(found) }
}

fn look_up(partition: &Partition, customer: &str, context: &Context) -> Result<Option<Found>, LaneError> {
    let (version, observed) = partition.decided_by(customer, &context.rulebook)?;
    let Some(state) = partition.look_up(customer, &version.rules)? else { return Ok(None) };
    Ok(Some(Found {
        customer: customer.to_owned(),
        partition: partition.number,
        also_in: Vec::new(),
        rules: Arc::clone(&version.rules),
        thresholds: Arc::clone(partition.thresholds()),
        observed,
        parameters: partition.model.as_ref().map(|model| (model.parameters, model.since)),
        state,
        stream_time: partition.stream_time(),
    }))
}
