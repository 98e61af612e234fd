//! Decodes one record to one event, with the program of its writer's schema.

use std::sync::atomic::{AtomicBool, Ordering};

use super::cursor::Cursor;
use super::envelope::{Envelope, record_hash};
use super::from_schema::FromSchema;
use super::keep::{Keep, Kept, Known};
use super::program::{CUSTOMER_EVENT, Decode, Entries, Program, Root, Slot, Step, Unit};
use super::schema::WriterSchema;
use super::skip::SkipId;
use super::unread::Unread;
use super::{Incompatible, Undecodable};
use crate::event::{CustomerEvent, Instant, Number, Properties, Value, Vocabulary, text};

/// The nesting limit of types in a record: ours need three, and a type that contains itself could otherwise exhaust the
/// stack.
pub const MAX_DEPTH: u32 = 64;

/// Decodes the records of one writer's schema as `CustomerEvent`. Compiled once, then shared; immutable.
#[derive(Debug)]
pub struct Reader {
    program: Program,
    fingerprint: u64,
    /// Are there unused fields that have not been reported yet?
    is_unlogged: AtomicBool,
}

impl Reader {
    /// Compiles a writer's schema from its JSON.
    ///
    /// # Errors
    /// When the text is no Avro schema, or no record written with it could be read as a `CustomerEvent`.
    pub fn compile(writer: &str) -> Result<Self, Incompatible> {
        Self::from_schema(WriterSchema::parse(writer)?)
    }

    /// The reader of records written with `schemas/customer-event.avsc` itself.
    #[must_use]
    pub fn built_in() -> Self {
        Self::compile(CUSTOMER_EVENT).expect("the schema in the source tree reads itself; a test says so")
    }

    /// CRC-64-AVRO of the writer's schema in canonical form: what single-object encoding begins with.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The writer's fields that are skipped.
    #[must_use]
    pub fn unread(&self) -> &Unread {
        &self.program.unread
    }

    /// The same for the first caller only; `None` if there are none.
    #[inline]
    pub fn unread_once(&self) -> Option<&Unread> {
        (self.is_unlogged.load(Ordering::Relaxed) && self.is_unlogged.swap(false, Ordering::Relaxed))
            .then_some(self.unread())
    }

    /// Decodes one record, without its framing. Allocates nothing once `properties` has grown to as many entries as the
    /// vocabulary has properties. `properties` is cleared first; see [`recycle`] for reusing it.
    ///
    /// The event's `record_hash` is 0 where it has an id. An empty `event_id` counts as none.
    ///
    /// # Errors
    /// When the bytes are not exactly one record of this schema, or the record has no customer or no usable time.
    pub fn decode<'a, 'b>(
        &'a self,
        datum: &'a [u8],
        vocabulary: &Vocabulary,
        properties: &'b mut Properties<'a>,
    ) -> Result<CustomerEvent<'b>, Undecodable> {
        properties.clear();
        let mut cursor = Cursor::new(datum);
        let mut kept = Known { vocabulary, properties, unusable: 0, lists: false, listed: 0 };
        let envelope = self.read(&mut cursor, &mut kept)?;
        let unusable_values = kept.unusable;
        if !cursor.rest().is_empty() {
            return Err(Undecodable::Trailing);
        }
        Ok(CustomerEvent {
            customer: envelope.customer,
            name: envelope.name,
            name_id: vocabulary.name(envelope.name),
            at: envelope.at,
            id: envelope.id,
            source: envelope.source,
            record_hash: if envelope.id.is_some() { 0 } else { record_hash(datum) },
            unusable_values,
            properties,
        })
    }

    /// Decodes one record from `cursor`; properties go to `keep`. If one of its values cannot be used, it is read to
    /// its end all the same: see [`Undecodable::is_of_a_value`].
    pub(super) fn read<'a>(
        &'a self,
        cursor: &mut Cursor<'a>,
        keep: &mut impl Keep<'a>,
    ) -> Result<Envelope<'a>, Undecodable> {
        let steps = match &self.program.root {
            Root::Record(steps) => steps,
            Root::Union(branches) => match &branches[cursor.branch(branches.len())?] {
                Ok(steps) => steps,
                Err(skip) => {
                    self.pass(cursor, *skip, MAX_DEPTH)?;
                    return Err(Undecodable::Mismatch("the record"));
                }
            },
        };
        let (mut id, mut customer, mut name, mut source, mut at) = (None, None, None, None, None);
        let mut problem = None;
        for step in steps {
            let done = match step {
                Step::Pass(skip) => self.pass(cursor, *skip, MAX_DEPTH),
                Step::Text(slot, take) => {
                    let (into, field) = match slot {
                        Slot::Id => (&mut id, "event_id"),
                        Slot::Customer => (&mut customer, "customer_id"),
                        Slot::Name => (&mut name, "event"),
                        Slot::Source => (&mut source, "source"),
                    };
                    self.text(cursor, take, field).map(|text| *into = text)
                }
                Step::Time(take) => self.time(cursor, take).map(|time| at = Some(time)),
                Step::Properties(entries) => self.properties(cursor, entries, keep),
            };
            match done {
                Err(found) if found.is_of_a_value() => problem = problem.or(Some(found)),
                done => done?,
            }
        }
        if let Some(problem) = problem {
            return Err(problem);
        }
        let envelope = Envelope {
            customer: customer.filter(|customer| !customer.is_empty()).ok_or(Undecodable::NoCustomer)?,
            name: name.ok_or(Undecodable::Mismatch("event"))?,
            at: at.ok_or(Undecodable::BadTime)?,
            id: id.filter(|id| !id.is_empty()),
            source,
        };
        envelope.too_long().map_or(Ok(envelope), |field| Err(Undecodable::TooLong(field)))
    }

    #[inline]
    fn text<'a>(
        &'a self,
        cursor: &mut Cursor<'a>,
        take: &'a Decode,
        field: &'static str,
    ) -> Result<Option<&'a str>, Undecodable> {
        let take = match take {
            Decode::Union(branches) => &branches[cursor.branch(branches.len())?],
            single => single,
        };
        if let Decode::Text = take {
            return text(cursor.sized()?).map(Some).ok_or(Undecodable::NotUtf8(field));
        }
        match self.single(cursor, take)? {
            Scalar::Text(text) => Ok(Some(text)),
            Scalar::Bytes(bytes) => text(bytes).map(Some).ok_or(Undecodable::NotUtf8(field)),
            Scalar::Garbled => Err(Undecodable::NotUtf8(field)),
            Scalar::Null => Ok(None),
            _ => Err(Undecodable::Mismatch(field)),
        }
    }

    #[inline]
    fn time<'a>(&'a self, cursor: &mut Cursor<'a>, take: &'a Decode) -> Result<Instant, Undecodable> {
        let at = match self.scalar(cursor, take)? {
            Scalar::Integer(value, Unit::Plain) => value,
            // Rounded down, which keeps the order of instants before 1970 too.
            Scalar::Integer(value, Unit::Micros) => value.div_euclid(1_000),
            Scalar::Integer(value, Unit::Nanos) => value.div_euclid(1_000_000),
            Scalar::Null | Scalar::Integer(_, Unit::Unplaced) => return Err(Undecodable::BadTime),
            _ => return Err(Undecodable::Mismatch("occurred_at")),
        };
        Instant(at).plausible().ok_or(Undecodable::BadTime)
    }

    fn properties<'a>(
        &'a self,
        cursor: &mut Cursor<'a>,
        entries: &'a Entries,
        keep: &mut impl Keep<'a>,
    ) -> Result<(), Undecodable> {
        match entries {
            Entries::Null => Ok(()),
            Entries::Mismatch { pass } => {
                self.pass(cursor, *pass, MAX_DEPTH)?;
                Err(Undecodable::Mismatch("properties"))
            }
            Entries::Union(branches) => {
                let branch = &branches[cursor.branch(branches.len())?];
                self.properties(cursor, branch, keep)
            }
            Entries::Map { value, pass } => loop {
                let block = cursor.block()?;
                if block.items == 0 {
                    return Ok(());
                }
                for _ in 0..block.items {
                    let Some(slot) = keep.slot_of(cursor.sized()?) else {
                        self.pass(cursor, *pass, MAX_DEPTH)?;
                        continue;
                    };
                    let take = match value {
                        Decode::Union(branches) => &branches[cursor.branch(branches.len())?],
                        single => single,
                    };
                    match take {
                        Decode::List(items) => {
                            keep.begin_list(slot);
                            self.list(cursor, items, |value| keep.listed(slot, value.into()))?;
                        }
                        single => keep.keep(slot, self.scalar(cursor, single)?.into()),
                    }
                }
            },
        }
    }

    #[inline]
    fn scalar<'a>(&'a self, cursor: &mut Cursor<'a>, take: &'a Decode) -> Result<Scalar<'a>, Undecodable> {
        Ok(match take {
            Decode::Text => Scalar::of_text(cursor.sized()?),
            Decode::Long(unit) => Scalar::Integer(cursor.long()?, *unit),
            Decode::Union(branches) => {
                let branch = &branches[cursor.branch(branches.len())?];
                return self.single(cursor, branch);
            }
            other => return self.single(cursor, other),
        })
    }

    /// The values of a list, one after the other.
    fn list<'a>(
        &'a self,
        cursor: &mut Cursor<'a>,
        items: &'a Decode,
        mut each: impl FnMut(Scalar<'a>),
    ) -> Result<(), Undecodable> {
        loop {
            let block = cursor.block()?;
            if block.items == 0 {
                return Ok(());
            }
            for _ in 0..block.items {
                each(self.scalar(cursor, items)?);
            }
        }
    }

    /// A value that is not a union: in Avro a union does not directly contain unions.
    fn single<'a>(&'a self, cursor: &mut Cursor<'a>, take: &'a Decode) -> Result<Scalar<'a>, Undecodable> {
        Ok(match take {
            Decode::Null => Scalar::Null,
            Decode::Bool => Scalar::Bool(cursor.boolean()?),
            Decode::Int(unit) => Scalar::Integer(cursor.int()?, *unit),
            Decode::Long(unit) => Scalar::Integer(cursor.long()?, *unit),
            Decode::Float => Scalar::Double(f64::from(cursor.float()?)),
            Decode::Double => Scalar::Double(cursor.double()?),
            Decode::Text => Scalar::of_text(cursor.sized()?),
            Decode::Bytes => Scalar::Bytes(cursor.sized()?),
            Decode::Symbol(symbols) => Scalar::Text(&symbols[cursor.branch(symbols.len())?]),
            Decode::Decimal { scale, size } => {
                let unscaled = match size {
                    Some(size) => cursor.bytes(*size)?,
                    None => cursor.sized()?,
                };
                Scalar::Decimal(decimal(unscaled, *scale))
            }
            Decode::List(items) => {
                self.list(cursor, items, drop)?;
                Scalar::Other
            }
            Decode::Pass(skip) => {
                self.pass(cursor, *skip, MAX_DEPTH)?;
                Scalar::Other
            }
            Decode::Union(_) => unreachable!("a schema with a union directly in a union is refused when parsed"),
        })
    }

    fn pass(&self, cursor: &mut Cursor<'_>, skip: SkipId, depth: u32) -> Result<(), Undecodable> {
        self.program.skips.pass(cursor, skip, depth)
    }
}

/// A schema whose records are no events is incompatible.
impl FromSchema for Reader {
    fn from_schema(writer: WriterSchema) -> Result<Self, Incompatible> {
        let program = Program::compile(&writer)?;
        let is_unlogged = AtomicBool::new(!program.unread.is_empty());
        Ok(Self { program, fingerprint: writer.fingerprint(), is_unlogged })
    }
}

/// An empty buffer for the next record, with another lifetime. Keeps the allocation.
#[must_use]
pub fn recycle<'b>(mut properties: Properties<'_>) -> Properties<'b> {
    properties.clear();
    // Collecting from a vector's own iterator reuses its memory if the items have the same size, which a test checks.
    properties.into_iter().map(|_| unreachable!("the buffer was cleared")).collect()
}

impl<'a> From<Scalar<'a>> for Kept<'a> {
    #[inline]
    fn from(scalar: Scalar<'a>) -> Self {
        let number =
            |number: Option<Number>| number.map_or(Kept::Unusable, |number| Kept::Value(Value::Number(number)));
        match scalar {
            Scalar::Null => Kept::Absent,
            Scalar::Garbled | Scalar::Bytes(_) | Scalar::Other => Kept::Unusable,
            Scalar::Bool(value) => Kept::Value(Value::Bool(value)),
            Scalar::Integer(value, _) => Kept::Value(Value::Number(Number::from_integer(value))),
            Scalar::Double(value) => number(Number::from_double(value)),
            Scalar::Decimal(value) => number(value),
            Scalar::Text(text) => Kept::Value(Value::Text(text)),
        }
    }
}

enum Scalar<'a> {
    Null,
    Bool(bool),
    Integer(i64, Unit),
    Double(f64),
    Decimal(Option<Number>),
    Text(&'a str),
    /// Text that is not UTF-8.
    Garbled,
    Bytes(&'a [u8]),
    Other,
}

impl<'a> Scalar<'a> {
    #[inline]
    fn of_text(bytes: &'a [u8]) -> Self {
        text(bytes).map_or(Self::Garbled, Self::Text)
    }
}

/// Rounds half to even at the sixth decimal. `None`: too large.
fn decimal(unscaled: &[u8], scale: usize) -> Option<Number> {
    let negative = unscaled.first().is_some_and(|first| *first >= 0x80);
    let sign = if negative { 0xff } else { 0 };
    let start = unscaled.iter().position(|byte| *byte != sign).unwrap_or(unscaled.len());
    if unscaled.len() - start > 15 {
        return None;
    }
    let unscaled = unscaled[start..]
        .iter()
        .fold(if negative { -1_i128 } else { 0 }, |value, byte| (value << 8) | i128::from(*byte));
    let millionths = if let Some(more) = 6_usize.checked_sub(scale) {
        unscaled.checked_mul(10_i128.pow(u32::try_from(more).ok()?))?
    } else {
        // Half of 10^37 is beyond every fifteen-byte number, and twice it is within range.
        let divisor = 10_i128.pow(u32::try_from((scale - 6).min(37)).ok()?);
        let (quotient, rest) = (unscaled.div_euclid(divisor), unscaled.rem_euclid(divisor));
        match (rest * 2).cmp(&divisor) {
            std::cmp::Ordering::Greater => quotient + 1,
            std::cmp::Ordering::Equal => quotient + (quotient & 1),
            std::cmp::Ordering::Less => quotient,
        }
    };
    (millionths.abs() < Number::LIMIT).then_some(Number(millionths))
}
