//! Recorded inputs: everything that influenced decisions besides the log, stored with the log position at which it took
//! effect.

use super::layout::{FORMAT, changelog, from_ordered, input_key};
use super::meta_bytes::{put_threshold, read_threshold};
use super::parameters_bytes::{put_parameters, read_parameters};
use crate::bytes::{Corrupt, Reader, put_i64, put_u64};
use crate::engine::{Parameters, Standing};
use crate::event::{DeadLetterReason, Instant};

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
}

const ADVANCE: u8 = b'A';
const REFUSED: u8 = b'R';
const DUPLICATE: u8 = b'D';
const THRESHOLD: u8 = b'T';
const RULES: u8 = b'V';
const PARAMETERS: u8 = b'P';

impl Recorded {
    /// Its changelog key.
    #[must_use]
    pub fn key(self, position: i64) -> Vec<u8> {
        let kind = match self {
            Self::Advance(_) => ADVANCE,
            Self::Refused(_) => REFUSED,
            Self::Duplicate => DUPLICATE,
            Self::Threshold { .. } => THRESHOLD,
            Self::Rules { .. } => RULES,
            Self::Parameters { .. } => PARAMETERS,
        };
        let mut key = input_key(kind, position);
        if let Self::Threshold { rank, .. } = self {
            key.extend_from_slice(&rank.to_be_bytes());
        }
        key
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
            Self::Duplicate => {}
            Self::Threshold { threshold, stream_time, .. } => {
                put_i64(&mut out, stream_time.0);
                put_threshold(&mut out, threshold);
            }
            Self::Rules { version } => put_u64(&mut out, version),
            Self::Parameters { parameters, stream_time } => {
                put_i64(&mut out, stream_time.0);
                put_parameters(&mut out, &parameters);
            }
        }
        out
    }

    /// The position and input of a changelog record whose key begins with the type byte of inputs.
    ///
    /// # Errors
    /// A key or value that no release up to this one wrote.
    pub fn read(key: &[u8], value: &[u8]) -> Result<(i64, Self), Corrupt> {
        let (kind, position, rank) = split_key(key)?;
        let mut reader = Reader::new(value);
        if reader.u8("format")? != FORMAT {
            return Err(Corrupt("format of a recorded input"));
        }
        let recorded = match kind {
            ADVANCE => Self::Advance(Instant(reader.i64("advance")?)),
            REFUSED => {
                let index = usize::try_from(reader.i64("refused")?).map_err(|_| Corrupt("refused"))?;
                Self::Refused(*DeadLetterReason::ALL.get(index).ok_or(Corrupt("refused"))?)
            }
            DUPLICATE => Self::Duplicate,
            THRESHOLD => {
                let stream_time = Instant(reader.i64("threshold")?);
                Self::Threshold { rank, threshold: read_threshold(&mut reader)?, stream_time }
            }
            RULES => Self::Rules { version: reader.u64("rules")? },
            PARAMETERS => {
                let stream_time = Instant(reader.i64("parameters")?);
                Self::Parameters { parameters: read_parameters(&mut reader)?, stream_time }
            }
            _ => return Err(Corrupt("kind of a recorded input")),
        };
        Ok((position, recorded))
    }
}

/// Kind, position and rank of a recorded input's key; what is of no rank has 0.
///
/// # Errors
/// Another key.
fn split_key(key: &[u8]) -> Result<(u8, i64, u16), Corrupt> {
    let wrong = Corrupt("key of a recorded input");
    let [changelog::INPUT, kind, rest @ ..] = key else { return Err(wrong) };
    let (position, rest) = rest.split_first_chunk::<8>().ok_or(wrong)?;
    let rank = match (*kind, rest) {
        (THRESHOLD, [high, low]) => u16::from_be_bytes([*high, *low]),
        (THRESHOLD, _) | (_, [_, ..]) => return Err(wrong),
        (_, []) => 0,
    };
    Ok((*kind, from_ordered(*position), rank))
}
