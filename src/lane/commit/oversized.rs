//! Finding the records of a plan that are too large for their topics.
//!
//! A broker rejects a whole batch of records by its compressed size. So the suspects are sent again, each in a batch of
//! its own, the largest first, in transactions that are aborted: none of them is ever visible.

use crate::kafka::{Failure, Kind, Producer};
use crate::lane::commit::outcome::AbortCause;
use crate::lane::commit::send::send_records;
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::output::ahead::NotSent;
use crate::lane::output::plan::Plan;
use crate::member::transactions::{recreate_producer, reinit_transactions};

/// Most transactions spent on one plan. After the first failure librdkafka accepts no more records, so each finds at
/// least one, and usually all that are too large. Suspects that are left then count as too large if they are as large
/// as one that was found.
const TRIES_MAX: u32 = 16;

/// Which of the suspects are too large on their own? None: they were so only together, and smaller batches are enough.
pub(super) fn find(
    plan: &Plan,
    mut suspects: Vec<usize>,
    producer: &mut Producer,
    context: &Context,
    report_alive: &dyn Fn(),
) -> Result<AbortCause, LaneError> {
    if suspects.len() == 1 {
        return Ok(AbortCause::TooLarge(suspects));
    }
    suspects.sort_by_key(|suspect| std::cmp::Reverse(plan.records[*suspect].bytes()));
    producer.recreate_for_singles()?;
    if let Some(reason) = reinit_transactions(producer, report_alive)? {
        return Ok(AbortCause::Refused(reason));
    }
    let mut found = Vec::new();
    for tried in 1..=TRIES_MAX {
        report_alive();
        let Some(refused) = send(plan, &suspects, producer, context, report_alive) else {
            // Brokers are away or slow: the plan is tried again, and this search if necessary.
            return Ok(recreate_producer(producer, report_alive)?.map_or(AbortCause::Transient, AbortCause::Refused));
        };
        if producer.abort().is_err() {
            producer.recreate_for_singles()?;
            if let Some(reason) = reinit_transactions(producer, report_alive)? {
                return Ok(AbortCause::Refused(reason));
            }
        }
        if refused.is_empty() {
            break;
        }
        suspects.retain(|suspect| !refused.contains(suspect));
        found.extend(refused);
        if tried == TRIES_MAX {
            let topic_and_size = |place: &usize| (plan.records[*place].topic as usize, plan.records[*place].bytes());
            let as_large = |suspect: &usize| {
                let (topic, bytes) = topic_and_size(suspect);
                found.iter().map(topic_and_size).any(|(other, least)| other == topic && bytes >= least)
            };
            let more: Vec<usize> = suspects.iter().copied().filter(as_large).collect();
            found.extend(more);
        }
    }
    if found.is_empty() {
        producer.halve_batches();
        return Ok(recreate_producer(producer, report_alive)?.map_or(AbortCause::Transient, AbortCause::Refused));
    }
    producer.mark_for_recreation();
    Ok(AbortCause::TooLarge(found))
}

/// Sends the suspects and returns those that were rejected; `None`: not all were answered in time.
fn send(
    plan: &Plan,
    suspects: &[usize],
    producer: &mut Producer,
    context: &Context,
    report_alive: &dyn Fn(),
) -> Option<Vec<usize>> {
    producer.begin().ok()?;
    let records = suspects.iter().map(|suspect| (*suspect, &plan.records[*suspect]));
    match send_records(records, producer, context, report_alive) {
        Err(NotSent { place: Some(suspect), failure: Failure::Abort(cause) }) if cause.kind == Kind::TooLarge => {
            return Some(vec![suspect]);
        }
        // All were sent, or an earlier one was rejected.
        Ok(()) | Err(_) => {}
    }
    let is_drained = producer.drain_all();
    let refused = producer.too_large();
    (is_drained || !refused.is_empty()).then_some(refused)
}
