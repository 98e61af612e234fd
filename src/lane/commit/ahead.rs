//! Sending the records of a plan while the rest of it is decided.
//!
//! They go into a transaction that is begun before the plan is complete. It is committed with the plan or not at all: what
//! changes or drops the plan drops its [`Ahead`], and a transaction that is begun while another one is open aborts that
//! one first ([`Producer::begin`]). Offsets are sent, and the membership is checked, only once the plan is complete.

use std::time::{Duration, Instant as Moment};

use crate::kafka::{Producer, TOGETHER};
use crate::lane::commit::send::send_records;
use crate::lane::context::Context;
use crate::lane::output::ahead::Ahead;
use crate::lane::output::plan::Plan;

/// Sends the records that were added to a plan, if they are many. What fails is handled once the plan is complete.
///
/// Returns how long it took.
pub(in crate::lane) fn send_ahead(plan: &mut Plan, producer: &mut Producer, context: &Context) -> Duration {
    let (sent, has_failed) = plan.ahead.as_ref().map_or((0, false), |ahead| (ahead.sent, ahead.failed.is_some()));
    let is_worth_it = plan.records.len() - sent >= TOGETHER;
    if !is_worth_it || has_failed {
        return Duration::ZERO;
    }
    let started = Moment::now();
    if let Some(mut ahead) = plan.ahead.take().or_else(|| begin(producer, started)) {
        ahead.failed = send_records(plan.numbered_from(sent), producer, context, &|| ()).err();
        ahead.sent = plan.records.len();
        ahead.sending += started.elapsed();
        plan.ahead = Some(ahead);
    }
    started.elapsed()
}

/// `None`: no transaction can be begun now. It is tried again, and the reason handled, once the plan is complete.
fn begin(producer: &mut Producer, now: Moment) -> Option<Ahead> {
    if producer.needs_recreation() {
        return None;
    }
    producer.begin().ok()?;
    Some(Ahead { sent: 0, begun: now, sending: Duration::ZERO, failed: None })
}
