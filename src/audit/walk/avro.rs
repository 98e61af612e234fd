//! The values of a record of Avro, by its writer's schema.

use std::borrow::Cow;

use super::{DEPTH_MAX, ELEMENTS_MAX, Found, keep};
use crate::audit::paths::{FieldId, Paths};
use crate::audit::value::{Clock, Value};
use crate::codec::{
    Cursor, Incompatible, LogicalType, SchemaText, SkipCompiler, SkipId, Skips, Type, TypeId, Undecodable, WriterSchema,
};

/// A writer's schema.
#[derive(Debug)]
pub struct Schema {
    writer: WriterSchema,
    skips: Skips,
    whole: SkipId,
}

impl Schema {
    /// # Errors
    /// When the text is no Avro schema.
    pub fn parse(text: &str) -> Result<Self, Incompatible> {
        WriterSchema::parse(text).map(Self::of)
    }

    /// Of a schema with references to others.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn of_registered(text: &SchemaText) -> Result<Self, Incompatible> {
        WriterSchema::of_text(text).map(Self::of)
    }

    fn of(writer: WriterSchema) -> Self {
        let mut compiler = SkipCompiler::new(&writer);
        let whole = compiler.skip(writer.root());
        Self { skips: compiler.finish(), whole, writer }
    }

    /// How many of these bytes are the first record.
    ///
    /// # Errors
    /// When they do not begin with one.
    pub fn length(&self, bytes: &[u8]) -> Result<usize, Undecodable> {
        let mut cursor = Cursor::new(bytes);
        self.skips.pass(&mut cursor, self.whole, DEPTH_MAX)?;
        Ok(bytes.len() - cursor.rest().len())
    }

    /// What records in single-object encoding begin with.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.writer.fingerprint()
    }

    /// The full name of its record; empty: it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.writer.get(self.writer.root()).name().unwrap_or_default()
    }
}

/// The bytes of a record.
pub(in crate::audit) struct Avro<'a> {
    schema: &'a Schema,
    cursor: Cursor<'a>,
}

impl<'a> Avro<'a> {
    pub(in crate::audit) fn new(schema: &'a Schema, bytes: &'a [u8]) -> Self {
        Self { schema, cursor: Cursor::new(bytes) }
    }

    /// Adds the values of the record.
    ///
    /// # Errors
    /// When the bytes are not exactly one record of the schema.
    pub(in crate::audit) fn read(
        mut self,
        paths: &mut Paths,
        root: FieldId,
        found: &mut Vec<Found<'a>>,
    ) -> Result<(), Undecodable> {
        self.value(paths, Some(root), self.schema.writer.root(), DEPTH_MAX, found)?;
        if self.cursor.rest().is_empty() { Ok(()) } else { Err(Undecodable::Trailing) }
    }

    /// Reads one value. `field`: `None` where there is no room for it.
    fn value(
        &mut self,
        paths: &mut Paths,
        field: Option<FieldId>,
        of: TypeId,
        depth: u32,
        found: &mut Vec<Found<'a>>,
    ) -> Result<(), Undecodable> {
        let inner = depth.checked_sub(1).ok_or(Undecodable::Depth)?;
        let schema = self.schema;
        let single = match schema.writer.get(of) {
            Type::Union(branches) => {
                let branch = branches[self.cursor.branch(branches.len())?];
                return self.value(paths, field, branch, inner, found);
            }
            Type::Record { fields, .. } => {
                if let Some(field) = field {
                    keep(found, field, Value::Record);
                }
                for own in fields {
                    let member = field.and_then(|field| paths.member(field, &own.name));
                    self.value(paths, member, own.schema, inner, found)?;
                }
                return Ok(());
            }
            Type::Array(items) => return self.list(paths, field, *items, inner, found),
            Type::Map(values) => return self.map(paths, field, *values, inner, found),
            single => self.single(single)?,
        };
        if let Some(field) = field {
            keep(found, field, single);
        }
        Ok(())
    }

    fn list(
        &mut self,
        paths: &mut Paths,
        field: Option<FieldId>,
        items: TypeId,
        depth: u32,
        found: &mut Vec<Found<'a>>,
    ) -> Result<(), Undecodable> {
        if let Some(field) = field {
            keep(found, field, Value::List);
        }
        let element = field.and_then(|field| paths.element(field));
        let mut seen = 0;
        loop {
            let block = self.cursor.block()?;
            if block.items == 0 {
                return Ok(());
            }
            for _ in 0..block.items {
                let before = self.cursor.rest().len();
                seen += 1;
                self.value(paths, element.filter(|_| seen <= ELEMENTS_MAX), items, depth, found)?;
                // Elements without bytes hold nothing, and there could be any number of them.
                if self.cursor.rest().len() == before {
                    break;
                }
            }
        }
    }

    fn map(
        &mut self,
        paths: &mut Paths,
        field: Option<FieldId>,
        values: TypeId,
        depth: u32,
        found: &mut Vec<Found<'a>>,
    ) -> Result<(), Undecodable> {
        if let Some(field) = field {
            keep(found, field, Value::Record);
        }
        loop {
            let block = self.cursor.block()?;
            if block.items == 0 {
                return Ok(());
            }
            for _ in 0..block.items {
                let name = String::from_utf8_lossy(self.cursor.sized()?);
                let member = field.and_then(|field| paths.member(field, &name));
                self.value(paths, member, values, depth, found)?;
            }
        }
    }

    fn single(&mut self, of: &'a Type) -> Result<Value<'a>, Undecodable> {
        let cursor = &mut self.cursor;
        Ok(match of {
            Type::Null => Value::Null,
            Type::Boolean => Value::Bool(cursor.boolean()?),
            Type::Int(of) => integer(cursor.int()?, *of, 1_000),
            Type::Long(of) => integer(cursor.long()?, *of, 1),
            Type::Float => double(f64::from(cursor.float()?)),
            Type::Double => double(cursor.double()?),
            Type::String => Value::Text(String::from_utf8_lossy(cursor.sized()?)),
            Type::Enum { symbols, .. } => Value::Text(symbols[cursor.branch(symbols.len())?].as_str().into()),
            Type::Bytes(of) => bytes(cursor.sized()?, *of),
            Type::Fixed { size, logical_type, .. } => bytes(cursor.bytes(*size)?, *logical_type),
            // These are read elsewhere.
            Type::Array(_) | Type::Map(_) | Type::Union(_) | Type::Record { .. } => Value::Null,
        })
    }
}

/// `time_of_day`: what makes microseconds of a time of day.
fn integer<'a>(value: i64, of: LogicalType, time_of_day: i64) -> Value<'a> {
    let millis = |by: i64, per: i64| value.checked_mul(by).map(|value| value.div_euclid(per));
    match of {
        LogicalType::Millis | LogicalType::ConnectMillis => Value::Moment(millis(1, 1), Clock::Utc),
        LogicalType::Micros | LogicalType::ConnectMicros => Value::Moment(millis(1, 1_000), Clock::Utc),
        LogicalType::Nanos | LogicalType::ConnectNanos => Value::Moment(millis(1, 1_000_000), Clock::Utc),
        LogicalType::LocalMillis => Value::Moment(millis(1, 1), Clock::Local),
        LogicalType::LocalMicros => Value::Moment(millis(1, 1_000), Clock::Local),
        LogicalType::LocalNanos => Value::Moment(millis(1, 1_000_000), Clock::Local),
        LogicalType::Date | LogicalType::ConnectDate => i32::try_from(value).map_or(Value::Whole(value), Value::Date),
        LogicalType::TimeOfDay => Value::TimeOfDay(value.saturating_mul(time_of_day)),
        LogicalType::Plain
        | LogicalType::Decimal { .. }
        | LogicalType::BigDecimal
        | LogicalType::Uuid
        | LogicalType::Duration => Value::Whole(value),
    }
}

fn double<'a>(value: f64) -> Value<'a> {
    Value::Number(Cow::Owned(value.to_string().into_bytes()))
}

fn bytes(bytes: &[u8], of: LogicalType) -> Value<'_> {
    match of {
        LogicalType::Decimal { .. } | LogicalType::BigDecimal => Value::Number(Cow::Borrowed(bytes)),
        _ => Value::Bytes(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::{Avro, Schema};
    use crate::audit::paths::{Paths, VALUE};
    use crate::codec::Undecodable;

    const ORDER: &str = r#"{"type":"record","name":"shop.Order","fields":[
        {"name":"buyer","type":["null",{"type":"record","name":"Buyer","fields":[{"name":"id","type":"string"}]}]},
        {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},
        {"name":"tags","type":{"type":"map","values":"boolean"}},
        {"name":"lines","type":{"type":"array","items":"int"}},
        {"name":"nothing","type":{"type":"array","items":"null"}}]}"#;

    fn shown(bytes: &[u8]) -> Result<Vec<String>, Undecodable> {
        let schema = Schema::parse(ORDER).unwrap();
        assert_eq!(schema.name(), "shop.Order");
        let (mut paths, mut found) = (Paths::default(), Vec::new());
        Avro::new(&schema, bytes).read(&mut paths, VALUE, &mut found)?;
        assert_eq!(schema.length(bytes), Ok(bytes.len()));
        Ok(found.iter().map(|(field, _, kind)| format!("{}: {kind}", paths.text(*field))).collect())
    }

    #[test]
    fn each_value_has_its_path_and_kind() {
        let buyer = [2, 2, b'b'];
        let tags = [2, 2, b'x', 1, 0];
        // 2^31 - 1 elements that take no bytes.
        let nothing = [0xfe, 0xff, 0xff, 0xff, 0x0f, 0];
        let bytes = [&buyer[..], &[0], &tags, &[4, 2, 4, 0], &nothing].concat();
        let expected = [
            ": record",
            "buyer: record",
            "buyer.id: text",
            "at: timestamp",
            "tags: record",
            "tags.x: boolean",
            "lines: list",
            "lines[]: integer",
            "lines[]: integer",
            "nothing: list",
            "nothing[]: null",
        ];
        assert_eq!(shown(&bytes).unwrap(), expected);
        for end in 0..bytes.len() {
            assert!(shown(&bytes[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_record_within_itself_ends_at_the_limit() {
        let list = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#;
        let schema = Schema::parse(list).unwrap();
        let read = |depth: usize| {
            let bytes = [vec![2; depth], vec![0]].concat();
            Avro::new(&schema, &bytes).read(&mut Paths::default(), VALUE, &mut Vec::new()).is_ok()
        };
        assert!(read(20) && !read(100));
    }
}
