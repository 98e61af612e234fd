//! How a record identifies the schema that it was written with.

use std::fmt;

use super::Undecodable;
use super::foreign::UTF8_MARK;

/// The prefix of the records of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Each record identifies its schema. `00` and four bytes, big-endian: an id in the registry (Confluent's wire
    /// format). `C3 01` and eight bytes, little-endian: a fingerprint (Avro's single-object encoding).
    Tagged,
    /// Nothing: every record has the one schema given with [`Schemas::with_bare`](super::Schemas::with_bare). Not
    /// guessed, since bare Avro may begin with any byte.
    Bare,
}

/// The schema of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchemaKey {
    /// A registry's id.
    Id(u32),
    /// CRC-64-AVRO of the canonical form.
    Fingerprint(u64),
    /// The schema of records without a prefix.
    Bare,
}

impl fmt::Display for SchemaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "schema id {id}"),
            Self::Fingerprint(fingerprint) => write!(f, "the schema with fingerprint {fingerprint:016x}"),
            Self::Bare => f.write_str("the schema of bare records"),
        }
    }
}

impl Framing {
    /// Splits a record into the key of its schema and its datum.
    ///
    /// # Errors
    /// [`Undecodable::Framing`] when a tagged record begins with neither tag, or [`Undecodable::Json`] if it looks like
    /// JSON; [`Undecodable::Truncated`] when it ends within one.
    #[inline]
    pub fn split(self, record: &[u8]) -> Result<(SchemaKey, &[u8]), Undecodable> {
        match (self, record) {
            (Self::Bare, datum) => Ok((SchemaKey::Bare, datum)),
            (Self::Tagged, [0x00, rest @ ..]) => {
                let (id, datum) = rest.split_first_chunk().ok_or(Undecodable::Truncated)?;
                Ok((SchemaKey::Id(u32::from_be_bytes(*id)), datum))
            }
            (Self::Tagged, [0xc3, 0x01, rest @ ..]) => {
                let (fingerprint, datum) = rest.split_first_chunk().ok_or(Undecodable::Truncated)?;
                Ok((SchemaKey::Fingerprint(u64::from_le_bytes(*fingerprint)), datum))
            }
            (Self::Tagged, record) if looks_like_json(record) => Err(Undecodable::Json),
            (Self::Tagged, _) => Err(Undecodable::Framing),
        }
    }
}

/// Does it begin and end as an object or an array of JSON does? Its middle is not looked at.
fn looks_like_json(record: &[u8]) -> bool {
    let text = record.strip_prefix(UTF8_MARK).unwrap_or(record).trim_ascii();
    matches!(text, [b'{', .., b'}'] | [b'[', .., b']'])
}

#[cfg(test)]
mod tests {
    use super::{Framing, SchemaKey, Undecodable};

    #[test]
    fn the_first_bytes_decide_unless_the_topic_is_bare() {
        let split = |record: &'static [u8]| Framing::Tagged.split(record);
        assert_eq!(split(&[0, 0, 0, 1, 2, 9]), Ok((SchemaKey::Id(258), [9].as_slice())));
        let single = split(&[0xc3, 0x01, 1, 0, 0, 0, 0, 0, 0, 0x80, 7, 8]);
        assert_eq!(single, Ok((SchemaKey::Fingerprint(0x8000_0000_0000_0001), [7, 8].as_slice())));
        assert_eq!(split(&[0, 0, 0]), Err(Undecodable::Truncated));
        assert_eq!(split(&[0xc3, 0x01, 1]), Err(Undecodable::Truncated));
        assert_eq!(split(&[0xc3, 0x02, 1]), Err(Undecodable::Framing));
        assert_eq!(split(&[]), Err(Undecodable::Framing));
        assert_eq!(Framing::Bare.split(&[0, 1]), Ok((SchemaKey::Bare, [0, 1].as_slice())));
    }

    #[test]
    fn a_record_of_json_is_recognized_unless_the_topic_is_bare() {
        for json in [&b"{}"[..], b" {\"a\": [1]}\r\n", b"[{}, {}]", b"\xef\xbb\xbf{\"a\": 1}"] {
            assert_eq!(Framing::Tagged.split(json), Err(Undecodable::Json), "{json:?}");
            assert_eq!(Framing::Bare.split(json), Ok((SchemaKey::Bare, json)));
        }
        for other in [&b"{"[..], b"{\"a\": 1", b"{x]", b"a,b", b"\xef\xbb\xbf"] {
            assert_eq!(Framing::Tagged.split(other), Err(Undecodable::Framing), "{other:?}");
        }
    }
}
