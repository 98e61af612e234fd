//! One transaction of a reset: records of a compacted topic, with the offsets from which the group goes on.

use super::only_member::remain_only_member;
use crate::app::Failure;
use crate::kafka::{Consumer, Headers, Outcome, Outgoing, Producer, Report};

/// A record of a compacted topic; without a value it is a tombstone.
pub(super) struct Write {
    pub(super) partition: i32,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
}

/// An offset of the group: topic, partition, offset, metadata.
pub(super) type Offset<'a> = (&'a str, i32, i64, &'a str);

/// Writes the records and sets the offsets, all or nothing. `consumer`: that of the only member of the group.
pub(super) fn transact(
    consumer: &Consumer,
    producer: &mut Producer,
    topic: &str,
    records: &[Write],
    offsets: &[Offset<'_>],
) -> Result<(), Failure> {
    remain_only_member(consumer)?;
    let gone = || Failure::Running("this command is no longer a member of the group; try again".to_owned());
    let membership = consumer.membership().ok_or_else(gone)?;
    producer.begin()?;
    for Write { partition, key, value } in records {
        producer.send(&Outgoing {
            topic,
            partition: *partition,
            key: Some(key),
            payload: value.as_deref(),
            headers: Headers::default(),
            timestamp: None,
            report: Report::Failure,
        })?;
    }
    producer.drain()?;
    producer.send_offsets(offsets, &membership)?;
    match producer.commit() {
        Outcome::Committed => Ok(()),
        Outcome::Indeterminate(cause) | Outcome::Fenced(cause) => {
            Err(Failure::Running(format!("whether it was done is unknown; run the same command again ({cause})")))
        }
    }
}
