//! Finding out the outcome of a transaction whose commit was not answered.

use std::time::Duration;

use crate::kafka::{Failure, Isolation, Kind};
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

/// Was the transaction committed? The committed offsets carry its number, or the one before; and META with that number is
/// in the changelog, or is not.
///
/// Asked only after a new producer has aborted whatever was open, so the answer is final.
pub(super) fn resolve(plan: &Plan, tools: &mut PublishTools<'_>) -> Result<PublishOutcome, LaneError> {
    if let Some(reason) = recreate_producer(tools.producer, tools.report_alive)? {
        return Ok(PublishOutcome::Unknown(reason));
    }
    let partitions: Vec<i32> = plan.parts.iter().map(|part| part.partition).collect();
    let asked = patiently(tools.report_alive, || tools.consumer.committed(&partitions, ASK))?;
    let committed = match asked {
        Ok(committed) => committed,
        Err(denied) => return Ok(PublishOutcome::Unknown(denied)),
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
    let is_written = match ours {
        0 => false,
        _ => match is_in_changelog(plan, tools)? {
            Ok(is_written) => is_written,
            Err(denied) => return Ok(PublishOutcome::Unknown(denied)),
        },
    };
    tracing::info!(committed = is_written, "The outcome of the transaction is known.");
    match (ours, before, beyond) {
        (_, 0, 0) if is_written => Ok(PublishOutcome::Committed(vec![None; plan.parts.len()])),
        (0, _, 0) => Ok(PublishOutcome::Aborted(AbortCause::Transient)),
        (_, _, 1..) => Ok(PublishOutcome::Overtaken),
        _ if !is_written => {
            tracing::warn!(
                "The brokers kept the offsets of a transaction whose records they aborted; it is tried again."
            );
            Ok(PublishOutcome::Aborted(AbortCause::Transient))
        }
        _ => Err(LaneError::Stopped(format!(
            "a transaction on {} is committed for some partitions and not for others: the broker tore it; \
             restore the topics from before it",
            tools.context.topics.changelog
        ))),
    }
}

/// Is META of this transaction, of one of its partitions, committed in the changelog? `Err`: access is denied.
///
/// Offsets alone do not prove a commit: brokers whose controller was killed have been seen to keep the offset of a
/// transaction whose records they aborted. Taken for committed, its changes would never be told.
fn is_in_changelog(plan: &Plan, tools: &PublishTools<'_>) -> Result<Result<bool, String>, LaneError> {
    // A partition that is no longer here is decided again by its next owner, whatever the outcome.
    let known = plan.parts.iter().find_map(|part| Some((part, tools.partitions.get(&part.partition)?)));
    let Some((part, partition)) = known else { return Ok(Ok(true)) };
    // Nothing of this transaction can lie before the end of the last one. A copy that cannot say where that is concerns its
    // own partition, and nothing here.
    let next = partition.residents.database().changelog_next().ok().flatten().unwrap_or(0);
    let (number, sequence) = (part.partition, part.meta.sequence);
    patiently(tools.report_alive, || {
        tools.changelog.has_meta(Isolation::Committed, number, |_| next, sequence, tools.report_alive)
    })
}

/// Asks until there is an answer. The inner `Err`: access is denied, with the broker's text.
fn patiently<T>(
    report_alive: &dyn Fn(),
    mut ask: impl FnMut() -> Result<T, Failure>,
) -> Result<Result<T, String>, LaneError> {
    loop {
        report_alive();
        match ask() {
            Ok(answer) => return Ok(Ok(answer)),
            Err(Failure::Retry(_)) => {}
            Err(Failure::Fatal(cause)) if cause.kind == Kind::NotAuthorized => return Ok(Err(cause.text)),
            Err(failure) => return Err(failure.into()),
        }
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
