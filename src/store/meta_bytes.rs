//! META: where a partition stands. One record a transaction, in the changelog and beside the states.

use super::bytes::{Corrupt, Reader, put_i64, put_len, put_text, put_u64};
use super::layout::FORMAT;
use crate::engine::Timing;
use crate::event::{Instant, Span};

/// Where a partition stands after a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Of the Kafka cluster that the log is in.
    pub cluster_id: String,
    /// Name and partition count of the input; other counts send customers elsewhere.
    pub input: String,
    pub partitions: u32,
    /// Fingerprint of the rules that decided.
    pub rules: String,
    /// What decides besides rules and log, from `replay_from` on.
    pub timing: Timing,
    pub ids_max: u32,
    /// Transactions of this partition, from 1.
    pub sequence: u64,
    /// The input offset to go on from.
    pub next_offset: i64,
    /// No customer has changes from before this offset that are not in the changelog.
    pub replay_from: i64,
    /// Stream time at `replay_from`. What was due before is decided and flushed.
    pub replay_stream_time: Instant,
    /// Stream time at `next_offset`.
    pub stream_time: Instant,
    /// Stream time follows the wall clock while caught up.
    pub live: bool,
    /// The partition was caught up at least once since its log was begun.
    pub caught_up: bool,
    /// Wall clock when written, in milliseconds; for judging how old a local copy is.
    pub written_at: Instant,
    /// Members of each cohort, by the rule set's numbers.
    pub members: Vec<u64>,
}

/// META as bytes.
pub fn encode_meta(meta: &Meta, out: &mut Vec<u8>) {
    out.push(FORMAT);
    put_text(out, &meta.cluster_id);
    put_text(out, &meta.input);
    put_u64(out, u64::from(meta.partitions));
    put_text(out, &meta.rules);
    put_i64(out, meta.timing.arrives_within.0);
    put_i64(out, meta.timing.max_lateness.0);
    put_i64(out, meta.timing.earliest.0);
    put_u64(out, u64::from(meta.ids_max));
    put_u64(out, meta.sequence);
    put_i64(out, meta.next_offset);
    put_i64(out, meta.replay_from);
    put_i64(out, meta.replay_stream_time.0);
    put_i64(out, meta.stream_time.0);
    out.push(u8::from(meta.live) | u8::from(meta.caught_up) << 1);
    put_i64(out, meta.written_at.0);
    put_len(out, meta.members.len());
    meta.members.iter().for_each(|count| put_u64(out, *count));
}

/// Reads META's bytes.
///
/// # Errors
/// Bytes that `encode_meta` did not write.
pub fn decode_meta(bytes: &[u8]) -> Result<Meta, Corrupt> {
    let mut reader = Reader::new(bytes);
    if reader.u8("format")? != FORMAT {
        return Err(Corrupt("format of META"));
    }
    let text = |reader: &mut Reader<'_>, what| reader.text(what).map(str::to_owned);
    let span = |reader: &mut Reader<'_>, what| reader.i64(what).map(Span);
    let meta = Meta {
        cluster_id: text(&mut reader, "cluster id")?,
        input: text(&mut reader, "input")?,
        partitions: reader.u32("partitions")?,
        rules: text(&mut reader, "rules")?,
        timing: Timing {
            arrives_within: span(&mut reader, "arrives within")?,
            max_lateness: span(&mut reader, "max lateness")?,
            earliest: Instant(reader.i64("earliest")?),
        },
        ids_max: reader.u32("ids")?,
        sequence: reader.u64("sequence")?,
        next_offset: reader.i64("next offset")?,
        replay_from: reader.i64("replay from")?,
        replay_stream_time: Instant(reader.i64("replay stream time")?),
        stream_time: Instant(reader.i64("stream time")?),
        live: false,
        caught_up: false,
        written_at: Instant(0),
        members: Vec::new(),
    };
    let flags = reader.u8("flags")?;
    let written_at = Instant(reader.i64("written at")?);
    let mut members = Vec::new();
    for _ in 0..reader.len("members")? {
        members.push(reader.u64("members")?);
    }
    if !reader.is_empty() {
        return Err(Corrupt("end of META"));
    }
    Ok(Meta { live: flags & 1 != 0, caught_up: flags & 2 != 0, written_at, members, ..meta })
}
