//! The steps to decode the bytes of a writer. Runs once per schema; the per-record path is `reader`, `keep`, `cursor`.
//!
//! Avro resolves a writer's schema against a reader's. The reader's is always `schemas/customer-event.avsc`, so the
//! result is one step for each field of the writer: read it into a slot of the event, or skip it. Beyond Avro's rules,
//! an enum is read as text, a `decimal` as a number, and null properties as none: common in practice, and unambiguous.
//! Fields without a slot are skipped without being checked, and those that take no bytes are not part of the program.

use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::schema::RecordSchema;

use super::Incompatible;
use super::schema::{Field, LogicalType, Type, TypeId, WriterSchema};
use super::skip::{SkipCompiler, SkipId, Skips};
use super::unread::Unread;

/// The reader's schema.
pub(super) const CUSTOMER_EVENT: &str = include_str!("../../schemas/customer-event.avsc");

static READER: LazyLock<RecordSchema> = LazyLock::new(|| match Schema::parse_str(CUSTOMER_EVENT) {
    Ok(Schema::Record(record)) => record,
    _ => unreachable!("the schema in the source tree is a record; a test parses it"),
});

/// The whole program. A union at the top has one entry for each branch: how to read it, or to skip what is not an
/// event.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) root: Root,
    pub(super) skips: Skips,
    /// The fields of the writer that have no slot.
    pub(super) unread: Unread,
}

#[derive(Debug)]
pub(super) enum Root {
    Record(Box<[Step]>),
    Union(Box<[Result<Box<[Step]>, SkipId>]>),
}

#[derive(Debug)]
pub(super) enum Step {
    Pass(SkipId),
    Text(Slot, Decode),
    Time(Decode),
    Properties(Entries),
}

/// The text fields of an event.
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
    Map { value: Decode, pass: SkipId },
    Mismatch { pass: SkipId },
    Union(Box<[Entries]>),
}

/// How one value is read.
#[derive(Debug)]
pub(super) enum Decode {
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
    List(Box<Decode>),
    /// A type that no slot and no property can hold.
    Pass(SkipId),
    Union(Box<[Decode]>),
}

/// The unit of an integer that is an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// A bare number; as an instant, milliseconds.
    Plain,
    Micros,
    Nanos,
    /// A date, a time of day, or a local time: not a point in time.
    Unplaced,
}

impl Program {
    pub(super) fn compile(writer: &WriterSchema) -> Result<Self, Incompatible> {
        let mut compiler = Compiler { writer, skips: SkipCompiler::new(writer), unread: Vec::new() };
        let root = match writer.get(writer.root()) {
            Type::Record { fields, .. } => Root::Record(compiler.event(fields)?),
            Type::Union(branches) => {
                let mut first_refusal = None;
                let mut compiled = Vec::new();
                for branch in branches {
                    let steps = match writer.get(*branch) {
                        Type::Record { fields, .. } => compiler.event(fields).map_err(Some),
                        _ => Err(None),
                    };
                    compiled.push(steps.map_err(|refusal| {
                        first_refusal = first_refusal.take().or(refusal);
                        compiler.skips.skip(*branch)
                    }));
                }
                if compiled.iter().all(Result::is_err) {
                    return Err(first_refusal.unwrap_or(Incompatible::NotARecord("union without records")));
                }
                Root::Union(compiled.into())
            }
            other => return Err(Incompatible::NotARecord(other.kind())),
        };
        Ok(Self { root, skips: compiler.skips.finish(), unread: Unread::of(compiler.unread) })
    }
}

struct Compiler<'s> {
    writer: &'s WriterSchema,
    skips: SkipCompiler<'s>,
    /// The skipped fields of events.
    unread: Vec<String>,
}

impl<'s> Compiler<'s> {
    fn event(&mut self, fields: &'s [Field]) -> Result<Box<[Step]>, Incompatible> {
        // The field of ours that each field of the writer fills: by name first, by our aliases if no name matches.
        let mut fills: Vec<Option<&str>> = vec![None; fields.len()];
        for ours in &READER.fields {
            let found = std::iter::once(&ours.name)
                .chain(&ours.aliases)
                .find_map(|name| fields.iter().position(|theirs| theirs.name == *name));
            match found {
                Some(position) => fills[position] = Some(&ours.name),
                None if ours.default.is_some() => {}
                None => return Err(Incompatible::Missing(ours.name.clone())),
            }
        }
        let mut steps = Vec::with_capacity(fields.len());
        let mut unread = Vec::new();
        for (theirs, fills) in fields.iter().zip(fills) {
            let step = match fills {
                Some("event_id") => self.text("event_id", Slot::Id, theirs.schema)?,
                Some("customer_id") => self.text("customer_id", Slot::Customer, theirs.schema)?,
                Some("event") => self.text("event", Slot::Name, theirs.schema)?,
                Some("source") => self.text("source", Slot::Source, theirs.schema)?,
                Some("occurred_at") => {
                    let take = self.take(theirs.schema);
                    if !any(&take, is_instant) {
                        return Err(self.refuse("occurred_at", theirs.schema, "a point in time"));
                    }
                    Step::Time(take)
                }
                Some("properties") => {
                    let entries = self.entries(theirs.schema);
                    let fits = |entries: &Entries| matches!(entries, Entries::Null | Entries::Map { .. });
                    if !(fits(&entries) || matches!(&entries, Entries::Union(branches) if branches.iter().any(fits))) {
                        return Err(self.refuse("properties", theirs.schema, "a map"));
                    }
                    Step::Properties(entries)
                }
                _ => {
                    unread.push(theirs.name.clone());
                    match self.skips.skip(theirs.schema) {
                        SkipId::NOTHING => continue,
                        skip => Step::Pass(skip),
                    }
                }
            };
            steps.push(step);
        }
        self.unread.extend(unread);
        Ok(steps.into())
    }

    fn text(&mut self, field: &'static str, slot: Slot, schema: TypeId) -> Result<Step, Incompatible> {
        let take = self.take(schema);
        let optional = matches!(slot, Slot::Id | Slot::Source);
        let fits = |take: &Decode| match take {
            Decode::Text | Decode::Bytes | Decode::Symbol(_) => true,
            Decode::Null => optional,
            _ => false,
        };
        if any(&take, fits) { Ok(Step::Text(slot, take)) } else { Err(self.refuse(field, schema, "text")) }
    }

    fn refuse(&self, field: &'static str, schema: TypeId, wanted: &'static str) -> Incompatible {
        let found = match self.writer.get(schema) {
            Type::Union(branches) => {
                let branches: Vec<_> = branches.iter().map(|branch| self.writer.get(*branch).kind()).collect();
                format!("a union of {}", branches.join(", "))
            }
            other => format!("of type {}", other.kind()),
        };
        Incompatible::Field { field, found, wanted }
    }

    fn entries(&mut self, schema: TypeId) -> Entries {
        match self.writer.get(schema) {
            Type::Null => Entries::Null,
            Type::Map(values) => Entries::Map { value: self.take(*values), pass: self.skips.skip(*values) },
            Type::Union(branches) => Entries::Union(branches.iter().map(|branch| self.entries(*branch)).collect()),
            _ => Entries::Mismatch { pass: self.skips.skip(schema) },
        }
    }

    fn take(&mut self, schema: TypeId) -> Decode {
        match self.writer.get(schema) {
            Type::Null => Decode::Null,
            Type::Boolean => Decode::Bool,
            Type::Int(logical_type) => Decode::Int(unit(*logical_type)),
            Type::Long(logical_type) => Decode::Long(unit(*logical_type)),
            Type::Float => Decode::Float,
            Type::Double => Decode::Double,
            Type::String => Decode::Text,
            Type::Bytes(LogicalType::Plain) => Decode::Bytes,
            Type::Bytes(LogicalType::Decimal { scale }) => Decode::Decimal { scale: *scale, size: None },
            Type::Fixed { size, logical_type: LogicalType::Decimal { scale }, .. } => {
                Decode::Decimal { scale: *scale, size: Some(*size) }
            }
            Type::Enum { symbols, .. } => Decode::Symbol(symbols.iter().map(|symbol| symbol.as_str().into()).collect()),
            Type::Union(branches) => Decode::Union(branches.iter().map(|branch| self.take(*branch)).collect()),
            Type::Array(items) => match self.take(*items) {
                nested if any(&nested, |item| matches!(item, Decode::List(_) | Decode::Pass(_))) => self.pass(schema),
                // There could be any number of items without bytes.
                _ if self.skips.skip(*items) == SkipId::NOTHING => self.pass(schema),
                items => Decode::List(Box::new(items)),
            },
            Type::Bytes(_) | Type::Fixed { .. } | Type::Map(_) | Type::Record { .. } => self.pass(schema),
        }
    }

    fn pass(&mut self, schema: TypeId) -> Decode {
        Decode::Pass(self.skips.skip(schema))
    }
}

fn any(take: &Decode, fits: impl Fn(&Decode) -> bool) -> bool {
    match take {
        Decode::Union(branches) => branches.iter().any(fits),
        single => fits(single),
    }
}

/// Is it a number that says in which unit it is an instant?
fn is_instant(decode: &Decode) -> bool {
    matches!(decode, Decode::Int(unit) | Decode::Long(unit) if *unit != Unit::Unplaced)
}

fn unit(logical_type: LogicalType) -> Unit {
    match logical_type {
        LogicalType::Micros => Unit::Micros,
        LogicalType::Nanos => Unit::Nanos,
        LogicalType::Date
        | LogicalType::TimeOfDay
        | LogicalType::LocalMillis
        | LogicalType::LocalMicros
        | LogicalType::LocalNanos => Unit::Unplaced,
        LogicalType::Plain
        | LogicalType::Millis
        | LogicalType::Decimal { .. }
        | LogicalType::BigDecimal
        | LogicalType::Uuid
        | LogicalType::Duration
        | LogicalType::ConnectMillis
        | LogicalType::ConnectMicros
        | LogicalType::ConnectNanos
        | LogicalType::ConnectDate => Unit::Plain,
    }
}
