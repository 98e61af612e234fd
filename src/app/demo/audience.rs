//! A reader of `cohort-changes`, like any consumer of that topic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use serde_json::Value;

use crate::codec::Output;
use crate::event::{Change, Evidence, Instant};
use crate::kafka::{Failure, Read, Reader};

/// Poll timeout for one partition, during which the others wait.
const POLL: Duration = Duration::from_millis(10);

/// A change as read from the topic.
#[derive(Debug, Clone)]
pub struct Seen {
    pub at: Instant,
    pub customer: String,
    pub cohort: String,
    pub change: Change,
    /// Was it caused by time alone, without an event?
    pub by_time: bool,
    pub why: Vec<Evidence>,
}

/// Reads every partition of the topic from its beginning, until stopped or the receiver is gone.
///
/// # Errors
/// What a broker or a record has wrong with it.
pub(super) fn listen(
    mut readers: Vec<Reader>,
    topic: &str,
    sender: &Sender<Seen>,
    leave: &Arc<AtomicBool>,
) -> Result<(), Failure> {
    for (partition, reader) in (0..).zip(&mut readers) {
        reader.start(topic, partition, 0, i64::MAX)?;
    }
    while !leave.load(Ordering::Acquire) {
        for reader in &mut readers {
            loop {
                match reader.poll(POLL) {
                    Read::Record(record) => {
                        let Some(seen) = record.payload().and_then(read) else { continue };
                        if sender.send(seen).is_err() {
                            return Ok(());
                        }
                    }
                    Read::Failed(Failure::Retry(_)) | Read::Nothing | Read::Waiting { .. } | Read::Done => break,
                    Read::OutOfRange { reason, .. } => {
                        tracing::warn!(reason, "The screen fell behind what the broker keeps.");
                        return Ok(());
                    }
                    Read::Failed(failure) => return Err(failure),
                }
            }
        }
    }
    Ok(())
}

/// A `CohortChange` by its schema.
fn read(record: &[u8]) -> Option<Seen> {
    let json = Output::CohortChange.to_json(record)?;
    let text = |value: &Value, key: &str| value[key].as_str().map(str::to_owned);
    let evidence = |part: &Value| {
        let holds = part["holds"].as_bool()?;
        Some(Evidence { condition: text(part, "condition")?, value: text(part, "value")?, holds })
    };
    Some(Seen {
        at: Instant(json["occurred_at"].as_i64()?),
        customer: text(&json, "customer_id")?,
        cohort: text(&json, "cohort")?,
        change: [Change::Entered, Change::Exited].into_iter().find(|c| json["change"] == c.symbol())?,
        by_time: json["reason"] == "TIME",
        why: json["why"].as_array()?.iter().filter_map(evidence).collect(),
    })
}
