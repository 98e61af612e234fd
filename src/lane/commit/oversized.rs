//! Finding the records of a plan that their topics do not take, whatever they travel with.
//!
//! A broker refuses a batch of records as a whole, by its size after compression. So the suspects are sent once more, each
//! by itself, the largest first, in transactions that are aborted: nothing of them is ever visible.

use crate::kafka::{Failure, Outgoing, Producer};
use crate::lane::commit::plan::Plan;
use crate::lane::commit::publish::{Why, announce_again, renew};
use crate::lane::context::Context;
use crate::lane::error::LaneError;

/// Transactions spent on telling the records of one plan apart. After the first failure librdkafka takes no more records,
/// so each finds one at least, and usually all that are too large. What is still suspect then, and as large as one that
/// was found, goes with it.
const TRIES_MAX: u32 = 16;

/// Which of the suspects are too large by themselves? None: they only were so together, and smaller batches will do.
pub(in crate::lane) fn find(
    plan: &Plan,
    mut suspects: Vec<usize>,
    producer: &mut Producer,
    context: &Context,
    beat: &dyn Fn(),
) -> Result<Why, LaneError> {
    if suspects.len() == 1 {
        return Ok(Why::TooLarge(suspects));
    }
    suspects.sort_by_key(|suspect| std::cmp::Reverse(plan.outs[*suspect].bytes()));
    producer.recreate_for_singles()?;
    if let Some(reason) = announce_again(producer, beat)? {
        return Ok(Why::Refused(reason));
    }
    let mut found = Vec::new();
    for tried in 1..=TRIES_MAX {
        beat();
        let Some(refused) = send(plan, &suspects, producer, context, beat) else {
            // Brokers are away, or slow; the plan is tried again, and if need be this is.
            return Ok(renew(producer, beat)?.map_or(Why::Passing, Why::Refused));
        };
        if producer.abort().is_err() {
            producer.recreate_for_singles()?;
            if let Some(reason) = announce_again(producer, beat)? {
                return Ok(Why::Refused(reason));
            }
        }
        if refused.is_empty() {
            break;
        }
        suspects.retain(|suspect| !refused.contains(suspect));
        found.extend(refused);
        if tried == TRIES_MAX {
            let topic_and_size = |place: &usize| (plan.outs[*place].topic as usize, plan.outs[*place].bytes());
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
        return Ok(renew(producer, beat)?.map_or(Why::Passing, Why::Refused));
    }
    producer.distrust();
    Ok(Why::TooLarge(found))
}

/// Sends the suspects and says which were refused; `None`: not all were answered in time.
fn send(
    plan: &Plan,
    suspects: &[usize],
    producer: &mut Producer,
    context: &Context,
    beat: &dyn Fn(),
) -> Option<Vec<usize>> {
    producer.begin().ok()?;
    let mut sent = Vec::new();
    for suspect in suspects {
        let out = &plan.outs[*suspect];
        let headers: Vec<(&str, &[u8])> = out.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let outcome = producer.send(&Outgoing {
            topic: context.topic(out.topic),
            partition: out.partition,
            key: out.key.as_deref(),
            payload: out.payload.as_deref(),
            headers: &headers,
            timestamp: None,
        });
        match outcome {
            Ok(()) => sent.push(*suspect),
            Err(failure @ Failure::Abort(_)) if failure.cause().kind == crate::kafka::Kind::TooLarge => {
                return Some(vec![*suspect]);
            }
            // One of those before was refused.
            Err(_) => break,
        }
    }
    beat();
    let is_drained = producer.drain_all();
    let refused: Vec<usize> = producer.too_large().into_iter().filter_map(|number| sent.get(number).copied()).collect();
    (is_drained || !refused.is_empty()).then_some(refused)
}
