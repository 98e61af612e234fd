//! META: the position of a partition in its logs. One record per transaction, in the changelog and next to the states.

use super::layout::{FORMAT, META_FORMAT};
use super::parameters_bytes::{put_parameters, read_parameters};
use crate::bytes::{Corrupt, Read, Reader, put_i64, put_len, put_number, put_text, put_u64};
use crate::engine::{Observed, Parameters, Standing, Timing};
use crate::event::{Instant, Span};

/// The position of a partition after a transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Meta {
    /// The id of the Kafka cluster.
    pub cluster_id: String,
    /// Name and partition count of the input; other counts send customers elsewhere.
    pub input: String,
    pub partitions: u32,
    /// Fingerprint of the rules that decided.
    pub rules: String,
    /// Their version; 0 if written by an earlier release, which had no versions.
    pub rules_version: u64,
    /// A migration to other rules is in progress.
    pub migration: Option<MigrationProgress>,
    /// The first offset that was ever read.
    pub began: i64,
    /// Since when the log was read, for each fact.
    pub observed: Observed,
    /// The settings that decide besides rules and log, from `replay_from` on.
    pub timing: Timing,
    pub ids_max: u32,
    /// Transactions of this partition, from 1.
    pub sequence: u64,
    /// The next input offset to read.
    pub next_offset: i64,
    /// All changes from before this offset are in the changelog.
    pub replay_from: i64,
    /// Stream time at `replay_from`. What was due before is decided and flushed.
    pub replay_stream_time: Instant,
    /// Stream time at `next_offset`.
    pub stream_time: Instant,
    /// Stream time follows the wall clock while caught up.
    pub live: bool,
    /// The partition was caught up at least once since its log was begun.
    pub caught_up: bool,
    /// The wall clock when written, to judge the age of a local copy.
    pub written_at: Instant,
    /// Members of each cohort, by the rule set's numbers.
    pub members: Vec<u64>,
    /// The rank thresholds, by the numbers of the rule set; nothing from `replay_from` on was decided under others.
    pub thresholds: Vec<Option<Standing>>,
    /// The thresholds are new, and not all customers have been re-evaluated under them yet.
    pub applying_thresholds: Option<ThresholdsProgress>,
    /// The number of customers with a state.
    pub customers: u64,
    /// Entries of cohorts by the rule set's numbers, in hours since 1970.
    pub surges: Vec<(u32, i64, u64)>,
    /// The churn parameters; nothing from `replay_from` on was decided under others.
    pub model: Option<InForce>,
    pub last_surveys: LastSurveys,
    pub log: Log,
    /// More deadlines were due at once than fit in one transaction, and not all are decided yet.
    pub overdue: Option<Overdue>,
}

/// The log that the offsets belong to. A recreated input topic numbers its records from 0 again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// The input topic's id; empty if unknown: brokers before 2.8, or written by an earlier release.
    pub topic_id: String,
    /// How often `cohortd reset` has continued the state at another position or on another log. If above 0, the log
    /// does not contain everything that the state is based on.
    pub resets: u64,
    /// Added to an offset before it is compared with, or becomes, the `as_of` of a state, so that positions ascend from
    /// one log to the next.
    pub shift: i64,
}

impl Log {
    /// The log position of an offset, ascending over all logs so far.
    #[must_use]
    pub fn position(&self, offset: i64) -> i64 {
        offset.saturating_add(self.shift)
    }
}

/// Progress of deciding very many deadlines: no input is read meanwhile.
///
/// Every deadline before `decided_to` is decided. Of those from there to stream time, the ones whose states say so are
/// decided; these states were flushed with the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overdue {
    pub decided_to: Instant,
    /// The log position at which they became due.
    pub position: i64,
}

/// The last surveys of all customers, and what was published of them; `MIN`: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastSurveys {
    /// Days since 1970-01-01 in the rules' time zone.
    pub day: i64,
    /// Weeks since Monday 1970-01-05.
    pub week: i64,
    /// The day for which this partition published the forecasts of all.
    pub forecast: i64,
}

impl LastSurveys {
    pub const NEVER: Self = Self { day: i64::MIN, week: i64::MIN, forecast: i64::MIN };
}

/// Parameters of the model of churn, and since when.
#[derive(Debug, Clone, PartialEq)]
pub struct InForce {
    pub parameters: Parameters,
    /// Stream time when they took effect: each customer is decided under them as of then.
    pub since: Instant,
    /// Customers up to this id, in byte order, have been re-evaluated, and others only if touched since. `None`: all
    /// have.
    pub through: Option<String>,
}

/// Progress of re-evaluating customers under new thresholds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThresholdsProgress {
    /// The previous thresholds.
    pub old: Vec<Option<Standing>>,
    /// Customers up to this id are done; empty: none.
    pub through: String,
}

/// Progress of migrating a partition to other rules: no input is read meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationProgress {
    /// The target version.
    pub version: u64,
    /// States of customers up to this id, in byte order, use the numbers of the target rules; those after it still the
    /// old ones.
    pub through: String,
    /// Members of each cohort among those, by the numbers of the target rules.
    pub members: Vec<u64>,
    /// Since when the facts of the target rules were observed.
    pub observed: Observed,
}

/// META as bytes, without its parts: only the number of cohorts, and no surges, thresholds or observed facts.
///
/// The fields after the first instant were added within the format: a META that ends before them has none.
pub fn encode_meta(meta: &Meta, out: &mut Vec<u8>) {
    out.push(META_FORMAT);
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
    put_u64(out, meta.rules_version);
    out.push(u8::from(meta.migration.is_some()));
    if let Some(migration) = &meta.migration {
        put_u64(out, migration.version);
        put_text(out, &migration.through);
        put_len(out, migration.members.len());
        put_counts(out, &migration.members);
        put_observed(out, &migration.observed);
    }
    put_i64(out, meta.began);
    out.push(u8::from(meta.applying_thresholds.is_some()));
    if let Some(applying_thresholds) = &meta.applying_thresholds {
        put_thresholds(out, &applying_thresholds.old);
        put_text(out, &applying_thresholds.through);
    }
    put_u64(out, meta.customers);
    out.push(u8::from(meta.model.is_some()));
    if let Some(InForce { parameters, since, through }) = &meta.model {
        put_parameters(out, parameters);
        put_i64(out, since.0);
        out.push(u8::from(through.is_some()));
        through.iter().for_each(|through| put_text(out, through));
    }
    let LastSurveys { day, week, forecast } = meta.last_surveys;
    [day, week, forecast].into_iter().for_each(|last| put_i64(out, last));
    put_text(out, &meta.log.topic_id);
    put_u64(out, meta.log.resets);
    put_i64(out, meta.log.shift);
    out.push(u8::from(meta.overdue.is_some()));
    if let Some(Overdue { decided_to, position }) = meta.overdue {
        put_i64(out, decided_to.0);
        put_i64(out, position);
    }
}

pub(super) fn put_observed(out: &mut Vec<u8>, observed: &Observed) {
    put_i64(out, observed.from.0);
    put_len(out, observed.later.len());
    for (fact, from) in &observed.later {
        out.extend_from_slice(&fact.to_le_bytes());
        put_i64(out, from.0);
    }
}

pub(super) fn read_observed(reader: &mut Reader<'_>) -> Result<Observed, Corrupt> {
    let mut observed = Observed { from: Instant(reader.i64("observed from")?), later: Vec::new() };
    for _ in 0..reader.len("observed")? {
        let fact = u64::from_le_bytes(reader.array("observed fact")?);
        observed.begins(fact, Instant(reader.i64("observed from")?));
    }
    Ok(observed)
}

fn put_counts(out: &mut Vec<u8>, counts: &[u64]) {
    counts.iter().for_each(|count| put_u64(out, *count));
}

fn read_counts(reader: &mut Reader<'_>) -> Result<Vec<u64>, Corrupt> {
    let mut counts = Vec::new();
    for _ in 0..reader.len("members")? {
        counts.push(reader.u64("members")?);
    }
    Ok(counts)
}

/// Does this META have parts in records of their own? In format 1 it contains them all.
#[must_use]
pub fn has_parts(bytes: &[u8]) -> bool {
    bytes.first() == Some(&META_FORMAT)
}

/// The number of cohorts, whose counts are in parts.
fn read_no_counts(reader: &mut Reader<'_>) -> Read<Vec<u64>> {
    let cohorts = u16::try_from(reader.u64("members")?).map_err(|_| Corrupt("number of cohorts"))?;
    Ok(vec![0; usize::from(cohorts)])
}

/// Reads META's bytes, including those of earlier releases. If it has parts, their contents are left empty or zero.
///
/// # Errors
/// Bytes that `encode_meta` did not write.
pub fn decode_meta(bytes: &[u8]) -> Result<Meta, Corrupt> {
    let mut reader = Reader::new(bytes);
    let has_parts = match reader.u8("format")? {
        FORMAT => false,
        META_FORMAT => true,
        _ => return Err(Corrupt("format of META")),
    };
    let text = |reader: &mut Reader<'_>, what| reader.text(what).map(str::to_owned);
    let span = |reader: &mut Reader<'_>, what| reader.i64(what).map(Span);
    let meta = Meta {
        cluster_id: text(&mut reader, "cluster id")?,
        input: text(&mut reader, "input")?,
        partitions: reader.u32("partitions")?,
        rules: text(&mut reader, "rules")?,
        rules_version: 0,
        migration: None,
        began: 0,
        observed: Observed::ALWAYS,
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
        applying_thresholds: None,
        customers: 0,
        surges: Vec::new(),
        model: None,
        last_surveys: LastSurveys::NEVER,
        log: Log::default(),
        overdue: None,
    };
    let flags = reader.u8("flags")?;
    let written_at = Instant(reader.i64("written at")?);
    let members = if has_parts { read_no_counts(&mut reader)? } else { read_counts(&mut reader)? };
    let mut meta = Meta { live: flags & 1 != 0, caught_up: flags & 2 != 0, written_at, members, ..meta };
    // Earlier releases end here.
    if reader.is_empty() {
        return Ok(meta);
    }
    meta.rules_version = reader.u64("version of the rules")?;
    if reader.u8("adopting")? != 0 {
        let (version, through) = (reader.u64("adopting")?, text(&mut reader, "adopting")?);
        let (members, observed) = (read_counts(&mut reader)?, read_observed(&mut reader)?);
        meta.migration = Some(MigrationProgress { version, through, members, observed });
    }
    meta.began = reader.i64("first offset")?;
    if !has_parts {
        meta.observed = read_observed(&mut reader)?;
        meta.thresholds = read_thresholds(&mut reader)?;
    }
    if reader.u8("taking up")? != 0 {
        let old = read_thresholds(&mut reader)?;
        meta.applying_thresholds = Some(ThresholdsProgress { old, through: text(&mut reader, "taking up")? });
    }
    meta.customers = reader.u64("customers")?;
    if !has_parts {
        for _ in 0..reader.len("surges")? {
            meta.surges.push((reader.u32("surge")?, reader.i64("surge")?, reader.u64("surge")?));
        }
    }
    // As above.
    if reader.is_empty() {
        return Ok(meta);
    }
    if reader.u8("model of churn")? != 0 {
        let (parameters, since) = (read_parameters(&mut reader)?, Instant(reader.i64("model of churn")?));
        let is_under_way = reader.u8("model of churn")? != 0;
        let through = is_under_way.then(|| text(&mut reader, "model of churn")).transpose()?;
        meta.model = Some(InForce { parameters, since, through });
    }
    let mut last = || reader.i64("last survey");
    meta.last_surveys = LastSurveys { day: last()?, week: last()?, forecast: last()? };
    // As above.
    if reader.is_empty() {
        return Ok(meta);
    }
    let topic_id = text(&mut reader, "topic id")?;
    meta.log = Log { topic_id, resets: reader.u64("resets")?, shift: reader.i64("shift")? };
    // As above.
    if reader.is_empty() {
        return Ok(meta);
    }
    if reader.u8("overdue")? != 0 {
        let (decided_to, position) = (Instant(reader.i64("overdue")?), reader.i64("overdue")?);
        meta.overdue = Some(Overdue { decided_to, position });
    }
    if reader.is_empty() { Ok(meta) } else { Err(Corrupt("end of META")) }
}

pub(super) fn put_thresholds(out: &mut Vec<u8>, thresholds: &[Option<Standing>]) {
    put_len(out, thresholds.len());
    thresholds.iter().for_each(|threshold| put_threshold(out, *threshold));
}

pub(super) fn read_thresholds(reader: &mut Reader<'_>) -> Read<Vec<Option<Standing>>> {
    let count = reader.len("thresholds")?;
    let mut thresholds = Vec::with_capacity(count);
    for _ in 0..count {
        thresholds.push(read_threshold(reader)?);
    }
    Ok(thresholds)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::meta_parts::{MetaParts, complete, encode_parts};
    use super::{
        Corrupt, InForce, LastSurveys, Log, Meta, MigrationProgress, Overdue, ThresholdsProgress, decode_meta,
        encode_meta,
    };
    use crate::churn::Fgp;
    use crate::engine::{Model, Observed, Parameters, Standing, Timing};
    use crate::event::{Instant, Number, Span};

    fn meta() -> Meta {
        let standing = Standing { value: Number(-5), hash: 7 };
        Meta {
            cluster_id: "c".into(),
            input: "i".into(),
            partitions: 3,
            rules: "f".into(),
            rules_version: 9,
            migration: Some(MigrationProgress {
                version: 10,
                through: "ann".into(),
                members: vec![1, 2],
                observed: Observed { from: Instant(4), later: vec![(3, Instant(5))] },
            }),
            began: 11,
            observed: Observed { from: Instant(6), later: Vec::new() },
            timing: Timing { arrives_within: Span(1), max_lateness: Span(2), earliest: Instant(3) },
            ids_max: 64,
            sequence: 12,
            next_offset: 13,
            replay_from: 14,
            replay_stream_time: Instant(15),
            stream_time: Instant(16),
            live: true,
            caught_up: false,
            written_at: Instant(17),
            members: vec![18, 0],
            thresholds: vec![None, Some(standing)],
            applying_thresholds: Some(ThresholdsProgress { old: vec![Some(standing), None], through: "bob".into() }),
            customers: 19,
            surges: vec![(0, 20, 21), (1, -22, 23)],
            model: Some(InForce {
                parameters: Parameters {
                    version: 24,
                    model: Model::Usage(Fgp { r: 0.05, alpha_days: 5.0, tau_days: 30.0 }),
                    recalibration: None,
                    provisional: true,
                },
                since: Instant(25),
                through: Some("cy".into()),
            }),
            last_surveys: LastSurveys { day: 26, week: -27, forecast: 28 },
            log: Log { topic_id: "id".into(), resets: 29, shift: -30 },
            overdue: Some(Overdue { decided_to: Instant(29), position: 30 }),
        }
    }

    #[test]
    fn all_that_is_written_is_read_again_and_what_is_cut_off_is_refused() {
        let mut bytes = Vec::new();
        encode_meta(&meta(), &mut bytes);
        let parts: BTreeMap<Vec<u8>, Vec<u8>> = encode_parts(&meta()).into_iter().collect();
        let mut read = decode_meta(&bytes).unwrap();
        complete(&mut read, |key| Ok::<_, Corrupt>(parts.get(key).cloned())).unwrap();
        assert_eq!(read, meta());
        for missing in parts.keys() {
            let get = |key: &[u8]| Ok::<_, Corrupt>(parts.get(key).filter(|_| key != missing).cloned());
            assert!(complete(&mut read, get).is_err());
        }
        bytes.pop();
        assert!(decode_meta(&bytes).is_err());
    }

    #[test]
    fn only_parts_that_changed_are_written_again_and_meta_itself_is_short() {
        let mut meta = Meta { members: vec![70_000; 600], migration: None, applying_thresholds: None, ..meta() };
        meta.surges = (0..600).flat_map(|cohort| (0..3).map(move |hour| (cohort, 490_000 + hour, 300))).collect();
        let mut parts = MetaParts::default();
        let all = parts.changed(&meta);
        assert_eq!(all.len(), 600_usize.div_ceil(16) + 2);
        assert!(all.iter().map(|(_, value)| value.len()).sum::<usize>() > 8_000);
        assert_eq!(parts.changed(&meta), []);
        meta.members[17] += 1;
        meta.surges[16 * 3].2 += 1;
        meta.sequence += 1;
        let changed = parts.changed(&meta);
        assert_eq!(changed.len(), 1, "both are in the second block");
        assert!(changed[0].1.len() < 512);
        let mut bytes = Vec::new();
        encode_meta(&meta, &mut bytes);
        assert!(bytes.len() < 256, "{}", bytes.len());
    }

    #[test]
    fn what_an_earlier_release_wrote_is_of_a_log_without_an_id() {
        let mut bytes = Vec::new();
        encode_meta(&Meta { log: Log::default(), overdue: None, ..meta() }, &mut bytes);
        // No id, no resets, no shift, nothing overdue: a byte each.
        bytes.truncate(bytes.len() - 4);
        let read = decode_meta(&bytes).map(|meta| (meta.log, meta.overdue));
        assert_eq!(read, Ok((Log::default(), None)));
    }
}
