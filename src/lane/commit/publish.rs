//! One plan, one transaction.

use std::time::{Duration, Instant as Moment};

use crate::kafka::{Cause, Failure, Kind, Membership, Outcome, Producer};
use crate::lane::commit::outcome::{AbortCause, PublishOutcome, PublishTools};
use crate::lane::commit::oversized;
use crate::lane::commit::resolve::{count, resolve};
use crate::lane::commit::send::send_records;
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::output::ahead::{Ahead, NotSent};
use crate::lane::output::offset_mark::OffsetMark;
use crate::lane::output::plan::{Part, Plan};
use crate::lane::output::record::Topic;
use crate::member::transactions::{needs_operator, recreate_producer};
use crate::metrics::{Stage, Transaction};

/// One part in this many of the transaction's time may have passed before its plan is complete. Otherwise all of it is
/// sent again in a new transaction.
const AHEAD_FOR: u32 = 4;

/// Sends the plan's records and offsets in one transaction.
///
/// # Errors
/// What another try cannot fix: another process with our transactional id, a torn transaction.
pub(super) fn publish(plan: &mut Plan, tools: &mut PublishTools<'_>) -> Result<PublishOutcome, LaneError> {
    let (context, report_alive) = (tools.context, tools.report_alive);
    // Every transaction carries offsets under this membership: they alone let the broker refuse us once the
    // partitions belong to another member.
    let ahead = plan.ahead.take();
    let Some(membership) = tools.consumer.membership() else {
        // Nobody should wait for it meanwhile. If it cannot be aborted now, the next transaction does so.
        tools.producer.abort_open().ok();
        return Ok(PublishOutcome::Aborted(AbortCause::Transient));
    };
    if tools.producer.needs_recreation()
        && let Some(reason) = recreate_producer(tools.producer, report_alive)?
    {
        return Ok(PublishOutcome::Aborted(AbortCause::Refused(reason)));
    }
    let ahead_for = tools.producer.transaction_timeout() / AHEAD_FOR;
    let is_of_use = |ahead: &Ahead| ahead.failed.is_some() || ahead.begun.elapsed() < ahead_for;
    let ahead = ahead.filter(|ahead| tools.producer.is_open() && is_of_use(ahead));
    let started = Moment::now();
    let begun = ahead.as_ref().map_or(started, |ahead| ahead.begun);
    let sent_ahead = ahead.as_ref().map_or(Duration::ZERO, |ahead| ahead.sending);
    let mut not_queued = None;
    let outcome = send_rest(plan, ahead, tools).map_err(|NotSent { place, failure }| {
        not_queued = place;
        failure
    });
    let delivering = Moment::now();
    context.metrics.batch_duration(Stage::Send).observe((sent_ahead + (delivering - started)).as_secs_f64());
    let outcome = outcome.and_then(|()| await_delivery(tools));
    report_alive();
    let committing = Moment::now();
    context.metrics.batch_duration(Stage::Deliver).observe((committing - delivering).as_secs_f64());
    let delivered: Vec<Option<i64>> = plan
        .parts
        .iter()
        .map(|part| tools.producer.delivered(&context.topics.changelog, part.partition).map(|offset| offset + 1))
        .collect();
    let outcome = outcome.and_then(|()| send_offsets(plan, tools, &membership));
    report_alive();
    let published = match outcome {
        Ok(()) => commit(plan, tools, delivered)?,
        Err(Failure::Abort(cause)) => abort(plan, tools, not_queued, cause, begun.elapsed())?,
        // Nothing was committed, so a new producer under the same id aborts what is open. The outcome is asked for all
        // the same: it costs one request, and guessing could cost a duplicate.
        Err(Failure::Resolve(cause) | Failure::Retry(cause)) => {
            tracing::warn!(reason = %cause, "The producer failed and is recreated.");
            count_errors(context, plan);
            let cause = abort_cause(&cause, begun.elapsed(), tools.producer);
            resolve_aborted(plan, tools, cause)?
        }
        Err(Failure::Fatal(cause)) if cause.kind == Kind::Fenced => return Err(LaneError::Fenced(cause.text)),
        // librdkafka calls a revoked permission fatal; it can be granted again.
        Err(Failure::Fatal(cause)) if needs_operator(cause.kind) => {
            count_errors(context, plan);
            resolve_aborted(plan, tools, AbortCause::Refused(cause.text))?
        }
        Err(Failure::Fatal(cause)) => return Err(LaneError::Stopped(cause.text)),
    };
    context.metrics.batch_duration(Stage::Commit).observe(committing.elapsed().as_secs_f64());
    count(&published, context);
    Ok(published)
}

/// Hands the plan's records to librdkafka, in a new transaction where none was begun ahead.
fn send_rest(plan: &Plan, ahead: Option<Ahead>, tools: &mut PublishTools<'_>) -> Result<(), NotSent> {
    let sent = match ahead {
        Some(Ahead { failed: Some(failed), .. }) => return Err(failed),
        Some(ahead) => ahead.sent,
        None => {
            tools.producer.begin()?;
            0
        }
    };
    send_records(plan.numbered_from(sent), tools.producer, tools.context, tools.report_alive)
}

/// Waits until the brokers have acknowledged every record of the transaction.
fn await_delivery(tools: &PublishTools<'_>) -> Result<(), Failure> {
    loop {
        (tools.report_alive)();
        if tools.producer.drain_some()? {
            return Ok(());
        }
    }
}

/// Adds the input offsets to the transaction, each with the mark of this lane.
fn send_offsets(plan: &Plan, tools: &PublishTools<'_>, membership: &Membership) -> Result<(), Failure> {
    let mark = |part: &Part| OffsetMark { stopped: tools.stopped, ..OffsetMark::new(part.meta.sequence, tools.writer) };
    let marks: Vec<String> = plan.parts.iter().map(|part| mark(part).text()).collect();
    let input = tools.context.topics.input.as_str();
    let offsets: Vec<(&str, i32, i64, &str)> = plan
        .parts
        .iter()
        .zip(&marks)
        .map(|(part, mark)| (input, part.partition, part.meta.next_offset, mark.as_str()))
        .collect();
    tools.producer.send_offsets(&offsets, membership)
}

/// Commits. `delivered`: as in [`PublishOutcome::Committed`].
fn commit(plan: &Plan, tools: &mut PublishTools<'_>, delivered: Vec<Option<i64>>) -> Result<PublishOutcome, LaneError> {
    match tools.producer.commit() {
        Outcome::Committed => Ok(PublishOutcome::Committed(delivered)),
        Outcome::Fenced(cause) => Err(LaneError::Fenced(cause.text)),
        Outcome::Indeterminate(cause) => {
            tracing::warn!(
                reason = %cause,
                "The outcome of a transaction is unknown; reading the committed offsets."
            );
            tools.context.metrics.transactions(Transaction::Resolved).inc();
            resolve(plan, tools)
        }
    }
}

/// Aborts the transaction, and finds out what the next try needs. `not_queued`: the place of a record that librdkafka did
/// not take. It failed so long `after` its beginning.
fn abort(
    plan: &Plan,
    tools: &mut PublishTools<'_>,
    not_queued: Option<usize>,
    cause: Cause,
    after: Duration,
) -> Result<PublishOutcome, LaneError> {
    let (context, report_alive) = (tools.context, tools.report_alive);
    // It was not even queued: it alone is too large.
    let alone = not_queued.filter(|_| cause.kind == Kind::TooLarge);
    count_errors(context, plan);
    let aborted = tools.producer.abort();
    // Whatever came after the first failure of a record is only its consequence.
    let cause = tools.producer.failure().filter(|first| first.kind != Kind::Purged).unwrap_or(cause);
    let suspects = alone.map_or_else(|| tools.producer.too_large(), |alone| vec![alone]);
    match aborted {
        Ok(()) => {}
        Err(Failure::Fatal(cause)) if cause.kind == Kind::Fenced => return Err(LaneError::Fenced(cause.text)),
        // If that is denied, the next transaction is, too.
        Err(_) => drop(recreate_producer(tools.producer, report_alive)?),
    }
    let abort_cause = abort_cause(&cause, after, tools.producer);
    match (&abort_cause, cause.kind) {
        (AbortCause::Transient, Kind::StaleMember) => {
            tracing::info!(reason = %cause, "The group is changing; the batch waits.");
        }
        (AbortCause::Transient | AbortCause::TooSlow(_), _) => {
            tracing::warn!(reason = %cause, "A transaction was aborted; it is tried again.");
        }
        // Logged where it is handled.
        (AbortCause::TooLarge(_) | AbortCause::Refused(_), _) => {}
    }
    Ok(PublishOutcome::Aborted(match abort_cause {
        AbortCause::TooLarge(_) => oversized::find(plan, suspects, tools.producer, context, report_alive)?,
        abort_cause => abort_cause,
    }))
}

/// Resolves a transaction that should have been aborted; if it was, for `cause`.
fn resolve_aborted(plan: &Plan, tools: &mut PublishTools<'_>, cause: AbortCause) -> Result<PublishOutcome, LaneError> {
    Ok(match resolve(plan, tools)? {
        PublishOutcome::Aborted(_) => PublishOutcome::Aborted(cause),
        published => published,
    })
}

/// Counts a failed transaction for each topic that it wrote to.
fn count_errors(context: &Context, plan: &Plan) {
    for topic in Topic::ALL {
        if plan.records.iter().any(|record| record.topic == topic) {
            context.metrics.publish_errors(context.topic(topic)).inc();
        }
    }
}

/// What the next try needs after a transaction failed for `cause`, so long after its beginning.
fn abort_cause(cause: &Cause, after: Duration, producer: &Producer) -> AbortCause {
    match cause.kind {
        Kind::TooLarge => AbortCause::TooLarge(Vec::new()),
        kind if needs_operator(kind) => AbortCause::Refused(cause.text.clone()),
        // A transaction that is too old fails in many ways: a record was not written in time, the coordinator aborted
        // it.
        _ if after * 10 >= producer.transaction_timeout() * 9 => AbortCause::TooSlow(after),
        _ => AbortCause::Transient,
    }
}
