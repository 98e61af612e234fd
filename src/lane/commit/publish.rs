//! One plan, one transaction; and finding out what became of a transaction whose end was not heard.

use std::time::Duration;

use crate::kafka::{Cause, Consumer, Failure, Kind, Outcome, Outgoing, Producer};
use crate::lane::commit::mark::OffsetMark;
use crate::lane::commit::oversized;
use crate::lane::commit::plan::{Plan, Topic};
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::metrics::{Stage, Transaction};

/// How long one question to a broker may take.
const ASK: Duration = Duration::from_secs(1);
/// While a plan is handed over, after how many records the lane says that it is alive.
const BEAT_EVERY_RECORDS: usize = 4_096;

/// How a try to publish went.
#[derive(Debug)]
pub(in crate::lane) enum Published {
    /// It counts. For each part of the plan the changelog offset after its last record, where it was told.
    Committed(Vec<Option<i64>>),
    /// It does not count, and nothing of it is visible: try again while the partitions are still ours.
    Aborted(Why),
    /// Somebody else has gone on with one of the partitions: forget the plan.
    Overtaken,
    /// Whether it counts is not to be found out now: the brokers refuse to say, in these words. Only
    /// [`find_out`] may follow.
    Unknown(String),
}

/// Why a transaction was aborted, by what the next try needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lane) enum Why {
    /// What passes by itself: the same once more.
    Passing,
    /// It was too old before it could be ended, after this long: less at once.
    TooSlow(Duration),
    /// Records of the plan, by place, that their topics do not take: the rest without them.
    TooLarge(Vec<usize>),
    /// A topic is missing, or access to it: the same once more, when somebody has put it right.
    Refused(String),
}

/// With what a lane publishes plans.
pub(in crate::lane) struct Tools<'a> {
    pub(in crate::lane) consumer: &'a Consumer,
    pub(in crate::lane) producer: &'a mut Producer,
    /// Told with each offset, so that what another process wrote is not taken for ours.
    pub(in crate::lane) writer: u64,
    /// These are the lane's last, and its partitions stay with it.
    pub(in crate::lane) stopped: bool,
    pub(in crate::lane) context: &'a Context,
    /// Called between steps; says that the lane is alive.
    pub(in crate::lane) beat: &'a dyn Fn(),
}

/// Sends the plan's records and offsets in one transaction.
///
/// # Errors
/// What no other try can help with: a twin with our transactional id, a torn transaction.
pub(in crate::lane) fn publish(plan: &Plan, tools: &mut Tools<'_>) -> Result<Published, LaneError> {
    let (consumer, context, beat) = (tools.consumer, tools.context, tools.beat);
    // Every transaction carries offsets under this membership: they alone let the broker refuse us once the
    // partitions are somebody else's.
    let Some(membership) = consumer.membership() else { return Ok(Published::Aborted(Why::Passing)) };
    if tools.producer.is_suspect()
        && let Some(reason) = renew(tools.producer, beat)?
    {
        return Ok(Published::Aborted(Why::Refused(reason)));
    }
    let begun = std::time::Instant::now();
    let started = begun;
    let mut sent = 0;
    let outcome = tools.producer.begin().and_then(|()| {
        for out in &plan.outs {
            let headers: Vec<(&str, &[u8])> = out.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
            tools.producer.send(&Outgoing {
                topic: context.topic(out.topic),
                partition: out.partition,
                key: out.key.as_deref(),
                payload: out.payload.as_deref(),
                headers: &headers,
                timestamp: None,
            })?;
            sent += 1;
            if sent % BEAT_EVERY_RECORDS == 0 {
                beat();
            }
        }
        loop {
            beat();
            if tools.producer.drain_some()? {
                return Ok(());
            }
        }
    });
    beat();
    context.metrics.batch_duration(Stage::Publish).observe(started.elapsed().as_secs_f64());
    let started = std::time::Instant::now();
    let delivered: Vec<Option<i64>> = plan
        .parts
        .iter()
        .map(|part| tools.producer.delivered(&context.topics.changelog, part.partition).map(|offset| offset + 1))
        .collect();
    let outcome = outcome.and_then(|()| {
        let marks: Vec<String> = plan
            .parts
            .iter()
            .map(|part| {
                OffsetMark { stopped: tools.stopped, ..OffsetMark::new(part.meta.sequence, tools.writer) }.text()
            })
            .collect();
        let offsets: Vec<(&str, i32, i64, &str)> = plan
            .parts
            .iter()
            .zip(&marks)
            .map(|(part, mark)| (context.topics.input.as_str(), part.partition, part.meta.next_offset, mark.as_str()))
            .collect();
        tools.producer.send_offsets(&offsets, &membership)
    });
    beat();
    let published = match outcome {
        Ok(()) => match tools.producer.commit() {
            Outcome::Committed => Published::Committed(delivered),
            Outcome::Fenced(cause) => return Err(LaneError::Fenced(cause.text)),
            Outcome::Indeterminate(cause) => {
                tracing::warn!(reason = %cause, "The end of a transaction was not heard; asking what became of it.");
                context.metrics.transactions(Transaction::Resolved).inc();
                resolve(plan, tools)?
            }
        },
        Err(Failure::Abort(cause)) => {
            let after = begun.elapsed();
            // It was not even queued: it alone is too large.
            let alone = (cause.kind == Kind::TooLarge && sent < plan.outs.len()).then_some(sent);
            count_errors(context, plan);
            let aborted = tools.producer.abort();
            // Whatever came after the first failure of a record is only its consequence.
            let cause = tools.producer.failure().filter(|first| first.kind != Kind::Purged).unwrap_or(cause);
            let suspects = alone.map_or_else(|| tools.producer.too_large(), |alone| vec![alone]);
            match aborted {
                Ok(()) => {}
                Err(Failure::Fatal(cause)) if cause.kind == Kind::Fenced => return Err(LaneError::Fenced(cause.text)),
                // Where that is refused, the next transaction is, too.
                Err(_) => drop(renew(tools.producer, beat)?),
            }
            let why = why(&cause, after, tools.producer);
            match (&why, cause.kind) {
                (Why::Passing, Kind::StaleMember) => {
                    tracing::info!(reason = %cause, "The group is changing; the batch waits.");
                }
                (Why::Passing | Why::TooSlow(_), _) => {
                    tracing::warn!(reason = %cause, "A transaction was aborted; it is tried again.");
                }
                // Said where it is dealt with.
                (Why::TooLarge(_) | Why::Refused(_), _) => {}
            }
            match why {
                Why::TooLarge(_) => Published::Aborted(oversized::find(plan, suspects, tools.producer, context, beat)?),
                why => Published::Aborted(why),
            }
        }
        // Nothing was ended, so a new producer under the same id aborts what is open. The outcome is asked for all the
        // same: it costs one question, and guessing could cost a duplicate.
        Err(Failure::Resolve(cause) | Failure::Retry(cause)) => {
            tracing::warn!(reason = %cause, "The producer failed; it is made anew.");
            count_errors(context, plan);
            let why = why(&cause, begun.elapsed(), tools.producer);
            match resolve(plan, tools)? {
                Published::Aborted(_) => Published::Aborted(why),
                published => published,
            }
        }
        Err(Failure::Fatal(cause)) if cause.kind == Kind::Fenced => return Err(LaneError::Fenced(cause.text)),
        // librdkafka calls a permission that is taken away fatal; it can be given back.
        Err(Failure::Fatal(cause)) if is_refusal(cause.kind) => {
            count_errors(context, plan);
            match resolve(plan, tools)? {
                Published::Aborted(_) => Published::Aborted(Why::Refused(cause.text)),
                published => published,
            }
        }
        Err(Failure::Fatal(cause)) => return Err(LaneError::Stopped(cause.text)),
    };
    context.metrics.batch_duration(Stage::Commit).observe(started.elapsed().as_secs_f64());
    count(&published, context);
    Ok(published)
}

/// What became of a plan after [`Published::Unknown`].
///
/// # Errors
/// As `publish`.
pub(in crate::lane) fn find_out(plan: &Plan, tools: &mut Tools<'_>) -> Result<Published, LaneError> {
    let published = resolve(plan, tools)?;
    count(&published, tools.context);
    Ok(published)
}

fn count(published: &Published, context: &Context) {
    let outcome = match published {
        Published::Committed(_) => Transaction::Committed,
        Published::Aborted(_) | Published::Overtaken => Transaction::Aborted,
        Published::Unknown(_) => return,
    };
    context.metrics.transactions(outcome).inc();
}

fn count_errors(context: &Context, plan: &Plan) {
    for topic in Topic::ALL {
        if plan.outs.iter().any(|out| out.topic == topic) {
            context.metrics.publish_errors(context.topic(topic)).inc();
        }
    }
}

fn why(cause: &Cause, after: Duration, producer: &Producer) -> Why {
    match cause.kind {
        Kind::TooLarge => Why::TooLarge(Vec::new()),
        kind if is_refusal(kind) => Why::Refused(cause.text.clone()),
        // An old transaction is told of in many ways: a record was not written in time, the coordinator ended it.
        _ if after * 10 >= producer.transaction_timeout() * 9 => Why::TooSlow(after),
        _ => Why::Passing,
    }
}

/// Does it last until somebody puts it right?
fn is_refusal(kind: Kind) -> bool {
    matches!(kind, Kind::UnknownTopic | Kind::NotAuthorized | Kind::Misconfigured)
}

/// A new producer under the same id: what the old one left open is ended before this returns. `Some`: the brokers refuse
/// it, in these words, and whoever took the permission away may give it back; the next transaction begins with another try.
pub(in crate::lane) fn renew(producer: &mut Producer, beat: &dyn Fn()) -> Result<Option<String>, LaneError> {
    producer.recreate()?;
    announce_again(producer, beat)
}

/// As `announce`, of a process that was allowed to before. `Some`: refused, as [`renew`].
pub(in crate::lane) fn announce_again(producer: &mut Producer, beat: &dyn Fn()) -> Result<Option<String>, LaneError> {
    match announce(producer, beat) {
        Err(LaneError::Configuration(reason) | LaneError::Denied(reason)) => {
            producer.distrust();
            Ok(Some(reason))
        }
        outcome => outcome.map(|()| None),
    }
}

/// Announces the producer, for as long as brokers are away. `beat` says that the lane is alive meanwhile.
///
/// # Errors
/// `Denied` if this process may not write under its name, `Configuration` if it cannot, with the brokers' words.
pub(in crate::lane) fn announce(producer: &mut Producer, beat: &dyn Fn()) -> Result<(), LaneError> {
    let mut tries = 0_u32;
    loop {
        beat();
        match producer.init(ASK * 5) {
            Ok(()) => return Ok(()),
            Err(Failure::Retry(cause)) => {
                tries += 1;
                if tries.is_power_of_two() {
                    tracing::warn!(reason = %cause, tries, "Kafka does not answer; trying again.");
                }
                std::thread::sleep(Duration::from_millis(200));
            }
            Err(Failure::Fatal(cause)) if cause.kind == Kind::NotAuthorized => {
                return Err(LaneError::Denied(cause.text));
            }
            Err(Failure::Fatal(cause)) if is_refusal(cause.kind) => return Err(LaneError::Configuration(cause.text)),
            Err(failure) => return Err(failure.into()),
        }
    }
}

/// Did the transaction count? The committed offsets carry its number, or the one before.
///
/// Asked only after a new producer has ended whatever was open, so the answer is final.
fn resolve(plan: &Plan, tools: &mut Tools<'_>) -> Result<Published, LaneError> {
    if let Some(reason) = renew(tools.producer, tools.beat)? {
        return Ok(Published::Unknown(reason));
    }
    let partitions: Vec<i32> = plan.parts.iter().map(|part| part.partition).collect();
    let committed = loop {
        (tools.beat)();
        match tools.consumer.committed(&partitions, ASK) {
            Ok(committed) => break committed,
            Err(Failure::Retry(_)) => {}
            Err(Failure::Fatal(cause)) if cause.kind == Kind::NotAuthorized => {
                return Ok(Published::Unknown(cause.text));
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
            // Further on, or as far by another's hand.
            Some(_) => beyond += 1,
            None => before += 1,
        }
    }
    tracing::info!(committed = ours > 0, "What became of the transaction is known.");
    match (ours, before, beyond) {
        (_, 0, 0) => Ok(Published::Committed(vec![None; plan.parts.len()])),
        (0, _, 0) => Ok(Published::Aborted(Why::Passing)),
        (_, _, 1..) => Ok(Published::Overtaken),
        _ => Err(LaneError::Stopped(format!(
            "a transaction on {} counts for some partitions and not for others: the broker tore it; \
             restore the topics from before it",
            tools.context.topics.changelog
        ))),
    }
}

impl Context {
    pub(in crate::lane) fn topic(&self, topic: Topic) -> &str {
        topic.name(&self.topics)
    }
}
