//! Finding out the outcome of a transaction whose commit was not answered.

use std::time::Duration;

use crate::kafka::{Failure, Kind};
use crate::lane::commit::outcome::{AbortCause, PublishOutcome, PublishTools};
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::output::offset_mark::OffsetMark;
use crate::lane::output::plan::Plan;
use crate::member::transactions::recreate_producer;
use crate::metrics::Transaction;

/// How long one request to a broker may take.
const ASK: Duration = Duration::from_secs(1);

/// The outcome of a plan after [`PublishOutcome::Unknown`].
///
/// # Errors
/// As `publish`.
pub(super) fn resolve_unknown(plan: &Plan, tools: &mut PublishTools<'_>) -> Result<PublishOutcome, LaneError> {
    let published = resolve(plan, tools)?;
    count(&published, tools.context);
    Ok(published)
}

/// Was the transaction committed? The committed offsets carry its number, or the one before.
///
/// Asked only after a new producer has aborted whatever was open, so the answer is final.
pub(super) fn resolve(plan: &Plan, tools: &mut PublishTools<'_>) -> Result<PublishOutcome, LaneError> {
    if let Some(reason) = recreate_producer(tools.producer, tools.report_alive)? {
        return Ok(PublishOutcome::Unknown(reason));
    }
    let partitions: Vec<i32> = plan.parts.iter().map(|part| part.partition).collect();
    let committed = loop {
        (tools.report_alive)();
        match tools.consumer.committed(&partitions, ASK) {
            Ok(committed) => break committed,
            Err(Failure::Retry(_)) => {}
            Err(Failure::Fatal(cause)) if cause.kind == Kind::NotAuthorized => {
                return Ok(PublishOutcome::Unknown(cause.text));
            }
            Err(failure) => return Err(failure.into()),
        }
    };
    let (mut ours, mut before, mut beyond) = (0, 0, 0);
    for part in &plan.parts {
        let found = committed.iter().find(|found| found.partition == part.partition);
        match found.and_then(|found| OffsetMark::read(&found.metadata)) {
            Some(mark) if mark.sequence < part.meta.sequence => before += 1,
            Some(mark) if mark.is_of(part.meta.sequence, tools.writer) => ours += 1,
            // Further on, or as far by another member.
            Some(_) => beyond += 1,
            None => before += 1,
        }
    }
    tracing::info!(committed = ours > 0, "The outcome of the transaction is known.");
    match (ours, before, beyond) {
        (_, 0, 0) => Ok(PublishOutcome::Committed(vec![None; plan.parts.len()])),
        (0, _, 0) => Ok(PublishOutcome::Aborted(AbortCause::Transient)),
        (_, _, 1..) => Ok(PublishOutcome::Overtaken),
        _ => Err(LaneError::Stopped(format!(
            "a transaction on {} is committed for some partitions and not for others: the broker tore it; \
             restore the topics from before it",
            tools.context.topics.changelog
        ))),
    }
}

/// Counts the outcome.
pub(super) fn count(published: &PublishOutcome, context: &Context) {
    let outcome = match published {
        PublishOutcome::Committed(_) => Transaction::Committed,
        PublishOutcome::Aborted(_) | PublishOutcome::Overtaken => Transaction::Aborted,
        PublishOutcome::Unknown(_) => return,
    };
    context.metrics.transactions(outcome).inc();
}
