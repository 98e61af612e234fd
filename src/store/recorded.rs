//! Recorded inputs: everything that influenced decisions besides the log, stored with the log position at which it took
//! effect.

use super::layout::{FORMAT, changelog, from_ordered, input_key, ordered};
use super::meta_bytes::{put_threshold, read_threshold};
use super::parameters_bytes::{put_parameters, read_parameters};
use crate::bytes::{Corrupt, Reader, put_i64, put_u64};
use crate::engine::{Parameters, Standing};
use crate::event::{DeadLetterReason, Instant};

/// What a partition decided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// The record before the next one.
    Record,
    /// Something else after that record: the wall clock, new thresholds or parameters, an edit of the rules.
    Clock,
}

/// A point in the order of a partition's decisions: what is recorded there holds for it and all later ones. A restart
/// comes to the same points, for those who it decides again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DecisionPoint {
    /// The offset after the last record that was read.
    pub next_offset: i64,
    pub trigger: Trigger,
    /// The instant that is decided.
    pub at: Instant,
}

impl DecisionPoint {
    /// Before all others.
    pub const FIRST: Self = Self { next_offset: i64::MIN, trigger: Trigger::Record, at: Instant::MIN };
}

/// Entries into one cohort within one hour of `occurred_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CohortHour {
    /// The cohort's number in the rules in force.
    pub cohort: u32,
    /// Hours since 1970.
    pub hour: i64,
}

/// Whether too many customers enter a cohort within an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surge {
    Begun,
    /// It was one only until the partition had more customers, or the limit was raised.
    Over,
}

/// An input besides the log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Recorded {
    /// Stream time was advanced by the wall clock, before the record at this position was read.
    Advance(Instant),
    /// The record at this position was rejected for a reason that the log does not show: the wall clock, or an answer
    /// of the registry.
    Refused(DeadLetterReason),
    /// The record at this position was a duplicate with a later time than the first event. A later state of the
    /// customer does not show that, and stream time must not be advanced by it.
    Duplicate,
    /// A rank has this threshold from here on, at this stream time. A restore does not need it: everything before is
    /// flushed, and META contains the thresholds.
    Threshold { rank: u16, threshold: Option<Standing>, stream_time: Instant },
    /// From this position on the rules of this version decide.
    Rules { version: u64 },
    /// From this position and stream time on, the churn model has these parameters. A restore does not need it, as with
    /// thresholds.
    Parameters { parameters: Parameters, stream_time: Instant },
    /// The partition has caught up with its input: automation may act from this point on. Its offset is the position.
    CaughtUp(DecisionPoint),
    /// From this point on, changes at instants before `before` are too old for automation.
    Outdated { since: DecisionPoint, before: Instant },
    /// From this point on, automation may not act on entries of this cohort and hour, or may again.
    Surge { since: DecisionPoint, entries: CohortHour, surge: Surge },
}

const ADVANCE: u8 = b'A';
const REFUSED: u8 = b'R';
const DUPLICATE: u8 = b'D';
const THRESHOLD: u8 = b'T';
const RULES: u8 = b'V';
const PARAMETERS: u8 = b'P';
const CAUGHT_UP: u8 = b'U';
const OUTDATED: u8 = b'O';
const SURGE: u8 = b'S';

impl Recorded {
    /// Its changelog key.
    #[must_use]
    pub fn key(self, position: i64) -> Vec<u8> {
        match self {
            Self::Advance(_) => input_key(ADVANCE, position),
            Self::Refused(_) => input_key(REFUSED, position),
            Self::Duplicate => input_key(DUPLICATE, position),
            Self::Threshold { rank, .. } => {
                let mut key = input_key(THRESHOLD, position);
                key.extend_from_slice(&rank.to_be_bytes());
                key
            }
            Self::Rules { .. } => input_key(RULES, position),
            Self::Parameters { .. } => input_key(PARAMETERS, position),
            Self::CaughtUp(since) => point_key(CAUGHT_UP, position, since),
            Self::Outdated { since, .. } => point_key(OUTDATED, position, since),
            Self::Surge { since, entries, .. } => {
                let mut key = point_key(SURGE, position, since);
                key.extend_from_slice(&entries.cohort.to_be_bytes());
                key.extend_from_slice(&ordered(entries.hour));
                key
            }
        }
    }

    /// Its changelog value.
    #[must_use]
    pub fn value(self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        match self {
            Self::Advance(to) => put_i64(&mut out, to.0),
            Self::Refused(reason) => {
                let index = DeadLetterReason::ALL.iter().position(|known| *known == reason).unwrap_or_default();
                put_i64(&mut out, index as i64);
            }
            Self::Duplicate | Self::CaughtUp(_) => {}
            Self::Threshold { threshold, stream_time, .. } => {
                put_i64(&mut out, stream_time.0);
                put_threshold(&mut out, threshold);
            }
            Self::Rules { version } => put_u64(&mut out, version),
            Self::Parameters { parameters, stream_time } => {
                put_i64(&mut out, stream_time.0);
                put_parameters(&mut out, &parameters);
            }
            Self::Outdated { before, .. } => put_i64(&mut out, before.0),
            Self::Surge { surge, .. } => out.push(u8::from(surge == Surge::Begun)),
        }
        out
    }

    /// The position and input of a changelog record whose key begins with the type byte of inputs.
    ///
    /// # Errors
    /// A key or value that no release up to this one wrote.
    pub fn read(key: &[u8], value: &[u8]) -> Result<(i64, Self), Corrupt> {
        let [changelog::INPUT, kind, key @ ..] = key else { return Err(WRONG_KEY) };
        let mut key = key;
        let position = read_ordered(&mut key)?;
        let mut reader = Reader::new(value);
        if reader.u8("format")? != FORMAT {
            return Err(Corrupt("format of a recorded input"));
        }
        let recorded = match *kind {
            ADVANCE => Self::Advance(Instant(reader.i64("advance")?)),
            REFUSED => {
                let index = usize::try_from(reader.i64("refused")?).map_err(|_| Corrupt("refused"))?;
                Self::Refused(*DeadLetterReason::ALL.get(index).ok_or(Corrupt("refused"))?)
            }
            DUPLICATE => Self::Duplicate,
            THRESHOLD => {
                let rank = u16::from_be_bytes(read_array(&mut key)?);
                let stream_time = Instant(reader.i64("threshold")?);
                Self::Threshold { rank, threshold: read_threshold(&mut reader)?, stream_time }
            }
            RULES => Self::Rules { version: reader.u64("rules")? },
            PARAMETERS => {
                let stream_time = Instant(reader.i64("parameters")?);
                Self::Parameters { parameters: read_parameters(&mut reader)?, stream_time }
            }
            CAUGHT_UP => Self::CaughtUp(read_point(position, &mut key)?),
            OUTDATED => {
                Self::Outdated { since: read_point(position, &mut key)?, before: Instant(reader.i64("outdated")?) }
            }
            SURGE => {
                let since = read_point(position, &mut key)?;
                let cohort = u32::from_be_bytes(read_array(&mut key)?);
                let entries = CohortHour { cohort, hour: read_ordered(&mut key)? };
                let surge = match reader.u8("surge")? {
                    0 => Surge::Over,
                    1 => Surge::Begun,
                    _ => return Err(Corrupt("surge")),
                };
                Self::Surge { since, entries, surge }
            }
            _ => return Err(Corrupt("kind of a recorded input")),
        };
        if key.is_empty() { Ok((position, recorded)) } else { Err(WRONG_KEY) }
    }
}

const WRONG_KEY: Corrupt = Corrupt("key of a recorded input");

/// The key of what is recorded at a point of the order of decisions.
fn point_key(kind: u8, position: i64, since: DecisionPoint) -> Vec<u8> {
    let mut key = input_key(kind, position);
    key.push(u8::from(since.trigger == Trigger::Clock));
    key.extend_from_slice(&ordered(since.at.0));
    key
}

fn read_point(next_offset: i64, key: &mut &[u8]) -> Result<DecisionPoint, Corrupt> {
    let [trigger] = read_array(key)?;
    let trigger = match trigger {
        0 => Trigger::Record,
        1 => Trigger::Clock,
        _ => return Err(WRONG_KEY),
    };
    Ok(DecisionPoint { next_offset, trigger, at: Instant(read_ordered(key)?) })
}

fn read_ordered(key: &mut &[u8]) -> Result<i64, Corrupt> {
    read_array(key).map(from_ordered)
}

fn read_array<const N: usize>(key: &mut &[u8]) -> Result<[u8; N], Corrupt> {
    let (read, rest) = key.split_first_chunk().ok_or(WRONG_KEY)?;
    *key = rest;
    Ok(*read)
}
