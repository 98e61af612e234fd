//! META: where a partition stands. One record a transaction, in the changelog and beside the states.

use super::bytes::{Corrupt, Read, Reader, put_i64, put_len, put_number, put_text, put_u64};
use super::layout::FORMAT;
use crate::engine::{Standing, Timing};
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
    /// Where ranks begin, by the rule set's numbers; nothing from `replay_from` on was decided under others.
    pub thresholds: Vec<Option<Standing>>,
    /// Those thresholds are new, and not all customers are decided under them yet.
    pub taking_up: Option<TakingUp>,
}

/// How far a partition has come with taking new thresholds up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakingUp {
    /// The thresholds before.
    pub old: Vec<Option<Standing>>,
    /// Customers up to this id are done; empty: none.
    pub through: String,
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
    put_thresholds(out, &meta.thresholds);
    if let Some(taking_up) = &meta.taking_up {
        put_thresholds(out, &taking_up.old);
        put_text(out, &taking_up.through);
    }
}

/// Reads META's bytes, those of earlier releases too.
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
        thresholds: Vec::new(),
        taking_up: None,
    };
    let flags = reader.u8("flags")?;
    let written_at = Instant(reader.i64("written at")?);
    let mut members = Vec::new();
    for _ in 0..reader.len("members")? {
        members.push(reader.u64("members")?);
    }
    // Earlier releases end here, and there are no thresholds to say.
    let thresholds = if reader.is_empty() { Vec::new() } else { read_thresholds(&mut reader)? };
    let mut taking_up = None;
    if !reader.is_empty() {
        let old = read_thresholds(&mut reader)?;
        taking_up = Some(TakingUp { old, through: text(&mut reader, "taking up")? });
    }
    if !reader.is_empty() {
        return Err(Corrupt("end of META"));
    }
    Ok(Meta { live: flags & 1 != 0, caught_up: flags & 2 != 0, written_at, members, thresholds, taking_up, ..meta })
}

fn put_thresholds(out: &mut Vec<u8>, thresholds: &[Option<Standing>]) {
    put_len(out, thresholds.len());
    thresholds.iter().for_each(|threshold| put_threshold(out, *threshold));
}

fn read_thresholds(reader: &mut Reader<'_>) -> Read<Vec<Option<Standing>>> {
    (0..reader.len("thresholds")?).map(|_| read_threshold(reader)).collect()
}

pub(super) fn put_threshold(out: &mut Vec<u8>, threshold: Option<Standing>) {
    out.push(u8::from(threshold.is_some()));
    if let Some(Standing { value, hash }) = threshold {
        put_number(out, value);
        out.extend_from_slice(&hash.to_le_bytes());
    }
}

pub(super) fn read_threshold(reader: &mut Reader<'_>) -> Read<Option<Standing>> {
    if reader.u8("threshold")? == 0 {
        return Ok(None);
    }
    let value = reader.number("threshold")?;
    Ok(Some(Standing { value, hash: u64::from_le_bytes(reader.array("threshold")?) }))
}
