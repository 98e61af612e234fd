//! A source compiled: its paths as slots, and what is made of what they find.

use super::avro::Program;
use super::document::{Became, EventName, Format, Kind, Source};
use super::event::{Refusal, RefusalReason};
use super::field::As;
use super::filter::{Filter, Test};
use super::path::{Path, Root};
use super::tree::{Slot, Tree, Use, Wanted};
use crate::codec::{Incompatible, SchemaText, Undecodable, WriterSchema};

/// Maps the records of one source to events. Immutable, and shared by all who read the source.
#[derive(Debug)]
pub struct Mapping {
    pub(super) source: Source,
    pub(super) tree: Tree,
    pub(super) customer: Vec<Slot>,
    pub(super) time: Vec<Slot>,
    pub(super) id: Vec<Slot>,
    pub(super) filter: Option<Filter<Slot>>,
    pub(super) event: Option<Name>,
    pub(super) kinds: Vec<KindOfRecord>,
    pub(super) properties: Vec<(Slot, As)>,
}

/// Where an event's name comes from; the slots are those of the paths of the same [`EventName`].
#[derive(Debug)]
pub(super) enum Name {
    Constant,
    Field(Vec<Slot>),
}

/// One entry of `events`.
#[derive(Debug)]
pub(super) struct KindOfRecord {
    pub(super) filter: Option<Filter<Slot>>,
    pub(super) became: Option<Change>,
    pub(super) event: Option<Name>,
}

/// A condition on a row after and before a change.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) after: Filter<Slot>,
    pub(super) before: Filter<Slot>,
    pub(super) row_after: Slot,
    pub(super) row_before: Slot,
    pub(super) op: Slot,
}

impl Mapping {
    /// Compiles a source that was read and checked.
    #[must_use]
    pub fn new(source: Source) -> Self {
        let mut wanted: Vec<Wanted<'_>> =
            source.paths().into_iter().map(|path| Wanted { path, use_: Use::Value }).collect();
        for filter in source.filters() {
            wanted_by(filter, &mut wanted);
        }
        let tree = Tree::new(&wanted, source.each.as_ref());
        let slots = |paths: &[Path]| -> Vec<Slot> { paths.iter().map(|path| tree.slot(path)).collect() };
        let of_filter = |filter: &Filter<Path>| filter.map(&mut |path, _| tree.slot(path));
        let of_name = |name: &EventName| match name {
            EventName::Constant(_) => Name::Constant,
            EventName::Field { paths, .. } => Name::Field(slots(paths)),
        };
        let of_change = |became: &Became| Change {
            after: of_filter(&became.after),
            before: of_filter(&became.before),
            row_after: tree.slot(&became.rows[0]),
            row_before: tree.slot(&became.rows[1]),
            op: tree.slot(&became.op),
        };
        let of_kind = |kind: &Kind| KindOfRecord {
            filter: kind.filter.as_ref().map(of_filter),
            became: kind.became.as_ref().map(of_change),
            event: kind.event.as_ref().map(of_name),
        };
        Self {
            customer: slots(&source.customer),
            time: slots(&source.time.paths),
            id: slots(&source.id),
            filter: source.filter.as_ref().map(of_filter),
            event: source.event.as_ref().map(of_name),
            kinds: source.kinds.iter().map(of_kind).collect(),
            properties: source.properties.iter().map(|property| (tree.slot(&property.path), property.as_)).collect(),
            tree,
            source,
        }
    }

    /// What it was compiled from.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Is the value of a record Avro, or else JSON?
    #[must_use]
    pub fn is_avro(&self) -> bool {
        self.source.format != Format::Json
    }

    /// Lays the mapping over the schema that values were written with.
    ///
    /// # Errors
    /// When the text is no Avro schema.
    pub fn reader(&self, schema: &str) -> Result<AvroReader, Incompatible> {
        Ok(self.reader_of(&WriterSchema::parse(schema)?, Part::Value))
    }

    /// The same of a schema with references to others.
    ///
    /// # Errors
    /// As [`reader`](Self::reader).
    pub fn reader_of_registered(&self, schema: &SchemaText) -> Result<AvroReader, Incompatible> {
        Ok(self.reader_of(&WriterSchema::of_text(schema)?, Part::Value))
    }

    /// Lays the mapping over the schema that keys were written with.
    ///
    /// # Errors
    /// As [`reader`](Self::reader).
    pub fn key_reader(&self, schema: &str) -> Result<AvroReader, Incompatible> {
        Ok(self.reader_of(&WriterSchema::parse(schema)?, Part::Key))
    }

    /// The same of a schema that is parsed already.
    #[must_use]
    pub(crate) fn value_reader(&self, schema: &WriterSchema) -> AvroReader {
        self.reader_of(schema, Part::Value)
    }

    /// Lays the mapping over the parsed schema that keys were written with.
    #[must_use]
    pub(crate) fn reader_of_keys(&self, schema: &WriterSchema) -> AvroReader {
        self.reader_of(schema, Part::Key)
    }

    /// Does the mapping read the key of records?
    #[must_use]
    pub fn reads_keys(&self) -> bool {
        !self.tree.below(self.tree.key).is_empty()
    }

    /// Does the mapping read headers?
    #[must_use]
    pub fn reads_headers(&self) -> bool {
        self.tree.others.iter().any(|(root, _)| matches!(root, Root::Header(_)))
    }

    fn reader_of(&self, writer: &WriterSchema, part: Part) -> AvroReader {
        let node = match part {
            Part::Value => self.tree.value,
            Part::Key => self.tree.key,
        };
        let program = Program::compile(&self.tree, node, writer);
        let root = match program.names.as_slice() {
            [name] if !name.is_empty() => format!("`{name}`"),
            _ => "its schema".to_owned(),
        };
        let absent: Vec<AbsentPath> = program
            .absent
            .iter()
            .map(|(slot, absent)| AbsentPath {
                path: self.tree.path(*slot).text.clone(),
                instead: absent.instead.clone(),
            })
            .collect();
        let blocked = match part {
            Part::Value => self.blocked(&program, &root),
            Part::Key => None,
        };
        AvroReader { program, absent, blocked }
    }

    /// Why no record of a schema can become an event, if that is so.
    fn blocked(&self, program: &Program, root: &str) -> Option<Refusal> {
        let no_field = |what: &str, slots: &[Slot]| {
            let all = !slots.is_empty() && slots.iter().all(|slot| program.absent.contains_key(slot));
            let slot = slots.first().filter(|_| all)?;
            let (path, absent) = (&self.tree.path(*slot).text, &program.absent[slot]);
            let detail = format!("{root} has no `{path}` for the {what}; {}", absent.instead);
            Some(Refusal::new(RefusalReason::NoSuchField, detail))
        };
        let no_list = || {
            let instead = program.no_list.as_ref()?;
            let path = self.source.each.as_ref().map(|each| each.text.as_str()).unwrap_or_default();
            Some(Refusal::new(RefusalReason::NoSuchField, format!("{root} has no list `{path}`; {instead}")))
        };
        no_field("customer", &self.customer).or_else(|| no_field("time", &self.time)).or_else(no_list)
    }
}

/// A value or a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Value,
    Key,
}

fn wanted_by<'p>(filter: &'p Filter<Path>, wanted: &mut Vec<Wanted<'p>>) {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().for_each(|part| wanted_by(part, wanted)),
        Filter::Not(inner) => wanted_by(inner, wanted),
        Filter::Test(path, Test::Contains(_)) => wanted.push(Wanted { path, use_: Use::Contains }),
        Filter::Test(path, _) => wanted.push(Wanted { path, use_: Use::Value }),
    }
}

/// A mapping laid over one writer's schema. Compiled once, then shared; immutable.
#[derive(Debug)]
pub struct AvroReader {
    pub(super) program: Program,
    absent: Vec<AbsentPath>,
    /// Every record is refused.
    pub(super) blocked: Option<Refusal>,
}

/// A path that no branch of a schema has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsentPath {
    pub path: String,
    /// What there is instead.
    pub instead: String,
}

impl AvroReader {
    /// The paths that no branch of the schema has.
    #[must_use]
    pub fn absent(&self) -> &[AbsentPath] {
        &self.absent
    }

    /// Why every record of the schema is refused, if that is so.
    #[must_use]
    pub fn blocked(&self) -> Option<&Refusal> {
        self.blocked.as_ref()
    }

    /// How many of these bytes are the first record.
    ///
    /// # Errors
    /// When they do not begin with one.
    pub fn length(&self, bytes: &[u8]) -> Result<usize, Undecodable> {
        self.program.length(bytes)
    }
}
