//! What to do with a writer's bytes, worked out once per writer's schema.
//!
//! Avro resolves a writer's schema against a reader's. The reader's is always `schemas/customer-event.avsc`, so the
//! result is one step per field of the writer: read it into a slot of the event, or pass over it. Beyond Avro's rules,
//! an enum is read as text, a `decimal` as a number, and null properties as none: common in the field, and no
//! other meaning is possible.
//!
//! Types that take no bytes at all (null, an empty fixed, records of such) are left out of the program. So every step
//! of every loop takes at least a byte, and the time to read a record is bounded by its length, whatever counts it claims.

use std::collections::HashMap;
use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, RecordSchema, UuidSchema};

use super::Incompatible;

/// The schema that events are read as.
pub(super) const CUSTOMER_EVENT: &str = include_str!("../../schemas/customer-event.avsc");

static READER: LazyLock<RecordSchema> = LazyLock::new(|| match Schema::parse_str(CUSTOMER_EVENT) {
    Ok(Schema::Record(record)) => record,
    _ => unreachable!("the schema in the source tree is a record; a test parses it"),
});

/// The whole program. A union at the top has one entry a branch, `None` where the branch is no event.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) root: Root,
    /// Referred to by index, since types may contain themselves.
    pub(super) skips: Box<[Skip]>,
}

#[derive(Debug)]
pub(super) enum Root {
    Record(Box<[Step]>),
    Union(Box<[Option<Box<[Step]>>]>),
}

#[derive(Debug)]
pub(super) enum Step {
    Pass(SkipId),
    Text(Slot, Take),
    Time(Take),
    Properties(Entries),
}

/// The texts of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Id,
    Customer,
    Name,
    Source,
}

/// How the writer's `properties` are read.
#[derive(Debug)]
pub(super) enum Entries {
    Null,
    Map { value: Take, pass: SkipId },
    Mismatch,
    Union(Box<[Entries]>),
}

/// How one value is read.
#[derive(Debug)]
pub(super) enum Take {
    Null,
    Bool,
    Int(Unit),
    Long(Unit),
    Float,
    Double,
    Text,
    Bytes,
    Symbol(Box<[Box<str>]>),
    /// Unscaled two's complement; of a fixed size, or preceded by its length.
    Decimal {
        scale: usize,
        size: Option<usize>,
    },
    /// A list of values, none of which is a list.
    List(Box<Take>),
    /// A type that no slot and no property can hold.
    Pass(SkipId),
    Union(Box<[Take]>),
}

/// What an integer counts, if it is an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// A bare number; as an instant, milliseconds.
    Plain,
    Micros,
    Nanos,
    /// A date, a time of day, or a local time: not a point in time.
    Unplaced,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SkipId(pub(super) u32);

impl SkipId {
    /// Takes no bytes.
    pub(super) const NOTHING: Self = Self(0);
}

/// How a value is passed over.
#[derive(Debug)]
pub(super) enum Skip {
    Nothing,
    Bool,
    Int,
    Long,
    Fixed(usize),
    Sized,
    Symbol(usize),
    Array(SkipId),
    Map(SkipId),
    Record(Box<[SkipId]>),
    Union(Box<[SkipId]>),
}

impl Program {
    pub(super) fn compile(writer: &Schema) -> Result<Self, Incompatible> {
        let mut compiler = Compiler { types: HashMap::new(), skips: vec![Skip::Nothing], records: HashMap::new() };
        compiler.learn(writer);
        let root = match compiler.resolve(writer)? {
            Schema::Record(record) => Root::Record(compiler.event(record)?),
            Schema::Union(union) => {
                let mut first_refusal = Incompatible::NotARecord("union without records");
                let mut branches = Vec::new();
                for branch in union.variants() {
                    let steps = match compiler.resolve(branch)? {
                        Schema::Record(record) => compiler.event(record),
                        _ => {
                            branches.push(None);
                            continue;
                        }
                    };
                    branches.push(steps.map_err(|refusal| first_refusal = refusal).ok());
                }
                if branches.iter().all(Option::is_none) {
                    return Err(first_refusal);
                }
                Root::Union(branches.into())
            }
            other => return Err(Incompatible::NotARecord(kind(other))),
        };
        Ok(Self { root, skips: compiler.skips.into() })
    }
}

struct Compiler<'s> {
    types: HashMap<String, &'s Schema>,
    skips: Vec<Skip>,
    records: HashMap<String, SkipId>,
}

impl<'s> Compiler<'s> {
    /// Notes every named type under its name and aliases.
    fn learn(&mut self, schema: &'s Schema) {
        if let Some(name) = schema.name()
            && !matches!(schema, Schema::Ref { .. })
        {
            for alias in schema.aliases().into_iter().flatten() {
                self.types.insert(alias.fullname(name.namespace()), schema);
            }
            self.types.insert(name.fullname(None), schema);
        }
        match schema {
            Schema::Record(record) => record.fields.iter().for_each(|field| self.learn(&field.schema)),
            Schema::Array(array) => self.learn(&array.items),
            Schema::Map(map) => self.learn(&map.types),
            Schema::Union(union) => union.variants().iter().for_each(|branch| self.learn(branch)),
            _ => {}
        }
    }

    fn resolve(&self, schema: &'s Schema) -> Result<&'s Schema, Incompatible> {
        match schema {
            Schema::Ref { name } => self
                .types
                .get(&name.fullname(None))
                .copied()
                .ok_or_else(|| Incompatible::Undefined(name.fullname(None))),
            other => Ok(other),
        }
    }

    fn event(&mut self, writer: &'s RecordSchema) -> Result<Box<[Step]>, Incompatible> {
        // Which of our fields each field of the writer fills: by name first, by our aliases where no name matches.
        let mut fills: Vec<Option<&str>> = vec![None; writer.fields.len()];
        for ours in &READER.fields {
            let found = std::iter::once(&ours.name)
                .chain(&ours.aliases)
                .find_map(|name| writer.fields.iter().position(|theirs| theirs.name == *name));
            match found {
                Some(position) => fills[position] = Some(&ours.name),
                None if ours.default.is_some() => {}
                None => return Err(Incompatible::Missing(ours.name.clone())),
            }
        }
        let mut steps = Vec::with_capacity(writer.fields.len());
        for (theirs, fills) in writer.fields.iter().zip(fills) {
            let step = match fills {
                Some("event_id") => self.text("event_id", Slot::Id, &theirs.schema)?,
                Some("customer_id") => self.text("customer_id", Slot::Customer, &theirs.schema)?,
                Some("event") => self.text("event", Slot::Name, &theirs.schema)?,
                Some("source") => self.text("source", Slot::Source, &theirs.schema)?,
                Some("occurred_at") => {
                    let take = self.take(&theirs.schema)?;
                    let fits =
                        |take: &Take| matches!(take, Take::Int(unit) | Take::Long(unit) if *unit != Unit::Unplaced);
                    if !any(&take, fits) {
                        return Err(self.refuse("occurred_at", &theirs.schema, "a point in time"));
                    }
                    Step::Time(take)
                }
                Some("properties") => {
                    let entries = self.entries(&theirs.schema)?;
                    let fits = |entries: &Entries| matches!(entries, Entries::Null | Entries::Map { .. });
                    if !(fits(&entries) || matches!(&entries, Entries::Union(branches) if branches.iter().any(fits))) {
                        return Err(self.refuse("properties", &theirs.schema, "a map"));
                    }
                    Step::Properties(entries)
                }
                _ => match self.skip(&theirs.schema)? {
                    SkipId::NOTHING => continue,
                    skip => Step::Pass(skip),
                },
            };
            steps.push(step);
        }
        Ok(steps.into())
    }

    fn text(&mut self, field: &'static str, slot: Slot, schema: &'s Schema) -> Result<Step, Incompatible> {
        let take = self.take(schema)?;
        let optional = matches!(slot, Slot::Id | Slot::Source);
        let fits = |take: &Take| match take {
            Take::Text | Take::Bytes | Take::Symbol(_) => true,
            Take::Null => optional,
            _ => false,
        };
        if any(&take, fits) { Ok(Step::Text(slot, take)) } else { Err(self.refuse(field, schema, "text")) }
    }

    fn refuse(&self, field: &'static str, schema: &'s Schema, wanted: &'static str) -> Incompatible {
        let name = |schema: &'s Schema| self.resolve(schema).map_or("undefined", kind);
        let found = match schema {
            Schema::Union(union) => {
                let branches: Vec<_> = union.variants().iter().map(name).collect();
                format!("a union of {}", branches.join(", "))
            }
            other => format!("of type {}", name(other)),
        };
        Incompatible::Field { field, found, wanted }
    }

    fn entries(&mut self, schema: &'s Schema) -> Result<Entries, Incompatible> {
        Ok(match self.resolve(schema)? {
            Schema::Null => Entries::Null,
            Schema::Map(map) => Entries::Map { value: self.take(&map.types)?, pass: self.skip(&map.types)? },
            Schema::Union(union) => {
                Entries::Union(union.variants().iter().map(|branch| self.entries(branch)).collect::<Result<_, _>>()?)
            }
            _ => Entries::Mismatch,
        })
    }

    fn take(&mut self, schema: &'s Schema) -> Result<Take, Incompatible> {
        Ok(match self.resolve(schema)? {
            Schema::Null => Take::Null,
            Schema::Boolean => Take::Bool,
            Schema::Int => Take::Int(Unit::Plain),
            Schema::Date | Schema::TimeMillis => Take::Int(Unit::Unplaced),
            Schema::Long | Schema::TimestampMillis => Take::Long(Unit::Plain),
            Schema::TimestampMicros => Take::Long(Unit::Micros),
            Schema::TimestampNanos => Take::Long(Unit::Nanos),
            Schema::TimeMicros
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => Take::Long(Unit::Unplaced),
            Schema::Float => Take::Float,
            Schema::Double => Take::Double,
            Schema::String | Schema::Uuid(UuidSchema::String) => Take::Text,
            Schema::Bytes => Take::Bytes,
            Schema::Enum(symbols) => Take::Symbol(symbols.symbols.iter().map(|s| s.as_str().into()).collect()),
            Schema::Decimal(DecimalSchema { scale, inner, .. }) => {
                let size = match inner {
                    InnerDecimalSchema::Bytes => None,
                    InnerDecimalSchema::Fixed(fixed) => Some(fixed.size),
                };
                Take::Decimal { scale: *scale, size }
            }
            Schema::Union(union) => {
                Take::Union(union.variants().iter().map(|branch| self.take(branch)).collect::<Result<_, _>>()?)
            }
            Schema::Array(array) => match self.take(&array.items)? {
                items if any(&items, |item| matches!(item, Take::List(_) | Take::Pass(_))) => self.pass(schema)?,
                // Of items that take no bytes there could be any number.
                _ if self.skip(&array.items)? == SkipId::NOTHING => self.pass(schema)?,
                items => Take::List(Box::new(items)),
            },
            other => self.pass(other)?,
        })
    }

    fn pass(&mut self, schema: &'s Schema) -> Result<Take, Incompatible> {
        Ok(Take::Pass(self.skip(schema)?))
    }

    fn skip(&mut self, schema: &'s Schema) -> Result<SkipId, Incompatible> {
        let schema = self.resolve(schema)?;
        let skip = match schema {
            Schema::Null => return Ok(SkipId::NOTHING),
            Schema::Boolean => Skip::Bool,
            Schema::Int | Schema::Date | Schema::TimeMillis => Skip::Int,
            Schema::Long
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => Skip::Long,
            Schema::Float => Skip::Fixed(4),
            Schema::Double => Skip::Fixed(8),
            Schema::Bytes
            | Schema::String
            | Schema::BigDecimal
            | Schema::Uuid(UuidSchema::Bytes | UuidSchema::String)
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Bytes, .. }) => Skip::Sized,
            Schema::Fixed(fixed)
            | Schema::Duration(fixed)
            | Schema::Uuid(UuidSchema::Fixed(fixed))
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => match fixed.size {
                0 => return Ok(SkipId::NOTHING),
                size => Skip::Fixed(size),
            },
            Schema::Enum(symbols) => Skip::Symbol(symbols.symbols.len()),
            Schema::Array(array) => Skip::Array(self.skip(&array.items)?),
            Schema::Map(map) => Skip::Map(self.skip(&map.types)?),
            Schema::Union(union) => {
                Skip::Union(union.variants().iter().map(|branch| self.skip(branch)).collect::<Result<_, _>>()?)
            }
            Schema::Record(record) => return self.skip_record(record),
            Schema::Ref { name } => return Err(Incompatible::Undefined(name.fullname(None))),
        };
        Ok(self.add(skip))
    }

    fn skip_record(&mut self, record: &'s RecordSchema) -> Result<SkipId, Incompatible> {
        let name = record.name.fullname(None);
        if let Some(known) = self.records.get(&name) {
            return Ok(*known);
        }
        // Known before its fields are, since they may name it.
        let own = self.add(Skip::Nothing);
        self.records.insert(name.clone(), own);
        let mut fields = Vec::new();
        for field in &record.fields {
            match self.skip(&field.schema)? {
                SkipId::NOTHING => {}
                skip => fields.push(skip),
            }
        }
        if fields.is_empty() {
            self.records.insert(name, SkipId::NOTHING);
            return Ok(SkipId::NOTHING);
        }
        self.skips[own.0 as usize] = Skip::Record(fields.into());
        Ok(own)
    }

    fn add(&mut self, skip: Skip) -> SkipId {
        let id = SkipId(u32::try_from(self.skips.len()).expect("a schema's text is far shorter than 4 G types"));
        self.skips.push(skip);
        id
    }
}

fn any(take: &Take, fits: impl Fn(&Take) -> bool) -> bool {
    match take {
        Take::Union(branches) => branches.iter().any(fits),
        single => fits(single),
    }
}

/// The type's name in Avro, for messages.
fn kind(schema: &Schema) -> &'static str {
    match schema {
        Schema::Null => "null",
        Schema::Boolean => "boolean",
        Schema::Int => "int",
        Schema::Long => "long",
        Schema::Float => "float",
        Schema::Double => "double",
        Schema::Bytes => "bytes",
        Schema::String => "string",
        Schema::Array(_) => "array",
        Schema::Map(_) => "map",
        Schema::Union(_) => "union",
        Schema::Record(_) => "record",
        Schema::Enum(_) => "enum",
        Schema::Fixed(_) => "fixed",
        Schema::Decimal(_) | Schema::BigDecimal => "decimal",
        Schema::Uuid(_) => "uuid",
        Schema::Date => "date",
        Schema::TimeMillis | Schema::TimeMicros => "time of day",
        Schema::TimestampMillis => "timestamp-millis",
        Schema::TimestampMicros => "timestamp-micros",
        Schema::TimestampNanos => "timestamp-nanos",
        Schema::LocalTimestampMillis => "local-timestamp-millis",
        Schema::LocalTimestampMicros => "local-timestamp-micros",
        Schema::LocalTimestampNanos => "local-timestamp-nanos",
        Schema::Duration(_) => "duration",
        Schema::Ref { .. } => "named type",
    }
}
