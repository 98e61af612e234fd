//! Answering operators' questions about single customers, between two steps of a turn.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::inquiry::{Answer, Found, Inbox, Scope};
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::partition::state::Partition;

/// Questions answered at once: each may read the disk, and many of them must not delay the lane.
const ANSWERS_MAX: usize = 8;

/// Answers the waiting questions. Changes nothing in a partition, not even the order of eviction, so that questions
/// have no influence on decisions.
pub(in crate::lane) fn answer(inbox: &Inbox, partitions: &BTreeMap<i32, Partition>, context: &Context) {
    for _ in 0..ANSWERS_MAX {
        let Some(request) = inbox.next() else { break };
        let answer = match request.scope {
            Scope::Partition(number) => match partitions.get(&number) {
                Some(partition) => look_in(std::iter::once(partition), &request.customer, context),
                None => Answer::Unavailable(inbox.unavailable(number)),
            },
            Scope::Lane => look_in(partitions.values(), &request.customer, context),
        };
        let is_last = request.scope == Scope::Lane;
        request.answer(answer);
        if is_last {
            // It may have read every partition.
            break;
        }
    }
}

fn look_in<'p>(partitions: impl Iterator<Item = &'p Partition>, customer: &str, context: &Context) -> Answer {
    let mut found = Vec::new();
    for partition in partitions {
        match look_up(partition, customer, context) {
            Ok(here) => found.extend(here),
            // Only the answer fails: the lane finds out when it needs the state.
            Err(error) => {
                tracing::error!(partition = partition.number, %error, "The state of a customer in question cannot be read.");
                return Answer::Unreadable;
            }
        }
    }
    if found.is_empty() { Answer::Unknown } else { Answer::Found(found) }
}

fn look_up(partition: &Partition, customer: &str, context: &Context) -> Result<Option<Found>, LaneError> {
    let (version, observed) = partition.version_of(customer, &context.rulebook)?;
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
